//! Dynamic client registration: RFC 7591.

use std::path::PathBuf;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::{
    Client, ClientError,
    error::REGISTRATION,
    grant::{CLIENT_CREDENTIALS, ask},
    identity::{Identity, Proof},
    initial_token::InitialTokenProblem,
    keycloak::{KeycloakAdmin, Realm},
};
use crate::{
    jose::SigningKey,
    oauth::{AuthMethod, ClientMetadata, ErrorCode, Issuer, RegisteredClient, Scopes, ServerMetadata},
    secret::{Secret, sha256_base64url},
    store::{self, LocalClient, Lock, PrivateDir, StoreError},
};

const FOLDER: &str = "clients";

/// The name of clients that are registered for a login by themselves: people see it where they consent.
pub(super) const LOGIN_NAME: &str = "securemcp command line";

/// The lock of the order of all registrations, beside those of the files.
const ORDER: &str = "order";

/// Room that is taken on the disk before an issuer is asked for what it says only once, in bytes.
const ROOM_BYTES: usize = 64 * 1024;

/// What to register.
#[derive(Clone, Debug)]
pub(crate) struct RegistrationRequest {
    /// For people, and to tell several registrations at one issuer apart.
    pub name: String,
    /// The grants it will use.
    pub grants: Vec<String>,
    /// Where people come back to; none for machines.
    pub redirect_uris: Vec<String>,
    /// The scopes it may ask for.
    pub scopes: Option<Scopes>,
    /// How it will prove itself. For `private_key_jwt` a key is made and kept here.
    pub auth_method: AuthMethod,
    /// Opens the registration endpoint (RFC 7591 section 3). This account's own issuer opens without.
    pub initial_access_token: Option<Secret>,
    /// Whoever makes such a token at a Keycloak, and gives the new client's service account the roles of its scopes.
    pub keycloak_admin: Option<KeycloakAdmin>,
    /// Whether later commands use this client from now on, also if it was kept from before.
    pub takes_over: bool,
}

/// A registration that is safe on disk.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    /// Where.
    pub issuer: Issuer,
    /// What the issuer answered.
    pub client: RegisteredClient,
    /// Whether it was there before and still works.
    pub reused: bool,
    /// The file that keeps it.
    pub file: PathBuf,
}

/// A registration in its file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SavedClient {
    pub(super) issuer: Issuer,
    pub(super) reached_at: Url,
    pub(super) name: String,
    /// Seconds since the epoch.
    pub(super) registered_at: u64,
    /// Greater than that of every registration made or asked for before: times of one second do not say which is
    /// newest.
    #[serde(default)]
    pub(super) order: u64,
    /// What was asked for: a registration is used again only for the same.
    pub(super) requested: ClientMetadata,
    pub(super) client: RegisteredClient,
    /// PKCS#8 PEM, of `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) private_key: Option<Secret>,
    /// Whether it is meant for all replicas, and none of the others knows it yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_untold: bool,
}

/// Whose client a registration is to be.
pub(super) enum For {
    /// That of this state directory.
    Here,
    /// That of all replicas, who have told each other of this one.
    Replicas(Option<Box<SavedClient>>),
}

impl For {
    /// What may be used again, the better one first.
    ///
    /// What replicas have told each other counts for more than one that nobody was told of, and else the newer one: who
    /// brings back what was told once takes nothing away.
    fn best_first(self, kept: Option<&SavedClient>) -> Vec<SavedClient> {
        let mut found: Vec<_> = kept.cloned().into_iter().collect();
        if let Self::Replicas(Some(told)) = self {
            let is_better = |kept: &SavedClient| kept.is_untold || kept.registered_at <= told.registered_at;
            let order = kept.map_or(0, |kept| kept.order);
            let at = usize::from(!kept.is_none_or(is_better));
            found.insert(at, SavedClient { order, ..*told });
        }
        found
    }
}

impl SavedClient {
    pub(super) fn file_name(&self) -> String {
        file_name(&self.issuer, &self.reached_at, &self.name)
    }

