//! The one client of several replicas: they find it in Redis, sealed, and each keeps it on its own disk too.
//!
//! Who registers does so in its turn, and tells the others before the next one has its turn. A replica that is killed
//! meanwhile is waited for, for as long as its [`Lease`] lasts. What it had registered by then is on its disk, marked
//! as told to nobody: it tells the others at its next start, or ends it at the issuer if they did not wait. Only what
//! an issuer had not answered by then, or what was not on the disk yet, is a client that nobody knows.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    Client, ClientError, RegistrationRequest,
    register::{For, Registered, SavedClient},
};
use crate::{
    oauth::Issuer,
    secret::Secret,
    store::{Lease, Lock, Redis, Sealer},
};

/// Nothing stays in Redis for ever: this long after the last replica has ended.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);
const TURN: &str = "registering";
const KEY: &str = "client";

/// Where replicas tell each other which client they are.
#[derive(Debug)]
pub(crate) struct SharedClient {
    redis: Arc<Redis>,
    sealer: Sealer,
}

impl SharedClient {
    /// In this Redis, sealed with this key, which all replicas have.
    pub(crate) fn new(redis: Arc<Redis>, key: &Secret) -> Self {
        Self { redis, sealer: Sealer::new(key, "the client of a deployment") }
    }

    async fn told(&self, place: &str) -> Result<Told, ClientError> {
        let Some(sealed) = self.redis.get_and_keep(KEY, KEPT_FOR).await? else { return Ok(Told::Nothing) };
        let opened = self.sealer.open(place, &sealed).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(opened.map_or(Told::Foreign, Told::Client))
    }

    fn seal(&self, place: &str, saved: &SavedClient) -> String {
        self.sealer.seal(place, &serde_json::to_vec(saved).expect("strings, numbers and lists of them"))
    }
}

/// What is found in Redis.
enum Told {
    Nothing,
    Client(Box<SavedClient>),
    /// Sealed with another key or for another deployment, or changed.
    Foreign,
}

impl Client {
    /// Registers a client for all replicas, or finds theirs; `None` while another of them is at it.
    ///
    /// # Errors
    /// As [`register`](Self::register); [`ClientError::NotShared`] if nobody can tell what the others have, and
    /// [`ClientError::SealedByOther`] if what they have cannot be opened and there is none here.
    pub(crate) async fn register_once(
        &self,
        request: RegistrationRequest,
        shared: &SharedClient,
    ) -> Result<Option<Registered>, ClientError> {
        let Some(turn) = Lease::take(&shared.redis, TURN).await? else { return Ok(None) };
        let done = turn.during(Box::pin(self.register_in_turn(request, shared, &turn))).await;
        turn.end().await;
        done
    }

    async fn register_in_turn(
        &self,
        request: RegistrationRequest,
        shared: &SharedClient,
        turn: &Lease,
    ) -> Result<Option<Registered>, ClientError> {
        let issuer = self.issuer_to_register_at().await?;
        let (place, name) = (self.place(&issuer.issuer, &request.name), request.name.clone());
        let told = match shared.told(&place).await? {
            Told::Nothing => None,
            Told::Client(told) => Some(told),
            // Whoever has one of its own tells it anew, with its key.
            Told::Foreign if self.saved_as(&issuer.issuer, &name).await?.1.is_some() => None,
            Told::Foreign => return Err(ClientError::SealedByOther),
        };
        let (mut saved, reused) = self.register_at(issuer, request, For::Replicas(told)).await?;
        let is_untold = std::mem::take(&mut saved.is_untold);
        if !turn.put(KEY, &shared.seal(&place, &saved), KEPT_FOR).await? {
            // Redis was away for longer than our turn lasts. The next one finds what the others have by then.
            return Ok(None);
        }
        let saved = if is_untold { self.keep_registration(saved).await? } else { saved };
        Ok(Some(self.registered(saved, reused)))
    }

    /// Tells the others again what a Redis may have lost. Nothing is taken from there: whoever can write to it could bring
    /// back what was told before.
    ///
    /// # Errors
    /// Redis or the disk does not answer.
    pub(crate) async fn share_again(
        &self,
        registered: &Registered,
        name: &str,
        shared: &SharedClient,
    ) -> Result<(), ClientError> {
        let place = self.place(&registered.issuer, name);
        let (_lock, kept) = self.saved_as(&registered.issuer, name).await?;
        if let (Some(kept), Told::Nothing) = (kept, shared.told(&place).await?) {
            shared.redis.put_new(KEY, shared.seal(&place, &kept).as_bytes(), KEPT_FOR).await?;
        }
        Ok(())
    }

    async fn saved_as(&self, issuer: &Issuer, name: &str) -> Result<(Lock, Option<SavedClient>), ClientError> {
        self.lock_registration(issuer, &self.reached_at(issuer), name).await
    }

    /// What a sealed client is good for: elsewhere it does not open.
    fn place(&self, issuer: &Issuer, name: &str) -> String {
        json!([self.settings.server, issuer, self.reached_at(issuer), name]).to_string()
    }
}
