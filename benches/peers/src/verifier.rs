//! Whether a token is good: its signature, issuer, audience and time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde::Deserialize;

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<[u8; 32], Arc<Claims>>>;

/// Shared by all requests.
pub(crate) struct Verifier {
    key: DecodingKey,
    validation: Validation,
    /// `None`: each token is verified each time.
    verified: Option<[Shard; SHARDS]>,
}

/// What a good token says.
#[derive(Clone, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) client_id: String,
    exp: u64,
}

impl Verifier {
    pub(crate) fn new(keys: &str, issuer: &str, audience: &str, caches: bool) -> Arc<Self> {
        let keys: JwkSet = serde_json::from_slice(&std::fs::read(keys).expect("the file is there")).expect("a JWK set");
        let key = DecodingKey::from_jwk(&keys.keys[0]).expect("an RSA key");
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        let verified = caches.then(|| std::array::from_fn(|_| Shard::default()));
        Arc::new(Self { key, validation, verified })
    }

    /// Whom the bearer token speaks for, if there is a good one.
    pub(crate) fn claims(&self, headers: &HeaderMap) -> Option<Arc<Claims>> {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let Some(verified) = &self.verified else { return self.verify(token) };
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let shard = &verified[usize::from(hash[0]) % SHARDS];
        let known = shard.lock().expect("nobody panics with it").get(&hash).cloned();
        let claims = match known {
            Some(claims) => claims,
            None => {
                let claims = self.verify(token)?;
                shard.lock().expect("nobody panics with it").insert(hash, Arc::clone(&claims));
                claims
            }
        };
        (now() < Duration::from_secs(claims.exp)).then_some(claims)
    }

    fn verify(&self, token: &str) -> Option<Arc<Claims>> {
        Some(Arc::new(jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).ok()?.claims))
    }
}

pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
