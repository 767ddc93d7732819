//! An issuer's key set, kept fresh by one task.
//!
//! One task fetches, so there is one request in flight however many callers wait (single flight). A key set is refreshed
//! every [`REFRESH`], so that a removed key dies; it is used while the issuer is down, up to [`MAX_STALE`]; an unknown `kid`
//! brings one refetch in each [`COOLDOWN`], whoever asks, or a forger would drive our outbound traffic. The last good copy is
//! kept on the disk, so that a restart during an outage still serves.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};
use url::Url;

use super::{
    shared_keys::SharedKeys,
    source::{Endpoint, Source, SourceError},
};
use crate::{
    clock::SharedClock,
    hint::chain,
    jose::KeySet,
    net::{Http, NetError},
    oauth::Issuer,
    secret::sha256_base64url,
    store::PrivateDir,
    telemetry::metrics::Metrics,
};

/// How often the key set is fetched anew. A key that the issuer removed is refused after this time.
const REFRESH: Duration = Duration::from_mins(5);
/// How long keys are used after the last time the issuer confirmed them.
const MAX_STALE: Duration = Duration::from_hours(24);
/// Between two refetches for an unknown `kid`.
const COOLDOWN: Duration = Duration::from_secs(30);
/// Between two tries while there are no usable keys at all.
const RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(2);
/// Between two tries while there are keys but the issuer does not answer.
const RETRY_WITH_KEYS: Duration = Duration::from_secs(30);
/// How far another replica's clock may be ahead of ours.
const MAX_AHEAD: Duration = Duration::from_mins(1);

/// A key set and its age.
#[derive(Debug)]
pub struct Snapshot {
    /// The usable keys; never empty.
    pub keys: KeySet,
    /// Changes whenever the keys do.
    pub generation: u64,
    document: Vec<u8>,
    /// When the issuer last confirmed it, on the stopwatch; a copy from the disk is already `age_at_load` old by then.
    confirmed_at: Duration,
    age_at_load: Duration,
}

/// The kept key set of one issuer.
#[derive(Debug)]
pub struct Jwks {
    source: Source,
    /// Where the keys are, if the issuer's metadata shall not be asked.
    at: Option<Url>,
    http: Http,
    clock: SharedClock,
    disk: Option<PrivateDir>,
    shared: Option<SharedKeys>,
    metrics: Metrics,
    current: RwLock<Option<Arc<Snapshot>>>,
    /// The host that the keys first came from: it may not move while we run.
    pinned_host: Mutex<Option<String>>,
    wanted: Notify,
    flight: Mutex<Flight>,
    landed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Flight {
    in_progress: bool,
    /// When the last fetch for an unknown `kid` or at start began.
    last_began: Option<Duration>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("`{url}` answered {status}")]
    Status { url: Url, status: u16 },
    #[error("`jwks_uri` moved from host `{from}` to `{to}`; restart to accept that")]
    HostMoved { from: String, to: String },
    #[error("`{url}` is not a key set")]
    NotAKeySet { url: Url, source: crate::jose::jwk::NotAKeySet },
    #[error("`{0}` has no usable key")]
    NoUsableKey(Url),
}

/// A key set as it is kept, on the disk and among replicas.
#[derive(Serialize, Deserialize)]
pub(super) struct LastGoodCopy {
    issuer: Issuer,
    /// Seconds since the epoch.
    confirmed_at: u64,
    document: String,
}

impl Jwks {
    /// Keys of this issuer; a last good copy in `disk` is used at once. Nothing is fetched before [`run`](Self::run).
    pub fn new(
        source: Source,
        jwks_uri: Option<Url>,
        http: Http,
        clock: SharedClock,
        disk: Option<PrivateDir>,
        shared: Option<SharedKeys>,
        metrics: Metrics,
    ) -> Arc<Self> {
        let jwks = Self {
            source,
            at: jwks_uri,
            http,
            clock,
            disk,
            shared,
            metrics,
            current: RwLock::new(None),
            pinned_host: Mutex::new(None),
            wanted: Notify::new(),
            flight: Mutex::new(Flight { in_progress: true, last_began: None }),
            landed: watch::Sender::new(0),
        };
        jwks.load_last_good_copy();
        Arc::new(jwks)
    }