    /// Every registration that is kept. Damaged files are skipped.
    fn all(state: &PrivateDir) -> Result<Vec<Self>, StoreError> {
        let folder = state.child(FOLDER)?;
        let mut all = Vec::new();
        for name in folder.names()? {
            all.extend(folder.read(&name)?.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok()));
        }
        Ok(all)
    }

    fn write(&self, state: &PrivateDir) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec_pretty(self).expect("strings, numbers and lists of them");
        state.child(FOLDER)?.write(&self.file_name(), &bytes)
    }

    /// Of the registrations at this issuer that are `wanted`, the one that was made or asked for last.
    pub(super) fn newest(
        state: &PrivateDir,
        issuer: &Issuer,
        reached_at: &Url,
        wanted: impl Fn(&Self) -> bool,
    ) -> Result<Option<Self>, StoreError> {
        let is_here = |saved: &Self| saved.issuer == *issuer && saved.reached_at == *reached_at;
        let all = Self::all(state)?.into_iter().filter(|saved| is_here(saved) && wanted(saved));
        Ok(all.max_by_key(|saved| (saved.order, saved.registered_at)))
    }

    /// Whether it has this id.
    pub(super) fn is(&self, client_id: &str) -> bool {
        self.client.client_id == client_id
    }

    /// Whether it was registered by itself, for a login.
    pub(super) fn is_automatic(&self) -> bool {
        self.name == LOGIN_NAME
    }

    /// Whether it was registered for this grant. An issuer may leave out what it does not give to strangers.
    pub(super) fn does(&self, grant: &str) -> bool {
        let has = |grants: &[String]| grants.iter().any(|known| known == grant);
        let granted = &self.client.metadata.grant_types;
        has(&self.requested.grant_types) && (granted.is_empty() || has(granted) || grant == CLIENT_CREDENTIALS)
    }

    /// Who it makes us.
    pub(super) fn identity(self) -> Identity {
        let registered_scopes = self.scopes();
        let proof = match (&self.private_key, self.client.client_secret) {
            (Some(pem), _) => Proof::key(pem),
            (None, Some(secret)) => Proof::Secret(secret),
            (None, None) => Proof::Nothing,
        };
        // An issuer that answers without it has taken what was asked for.
        let answered = self.client.metadata.token_endpoint_auth_method;
        let registered_method = answered.or(self.requested.token_endpoint_auth_method);
        Identity { client_id: self.client.client_id, registered_method, registered_scopes, proof }
    }

    /// What was asked for, less what the issuer took away. A list of the issuer's own making tells nothing: Keycloak
    /// names there what is optional, not what is allowed.
    fn scopes(&self) -> Option<Scopes> {
        let requested = self.requested.scope.clone()?;
        let granted = self.client.metadata.scope.as_ref();
        let both =
            Scopes::from_claims(requested.iter().filter(|scope| granted.is_some_and(|held| held.contains(scope))));
        Some(if both.is_empty() { requested } else { both })
    }

    fn is_for(&self, requested: &ClientMetadata, now_seconds: u64) -> bool {
        // The key is ours and new each time; everything else has to be the same.
        let without_key = |metadata: &ClientMetadata| json!(ClientMetadata { jwks: None, ..metadata.clone() });
        let expired = self.client.client_secret_expires_at.is_some_and(|at| at != 0 && at <= now_seconds);
        !expired && without_key(&self.requested) == without_key(requested)
    }
}

/// Of the scopes that were asked for, else of all that the client may have but those for a person who is away.
async fn grant_roles(
    realm: &Realm<'_>,
    requested: &ClientMetadata,
    client: &RegisteredClient,
) -> Result<(), ClientError> {
    if !requested.grant_types.iter().any(|grant| grant == CLIENT_CREDENTIALS) {
        return Ok(());
    }
    let offline = Scopes::from_claims(["offline_access"]);
    let all = || client.metadata.scope.clone().unwrap_or_default().without(&offline);
    realm.grant(&client.client_id, &requested.scope.clone().unwrap_or_else(all)).await
}

