//! The end of a token's life: revoked at its issuer (RFC 7009), or only forgotten here.

use reqwest::Method;

use super::{
    Client, ClientError,
    grant::ask,
    identity::{Identity, Proof},
    listed,
    servers::KnownServer,
    tokens::{KeptToken, folder},
};
use crate::{oauth::ServerMetadata, secret::Secret};

impl Client {
    /// Revokes the kept token at its issuer and drops it here; `false` if there was none. Of a login everything is
    /// revoked that it led to for this server: it would only come back.
    pub(crate) async fn revoke(&self) -> Result<bool, ClientError> {
        let server = self.settings.server.clone();
        let kept = self
            .on_disk(move |state| {
                let last = KnownServer::load(state, &server)?.and_then(|known| known.token);
                let mut all = KeptToken::all(&folder(state)?, &server)?;
                all.retain(|(_, kept)| {
                    last.as_ref().is_some_and(|last| kept.key == *last || last.login && kept.key.is_like(last))
                });
                Ok(all)
            })
            .await?;
        let Some((_, first)) = kept.first() else { return Ok(false) };
        let issuer = self.issuer_metadata(&first.key.issuer).await?;
        // Whoever asks for another client's token is told that it is revoked, and it is not (RFC 7009 section 2.2).
        let identity = self.identity_as(&issuer.issuer, Some(first.key.client_id.clone())).await?;
        if matches!(identity.proof, Proof::Nothing) && !first.key.login && first.key.voucher.is_none() {
            return Err(ClientError::NoProof { client_id: identity.client_id });
        }
        for (name, kept) in kept {
            // First what makes new ones.
            if let Some(token) = &kept.refresh_token {
                self.revoke_one(&issuer, &identity, token, "refresh_token").await?;
            }
            self.revoke_one(&issuer, &identity, &kept.access_token, "access_token").await?;
            self.on_disk(move |state| folder(state)?.remove(&name)).await?;
        }
        Ok(true)
    }

    async fn revoke_one(
        &self,
        issuer: &ServerMetadata,
        identity: &Identity,
        token: &Secret,
        kind: &str,
    ) -> Result<(), ClientError> {
        const ACTION: &str = "the revocation";
        let url = self.endpoint(&issuer.issuer, "revocation", issuer.revocation_endpoint.as_ref())?;
        let form = vec![("token", token.expose().to_owned()), ("token_type_hint", kind.to_owned())];
        let http = self.web.at(&url)?;
        let request = http.request(Method::POST, &url);
        let request = identity.prove(request, form, issuer, self.settings.clock.since_epoch())?;
        ask(http, ACTION, &url, request).await.map(drop)
    }

    /// Removes every kept token of this server from this machine, and what is remembered of it; how many tokens there
    /// were. Nobody is told: they stay good until they expire.
    pub(crate) async fn forget(&self) -> Result<usize, ClientError> {
        let server = self.settings.server.clone();
        self.on_disk(move |state| {
            let folder = folder(state)?;
            let all = KeptToken::all(&folder, &server)?;
            for (name, _) in &all {
                folder.remove(name)?;
            }
            KnownServer::remove(state, &server)?;
            listed::forget(state, &server)?;
            Ok(all.len())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        client::{
            Client, ClientError, RegistrationRequest, TokenSourceKind,
            testing::{World, field},
        },
        oauth::{AuthMethod, Resource},
    };

    async fn registered(world: &World) -> Client {
        registered_as(world, "ci").await
    }

    async fn registered_as(world: &World, name: &str) -> Client {
        let client = world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
        let request = RegistrationRequest {
            name: name.to_owned(),
            grants: vec!["client_credentials".to_owned()],
            redirect_uris: Vec::new(),
            scopes: None,
            auth_method: AuthMethod::ClientSecretBasic,
            initial_access_token: None,
            keycloak_admin: None,
            takes_over: true,
        };
        client.register(request).await.unwrap();
        client
    }

    #[tokio::test]
    async fn a_revoked_token_is_gone_here_too() {
        let world = World::new().await;
        assert!(!world.client().revoke().await.unwrap());
        let token = world.client().access_token(None).await.unwrap();
        assert!(world.client().revoke().await.unwrap());
        let seen = world.seen().into_iter().find(|seen| seen.what == "POST /revoke").unwrap();
        assert_eq!(field(&seen.body, "token").unwrap(), token.secret.expose());
        assert!(seen.authorization.unwrap().starts_with("Basic "));
        assert_eq!(world.client().access_token(None).await.unwrap().source, TokenSourceKind::Fetched);
    }

    #[tokio::test]
    async fn a_token_is_revoked_by_the_client_that_got_it() {
        let world = World::new().await;
        let client = registered(&world).await;
        client.access_token(None).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        registered_as(&world, "later").await.revoke().await.unwrap();
        let seen = world.seen();
        let proof = |what: &str| seen.iter().find(|seen| seen.what == what).unwrap().authorization.clone().unwrap();
        assert_eq!(proof("POST /revoke"), proof("POST /token"));
        client.access_token(None).await.unwrap();
        world.seen();
        let gone = world.files("clients").into_iter().try_for_each(std::fs::remove_file);
        assert!(gone.is_ok() && matches!(client.revoke().await, Err(ClientError::NoProof { .. })));
        assert!(!world.whats().contains(&"POST /revoke".to_owned()));
    }

    #[tokio::test]
    async fn a_token_that_could_not_be_revoked_is_kept() {
        let world = World::new().await;
        world.client().access_token(None).await.unwrap();
        world.change(|rules| drop(rules.answers.insert("/revoke".to_owned(), (503, serde_json::Value::Null))));
        assert!(world.client().revoke().await.is_err());
        assert_eq!(world.client().access_token(None).await.unwrap().source, TokenSourceKind::Cached);
    }

    #[tokio::test]
    async fn only_this_servers_tokens_are_forgotten() {
        let (world, other) = (World::new().await, World::new().await);
        let server = Resource::parse(&format!("{}/mcp", other.origin)).unwrap();
        let elsewhere = || world.client_with(|settings| settings.server = server.clone());
        elsewhere().access_token(None).await.unwrap();
        world.client().access_token(None).await.unwrap();
        world.client_with(|settings| settings.client_id = Some("other".into())).access_token(None).await.unwrap();
        assert_eq!(world.client().forget().await.unwrap(), 2);
        assert_eq!(world.client().forget().await.unwrap(), 0);
        assert!(world.client().kept_token().await.unwrap().is_none());
        assert!(elsewhere().kept_token().await.unwrap().is_some());
    }
}
