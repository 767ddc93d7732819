//! Tokens that are kept: one file each, one writer at a time, and one request even if twenty processes ask at once.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Client, ClientError, Discovery, Grant, Voucher,
    discover::DiscoverError,
    identity::{Identity, Whose},
    servers::{Era, KnownServer},
};
use crate::{
    jose::SigningKey,
    oauth::{Challenge, ErrorCode, Issuer, Resource, Scopes},
    secret::{Secret, sha256_base64url},
    store::{PrivateDir, StoreError},
};

const FOLDER: &str = "tokens";

/// A kept token is used while more than this is left of its life: enough for a request to arrive.
const MIN_LIFE_LEFT: Duration = Duration::from_secs(30);

/// A token for the server of the settings, and no other.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub secret: Secret,
    /// What it allows, if the issuer said.
    pub scopes: Option<Scopes>,
    /// What was asked for and silently left out (RFC 6749 section 5.1); empty if nothing was.
    pub withheld: Scopes,
    /// Since the epoch, if the issuer said.
    pub expires_at: Option<Duration>,
    /// Where it came from.
    pub source: TokenSourceKind,
    /// The thumbprint of the key that it works with; `None` for a bearer token.
    pub bound_to: Option<String>,
}

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSourceKind {
    /// From the settings.
    Given,
    /// From our own disk.
    Cached,
    /// From the issuer, just now.
    Fetched,
}

/// What makes one token not another's: which server it is for, who issued it to whom, and what it allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TokenKey {
    pub(super) server: Resource,
    pub(super) issuer: Issuer,
    pub(super) reached_at: Url,
    pub(super) client_id: String,
    pub(super) resource: Resource,
    /// What was asked for; `None` leaves it to the issuer.
    pub(super) scopes: Option<Scopes>,
    /// Whether a person has logged in for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) login: bool,
    /// On whose word it was got, as [`Voucher::fingerprint`](super::Voucher) has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) voucher: Option<String>,
    /// The thumbprint of the key that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bound_to: Option<String>,
}

/// A token in its file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptToken {
    #[serde(flatten)]
    pub(super) key: TokenKey,
    pub(super) access_token: Secret,
    /// What was granted.
    pub(super) granted: Option<Scopes>,
    /// Since the epoch.
    pub(super) expires_at_seconds: u64,
    /// For a next token without the person. It goes to nobody but the issuer of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<Secret>,
}

/// A token in use, and the scopes it was asked with.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) token: AccessToken,
    pub(super) asked: Option<Scopes>,
    /// What it is bound to.
    pub(super) key: Option<Arc<SigningKey>>,
}

/// Why a token is needed that the cache alone did not give.
#[derive(Debug, Default)]
pub(super) struct Need<'a> {
    /// What the server said.
    pub(super) challenge: Option<&'a Challenge>,
    /// The scopes of a step-up.
    pub(super) scopes: Option<Scopes>,
    /// A token that the server does not take any more.
    pub(super) refused: Option<&'a Secret>,
}

impl TokenSourceKind {
    /// For a message: `refused the ..`.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Given => "token that was given",
            Self::Cached => "cached token",
            Self::Fetched => "token that its issuer had just made",
        }
    }
}

impl TokenKey {
    /// The name of the token's file: equal for equal keys only.
    pub(super) fn file_name(&self) -> String {
        let scopes = self.scopes.as_ref().map(|scopes| {
            let mut sorted: Vec<_> = scopes.iter().collect();
            sorted.sort_unstable();
            sorted
        });
        let parts = (&self.server, &self.issuer, &self.reached_at, &self.client_id, &self.resource, scopes);
        let parts = serde_json::to_vec(&parts).expect("strings and lists of strings");
        let voucher = self.voucher.as_deref().unwrap_or_default();
        let bound_to = self.bound_to.as_ref().map(|key| format!("dpop {key}")).unwrap_or_default();
        let login: &[u8] = if self.login { b"login" } else { b"" };
        sha256_base64url(&[parts.as_slice(), login, voucher.as_bytes(), bound_to.as_bytes()].concat())
    }

