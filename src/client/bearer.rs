//! The token of a session, and what to do when the server does not take it: 401 and 403.

use std::time::Duration;

use rmcp::transport::streamable_http_client::StreamableHttpError;
use tokio::sync::{Mutex, watch};

use super::{
    Client, ClientError, Settings,
    error::said,
    tokens::{Held, Need, TokenSourceKind},
};
use crate::{
    net::status_in,
    oauth::{Challenge, Scheme, Scopes},
};

/// The token of a session, renewed by one message at a time.
#[derive(Debug)]
pub(super) struct Bearer {
    client: Client,
    held: Mutex<Option<Held>>,
    /// How many are at work for the server, so that its own time stands still: the sampler, or we at the issuer.
    busy: watch::Sender<usize>,
}

/// While it lives, the server is not the one that keeps us waiting.
pub(super) struct Busy<'a>(&'a watch::Sender<usize>);

/// A refused message.
pub(super) struct Refusal {
    forbidden: bool,
    challenge: Option<Challenge>,
    /// How a token can be sent with a proof, if the server says so.
    proof: Option<Challenge>,
}

/// What has been tried for one message already.
#[derive(Default)]
pub(super) struct Tried {
    renewal: bool,
    step_up: bool,
    nonce: bool,
}

impl Bearer {
    pub(super) fn new(client: Client, held: Option<Held>) -> Self {
        Self { client, held: Mutex::new(held), busy: watch::Sender::new(0) }
    }

    /// The token to send now.
    pub(super) async fn held(&self) -> Option<Held> {
        self.held.lock().await.clone()
    }

    pub(super) fn settings(&self) -> &Settings {
        self.client.settings()
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Marks that the server waits for us, not we for it.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.busy.send_modify(|count| *count += 1);
        Busy(&self.busy)
    }

