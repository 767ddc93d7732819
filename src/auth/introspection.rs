//! Asking the issuer about tokens: RFC 7662, by a client of our own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Method, StatusCode};
use tokio::sync::{OnceCell, Semaphore};
use tracing::warn;
use url::Url;

use super::source::{Endpoint, Source, SourceError};
use crate::{
    clock::SharedClock,
    hint::{Hint, chain},
    jose::Told,
    net::{Http, NetError, with_basic_auth},
    oauth::{AuthMethod, ErrorCode, ErrorResponse, ServerMetadata},
    secret::Secret,
    telemetry::metrics::Metrics,
};

/// Questions that may be open at once: a flood of made-up tokens must not become one of requests to the issuer.
const OPEN_QUESTIONS: usize = 64;
/// For so long nothing is asked after the issuer could not be reached, so that callers are told at once.
const REST: Duration = Duration::from_secs(2);
/// Between two tries to find the endpoint.
const RETRY: Duration = Duration::from_secs(2);

/// Who asks, and where.
#[derive(Clone, Debug)]
pub struct Introspector {
    /// The issuer.
    pub source: Source,
    /// Its endpoint, if its metadata shall not be asked.
    pub endpoint: Option<Url>,
    /// Our client there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

/// An issuer that is asked about tokens.
#[derive(Debug)]
pub struct Introspection {
    who: Introspector,
    http: Http,
    clock: SharedClock,
    metrics: Metrics,
    /// Found once: an issuer that moves while we run is not followed.
    place: OnceCell<Place>,
    open: Semaphore,
    /// On the stopwatch.
    rests_until: Mutex<Duration>,
}

#[derive(Debug)]
struct Place {
    url: Url,
    /// Whether the secret goes into the form, since the endpoint does not take `client_secret_basic`.
    takes_only_post: bool,
}

/// The issuer cannot be asked at the moment. Why is in the log.
#[derive(Debug)]
pub(super) struct Unavailable;

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("`{url}` refuses client `{client_id}` (HTTP {status})")]
    NotOurs { url: Url, client_id: String, status: u16 },
    #[error("`{url}` answered {status}")]
    Status { url: Url, status: u16 },
    #[error("`{url}` answered something else than RFC 7662 says")]
    NotAnAnswer { url: Url, source: serde_json::Error },
}

impl Hint for AskError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotOurs { .. } => {
                "check `issuer.introspection.client_id` and its secret; the issuer must allow this client to introspect"
                    .to_owned()
            }
            Self::Source(SourceError::Missing(_)) => {
                "set `issuer.introspection.endpoint`, or take JWTs: unset `issuer.introspection.client_id`".to_owned()
            }
            Self::Status { .. } | Self::NotAnAnswer { .. } => {
                "check `issuer.introspection.endpoint`: it must be the issuer's RFC 7662 endpoint".to_owned()
            }
            Self::Source(_) => "check `issuer.url` and `issuer.backchannel_url`".to_owned(),
            Self::Net(_) => "check that the issuer runs and is reached from here".to_owned(),
        })
    }
}

impl Introspection {
    /// Asks in the name of `who`. Nothing is sent before [`run`](Self::run) or the first token.
    pub fn new(who: Introspector, http: Http, clock: SharedClock, metrics: Metrics) -> Arc<Self> {
        let place = OnceCell::new_with(who.endpoint.clone().map(|url| Place { url, takes_only_post: false }));
        let open = Semaphore::new(OPEN_QUESTIONS);
        Arc::new(Self { who, http, clock, metrics, place, open, rests_until: Mutex::new(Duration::ZERO) })
    }

    /// Whether it is known where to ask.
    pub fn is_ready(&self) -> bool {
        self.place.initialized()
    }

    /// Our client at the issuer.
    pub(super) fn client_id(&self) -> &str {
        &self.who.client_id
    }