    /// Whether it differs from another one in its scopes only.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        Self { scopes: None, ..self.clone() } == Self { scopes: None, ..other.clone() }
    }

    pub(super) fn write(&self, folder: &PrivateDir, kept: &KeptToken) -> Result<(), StoreError> {
        folder.write(&self.file_name(), &serde_json::to_vec_pretty(kept).expect("strings and numbers"))
    }

    pub(super) fn read(&self, folder: &PrivateDir) -> Result<Option<KeptToken>, StoreError> {
        let bytes = folder.read(&self.file_name())?;
        // A damaged file is no token; the next one is written over it.
        let kept = bytes.and_then(|bytes| serde_json::from_slice::<KeptToken>(&bytes).ok());
        Ok(kept.filter(|kept| kept.key == *self))
    }
}

impl KeptToken {
    /// Every kept token, with the name of its file. Damaged files are skipped.
    pub(super) fn every(folder: &PrivateDir) -> Result<Vec<(String, Self)>, StoreError> {
        let mut found = Vec::new();
        for name in folder.names()? {
            let kept = folder.read(&name)?.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
            found.extend(kept.map(|kept| (name, kept)));
        }
        Ok(found)
    }

    /// Those of this server.
    pub(super) fn all(folder: &PrivateDir, server: &Resource) -> Result<Vec<(String, Self)>, StoreError> {
        let every = Self::every(folder)?;
        Ok(every.into_iter().filter(|(_, kept)| kept.key.server == *server).collect())
    }

    /// Whether it is this token.
    pub(super) fn is(&self, token: &Secret) -> bool {
        self.access_token.expose() == token.expose()
    }

    /// Whether a next one can be had without a person.
    pub(super) const fn has_refresh_token(&self) -> bool {
        self.refresh_token.is_some()
    }

    fn expires_at(&self) -> Duration {
        Duration::from_secs(self.expires_at_seconds)
    }

    pub(super) fn held(self, source: TokenSourceKind, key: Option<Arc<SigningKey>>) -> Held {
        let token = AccessToken {
            expires_at: Some(self.expires_at()),
            withheld: withheld(self.key.scopes.as_ref(), self.granted.as_ref()),
            scopes: self.granted.or_else(|| self.key.scopes.clone()),
            secret: self.access_token,
            source,
            bound_to: self.key.bound_to,
        };
        Held { token, asked: self.key.scopes, key }
    }
}

fn withheld(asked: Option<&Scopes>, granted: Option<&Scopes>) -> Scopes {
    asked.zip(granted).map(|(asked, granted)| asked.without(granted)).unwrap_or_default()
}

/// The folder of the kept tokens.
pub(super) fn folder(state: &PrivateDir) -> Result<PrivateDir, StoreError> {
    state.child(FOLDER)
}

impl Client {
    /// The token that is given or kept and still good, else a new one. A challenge says that a kept one may not be what
    /// the server wants: then the way is found anew.
    pub async fn access_token(&self, challenge: Option<&Challenge>) -> Result<AccessToken, ClientError> {
        let given = self.settings.token.is_some();
        if (challenge.is_none() || given)
            && let (Some(held), _) = self.recall().await?
        {
            return Ok(held.token);
        }
        Ok(self.obtain(Need { challenge, ..Need::default() }).await?.token)
    }

    /// The token that is given or was got last and is still good; nobody is asked for a new one.
    pub(crate) async fn kept_token(&self) -> Result<Option<AccessToken>, ClientError> {
        let last = |client: &Self, _: &PrivateDir, known: &KnownServer| {
            Ok(client.kept_key(known).or_else(|| known.token.clone()))
        };
        Ok(self.recall_by(last).await?.0.map(|held| held.token))
    }

