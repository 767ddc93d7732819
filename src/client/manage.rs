//! Ending a token's life: RFC 7009, and our own files.

use super::{Client, ClientError, discover::DiscoverError};

impl Client {
    /// Revokes the kept token at its issuer and drops it here; `false` if there was none.
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn revoke(&self) -> Result<bool, ClientError> {
        Err(DiscoverError::Unbuilt.into())
    }

    /// Removes every kept token of this server from this machine; how many there were.
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn forget(&self) -> Result<usize, ClientError> {
        Err(DiscoverError::Unbuilt.into())
    }
}
