//! The issuer's signing key: ES256, made at the first start and kept.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::OpenError;
use crate::{
    jose::{Jws, KeySet, SigningKey, algorithm_named},
    secret::Secret,
    store::PrivateDir,
};

const KEY_FILE: &str = "signing-key.pem";

/// The private key, and the set that is published.
pub(super) struct Keys {
    signing: SigningKey,
    document: Vec<u8>,
    set: KeySet,
}

impl Keys {
    /// Reads the key, or makes it.
    pub(super) fn open(dir: &PrivateDir) -> Result<Self, OpenError> {
        let signing = if let Some(pem) = dir.read(KEY_FILE)? {
            SigningKey::from_pem(&String::from_utf8_lossy(&pem))
                .map_err(|source| OpenError::BadKey { path: dir.path().join(KEY_FILE), source })?
        } else {
            let signing = SigningKey::generate();
            dir.write(KEY_FILE, signing.to_pem().expose().as_bytes())?;
            signing
        };
        let document = json!({ "keys": [signing.public_jwk()] }).to_string().into_bytes();
        let set = KeySet::parse(&document).expect("made from our own key");
        Ok(Self { signing, document, set })
    }

    /// The published key set: public members only.
    pub(super) fn document(&self) -> &[u8] {
        &self.document
    }

    /// Signs claims as a token of this kind.
    pub(super) fn sign(&self, typ: &str, claims: &impl Serialize) -> Secret {
        self.signing.sign(typ, claims)
    }

    /// The claims, if this key signed them as a token of this kind.
    pub(super) fn read<T: DeserializeOwned>(&self, typ: &str, token: &str) -> Option<T> {
        let jws = Jws::parse(token).ok().filter(|jws| jws.typ() == Some(typ))?;
        jws.check_signature(&self.set, &[algorithm_named("ES256")?]).ok()?;
        jws.claims().ok()
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use serde_json::Value;

    use super::*;
    use crate::issuer::testing::Fixture;

    #[tokio::test]
    async fn the_key_set_has_public_members_and_unique_names_only() {
        let issuer = Fixture::new();
        let answer = issuer.send(Method::GET, "/jwks", &[], "").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let keys = answer.json["keys"].as_array().unwrap();
        let mut names: Vec<_> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
        names.dedup();
        assert_eq!(names.len(), keys.len());
        for key in keys {
            let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members, ["kty", "crv", "x", "y", "kid", "alg", "use"]);
        }
        assert_eq!(serde_json::from_slice::<Value>(&issuer.embedded.key_set()).unwrap(), answer.json);
    }

    #[test]
    fn the_key_is_kept_and_a_damaged_one_stops_the_start() {
        let root = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(&root.path().join("issuer")).unwrap();
        let first = Keys::open(&dir).unwrap();
        assert_eq!(Keys::open(&dir).unwrap().document(), first.document());
        dir.write(KEY_FILE, b"torn").unwrap();
        assert!(matches!(Keys::open(&dir), Err(OpenError::BadKey { .. })));
    }

    #[test]
    fn only_this_key_and_this_kind_are_read() {
        let open = || {
            let root = tempfile::tempdir().unwrap();
            Keys::open(&PrivateDir::open(&root.path().join("issuer")).unwrap()).unwrap()
        };
        let (ours, other) = (open(), open());
        let read = |token: &Secret| ours.read::<Value>("at+jwt", token.expose());
        assert_eq!(read(&ours.sign("at+jwt", &json!({"a": 1}))), Some(json!({"a": 1})));
        assert_eq!(read(&ours.sign("JWT", &json!({"a": 1}))), None);
        assert_eq!(read(&other.sign("at+jwt", &json!({"a": 1}))), None);
        assert_eq!(read(&Secret::new("garbage")), None);
    }
}
