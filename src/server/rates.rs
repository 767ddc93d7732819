//! What the limiter counts, and at which rates; and which users have to read first.

use std::{sync::Arc, time::Duration};

use super::{
    address::Address,
    error::Refusal,
    limiter::{Key, Limiter},
    refusals::Refusals,
    unread::Unread,
};
use crate::{
    auth::Principal,
    clock::SharedClock,
    config::Limits,
    telemetry::{audit::Actor, metrics::Metrics},
};

/// What the log and the metrics call it when a user does not read.
const UNREAD: &str = "unread";
/// What a token that is refused costs its sender besides the request, so that guessing is slow.
const PRICE_OF_A_REFUSED_TOKEN: u32 = 10;

/// The rates of one configuration, over buckets that outlive it.
pub(super) struct Rates {
    limiter: Arc<Limiter>,
    refusals: Arc<Refusals>,
    unread: Unread,
    clock: SharedClock,
    metrics: Metrics,
    per_client: u32,
    per_address: u32,
}

impl Rates {
    pub(super) fn new(
        limiter: Arc<Limiter>,
        refusals: Arc<Refusals>,
        unread: Unread,
        clock: SharedClock,
        limits: &Limits,
        metrics: Metrics,
    ) -> Self {
        Self {
            limiter,
            refusals,
            unread,
            clock,
            metrics,
            per_client: limits.per_client,
            per_address: limits.per_address,
        }
    }

    /// Counts a request of this address, whoever it may be.
    ///
    /// # Errors
    /// 429.
    pub(super) fn admit(&self, address: Address) -> Result<(), Refusal> {
        let key = address.key();
        self.take(self.limiter.hash(&key), &key, self.per_address, self.clock.monotonic(), None, address)
    }

    /// Counts a request of this client and of this user.
    ///
    /// # Errors
    /// 429.
    pub(super) fn admit_principal(&self, principal: &Principal, address: Address) -> Result<(), Refusal> {
        let issuer = principal.issuer.as_str();
        let (actor, now) = (Some(principal.actor()), self.clock.monotonic());
        let client = principal.client_id.as_deref().map(|client| Key::Client(issuer, client));
        let user = Key::User(issuer, &principal.subject);
        let hash = |key: &Key<'_>| self.limiter.hash(key);
        let buckets = || [client.as_ref().map_or(0, hash), hash(&user)];
        let [of_client, of_user] = *principal.buckets.get_or_init(buckets);
        let take = |bucket, key| self.take(bucket, key, self.per_client, now, actor, address);
        client.iter().try_for_each(|client| take(of_client, client))?;
        take(of_user, &user)
    }

    /// Lets this user ask for more unless there is too much that it has not read.
    ///
    /// # Errors
    /// 429.
    pub(super) fn admit_more(&self, principal: &Principal, address: Address) -> Result<(), Refusal> {
        if !self.unread.is_full_for(principal) {
            return Ok(());
        }
        let user = Key::User(principal.issuer.as_str(), &principal.subject);
        self.note(UNREAD, &user, Some(principal.actor()), address);
        Err(Refusal::too_much_unread())
    }

    /// A token from this address was no good.
    pub(super) fn charge_refused_token(&self, address: Address) {
        let now = self.clock.monotonic();
        self.limiter.charge(&address.key(), PRICE_OF_A_REFUSED_TOKEN, self.per_address, now);
    }

    fn take(
        &self,
        bucket: u64,
        key: &Key<'_>,
        rate: u32,
        now: Duration,
        actor: Option<Actor<'_>>,
        address: Address,
    ) -> Result<(), Refusal> {
        self.limiter.take(bucket, key, rate, now).map_err(|wait| {
            self.note(key.scope(), key, actor, address);
            Refusal::too_many_requests(key.scope(), whole_seconds(wait))
        })
    }

    fn note(&self, scope: &'static str, key: &Key<'_>, actor: Option<Actor<'_>>, address: Address) {
        self.metrics.rate_limited(scope);
        self.refusals.note(scope, key, address, actor);
    }
}

/// Never too early, and at least one: `Retry-After` knows nothing finer.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h26_a_wait_is_rounded_up() {
        let seconds = |milliseconds| whole_seconds(Duration::from_millis(milliseconds));
        assert_eq!([seconds(0), seconds(5), seconds(1000), seconds(1001)], [1, 1, 1, 2]);
    }
}
