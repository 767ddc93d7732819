//! The one judge of access tokens.

use std::{
    collections::BTreeSet,
    fmt,
    future::pending,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::watch;
use tracing::info;

use super::{
    Introspection, Jwks, Principal,
    cache::{Holds, TokenCache, TokenHash},
    introspection::Unavailable,
};
use crate::{
    clock::SharedClock,
    jose::{Claims, Expect, KeySet, Refused, Told, Unverified, dpop::BadProof, verify::printable},
    net::Flights,
};

/// How long an issuer's word on a token is taken for true: a revoked token works no longer than that.
const TOLD_FOR: Duration = Duration::from_secs(30);

/// Asks whether the token of this caller was revoked. Called on every request: no disk, no waiting.
pub type IsRevoked = Arc<dyn Fn(&Principal) -> bool + Send + Sync>;

/// What the embedded issuer says of its tokens after it has issued them.
pub struct Revocations {
    /// Whether a token was revoked.
    pub is_revoked: IsRevoked,
    /// Changes whenever one may have been: then those who listen by it are looked at.
    pub news: watch::Receiver<()>,
}

/// What tokens are judged by.
#[derive(Debug)]
pub enum Keys {
    /// The keys of the embedded issuer of this very process.
    Fixed(KeySet),
    /// The keys of an issuer somewhere, found by discovery.
    Remote(Arc<Jwks>),
    /// The word of an issuer somewhere.
    Told(Arc<Introspection>),
}

/// What a caller must bring.
pub struct Rules {
    /// Issuer, audiences, algorithms, leeway.
    pub expect: Expect,
    /// If set, only tokens of these clients pass.
    pub allowed_clients: Option<BTreeSet<String>>,
    /// Those of the embedded issuer.
    pub revocations: Option<Revocations>,
}

/// Judges tokens and remembers good ones.
pub struct Authenticator {
    rules: Rules,
    keys: Keys,
    good: TokenCache<Arc<Principal>>,
    /// Tokens that the issuer was asked about in vain.
    told_bad: TokenCache<Refused>,
    questions: Flights<TokenHash, Result<Arc<Principal>, Denied>>,
    clock: SharedClock,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authenticator").field("issuer", &self.rules.expect.issuer).finish_non_exhaustive()
    }
}

/// Why a token does not open the door.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Denied {
    /// What came for a token has characters that none has: 401.
    #[error("malformed Authorization header")]
    Malformed,
    /// The token itself is not good: 401.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It was good once: 401.
    #[error("token was revoked")]
    Revoked,
    /// Good, but not by itself where a proof of possession is asked of every request: 401.
    #[error("token is bound to no key, and this server takes only those that are (`scopes.require_dpop`)")]
    ProofNeeded,
    /// The proof beside the token is not good for this request: 401.
    #[error(transparent)]
    BadProof(#[from] BadProof),
    /// It was good once: 401.
    #[error("DPoP proof was used before")]
    ProofReplayed,
    /// Good, but perhaps made long ago: 401, and with the nonce in the answer it can be made anew.
    #[error("DPoP proof has no nonce of this server, or an old one")]
    NonceNeeded,
    /// Good, but of a client that is not on the list: 403.
    #[error("client `{}` is not among `issuer.allowed_clients`", .0.client_id.as_deref().unwrap_or_default().escape_debug())]
    ClientNotAllowed(Arc<Principal>),
    /// Nobody can tell now: 503, never 401, which would make a client throw its token away.
    #[error("the issuer's keys are not available")]
    KeysUnavailable,
    /// The same, where the issuer is asked about every token.
    #[error("the issuer cannot be asked about tokens")]
    IntrospectionUnavailable,
    /// The same, where used proofs are remembered: Redis does not answer, or there are too many.
    #[error("used DPoP proofs cannot be remembered")]
    ProofsUnavailable,
}

impl Denied {
    /// Whether it is the fault of what the caller sent, and a better token or proof would help.
    pub fn is_of_credentials(&self) -> bool {
        !matches!(
            self,
            Self::ClientNotAllowed(_)
                | Self::KeysUnavailable
                | Self::IntrospectionUnavailable
                | Self::ProofsUnavailable
        )
    }
}

impl Authenticator {
    /// A judge by these rules.
    pub fn new(rules: Rules, keys: Keys, clock: SharedClock) -> Self {
        Self {
            rules,
            keys,
            good: TokenCache::default(),
            told_bad: TokenCache::default(),
            questions: Flights::default(),
            clock,
        }
    }