    /// Tries to find the endpoint until it is found.
    pub async fn run(&self) {
        while let Err(error) = self.place().await {
            self.tell(&error.into());
            tokio::time::sleep(RETRY).await;
        }
    }

    /// What the issuer says of this token.
    pub(super) async fn ask(&self, token: &str) -> Result<Told, Unavailable> {
        if self.rests() {
            return Err(Unavailable);
        }
        let _permit = self.open.acquire().await.map_err(|_| Unavailable)?;
        // Whoever waited for a permit may have learned meanwhile that there is no use in asking.
        if self.rests() {
            return Err(Unavailable);
        }
        let told = self.ask_now(token).await;
        self.metrics.introspection(match &told {
            Ok(Told::Active(_)) => "active",
            Ok(Told::Inactive) => "inactive",
            Err(_) => "error",
        });
        told.map_err(|error| {
            if let AskError::Net(_) | AskError::Source(_) = error {
                let until = self.clock.monotonic() + REST;
                *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
            }
            self.tell(&error);
            Unavailable
        })
    }

    fn rests(&self) -> bool {
        self.clock.monotonic() < *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask_now(&self, token: &str) -> Result<Told, AskError> {
        let Place { url, takes_only_post } = self.place().await?;
        let Introspector { client_id, client_secret, .. } = &self.who;
        let mut form = vec![("token", token), ("token_type_hint", "access_token")];
        let mut request = self.http.request(Method::POST, url).header("accept", "application/json");
        if *takes_only_post {
            form.extend([("client_id", client_id.as_str()), ("client_secret", client_secret.expose())]);
        } else {
            request = with_basic_auth(request, client_id, client_secret);
        }
        let answer = self.http.send(request.form(&form)).await?;
        let (url, status) = (url.clone(), answer.status.as_u16());
        let is_about_us = || {
            let error = answer.json::<ErrorResponse>().map(|body| body.error);
            matches!(error, Ok(ErrorCode::InvalidClient | ErrorCode::UnauthorizedClient))
        };
        match answer.status {
            StatusCode::OK => Told::parse(&answer.body).map_err(|source| AskError::NotAnAnswer { url, source }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(AskError::NotOurs { url, client_id: client_id.clone(), status })
            }
            StatusCode::BAD_REQUEST if is_about_us() => {
                Err(AskError::NotOurs { url, client_id: client_id.clone(), status })
            }
            _ => Err(AskError::Status { url, status }),
        }
    }

    async fn place(&self) -> Result<&Place, SourceError> {
        let find = || async {
            let metadata = self.who.source.metadata(&self.http).await?;
            let takes_only_post = takes_only_post(&metadata);
            let url = self.who.source.reached(Endpoint::Introspection, metadata.introspection_endpoint)?;
            Ok(Place { url, takes_only_post })
        };
        self.place.get_or_try_init(find).await
    }

    fn tell(&self, error: &AskError) {
        let hint = error.hint();
        warn!(issuer = %self.who.source.issuer, error = chain(error), hint, "cannot ask the issuer about tokens");
    }
}

/// RFC 8414: without a list of its own the endpoint takes `client_secret_basic`.
fn takes_only_post(metadata: &ServerMetadata) -> bool {
    let methods = &metadata.introspection_endpoint_auth_methods_supported;
    methods.contains(&AuthMethod::ClientSecretPost) && !methods.contains(&AuthMethod::ClientSecretBasic)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        task::JoinSet,
    };

    use super::*;
    use crate::{clock::TestClock, net::Options, oauth::Issuer};

    /// Takes questions, and answers none before it is told to, or breaks off.
    struct Slow {
        questions: AtomicUsize,
        may_answer: Semaphore,
        answers: bool,
    }

