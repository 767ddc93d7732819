//! What replicas share, in one Redis.
//!
//! There is one connection for everything, and one task that keeps it. When it breaks, or an answer takes longer than
//! [`PATIENCE`], every question fails at once until there is a new one: a Redis that is gone or slow costs a request
//! nothing. Nothing here is ever tried twice, since whoever asks knows better what a failure means.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo as _, ProtocolVersion, PushInfo,
    PushKind, RedisResult, aio::MultiplexedConnection, cmd,
};
use tokio::sync::{Notify, mpsc, watch};
use tracing::{info, warn};
use url::Url;

use crate::{
    hint::{Hint, chain},
    secret::{Secret, sha256_base64url},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often an idle connection is tried: one that is dead but not closed is noticed in this time.
const BETWEEN_PINGS: Duration = Duration::from_secs(1);
/// How long to wait before a new connection is tried; twice as long each time, up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The Redis of one deployment.
pub struct Redis {
    client: Client,
    /// Host and port, for people.
    place: String,
    /// In front of every key and channel, so that deployments can share a database.
    prefix: String,
    link: watch::Sender<Link>,
    broken: Notify,
    /// What it answered to the last question that it refused; logged when it changes.
    refusal: Mutex<Option<String>>,
}

#[derive(Clone)]
enum Link {
    /// The first connection is being made: worth waiting for.
    Connecting,
    Up(MultiplexedConnection),
    Down,
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
        let code = source.code().unwrap_or_default();
        let hint = match code {
            _ if source.kind() == ErrorKind::AuthenticationFailed => PASSWORD,
            "WRONGPASS" | "NOAUTH" => PASSWORD,
            "NOPERM" => "let the user of `redis.url` do what docs/REDIS.md lists, on `securemcp:*`",
            "READONLY" => "`redis.url` names a replica that only reads; name the primary",
            "OOM" => "Redis has used up its `maxmemory`; give it more, or the policy `volatile-lru`",
            "MISCONF" => "Redis cannot write to its disk; its log says why",
            "LOADING" => "Redis is reading its data; it answers when that is done",
            _ if source.is_connection_refusal() => "start Redis there, or correct `redis.url`",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

const PASSWORD: &str = "correct user and password in `redis.url` (SECUREMCP_REDIS_URL)";

impl fmt::Debug for Redis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redis").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What comes over a connection unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// It is there, perhaps again: what was announced before it may have been missed.
    Connected,
    /// Another replica [announces](Redis::announce) this.
    Announced(&'a str),
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
            broken: Notify::new(),
            refusal: Mutex::default(),
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
            let ended = match self.connect().await {
                Ok((connection, pushes)) => {
                    info!(redis = %self.place, "connected to Redis");
                    (pause, last) = (FIRST_PAUSE, None);
                    self.link.send_replace(Link::Up(connection.clone()));
                    heard(Heard::Connected);
                    self.until_broken(connection, pushes, &heard).await
                }
                Err(error) => Some(error),
            };
            self.link.send_replace(Link::Down);
            let error = RedisError::Down { place: self.place.clone(), source: ended };
            let problem = chain(&error);
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

    /// Tells the other replicas, those that are connected.
    pub async fn announce(&self, text: &str) -> Result<(), RedisError> {
        self.ask::<u64>(cmd("PUBLISH").arg(self.channel()).arg(text)).await.map(drop)
    }

    /// Runs a script over these keys, each with one argument.
    pub async fn script<T: FromRedisValue>(&self, source: &str, pairs: &[(String, u64)]) -> Result<T, RedisError> {
        let mut command = cmd("EVAL");
        command.arg(source).arg(pairs.len());
        for (key, _) in pairs {
            command.arg(self.key(key));
        }
        for (_, argument) in pairs {
            command.arg(*argument);
        }
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
        let answer = command.query_async(&mut connection).await;
        answer.map_err(|source| {
            let place = self.place.clone();
            // The connection is no good any more, or will give this answer to the next question.
            if source.is_io_error() || source.is_unrecoverable_error() {
                self.broken.notify_one();
                return RedisError::Down { place, source: Some(source) };
            }
            let error = RedisError::Refused { place, source };
            self.log_refusal(&error);
            error
        })
    }

    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
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
        let problem = chain(error);
        let mut last = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() != Some(&problem) {
            warn!(error = problem, hint = error.hint(), "Redis refused a question");
            *last = Some(problem);
        }
    }

    async fn connect(&self) -> RedisResult<(MultiplexedConnection, mpsc::UnboundedReceiver<PushInfo>)> {
        let (sender, pushes) = mpsc::unbounded_channel();
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(sender);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&settings).await?;
        connection.subscribe(self.channel()).await?;
        cmd("PING").query_async::<()>(&mut connection).await?;
        Ok((connection, pushes))
    }

    /// Watches a connection for as long as it is good.
    async fn until_broken(
        &self,
        mut connection: MultiplexedConnection,
        mut pushes: mpsc::UnboundedReceiver<PushInfo>,
        heard: &impl Fn(Heard<'_>),
    ) -> Option<redis::RedisError> {
        loop {
            tokio::select! {
                push = pushes.recv() => match push {
                    Some(PushInfo { kind: PushKind::Message, data }) => {
                        if let Some(text) = data.last().and_then(|text| String::from_redis_value_ref(text).ok()) {
                            heard(Heard::Announced(&text));
                        }
                    }
                    None | Some(PushInfo { kind: PushKind::Disconnection, .. }) => return None,
                    Some(_) => {}
                },
                () = self.broken.notified() => return None,
                () = tokio::time::sleep(BETWEEN_PINGS) => {
                    if let Err(error) = cmd("PING").query_async::<()>(&mut connection).await {
                        return Some(error);
                    }
                }
            }
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
