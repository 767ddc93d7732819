//! Tokens that are kept: one file each, one writer at a time, and one request even if twenty processes ask at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Client, ClientError, Discovery,
    servers::{Era, KnownServer},
};
use crate::{
    oauth::{Challenge, Issuer, Resource, Scopes},
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
    /// Since the epoch, if the issuer said.
    pub expires_at: Option<Duration>,
    /// Where it came from.
    pub source: TokenSourceKind,
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
}

/// A token in its file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptToken {
    #[serde(flatten)]
    pub(super) key: TokenKey,
    pub(super) access_token: Secret,
    /// What was granted.
    granted: Option<Scopes>,
    /// Since the epoch.
    expires_at_seconds: u64,
}

/// A token in use, and the scopes it was asked with.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) token: AccessToken,
    pub(super) asked: Option<Scopes>,
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
    fn file_name(&self) -> String {
        let scopes = self.scopes.as_ref().map(|scopes| {
            let mut sorted: Vec<_> = scopes.iter().collect();
            sorted.sort_unstable();
            sorted
        });
        let parts = (&self.server, &self.issuer, &self.reached_at, &self.client_id, &self.resource, scopes);
        sha256_base64url(&serde_json::to_vec(&parts).expect("strings and lists of strings"))
    }

    fn read(&self, folder: &PrivateDir) -> Result<Option<KeptToken>, StoreError> {
        let bytes = folder.read(&self.file_name())?;
        // A damaged file is no token; the next one is written over it.
        let kept = bytes.and_then(|bytes| serde_json::from_slice::<KeptToken>(&bytes).ok());
        Ok(kept.filter(|kept| kept.key == *self))
    }
}

impl KeptToken {
    /// Every kept token of this server, with the name of its file.
    pub(super) fn all(folder: &PrivateDir, server: &Resource) -> Result<Vec<(String, Self)>, StoreError> {
        let mut found = Vec::new();
        for name in folder.names()? {
            let kept = folder.read(&name)?.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
            found.extend(kept.filter(|kept| kept.key.server == *server).map(|kept| (name, kept)));
        }
        Ok(found)
    }

    fn expires_at(&self) -> Duration {
        Duration::from_secs(self.expires_at_seconds)
    }

    fn held(self, source: TokenSourceKind) -> Held {
        let token = AccessToken {
            expires_at: Some(self.expires_at()),
            scopes: self.granted.or_else(|| self.key.scopes.clone()),
            secret: self.access_token,
            source,
        };
        Held { token, asked: self.key.scopes }
    }
}

/// The folder of the kept tokens.
pub(super) fn folder(state: &PrivateDir) -> Result<PrivateDir, StoreError> {
    state.child(FOLDER)
}

impl Client {
    /// The token that is given or kept and still good, else a new one. A challenge says that a kept one may not be what
    /// the server wants: then the way is found anew.
    pub async fn access_token(&self, challenge: Option<&Challenge>) -> Result<AccessToken, ClientError> {
        if challenge.is_none()
            && let (Some(held), _) = self.recall().await?
        {
            return Ok(held.token);
        }
        Ok(self.obtain(Need { challenge, ..Need::default() }).await?.token)
    }

    /// The token that is given or kept and still good; nobody is asked for a new one.
    pub async fn kept_token(&self) -> Result<Option<AccessToken>, ClientError> {
        Ok(self.recall().await?.0.map(|held| held.token))
    }

    /// The token to send first and how to begin, as far as they are known without asking anybody.
    pub(super) async fn recall(&self) -> Result<(Option<Held>, Option<Era>), ClientError> {
        if let Some(secret) = self.settings.token.clone() {
            let token = AccessToken { secret, scopes: None, expires_at: None, source: TokenSourceKind::Given };
            return Ok((Some(Held { token, asked: None }), None));
        }
        if !self.settings.keeps() {
            return Ok((None, None));
        }
        let client = self.clone();
        self.on_disk(move |state| {
            let Some(known) = KnownServer::load(state, &client.settings.server)? else {
                return Ok((None, None));
            };
            let held = match known.token.filter(|key| client.fits(key)) {
                Some(key) => key.read(&folder(state)?)?.filter(|kept| client.is_fresh(kept)),
                None => None,
            };
            Ok((held.map(|kept| kept.held(TokenSourceKind::Cached)), known.era))
        })
        .await
    }

