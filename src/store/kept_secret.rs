//! Secrets of this account, each in a file of its own, made at the first ask.

use super::{PrivateDir, StoreError};
use crate::secret::Secret;

const INITIAL_ACCESS_TOKEN_FILE: &str = "initial-access-token";
/// In the state directory: the password of the user `dev`.
pub const DEV_PASSWORD_FILE: &str = "dev-password";
/// What is shorter could be guessed: half a token, after a disk was full.
const MIN_TOKEN_BYTES: usize = 32;
/// A person may have chosen it.
const MIN_PASSWORD_BYTES: usize = 12;
/// Nothing here looks like anything else.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The token that lets a client of any grant register at the embedded issuer (RFC 7591 section 3). Never empty.
pub fn initial_access_token(state: &PrivateDir) -> Result<Secret, StoreError> {
    kept(state, INITIAL_ACCESS_TOKEN_FILE, MIN_TOKEN_BYTES, Secret::random)
}

/// The password of the user `dev`, of 80 bits, in groups that a person can type. Never empty.
pub fn dev_password(state: &PrivateDir) -> Result<Secret, StoreError> {
    kept(state, DEV_PASSWORD_FILE, MIN_PASSWORD_BYTES, || Secret::typable(LETTERS, 16))
}

fn kept(state: &PrivateDir, file: &str, min_bytes: usize, make: fn() -> Secret) -> Result<Secret, StoreError> {
    let mut kept = state.read(file)?;
    // Only when it is not there: a restart must not need a disk with space on it.
    if kept.is_none() {
        state.create(file, make().expose().as_bytes())?;
        kept = state.read(file)?;
    }
    let secret = Secret::new(String::from_utf8_lossy(&kept.unwrap_or_default()).trim());
    match secret.expose().len() {
        0 => {}
        length if length < min_bytes => {
            let path = state.path().join(file);
            return Err(StoreError::Damaged { path, problem: "it is too short to be a secret" });
        }
        _ => return Ok(secret),
    }
    // An emptied file must not become an empty password.
    let fresh = make();
    state.write(file, fresh.expose().as_bytes())?;
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
            error.to_string().ends_with("initial-access-token` is damaged: it is too short to be a secret"),
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

    #[test]
    fn the_password_of_dev_is_made_once_and_can_be_typed() {
        let root = tempfile::tempdir().unwrap();
        let state = PrivateDir::open(&root.path().join("state")).unwrap();
        let first = dev_password(&state).unwrap();
        assert_eq!(dev_password(&state).unwrap().expose(), first.expose());
        let groups: Vec<_> = first.expose().split('-').map(str::len).collect();
        assert_eq!(groups, [4, 4, 4, 4], "{}", first.expose());
        state.write(DEV_PASSWORD_FILE, b"chosen by me\n").unwrap();
        assert_eq!(dev_password(&state).unwrap().expose(), "chosen by me");
        state.write(DEV_PASSWORD_FILE, b"short").unwrap();
        assert!(dev_password(&state).is_err());
    }
}
