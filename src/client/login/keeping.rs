//! The tokens of people: a kept one, one that is refreshed, or a new login; one process at a time.

use super::{
    LoginClient, LoginError, Wanted, Way,
    refresh::{is_spent, is_unknown_client},
};
use crate::{
    client::{
        Client, ClientError, Discovery,
        tokens::{Held, KeptToken, Need, TokenKey, TokenSourceKind, folder, take_turn},
    },
    oauth::{Scopes, TokenResponse},
    store::{Lock, PrivateDir, StoreError},
};

/// How long a token is taken for good whose issuer does not say: a server that refuses it earlier is believed.
const UNTOLD_LIFE_SECONDS: u64 = 60 * 60;

/// How one try to get a token with one client ended.
enum Turn {
    Done(Held),
    /// The issuer does not know the client, and it can be registered anew.
    Forgotten,
}

impl Client {
    /// A token that a person has logged in for, or logs in for now.
    pub(in crate::client) async fn obtain_by_login(
        &self,
        need: &Need<'_>,
        discovery: &Discovery,
    ) -> Result<Held, ClientError> {
        let issuer = &discovery.issuer;
        let way = Way::at(issuer, self.settings.grant);
        let known = self.login_client(issuer, way.grant()).await?;
        let registered = known.as_ref().filter(|client| client.automatic().is_none());
        let registered = registered.and_then(|client| client.identity.registered_scopes.clone());
        let scopes = self.choose_scopes(need, discovery, registered.as_ref());
        let client = match known {
            Some(client) => client,
            None if self.settings.person.is_some() => {
                self.register_for_logins(discovery, scopes.as_ref(), way.grant(), None).await?
            }
            None => return Err(self.nobody(discovery, None)),
        };
        match self.turn(need, discovery, &client, way, scopes.as_ref()).await? {
            Turn::Done(held) => return Ok(held),
            Turn::Forgotten => {}
        }
        let forgotten = client.identity.client_id.as_str();
        let client = self.register_for_logins(discovery, scopes.as_ref(), way.grant(), Some(forgotten)).await?;
        match self.turn(need, discovery, &client, way, scopes.as_ref()).await? {
            Turn::Done(held) => Ok(held),
            Turn::Forgotten => Err(ClientError::NoIdentity { issuer: issuer.issuer.to_string() }),
        }
    }

    async fn turn(
        &self,
        need: &Need<'_>,
        discovery: &Discovery,
        client: &LoginClient,
        way: Way,
        scopes: Option<&Scopes>,
    ) -> Result<Turn, ClientError> {
        let issuer = &discovery.issuer;
        let bound_to = self.key_at(&issuer.issuer, &client.identity.client_id).await?;
        let key = TokenKey {
            server: self.settings.server.clone(),
            issuer: issuer.issuer.clone(),
            reached_at: self.reached_at(&issuer.issuer),
            client_id: client.identity.client_id.clone(),
            resource: discovery.token_resource(&self.settings).clone(),
            scopes: scopes.cloned(),
            login: true,
            voucher: None,
            bound_to: bound_to.as_ref().map(|key| key.kid().to_owned()),
        };
        let is_exact = need.scopes.is_some() || self.settings.scopes.is_some();
        let (key, kept) = self.widest(key, is_exact).await?;
        // Nobody waits for a login that another process has under way: without a person this one could not go on.
        if self.settings.person.is_none() && !kept.is_some_and(|kept| self.is_fresh(&kept) || kept.has_refresh_token())
        {
            return Err(self.nobody(discovery, Some(client)));
        }
        let (lock, kept) = self.take_login_turn(&key, need).await?;
        let refused = |kept: &KeptToken| need.refused.is_some_and(|refused| kept.is(refused));
        if let Some(kept) = kept.filter(|_| !self.settings.force_new) {
            if self.is_fresh(&kept) && !refused(&kept) {
                self.note_token(key).await?;
                return Ok(Turn::Done(kept.held(TokenSourceKind::Cached, bound_to)));
            }
            // A step-up that comes back to the same scopes needs the person: the issuer has granted less.
            let needs_person = need.scopes.is_some() && refused(&kept);
            if let Some(token) = kept.refresh_token.as_ref().filter(|_| !needs_person) {
                self.take_token_room(&key).await?;
                match self.refresh(issuer, &client.identity, &key.resource, token).await {
                    Ok(response) => return self.keep_login(key, response, Some(kept), lock).await,
                    Err(error) => {
                        self.leave_token_room(&key).await?;
                        if let Some(turn) = self.after_failed_refresh(error, &key, client).await? {
                            return Ok(turn);
                        }
                    }
                }
            }
        }
        let Some(person) = self.settings.person.clone() else { return Err(self.nobody(discovery, Some(client))) };
        // An issuer shows its own page to people with an unknown client, and nobody would come back from it.
        if let Some(saved) = client.automatic().filter(|_| !client.is_new)
            && self.is_forgotten(saved).await? == Some(true)
        {
            return Ok(Turn::Forgotten);
        }
        let scopes = key.scopes.clone();
        let wanted = Wanted { issuer, resource: &key.resource, scopes, person: &*person };
        match self.log_in(wanted, client, way).await {
            Ok(response) => self.keep_login(key.clone(), response, None, lock).await,
            Err(error) if is_unknown_client(&error) && self.was_forgotten(client).await? => Ok(Turn::Forgotten),
            Err(error) => Err(error),
        }
    }