    /// The token to send first and how to begin, as far as they are known without asking anybody.
    pub(super) async fn recall(&self) -> Result<(Option<Held>, Option<Era>), ClientError> {
        let ours = |client: &Self, state: &PrivateDir, known: &KnownServer| {
            let Some(key) = client.kept_key(known) else { return Ok(None) };
            let is_of_another = client.is_another_by_now(state, &key)?;
            Ok(Some(key).filter(|key| !is_of_another && key.bound_to.is_some() == client.settings.dpop))
        };
        self.recall_by(ours).await
    }

    /// Which kept token has the scopes of this run: those of its settings, else those of the last run without any.
    fn kept_key(&self, known: &KnownServer) -> Option<TokenKey> {
        match self.settings.scopes.clone() {
            Some(scopes) => {
                Some(TokenKey { scopes: Some(scopes).filter(|scopes| !scopes.is_empty()), ..known.token.clone()? })
            }
            None => known.default_token.clone(),
        }
    }

    async fn recall_by(
        &self,
        choose: impl FnOnce(&Self, &PrivateDir, &KnownServer) -> Result<Option<TokenKey>, StoreError> + Send + 'static,
    ) -> Result<(Option<Held>, Option<Era>), ClientError> {
        if let Some(secret) = self.settings.token.clone() {
            if self.settings.dpop {
                return Err(ClientError::NoKeyOfToken);
            }
            let (withheld, source) = (Scopes::none(), TokenSourceKind::Given);
            let token = AccessToken { secret, scopes: None, withheld, expires_at: None, source, bound_to: None };
            return Ok((Some(Held { token, asked: None, key: None }), None));
        }
        if !self.settings.keeps() {
            return Ok((None, None));
        }
        let client = self.clone();
        let recalled = self.on_disk(move |state| {
            let Some(known) = KnownServer::load(state, &client.settings.server)? else {
                return Ok((None, None));
            };
            let kept = match choose(&client, state, &known)?.filter(|key| client.fits(key)) {
                Some(key) => key.read(&folder(state)?)?.filter(|kept| client.is_fresh(kept)),
                None => None,
            };
            Ok((kept, known.era))
        });
        let (kept, era) = recalled.await?;
        let Some(kept) = kept else { return Ok((None, era)) };
        let key = self.key_at(&kept.key.issuer, &kept.key.client_id).await?;
        Ok((Some(kept.held(TokenSourceKind::Cached, key)), era))
    }

    /// Whether the settings of this run would lead to this token.
    fn fits(&self, key: &TokenKey) -> bool {
        let settings = &self.settings;
        !settings.force_new
            && settings.issuer.as_ref().is_none_or(|issuer| *issuer == key.issuer)
            && self.reached_at(&key.issuer) == key.reached_at
            && settings.client_id.as_ref().is_none_or(|client_id| *client_id == key.client_id)
            && settings.voucher().map(Voucher::fingerprint) == key.voucher
            && settings.grant.is_none_or(|grant| key.login == (grant != Grant::ClientCredentials))
            && settings.may_ask_for(&key.resource)
    }

    pub(super) fn is_fresh(&self, kept: &KeptToken) -> bool {
        kept.expires_at() > self.settings.clock.since_epoch() + MIN_LIFE_LEFT
    }

    /// Finds the issuer, then takes a token that somebody got meanwhile, or asks for one.
    pub(super) async fn obtain(&self, need: Need<'_>) -> Result<Held, ClientError> {
        let discovery = match self.discover(need.challenge).await {
            Err(ClientError::Discover(DiscoverError::NoResourceMetadata(_))) if self.settings.person.is_some() => {
                return Box::pin(self.obtain_as_of_2025_03_26(&need)).await;
            }
            found => found?,
        };
        match self.whose(&discovery.issuer.issuer).await? {
            Whose::Client(identity) => Box::pin(self.obtain_as_machine(&need, &discovery, &identity)).await,
            Whose::Person => Box::pin(self.obtain_by_login(&need, &discovery)).await,
        }
    }

