//! URI templates (RFC 6570), read backwards: which variables make this URI?

use std::borrow::Cow;

/// The URI that was asked for, and the variables in it.
#[derive(Debug)]
pub struct Requested<'a> {
    /// The whole of it.
    pub uri: &'a str,
    variables: Vec<(&'a str, String)>,
}

impl<'a> Requested<'a> {
    pub(super) fn of(uri: &'a str, variables: Vec<(&'a str, String)>) -> Self {
        Self { uri, variables }
    }

    /// A variable of the template, decoded.
    ///
    /// # Panics
    /// If the template has no variable of this name: a mistake in a program.
    pub fn variable(&self, name: &str) -> &str {
        let variable = self.variables.iter().find(|(known, _)| *known == name);
        variable.map_or_else(|| panic!("the template of `{}` has no variable `{name}`", self.uri), |(_, value)| value)
    }
}

/// A template, or a URI without variables.
#[derive(Debug)]
pub(super) struct Template {
    /// What comes before the first variable.
    start: String,
    variables: Vec<Variable>,
}

#[derive(Debug)]
struct Variable {
    name: String,
    /// `{+name}`: it takes `/` too.
    is_reserved: bool,
    /// What comes behind it.
    literal: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// It has something else than plain and reserved variables, two of one name, or two without anything between them.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('{');
        let start = parts.next().unwrap_or_default().to_owned();
        let mut variables: Vec<Variable> = Vec::new();
        for part in parts {
            let (expression, literal) = part.split_once('}').ok_or("a `{` without its `}`")?;
            let (name, is_reserved) = match expression.strip_prefix('+') {
                Some(name) => (name, true),
                None => (expression, false),
            };
            let charset = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(charset) {
                return Err(format!("`{{{expression}}}` is neither `{{name}}` nor `{{+name}}`"));
            }
            if variables.iter().any(|known| known.name == name) {
                return Err(format!("there are two variables named `{name}`"));
            }
            if variables.last().is_some_and(|before| before.literal.is_empty()) {
                return Err(format!("there is nothing between `{{{name}}}` and the variable before it"));
            }
            variables.push(Variable { name: name.to_owned(), is_reserved, literal: literal.to_owned() });
        }
        Ok(Self { start, variables })
    }

    /// A URI that is none, whatever braces are in it.
    pub(super) fn literal(uri: &str) -> Self {
        Self { start: uri.to_owned(), variables: Vec::new() }
    }

    pub(super) fn has(&self, variable: &str) -> bool {
        self.variables.iter().any(|known| known.name == variable)
    }

    /// The variables that make this URI; `None` if none do. Each ends where what follows it first comes, and the last
    /// where the URI ends: that takes one pass, whatever the URI.
    pub(super) fn variables_of(&self, uri: &str) -> Option<Vec<(&str, String)>> {
        let mut rest = uri.strip_prefix(self.start.as_str())?;
        let mut found = Vec::with_capacity(self.variables.len());
        for (index, variable) in self.variables.iter().enumerate() {
            let is_last = index + 1 == self.variables.len();
            let (value, behind) = if is_last {
                (rest.strip_suffix(variable.literal.as_str())?, "")
            } else {
                rest.split_once(variable.literal.as_str())?
            };
            if value.is_empty() || !variable.is_reserved && value.contains('/') {
                return None;
            }
            found.push((variable.name.as_str(), decoded(value)?.into_owned()));
            rest = behind;
        }
        rest.is_empty().then_some(found)
    }
}

/// Without percent-encoding; `None` for what is none, or is no UTF-8.
pub(super) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).expect("two hexadecimal digits")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(template: &str, uri: &str) -> Option<Vec<String>> {
        let template = Template::parse(template).unwrap();
        let found = template.variables_of(uri)?;
        Some(found.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn variables_are_read_out_of_a_uri() {
        for (template, uri, expected) in [
            ("a://b", "a://b", &[][..]),
            ("notes://{folder}/{id}", "notes://desk/7", &["folder=desk", "id=7"]),
            ("test://template/{id}/data", "test://template/123/data", &["id=123"]),
            ("file:///{+path}", "file:///a/b.txt", &["path=a/b.txt"]),
            ("x://{a}-{b}", "x://1-2-3", &["a=1", "b=2-3"]),
            ("x://{a}", "x://%C3%A9%2F..", &["a=é/.."]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&text| text.to_owned()).collect();
            assert_eq!(variables(template, uri), Some(expected), "{template} {uri}");
        }
    }

    #[test]
    fn other_uris_do_not_fit() {
        for (template, uri) in [
            ("a://b", "a://bc"),
            ("a://b", "A://b"),
            ("notes://{id}", "notes://"),
            ("notes://{id}", "notes://a/b"),
            ("test://template/{id}/data", "test://template//data"),
            ("test://template/{id}/data", "test://template/1/data/"),
            ("x://{a}", "x://%"),
            ("x://{a}", "x://%+1"),
            ("x://{a}", "x://%ff"),
        ] {
            assert_eq!(variables(template, uri), None, "{template} {uri}");
        }
    }

    #[test]
    fn templates_that_could_be_read_in_two_ways_are_none() {
        for text in ["x://{", "x://{}", "x://{a}{b}", "x://{a}/{a}", "x://{?q}", "x://{a,b}", "x://{a:3}", "x://{a*}"] {
            Template::parse(text).expect_err(text);
        }
    }

    #[test]
    fn a_long_uri_takes_one_pass() {
        let uri = format!("x://{}", "ab-".repeat(1_000_000));
        assert!(variables("x://{a}-{b}-{c}z", &uri).is_none());
    }
}