fn file_name(issuer: &Issuer, reached_at: &Url, name: &str) -> String {
    sha256_base64url(&serde_json::to_vec(&(issuer, reached_at, name)).expect("strings"))
}

impl RegistrationRequest {
    fn metadata(&self, key: Option<&SigningKey>) -> ClientMetadata {
        let codes = self.grants.iter().any(|grant| grant == "authorization_code");
        ClientMetadata {
            client_name: Some(self.name.clone()),
            grant_types: self.grants.clone(),
            response_types: codes.then(|| "code".to_owned()).into_iter().collect(),
            redirect_uris: self.redirect_uris.clone(),
            token_endpoint_auth_method: Some(self.auth_method),
            // Keycloak takes an empty list for good: the client could never ask for a scope.
            scope: self.scopes.clone().filter(|scopes| !scopes.is_empty()),
            application_type: Some("native".to_owned()),
            jwks: key.map(|key| json!({ "keys": [key.public_jwk()] })),
            jwks_uri: None,
        }
    }
}

impl Client {
    /// Registers a client and keeps it; a kept one of the same name that still works is used again, unless
    /// [`force_new`](super::Settings::force_new).
    ///
    /// It is on the disk before it is returned: the secret is shown once, and whoever loses it leaves a dead client behind.
    pub(crate) async fn register(&self, request: RegistrationRequest) -> Result<Registered, ClientError> {
        let issuer = self.issuer_to_register_at().await?;
        let (saved, reused) = Box::pin(self.register_at(issuer, request, For::Here)).await?;
        Ok(self.registered(saved, reused))
    }

    /// The same at this issuer; with whether it was there before.
    pub(super) async fn register_at(
        &self,
        issuer: ServerMetadata,
        request: RegistrationRequest,
        whom: For,
    ) -> Result<(SavedClient, bool), ClientError> {
        let is_untold = matches!(whom, For::Replicas(_));
        let key = (request.auth_method == AuthMethod::PrivateKeyJwt).then(SigningKey::generate);
        let now_seconds = self.settings.clock.since_epoch().as_secs();
        let (reached_at, requested) = (self.reached_at(&issuer.issuer), request.metadata(key.as_ref()));
        // Held to the end: a second process of the same request then finds the first one's client.
        let (_lock, kept) = self.lock_registration(&issuer.issuer, &reached_at, &request.name).await?;
        let fits = |saved: &SavedClient| !self.settings.force_new && saved.is_for(&requested, now_seconds);
        for found in whom.best_first(kept.as_ref()).into_iter().filter(fits) {
            let Some(found) = self.still_works(found).await? else { continue };
            if let Some(admin) = &request.keycloak_admin {
                let realm = Realm::open(self, &issuer.issuer, admin).await?;
                grant_roles(&realm, &requested, &found.client).await?;
            }
            let is_first = found.order == 0;
            let found = if request.takes_over || is_first { self.make_newest(found).await? } else { found };
            if let Some(kept) = kept.filter(|kept| kept.is_untold && !kept.is(&found.client.client_id)) {
                self.end(&kept).await?;
            }
            return Ok((found, true));
        }
        let realm = match &request.keycloak_admin {
            Some(admin) => Some(Realm::open(self, &issuer.issuer, admin).await?),
            None => None,
        };
        let initial_access_token = match (request.initial_access_token, &realm) {
            (Some(token), _) => {
                self.may_show("an initial access token", &issuer.issuer)?;
                Some(token)
            }
            (None, Some(realm)) => Some(realm.initial_access_token().await?),
            (None, None) => self.own_initial_access_token(&issuer.issuer).await?,
        };
        let client = self.ask_with_room(&issuer, &requested, &request.name, initial_access_token).await?;
        let saved = SavedClient {
            issuer: issuer.issuer,
            reached_at,
            name: request.name,
            registered_at: now_seconds,
            order: 0,
            requested,
            client,
            private_key: key.as_ref().map(SigningKey::to_pem),
            is_untold,
        };
        let saved = self.make_newest(saved).await?;
        // After it was saved: whoever runs this again finds the client, and only the roles are missing.
        if let Some(realm) = &realm {
            grant_roles(realm, &saved.requested, &saved.client).await?;
        }
        Ok((saved, false))
    }

