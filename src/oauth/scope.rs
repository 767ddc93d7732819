//! Scopes: RFC 6749 section 3.3.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of scope tokens, in the order they were first named.
///
/// Tokens compare byte by byte: no case folding, no hierarchy, no look-alikes. On the wire it is one string with single
/// spaces.
#[derive(Clone, Debug, Default, Eq)]
pub struct Scopes(Vec<Box<str>>);

/// A scope that is not a `scope-token` of RFC 6749 section 3.3.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a scope: visible ASCII without quotes and backslashes")]
pub struct NotAScope(String);

impl Scopes {
    /// No scope at all.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads a space-separated list; repeated spaces and repeated tokens count once.
    ///
    /// # Errors
    /// [`NotAScope`] names the first token with a character outside RFC 6749's `scope-token`.
    pub fn parse(text: &str) -> Result<Self, NotAScope> {
        let mut scopes = Self::none();
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            if !is_scope_token(token) {
                return Err(NotAScope(token.chars().take(64).collect()));
            }
            scopes.insert(token);
        }
        Ok(scopes)
    }

    /// Reads what an issuer wrote into a token: whatever is not a scope token grants nothing.
    pub fn from_claims<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scopes = Self::none();
        for token in parts.into_iter().filter(|token| is_scope_token(token)) {
            scopes.insert(token);
        }
        scopes
    }

    /// Whether exactly this token is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|held| &**held == scope)
    }

    /// Whether every token of `other` is in this set.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|scope| self.contains(scope))
    }

    /// This set's tokens that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self::from_claims(self.iter().filter(|scope| !other.contains(scope)))
    }

    /// Both sets' tokens, this one's first.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        other.iter().for_each(|scope| all.insert(scope));
        all
    }

    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }

    fn insert(&mut self, scope: &str) {
        if !self.contains(scope) {
            self.0.push(scope.into());
        }
    }
}

fn is_scope_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// Sets are equal whatever their order.
impl PartialEq for Scopes {
    fn eq(&self, other: &Self) -> bool {
        self.covers(other) && other.covers(self)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(scope)?;
        }
        Ok(())
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_spaces_and_tokens_count_once() {
        let scopes = Scopes::parse("  mcp:read   mcp:write mcp:read ").unwrap();
        assert_eq!(scopes.to_string(), "mcp:read mcp:write");
    }

    #[test]
    fn only_the_exact_token_matches() {
        let scopes = Scopes::from_claims(["mcp:READ", "mcp:rea", "mcp:read2", "mcp:re\u{0430}d", "mcp:read mcp:write"]);
        assert!(!scopes.contains("mcp:read"));
        assert_eq!(scopes.iter().count(), 3, "a look-alike and a token with a space are not scopes at all");
        assert!(Scopes::from_claims(["mcp:read"]).contains("mcp:read"));
    }

    #[test]
    fn characters_outside_the_grammar_are_refused() {
        assert!(Scopes::parse("a\"b").is_err());
        assert!(Scopes::parse("a\\b").is_err());
        assert!(Scopes::parse("a\tb").is_err());
        assert!(Scopes::parse("mcp:read:sub/x?").is_ok());
    }

    #[test]
    fn union_keeps_order_and_equality_ignores_it() {
        let one = Scopes::parse("a b").unwrap();
        let two = Scopes::parse("b c").unwrap();
        assert_eq!(one.union(&two).to_string(), "a b c");
        assert_eq!(one, Scopes::parse("b a").unwrap());
    }
}
