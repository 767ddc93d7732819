//! The client of a deployment: registered by `serve`, once, and kept in the state directory. Replicas that share the
//! directory share the client; others find it in Redis, if they have the key that it is sealed with there.
//!
//! Whoever runs commands with the same state directory gets tokens as this client. The server has no use for it: it
//! judges tokens by the issuer's keys, or asks as the client of `issuer.introspection`, since Keycloak calls each token
//! inactive that is not also for the client that asks.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    client::{Client, ClientError, KeycloakAdmin, Registered, RegistrationRequest, Settings, SharedClient},
    clock::SharedClock,
    config::{Config, IssuerChoice},
    hint::{Hint as _, chain},
    oauth::AuthMethod,
    said::said,
    server::Server,
};

/// What it is called, for people, and among all registrations of a state directory. The same in every replica.
const NAME: &str = "securemcp server";

/// How long one request may take: whoever gives up too early leaves a client behind that nobody knows.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Between the first two tries; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How often a replica looks whether it is another's turn no more.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// How often replicas tell each other again.
const BETWEEN_REMINDERS: Duration = Duration::from_mins(1);

/// What is said where there may be replicas that cannot find the client in Redis: its secret is not kept there in clear.
const FOR_REPLICAS: &str = "replicas with a `state_dir` of their own each register another client; set \
    `client.registration_key` (SECUREMCP_REGISTRATION_KEY_FILE) to the same secret for all of them, and they share one";

/// A registration that is to be there.
pub(super) struct Registration {
    client: Client,
    request: RegistrationRequest,
    /// Where other replicas find it.
    shared: Option<SharedClient>,
    /// Whether there may be replicas that do not.
    divides: bool,
}

impl Registration {
    /// What this configuration wants for this server, if it wants it. Touches neither network nor disk.
    pub(super) fn of(config: &Config, server: &Server, clock: SharedClock) -> Result<Option<Self>, ClientError> {
        let IssuerChoice::External { url, backchannel_url, .. } = &config.issuer.choice else { return Ok(None) };
        if !config.client.use_dcr {
            return Ok(None);
        }
        let settings = Settings {
            server: server.resource().clone(),
            issuer: Some(url.clone()),
            issuer_backchannel_url: backchannel_url.clone(),
            client_id: None,
            client_secret: None,
            private_key: None,
            voucher: None,
            client_metadata_url: None,
            dpop: false,
            grant: None,
            person: None,
            login_timeout: Duration::ZERO,
            token: None,
            scopes: None,
            resource: None,
            state_dir: config.state_dir.clone(),
            persist: true,
            force_new: false,
            timeout: TIMEOUT,
            extra_roots: Vec::new(),
            clock,
        };
        let scopes = config.scopes_supported.as_ref().unwrap_or_else(|| server.feature_scopes()).clone();
        let admin = config.client.keycloak_admin.clone().zip(config.client.keycloak_admin_password.clone());
        let request = RegistrationRequest {
            name: NAME.to_owned(),
            grants: vec!["client_credentials".to_owned()],
            redirect_uris: Vec::new(),
            scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
            auth_method: AuthMethod::ClientSecretBasic,
            initial_access_token: config.client.initial_access_token.clone().filter(|_| admin.is_none()),
            keycloak_admin: admin.map(|(user, password)| KeycloakAdmin { user, password }),
            // What a person registered here since the first start stays what commands use.
            takes_over: false,
        };
        let key = config.client.registration_key.as_ref();
        let shared = server.redis().zip(key).map(|(redis, key)| SharedClient::new(Arc::clone(redis), key));
        let divides = config.redis.is_some() && shared.is_none();
        Ok(Some(Self { client: Client::new(settings)?, request, shared, divides }))
    }

    /// Registers, or finds what another start or another replica has registered; tries until it is done or `stop` is
    /// cancelled, which never interrupts a request. Then sees to it that other replicas find it.
    pub(super) async fn run(self, stop: CancellationToken) {
        if let (Some(registered), Some(shared)) = (self.registered(&stop).await, &self.shared) {
            stop.run_until_cancelled(async {
                loop {
                    tokio::time::sleep(BETWEEN_REMINDERS).await;
                    if let Err(error) = self.client.share_again(&registered, NAME, shared).await {
                        debug!(error = chain(&error), "the client of this deployment is not shared again");
                    }
                }
            })
            .await;
        }
    }

    async fn registered(&self, stop: &CancellationToken) -> Option<Registered> {
        let mut pause = FIRST_PAUSE;
        loop {
            let tried = match &self.shared {
                Some(shared) => self.client.register_once(self.request.clone(), shared).await,
                None => self.client.register(self.request.clone()).await.map(Some),
            };
            let error = match tried {
                Ok(None) => {
                    stop.run_until_cancelled(tokio::time::sleep(BETWEEN_LOOKS)).await?;
                    continue;
                }
                Ok(Some(registered)) => {
                    let (client_id, file) = (said(&registered.client.client_id), registered.file.display());
                    let issuer = &registered.issuer;
                    if registered.reused {
                        info!(client_id, %issuer, %file, "the client of this deployment is the one that was kept");
                    } else {
                        let hint = self.divides.then_some(FOR_REPLICAS);
                        info!(client_id, %issuer, %file, hint, "registered the client of this deployment");
                    }
                    return Some(registered);
                }
                Err(error) => error,
            };
            let (problem, hint) = (chain(&error), error.hint());
            if error.is_final() {
                error!(
                    error = problem,
                    hint, "the registration of this deployment is not done; not tried again before a restart"
                );
                return None;
            }
            warn!(
                error = problem,
                hint,
                retry_in_s = pause.as_secs(),
                "the registration of this deployment is not done yet"
            );
            stop.run_until_cancelled(tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
