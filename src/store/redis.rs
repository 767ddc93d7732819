//! What replicas share, in one Redis.
//!
//! There is one connection for everything, and one task that keeps it. When it breaks, or an answer takes longer than
//! [`PATIENCE`], every question fails at once until there is a new one: a Redis that is gone or slow costs a request
//! nothing. Nothing here is ever tried twice, since whoever asks knows better what a failure means.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo as _, ProtocolVersion, PushInfo,
    PushKind, RedisResult, ToRedisArgs, aio::MultiplexedConnection, cmd,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior},
};
use tracing::{info, warn};
use url::Url;

use crate::{
    hint::{Hint, chain},
    said::said,
    secret::{Secret, sha256_base64url},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often an idle connection is tried: one that is dead but not closed is noticed in this time.
const BETWEEN_PINGS: Duration = Duration::from_secs(1);
/// How long to wait before a new connection is tried; twice as long each time, up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Announcements that wait to be heard. A connection with more is given up: whoever hears of the next one looks for
/// what was missed.
const MAX_WAITING: usize = 1024;
/// Each refusal is logged once in this time, and no more different ones than this.
const BETWEEN_REFUSALS: Duration = Duration::from_mins(1);
const MAX_REFUSALS: usize = 16;

/// Both or neither, and nobody hears of it before it is done.
const REMOVE_AND_ANNOUNCE: &str = "redis.call('DEL', unpack(KEYS)) return redis.call('PUBLISH', ARGV[1], ARGV[2])";

/// The Redis of one deployment.
pub struct Redis {
    client: Client,
    /// Host and port, for people.
    place: String,
    /// In front of every key and channel, so that deployments can share a database.
    prefix: String,
    link: watch::Sender<Link>,
    /// What it answered to the questions that it refused lately.
    refusals: Mutex<BTreeSet<String>>,
}

/// What is heard of Redis without a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// There is a new connection: announcements before it may have been missed, none after it are.
    Connected,
    /// A replica said this, perhaps this one.
    Announced(&'a str),
}

#[derive(Clone)]
enum Link {
    /// The first connection is being made: worth waiting for.
    Connecting,
    Up(Connection),
    Down,
}

#[derive(Clone)]
struct Connection {
    inner: MultiplexedConnection,
    /// Whoever finds first that it is of no more use says why.
    broken: mpsc::Sender<redis::RedisError>,
}

/// What comes over a connection without a question.
struct Events {
    pushes: mpsc::Receiver<PushInfo>,
    broken: mpsc::Receiver<redis::RedisError>,
}

/// Why there is no answer from Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The URL is none of a Redis.
    #[error("`redis.url` is no URL of a Redis")]
    Url,
    /// It is gone, slow, or still starting.
    #[error("Redis at `{place}` does not answer")]
    Down {
        /// Host and port.
        place: String,
        /// What was tried last, if it was this that failed.
        source: Option<redis::RedisError>,
    },
    /// It answers, with an error.
    #[error("Redis at `{place}` refuses")]
    Refused {
        /// Host and port.
        place: String,
        /// Its words.
        source: redis::RedisError,
    },
}