    /// Whether the settings of this run would lead to this token.
    fn fits(&self, key: &TokenKey) -> bool {
        let settings = &self.settings;
        !settings.force_new
            && settings.issuer.as_ref().is_none_or(|issuer| *issuer == key.issuer)
            && self.reached_at(&key.issuer) == key.reached_at
            && settings.client_id.as_ref().is_none_or(|client_id| *client_id == key.client_id)
            && *settings.resource() == key.resource
            && settings.scopes.as_ref().is_none_or(|scopes| Some(scopes) == key.scopes.as_ref())
    }

    fn is_fresh(&self, kept: &KeptToken) -> bool {
        kept.expires_at() > self.settings.clock.since_epoch() + MIN_LIFE_LEFT
    }

    /// Finds the issuer, then takes a token that somebody got meanwhile, or asks for one.
    pub(super) async fn obtain(&self, need: Need<'_>) -> Result<Held, ClientError> {
        let discovery = self.discover(need.challenge).await?;
        let issuer = &discovery.issuer.issuer;
        let identity = self.identity(issuer).await?;
        let key = TokenKey {
            server: self.settings.server.clone(),
            issuer: issuer.clone(),
            reached_at: self.reached_at(issuer),
            client_id: identity.client_id.clone(),
            resource: self.settings.resource().clone(),
            scopes: self.choose_scopes(&need, &discovery),
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
            return Ok(kept.held(TokenSourceKind::Cached));
        }
        let now = self.settings.clock.since_epoch();
        let response =
            self.client_credentials(&discovery.issuer, &identity, &key.resource, key.scopes.as_ref()).await?;
        let Some(life) = response.expires_in else {
            let scopes = response.scope.or_else(|| key.scopes.clone());
            let source = TokenSourceKind::Fetched;
            let token = AccessToken { secret: response.access_token, scopes, expires_at: None, source };
            return Ok(Held { token, asked: key.scopes });
        };
        let kept = KeptToken {
            key: key.clone(),
            access_token: response.access_token,
            granted: response.scope,
            expires_at_seconds: now.as_secs().saturating_add(life),
        };
        if self.settings.keeps() {
            let bytes = serde_json::to_vec_pretty(&kept).expect("strings and numbers");
            let name = key.file_name();
            self.on_disk(move |state| folder(state)?.write(&name, &bytes)).await?;
            self.note_token(key).await?;
        }
        Ok(kept.held(TokenSourceKind::Fetched))
    }

    /// What the settings say, else the challenge, else the resource's own list (MCP 2026-07-28, scope selection).
    fn choose_scopes(&self, need: &Need<'_>, discovery: &Discovery) -> Option<Scopes> {
        let challenged = || need.challenge.and_then(|challenge| challenge.scope.clone());
        let published = || {
            let (metadata, _) = discovery.resource.as_ref()?;
            Some(Scopes::from_claims(metadata.scopes_supported.iter().map(String::as_str)))
        };
        let chosen = need.scopes.clone().or_else(|| self.settings.scopes.clone()).or_else(challenged);
        chosen.or_else(published).filter(|scopes| !scopes.is_empty())
    }

    async fn note_token(&self, key: TokenKey) -> Result<(), ClientError> {
        self.on_disk(move |state| KnownServer::update(state, &key.server.clone(), |known| known.token = Some(key)))
            .await
    }
}

/// Waits for the token's lock, then looks whether there is a token that the server did not refuse.
fn take_turn(
    state: &PrivateDir,
    key: &TokenKey,
    refused: Option<&Secret>,
) -> Result<(Option<crate::store::Lock>, Option<KeptToken>), StoreError> {
    let folder = folder(state)?;
    let lock = folder.lock(&key.file_name())?;
    let kept = key.read(&folder)?;
    if let (Some(kept), Some(refused)) = (&kept, refused)
        && kept.access_token.expose() == refused.expose()
    {
        folder.remove(&key.file_name())?;
        return Ok((Some(lock), None));
    }
    Ok((Some(lock), kept))
}