    /// What a refusal of a refresh token means: `None` is a new login.
    async fn after_failed_refresh(
        &self,
        error: ClientError,
        key: &TokenKey,
        client: &LoginClient,
    ) -> Result<Option<Turn>, ClientError> {
        if is_spent(&error) {
            tracing::debug!(%error, "the refresh token is of no use any more");
            let key = key.clone();
            self.on_disk(move |state| {
                let folder = folder(state)?;
                match key.read(&folder)? {
                    Some(kept) => key.write(&folder, &KeptToken { refresh_token: None, ..kept }),
                    None => Ok(()),
                }
            })
            .await?;
            return Ok(None);
        }
        if is_unknown_client(&error) && self.was_forgotten(client).await? {
            // Only a person can log in with a new client.
            return if self.settings.person.is_some() { Ok(Some(Turn::Forgotten)) } else { Err(error) };
        }
        Err(error)
    }

    /// Whether this client may be registered anew: it was registered by itself, and its issuer does not say that it
    /// still knows it.
    async fn was_forgotten(&self, client: &LoginClient) -> Result<bool, ClientError> {
        match client.automatic() {
            Some(saved) => Ok(self.is_forgotten(saved).await? != Some(false)),
            None => Ok(false),
        }
    }

    /// The kept token of a login that has these scopes and perhaps more: nobody logs in twice for less than he has.
    async fn widest(&self, key: TokenKey, is_exact: bool) -> Result<(TokenKey, Option<KeptToken>), ClientError> {
        if !self.settings.keeps() {
            return Ok((key, None));
        }
        let client = self.clone();
        self.on_disk(move |state| {
            let folder = folder(state)?;
            // What an issuer gives who names nothing may be enough: the server says if it is not.
            let covers = |kept: &TokenKey| match (&kept.scopes, &key.scopes) {
                (Some(kept), Some(wanted)) => kept.covers(wanted),
                _ => true,
            };
            let is_usable = |kept: &KeptToken| client.is_fresh(kept) || kept.has_refresh_token();
            let wider = KeptToken::all(&folder, &key.server)?.into_iter().map(|(_, kept)| kept);
            let wider =
                wider.filter(|kept| !is_exact && kept.key.is_like(&key) && covers(&kept.key) && is_usable(kept));
            let widest = wider.max_by_key(|kept| kept.key.scopes.as_ref().map(|scopes| scopes.iter().count()));
            if let Some(widest) = widest {
                return Ok((widest.key.clone(), Some(widest)));
            }
            let kept = key.read(&folder)?;
            Ok((key, kept))
        })
        .await
    }

    /// Held until the new token is on the disk, so that whoever waits for it finds it there.
    async fn take_login_turn(
        &self,
        key: &TokenKey,
        need: &Need<'_>,
    ) -> Result<(Option<Lock>, Option<KeptToken>), ClientError> {
        if !self.settings.keeps() {
            return Ok((None, None));
        }
        let (key, refused) = (key.clone(), need.refused.cloned());
        self.on_disk(move |state| take_turn(state, &key, refused.as_ref())).await
    }

    /// Writes the tokens of a login before either is used: the refresh token that came before is spent by now.
    async fn keep_login(
        &self,
        key: TokenKey,
        response: TokenResponse,
        before: Option<KeptToken>,
        _lock: Option<Lock>,
    ) -> Result<Turn, ClientError> {
        let life_seconds = response.expires_in.unwrap_or(UNTOLD_LIFE_SECONDS);
        let before = before.map(|kept| (kept.granted, kept.refresh_token));
        let (granted, refresh_token) = before.unwrap_or_default();
        let kept = KeptToken {
            access_token: response.access_token,
            granted: response.scope.or(granted),
            expires_at_seconds: self.now_seconds().saturating_add(life_seconds),
            // One that is not replaced stays good (RFC 6749 section 6).
            refresh_token: response.refresh_token.or(refresh_token),
            key: key.clone(),
        };
        if self.settings.keeps() {
            let file = kept.clone();
            self.on_disk(move |state| file.key.write(&folder(state)?, &file)).await?;
            self.note_token(key).await?;
        }
        let bound_to = self.key_at(&kept.key.issuer, &kept.key.client_id).await?;
        Ok(Turn::Done(kept.held(TokenSourceKind::Fetched, bound_to)))
    }

    /// A full disk must not meet the only copy of a new refresh token.
    async fn take_token_room(&self, key: &TokenKey) -> Result<(), ClientError> {
        const ROOM_BYTES: usize = 64 * 1024;
        let name = key.file_name();
        self.on_disk(move |state: &PrivateDir| -> Result<(), StoreError> {
            folder(state)?.take_room(&name, ROOM_BYTES)
        })
        .await
    }

    async fn leave_token_room(&self, key: &TokenKey) -> Result<(), ClientError> {
        let name = key.file_name();
        self.on_disk(move |state| folder(state)?.leave_room(&name)).await
    }

    /// Why a login cannot be: nobody is there.
    fn nobody(&self, discovery: &Discovery, client: Option<&LoginClient>) -> ClientError {
        let issuer = discovery.issuer.issuer.to_string();
        match client {
            None if self.settings.grant.is_none() => ClientError::NoIdentity { issuer },
            // It may as well be a machine's, without its secret.
            Some(client) if self.settings.client_id.is_some() && self.settings.grant.is_none() => {
                ClientError::NoProof { client_id: client.identity.client_id.clone() }
            }
            _ => LoginError::NobodyThere { issuer }.into(),
        }
    }

    fn now_seconds(&self) -> u64 {
        self.settings.clock.since_epoch().as_secs()
    }
}
