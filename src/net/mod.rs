//! The only place that builds an HTTP client: timeouts, size caps, no redirects, rustls; and the one way to read what
//! clients of ours send.

mod body;
mod flights;
mod guard;
mod localhost;
mod streamable;
#[cfg(test)]
pub(crate) mod testing;

use std::{error::Error, io, sync::Arc, time::Duration};

use reqwest::{
    Certificate, Client, ClientBuilder, Method, RequestBuilder, StatusCode, header::HeaderMap, redirect, tls::TlsInfo,
};
use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded::byte_serialize};

pub use body::{BodyError, read_body};
pub use flights::Flights;
pub use guard::{Guard, GuardError};
pub(crate) use streamable::ORIGIN;
pub use streamable::{Streamable, status_in};

use crate::{hint::Hint, secret::Secret, tls::Validity};

/// Largest metadata document, key set or token response, in bytes, after decompression.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An HTTP client for documents: whole answers of bounded size within a bounded time.
///
/// It never follows a redirect: a token request that did would hand its secret to another host, and a key set that did
/// would come from one.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    /// For http URLs.
    plain: Client,
    timeout: Duration,
}

/// What is trusted and how long a request may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// One whole request, from connecting to the last byte.
    pub timeout: Duration,
    /// PEM certificates to trust beside the system's.
    pub extra_roots: Vec<Certificate>,
}

impl Options {
    /// The system's certificates only.
    pub fn with_timeout(timeout: Duration) -> Self {
        Self { timeout, extra_roots: Vec::new() }
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Document {
    /// Whatever it was; errors too.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// No more than was asked for.
    pub body: Vec<u8>,
    /// The certificate, in DER, of whoever sent it over https.
    certificate: Option<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The system's certificates or an extra one could not be used.
    #[error("cannot set up TLS")]
    Setup(#[source] reqwest::Error),
    /// No connection.
    #[error("cannot reach `{url}`")]
    Unreachable {
        /// Without query: it may carry secrets of others.
        url: String,
        /// The chain of causes.
        source: reqwest::Error,
    },
    /// The time was up.
    #[error("`{url}` did not answer within {}", seconds(*.timeout))]
    TimedOut {
        /// Without query.
        url: String,
        /// The bound that was set.
        timeout: Duration,
    },
    /// The connection broke, or the answer was no HTTP.
    #[error("the answer of `{url}` broke off")]
    Broken {
        /// Without query.
        url: String,
        /// The chain of causes.
        source: reqwest::Error,
    },
    /// More than was asked for.
    #[error("the answer of `{url}` is larger than {}", size(*.max_bytes))]
    TooLarge {
        /// Without query.
        url: String,
        /// The bound that was set.
        max_bytes: usize,
    },
}

impl NetError {
    /// What an error of the client underneath means, when a request was bounded by `timeout`.
    pub fn of(error: reqwest::Error, timeout: Duration) -> Self {
        let url = error.url().map(without_query).unwrap_or_default();
        let source = error.without_url();
        if source.is_timeout() {
            Self::TimedOut { url, timeout }
        } else if source.is_connect() {
            Self::Unreachable { url, source }
        } else {
            Self::Broken { url, source }
        }
    }

    /// Whether there is nobody at the address: what is there and not trusted is somebody.
    pub fn is_nobody(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if tls_error_in(source).is_none())
    }
}

impl Hint for NetError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Setup(_) => Some("check the certificate file given by `--ca`".to_owned()),
            Self::Unreachable { source, .. } => Some(match tls_error_in(source) {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    "name the authority that issued its certificate with `--ca FILE`, and call it by a name in the certificate"
                        .to_owned()
                }
                Some(rustls::Error::InvalidMessage(_)) => {
                    "what answers there does not speak TLS: check the port, and whether the URL begins with http or https"
                        .to_owned()
                }
                _ => "check that it runs and that the address is right".to_owned(),
            }),
            Self::TimedOut { .. } => Some("check that it is healthy, or give it longer with `--timeout`".to_owned()),
            Self::TooLarge { .. } => {
                Some("no issuer or server needs to say so much here: check that the address is right".to_owned())
            }
            Self::Broken { url, source } if url.starts_with("http://") && is_no_http(source) => Some(
                "what answers there does not speak HTTP: if it speaks TLS, begin the URL with https".to_owned(),
            ),
            Self::Broken { .. } => None,
        }
    }
}