    impl Slow {
        async fn start(answers: bool) -> (Arc<Self>, Arc<Introspection>, Arc<TestClock>) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url: Url = format!("http://{}/introspect", listener.local_addr().unwrap()).parse().unwrap();
            let slow = Arc::new(Self { questions: AtomicUsize::new(0), may_answer: Semaphore::new(0), answers });
            let running = Arc::clone(&slow);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(Arc::clone(&running).answer(stream));
                }
            });
            let source = Source { issuer: Issuer::parse("http://127.0.0.1").unwrap(), backchannel_url: None };
            let client_secret = Secret::new("secret");
            let who = Introspector { source, endpoint: Some(url), client_id: "us".to_owned(), client_secret };
            let http = Http::new(&Options::with_timeout(Duration::from_mins(1))).unwrap();
            let clock = TestClock::at(1_800_000_000);
            let introspection = Introspection::new(who, http, clock.clone(), Metrics::default());
            (slow, introspection, clock)
        }

        async fn answer(self: Arc<Self>, mut stream: TcpStream) {
            let mut question = [0; 4096];
            assert!(stream.read(&mut question).await.unwrap() > 0);
            self.questions.fetch_add(1, Ordering::SeqCst);
            self.may_answer.acquire().await.unwrap().forget();
            if self.answers {
                let body = r#"{"active":false}"#;
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }

        fn questions(&self) -> usize {
            self.questions.load(Ordering::SeqCst)
        }

        async fn until_asked(&self, questions: usize) {
            while self.questions() < questions {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Asks about this many tokens at once, and gives the verdicts as they come.
    fn ask_about(introspection: &Arc<Introspection>, tokens: usize) -> JoinSet<Result<Told, Unavailable>> {
        let mut asking = JoinSet::new();
        for token in 0..tokens {
            let introspection = Arc::clone(introspection);
            asking.spawn(async move { introspection.ask(&token.to_string()).await });
        }
        asking
    }

    #[tokio::test]
    async fn k13_a_flood_of_new_tokens_is_no_flood_of_questions() {
        let (issuer, introspection, _clock) = Slow::start(true).await;
        let mut asking = ask_about(&introspection, OPEN_QUESTIONS + 6);
        issuer.until_asked(OPEN_QUESTIONS).await;
        // Whoever comes now is behind all who could have come before.
        let mut last =
            TcpStream::connect(introspection.who.endpoint.as_ref().unwrap().socket_addrs(|| None).unwrap()[0])
                .await
                .unwrap();
        last.write_all(b"?").await.unwrap();
        issuer.until_asked(OPEN_QUESTIONS + 1).await;
        assert_eq!(issuer.questions(), OPEN_QUESTIONS + 1, "the others wait");
        issuer.may_answer.add_permits(OPEN_QUESTIONS + 7);
        while let Some(told) = asking.join_next().await {
            assert!(matches!(told.unwrap(), Ok(Told::Inactive)), "nobody is turned away");
        }
        assert_eq!(issuer.questions(), OPEN_QUESTIONS + 7);
    }

    #[tokio::test]
    async fn k13_an_issuer_that_breaks_off_is_left_alone_for_a_while() {
        let (issuer, introspection, clock) = Slow::start(false).await;
        let mut asking = ask_about(&introspection, OPEN_QUESTIONS + 6);
        issuer.until_asked(OPEN_QUESTIONS).await;
        issuer.may_answer.add_permits(usize::from(u16::MAX));
        while let Some(told) = asking.join_next().await {
            assert!(told.unwrap().is_err());
        }
        assert_eq!(issuer.questions(), OPEN_QUESTIONS, "those who waited for their turn have learnt it meanwhile");
        for wait in [Duration::ZERO, REST.saturating_sub(Duration::from_millis(1))] {
            clock.advance(wait);
            assert!(introspection.ask("token").await.is_err());
            assert_eq!(issuer.questions(), OPEN_QUESTIONS, "after {wait:?}");
        }
        clock.advance(Duration::from_millis(1));
        assert!(introspection.ask("token").await.is_err());
        assert_eq!(issuer.questions(), OPEN_QUESTIONS + 1, "and is asked again then");
    }
}