    /// Waits for the lock of a registration, then reads it.
    pub(super) async fn lock_registration(
        &self,
        issuer: &Issuer,
        reached_at: &Url,
        name: &str,
    ) -> Result<(Lock, Option<SavedClient>), ClientError> {
        let name = file_name(issuer, reached_at, name);
        self.on_disk(move |state| {
            let folder = state.child(FOLDER)?;
            let lock = folder.lock(&name)?;
            let kept = folder.read(&name)?.and_then(|bytes| serde_json::from_slice::<SavedClient>(&bytes).ok());
            Ok((lock, kept))
        })
        .await
    }

    /// Registers a client when there is room for what the issuer says only once.
    pub(super) async fn ask_with_room(
        &self,
        issuer: &ServerMetadata,
        metadata: &ClientMetadata,
        name: &str,
        initial_access_token: Option<Secret>,
    ) -> Result<RegisteredClient, ClientError> {
        let name = file_name(&issuer.issuer, &self.reached_at(&issuer.issuer), name);
        self.take_room(name.clone()).await?;
        let answered = self.ask_to_register(issuer, metadata, initial_access_token).await;
        if answered.is_err() {
            self.leave_room(name).await?;
        }
        answered
    }

    /// The configured issuer, else the server's.
    pub(super) async fn issuer_to_register_at(&self) -> Result<ServerMetadata, ClientError> {
        match &self.settings.issuer {
            Some(issuer) => self.issuer_metadata(issuer).await,
            None => Ok(self.discover(None).await?.issuer),
        }
    }

    async fn ask_to_register(
        &self,
        issuer: &ServerMetadata,
        metadata: &ClientMetadata,
        initial_access_token: Option<Secret>,
    ) -> Result<RegisteredClient, ClientError> {
        let url = self.endpoint(&issuer.issuer, "registration", issuer.registration_endpoint.as_ref())?;
        let http = self.web.at(&url)?;
        let mut request = http.request(Method::POST, &url).header("accept", "application/json").json(metadata);
        if let Some(token) = &initial_access_token {
            request = request.bearer_auth(token.expose());
        }
        let document =
            ask(http, REGISTRATION, &url, request).await.map_err(|error| match (error, &initial_access_token) {
                (ClientError::Refused { code: ErrorCode::InvalidToken, url, answer, .. }, Some(token)) => {
                    let now = self.settings.clock.since_epoch();
                    let problem = InitialTokenProblem::of(token, &issuer.issuer, &answer, now);
                    ClientError::InitialTokenRefused { url, answer, problem }
                }
                (ClientError::Refused { code: ErrorCode::InvalidClientMetadata, answer, .. }, _)
                    if let Some(grant) = metadata.grant_types.iter().find(|grant| !issuer.supports_grant(grant)) =>
                {
                    ClientError::GrantNotOffered {
                        issuer: issuer.issuer.to_string(),
                        grant: grant.clone(),
                        offered: issuer.grant_types_supported.clone(),
                        answer,
                    }
                }
                (error, _) => error,
            })?;
        // The parser's words would quote the answer, and with it perhaps the secret.
        let problem = "it is no registered client (RFC 7591 section 3.2.1)".to_owned();
        document.json().map_err(|_| ClientError::BadAnswer { action: REGISTRATION, url: url.to_string(), problem })
    }

    /// The embedded issuer of this account left its initial access token beside its client; no other issuer sees it.
    pub(super) async fn own_initial_access_token(&self, issuer: &Issuer) -> Result<Option<Secret>, ClientError> {
        let issuer = issuer.clone();
        self.on_disk(move |state| match LocalClient::load(state)? {
            Some(local) if local.issuer == issuer => store::initial_access_token(state).map(Some),
            _ => Ok(None),
        })
        .await
    }

