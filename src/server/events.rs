//! The events of a session's streams, for a client that comes back: in Redis to any replica, else in this process.
//!
//! rmcp has each event stored before it is sent, and leaves it to the store to find what a client has missed. (What it keeps
//! by itself is gone when a request is answered, so who was cut off before that would come back to nothing.) An event's
//! id is its place: `writer.number.stream`. A writer is a session as one process has it, which numbers what it writes; a
//! stream is the answer to one request, or `common`. In Redis events are sealed by the session's id, which Redis does not
//! have, together with their place: who reads Redis reads nothing of them, and what was changed there, put elsewhere or
//! said twice is left out.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::stream;
use rmcp::{
    model::{JsonRpcMessage, ServerJsonRpcMessage},
    transport::streamable_http_server::session::{
        ServerSseMessage, SessionId,
        store::{EventId, EventStore, EventStoreError, EventStream},
    },
};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::Instant,
};
use tracing::{debug, warn};

use super::recent::Recent;
use crate::{
    secret::{Secret, sha256_base64url},
    store::{Redis, RedisError, Sealer},
};

/// What is kept of one session, in bytes as Redis has them: the newest. A larger event is sent, and not kept.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// How long events are kept after the last one.
pub(super) const KEPT_FOR: Duration = Duration::from_mins(5);
/// How often a stream that goes on looks for what another replica has written.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// After so long without an event a stream that was gone on with ends; the client comes again if it wants to.
const LONGEST_QUIET: Duration = Duration::from_mins(1);
/// How many streams of one session are gone on with at a time: each asks for all that is kept, once a second.
const MAX_REPLAYS: usize = 8;
/// The stream of what answers no request.
const COMMON: &str = "common";

/// Adds a line, and takes away the oldest until they are few enough.
const APPEND: &str = "local kept = (redis.call('GET', KEYS[1]) or '') .. ARGV[1] .. '\\n' \
    local from = 1 \
    while #kept - from >= tonumber(ARGV[2]) do from = string.find(kept, '\\n', from, true) + 1 end \
    redis.call('SET', KEYS[1], string.sub(kept, from), 'PX', ARGV[3]) return 0";

/// Where the events of all sessions are kept.
#[derive(Clone, Debug)]
pub(super) enum Keeper {
    /// For every replica.
    Redis(Arc<Redis>),
    /// For this process.
    Memory(Arc<Recent>),
}

/// The events of one session.
#[derive(Clone, Debug)]
pub(super) struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Kept,
    session: SessionId,
    writer: String,
    /// Of the last event.
    number: AtomicU64,
    written: Notify,
    /// One for each stream that may be gone on with now.
    replays: Arc<Semaphore>,
}

/// Where the events of one session are kept.
#[derive(Debug)]
enum Kept {
    /// Sealed.
    Redis(Arc<Redis>, Box<Sealer>),
    Memory(Arc<Recent>),
}

/// Where an event is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    writer: String,
    number: u64,
    stream: String,
}

impl Place {
    fn parse(id: &str) -> Option<Self> {
        let mut parts = id.split('.');
        let (writer, number, stream) = (parts.next()?, parts.next()?, parts.next()?);
        let is_word = |text: &str| {
            (1..=43).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let is_place = is_word(writer) && is_word(stream) && is_number && parts.next().is_none();
        let number = number.parse().ok().filter(|_| is_place)?;
        Some(Self { writer: writer.to_owned(), number, stream: stream.to_owned() })
    }

    /// Whether nothing comes after this message in the stream.
    fn ends_with(&self, message: &ServerJsonRpcMessage) -> bool {
        self.stream != COMMON && matches!(message, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}.{}", self.writer, self.number, self.stream)
    }
}

/// Whether this may be the id of an event of ours.
pub(super) fn is_event_id(id: &str) -> bool {
    Place::parse(id).is_some()
}

/// Whoever reads Redis does not learn the id of the session.
pub(super) fn key(session: &str) -> String {
    format!("events:{}", sha256_base64url(session.as_bytes()))
}

impl Events {
    /// Of this session, written by this process.
    pub(super) fn of(session: &SessionId, keeper: Keeper) -> Self {
        let kept = match keeper {
            Keeper::Redis(redis) => {
                Kept::Redis(redis, Box::new(Sealer::new(&Secret::new(&**session), "the events of a session")))
            }
            Keeper::Memory(recent) => Kept::Memory(recent),
        };
        Self(Arc::new(Inner {
            kept,
            session: session.clone(),
            writer: Secret::random().expose()[..11].to_owned(),
            number: AtomicU64::new(0),
            written: Notify::new(),
            replays: Arc::new(Semaphore::new(MAX_REPLAYS)),
        }))
    }

