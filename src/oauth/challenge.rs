//! The challenges of `WWW-Authenticate` that ask for an access token: RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728
//! section 5.1.

use std::fmt;

use super::Scopes;

/// How an access token is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// By itself (RFC 6750).
    #[default]
    Bearer,
    /// With a proof that its sender holds the key that it is bound to (RFC 9449).
    Dpop,
}

impl Scheme {
    /// The registered word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

/// A challenge of one scheme. [`parse_of`](Self::parse_of) and `Display` are inverse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// How to send a token.
    pub scheme: Scheme,
    /// Why: `invalid_token`, `insufficient_scope`, `invalid_request`; absent when no token was sent.
    pub error: Option<String>,
    /// The same in words, for a log.
    pub error_description: Option<String>,
    /// Every scope that the operation needs.
    pub scope: Option<Scopes>,
    /// Where the resource's metadata is.
    pub resource_metadata: Option<String>,
    /// With which algorithms a proof may be signed, separated by spaces; DPoP only.
    pub algs: Option<String>,
}

impl Challenge {
    /// Finds the first Bearer challenge in a header value.
    pub fn parse(value: &str) -> Option<Self> {
        Self::parse_of(Scheme::Bearer, value)
    }

    /// Finds the first challenge of this scheme in a header value, which may list several schemes.
    ///
    /// Unknown parameters are skipped; `None` if there is no such challenge in it. A `scope` that is no scope list is left
    /// out rather than refused: it is advice.
    pub fn parse_of(scheme: Scheme, value: &str) -> Option<Self> {
        let mut parser = Parser { rest: value };
        let mut found: Option<Self> = None;
        let mut in_it = false;
        while let Some(item) = parser.next_item() {
            match item {
                Item::Scheme(_) if found.is_some() => break,
                Item::Scheme(name) => {
                    in_it = name.eq_ignore_ascii_case(scheme.as_str());
                    if in_it {
                        found = Some(Self { scheme, ..Self::default() });
                    }
                }
                Item::Parameter(name, text) if in_it => {
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
            "algs" => self.algs = Some(text),
            _ => {}
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.scheme.as_str())?;
        let scope = self.scope.as_ref().map(ToString::to_string);
        let parameters = [
            ("error", self.error.as_deref()),
            ("error_description", self.error_description.as_deref()),
            ("scope", scope.as_deref()),
            ("resource_metadata", self.resource_metadata.as_deref()),
            ("algs", self.algs.as_deref()),
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
            scheme: Scheme::Dpop,
            error: Some("insufficient_scope".into()),
            error_description: Some(r#"needs "mcp:write" \ more"#.into()),
            scope: Some(Scopes::parse("mcp:read mcp:write").unwrap()),
            resource_metadata: Some("https://h/.well-known/oauth-protected-resource/mcp".into()),
            algs: Some("ES256 EdDSA".into()),
        }
    }

    #[test]
    fn display_and_parse_are_inverse() {
        for challenge in [full(), Challenge::default()] {
            assert_eq!(Challenge::parse_of(challenge.scheme, &challenge.to_string()).unwrap(), challenge);
        }
    }

    #[test]
    fn a_scheme_is_found_among_others() {
        let value = r#"Basic realm="a, Bearer error=no", DPoP algs="ES256", bearer Scope="x y" , error=invalid_token, Digest nonce=1"#;
        let challenge = Challenge::parse(value).unwrap();
        assert_eq!(challenge.scope.unwrap().to_string(), "x y");
        assert_eq!(challenge.error.as_deref(), Some("invalid_token"));
        let proof = Challenge { scheme: Scheme::Dpop, algs: Some("ES256".into()), ..Challenge::default() };
        assert_eq!(Challenge::parse_of(Scheme::Dpop, value), Some(proof));
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