impl Hint for RedisError {
    fn hint(&self) -> Option<String> {
        let source = match self {
            Self::Url => return Some("write it like `redis://host:6379/0`, or `rediss://…` for TLS".to_owned()),
            Self::Down { source, .. } => source.as_ref()?,
            Self::Refused { source, .. } => source,
        };
        // What a script may not do, or what fails while a connection is made, has no code of its own.
        let text = source.to_string();
        let says = |words: &str| text.contains(words);
        let hint = match source.code().unwrap_or_default() {
            _ if source.kind() == ErrorKind::AuthenticationFailed => PASSWORD,
            "WRONGPASS" | "NOAUTH" => PASSWORD,
            "NOPERM" => PERMISSIONS,
            _ if says("can't run this command") || says("ACL failure") || says("no permissions") => PERMISSIONS,
            "NOPROTO" => VERSION,
            _ if source.kind() == ErrorKind::RESP3NotSupported || says("unknown command") => VERSION,
            "READONLY" => "`redis.url` names a replica that only reads; name the primary",
            "OOM" => "Redis has used up its `maxmemory`; give it more",
            "MISCONF" => "Redis cannot write to its disk; its log says why",
            "MOVED" | "CROSSSLOT" | "CLUSTERDOWN" => "this is a cluster of Redis; name one that is none",
            "LOADING" => "Redis is reading its data; it answers when that is done",
            _ if says("invalid peer certificate") => {
                "name Redis in `redis.url` as its certificate does, and the file with its root in SSL_CERT_FILE"
            }
            _ if source.is_connection_refusal() => "start Redis there, or correct `redis.url`",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

const PASSWORD: &str = "correct user and password in `redis.url` (SECUREMCP_REDIS_URL)";
const PERMISSIONS: &str = "let the user of `redis.url` do what docs/REDIS.md lists, on `securemcp:*`";
const VERSION: &str = "use Redis 6.2 or later";

impl fmt::Debug for Redis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redis").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Redis {
    /// The part of this Redis that belongs to `deployment`. Nothing is connected before [`run`](Self::run).
    ///
    /// # Errors
    /// [`RedisError::Url`].
    pub fn open(url: &Secret, deployment: &str) -> Result<Self, RedisError> {
        let url = Url::parse(url.expose()).map_err(|_| RedisError::Url)?;
        let place = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(6379));
        let connection = url.into_connection_info().map_err(|_| RedisError::Url)?;
        // RESP3: answers and announcements come over one connection.
        let settings = connection.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        let client = Client::open(connection.set_redis_settings(settings)).map_err(|_| RedisError::Url)?;
        let deployment = sha256_base64url(deployment.as_bytes());
        Ok(Self {
            client,
            place,
            prefix: format!("securemcp:{}:", &deployment[..11]),
            link: watch::Sender::new(Link::Connecting),
            refusals: Mutex::default(),
        })
    }

    /// Whether it answers, as far as is known.
    pub fn is_up(&self) -> bool {
        matches!(*self.link.borrow(), Link::Up(_))
    }

    /// Keeps the connection, and says what is heard over it, until the future is dropped.
    pub async fn run(&self, heard: impl Fn(Heard<'_>)) {
        let mut pause = FIRST_PAUSE;
        let mut last = None;
        loop {
            let error = match self.connect().await {
                Ok((connection, events)) => {
                    info!(redis = %self.place, "connected to Redis");
                    self.link.send_replace(Link::Up(connection.clone()));
                    heard(Heard::Connected);
                    // One that breaks before it was of use is as good as none, for whoever reads the log too.
                    let has_lasted = || (pause, last) = (FIRST_PAUSE, None);
                    self.until_broken(connection, events, &heard, has_lasted).await
                }
                Err(error) => error,
            };
            self.link.send_replace(Link::Down);
            let error = RedisError::Down { place: self.place.clone(), source: Some(error) };
            let problem = said(&chain(&error));
            if last.as_ref() != Some(&problem) {
                warn!(error = problem, hint = error.hint(), "sessions are not available");
                last = Some(problem);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`RedisError::Down`] or [`RedisError::Refused`], as from every question.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, RedisError> {
        self.ask(cmd("GET").arg(self.key(key))).await
    }

    /// Whether a key is there.
    pub async fn has(&self, key: &str) -> Result<bool, RedisError> {
        self.ask(cmd("EXISTS").arg(self.key(key))).await
    }

    /// The value of a key, which is then kept for as long again.
    pub async fn get_and_keep(&self, key: &str, for_this_long: Duration) -> Result<Option<Vec<u8>>, RedisError> {
        self.ask(cmd("GETEX").arg(self.key(key)).arg("PX").arg(milliseconds(for_this_long))).await
    }

    /// Sets a key for a time.
    pub async fn put(&self, key: &str, value: &[u8], for_this_long: Duration) -> Result<(), RedisError> {
        self.ask(cmd("SET").arg(self.key(key)).arg(value).arg("PX").arg(milliseconds(for_this_long))).await
    }

    /// Sets a key for a time unless it is there; whether it was not.
    pub async fn put_new(&self, key: &str, value: &[u8], for_this_long: Duration) -> Result<bool, RedisError> {
        let mut command = cmd("SET");
        command.arg(self.key(key)).arg(value).arg("NX").arg("PX").arg(milliseconds(for_this_long));
        self.ask::<Option<String>>(&command).await.map(|done| done.is_some())
    }

    /// Forgets a key; whether it was there.
    pub async fn remove(&self, key: &str) -> Result<bool, RedisError> {
        self.ask(cmd("DEL").arg(self.key(key))).await
    }

    /// Forgets these keys and tells the replicas, those that are connected.
    pub async fn remove_and_announce(&self, keys: &[&str], text: &str) -> Result<(), RedisError> {
        self.eval::<u64>(REMOVE_AND_ANNOUNCE, keys, &[self.channel().as_str(), text]).await.map(drop)
    }

    /// Tells the replicas, those that are connected.
    pub async fn announce(&self, text: &str) -> Result<(), RedisError> {
        self.ask::<u64>(cmd("PUBLISH").arg(self.channel()).arg(text)).await.map(drop)
    }

    /// Runs a script over these keys with these arguments.
    pub async fn eval<T: FromRedisValue>(
        &self,
        source: &str,
        keys: &[&str],
        arguments: impl ToRedisArgs,
    ) -> Result<T, RedisError> {
        let mut command = cmd("EVAL");
        command.arg(source).arg(keys.len());
        for key in keys {
            command.arg(self.key(key));
        }
        command.arg(arguments);
        self.ask(&command).await
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn channel(&self) -> String {
        self.key("announced")
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut connection = self.connection().await?;
        let answer = command.query_async(&mut connection.inner).await;
        answer.map_err(|source| {
            let place = self.place.clone();
            // The connection is no good any more, or will give this answer to the next question.
            if source.is_io_error() || source.is_unrecoverable_error() {
                let _ = connection.broken.try_send(source.clone());
                return RedisError::Down { place, source: Some(source) };
            }
            let error = RedisError::Refused { place, source };
            self.log_refusal(&error);
            error
        })
    }

    async fn connection(&self) -> Result<Connection, RedisError> {
        let down = || RedisError::Down { place: self.place.clone(), source: None };
        let mut link = self.link.subscribe();
        let settled = link.wait_for(|link| !matches!(link, Link::Connecting));
        let settled = tokio::time::timeout(PATIENCE, settled).await;
        match settled.ok().and_then(Result::ok).as_deref() {
            Some(Link::Up(connection)) => Ok(connection.clone()),
            _ => Err(down()),
        }
    }

    fn log_refusal(&self, error: &RedisError) {
        let problem = said(&chain(error));
        let mut lately = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.len() < MAX_REFUSALS && lately.insert(problem.clone()) {
            warn!(error = problem, hint = error.hint(), "Redis refused a question");
        }
    }

    async fn connect(&self) -> RedisResult<(Connection, Events)> {
        let (broken, why_broken) = mpsc::channel(1);
        let (sender, pushes) = mpsc::channel(MAX_WAITING);
        let overflown = broken.clone();
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(move |push| {
                sender.try_send(push).inspect_err(|_| {
                    let _ = overflown.try_send(broken_by("it announces more than can be heard"));
                })
            });
        let mut inner = self.client.get_multiplexed_async_connection_with_config(&settings).await?;
        inner.subscribe(self.channel()).await?;
        cmd("PING").query_async::<()>(&mut inner).await?;
        Ok((Connection { inner, broken }, Events { pushes, broken: why_broken }))
    }

    /// Watches a connection for as long as it is good; why it is so no more.
    async fn until_broken(
        &self,
        mut connection: Connection,
        mut events: Events,
        heard: &impl Fn(Heard<'_>),
        mut has_lasted: impl FnMut(),
    ) -> redis::RedisError {
        let mut ping = ticks(BETWEEN_PINGS);
        let mut forget = ticks(BETWEEN_REFUSALS);
        loop {
            tokio::select! {
                Some(error) = events.broken.recv() => return error,
                push = events.pushes.recv() => match push {
                    Some(PushInfo { kind: PushKind::Message, data }) => {
                        if let Some(text) = data.last().and_then(|text| String::from_redis_value_ref(text).ok()) {
                            heard(Heard::Announced(&text));
                        }
                    }
                    None | Some(PushInfo { kind: PushKind::Disconnection, .. }) => {
                        return broken_by("it closed the connection");
                    }
                    Some(_) => {}
                },
                _ = ping.tick() => match cmd("PING").query_async::<()>(&mut connection.inner).await {
                    Ok(()) => has_lasted(),
                    Err(error) => return error,
                },
                _ = forget.tick() => self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clear(),
            }
        }
    }
}

fn broken_by(cause: &'static str) -> redis::RedisError {
    std::io::Error::other(cause).into()
}

fn ticks(between: Duration) -> Interval {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + between, between);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Redis {
        Redis::open(&Secret::new(url), "https://mcp.example.com/mcp").unwrap()
    }

    #[test]
    fn neither_debug_nor_errors_show_the_password() {
        let redis = open("redis://someone:hunter2@redis.internal:7000/3");
        assert_eq!(format!("{redis:?}"), "Redis { place: \"redis.internal:7000\", .. }");
        for odd in ["redis://:hunter2@host:port/0", "redis://:hunter2@host/many", "ftp://:hunter2@host", "hunter2"] {
            let error = Redis::open(&Secret::new(odd), "").unwrap_err();
            let shown = format!("{error} {error:?} {:?} {:?}", error.hint(), std::error::Error::source(&error));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn what_to_do_is_said_also_where_redis_has_no_code_for_it() {
        let hint = |detail: &str| {
            let source = (ErrorKind::Io, "Redis says", detail.to_owned()).into();
            RedisError::Refused { place: String::new(), source }.hint()
        };
        for (detail, what) in [
            ("The user executing the script can't run this command or subcommand", "docs/REDIS.md"),
            ("ACL failure in script: User u has no permissions to run the 'time' command", "docs/REDIS.md"),
            ("this user has no permissions to run the 'select' command", "docs/REDIS.md"),
            ("unknown command 'GETEX', with args beginning with", "6.2"),
            ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ] {
            assert!(hint(detail).is_some_and(|hint| hint.contains(what)), "{detail}");
        }
        assert_eq!(hint("something else"), None);
    }

    #[test]
    fn a_refusal_is_logged_once_for_a_while() {
        let redis = open("redis://a");
        let refuse = |detail: String| {
            let source = (ErrorKind::Client, "refused", detail).into();
            redis.log_refusal(&RedisError::Refused { place: String::new(), source });
            redis.refusals.lock().unwrap().len()
        };
        assert_eq!([0, 1, 0, 1].map(|number| refuse(number.to_string())), [1, 2, 2, 2]);
        assert_eq!((0..1000).map(|number| refuse(number.to_string())).max(), Some(MAX_REFUSALS));
    }

    #[test]
    fn deployments_have_keys_and_channels_of_their_own() {
        let [one, same] = [open("redis://a"), open("redis://b")];
        let other = Redis::open(&Secret::new("redis://a"), "https://mcp.example.com/other").unwrap();
        assert_eq!((one.key("k"), one.channel()), (same.key("k"), same.channel()));
        assert_ne!(one.key("k"), other.key("k"));
        assert_ne!(one.channel(), other.channel());
        assert!(one.key("k").starts_with("securemcp:") && one.key("k").ends_with(":k"), "{}", one.key("k"));
    }
}
