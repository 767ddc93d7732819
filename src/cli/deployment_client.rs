//! The client of a deployment: registered by `serve`, once, and kept in the state directory. Replicas that share the
//! directory share the client; there is no other way, since its secret belongs in no store that others can read.
//!
//! Whoever runs commands with the same state directory gets tokens as this client. The server has no use for it: it
//! judges tokens by the issuer's keys, or asks as the client of `issuer.introspection`, since Keycloak calls each token
//! inactive that is not also for the client that asks.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    client::{Client, ClientError, KeycloakAdmin, RegistrationRequest, Settings},
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

/// What is said where there may be replicas: a client's secret is not kept in Redis, so they cannot find it there.
const FOR_REPLICAS: &str = "replicas share this client only by sharing `state_dir`; each with a `state_dir` of its own \
    registers another, unless `client.use_dcr` is set for one of them only";

/// A registration that is to be there.
pub(super) struct Registration {
    client: Client,
    request: RegistrationRequest,
    /// Whether the deployment has replicas, as far as its configuration tells.
    has_replicas: bool,
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
        let scopes = config.scopes_supported.as_ref().unwrap_or_else(|| server.tool_scopes()).clone();
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
        Ok(Some(Self { client: Client::new(settings)?, request, has_replicas: config.redis.is_some() }))
    }

    /// Registers, or finds what another start or another replica has registered; tries until it is done or `stop` is
    /// cancelled, which never interrupts a request.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.client.register(self.request.clone()).await {
                Ok(registered) => {
                    let (client_id, file) = (said(&registered.client.client_id), registered.file.display());
                    let issuer = registered.issuer;
                    if registered.reused {
                        info!(client_id, %issuer, %file, "the client of this deployment is the one that was kept");
                    } else {
                        let hint = self.has_replicas.then_some(FOR_REPLICAS);
                        info!(client_id, %issuer, %file, hint, "registered the client of this deployment");
                    }
                    return;
                }
                Err(error) => error,
            };
            let (problem, hint) = (chain(&error), error.hint());
            if error.is_final() {
                error!(
                    error = problem,
                    hint, "the registration of this deployment is not done; not tried again before a restart"
                );
                return;
            }
            warn!(
                error = problem,
                hint,
                retry_in_s = pause.as_secs(),
                "the registration of this deployment is not done yet"
            );
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
