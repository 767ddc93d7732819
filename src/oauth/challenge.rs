//! The `WWW-Authenticate: Bearer` challenge: RFC 6750 section 3, RFC 9728 section 5.1.

use std::fmt;

use super::Scopes;

/// A Bearer challenge. [`parse`](Self::parse) and `Display` are inverse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Why: `invalid_token`, `insufficient_scope`, `invalid_request`; absent when no token was sent.
    pub error: Option<String>,
    /// The same in words, for a log.
    pub error_description: Option<String>,
    /// Every scope that the operation needs.
    pub scope: Option<Scopes>,
    /// Where the resource's metadata is.
    pub resource_metadata: Option<String>,
}

impl Challenge {
    /// Finds the first Bearer challenge in a header value, which may list several schemes.
    ///
    /// Unknown parameters are skipped; `None` if there is no Bearer challenge in it. A `scope` that is no scope list is left
    /// out rather than refused: it is advice.
    pub fn parse(value: &str) -> Option<Self> {
        let mut parser = Parser { rest: value };
        let mut found: Option<Self> = None;
        let mut in_bearer = false;
        while let Some(item) = parser.next_item() {
            match item {
                Item::Scheme(_) if found.is_some() => break,
                Item::Scheme(scheme) => {
                    in_bearer = scheme.eq_ignore_ascii_case("bearer");
                    if in_bearer {
                        found = Some(Self::default());
                    }
                }
                Item::Parameter(name, text) if in_bearer => {
                    if let Some(challenge) = found.as_mut() {
                        challenge.set(&name.to_ascii_lowercase(), text);
                    }
                }
                Item::Parameter(..) => {}
            }
        }
        found
    }

    fn set(&mut self, name: &str, text: String) {
        match name {
            "error" => self.error = Some(text),
            "error_description" => self.error_description = Some(text),
            "scope" => self.scope = Scopes::parse(&text).ok(),
            "resource_metadata" => self.resource_metadata = Some(text),
            _ => {}
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Bearer")?;
        let scope = self.scope.as_ref().map(ToString::to_string);
        let parameters = [
            ("error", self.error.as_deref()),
            ("error_description", self.error_description.as_deref()),
            ("scope", scope.as_deref()),
            ("resource_metadata", self.resource_metadata.as_deref()),
        ];
        let mut separator = " ";
        for (name, text) in parameters.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            write!(formatter, "{separator}{name}=\"")?;
            for character in text.chars() {
                if matches!(character, '"' | '\\') {
                    formatter.write_str("\\")?;
                }
                write!(formatter, "{character}")?;
            }
            formatter.write_str("\"")?;
            separator = ", ";
        }
        Ok(())
    }
}

enum Item<'a> {
    Scheme(&'a str),
    Parameter(&'a str, String),
}

/// Reads RFC 9110 section 11.6.1's list of challenges, forgiving about commas.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn next_item(&mut self) -> Option<Item<'a>> {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
        let length = self.rest.find([' ', '\t', ',', '=', '"']).unwrap_or(self.rest.len());
        if length == 0 {
            // A stray quote or equals sign: skip the character, whatever it was.
            let mut characters = self.rest.chars();
            characters.next()?;
            self.rest = characters.as_str();
            return self.next_item();
        }
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        let after = rest.trim_start_matches([' ', '\t']);
        let Some(value) = after.strip_prefix('=') else {
            return Some(Item::Scheme(word));
        };
        self.rest = value.trim_start_matches([' ', '\t']);
        Some(Item::Parameter(word, self.value()))
    }

    fn value(&mut self) -> String {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let length = self.rest.find([' ', '\t', ',']).unwrap_or(self.rest.len());
            let (token, rest) = self.rest.split_at(length);
            self.rest = rest;
            return token.to_owned();
        };
        let mut text = String::new();
        let mut characters = quoted.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => text.extend(characters.next()),
                other => text.push(other),
            }
        }
        self.rest = characters.as_str();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Challenge {
        Challenge {
            error: Some("insufficient_scope".into()),
            error_description: Some(r#"needs "mcp:write" \ more"#.into()),
            scope: Some(Scopes::parse("mcp:read mcp:write").unwrap()),
            resource_metadata: Some("https://h/.well-known/oauth-protected-resource/mcp".into()),
        }
    }

    #[test]
    fn display_and_parse_are_inverse() {
        for challenge in [full(), Challenge::default()] {
            assert_eq!(Challenge::parse(&challenge.to_string()).unwrap(), challenge);
        }
    }

    #[test]
    fn bearer_is_found_among_other_schemes() {
        let value = r#"Basic realm="a, Bearer error=no", DPoP algs="ES256", bearer Scope="x y" , error=invalid_token, Digest nonce=1"#;
        let challenge = Challenge::parse(value).unwrap();
        assert_eq!(challenge.scope.unwrap().to_string(), "x y");
        assert_eq!(challenge.error.as_deref(), Some("invalid_token"));
        assert!(Challenge::parse("Basic realm=x").is_none());
        assert!(Challenge::parse("").is_none());
    }

    #[test]
    fn garbage_ends_without_panic() {
        for value in
            ["Bearer =\"", "Bearer scope=\"\\", "\"\"\"===", "Bearer ,,,= = =", "Bearer error=\"\u{1F600}\\\u{1F600}"]
        {
            let _ = Challenge::parse(value);
        }
        assert_eq!(Challenge::parse("Bearer ,,error = x").unwrap().error.as_deref(), Some("x"));
    }
}
