//! The one judge of bearer tokens.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    Jwks, Principal,
    cache::{TokenCache, TokenHash},
};
use crate::{
    clock::SharedClock,
    jose::{Expect, KeySet, Refused, Unverified},
};

/// Asks whether a token with this `jti` was revoked. Called on every request: no disk, no waiting.
pub type IsRevoked = Arc<dyn Fn(&Principal) -> bool + Send + Sync>;

/// Where the issuer's keys come from.
#[derive(Debug)]
pub enum Keys {
    /// The embedded issuer of this very process.
    Fixed(KeySet),
    /// An issuer somewhere, found by discovery.
    Remote(Arc<Jwks>),
}

/// What a caller must bring.
pub struct Rules {
    /// Issuer, audiences, algorithms, leeway.
    pub expect: Expect,
    /// If set, only tokens of these clients pass.
    pub allowed_clients: Option<BTreeSet<String>>,
    /// Revocations of the embedded issuer.
    pub is_revoked: Option<IsRevoked>,
}

/// Judges tokens and remembers good ones.
pub struct Authenticator {
    rules: Rules,
    keys: Keys,
    cache: TokenCache,
    clock: SharedClock,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authenticator").field("issuer", &self.rules.expect.issuer).finish_non_exhaustive()
    }
}

/// Why a token does not open the door.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The token itself is not good: 401.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It was good once: 401.
    #[error("token was revoked")]
    Revoked,
    /// Good, but of a client that is not on the list: 403.
    #[error("client `{0}` is not among `issuer.allowed_clients`")]
    ClientNotAllowed(String),
    /// Nobody can tell now: 503, never 401, which would make a client throw its token away.
    #[error("the issuer's keys are not available")]
    KeysUnavailable,
}

impl Authenticator {
    /// A judge by these rules.
    pub fn new(rules: Rules, keys: Keys, clock: SharedClock) -> Self {
        Self { rules, keys, cache: TokenCache::default(), clock }
    }

    /// Whether tokens can be judged at this moment.
    pub fn is_ready(&self) -> bool {
        match &self.keys {
            Keys::Fixed(_) => true,
            Keys::Remote(jwks) => jwks.current().is_some(),
        }
    }

    /// Whom the token speaks for.
    ///
    /// A good token is verified once; after that only its expiry, its revocation and the age of the keys are looked at.
    ///
    /// # Errors
    /// See [`Denied`]. An unknown `kid` may cost one fetch of the key set, at most one in a cool-down (`jwks`).
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Principal>, Denied> {
        let hash = TokenHash::of(token);
        let (keys, generation) = match &self.keys {
            Keys::Fixed(keys) => (Known::Fixed(keys), 0),
            Keys::Remote(jwks) => {
                let snapshot = jwks.current_or_first().await.ok_or(Denied::KeysUnavailable)?;
                let generation = snapshot.generation;
                (Known::Shared(snapshot), generation)
            }
        };
        if let Some(principal) = self.cache.get(hash, generation) {
            return self.still_good(hash, principal);
        }
        let (claims, generation) = self.verify(token, &keys, generation).await?;
        let principal = Arc::new(Principal {
            issuer: self.rules.expect.issuer.clone(),
            subject: claims.subject,
            client_id: claims.client_id,
            username: claims.username,
            scopes: claims.scopes,
            expires_at: claims.expires_at,
            token_id: claims.token_id,
        });
        self.check_client(&principal)?;
        let principal = self.still_good(hash, principal)?;
        self.cache.insert(hash, Arc::clone(&principal), generation);
        Ok(principal)
    }

    async fn verify(
        &self,
        token: &str,
        keys: &Known<'_>,
        generation: u64,
    ) -> Result<(crate::jose::Claims, u64), Denied> {
        let expect = &self.rules.expect;
        let unverified = Unverified::parse(token)?;
        // Before any key is looked for: a token of another issuer must not make us fetch.
        unverified.check_issuer(expect)?;
        if let (Keys::Remote(jwks), Some(kid)) = (&self.keys, unverified.kid())
            && !keys.set().has_kid(kid)
        {
            let snapshot = jwks.refetched_for_unknown_kid().await.ok_or(Denied::KeysUnavailable)?;
            let claims = unverified.verify(&snapshot.keys, expect, self.clock.since_epoch())?;
            return Ok((claims, snapshot.generation));
        }
        Ok((unverified.verify(keys.set(), expect, self.clock.since_epoch())?, generation))
    }

