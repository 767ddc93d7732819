//! Client assertions: RFC 7523 section 3, with the audience rule of its revision (draft-ietf-oauth-rfc7523bis).

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{Embedded, RouteError, client::Client};
use crate::{
    jose::{ALGORITHMS, Jws},
    oauth::{Issuer, client_auth::AssertionClaims},
    secret::{Secret, sha256_base64url},
    store::{Expiring, NotUsable},
};

/// How far ahead `exp` may be, and so how long a used assertion is remembered.
const MAX_LIFETIME: Duration = Duration::from_mins(5);
/// How far ahead a client's clock may be.
const LEEWAY: Duration = Duration::from_secs(30);
/// How many used assertions are remembered. When there are as many, new ones are refused rather than old ones forgotten.
/// As many again of strangers, who register as many clients as they like.
const MAX_REMEMBERED: usize = 50_000;
/// How many of them may be one client's: nobody fills the memory for the others.
const MAX_OF_EACH: usize = 1000;

/// Assertions that were used, each remembered until it expires.
#[derive(Default)]
pub(super) struct UsedAssertions {
    all: Expiring,
    /// How many there are of each client.
    of_each: HashMap<String, usize>,
}

impl UsedAssertions {
    /// Each assertion is good once.
    fn use_up(&mut self, claims: &AssertionClaims, now: u64) -> Result<(), RouteError> {
        for forgotten in self.all.prune(now) {
            self.count_off(&forgotten);
        }
        let name = format!("{} {}", claims.iss, sha256_base64url(claims.jti.as_bytes()));
        let of_client = self.of_each.get(&claims.iss).copied().unwrap_or_default();
        if of_client >= MAX_OF_EACH && !self.all.contains(&name) {
            return Err(RouteError::Full("too many assertions of this client are in use; try again in some minutes"));
        }
        self.all.use_up(&name, claims.exp, now, MAX_REMEMBERED).map_err(|not| match not {
            NotUsable::Used => {
                RouteError::invalid_client("the assertion was used before; make a new one with a new jti")
            }
            NotUsable::Full => RouteError::Full("too many assertions are in use; try again in some minutes"),
        })?;
        self.of_each.insert(claims.iss.clone(), of_client + 1);
        Ok(())
    }

    fn count_off(&mut self, name: &str) {
        let client_id = name.split(' ').next().unwrap_or_default();
        match self.of_each.get_mut(client_id) {
            Some(of_client) if *of_client > 1 => *of_client -= 1,
            _ => drop(self.of_each.remove(client_id)),
        }
    }
}

/// The client that an assertion speaks for, if it and the form agree. Nothing of it is verified yet.
pub(super) fn claimed_client(jwt: &str, form_client_id: Option<&str>) -> Result<String, RouteError> {
    let claims = parse(jwt)?.1;
    if claims.iss != claims.sub || form_client_id.is_some_and(|client_id| client_id != claims.iss) {
        return Err(RouteError::invalid_client("iss and sub of the assertion must both be the client_id"));
    }
    Ok(claims.iss)
}

fn parse(jwt: &str) -> Result<(Jws<'_>, AssertionClaims), RouteError> {
    let jws = Jws::parse(jwt);
    let parsed = jws.and_then(|jws| jws.claims().map(|claims| (jws, claims)));
    parsed.map_err(|_| {
        RouteError::invalid_client(
            "client_assertion is not a signed JWT with the claims iss, sub, aud, exp, iat (whole seconds) and jti",
        )
    })
}

impl Embedded {
    /// The client, if the assertion is signed with its key, meant for this issuer, fresh, and not used before.
    pub(super) fn check_assertion(&self, client_id: &str, assertion: &Secret) -> Result<Arc<Client>, RouteError> {
        let (jws, claims) = parse(assertion.expose())?;
        let client = self.clients.get(client_id);
        let keys = client.as_ref().map(|client| client.proof.keys()).unwrap_or_default();
        let signed = jws.check_signature(&keys, &ALGORITHMS).is_ok();
        let client = client.filter(|_| signed).ok_or_else(|| {
            RouteError::invalid_client("unknown client, or the assertion is not signed with a key that it registered")
        })?;
        let now = self.settings.clock.since_epoch();
        check_claims(&claims, &self.settings.issuer, self.started, now).map_err(RouteError::invalid_client)?;
        let used = if client.is_strangers { &self.strangers_assertions } else { &self.used_assertions };
        used.lock().unwrap_or_else(PoisonError::into_inner).use_up(&claims, now.as_secs())?;
        Ok(client)
    }
}

