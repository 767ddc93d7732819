//! The client that the embedded issuer provisions for the command line of the same account.
//!
//! The issuer writes it, the command line reads it; both rooms know only this file. The private key is all there is: no
//! reusable secret crosses the wire (RFC 7523).

use serde::{Deserialize, Serialize};

use super::{PrivateDir, StoreError};
use crate::{oauth::Issuer, secret::Secret};

const CLIENT_FILE: &str = "local-client.json";

/// A `private_key_jwt` client and the one issuer it may be used with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocalClient {
    /// The only issuer that this key may be shown to.
    pub issuer: Issuer,
    /// The client's name there.
    pub client_id: String,
    /// PKCS#8 PEM, P-256.
    pub private_key: Secret,
}

impl LocalClient {
    /// Reads the record from the state directory; `None` if no embedded issuer ever ran there, or the record is of another
    /// version.
    pub fn load(state: &PrivateDir) -> Result<Option<Self>, StoreError> {
        Ok(state.read(CLIENT_FILE)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Says why there is none, if there is a file that should hold one.
    pub fn require_whole(state: &PrivateDir) -> Result<(), StoreError> {
        match state.read(CLIENT_FILE)? {
            Some(bytes) if serde_json::from_slice::<Self>(&bytes).is_err() => {
                let path = state.path().join(CLIENT_FILE);
                Err(StoreError::Damaged {
                    path,
                    problem: "it holds no client; the server makes it anew when it starts",
                })
            }
            _ => Ok(()),
        }
    }

    /// Writes the record.
    pub fn save(&self, state: &PrivateDir) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(self).expect("strings only");
        state.write(CLIENT_FILE, &text)
    }
}
