//! The client that the embedded issuer provisions for the command line of the same account.
//!
//! The issuer writes it, the command line reads it; both rooms know only this file. The private key is all there is: no
//! reusable secret crosses the wire (RFC 7523).

use serde::{Deserialize, Serialize};

use super::{PrivateDir, StoreError};
use crate::{oauth::Issuer, secret::Secret};

const CLIENT_FILE: &str = "local-client.json";
const INITIAL_ACCESS_TOKEN_FILE: &str = "initial-access-token";

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

/// What is shorter could be guessed: half a token, after a disk was full.
const MIN_TOKEN_BYTES: usize = 32;

/// The token that lets a client register at the embedded issuer (RFC 7591 section 3), made at the first ask. Never empty.
pub fn initial_access_token(state: &PrivateDir) -> Result<Secret, StoreError> {
    let mut kept = state.read(INITIAL_ACCESS_TOKEN_FILE)?;
    // Only when it is not there: a restart must not need a disk with space on it.
    if kept.is_none() {
        state.create(INITIAL_ACCESS_TOKEN_FILE, Secret::random().expose().as_bytes())?;
        kept = state.read(INITIAL_ACCESS_TOKEN_FILE)?;
    }
    let token = Secret::new(String::from_utf8_lossy(&kept.unwrap_or_default()).trim());
    match token.expose().len() {
        0 => {}
        1..MIN_TOKEN_BYTES => {
            let path = state.path().join(INITIAL_ACCESS_TOKEN_FILE);
            return Err(StoreError::Damaged { path, problem: "it is too short to be a token" });
        }
        _ => return Ok(token),
    }
    // An emptied file must not become an empty password.
    let fresh = Secret::random();
    state.write(INITIAL_ACCESS_TOKEN_FILE, fresh.expose().as_bytes())?;
    Ok(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::Hint as _;

    #[test]
    fn the_initial_access_token_is_made_once() {
        let root = tempfile::tempdir().unwrap();
        let state = PrivateDir::open(&root.path().join("state")).unwrap();
        let first = initial_access_token(&state).unwrap();
        assert_eq!(first.expose().len(), 43);
        assert_eq!(initial_access_token(&state).unwrap().expose(), first.expose());
    }

    #[test]
    fn half_an_initial_access_token_is_no_password() {
        let root = tempfile::tempdir().unwrap();
        let state = PrivateDir::open(&root.path().join("state")).unwrap();
        for (length, is_good) in [(1, false), (3, false), (31, false), (32, true), (43, true)] {
            state.write(INITIAL_ACCESS_TOKEN_FILE, "x".repeat(length).as_bytes()).unwrap();
            assert_eq!(initial_access_token(&state).is_ok(), is_good, "{length}");
        }
        state.write(INITIAL_ACCESS_TOKEN_FILE, b"abc").unwrap();
        let error = initial_access_token(&state).unwrap_err();
        assert!(
            error.to_string().ends_with("initial-access-token` is damaged: it is too short to be a token"),
            "{error}"
        );
        assert!(error.hint().unwrap().ends_with("or remove it: a new one is made"));
    }

    #[test]
    fn an_emptied_initial_access_token_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let state = PrivateDir::open(&root.path().join("state")).unwrap();
        state.write(INITIAL_ACCESS_TOKEN_FILE, b" \n").unwrap();
        let fresh = initial_access_token(&state).unwrap();
        assert_eq!(fresh.expose().len(), 43);
        assert_eq!(initial_access_token(&state).unwrap().expose(), fresh.expose());
    }
}