    /// The keys, unless there are none or they are older than [`MAX_STALE`].
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        let snapshot = self.current.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        (self.age(&snapshot) <= MAX_STALE).then_some(snapshot)
    }

    /// The keys; if there are none, waits for the fetch under way, if there is one.
    pub async fn current_or_first(&self) -> Option<Arc<Snapshot>> {
        if let Some(snapshot) = self.current() {
            return Some(snapshot);
        }
        self.wait_for_flight().await;
        self.current()
    }

    /// The keys after one more look at the issuer, if the cool-down allows one; else as they are.
    pub async fn refetched_for_unknown_kid(&self) -> Option<Arc<Snapshot>> {
        if self.begin_flight_unless_cooling_down() {
            self.wanted.notify_one();
        }
        self.wait_for_flight().await;
        self.current()
    }

    /// Fetches now and then, until the future is dropped.
    pub async fn run(&self) {
        let mut is_wanted = false;
        loop {
            let pause = match self.refresh(is_wanted).await {
                Ok(pause) => pause,
                Err(error) => {
                    let has_keys = self.current().is_some();
                    warn!(issuer = %self.source.issuer, has_keys, error = chain(&error), "cannot fetch the issuer's keys");
                    if has_keys { RETRY_WITH_KEYS } else { RETRY_WITHOUT_KEYS }
                }
            };
            self.land();
            tokio::select! {
                () = tokio::time::sleep(pause) => {
                    self.flight.lock().unwrap_or_else(PoisonError::into_inner).in_progress = true;
                    is_wanted = false;
                }
                () = self.wanted.notified() => is_wanted = true,
            }
        }
    }

    fn age(&self, snapshot: &Snapshot) -> Duration {
        snapshot.age_at_load + self.clock.monotonic().saturating_sub(snapshot.confirmed_at)
    }

    /// Whether the caller is the one to ask for a fetch.
    fn begin_flight_unless_cooling_down(&self) -> bool {
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        let cooling_down = flight.last_began.is_some_and(|began| now.saturating_sub(began) < COOLDOWN);
        if flight.in_progress || cooling_down {
            return false;
        }
        *flight = Flight { in_progress: true, last_began: Some(now) };
        true
    }

    fn land(&self) {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner).in_progress = false;
        self.landed.send_modify(|flights| *flights += 1);
    }

    async fn wait_for_flight(&self) {
        let mut landed = self.landed.subscribe();
        if self.flight.lock().unwrap_or_else(PoisonError::into_inner).in_progress {
            // An error would mean that the sender is gone, and it is `self`.
            let _ = landed.changed().await;
        }
    }

    /// Keys from another replica if it has fetched them lately, else from the issuer; when to look again. Keys that are
    /// wanted for an unknown `kid` are fetched in any case, by one replica for all that want them now.
    async fn refresh(&self, is_wanted: bool) -> Result<Duration, FetchError> {
        let Some(shared) = &self.shared else { return self.fetch_and_keep().await.map(|_| REFRESH) };
        if !is_wanted && let Some(left) = shared.copy().await.and_then(|copy| self.take_over(copy)) {
            return Ok(left);
        }
        if !shared.begin().await
            && let Some(left) = shared.copy().await.and_then(|copy| self.take_over(copy))
        {
            return Ok(left);
        }
        let fetched = self.fetch_and_keep().await;
        shared.land(fetched.as_ref().ok()).await;
        fetched.map(|_| REFRESH)
    }

    /// Takes over a copy of another replica for as long as it is fresh: for how long. `None` if it is of no use.
    fn take_over(&self, copy: LastGoodCopy) -> Option<Duration> {
        let (now, confirmed_at) = (self.clock.since_epoch(), Duration::from_secs(copy.confirmed_at));
        // Clocks of two machines differ a little; one that is far ahead says nothing about the age.
        let age = now.saturating_sub(confirmed_at);
        let left = REFRESH.checked_sub(age).filter(|left| !left.is_zero() && confirmed_at < now + MAX_AHEAD)?;
        let keys = KeySet::parse(copy.document.as_bytes()).ok()?;
        if copy.issuer != self.source.issuer || keys.is_empty() {
            return None;
        }
        self.keep(keys, copy.document.into_bytes(), age);
        Some(left)
    }

    async fn fetch_and_keep(&self) -> Result<LastGoodCopy, FetchError> {
        let fetched = self.fetch().await;
        self.metrics.key_fetch(if fetched.is_ok() { "ok" } else { "error" });
        let (keys, document) = fetched?;
        let copy = LastGoodCopy {
            issuer: self.source.issuer.clone(),
            confirmed_at: self.clock.since_epoch().as_secs(),
            document: String::from_utf8_lossy(&document).into_owned(),
        };
        self.keep(keys, document, Duration::ZERO);
        Ok(copy)
    }

    async fn fetch(&self) -> Result<(KeySet, Vec<u8>), FetchError> {
        let url = self.jwks_url().await?;
        self.pin_host(&url)?;
        let document = self.http.get(&url).await?;
        if !document.status.is_success() {
            return Err(FetchError::Status { url, status: document.status.as_u16() });
        }
        let keys =
            KeySet::parse(&document.body).map_err(|source| FetchError::NotAKeySet { url: url.clone(), source })?;
        // An empty set would refuse every token; an issuer without keys is a broken issuer.
        if keys.is_empty() {
            return Err(FetchError::NoUsableKey(url));
        }
        Ok((keys, document.body))
    }

    async fn jwks_url(&self) -> Result<Url, FetchError> {
        if let Some(url) = &self.at {
            return Ok(url.clone());
        }
        let metadata = self.source.metadata(&self.http).await?;
        Ok(self.source.reached(Endpoint::JwksUri, metadata.jwks_uri)?)
    }

    fn pin_host(&self, url: &Url) -> Result<(), FetchError> {
        let host = url.host_str().unwrap_or_default();
        let mut pinned = self.pinned_host.lock().unwrap_or_else(PoisonError::into_inner);
        match pinned.as_deref() {
            Some(first) if first != host => Err(FetchError::HostMoved { from: first.to_owned(), to: host.to_owned() }),
            Some(_) => Ok(()),
            None => {
                *pinned = Some(host.to_owned());
                Ok(())
            }
        }
    }

    fn keep(&self, keys: KeySet, document: Vec<u8>, age: Duration) {
        let previous = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let generation = match &previous {
            Some(previous) if previous.document == document => previous.generation,
            Some(previous) => previous.generation + 1,
            None => 1,
        };
        if previous.is_none_or(|previous| previous.generation != generation) {
            info!(issuer = %self.source.issuer, keys = keys.len(), "the issuer's key set is new");
        }
        self.save_last_good_copy(&document, age);
        let confirmed_at = self.clock.monotonic();
        let snapshot = Snapshot { keys, generation, document, confirmed_at, age_at_load: age };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(snapshot));
    }

    fn file_name(&self) -> String {
        format!("keys-{}.json", sha256_base64url(self.source.issuer.as_str().as_bytes()))
    }

    fn load_last_good_copy(&self) {
        let Some(disk) = &self.disk else { return };
        let copy = match disk.read(&self.file_name()) {
            Ok(Some(bytes)) => serde_json::from_slice::<LastGoodCopy>(&bytes).ok(),
            Ok(None) => None,
            Err(error) => {
                warn!(error = chain(&error), "cannot read the last good copy of the issuer's keys");
                None
            }
        };
        let Some(copy) = copy.filter(|copy| copy.issuer == self.source.issuer) else { return };
        let Ok(keys) = KeySet::parse(copy.document.as_bytes()) else { return };
        // A copy from the future was written under a wrong clock: its age is unknown, so it is as good as none.
        let Some(age) = self.clock.since_epoch().checked_sub(Duration::from_secs(copy.confirmed_at)) else { return };
        if keys.is_empty() || age > MAX_STALE {
            return;
        }
        let document = copy.document.into_bytes();
        let confirmed_at = self.clock.monotonic();
        let snapshot = Snapshot { keys, generation: 1, document, confirmed_at, age_at_load: age };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(snapshot));
    }

    fn save_last_good_copy(&self, document: &[u8], age: Duration) {
        let (Some(disk), Ok(document)) = (self.disk.clone(), String::from_utf8(document.to_vec())) else { return };
        let confirmed_at = self.clock.since_epoch().saturating_sub(age).as_secs();
        let copy = LastGoodCopy { issuer: self.source.issuer.clone(), confirmed_at, document };
        let name = self.file_name();
        tokio::task::spawn_blocking(move || {
            let bytes = serde_json::to_vec(&copy).expect("strings and a number");
            if let Err(error) = disk.write(&name, &bytes) {
                warn!(error = chain(&error), "cannot keep a copy of the issuer's keys");
            }
        });
    }
}