    fn still_good(&self, hash: TokenHash, principal: Arc<Principal>) -> Result<Arc<Principal>, Denied> {
        let now = self.clock.since_epoch();
        if now >= principal.expires_at.saturating_add(self.rules.expect.leeway) {
            self.cache.remove(hash);
            return Err(Refused::Expired(now.saturating_sub(principal.expires_at).as_secs()).into());
        }
        if self.rules.is_revoked.as_ref().is_some_and(|is_revoked| is_revoked(&principal)) {
            self.cache.remove(hash);
            return Err(Denied::Revoked);
        }
        Ok(principal)
    }

    fn check_client(&self, principal: &Principal) -> Result<(), Denied> {
        let Some(allowed) = &self.rules.allowed_clients else { return Ok(()) };
        match &principal.client_id {
            Some(client) if allowed.contains(client) => Ok(()),
            client => Err(Denied::ClientNotAllowed(client.clone().unwrap_or_default().escape_debug().to_string())),
        }
    }
}

enum Known<'a> {
    Fixed(&'a KeySet),
    Shared(Arc<super::jwks::Snapshot>),
}

impl Known<'_> {
    fn set(&self) -> &KeySet {
        match self {
            Self::Fixed(keys) => keys,
            Self::Shared(snapshot) => &snapshot.keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use serde_json::json;

    use super::*;
    use crate::{clock::TestClock, jose::SigningKey, oauth::Issuer};

    const NOW: u64 = 1_700_000_000;

    fn rules() -> Rules {
        Rules {
            expect: Expect {
                issuer: Issuer::parse("https://issuer.example").unwrap(),
                audiences: vec!["https://mcp.example/mcp".to_owned()],
                algorithms: crate::jose::ALGORITHMS.to_vec(),
                leeway: Duration::ZERO,
            },
            allowed_clients: None,
            is_revoked: None,
        }
    }

    fn judge(rules: Rules) -> (Authenticator, SigningKey, Arc<TestClock>) {
        let (key, clock) = (SigningKey::generate(), TestClock::at(NOW));
        let keys = KeySet::parse(json!({"keys": [key.public_jwk()]}).to_string().as_bytes()).unwrap();
        (Authenticator::new(rules, Keys::Fixed(keys), clock.clone()), key, clock)
    }

    fn token(key: &SigningKey, client: &str) -> String {
        let claims = json!({"iss": "https://issuer.example", "aud": "https://mcp.example/mcp", "sub": "alice",
            "exp": NOW + 60, "client_id": client, "jti": "token-1"});
        key.sign("at+jwt", &claims).expose().to_owned()
    }

    #[tokio::test]
    async fn a_remembered_token_still_expires() {
        let (judge, key, clock) = judge(rules());
        let token = token(&key, "cli");
        assert_eq!(judge.authenticate(&token).await.unwrap().subject, "alice");
        clock.advance(Duration::from_secs(59));
        assert!(judge.authenticate(&token).await.is_ok());
        clock.advance(Duration::from_secs(1));
        assert!(matches!(judge.authenticate(&token).await, Err(Denied::Refused(Refused::Expired(_)))));
    }

    #[tokio::test]
    async fn a_remembered_token_can_be_revoked() {
        let revoked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&revoked);
        let is_revoked: IsRevoked =
            Arc::new(move |principal| principal.token_id.as_deref() == Some("token-1") && asked.load(Ordering::SeqCst));
        let (judge, key, _clock) = judge(Rules { is_revoked: Some(is_revoked), ..rules() });
        let token = token(&key, "cli");
        assert!(judge.authenticate(&token).await.is_ok());
        revoked.store(true, Ordering::SeqCst);
        assert!(matches!(judge.authenticate(&token).await, Err(Denied::Revoked)));
    }

    #[tokio::test]
    async fn only_listed_clients_pass_when_there_is_a_list() {
        let allowed = Some(BTreeSet::from(["cli".to_owned()]));
        let (judge, key, _clock) = judge(Rules { allowed_clients: allowed, ..rules() });
        assert!(judge.authenticate(&token(&key, "cli")).await.is_ok());
        assert!(matches!(judge.authenticate(&token(&key, "other")).await, Err(Denied::ClientNotAllowed(_))));
    }
}
