//! Where a login comes back to: a listener on this machine that takes one answer (RFC 8252 section 7.3).

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use url::Url;

use super::{LoginError, page::Page};
use crate::client::ClientError;

/// The path of the redirect URI of clients that did not register another.
pub(super) const PATH: &str = "/callback";

/// A browser opens a few connections ahead; nobody needs more.
const MAX_CONNECTIONS: usize = 16;
/// How long a request may take to arrive.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last page may take to leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// A redirect URI on this machine, but for its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    host: String,
    /// Path and query.
    target: String,
    /// The port that was registered; another one is good too (RFC 8252 section 7.3), at issuers that know.
    port: Option<u16>,
}

/// Waits at a place.
#[derive(Debug)]
pub(super) struct Callback {
    listener: TcpListener,
    /// What `Host` has to be.
    authority: String,
    target: String,
}

/// An answer, whom to tell what became of it, and who tells when that has left.
struct Arrived {
    query: String,
    page: oneshot::Sender<Page>,
    left: oneshot::Receiver<()>,
}

impl Default for Place {
    fn default() -> Self {
        Self { host: Ipv4Addr::LOCALHOST.to_string(), target: PATH.to_owned(), port: None }
    }
}

impl Place {
    /// The place of a redirect URI, if this listener can be there: plain http to this machine by its IPv4 address, or
    /// by the name that has it.
    pub(super) fn of(redirect_uri: &str) -> Option<Self> {
        let url = Url::parse(redirect_uri).ok().filter(|url| url.scheme() == "http" && url.fragment().is_none())?;
        let host = url.host_str().filter(|host| ["127.0.0.1", "localhost"].contains(host))?.to_owned();
        // Byte for byte as it was registered: a parser would add a slash.
        let rest = redirect_uri.get("http://".len()..)?;
        let target = rest.find(['/', '?']).map_or("", |start| &rest[start..]).to_owned();
        Some(Self { host, target, port: url.port() })
    }

    /// Whether a port was registered.
    pub(super) const fn has_port(&self) -> bool {
        self.port.is_some()
    }

    /// Listens there, at the registered port if it is free.
    pub(super) async fn listen(self) -> Result<Callback, ClientError> {
        let preferred = match self.port {
            Some(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.ok(),
            None => None,
        };
        let listener = match preferred {
            Some(listener) => listener,
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(LoginError::NoListener)?,
        };
        let port = listener.local_addr().map_err(LoginError::NoListener)?.port();
        Ok(Callback { listener, authority: format!("{}:{port}", self.host), target: self.target })
    }
}

impl Callback {
    /// The redirect URI that leads here.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://{}{}", self.authority, self.target)
    }

    /// Waits for the one answer, and tells the browser what `judge` makes of it. Whatever else comes is answered, and
    /// changes nothing.
    pub(super) async fn answer<T>(self, judge: impl FnOnce(&str) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let (arrivals, mut arrived) = mpsc::channel::<Arrived>(1);
        let mut connections = JoinSet::new();
        let Arrived { query, page, left } = loop {
            tokio::select! {
                Some(arrived) = arrived.recv() => break arrived,
                Ok((stream, _)) = self.listener.accept() => {
                    if connections.len() < MAX_CONNECTIONS {
                        let (path, authority) = (self.path().to_owned(), self.authority.clone());
                        connections.spawn(serve(stream, path, authority, arrivals.clone()));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        };
        // Nobody else gets in.
        drop(self.listener);
        let judged = judge(&query);
        let _ = page.send(match &judged {
            Ok(_) => Page::received(),
            Err(error) => Page::failed(&error.to_string()),
        });
        // The process may end right after this.
        let _ = tokio::time::timeout(FAREWELL, left).await;
        judged
    }

    fn path(&self) -> &str {
        self.target.split('?').next().filter(|path| !path.is_empty()).unwrap_or("/")
    }
}

async fn serve(stream: TcpStream, path: String, authority: String, arrivals: mpsc::Sender<Arrived>) {
    let (leaving, left) = oneshot::channel();
    let left = Arc::new(Mutex::new(Some(left)));
    let service = service_fn(|request: Request<Incoming>| {
        let page = misplaced(&request, &path, &authority);
        let (arrivals, left) = (arrivals.clone(), Arc::clone(&left));
        async move {
            let page = match page {
                Some(page) => page,
                None => take(request.uri().query().unwrap_or_default(), &left, &arrivals).await,
            };
            Ok::<Response<Full<Bytes>>, Infallible>(page.response())
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(64 * 1024);
    // Who breaks off has had enough.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    let _ = leaving.send(());
}

/// What is said to a request that is no answer to the login.
fn misplaced(request: &Request<Incoming>, path: &str, authority: &str) -> Option<Page> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let is_here = hosts.next().is_some_and(|host| host.as_bytes() == authority.as_bytes()) && hosts.next().is_none();
    if !is_here {
        // A name that somebody else has pointed to this machine.
        return Some(Page::nothing(StatusCode::MISDIRECTED_REQUEST));
    }
    if request.uri().path() != path {
        return Some(Page::nothing(StatusCode::NOT_FOUND));
    }
    (request.method() != Method::GET).then(|| Page::nothing(StatusCode::METHOD_NOT_ALLOWED))
}

async fn take(query: &str, left: &Mutex<Option<oneshot::Receiver<()>>>, arrivals: &mpsc::Sender<Arrived>) -> Page {
    let gone = || Page::nothing(StatusCode::GONE);
    let Some(left) = left.lock().unwrap_or_else(PoisonError::into_inner).take() else { return gone() };
    let (page, told) = oneshot::channel();
    if arrivals.send(Arrived { query: query.to_owned(), page, left }).await.is_err() {
        return gone();
    }
    told.await.unwrap_or_else(|_| gone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leads_to_this_machine_over_ipv4_is_a_place() {
        for (uri, port, target) in [
            ("http://127.0.0.1/callback", None, "/callback"),
            ("http://127.0.0.1:3118/callback", Some(3118), "/callback"),
            ("http://localhost:3118/back?from=login", Some(3118), "/back?from=login"),
            ("http://127.0.0.1", None, ""),
        ] {
            let place = Place::of(uri).unwrap();
            assert_eq!((place.port, place.target.as_str()), (port, target), "{uri}");
        }
        for uri in [
            "https://127.0.0.1/callback",
            "http://[::1]/callback",
            "http://127.0.0.2/callback",
            "http://app.example/callback",
            "http://127.0.0.1.example/callback",
            "http://127.0.0.1/callback#x",
            "com.example.app:/callback",
            "callback",
        ] {
            assert_eq!(Place::of(uri), None, "{uri}");
        }
    }

    #[tokio::test]
    async fn the_redirect_uri_is_the_registered_one_but_for_a_port_that_is_taken() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let place = Place::of(&format!("http://localhost:{port}/back?from=login")).unwrap();
        let other = place.clone().listen().await.unwrap().redirect_uri();
        assert!(other.starts_with("http://localhost:") && other.ends_with("/back?from=login"), "{other}");
        assert!(!other.contains(&port.to_string()), "{other}");
        drop(taken);
        let same = place.listen().await.unwrap().redirect_uri();
        assert_eq!(same, format!("http://localhost:{port}/back?from=login"), "the twin");
    }
}