    /// The id of the place behind everything that has been written to the common stream, by whom ever.
    pub(super) async fn end(&self) -> String {
        let lines = self.0.lines().await.unwrap_or_default();
        let last = lines.last().and_then(|(place, _)| Place::parse(place));
        let last = last.unwrap_or_else(|| self.0.place(COMMON));
        Place { stream: COMMON.to_owned(), ..last }.to_string()
    }
}

impl Inner {
    /// Behind what this writer has written.
    fn place(&self, stream: &str) -> Place {
        let number = self.number.load(Ordering::Relaxed);
        Place { writer: self.writer.clone(), number, stream: stream.to_owned() }
    }

    async fn append(&self, place: String, message: &ServerJsonRpcMessage) -> Result<(), RedisError> {
        let json = serde_json::to_string(message).expect("a message is JSON");
        match &self.kept {
            Kept::Redis(redis, sealer) => {
                let line = format!("{place} {}", sealer.seal(&place, json.as_bytes()));
                if line.len() < MAX_BYTES {
                    let milliseconds = KEPT_FOR.as_millis().to_string();
                    let arguments = [line, MAX_BYTES.to_string(), milliseconds];
                    redis.eval::<u64>(APPEND, &[&key(&self.session)], &arguments[..]).await?;
                }
            }
            Kept::Memory(recent) => recent.append(&self.session, place, json, Instant::now()),
        }
        Ok(())
    }

    /// Everything that is kept: places, and what was kept for them.
    async fn lines(&self) -> Result<Vec<(String, Arc<str>)>, RedisError> {
        let redis = match &self.kept {
            Kept::Redis(redis, _) => redis,
            Kept::Memory(recent) => return Ok(recent.lines(&self.session)),
        };
        let kept = redis.get(&key(&self.session)).await?.unwrap_or_default();
        let kept = String::from_utf8_lossy(&kept);
        let lines = kept.lines().filter_map(|line| line.split_once(' '));
        Ok(lines.map(|(place, sealed)| (place.to_owned(), sealed.into())).collect())
    }

    fn open(&self, place: &str, kept: &str) -> Option<ServerJsonRpcMessage> {
        match &self.kept {
            Kept::Redis(_, sealer) => serde_json::from_slice(&sealer.open(place, kept.as_bytes())?).ok(),
            Kept::Memory(_) => serde_json::from_str(kept).ok(),
        }
    }
}

#[async_trait]
impl EventStore for Events {
    async fn store_event(&self, stream: &str, event: &ServerSseMessage) -> Result<EventId, EventStoreError> {
        let inner = &*self.0;
        // rmcp names the other streams at random.
        let stream = if stream.ends_with(":common") { COMMON } else { stream };
        let Some(message) = &event.message else { return Ok(inner.place(stream).to_string()) };
        // One task writes for a session, one event after the other.
        inner.number.fetch_add(1, Ordering::Relaxed);
        let place = inner.place(stream).to_string();
        // A stream lives on without Redis; what is sent meanwhile cannot be had again.
        if let Err(error) = inner.append(place.clone(), message).await {
            debug!(%error, "an event is not kept");
        }
        inner.written.notify_waiters();
        Ok(place)
    }