    /// What is missing to judge tokens at this moment, as `/health/ready` calls it.
    pub fn missing(&self) -> Option<&'static str> {
        match &self.keys {
            Keys::Fixed(_) => None,
            Keys::Remote(jwks) => jwks.current().is_none().then_some("issuer_keys"),
            Keys::Told(introspection) => (!introspection.is_ready()).then_some("issuer_introspection"),
        }
    }

    /// Whom the token speaks for. `shown` is the thumbprint of the key that whoever sends it has proved to hold; whether
    /// the proof is good for this request and token is not looked at here.
    ///
    /// A good token is judged once; after that only its expiry, its revocation and the age of the keys, or of the issuer's
    /// word, are looked at, and whose proof came with it.
    ///
    /// # Errors
    /// See [`Denied`]. An unknown `kid` may cost one fetch of the key set, at most one in a cool-down (`jwks`).
    pub async fn authenticate(&self, token: &[u8], shown: Option<&str>) -> Result<Arc<Principal>, Denied> {
        let principal = self.whoever_holds(token).await?;
        check_possession(&principal, shown)?;
        self.check_client(&principal)?;
        Ok(principal)
    }

    /// The text, if it could be a token. What is remembered has passed it.
    ///
    /// RFC 6750 section 2.1: `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
    ///
    /// # Errors
    /// [`Denied::Malformed`].
    pub fn checked(token: &[u8]) -> Result<&str, Denied> {
        let token = std::str::from_utf8(token).map_err(|_| Denied::Malformed)?;
        let body = token.trim_end_matches('=');
        let is_allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        if body.is_empty() || !body.bytes().all(is_allowed) { Err(Denied::Malformed) } else { Ok(token) }
    }

    async fn whoever_holds(&self, token: &[u8]) -> Result<Arc<Principal>, Denied> {
        let hash = TokenHash::of(token);
        let (keys, generation) = match &self.keys {
            Keys::Fixed(keys) => (Known::Fixed(keys), 0),
            Keys::Remote(jwks) => {
                let Some(snapshot) = jwks.current_or_first().await else {
                    Self::checked(token)?;
                    return Err(Denied::KeysUnavailable);
                };
                let generation = snapshot.generation;
                (Known::Shared(snapshot), generation)
            }
            // Boxed, like the other way that is seldom gone: what they keep would otherwise be part of every request, and be
            // copied with it.
            Keys::Told(introspection) => return Box::pin(self.authenticate_by_word(introspection, token, hash)).await,
        };
        if let Some(principal) = self.good.get(hash, |holds| holds == Holds::WithKeys(generation)) {
            return self.still_good(hash, principal);
        }
        let token = Self::checked(token)?;
        let (claims, generation) = Box::pin(self.verify(token, &keys, generation)).await?;
        let principal = self.principal(claims);
        self.good.insert(hash, Arc::clone(&principal), Holds::WithKeys(generation));
        self.still_good(hash, principal)
    }

    async fn verify(&self, token: &str, keys: &Known<'_>, generation: u64) -> Result<(Claims, u64), Denied> {
        let expect = &self.rules.expect;
        let unverified = Unverified::parse(token)?;
        // Before any key is looked for: a token of another issuer, or one that no key could make good, must not make us
        // fetch.
        unverified.check_claimed_origin(expect)?;
        if let (Keys::Remote(jwks), Some(kid)) = (&self.keys, unverified.kid())
            && !keys.set().has_kid(kid)
        {
            let snapshot = jwks.refetched_for_unknown_kid().await.ok_or(Denied::KeysUnavailable)?;
            let claims = unverified.verify(&snapshot.keys, expect, self.clock.since_epoch())?;
            return Ok((claims, snapshot.generation));
        }
        Ok((unverified.verify(keys.set(), expect, self.clock.since_epoch())?, generation))
    }

    async fn authenticate_by_word(
        &self,
        introspection: &Introspection,
        token: &[u8],
        hash: TokenHash,
    ) -> Result<Arc<Principal>, Denied> {
        let now = self.clock.monotonic();
        let still_holds = |holds| matches!(holds, Holds::Until(end) if now < end);
        if let Some(principal) = self.good.get(hash, still_holds) {
            return self.still_good(hash, principal);
        }
        if let Some(refused) = self.told_bad.get(hash, still_holds) {
            return Err(refused.into());
        }
        let token = Self::checked(token)?;
        self.questions.join(hash, self.ask(introspection, token, hash)).await
    }

    async fn ask(&self, introspection: &Introspection, token: &str, hash: TokenHash) -> Result<Arc<Principal>, Denied> {
        let asked_at = self.clock.monotonic();
        let told = introspection.ask(token).await.map_err(|Unavailable| Denied::IntrospectionUnavailable)?;
        if let Told::Inactive = told {
            hint_at_foreign_audience(introspection.client_id(), token);
        }
        let now = self.clock.since_epoch();
        let claims = told.judge(&self.rules.expect, now).inspect_err(|refused| {
            self.told_bad.insert(hash, refused.clone(), Holds::Until(asked_at + TOLD_FOR));
        })?;
        let good_for = claims.expires_at.map_or(TOLD_FOR, |end| end.saturating_sub(now).min(TOLD_FOR));
        let principal = self.principal(claims);
        self.good.insert(hash, Arc::clone(&principal), Holds::Until(asked_at + good_for));
        self.still_good(hash, principal)
    }

    fn principal(&self, claims: Claims) -> Arc<Principal> {
        Arc::new(Principal {
            issuer: self.rules.expect.issuer.clone(),
            subject: claims.subject,
            client_id: claims.client_id,
            username: claims.username,
            scopes: claims.scopes,
            expires_at: claims.expires_at,
            token_id: claims.token_id,
            bound_to: claims.bound_to,
            buckets: OnceLock::new(),
        })
    }

    /// What may end while a verdict is remembered.
    fn still_good(&self, hash: TokenHash, principal: Arc<Principal>) -> Result<Arc<Principal>, Denied> {
        let now = self.clock.since_epoch();
        if let Some(end) = principal.expires_at.filter(|end| now >= end.saturating_add(self.rules.expect.leeway)) {
            self.good.remove(hash);
            return Err(Refused::Expired(now.saturating_sub(end).as_secs()).into());
        }
        if self.is_revoked(&principal) {
            self.good.remove(hash);
            return Err(Denied::Revoked);
        }
        Ok(principal)
    }

    fn is_revoked(&self, principal: &Principal) -> bool {
        self.rules.revocations.as_ref().is_some_and(|revocations| (revocations.is_revoked)(principal))
    }

    /// Waits until a token that was good is so no more: it has expired, or was revoked by the embedded issuer. Another
    /// issuer's word is not asked for again.
    pub async fn ended(&self, principal: &Principal) {
        let expired = async {
            let Some(end) = principal.expires_at else { return pending().await };
            let end = end.saturating_add(self.rules.expect.leeway);
            // The clock of the wall may be set back meanwhile.
            while let Some(left) = end.checked_sub(self.clock.since_epoch()).filter(|left| !left.is_zero()) {
                tokio::time::sleep(left).await;
            }
        };
        let revoked = async {
            let Some(revocations) = &self.rules.revocations else { return pending().await };
            let mut news = revocations.news.clone();
            while !(revocations.is_revoked)(principal) {
                if news.changed().await.is_err() {
                    return pending().await;
                }
            }
        };
        tokio::select! {
            () = expired => {}
            () = revoked => {}
        }
    }

    fn check_client(&self, principal: &Arc<Principal>) -> Result<(), Denied> {
        let Some(allowed) = &self.rules.allowed_clients else { return Ok(()) };
        match &principal.client_id {
            Some(client) if allowed.contains(client) => Ok(()),
            _ => Err(Denied::ClientNotAllowed(Arc::clone(principal))),
        }
    }
}

