//! New settings for a server that runs: all that can change does at once, or nothing.
//!
//! A reload makes everything in front of the tools anew and swaps it in. Requests under way end with what they began with;
//! connections and sessions stay.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Lasting, StartError, dpop, layers::Layered, names::Names, tls::Tls};
use crate::config::{self, Config, Effective};

/// A server and its present settings.
pub(super) struct Running {
    pub(super) lasting: Lasting,
    pub(super) tls: Option<Tls>,
    routes: RwLock<Layered>,
    /// What it runs with, and what it was started with.
    config: Mutex<Config>,
    started_with: Vec<Effective>,
}

/// Changes the settings of a server that runs.
#[derive(Clone)]
pub struct Reloader(Arc<Running>);

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The keys that are set to something else than what the server runs with, and need a restart.
    pub need_restart: Vec<&'static str>,
}

impl Running {
    pub(super) fn new(lasting: Lasting, tls: Option<Tls>, config: Config) -> Self {
        let routes = RwLock::new(lasting.routes(&config));
        let started_with = config.effective.clone();
        Self { lasting, tls, routes, config: Mutex::new(config), started_with }
    }

    /// What answers the next request.
    pub(super) fn routes(&self) -> Layered {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reloader {
    pub(super) fn of(running: &Arc<Running>) -> Self {
        Self(Arc::clone(running))
    }

    /// Takes over what can change while the server runs. Blocks on the disk.
    ///
    /// # Errors
    /// The server's own certificate cannot be made for the new names, or a proof is asked for with a scope that nothing
    /// needs. Then nothing has changed.
    pub fn reload(&self, new: &Config) -> Result<Reloaded, StartError> {
        let Running { lasting, tls, routes, config, started_with } = &*self.0;
        let mut current = config.lock().unwrap_or_else(PoisonError::into_inner);
        let next = merged(&current, new, lasting.trust.fixed_scopes().is_some());
        // Whatever can fail comes first, and this changes nothing.
        dpop::check_scopes(&next.dpop, lasting.scopes(&next))?;
        if let (Some(tls), Some(settings)) = (tls, &next.server.tls) {
            let names = Names::new(&next.server, lasting.address);
            tls.renew(settings, &names, &lasting.state, lasting.clock.since_epoch())?;
        }
        let next_routes = lasting.routes(&next);
        lasting.sessions.set_limits(&next.limits);
        *routes.write().unwrap_or_else(PoisonError::into_inner) = next_routes;
        *current = next;
        let is_fixed = |key: &config::Key| {
            !key.reloads || key.path == "scopes.supported" && lasting.trust.fixed_scopes().is_some()
        };
        let differ = started_with.iter().zip(&new.effective).filter(|(old, new)| old.value != new.value);
        let need_restart = differ.map(|(old, _)| old.key).filter(|key| is_fixed(key)).map(|key| key.path);
        Ok(Reloaded { need_restart: need_restart.collect() })
    }
}

/// The present configuration with what may change taken from the new one.
fn merged(current: &Config, new: &Config, has_fixed_scopes: bool) -> Config {
    let mut next = current.clone();
    next.server.tls = match (&current.server.tls, &new.server.tls) {
        (Some(config::Tls::Files(_)), Some(files @ config::Tls::Files(_))) => Some(files.clone()),
        (kept, _) => kept.clone(),
    };
    next.server.hsts_max_age = new.server.hsts_max_age.filter(|_| next.server.tls.is_some());
    next.server.audiences.clone_from(&new.server.audiences);
    next.server.allowed_hosts.clone_from(&new.server.allowed_hosts);
    next.server.allowed_origins.clone_from(&new.server.allowed_origins);
    next.server.docs_client_id.clone_from(&new.server.docs_client_id);
    next.server.max_body_bytes = new.server.max_body_bytes;
    next.issuer.algorithms.clone_from(&new.issuer.algorithms);
    next.issuer.leeway = new.issuer.leeway;
    next.issuer.allowed_clients.clone_from(&new.issuer.allowed_clients);
    if !has_fixed_scopes {
        next.scopes_supported.clone_from(&new.scopes_supported);
    }
    next.dpop.required_for.clone_from(&new.dpop.required_for);
    next.limits.per_client = new.limits.per_client;
    next.limits.per_address = new.limits.per_address;
    next.limits.sessions_per_principal = new.limits.sessions_per_principal;
    next.limits.sessions = new.limits.sessions;
    next
}
