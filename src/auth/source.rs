//! Where an issuer is found, what it says of itself, and from where it is reached.

use std::fmt;

use url::Url;

use crate::{
    net::{Http, NetError},
    oauth::{Issuer, ServerMetadata, is_https_or_loopback},
};

/// An issuer and the way to it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, which its metadata must repeat.
    pub issuer: Issuer,
    /// Where it is reached, if not at its name.
    pub backchannel_url: Option<Url>,
}

/// Something that an issuer's metadata says the place of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Endpoint {
    JwksUri,
    Introspection,
}

/// Why an issuer's metadata is no help.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("`{url}` answered {status}")]
    Status { url: Url, status: u16 },
    #[error("`{url}` is not issuer metadata")]
    NotMetadata { url: Url, source: serde_json::Error },
    #[error("`{url}` says it is issuer `{found}`, expected `{expected}`")]
    WrongIssuer { url: String, found: Issuer, expected: Issuer },
    #[error("issuer metadata has no `{0}`")]
    Missing(Endpoint),
    #[error("`{0}` `{1}` must be https; http is for loopback and the back channel only")]
    Insecure(Endpoint, Url),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::JwksUri => "jwks_uri",
            Self::Introspection => "introspection_endpoint",
        })
    }
}

impl Source {
    /// What the issuer says of itself (RFC 8414, OpenID Connect Discovery), once it has said the right name.
    pub(super) async fn metadata(&self, http: &Http) -> Result<ServerMetadata, SourceError> {
        let issuer = &self.issuer;
        let base = self.backchannel_url.clone().unwrap_or_else(|| issuer.url());
        let mut problem = None;
        for url in Issuer::metadata_urls(&base) {
            let document = http.get(&url).await?;
            if !document.status.is_success() {
                problem.get_or_insert(SourceError::Status { url, status: document.status.as_u16() });
                continue;
            }
            let metadata: ServerMetadata = match document.json() {
                Ok(metadata) => metadata,
                Err(source) => {
                    problem.get_or_insert(SourceError::NotMetadata { url, source });
                    continue;
                }
            };
            if metadata.issuer != *issuer {
                return Err(SourceError::WrongIssuer {
                    url: url.into(),
                    found: metadata.issuer,
                    expected: issuer.clone(),
                });
            }
            return Ok(metadata);
        }
        Err(problem.expect("there are always two places to ask"))
    }

    /// The place that metadata names, as it is reached from here: by the back channel if it is at the issuer's own name.
    pub(super) fn reached(&self, endpoint: Endpoint, named: Option<Url>) -> Result<Url, SourceError> {
        let url = named.ok_or(SourceError::Missing(endpoint))?;
        let url = match &self.backchannel_url {
            Some(base) if url.origin() == self.issuer.url().origin() => moved_to(&url, base),
            _ => url,
        };
        let on_backchannel = self.backchannel_url.as_ref().is_some_and(|base| base.origin() == url.origin());
        if on_backchannel || is_https_or_loopback(&url) { Ok(url) } else { Err(SourceError::Insecure(endpoint, url)) }
    }
}

/// The same path at another origin.
fn moved_to(url: &Url, base: &Url) -> Url {
    let mut moved = base.clone();
    moved.set_path(url.path());
    moved.set_query(url.query());
    moved
}
