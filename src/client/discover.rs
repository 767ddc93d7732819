//! From a server's URL, or its 401, to the issuer's metadata: RFC 9728, RFC 8414.

use url::Url;

use super::{Client, ClientError, Kind};
use crate::{
    hint::Hint,
    oauth::{Challenge, ResourceMetadata, ServerMetadata},
};

/// What was found, and where.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The resource's metadata and its address; `None` if the issuer was configured and the server publishes none.
    pub resource: Option<(ResourceMetadata, Url)>,
    /// The issuer's metadata; its `issuer` is the one that was asked for.
    pub issuer: ServerMetadata,
    /// Where that was.
    pub issuer_metadata_url: Url,
}

/// Why no issuer may be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// Not written yet.
    #[error("discovery is not built yet")]
    Unbuilt,
}

impl DiscoverError {
    pub(super) fn kind(&self) -> Kind {
        Kind::NotAuthenticated
    }
}

impl Hint for DiscoverError {}

impl Client {
    /// Finds the issuer and checks every step of the way.
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn discover(&self, _challenge: Option<&Challenge>) -> Result<Discovery, ClientError> {
        Err(DiscoverError::Unbuilt.into())
    }
}