/// Whether the answer is none of HTTP's.
fn is_no_http(error: &reqwest::Error) -> bool {
    cause_in::<hyper::Error>(error).is_some_and(hyper::Error::is_parse)
}

/// What TLS says, if the peer was reached.
fn tls_error_in(error: &reqwest::Error) -> Option<&rustls::Error> {
    cause_in(error)
}

fn cause_in<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |&cause| {
        // An `io::Error` does not name what it wraps among its sources.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| cause.source())
    });
    causes.find_map(|cause| cause.downcast_ref())
}

/// Builds the client that everything outgoing uses. It has no bound on a whole answer, since an event stream has none:
/// bound it where it is used, or use [`Http`].
pub fn client(options: &Options) -> Result<Client, NetError> {
    let builder = builder(options.timeout).tls_certs_merge(options.extra_roots.iter().cloned()).tls_info(true);
    builder.build().map_err(NetError::Setup)
}

/// The same for http URLs only: it trusts no certificate at all, and so need not read the system's, which takes longer
/// than a whole call on loopback. It goes through no proxy, which would see all that is said, and has another loopback.
pub fn plain_client(options: &Options) -> Result<Client, NetError> {
    builder(options.timeout).tls_certs_only([]).no_proxy().build().map_err(NetError::Setup)
}

fn builder(timeout: Duration) -> ClientBuilder {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let builder = Client::builder();
    builder
        .user_agent(concat!("securemcp/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .dns_resolver(Arc::new(localhost::Resolver))
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .tcp_nodelay(true)
}

impl Http {
    /// Builds a client with these bounds.
    pub fn new(options: &Options) -> Result<Self, NetError> {
        Ok(Self { client: client(options)?, plain: plain_client(options)?, timeout: options.timeout })
    }

    /// A client for http URLs only, as [`plain_client`] builds it.
    pub fn plain(options: &Options) -> Result<Self, NetError> {
        let plain = plain_client(options)?;
        Ok(Self { client: plain.clone(), plain, timeout: options.timeout })
    }

    /// The client underneath, with the same open connections, for answers that have no end.
    pub fn unbounded(&self) -> &Client {
        &self.client
    }

    /// A request to be completed and handed to [`send`](Self::send).
    pub fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let client = if url.scheme() == "http" { &self.plain } else { &self.client };
        client.request(method, url.clone()).timeout(self.timeout)
    }

    /// Fetches a document.
    pub async fn get(&self, url: &Url) -> Result<Document, NetError> {
        self.send(self.request(Method::GET, url).header("accept", "application/json")).await
    }

    /// Sends the request and reads the whole answer, whatever its status, up to [`MAX_DOCUMENT_BYTES`].
    pub async fn send(&self, request: RequestBuilder) -> Result<Document, NetError> {
        self.send_for(MAX_DOCUMENT_BYTES, request).await
    }

    async fn send_for(&self, max_bytes: usize, request: RequestBuilder) -> Result<Document, NetError> {
        let mut response = request.send().await.map_err(|error| NetError::of(error, self.timeout))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let tls = response.extensions().get::<TlsInfo>();
        let certificate = tls.and_then(TlsInfo::peer_certificate).map(<[u8]>::to_vec);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| NetError::of(error, self.timeout))? {
            // Counted after decompression: a small bomb is as large as what it becomes.
            if body.len() + chunk.len() > max_bytes {
                return Err(NetError::TooLarge { url: without_query(response.url()), max_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        tracing::debug!(url = without_query(response.url()), status = status.as_u16(), bytes = body.len(), "answered");
        Ok(Document { status, headers, body, certificate })
    }
}

/// `client_secret_basic`: both are form-encoded before they are joined (RFC 6749 section 2.3.1).
pub fn with_basic_auth(request: RequestBuilder, client_id: &str, secret: &Secret) -> RequestBuilder {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    request.basic_auth(encode(client_id), Some(encode(secret.expose())))
}

impl Document {
    /// How long the sender's certificate is good; nothing over http.
    pub fn certificate_validity(&self) -> Option<Validity> {
        Validity::of(&self.certificate.as_deref()?.into()).ok()
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

fn size(bytes: usize) -> String {
    const MIB: usize = 1024 * 1024;
    if bytes.is_multiple_of(MIB) { format!("{} MiB", bytes / MIB) } else { format!("{} KiB", bytes / 1024) }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
