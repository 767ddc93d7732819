//! Which key whoever asks for a token has proved to hold, so that the token works with it only (RFC 9449 section 5).

use std::sync::PoisonError;

use axum::response::Response;
use http::{HeaderName, HeaderValue};

use super::{Embedded, RouteError, call::Call, metadata::endpoint};
use crate::{
    jose::dpop::{self, BadProof, MAX_AGE},
    store::NotUsable,
};

const PROOF: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// How many used proofs are remembered. When there are as many, new ones are refused rather than old ones forgotten.
const MAX_REMEMBERED: usize = 100_000;

impl Embedded {
    /// The thumbprint of the key whose holder sends this to `path`; `None` if the caller proves nothing.
    ///
    /// A proof is used up by this, whatever becomes of the request. Asked once the client is known, which keeps out
    /// nobody: any URL is a known public client, so strangers can fill the memory of used proofs at the rate that
    /// addresses are let in.
    pub(super) fn proved_key(&self, call: &Call, path: &str) -> Result<Option<String>, RouteError> {
        let proofs: Vec<_> = call.headers().get_all(PROOF).iter().map(HeaderValue::as_bytes).collect();
        if proofs.is_empty() {
            return Ok(None);
        }
        let now = self.settings.clock.since_epoch();
        let url = endpoint(&self.settings.issuer, path);
        let request = dpop::Request { method: "POST", url: &url, access_token: None };
        let bad = |reason: BadProof| RouteError::InvalidDpopProof(reason.to_string().into());
        let proof = dpop::verify_one(&proofs, request, now).map_err(bad)?;
        // What an earlier process took is refused by this one, as with assertions.
        if proof.issued_at.as_secs() < self.started.as_secs() {
            let words = "DPoP proof was made before this server started; make a new one";
            return Err(RouteError::InvalidDpopProof(words.into()));
        }
        if self.settings.dpop_nonce && !proof.nonce.is_some_and(|nonce| self.nonces.is_good(&nonce, now)) {
            return Err(RouteError::UseDpopNonce);
        }
        let until = (proof.issued_at + MAX_AGE).as_secs() + 1;
        let mut used = self.used_proofs.lock().unwrap_or_else(PoisonError::into_inner);
        used.use_up(&proof.id, until, now.as_secs(), MAX_REMEMBERED).map_err(|not| match not {
            NotUsable::Used => {
                RouteError::InvalidDpopProof("DPoP proof was used before; make a new one with a new jti".into())
            }
            NotUsable::Full => RouteError::Full("too many DPoP proofs are in use; try again in some minutes"),
        })?;
        Ok(Some(proof.thumbprint))
    }

    /// Tells whoever sends proofs what to put into the next one, if that is the policy (RFC 9449 section 8).
    pub(super) fn tell_nonce(&self, call: &Call, mut response: Response) -> Response {
        if self.settings.dpop_nonce && call.headers().contains_key(PROOF) {
            let nonce = self.nonces.current(self.settings.clock.since_epoch());
            let nonce = HeaderValue::try_from(nonce).expect("base64url is visible ASCII");
            response.headers_mut().insert(NONCE, nonce);
        }
        response
    }
}