/// A bound token goes with a proof by its key, and another one with none: neither is taken for the other (RFC 9449 sections
/// 7.1 and 7.2).
fn check_possession(principal: &Principal, shown: Option<&str>) -> Result<(), Refused> {
    match (&principal.bound_to, shown) {
        (None, None) => Ok(()),
        (Some(bound_to), Some(shown)) if bound_to == shown => Ok(()),
        (Some(bound_to), Some(shown)) => {
            Err(Refused::OtherKey { bound_to: printable(bound_to), shown: shown.to_owned() })
        }
        (Some(_), None) => Err(Refused::SenderConstrained),
        (None, Some(_)) => Err(Refused::NotBound),
    }
}

/// Keycloak calls every token inactive that is not for the client that asks; what the token says of itself shows it.
fn hint_at_foreign_audience(client_id: &str, token: &str) {
    if Unverified::parse(token).is_ok_and(|token| !token.is_for(client_id)) {
        let hint = format!("map `{client_id}` into `aud` of the issuer's access tokens (Keycloak: an audience mapper)");
        info!(client_id, hint, "an inactive token has not the asking client in its `aud`, which some issuers demand");
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
            revocations: None,
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
    async fn a_token_has_the_characters_of_one() {
        let (judge, key, _) = judge(rules());
        let good = token(&key, "cli");
        assert!(judge.authenticate(good.as_bytes(), None).await.is_ok());
        for odd in [
            "",
            "x y",
            "x,y",
            "x, Bearer y",
            "x\ty",
            "=",
            "<script>",
            "x=y",
            "\u{e9}",
            &format!(" {good}"),
            &format!("{good} "),
        ] {
            assert!(matches!(judge.authenticate(odd.as_bytes(), None).await, Err(Denied::Malformed)), "{odd}");
        }
        let of_these = "a.b-c_d~e+f/g==";
        assert!(matches!(
            judge.authenticate(of_these.as_bytes(), None).await,
            Err(Denied::Refused(Refused::Malformed(_)))
        ));
    }

    #[tokio::test]
    async fn a_remembered_token_still_expires() {
        let (judge, key, clock) = judge(rules());
        let token = token(&key, "cli");
        assert_eq!(judge.authenticate(token.as_bytes(), None).await.unwrap().subject, "alice");
        clock.advance(Duration::from_secs(59));
        assert!(judge.authenticate(token.as_bytes(), None).await.is_ok());
        clock.advance(Duration::from_secs(1));
        assert!(matches!(judge.authenticate(token.as_bytes(), None).await, Err(Denied::Refused(Refused::Expired(_)))));
    }

    #[tokio::test]
    async fn a_remembered_token_can_be_revoked() {
        let revoked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&revoked);
        let is_revoked: IsRevoked =
            Arc::new(move |principal| principal.token_id.as_deref() == Some("token-1") && asked.load(Ordering::SeqCst));
        let (_say, news) = watch::channel(());
        let (judge, key, _clock) = judge(Rules { revocations: Some(Revocations { is_revoked, news }), ..rules() });
        let token = token(&key, "cli");
        assert!(judge.authenticate(token.as_bytes(), None).await.is_ok());
        revoked.store(true, Ordering::SeqCst);
        assert!(matches!(judge.authenticate(token.as_bytes(), None).await, Err(Denied::Revoked)));
    }

    #[tokio::test(start_paused = true)]
    async fn s10_s11_who_waits_for_the_end_of_a_token_hears_of_expiry_and_revocation() {
        let revoked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&revoked);
        let is_revoked: IsRevoked = Arc::new(move |_| asked.load(Ordering::SeqCst));
        let (say, news) = watch::channel(());
        let (judge, key, clock) = judge(Rules { revocations: Some(Revocations { is_revoked, news }), ..rules() });
        let principal = judge.authenticate(token(&key, "cli").as_bytes(), None).await.unwrap();
        let mut ended = Box::pin(judge.ended(&principal));
        say.send_replace(());
        assert!(futures_util::poll!(&mut ended).is_pending(), "somebody else's");
        revoked.store(true, Ordering::SeqCst);
        say.send_replace(());
        ended.await;
        revoked.store(false, Ordering::SeqCst);
        let ended = judge.ended(&principal);
        clock.advance(Duration::from_mins(5));
        ended.await;
    }

    #[tokio::test]
    async fn only_listed_clients_pass_when_there_is_a_list() {
        let allowed = Some(BTreeSet::from(["cli".to_owned()]));
        let (judge, key, _clock) = judge(Rules { allowed_clients: allowed, ..rules() });
        assert!(judge.authenticate(token(&key, "cli").as_bytes(), None).await.is_ok());
        assert!(matches!(
            judge.authenticate(token(&key, "other").as_bytes(), None).await,
            Err(Denied::ClientNotAllowed(_))
        ));
    }

    #[tokio::test]
    async fn j30_a_remembered_bound_token_needs_its_key_each_time() {
        let (judge, key, _clock) = judge(rules());
        let claims = |cnf| {
            let mut claims = json!({"iss": "https://issuer.example", "aud": "https://mcp.example/mcp", "sub": "alice",
                "exp": NOW + 60, "client_id": "cli"});
            if let Some(cnf) = cnf {
                claims["cnf"] = cnf;
            }
            key.sign("at+jwt", &claims).expose().to_owned()
        };
        let (bound, plain) = (claims(Some(json!({"jkt": "its-key"}))), claims(None));
        for round in 0..2 {
            let refused = async |token, shown| match judge.authenticate(str::as_bytes(token), shown).await {
                Ok(_) => None,
                Err(Denied::Refused(refused)) => Some(refused),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(refused(&bound, Some("its-key")).await, None, "{round}");
            assert_eq!(refused(&bound, None).await, Some(Refused::SenderConstrained), "{round}");
            let other = Refused::OtherKey { bound_to: "its-key".to_owned(), shown: "another".to_owned() };
            assert_eq!(refused(&bound, Some("another")).await, Some(other), "{round}");
            assert_eq!(refused(&plain, None).await, None, "{round}");
            assert_eq!(refused(&plain, Some("its-key")).await, Some(Refused::NotBound), "{round}");
        }
    }
}