    async fn replay_events_after(&self, last_event_id: &str) -> Result<EventStream, EventStoreError> {
        // rmcp answers what is refused here with a stream of nothing.
        let permit = Arc::clone(&self.0.replays).try_acquire_owned();
        let permit = permit.map_err(|_| "too many streams of this session are gone on with at once")?;
        let seen = Place::parse(last_event_id).ok_or("no event of this server has this id")?;
        let mut replay = Replay {
            events: Arc::downgrade(&self.0),
            numbers: HashMap::from([(seen.writer.clone(), seen.number)]),
            seen,
            ready: VecDeque::new(),
            is_over: false,
            quiet_since: Instant::now(),
        };
        // It looks in a task of its own, since what waits for Redis is not `Sync`, as rmcp wants a stream.
        let (sender, mut receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let _permit = permit;
            let sending = async {
                while let Some(event) = replay.next().await
                    && sender.send(event).await.is_ok()
                {}
            };
            tokio::select! {
                () = sending => {}
                () = sender.closed() => {}
            }
        });
        Ok(Box::pin(stream::poll_fn(move |context| receiver.poll_recv(context))))
    }
}

/// A stream that a client goes on with, for as long as there is the session.
struct Replay {
    events: Weak<Inner>,
    /// The last event that the client has.
    seen: Place,
    /// The last one that it has of each writer.
    numbers: HashMap<String, u64>,
    ready: VecDeque<ServerSseMessage>,
    /// Whether the answer was among them.
    is_over: bool,
    quiet_since: Instant,
}

impl Replay {
    async fn next(&mut self) -> Option<ServerSseMessage> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.quiet_since = Instant::now();
                return Some(event);
            }
            if self.is_over || self.quiet_since.elapsed() >= LONGEST_QUIET {
                return None;
            }
            let events = self.events.upgrade()?;
            // From here on nothing is missed.
            let written = events.written.notified();
            // A Redis that is away for a moment is asked again.
            if let Err(error) = self.look(&events).await {
                debug!(%error, "a stream waits for its events");
            }
            if self.ready.is_empty() && !self.is_over {
                let _ = tokio::time::timeout(BETWEEN_LOOKS, written).await;
            }
        }
    }

    /// Reads what came after the event that the client has.
    async fn look(&mut self, events: &Inner) -> Result<(), RedisError> {
        let lines = events.lines().await?;
        let (writer, stream) = (self.seen.writer.clone(), self.seen.stream.clone());
        let places: Vec<_> = lines.iter().map(|(place, _)| Place::parse(place)).collect();
        let is_seen = |place: &Option<Place>| {
            place.as_ref().is_some_and(|place| place.writer == self.seen.writer && place.number <= self.seen.number)
        };
        let from = places.iter().rposition(is_seen).map_or(0, |at| at + 1);
        // Whoever has the answer already waits for nothing.
        if let Some((id, sealed)) = lines.get(from.wrapping_sub(1)).filter(|(id, _)| *id == self.seen.to_string()) {
            self.is_over = events.open(id, sealed).is_some_and(|message| self.seen.ends_with(&message));
        }
        for (at, (place, (id, sealed))) in places.into_iter().zip(&lines).enumerate() {
            let Some(place) = place.filter(|place| place.stream == stream) else { continue };
            // What others wrote before is known; and what is said twice, or out of order, is said by no writer.
            let is_old = at < from && place.writer != writer;
            if is_old || self.numbers.get(&place.writer).is_some_and(|last| place.number <= *last) {
                continue;
            }
            let Some(message) = events.open(id, sealed) else {
                warn!("an event that was kept is damaged, and left out");
                continue;
            };
            self.is_over = place.ends_with(&message);
            self.ready.push_back(ServerSseMessage::new(id.clone(), message));
            self.numbers.insert(place.writer.clone(), place.number);
            self.seen = place;
            if self.is_over {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_writer_number_and_stream() {
        let good = "AbC-_123456.17.common";
        assert_eq!(Place::parse(good).unwrap().to_string(), good);
        let long = format!("a.{}.c", u128::MAX);
        for bad in
            ["", "0", "0/0", "a.b.c", "a.1", "a.1.c.d", "a.-1.c", "a.+1.c", "a..c", ".1.c", "a.1.", "a.1.c\r\n", &long]
        {
            assert_eq!(Place::parse(bad), None, "{bad:?}");
        }
        assert!(!is_event_id(&format!("a.1.{}", "c".repeat(44))));
    }
}