/// Whether what was granted for one key is asked for with it. What was granted for none is anybody's who may ask.
pub(super) fn check_key(granted_for: Option<&str>, proved: Option<&str>) -> Result<(), RouteError> {
    match granted_for {
        Some(granted_for) if proved != Some(granted_for) => Err(RouteError::InvalidGrant(
            "this is bound to a key: send a DPoP proof by the key that it was asked for with",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};
    use serde_json::{Value, json};
    use url::form_urlencoded;

    use super::MAX_REMEMBERED;
    use crate::{
        clock::Clock as _,
        issuer::testing::{
            Answer, CALLBACK, FORM, Fixture, ISSUER, NOW, Person, VERIFIER, authorization, basic, claims_of,
        },
        jose::{SigningKey, dpop},
        oauth::device::DEVICE_CODE,
    };

    /// What a holder of a key sends.
    struct Holder<'a> {
        issuer: &'a Fixture,
        key: SigningKey,
    }

    impl<'a> Holder<'a> {
        fn new(issuer: &'a Fixture) -> Self {
            Self { issuer, key: SigningKey::generate() }
        }

        fn proof_for(&self, method: &str, url: &str, nonce: Option<&str>, now: Duration) -> String {
            let request = dpop::Request { method, url: &url.parse().unwrap(), access_token: None };
            dpop::prove(&self.key, request, nonce, now).expose().to_owned()
        }

        fn proof(&self) -> String {
            self.proof_for("POST", &format!("{ISSUER}/token"), None, self.issuer.clock.since_epoch())
        }

        /// A token request of a public client, with a fresh proof.
        async fn trade(&self, client: &str, fields: &[(&str, &str)]) -> Answer {
            self.trade_with(&[self.proof()], client, fields).await
        }

        async fn trade_with(&self, proofs: &[String], client: &str, fields: &[(&str, &str)]) -> Answer {
            send(self.issuer, proofs, &[&[("client_id", client)], fields].concat()).await
        }

        async fn trade_code(&self, client: &str, code: &str) -> Answer {
            self.trade(client, &code_fields(code)).await
        }

        async fn refresh(&self, client: &str, token: &str) -> Answer {
            self.trade(client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
        }

        #[track_caller]
        fn holds(&self, answer: &Answer) {
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
            assert_eq!(answer.json["token_type"], "DPoP");
            let claims = claims_of(answer.json["access_token"].as_str().unwrap());
            assert_eq!(claims["cnf"], json!({"jkt": self.key.kid()}));
        }
    }

    async fn send(issuer: &Fixture, proofs: &[String], fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers: Vec<_> = [FORM].into_iter().chain(proofs.iter().map(|proof| ("dpop", proof.as_str()))).collect();
        issuer.send(Method::POST, "/token", &headers, &body).await
    }

    fn code_fields(code: &str) -> [(&str, &str); 4] {
        [("grant_type", "authorization_code"), ("code", code), ("code_verifier", VERIFIER), ("redirect_uri", CALLBACK)]
    }

    #[track_caller]
    fn is_bearer(answer: &Answer) {
        assert_eq!((answer.status, &answer.json["token_type"]), (StatusCode::OK, &json!("Bearer")), "{}", answer.json);
        assert_eq!(claims_of(answer.json["access_token"].as_str().unwrap())["cnf"], Value::Null);
    }

    async fn code(issuer: &Fixture, client: &str, change: &[(&str, &str)]) -> String {
        Person::logged_in(issuer).await.code_for(&authorization(client, change)).await
    }

    /// A client with a secret, and what it sends of itself for its own token.
    async fn machine(issuer: &Fixture) -> [(&'static str, String); 3] {
        let (id, secret) = issuer.registered("client_secret_post").await;
        [("grant_type", "client_credentials".to_owned()), ("client_id", id), ("client_secret", secret)]
    }

    fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    #[tokio::test]
    async fn a_token_is_bound_to_the_key_that_it_was_asked_for_with() {
        let issuer = Fixture::new();
        let (machine, holder) = (machine(&issuer).await, Holder::new(&issuer));
        let answer = send(&issuer, &[holder.proof()], &borrowed(&machine)).await;
        holder.holds(&answer);
        assert_eq!(answer.header("dpop-nonce"), "", "without the policy");
        let told = issuer.local("/introspect", &[("token", answer.json["access_token"].as_str().unwrap())]).await.json;
        assert_eq!((&told["token_type"], &told["cnf"]), (&json!("DPoP"), &json!({"jkt": holder.key.kid()})));
        is_bearer(&send(&issuer, &[], &borrowed(&machine)).await);
    }

    #[tokio::test]
    async fn a_proof_is_good_for_one_request_to_this_endpoint() {
        let issuer = Fixture::new();
        let (machine, holder) = (machine(&issuer).await, Holder::new(&issuer));
        let now = Duration::from_secs(NOW);
        let url = format!("{ISSUER}/token");
        let used = holder.proof();
        holder.holds(&send(&issuer, std::slice::from_ref(&used), &borrowed(&machine)).await);
        let attacks = [
            vec![used.clone()],
            vec![holder.proof(), holder.proof()],
            vec![holder.proof_for("GET", &url, None, now)],
            vec![holder.proof_for("POST", &format!("{ISSUER}/mcp"), None, now)],
            vec![holder.proof_for("POST", "http://localhost:8000/token", None, now)],
            vec![holder.proof_for("POST", &url, None, now.saturating_sub(Duration::from_secs(61)))],
            vec![holder.proof_for("POST", &url, None, now + Duration::from_secs(31))],
            vec![String::new()],
            vec!["x".repeat(9000)],
        ];
        for attack in attacks {
            send(&issuer, &attack, &borrowed(&machine)).await.is_refused(400, "invalid_dpop_proof");
        }
        issuer.advance(60);
        send(&issuer, &[used], &borrowed(&machine)).await.is_refused(400, "invalid_dpop_proof");
        holder.holds(&send(&issuer, &[holder.proof()], &borrowed(&machine)).await);
    }

    #[tokio::test]
    async fn what_an_earlier_process_took_is_refused() {
        let issuer = Fixture::new();
        let machine = machine(&issuer).await;
        let used = {
            let holder = Holder::new(&issuer);
            let used = holder.proof();
            holder.holds(&send(&issuer, std::slice::from_ref(&used), &borrowed(&machine)).await);
            used
        };
        issuer.advance(1);
        let issuer = issuer.restarted();
        send(&issuer, &[used], &borrowed(&machine)).await.is_refused(400, "invalid_dpop_proof");
        let holder = Holder::new(&issuer);
        holder.holds(&send(&issuer, &[holder.proof()], &borrowed(&machine)).await);
    }

    #[tokio::test]
    async fn a_full_memory_of_proofs_refuses_and_forgets_nothing() {
        let issuer = Fixture::new();
        let (machine, holder) = (machine(&issuer).await, Holder::new(&issuer));
        let used = holder.proof();
        holder.holds(&send(&issuer, std::slice::from_ref(&used), &borrowed(&machine)).await);
        {
            let mut names = issuer.embedded.used_proofs.lock().unwrap();
            assert!((1..MAX_REMEMBERED).all(|index| names.insert(&index.to_string(), NOW + 61)));
        }
        let full = send(&issuer, &[holder.proof()], &borrowed(&machine)).await;
        full.is_refused(503, "temporarily_unavailable");
        send(&issuer, &[used], &borrowed(&machine)).await.is_refused(400, "invalid_dpop_proof");
        is_bearer(&send(&issuer, &[], &borrowed(&machine)).await);
        issuer.advance(61);
        holder.holds(&send(&issuer, &[holder.proof()], &borrowed(&machine)).await);
    }

    #[tokio::test]
    async fn a_public_clients_login_stays_with_its_key() {
        let issuer = Fixture::new();
        let client = issuer.public_client().await;
        let (holder, thief) = (Holder::new(&issuer), Holder::new(&issuer));
        let tokens = holder.trade_code(&client, &code(&issuer, &client, &[]).await).await;
        holder.holds(&tokens);
        let refresh_token = tokens.json["refresh_token"].as_str().unwrap();
        thief.refresh(&client, refresh_token).await.is_refused(400, "invalid_grant");
        issuer.refresh(&client, refresh_token).await.is_refused(400, "invalid_grant");
        let issuer_again = holder.refresh(&client, refresh_token).await;
        holder.holds(&issuer_again);
        let next = issuer_again.json["refresh_token"].as_str().unwrap();
        thief.refresh(&client, next).await.is_refused(400, "invalid_grant");
        holder.holds(&holder.refresh(&client, next).await);
        // The twin: a login without a proof is nobody's in particular.
        let plain = issuer.trade_code(&client, &code(&issuer, &client, &[]).await).await;
        is_bearer(&plain);
        is_bearer(&issuer.refresh(&client, plain.json["refresh_token"].as_str().unwrap()).await);
    }

    #[tokio::test]
    async fn a_refresh_with_a_proof_binds_a_public_clients_login_from_then_on() {
        let issuer = Fixture::new();
        let client = issuer.public_client().await;
        let (holder, thief) = (Holder::new(&issuer), Holder::new(&issuer));
        let plain = issuer.trade_code(&client, &code(&issuer, &client, &[]).await).await;
        is_bearer(&plain);
        let first = plain.json["refresh_token"].as_str().unwrap();
        let bound = holder.refresh(&client, first).await;
        holder.holds(&bound);
        let next = bound.json["refresh_token"].as_str().unwrap();
        // Also the one before, which is good for a moment yet.
        for token in [next, first] {
            issuer.refresh(&client, token).await.is_refused(400, "invalid_grant");
            thief.refresh(&client, token).await.is_refused(400, "invalid_grant");
        }
        holder.holds(&holder.refresh(&client, first).await);
        holder.holds(&holder.refresh(&client, next).await);
    }

    #[tokio::test]
    async fn a_refresh_that_comes_again_with_a_proof_binds_too() {
        let issuer = Fixture::new();
        let client = issuer.public_client().await;
        let (holder, thief) = (Holder::new(&issuer), Holder::new(&issuer));
        let plain = issuer.trade_code(&client, &code(&issuer, &client, &[]).await).await;
        let first = plain.json["refresh_token"].as_str().unwrap();
        is_bearer(&issuer.refresh(&client, first).await);
        let again = holder.refresh(&client, first).await;
        holder.holds(&again);
        let next = again.json["refresh_token"].as_str().unwrap();
        issuer.refresh(&client, next).await.is_refused(400, "invalid_grant");
        thief.refresh(&client, next).await.is_refused(400, "invalid_grant");
        holder.holds(&holder.refresh(&client, next).await);
    }

    #[tokio::test]
    async fn the_binding_of_a_login_survives_a_restart() {
        let issuer = Fixture::new();
        let client = issuer.public_client().await;
        let (key, refresh_token) = {
            let holder = Holder::new(&issuer);
            let tokens = holder.trade_code(&client, &code(&issuer, &client, &[]).await).await;
            (holder.key, tokens.json["refresh_token"].as_str().unwrap().to_owned())
        };
        let issuer = issuer.restarted();
        Holder::new(&issuer).refresh(&client, &refresh_token).await.is_refused(400, "invalid_grant");
        let holder = Holder { issuer: &issuer, key };
        holder.holds(&holder.refresh(&client, &refresh_token).await);
    }

    #[tokio::test]
    async fn a_code_can_be_bound_before_it_is_given() {
        let issuer = Fixture::new();
        let client = issuer.public_client().await;
        let (holder, thief) = (Holder::new(&issuer), Holder::new(&issuer));
        let bound = code(&issuer, &client, &[("dpop_jkt", holder.key.kid())]).await;
        thief.trade_code(&client, &bound).await.is_refused(400, "invalid_grant");
        issuer.trade_code(&client, &bound).await.is_refused(400, "invalid_grant");
        holder.holds(&holder.trade_code(&client, &bound).await);
        let mut person = Person::logged_in(&issuer).await;
        for odd in ["x", &"=".repeat(43), &"a".repeat(44)] {
            let answer = person.get(&authorization(&client, &[("dpop_jkt", odd)])).await;
            assert_eq!(answer.sent_back()["error"], "invalid_request", "{odd}");
        }
    }

    #[tokio::test]
    async fn whoever_proves_himself_otherwise_may_change_keys() {
        let issuer = Fixture::new();
        let metadata = json!({"redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method":
            "client_secret_basic", "grant_types": ["authorization_code", "refresh_token"]});
        let (id, secret) = issuer.registered_with(&metadata).await;
        let code = code(&issuer, &id, &[]).await;
        let (holder, next) = (Holder::new(&issuer), Holder::new(&issuer));
        let trade = async |proof: String, fields: &[(&str, &str)]| {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            let headers = [FORM, ("authorization", &*basic(&id, &secret)), ("dpop", &*proof)];
            issuer.send(Method::POST, "/token", &headers, &body).await
        };
        let tokens = trade(holder.proof(), &code_fields(&code)).await;
        holder.holds(&tokens);
        let refresh_token = tokens.json["refresh_token"].as_str().unwrap();
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        next.holds(&trade(next.proof(), &fields).await);
    }

    #[tokio::test]
    async fn a_device_gets_bound_tokens_too() {
        let issuer = Fixture::new();
        let metadata = json!({"client_name": "Television", "token_endpoint_auth_method": "none",
            "grant_types": [DEVICE_CODE, "refresh_token"]});
        let client = issuer.register(&metadata).await.json["client_id"].as_str().unwrap().to_owned();
        let begun = issuer.trade_at("/device_authorization", &client, &[]).await.json;
        let mut person = Person::logged_in(&issuer).await;
        let page = person.get(&format!("/device?user_code={}", begun["user_code"].as_str().unwrap())).await;
        assert_eq!(person.decide(&page, "allow").await.status, StatusCode::OK);
        let (holder, thief) = (Holder::new(&issuer), Holder::new(&issuer));
        let fields = [("grant_type", DEVICE_CODE), ("device_code", begun["device_code"].as_str().unwrap())];
        let tokens = holder.trade(&client, &fields).await;
        holder.holds(&tokens);
        let refresh_token = tokens.json["refresh_token"].as_str().unwrap();
        thief.refresh(&client, refresh_token).await.is_refused(400, "invalid_grant");
        holder.holds(&holder.refresh(&client, refresh_token).await);
    }

    #[tokio::test]
    async fn where_a_nonce_is_needed_it_is_given_with_every_answer() {
        let issuer = Fixture::with(|settings| settings.dpop_nonce = true);
        let (machine, holder) = (machine(&issuer).await, Holder::new(&issuer));
        let url = format!("{ISSUER}/token");
        let with = |nonce: Option<&str>| [holder.proof_for("POST", &url, nonce, issuer.clock.since_epoch())];
        let refused = send(&issuer, &with(None), &borrowed(&machine)).await;
        refused.is_refused(400, "use_dpop_nonce");
        let nonce = refused.header("dpop-nonce").to_owned();
        send(&issuer, &with(Some("made-up")), &borrowed(&machine)).await.is_refused(400, "use_dpop_nonce");
        let answer = send(&issuer, &with(Some(&nonce)), &borrowed(&machine)).await;
        holder.holds(&answer);
        assert_eq!(answer.header("dpop-nonce"), nonce);
        issuer.advance(240);
        let late = send(&issuer, &with(Some(&nonce)), &borrowed(&machine)).await;
        late.is_refused(400, "use_dpop_nonce");
        assert_ne!(late.header("dpop-nonce"), nonce);
        let plain = send(&issuer, &[], &borrowed(&machine)).await;
        is_bearer(&plain);
        assert_eq!(plain.header("dpop-nonce"), "");
    }
}