    /// Looks whether the issuer still knows a kept client. One that cannot be looked at counts as working.
    async fn still_works(&self, kept: SavedClient) -> Result<Option<SavedClient>, ClientError> {
        match self.look_at(kept.clone()).await {
            Ok(kept) => Ok(Some(kept)),
            Err(ClientError::NotOffered { .. }) => Ok(Some(kept)),
            Err(
                ClientError::Refused { code: ErrorCode::InvalidToken | ErrorCode::InvalidClient, .. }
                | ClientError::Status { status: 401 | 403 | 404, .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the room of a registration on the disk, until it is written: a secret that is said once must not meet a
    /// full disk.
    pub(super) async fn take_room(&self, file_name: String) -> Result<(), ClientError> {
        self.on_disk(move |state| state.child(FOLDER)?.take_room(&file_name, ROOM_BYTES)).await
    }

    /// Gives back what [`take_room`](Self::take_room) took: there is nothing to write.
    pub(super) async fn leave_room(&self, file_name: String) -> Result<(), ClientError> {
        self.on_disk(move |state| state.child(FOLDER)?.leave_room(&file_name)).await
    }

    /// Writes a registration to its file, and gives it back.
    pub(super) async fn keep_registration(&self, saved: SavedClient) -> Result<SavedClient, ClientError> {
        self.on_disk(move |state| saved.write(state).map(|()| saved)).await
    }

    /// The same, and later commands use this one.
    async fn make_newest(&self, mut saved: SavedClient) -> Result<SavedClient, ClientError> {
        self.on_disk(move |state| {
            let _lock = state.child(FOLDER)?.lock(ORDER)?;
            let last = SavedClient::all(state)?.into_iter().map(|saved| saved.order).max().unwrap_or_default();
            if saved.order == 0 || saved.order < last {
                saved.order = last + 1;
                saved.write(state)?;
            }
            Ok(saved)
        })
        .await
    }

    /// Forgets a registration.
    pub(super) async fn drop_registration(&self, saved: &SavedClient) -> Result<(), ClientError> {
        let name = saved.file_name();
        self.on_disk(move |state| state.child(FOLDER)?.remove(&name).map(drop)).await
    }

    pub(super) fn registered(&self, saved: SavedClient, reused: bool) -> Registered {
        let file = self.settings.state_dir.join(FOLDER).join(saved.file_name());
        Registered { issuer: saved.issuer, client: saved.client, reused, file }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use serde_json::Value;

    use super::*;
    use crate::client::{Settings, testing::World};

    fn request() -> RegistrationRequest {
        RegistrationRequest {
            name: "ci".to_owned(),
            grants: vec!["client_credentials".to_owned()],
            redirect_uris: Vec::new(),
            scopes: Some(Scopes::parse("mcp:read").unwrap()),
            auth_method: AuthMethod::ClientSecretBasic,
            initial_access_token: Some(Secret::new("iat")),
            keycloak_admin: None,
            takes_over: true,
        }
    }

    fn nobody(world: &World, change: impl FnOnce(&mut Settings)) -> Client {
        world.client_with(|settings| {
            (settings.client_id, settings.client_secret) = (None, None);
            change(settings);
        })
    }

    fn registrations(world: &World) -> usize {
        world.whats().iter().filter(|what| *what == "POST /register").count()
    }

    #[tokio::test]
    async fn a_registration_is_on_disk_and_gets_tokens() {
        let world = World::new().await;
        let registered = nobody(&world, |_| {}).register(request()).await.unwrap();
        assert!(!registered.reused);
        assert_eq!(std::fs::metadata(&registered.file).unwrap().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&registered.file).unwrap().contains("registered-secret"));
        let seen = world.seen().into_iter().find(|seen| seen.what == "POST /register").unwrap();
        assert_eq!(seen.authorization.as_deref(), Some("Bearer iat"));
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        let expected = json!({
            "client_name": "ci", "grant_types": ["client_credentials"], "scope": "mcp:read",
            "token_endpoint_auth_method": "client_secret_basic", "application_type": "native",
        });
        assert_eq!(body, expected);
        nobody(&world, |_| {}).access_token(None).await.unwrap();
        let seen = world.seen().into_iter().find(|seen| seen.what == "POST /token").unwrap();
        assert!(seen.authorization.unwrap().starts_with("Basic "));
    }

    #[tokio::test]
    async fn a_registration_that_works_is_used_again() {
        let world = World::new().await;
        let first = nobody(&world, |_| {}).register(request()).await.unwrap();
        let second = nobody(&world, |_| {}).register(request()).await.unwrap();
        assert!(second.reused);
        assert_eq!(second.client.client_id, first.client.client_id);
        assert_eq!(registrations(&world), 1);
        nobody(&world, |settings| settings.force_new = true).register(request()).await.unwrap();
        let other = RegistrationRequest { scopes: None, ..request() };
        nobody(&world, |_| {}).register(other).await.unwrap();
        assert_eq!(registrations(&world), 2);
    }

    #[tokio::test]
    async fn a_registration_that_the_issuer_forgot_is_made_anew() {
        let world = World::new().await;
        let first = nobody(&world, |_| {}).register(request()).await.unwrap();
        let gone = (401, json!({"error": "invalid_token"}));
        world.change(|rules| drop(rules.answers.insert("/register/it".to_owned(), gone)));
        let second = nobody(&world, |_| {}).register(request()).await.unwrap();
        assert!(!second.reused && second.client.client_id != first.client.client_id);
    }

    #[tokio::test]
    async fn two_at_once_register_once() {
        let world = World::new().await;
        let (one, two) = (nobody(&world, |_| {}), nobody(&world, |_| {}));
        let (one, two) = tokio::join!(one.register(request()), two.register(request()));
        assert_eq!(one.unwrap().client.client_id, two.unwrap().client.client_id);
        assert_eq!(registrations(&world), 1);
    }

    #[tokio::test]
    async fn a_key_of_our_own_stays_here() {
        let world = World::new().await;
        let asked = RegistrationRequest { auth_method: AuthMethod::PrivateKeyJwt, ..request() };
        let registered = nobody(&world, |_| {}).register(asked).await.unwrap();
        assert!(world.seen().iter().all(|seen| !seen.body.contains("PRIVATE KEY") && !seen.body.contains("\"d\"")));
        assert!(registered.client.metadata.jwks.is_some());
        nobody(&world, |_| {}).access_token(None).await.unwrap();
        let seen = world.seen().into_iter().find(|seen| seen.what == "POST /token").unwrap();
        assert!(seen.body.contains("client_assertion="));
    }

    #[tokio::test]
    async fn the_initial_access_token_of_this_account_is_for_its_own_issuer() {
        let world = World::new().await;
        let state = PrivateDir::open(&world.state_dir()).unwrap();
        let token = store::initial_access_token(&state).unwrap();
        let save = |issuer: &str| {
            let private_key = SigningKey::generate().to_pem();
            let issuer = Issuer::parse(issuer).unwrap();
            LocalClient { issuer, client_id: "local".to_owned(), private_key }.save(&state).unwrap();
        };
        let sent = |world: &World| {
            let seen = world.seen();
            seen.into_iter().find(|seen| seen.what == "POST /register").unwrap().authorization
        };
        let asked = || RegistrationRequest { initial_access_token: None, ..request() };
        save("http://127.0.0.1:1");
        nobody(&world, |_| {}).register(asked()).await.unwrap();
        assert_eq!(sent(&world), None);
        save(&world.origin);
        nobody(&world, |settings| settings.force_new = true).register(asked()).await.unwrap();
        assert_eq!(sent(&world).unwrap(), format!("Bearer {}", token.expose()));
    }

    #[tokio::test]
    async fn a_client_of_one_issuer_is_not_shown_to_another() {
        let (world, other) = (World::new().await, World::new().await);
        nobody(&world, |_| {}).register(request()).await.unwrap();
        let client = nobody(&world, |settings| settings.server = other.settings().server);
        assert!(matches!(client.access_token(None).await, Err(ClientError::NoIdentity { .. })));
    }
}
