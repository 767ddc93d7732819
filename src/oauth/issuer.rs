//! The issuer identifier: RFC 8414 section 2.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::is_https_or_loopback;

/// The name of an authorization server. Compared byte by byte, never normalised (RFC 8414 section 3.3, RFC 9207).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Issuer(String);

/// Why a text cannot name an issuer.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Not a URL at all.
    #[error("issuer `{0}` is not a URL")]
    NotAUrl(String, #[source] url::ParseError),
    /// Plain http to another machine, or another scheme.
    #[error("issuer `{0}` must be https; http is for loopback only")]
    NotHttps(String),
    /// RFC 8414 section 2 forbids both.
    #[error("issuer `{0}` must have no query, fragment or user information")]
    Decorated(String),
}

impl Issuer {
    /// Accepts an https URL, or http on loopback, without query, fragment and user information.
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        let url = Url::parse(text).map_err(|error| IssuerError::NotAUrl(text.to_owned(), error))?;
        if !is_https_or_loopback(&url) {
            return Err(IssuerError::NotHttps(text.to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(IssuerError::Decorated(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a URL, for reaching it.
    pub fn url(&self) -> Url {
        Url::parse(&self.0).expect("parsed once already")
    }

    /// Where the metadata may be, in the order to ask, when the issuer is reached at `base` (usually its own URL).
    ///
    /// RFC 8414 section 3.1 first, then OpenID Connect's two places (MCP 2026-07-28, authorization server discovery).
    pub fn metadata_urls(base: &Url) -> Vec<Url> {
        let path = base.path().trim_end_matches('/').to_owned();
        let at = |path: String| {
            let mut url = base.clone();
            url.set_path(&path);
            url
        };
        let mut urls = vec![at(format!("/.well-known/oauth-authorization-server{path}"))];
        urls.push(at(format!("/.well-known/openid-configuration{path}")));
        if !path.is_empty() {
            urls.push(at(format!("{path}/.well-known/openid-configuration")));
        }
        urls
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Issuer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_for_loopback_only() {
        for good in
            ["https://kc.example/realms/a", "http://localhost:8080/realms/a", "http://127.0.0.1:1", "http://[::1]:1"]
        {
            assert_eq!(Issuer::parse(good).unwrap().as_str(), good);
        }
        for bad in ["http://kc.example", "ftp://localhost", "kc.example", "http://127.0.0.1.evil.example"] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn decorations_are_refused() {
        for bad in ["https://a/?q", "https://a/#f", "https://idp@evil.example", "https://a:b@c"] {
            assert!(matches!(Issuer::parse(bad), Err(IssuerError::Decorated(_))), "{bad}");
        }
    }

    #[test]
    fn metadata_is_looked_for_in_the_specified_order() {
        let urls = Issuer::metadata_urls(&Url::parse("https://kc.example/realms/a").unwrap());
        let urls: Vec<_> = urls.iter().map(Url::as_str).collect();
        assert_eq!(
            urls,
            [
                "https://kc.example/.well-known/oauth-authorization-server/realms/a",
                "https://kc.example/.well-known/openid-configuration/realms/a",
                "https://kc.example/realms/a/.well-known/openid-configuration",
            ]
        );
        assert_eq!(Issuer::metadata_urls(&Url::parse("https://kc.example/").unwrap()).len(), 2);
    }
}
