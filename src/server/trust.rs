//! Whose tokens are taken, and by which keys they are judged.

use std::sync::Arc;

use axum::Router;

use super::{FETCH_TIMEOUT, StartError, docs, names::Names};
use crate::{
    auth::{
        Authenticator, Introspection, Introspector, IsRevoked, Jwks, Keys, Principal, Revocations, Rules, SharedKeys,
        Source,
    },
    clock::SharedClock,
    config::{Config, IssuerChoice},
    issuer::{Embedded, PAGE_CLIENT},
    jose::{Expect, KeySet},
    net::{Http, Options},
    oauth::{Issuer, Scopes},
    store::{PrivateDir, Redis},
    telemetry::metrics::Metrics,
};

/// The issuer, for the whole life of a server.
pub(super) struct Trust {
    name: Issuer,
    source: IssuerSource,
    clock: SharedClock,
}

#[derive(Clone)]
enum IssuerSource {
    /// This very server, and the scopes that it issues.
    Embedded { issuer: Arc<Embedded>, scopes: Scopes },
    /// Somebody else, by whose keys tokens are judged.
    Keys(Arc<Jwks>),
    /// Somebody else, who is asked about tokens.
    Told(Arc<Introspection>),
}

impl Trust {
    /// Opens the embedded issuer, or prepares to fetch another's keys.
    pub(super) fn open(
        config: &Config,
        names: &Names,
        scopes: Scopes,
        state: &PrivateDir,
        clock: SharedClock,
        redis: Option<&Arc<Redis>>,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        match &config.issuer.choice {
            IssuerChoice::Embedded { resources, cimd_allow_loopback, users, auto_approve, .. } => {
                let origin = names.resource().url().origin().ascii_serialization();
                let name = Issuer::parse(&origin).expect("a resource is https, or http on loopback");
                let resources = names.resources().chain(resources).cloned().collect();
                let settings = crate::issuer::Settings {
                    issuer: name.clone(),
                    resources,
                    own_page: names.resources().filter_map(docs::redirect_uri).collect(),
                    scopes: scopes.clone(),
                    cimd_allow_loopback: *cimd_allow_loopback,
                    users: users.clone(),
                    auto_approve: auto_approve.clone(),
                    dpop_nonce: config.dpop.nonce,
                    clock: Arc::clone(&clock),
                };
                let issuer = Embedded::open(state, settings)?;
                Ok(Self { name, source: IssuerSource::Embedded { issuer, scopes }, clock })
            }
            IssuerChoice::External { url, backchannel_url, jwks_uri } => {
                let source = Source { issuer: url.clone(), backchannel_url: backchannel_url.clone() };
                let http = Http::new(&Options::with_timeout(FETCH_TIMEOUT))?;
                let source = if let Some(settings) = &config.issuer.introspection {
                    let introspector = Introspector {
                        source,
                        endpoint: settings.endpoint.clone(),
                        client_id: settings.client_id.clone(),
                        client_secret: settings.client_secret.clone(),
                    };
                    IssuerSource::Told(Introspection::new(introspector, http, Arc::clone(&clock), metrics))
                } else {
                    let (copies, at, clock) = (state.child("issuers")?, jwks_uri.clone(), Arc::clone(&clock));
                    let shared = redis.zip(config.redis.as_ref());
                    let shared = shared.map(|(redis, settings)| SharedKeys::new(Arc::clone(redis), settings.ttl, url));
                    IssuerSource::Keys(Jwks::new(source, at, http, clock, Some(copies), shared, metrics))
                };
                Ok(Self { name: url.clone(), source, clock })
            }
        }
    }

    /// Its name.
    pub(super) fn issuer(&self) -> &Issuer {
        &self.name
    }

    /// As which client the page at `/docs` logs in, if it can.
    pub(super) fn page_client<'a>(&self, config: &'a Config) -> Option<&'a str> {
        match &self.source {
            IssuerSource::Embedded { .. } => Some(PAGE_CLIENT),
            IssuerSource::Keys(_) | IssuerSource::Told(_) => config.server.docs_client_id.as_deref(),
        }
    }

    /// The scopes that were fixed at the start, since the embedded issuer issues them.
    pub(super) fn fixed_scopes(&self) -> Option<&Scopes> {
        match &self.source {
            IssuerSource::Embedded { scopes, .. } => Some(scopes),
            IssuerSource::Keys(_) | IssuerSource::Told(_) => None,
        }
    }

    /// The embedded issuer's paths.
    pub(super) fn router(&self) -> Option<Router> {
        match &self.source {
            IssuerSource::Embedded { issuer, .. } => Some(issuer.router()),
            IssuerSource::Keys(_) | IssuerSource::Told(_) => None,
        }
    }

    /// What has to run for tokens to be judged, until it is dropped.
    pub(super) fn upkeep(&self) -> impl Future<Output = ()> + Send + 'static {
        let source = self.source.clone();
        async move {
            match source {
                IssuerSource::Embedded { .. } => {}
                IssuerSource::Keys(jwks) => jwks.run().await,
                IssuerSource::Told(introspection) => introspection.run().await,
            }
        }
    }

    /// A judge by the rules of this configuration, with nothing remembered.
    pub(super) fn authenticator(&self, config: &Config, names: &Names) -> Authenticator {
        let audiences = names.resources().map(|resource| resource.as_str().to_owned());
        let settings = &config.issuer;
        let (keys, revocations) = match &self.source {
            IssuerSource::Embedded { issuer, .. } => {
                let keys = KeySet::parse(&issuer.key_set()).expect("the embedded issuer writes key sets");
                let (issuer, news) = (Arc::clone(issuer), issuer.news());
                let is_revoked: IsRevoked = Arc::new(move |principal: &Principal| {
                    issuer.is_revoked(principal.token_id.as_deref(), principal.client_id.as_deref())
                });
                (Keys::Fixed(keys), Some(Revocations { is_revoked, news }))
            }
            IssuerSource::Keys(jwks) => (Keys::Remote(Arc::clone(jwks)), None),
            IssuerSource::Told(introspection) => (Keys::Told(Arc::clone(introspection)), None),
        };
        let rules = Rules {
            expect: Expect {
                issuer: self.name.clone(),
                audiences: audiences.chain(config.server.audiences.iter().cloned()).collect(),
                algorithms: settings.algorithms.clone(),
                leeway: settings.leeway,
            },
            allowed_clients: settings.allowed_clients.as_ref().map(|clients| clients.iter().cloned().collect()),
            revocations,
        };
        Authenticator::new(rules, keys, Arc::clone(&self.clock))
    }
}