    /// Waits for `work`, but no longer than the settings allow to wait for the server.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, ClientError> {
        self.within(self.settings().timeout, work).await
    }

    /// Waits for `work`, but no longer than `timeout` for the server.
    pub(super) async fn within<T>(&self, timeout: Duration, work: impl Future<Output = T>) -> Result<T, ClientError> {
        let mut busy = self.busy.subscribe();
        let mut work = std::pin::pin!(work);
        loop {
            let waiting = *busy.borrow_and_update() == 0;
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                _ = busy.changed() => {}
                () = tokio::time::sleep(timeout), if waiting => {
                    let server = self.settings().server.to_string();
                    return Err(ClientError::TimedOut { server, timeout });
                }
            }
        }
    }

    /// Gets the token that the server wants, or says why there is none.
    ///
    /// For one message a token is renewed at most once and scopes are added at most once: a server that refuses everything
    /// must not keep us at the issuer's door.
    pub(super) async fn overcome(
        &self,
        refusal: Refusal,
        used: Option<Held>,
        tried: &mut Tried,
    ) -> Result<(), ClientError> {
        let _busy = self.busy();
        let mut held = self.held.lock().await;
        let secret = |held: &Option<Held>| held.as_ref().map(|held| held.token.secret.expose().to_owned());
        if secret(&held) != secret(&used) {
            // Another message renewed it meanwhile.
            return Ok(());
        }
        if let Some(held) = used.as_ref().filter(|_| refusal.wants_nonce() && !tried.nonce) {
            tried.nonce = true;
            if self.client.learn_nonce(held).await? {
                return Ok(());
            }
        }
        if refusal.challenge.is_none() && refusal.proof.is_some() && !self.settings().dpop {
            return Err(ClientError::ProofNeeded { server: self.settings().server.to_string() });
        }
        let challenge = refusal.challenge.as_ref().or(refusal.proof.as_ref());
        let scopes = if refusal.forbidden {
            Some(self.step_up(challenge, used.as_ref(), tried)?)
        } else {
            self.renewal(challenge, used.as_ref(), tried)?;
            None
        };
        let refused = used.as_ref().map(|held| &held.token.secret);
        *held = Some(self.client.obtain(Need { challenge, scopes, refused }).await?);
        Ok(())
    }

    fn renewal(
        &self,
        challenge: Option<&Challenge>,
        used: Option<&Held>,
        tried: &mut Tried,
    ) -> Result<(), ClientError> {
        let given = used.is_some_and(|held| held.token.source == TokenSourceKind::Given);
        match used {
            Some(held) if tried.renewal || given => Err(ClientError::TokenRefused {
                server: self.settings().server.to_string(),
                source_kind: held.token.source,
                withheld: held.token.withheld.clone(),
                reason: reason(challenge),
            }),
            _ => {
                tried.renewal = true;
                Ok(())
            }
        }
    }

    fn step_up(
        &self,
        challenge: Option<&Challenge>,
        used: Option<&Held>,
        tried: &mut Tried,
    ) -> Result<Scopes, ClientError> {
        let insufficient = challenge.filter(|challenge| challenge.error.as_deref() == Some("insufficient_scope"));
        let needed = insufficient.and_then(|challenge| challenge.scope.clone());
        let asked = used.and_then(|held| held.asked.clone()).unwrap_or_default();
        // A kept token may be weaker than what the issuer grants for the same scopes today.
        let may_help = |needed: &Scopes| match used.map(|held| held.token.source) {
            Some(TokenSourceKind::Cached) => true,
            Some(TokenSourceKind::Fetched) => !asked.covers(needed),
            Some(TokenSourceKind::Given) | None => false,
        };
        // What somebody has named is not widened behind his back.
        let named = self.settings().scopes.clone();
        let is_named_less = |needed: &Scopes| named.as_ref().is_some_and(|named| !named.covers(needed));
        match &needed {
            Some(needed) if !tried.step_up && !is_named_less(needed) && may_help(needed) => {
                tried.step_up = true;
                Ok(asked.union(needed))
            }
            _ => Err(ClientError::NotPermitted {
                server: self.settings().server.to_string(),
                named,
                needed,
                withheld: used.map(|held| held.token.withheld.clone()).unwrap_or_default(),
                reason: reason(challenge),
            }),
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Refusal {
    /// Whether it was a 401 or a 403, with or without a challenge.
    pub(super) fn of(error: &StreamableHttpError<reqwest::Error>) -> Option<Self> {
        let refusal = |forbidden, header: &str| {
            let proof = Challenge::parse_of(Scheme::Dpop, header);
            Some(Self { forbidden, challenge: Challenge::parse(header), proof })
        };
        match error {
            StreamableHttpError::AuthRequired(error) => refusal(false, &error.www_authenticate_header),
            StreamableHttpError::InsufficientScope(error) => refusal(true, &error.www_authenticate_header),
            StreamableHttpError::UnexpectedServerResponse(text) => match status_in(text)? {
                (401, _) => refusal(false, ""),
                (403, _) => refusal(true, ""),
                _ => None,
            },
            _ => None,
        }
    }

    fn wants_nonce(&self) -> bool {
        self.proof.as_ref().is_some_and(|proof| proof.error.as_deref() == Some("use_dpop_nonce"))
    }
}

fn reason(challenge: Option<&Challenge>) -> Option<String> {
    let challenge = challenge?;
    challenge.error_description.as_deref().or(challenge.error.as_deref()).map(said)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        client::{
            Kind,
            testing::{World, echo, field},
        },
        hint::Hint as _,
        secret::Secret,
    };

    #[tokio::test]
    async fn a_401_without_a_challenge_is_enough() {
        let world = World::new().await;
        for challenge in [None, Some("Basic realm=\"x\"".to_owned())] {
            world.change(|rules| rules.challenge = challenge);
            assert_eq!(echo(&world.client_with(|settings| settings.force_new = true)).await.unwrap(), "hi");
        }
    }

    #[tokio::test]
    async fn a_kept_token_that_is_refused_is_replaced_once() {
        let world = World::new().await;
        echo(&world.client()).await.unwrap();
        world.forget_tokens();
        world.seen();
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        assert_eq!(world.whats().iter().filter(|what| *what == "POST /token").count(), 1);
        world.seen();
        echo(&world.client()).await.unwrap();
        assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    }

    #[tokio::test]
    async fn a_server_that_refuses_everything_gets_one_new_token() {
        let world = World::new().await;
        echo(&world.client()).await.unwrap();
        world.change(|rules| {
            rules.refuses_all = true;
            rules.challenge = Some("Bearer error=\"invalid_token\", error_description=\"aud\u{9}is wrong\"".to_owned());
        });
        world.seen();
        let error = echo(&world.client()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotAuthenticated);
        assert!(error.to_string().contains("aud\\tis wrong"), "{error}");
        let whats = world.whats();
        assert_eq!(whats.iter().filter(|what| *what == "POST /token").count(), 1);
        assert_eq!(whats.iter().filter(|what| *what == "POST /mcp tools/call").count(), 2);
    }

    #[tokio::test]
    async fn a_given_token_is_sent_as_it_is_and_never_replaced() {
        let world = World::new().await;
        let given = || world.client_with(|settings| settings.token = Some(Secret::new("given")));
        let error = echo(&given()).await.unwrap_err();
        assert!(matches!(error, ClientError::TokenRefused { .. }), "{error}");
        assert_eq!(world.whats(), ["POST /mcp server/discover"]);
        world.allow("given", "mcp:read");
        assert_eq!(echo(&given()).await.unwrap(), "hi");
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        let error = echo(&given()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotPermitted);
        assert!(error.to_string().contains("mcp:write"), "{error}");
        assert!(!world.whats().contains(&"POST /token".to_owned()));
    }

    #[tokio::test]
    async fn a_missing_scope_is_asked_for_together_with_the_old_ones() {
        let world = World::new().await;
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        let asked: Vec<_> = world.seen().iter().filter_map(|seen| field(&seen.body, "scope")).collect();
        assert_eq!(asked, ["mcp:read", "mcp:read mcp:write"]);
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    }

    #[tokio::test]
    async fn scopes_that_somebody_has_named_are_not_widened() {
        let world = World::new().await;
        world.change(|rules| rules.call_scope = "mcp:read mcp:write".to_owned());
        let with = |scopes: &str| {
            let scopes = Scopes::parse(scopes).unwrap();
            world.client_with(move |settings| settings.scopes = Some(scopes))
        };
        // Fresh, then kept.
        for _ in 0..2 {
            let error = echo(&with("mcp:read")).await.unwrap_err();
            assert_eq!(error.kind(), Kind::NotPermitted);
            assert!(error.to_string().contains("needs the scopes `mcp:read mcp:write`"), "{error}");
            let hint = "ask for them too with `--scope \"mcp:read mcp:write\"`, or leave `--scope` out";
            assert_eq!(error.hint().unwrap(), hint);
        }
        let asked: Vec<_> = world.seen().iter().filter_map(|seen| field(&seen.body, "scope")).collect();
        assert_eq!(asked, ["mcp:read"]);
        assert_eq!(echo(&with("mcp:read mcp:write")).await.unwrap(), "hi", "the twin");
    }

    #[tokio::test]
    async fn a_scope_that_is_not_granted_is_asked_for_once() {
        let world = World::new().await;
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        world.change(|rules| {
            let answer = json!({"access_token": "weak", "token_type": "Bearer", "expires_in": 60, "scope": "mcp:read"});
            rules.answers.insert("/token".to_owned(), (200, answer));
        });
        world.allow("weak", "mcp:read");
        let error = echo(&world.client()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotPermitted);
        assert_eq!(world.whats().iter().filter(|what| *what == "POST /token").count(), 2);
    }

    #[tokio::test]
    async fn a_kept_token_is_not_weaker_than_a_new_one_would_be() {
        let world = World::new().await;
        let scopes = Scopes::parse("mcp:read mcp:write").unwrap();
        let client = || world.client_with(|settings| settings.scopes = Some(scopes.clone()));
        echo(&client()).await.unwrap();
        // The issuer had granted less than was asked for, and grants all of it now.
        let weak = client().kept_token().await.unwrap().unwrap().secret;
        world.allow(weak.expose(), "mcp:read");
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        assert_eq!(echo(&client()).await.unwrap(), "hi");
    }
}