    pub(super) async fn obtain_as_machine(
        &self,
        need: &Need<'_>,
        discovery: &Discovery,
        identity: &Identity,
    ) -> Result<Held, ClientError> {
        let issuer = &discovery.issuer.issuer;
        let bound_to = self.key_at(issuer, &identity.client_id).await?;
        let key = TokenKey {
            server: self.settings.server.clone(),
            issuer: issuer.clone(),
            reached_at: self.reached_at(issuer),
            client_id: identity.client_id.clone(),
            resource: discovery.token_resource(&self.settings).clone(),
            scopes: self.choose_scopes(need, discovery, identity.registered_scopes.as_ref()),
            login: false,
            voucher: self.settings.voucher().map(Voucher::fingerprint),
            bound_to: bound_to.as_ref().map(|key| key.kid().to_owned()),
        };
        // Held until the new token is on the disk, so that whoever waits for it finds it there.
        let (_lock, kept) = if self.settings.keeps() {
            let (wanted, refused) = (key.clone(), need.refused.cloned());
            self.on_disk(move |state| take_turn(state, &wanted, refused.as_ref())).await?
        } else {
            (None, None)
        };
        if let Some(kept) = kept.filter(|kept| self.is_fresh(kept) && !self.settings.force_new) {
            self.note_token(key).await?;
            return Ok(kept.held(TokenSourceKind::Cached, bound_to));
        }
        let now = self.settings.clock.since_epoch();
        let (issuer, scopes) = (&discovery.issuer, key.scopes.as_ref());
        let response = match self.settings.voucher() {
            Some(voucher) => self.token_by_voucher(voucher, issuer, identity, &key.resource, scopes).await,
            None => self.client_credentials(issuer, identity, &key.resource, scopes).await,
        };
        let response = match response {
            // The server names what its tools need, which may be more than this client has: then what it has is asked
            // for.
            Err(ClientError::Refused { code: ErrorCode::InvalidScope, .. })
                if need.scopes.is_none()
                    && self.settings.scopes.is_none()
                    && key.scopes.is_some()
                    && key.voucher.is_none() =>
            {
                self.client_credentials(issuer, identity, &key.resource, None).await?
            }
            asked => asked?,
        };
        let Some(life) = response.expires_in else {
            let withheld = withheld(key.scopes.as_ref(), response.scope.as_ref());
            let scopes = response.scope.or_else(|| key.scopes.clone());
            let token = AccessToken {
                secret: response.access_token,
                scopes,
                withheld,
                expires_at: None,
                source: TokenSourceKind::Fetched,
                bound_to: key.bound_to,
            };
            return Ok(Held { token, asked: key.scopes, key: bound_to });
        };
        let kept = KeptToken {
            key: key.clone(),
            access_token: response.access_token,
            granted: response.scope,
            expires_at_seconds: now.as_secs().saturating_add(life),
            refresh_token: None,
        };
        if self.settings.keeps() {
            let file = kept.clone();
            self.on_disk(move |state| file.key.write(&folder(state)?, &file)).await?;
            self.note_token(key).await?;
        }
        Ok(kept.held(TokenSourceKind::Fetched, bound_to))
    }

    /// What the settings say, else the challenge, else the resource's own list (MCP 2026-07-28, scope selection), and
    /// of what others say no more than the client was registered for: the issuer would refuse all of it.
    pub(super) fn choose_scopes(
        &self,
        need: &Need<'_>,
        discovery: &Discovery,
        registered: Option<&Scopes>,
    ) -> Option<Scopes> {
        if let Some(scopes) = need.scopes.clone().or_else(|| self.settings.scopes.clone()) {
            return Some(scopes).filter(|scopes| !scopes.is_empty());
        }
        let challenged = || need.challenge.and_then(|challenge| challenge.scope.clone());
        let published = || {
            let (metadata, _) = discovery.resource.as_ref()?;
            Some(Scopes::from_claims(metadata.scopes_supported.iter().map(String::as_str)))
        };
        let asked = challenged().or_else(published).filter(|scopes| !scopes.is_empty());
        match (asked, registered) {
            (Some(asked), Some(registered)) => {
                let both = Scopes::from_claims(asked.iter().filter(|scope| registered.contains(scope)));
                Some(if both.is_empty() { registered.clone() } else { both })
            }
            (asked, _) => asked,
        }
    }