/// The rules for what a verified assertion says; the error is what it breaks.
///
/// `iat` may not be before `started`: what an earlier process of this server accepted is refused by this one, so used
/// assertions need not be kept on the disk. JWT times have whole seconds, so `started` does too: an assertion of the very
/// second of the start is good.
fn check_claims(claims: &AssertionClaims, issuer: &Issuer, started: Duration, now: Duration) -> Result<(), String> {
    // The token endpoint's URL is refused: with it, another server that names this endpoint as its own could pass an
    // assertion on (audience injection).
    if !claims.aud.iter().eq([issuer.as_str()]) {
        return Err(format!("aud of the assertion must be exactly the issuer, {issuer}, and nothing else"));
    }
    let (exp, now_seconds) = (claims.exp, now.as_secs());
    if exp <= now_seconds {
        return Err("the assertion has expired; make a new one, and check the clock if it is new".to_owned());
    }
    if exp > (now + MAX_LIFETIME).as_secs() {
        return Err(format!("exp of the assertion is more than {} s ahead; make it 60 s", MAX_LIFETIME.as_secs()));
    }
    let Some(iat) = claims.iat else {
        return Err("the assertion has no iat; say when it was made".to_owned());
    };
    if iat > (now + LEEWAY).as_secs() {
        return Err("iat of the assertion is in the future; check the clock".to_owned());
    }
    if iat < started.as_secs() {
        return Err("the assertion was made before this server started; make a new one".to_owned());
    }
    if claims.jti.is_empty() {
        return Err("jti of the assertion is empty; make it random".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use http::{Method, StatusCode};
    use jsonwebtoken::{Algorithm, EncodingKey};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        issuer::testing::{Answer, FORM, Fixture, ISSUER, JSON, NOW},
        jose::SigningKey,
    };

    async fn is_good(issuer: &Fixture, change: impl FnOnce(&mut Value)) -> bool {
        let answer = issuer.with_assertion("/token", &issuer.assertion(change), &[]).await;
        if answer.status != StatusCode::OK {
            answer.is_refused(401, "invalid_client");
        }
        answer.status == StatusCode::OK
    }

    #[tokio::test]
    async fn the_audience_is_the_issuer_alone() {
        let issuer = Fixture::new();
        for good in [json!(ISSUER), json!([ISSUER])] {
            assert!(is_good(&issuer, |claims| claims["aud"] = good.clone()).await, "{good}");
        }
        for bad in [
            json!(format!("{ISSUER}/token")),
            json!([ISSUER, format!("{ISSUER}/token")]),
            json!([ISSUER, ISSUER]),
            json!(format!("{ISSUER}/")),
            json!("http://localhost:8000"),
            json!([]),
            json!(""),
            Value::Null,
        ] {
            assert!(!is_good(&issuer, |claims| claims["aud"] = bad.clone()).await, "{bad}");
        }
    }

    #[tokio::test]
    async fn it_is_fresh_and_short_lived() {
        let issuer = Fixture::new();
        for (name, value, expected) in [
            ("exp", json!(NOW + 300), true),
            ("exp", json!(NOW + 301), false),
            ("exp", json!(NOW + 1), true),
            ("exp", json!(NOW), false),
            ("exp", json!(u64::MAX), false),
            ("exp", json!("soon"), false),
            ("exp", Value::Null, false),
            ("iat", json!(NOW + 30), true),
            ("iat", json!(NOW + 31), false),
            ("iat", json!(NOW - 1), false),
            ("iat", Value::Null, false),
            ("jti", json!(""), false),
            ("jti", Value::Null, false),
        ] {
            assert_eq!(is_good(&issuer, |claims| claims[name] = value.clone()).await, expected, "{name} {value}");
        }
        for name in ["iss", "sub", "aud", "exp", "iat", "jti"] {
            let is_good = is_good(&issuer, |claims| drop(claims.as_object_mut().unwrap().remove(name))).await;
            assert!(!is_good, "without {name}");
        }
    }

    #[tokio::test]
    async fn issuer_subject_and_client_id_are_one() {
        let issuer = Fixture::new();
        let id = issuer.local_client().client_id;
        assert!(!is_good(&issuer, |claims| claims["sub"] = "other".into()).await);
        assert!(!is_good(&issuer, |claims| claims["iss"] = ISSUER.into()).await);
        let named = issuer.local("/token", &[("client_id", &id)]).await;
        assert_eq!(named.status, StatusCode::OK);
        issuer.local("/token", &[("client_id", "other")]).await.is_refused(401, "invalid_client");
    }

    #[tokio::test]
    async fn only_the_clients_own_key_signs_for_it() {
        let issuer = Fixture::new();
        let client = issuer.local_client();
        let other = issuer.registered("client_secret_basic").await.0;
        let own = SigningKey::from_pem(client.private_key.expose()).unwrap();
        let claims = issuer.assertion_claims(&client.client_id);
        let unsigned = |alg: &str| {
            let header = json!({"alg": alg, "kid": own.kid()}).to_string();
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()))
        };
        let hmac = |secret: &[u8]| {
            let input = unsigned("HS256");
            let key = EncodingKey::from_secret(secret);
            let signature = jsonwebtoken::crypto::sign(input.as_bytes(), &key, Algorithm::HS256).unwrap();
            format!("{input}.{signature}")
        };
        let good = own.sign("JWT", &claims).expose().to_owned();
        let (input, _) = good.rsplit_once('.').unwrap();
        let others = own.sign("JWT", &issuer.assertion_claims(&other)).expose().to_owned();
        let unknown = own.sign("JWT", &issuer.assertion_claims("client-unknown")).expose().to_owned();
        let attacks = [
            format!("{}.", unsigned("none")),
            format!("{}.", unsigned("None")),
            hmac(own.public_jwk().to_string().as_bytes()),
            hmac(b""),
            format!("{input}."),
            format!("{input}.AAAA"),
            SigningKey::generate().sign("JWT", &claims).expose().to_owned(),
            others,
            unknown,
            "x".to_owned(),
            "x".repeat(20_000),
        ];
        for attack in attacks {
            issuer.with_assertion("/token", &attack, &[]).await.is_refused(401, "invalid_client");
        }
        let answer = issuer.with_assertion("/token", &good, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "what was refused has not used up the good one");
    }

    #[tokio::test]
    async fn the_type_of_the_assertion_is_named() {
        let issuer = Fixture::new();
        let assertion = issuer.assertion(|_| ());
        for kind in ["", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "jwt-bearer"] {
            let parameters = [
                ("grant_type", "client_credentials"),
                ("client_assertion", assertion.as_str()),
                ("client_assertion_type", kind),
            ];
            issuer.form("/token", &parameters).await.is_refused(401, "invalid_client");
        }
    }

    #[tokio::test]
    async fn it_is_good_once_at_all_endpoints_together() {
        let issuer = Fixture::new();
        let token = issuer.local_token().await;
        let assertion = issuer.assertion(|claims| claims["exp"] = json!(NOW + 300));
        assert_eq!(issuer.with_assertion("/token", &assertion, &[]).await.status, StatusCode::OK);
        issuer.advance(299);
        for path in ["/token", "/introspect", "/revoke"] {
            let answer = issuer.with_assertion(path, &assertion, &[("token", &token)]).await;
            answer.is_refused(401, "invalid_client");
        }
        issuer.advance(1);
        issuer.with_assertion("/token", &assertion, &[]).await.is_refused(401, "invalid_client");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_uses_at_once_one_succeeds() {
        let issuer = Arc::new(Fixture::new());
        let assertion: Arc<str> = issuer.assertion(|_| ()).into();
        let uses: Vec<_> = (0..50)
            .map(|_| {
                let (issuer, assertion) = (Arc::clone(&issuer), Arc::clone(&assertion));
                tokio::spawn(async move { issuer.with_assertion("/token", &assertion, &[]).await.status })
            })
            .collect();
        let mut successes = 0;
        for one in uses {
            successes += usize::from(one.await.unwrap() == StatusCode::OK);
        }
        assert_eq!(successes, 1);
    }

    #[tokio::test]
    async fn what_an_earlier_process_accepted_is_refused() {
        let issuer = Fixture::new();
        let used = issuer.assertion(|_| ());
        assert_eq!(issuer.with_assertion("/token", &used, &[]).await.status, StatusCode::OK);
        issuer.advance(1);
        let issuer = issuer.restarted();
        issuer.with_assertion("/token", &used, &[]).await.is_refused(401, "invalid_client");
        issuer.local_token().await;
    }

    #[tokio::test]
    async fn a_full_memory_refuses_and_forgets_nothing() {
        let issuer = Fixture::new();
        let used = issuer.assertion(|_| ());
        assert_eq!(issuer.with_assertion("/token", &used, &[]).await.status, StatusCode::OK);
        {
            let names = &mut issuer.embedded.used_assertions.lock().unwrap().all;
            assert!((1..MAX_REMEMBERED).all(|index| names.insert(&index.to_string(), NOW + 60)));
        }
        issuer.local("/token", &[]).await.is_refused(503, "temporarily_unavailable");
        issuer.with_assertion("/token", &used, &[]).await.is_refused(401, "invalid_client");
        issuer.advance(60);
        issuer.local_token().await;
        assert_eq!(issuer.embedded.used_assertions.lock().unwrap().all.count(), 1);
    }

    /// Clients that sign with their own keys: one of a stranger, one that was registered with the initial access token.
    async fn signers(issuer: &Fixture) -> [(String, SigningKey); 2] {
        let (strangers, vouched) = (SigningKey::generate(), SigningKey::generate());
        let with = |key: &SigningKey| {
            json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public_jwk()]},
                "redirect_uris": ["https://app.example/callback"]})
        };
        let by_stranger = issuer.send(Method::POST, "/register", &[JSON], &with(&strangers).to_string()).await;
        let by_owner = issuer.register(&with(&vouched)).await;
        [(by_stranger, strangers), (by_owner, vouched)].map(|(answer, key)| {
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
            (answer.json["client_id"].as_str().unwrap().to_owned(), key)
        })
    }

    /// What a client hears that proves itself with an assertion, whatever else it may do.
    async fn introspected(issuer: &Fixture, (client_id, key): &(String, SigningKey)) -> Answer {
        let assertion = key.sign("JWT", &issuer.assertion_claims(client_id));
        issuer.with_assertion("/introspect", assertion.expose(), &[("token", "x")]).await
    }

    fn fill(used: &Mutex<UsedAssertions>, client_id: &str, count: usize) {
        let mut used = used.lock().unwrap();
        for index in 0..count {
            let claims =
                json!({"iss": client_id, "sub": client_id, "aud": ISSUER, "exp": NOW + 60, "jti": index.to_string()});
            used.use_up(&serde_json::from_value(claims).unwrap(), NOW).unwrap();
        }
    }

    #[tokio::test]
    async fn a18_a_client_that_has_used_up_its_share_leaves_the_others_theirs() {
        let issuer = Fixture::new();
        let [stranger, vouched] = signers(&issuer).await;
        let used = &issuer.embedded.used_assertions;
        fill(used, &vouched.0, MAX_OF_EACH - 1);
        let last = vouched.1.sign("JWT", &issuer.assertion_claims(&vouched.0)).expose().to_owned();
        let token = [("token", "x")];
        assert_eq!(issuer.with_assertion("/introspect", &last, &token).await.status, StatusCode::OK, "the twin");
        introspected(&issuer, &vouched).await.is_refused(503, "temporarily_unavailable");
        issuer.with_assertion("/introspect", &last, &token).await.is_refused(401, "invalid_client");
        issuer.local_token().await;
        assert_eq!(introspected(&issuer, &stranger).await.status, StatusCode::OK);
        issuer.advance(60);
        assert_eq!(introspected(&issuer, &vouched).await.status, StatusCode::OK, "they have expired");
        assert_eq!(used.lock().unwrap().of_each, HashMap::from([(vouched.0, 1)]));
    }

    #[tokio::test]
    async fn a18_strangers_however_many_clients_they_register_leave_the_others_theirs() {
        let issuer = Fixture::new();
        let [stranger, vouched] = signers(&issuer).await;
        for index in 0..MAX_REMEMBERED / MAX_OF_EACH {
            fill(&issuer.embedded.strangers_assertions, &format!("client-{index}"), MAX_OF_EACH);
        }
        introspected(&issuer, &stranger).await.is_refused(503, "temporarily_unavailable");
        assert_eq!(introspected(&issuer, &vouched).await.status, StatusCode::OK);
        issuer.local_token().await;
    }

    #[tokio::test]
    async fn members_that_are_there_twice_are_refused() {
        let issuer = Fixture::new();
        let client = issuer.local_client();
        let claims = issuer.assertion_claims(&client.client_id).to_string();
        let doubled = claims.replacen('{', &format!("{{\"iss\":\"{}\",", client.client_id), 1);
        let assertion =
            format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), URL_SAFE_NO_PAD.encode(doubled));
        let form = format!(
            "grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}",
            crate::oauth::client_auth::JWT_BEARER
        );
        let answer = issuer.send(Method::POST, "/token", &[FORM], &form).await;
        answer.is_refused(401, "invalid_client");
        assert!(answer.json["error_description"].as_str().unwrap().contains("not a signed JWT"));
    }
}
