//! The protected resource's identifier: RFC 8707 section 2, RFC 9728 section 1.2.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::is_https_or_loopback;

/// The URL that names an MCP server: what tokens are issued for and what `aud` must contain.
///
/// Scheme and host are lower case, a default port and the bare root slash are dropped; the path is kept as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Resource(String);

/// Why a text cannot name a resource.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// Not an absolute URL.
    #[error("`{0}` is not an absolute URL")]
    NotAUrl(String, #[source] url::ParseError),
    /// Plain http to another machine, or another scheme.
    #[error("`{0}` must be https; http is for loopback only")]
    NotHttps(String),
    /// RFC 8707 section 2: no fragment; and user information is never part of a name.
    #[error("`{0}` must have no fragment and no user information")]
    Decorated(String),
}

impl Resource {
    /// Accepts an https URL, or http on loopback, without fragment and user information.
    pub fn parse(text: &str) -> Result<Self, ResourceError> {
        let url = Url::parse(text).map_err(|error| ResourceError::NotAUrl(text.to_owned(), error))?;
        Self::from_url(&url)
    }

    /// The same, from a URL.
    pub fn from_url(url: &Url) -> Result<Self, ResourceError> {
        if !is_https_or_loopback(url) {
            return Err(ResourceError::NotHttps(url.to_string()));
        }
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(ResourceError::Decorated(url.to_string()));
        }
        let text = url.as_str();
        let bare_root = url.path() == "/" && url.query().is_none();
        Ok(Self(if bare_root { text.trim_end_matches('/').to_owned() } else { text.to_owned() }))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a URL.
    pub fn url(&self) -> Url {
        Url::parse(&self.0).expect("parsed once already")
    }

    /// The resource that is all of this one's origin.
    #[must_use]
    pub fn origin(&self) -> Self {
        let mut url = self.url();
        url.set_path("");
        url.set_query(None);
        Self::from_url(&url).expect("the beginning of a resource is one")
    }

    /// Where this resource publishes its metadata.
    ///
    /// The well-known segment goes between host and path (RFC 9728 section 3.1):
    /// `https://h/mcp` -> `https://h/.well-known/oauth-protected-resource/mcp`. A query is kept.
    pub fn metadata_url(&self) -> Url {
        let mut url = self.url();
        let path = format!("/.well-known/oauth-protected-resource{}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_port_and_root_slash_are_normalised_and_nothing_else() {
        for (written, canonical) in [
            ("HTTPS://MCP.Example:443/mcp", "https://mcp.example/mcp"),
            ("https://mcp.example/", "https://mcp.example"),
            ("https://mcp.example/MCP/", "https://mcp.example/MCP/"),
            ("http://127.0.0.1:8000/mcp?t=1", "http://127.0.0.1:8000/mcp?t=1"),
        ] {
            assert_eq!(Resource::parse(written).unwrap().as_str(), canonical);
        }
    }

    #[test]
    fn fragments_relative_names_and_plain_http_are_refused() {
        for bad in ["https://h/mcp#x", "/mcp", "mcp", "http://mcp.example/mcp", "https://a@b/mcp", "urn:x:y"] {
            assert!(Resource::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn metadata_sits_between_host_and_path() {
        for (resource, metadata) in [
            ("https://h/mcp", "https://h/.well-known/oauth-protected-resource/mcp"),
            ("https://h", "https://h/.well-known/oauth-protected-resource"),
            ("https://h/a/b?t=1", "https://h/.well-known/oauth-protected-resource/a/b?t=1"),
        ] {
            assert_eq!(Resource::parse(resource).unwrap().metadata_url().as_str(), metadata);
        }
    }
}