    pub(super) async fn note_token(&self, key: TokenKey) -> Result<(), ClientError> {
        let is_default = self.settings.scopes.is_none();
        let note = move |known: &mut KnownServer| {
            if is_default {
                known.default_token = Some(key.clone());
            }
            known.token = Some(key);
        };
        let server = self.settings.server.clone();
        self.on_disk(move |state| KnownServer::update(state, &server, note)).await
    }
}

/// Waits for the token's lock, then looks whether there is a token that the server did not refuse, or one that leads to
/// the next.
pub(super) fn take_turn(
    state: &PrivateDir,
    key: &TokenKey,
    refused: Option<&Secret>,
) -> Result<(Option<crate::store::Lock>, Option<KeptToken>), StoreError> {
    let folder = folder(state)?;
    let lock = folder.lock(&key.file_name())?;
    let kept = key.read(&folder)?;
    if let (Some(kept), Some(refused)) = (&kept, refused)
        && kept.is(refused)
        && !kept.has_refresh_token()
    {
        folder.remove(&key.file_name())?;
        return Ok((Some(lock), None));
    }
    Ok((Some(lock), kept))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;
    use crate::{
        client::{
            RegistrationRequest,
            testing::{Seen, World, field},
        },
        oauth::AuthMethod,
    };

    fn registration(name: &str, scopes: Option<Scopes>) -> RegistrationRequest {
        RegistrationRequest {
            name: name.to_owned(),
            grants: vec!["client_credentials".to_owned()],
            redirect_uris: Vec::new(),
            scopes,
            auth_method: AuthMethod::ClientSecretBasic,
            initial_access_token: None,
            keycloak_admin: None,
            takes_over: true,
        }
    }

    #[tokio::test]
    async fn without_scopes_of_its_own_a_run_gets_the_token_of_such_a_run() {
        let world = World::new().await;
        let with = |scopes: &str| {
            let scopes = Scopes::parse(scopes).unwrap();
            world.client_with(move |settings| settings.scopes = Some(scopes))
        };
        let secret = async |client: Client| client.access_token(None).await.unwrap().secret.expose().to_owned();
        let narrow = secret(with("mcp:read")).await;
        let default = secret(world.client()).await;
        assert_ne!(default, narrow, "nobody has named its scopes");
        let wide = secret(with("mcp:read mcp:write mcp:infer")).await;
        world.seen();
        assert_eq!(secret(world.client()).await, default);
        assert_eq!(secret(with("mcp:read")).await, narrow);
        assert_eq!(secret(with("mcp:infer mcp:write mcp:read")).await, wide, "in whatever order");
        assert!(world.seen().is_empty(), "all of them without asking anybody");
        assert_eq!(world.client().kept_token().await.unwrap().unwrap().secret.expose(), default);
    }

    #[tokio::test]
    async fn a_registered_client_asks_for_no_more_than_it_was_registered_for() {
        for (registered, asked) in [("mcp:read", "mcp:read"), ("mcp:infer", "mcp:infer"), ("", "mcp:read mcp:write")] {
            let world = World::new().await;
            let client = world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
            let scopes = Some(Scopes::parse(registered).unwrap()).filter(|scopes| !scopes.is_empty());
            client.register(registration("ci", scopes)).await.unwrap();
            client.access_token(None).await.unwrap();
            let form = |seen: Vec<Seen>| seen.into_iter().find(|seen| seen.what == "POST /token").unwrap().body;
            assert_eq!(field(&form(world.seen()), "scope").unwrap(), asked);
            let wanted = client.settings().clone();
            let wanted = crate::client::Settings { scopes: Some(Scopes::parse("mcp:write").unwrap()), ..wanted };
            Client::new(wanted).unwrap().access_token(None).await.unwrap();
            assert_eq!(
                field(&form(world.seen()), "scope").unwrap(),
                "mcp:write",
                "what a person asks for is asked for"
            );
        }
    }

    fn token_requests(world: &World) -> usize {
        world.whats().iter().filter(|what| *what == "POST /token").count()
    }

    #[tokio::test]
    async fn a_kept_token_is_used_without_asking_anybody() {
        let world = World::new().await;
        let first = world.client().access_token(None).await.unwrap();
        assert_eq!(first.source, TokenSourceKind::Fetched);
        world.seen();
        let second = world.client().access_token(None).await.unwrap();
        assert_eq!((second.source, second.secret.expose()), (TokenSourceKind::Cached, first.secret.expose()));
        assert_eq!(second.scopes, first.scopes);
        assert!(world.seen().is_empty());
        assert_eq!(world.client().kept_token().await.unwrap().unwrap().secret.expose(), first.secret.expose());
    }

    #[tokio::test]
    async fn who_names_no_client_is_not_one_that_was_named_before() {
        let world = World::new().await;
        let named = world.client().access_token(None).await.unwrap();
        let unnamed = || world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
        let as_before = unnamed().access_token(None).await.unwrap();
        assert_eq!(as_before.secret.expose(), named.secret.expose(), "there is no other");
        for name in ["first", "second"] {
            world.clock.advance(Duration::from_secs(1));
            let registered = unnamed().register(registration(name, None)).await.unwrap();
            let id = registered.client.client_id;
            world.seen();
            for source in [TokenSourceKind::Fetched, TokenSourceKind::Cached] {
                assert_eq!(unnamed().access_token(None).await.unwrap().source, source, "{name}");
            }
            let asked = world.seen().into_iter().find(|seen| seen.what == "POST /token").unwrap();
            let proof = STANDARD.decode(asked.authorization.unwrap().strip_prefix("Basic ").unwrap()).unwrap();
            assert!(proof.starts_with(format!("{id}:").as_bytes()), "{}", String::from_utf8_lossy(&proof));
        }
        let again = world.client().access_token(None).await.unwrap();
        assert_eq!((again.source, again.secret.expose()), (TokenSourceKind::Cached, named.secret.expose()));
    }

    #[tokio::test]
    async fn a_token_is_replaced_before_it_expires() {
        let world = World::new().await;
        world.client().access_token(None).await.unwrap();
        world.clock.advance(Duration::from_secs(269));
        assert_eq!(world.client().access_token(None).await.unwrap().source, TokenSourceKind::Cached);
        world.clock.advance(Duration::from_secs(1));
        assert!(world.client().kept_token().await.unwrap().is_none());
        assert_eq!(world.client().access_token(None).await.unwrap().source, TokenSourceKind::Fetched);
        assert_eq!(token_requests(&world), 2);
    }

    #[tokio::test]
    async fn a_token_without_a_known_end_is_not_kept() {
        let world = World::new().await;
        world.change(|rules| rules.expires_in = None);
        assert!(world.client().access_token(None).await.unwrap().expires_at.is_none());
        assert!(world.files("tokens").is_empty());
    }

    #[tokio::test]
    async fn twenty_at_once_ask_once() {
        let world = World::new().await;
        let asking: Vec<_> = (0..20)
            .map(|_| {
                let client = world.client();
                tokio::spawn(async move { client.access_token(None).await.unwrap().secret.expose().to_owned() })
            })
            .collect();
        let mut tokens = Vec::new();
        for asked in asking {
            tokens.push(asked.await.unwrap());
        }
        tokens.dedup();
        assert_eq!(tokens.len(), 1);
        assert_eq!(token_requests(&world), 1);
    }

    #[tokio::test]
    async fn what_a_token_is_for_decides_which_is_used() {
        let world = World::new().await;
        world.client().access_token(None).await.unwrap();
        for other in [
            world.client_with(|settings| settings.client_id = Some("other".to_owned())),
            world.client_with(|settings| settings.resource = Some(Resource::parse("https://mcp.example").unwrap())),
            world.client_with(|settings| settings.scopes = Some(Scopes::parse("mcp:read").unwrap())),
            world.client_with(|settings| settings.force_new = true),
        ] {
            assert_eq!(other.access_token(None).await.unwrap().source, TokenSourceKind::Fetched);
        }
        let elsewhere = Url::parse(&world.origin.replace("127.0.0.1", "localhost")).unwrap();
        let same = world.client_with(|settings| settings.issuer_backchannel_url = Some(elsewhere));
        assert_eq!(same.access_token(None).await.unwrap().source, TokenSourceKind::Fetched);
    }

    #[tokio::test]
    async fn a_token_for_one_server_is_never_sent_to_another() {
        let (world, other) = (World::new().await, World::new().await);
        world.client().access_token(None).await.unwrap();
        // The same issuer, the same client, the same resource by request: still another server.
        other.lie_as_resource("authorization_servers", vec![world.origin.clone()]);
        let server = Resource::parse(&format!("{}/mcp", other.origin)).unwrap();
        let client = world.client_with(|settings| {
            settings.resource = Some(settings.server.clone());
            settings.server = server;
            settings.issuer = Some(Issuer::parse(&world.origin).unwrap());
        });
        assert!(client.kept_token().await.unwrap().is_none());
        assert_eq!(client.access_token(None).await.unwrap().source, TokenSourceKind::Fetched);
        assert!(other.seen().iter().all(|seen| seen.authorization.is_none()));
    }

    #[tokio::test]
    async fn damaged_files_are_no_tokens_and_are_replaced() {
        let world = World::new().await;
        world.client().access_token(None).await.unwrap();
        for folder in ["tokens", "servers"] {
            for content in ["", "{", "{\"server\":1}", "\u{0}\u{0}"] {
                std::fs::write(&world.files(folder)[0], content).unwrap();
                assert_ne!(world.client().access_token(None).await.unwrap().secret.expose(), "");
                let kept = world.client().access_token(None).await.unwrap();
                assert_eq!(kept.source, TokenSourceKind::Cached, "{folder} {content:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_token_that_was_copied_to_another_name_is_not_used() {
        let world = World::new().await;
        world.client().access_token(None).await.unwrap();
        let other = world.client_with(|settings| settings.client_id = Some("other".to_owned()));
        other.access_token(None).await.unwrap();
        let files = world.files("tokens");
        std::fs::copy(&files[0], &files[1]).unwrap();
        let source = |client: Client| async move { client.obtain(Need::default()).await.unwrap().token.source };
        let sources = [source(world.client()).await, source(other).await];
        assert!(sources.contains(&TokenSourceKind::Fetched), "{sources:?}");
    }

    #[tokio::test]
    async fn files_that_others_can_read_or_redirect_are_an_error() {
        let world = World::new().await;
        world.client().access_token(None).await.unwrap();
        let file = world.files("tokens").remove(0);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = world.client().access_token(None).await.unwrap_err();
        assert!(matches!(error, ClientError::Store(StoreError::Unsafe { .. })), "{error}");
        let elsewhere = world.root.path().join("elsewhere");
        std::fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert!(matches!(world.client().access_token(None).await, Err(ClientError::Store(_))));
    }

    #[tokio::test]
    async fn nothing_is_left_on_disk_by_a_token_from_elsewhere_or_without_leave() {
        let world = World::new().await;
        let given = world.client_with(|settings| settings.token = Some(Secret::new("given")));
        let token = given.access_token(Some(&Challenge::default())).await.unwrap();
        assert_eq!((token.source, token.secret.expose()), (TokenSourceKind::Given, "given"));
        assert!(world.seen().is_empty());
        let shy = world.client_with(|settings| settings.persist = false);
        assert_eq!(shy.access_token(None).await.unwrap().source, TokenSourceKind::Fetched);
        assert_eq!(shy.access_token(None).await.unwrap().source, TokenSourceKind::Fetched);
        assert!(!world.state_dir().exists());
    }
}
