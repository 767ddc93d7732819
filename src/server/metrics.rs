//! `GET /metrics`, on a listener of its own: whoever reads it needs no token, and whoever has a token need not see it.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header, uri::Authority},
    response::IntoResponse as _,
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::{error::problem, layers, listener, names, request_id};
use crate::telemetry::metrics::Metrics;

/// The media type of `OpenMetrics`.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Connections at a time: a handful of scrapers.
const MAX_CONNECTIONS: usize = 64;
/// How long one lasts, whatever its peer does or does not do: as long as Prometheus waits for an answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// What answers every request.
struct Page {
    metrics: Metrics,
    /// The only names to be reached under; `None`: any.
    hosts: Option<Vec<String>>,
}

/// Serves the page on `address` until `stop` fires.
pub(super) async fn serve(listener: TcpListener, address: SocketAddr, metrics: Metrics, stop: CancellationToken) {
    // Scrapers speak HTTP/1.1, and finding out who speaks HTTP/2 would wait for ever for a peer that says nothing.
    let mut builder = listener::builder().http1_only();
    builder.http1().keep_alive(false);
    let builder = Arc::new(builder);
    let page = Arc::new(Page::new(address, metrics));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accepting = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, _) = listener::next(&listener).await;
            let (builder, page, stop) = (Arc::clone(&builder), Arc::clone(&page), stop.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let response = page.answer(&request);
                    async { Ok::<_, Infallible>(response) }
                });
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                let connection = tokio::time::timeout(CONNECTION_TIMEOUT, connection);
                if let Some(Ok(Err(error))) = stop.run_until_cancelled(connection).await {
                    tracing::debug!(error = error.as_ref(), "a connection for metrics ended early");
                }
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
}

impl Page {
    fn new(address: SocketAddr, metrics: Metrics) -> Self {
        let hosts = address.ip().is_loopback().then(|| names::loopback_hosts(address));
        Self { metrics, hosts }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut response = match (request.method(), request.uri().path()) {
            _ if !self.allows(layers::host(request)) => {
                problem(StatusCode::MISDIRECTED_REQUEST, "metrics on loopback are read under a name of this machine")
            }
            (&Method::GET | &Method::HEAD, "/metrics") => {
                ([(header::CONTENT_TYPE, OPEN_METRICS)], self.metrics.page()).into_response()
            }
            (_, "/metrics") => {
                let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET");
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            _ => problem(StatusCode::NOT_FOUND, "there is nothing here but /metrics"),
        };
        let headers = response.headers_mut();
        layers::add_security_headers(headers, None);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers
            .insert(request_id::HEADER, request_id::of(request.headers(), request_id::correlation(request.headers())));
        response
    }

    /// Closes DNS rebinding where no firewall stands between a page in a browser and the listener.
    fn allows(&self, host: Option<&str>) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let named = host.and_then(|host| host.parse::<Authority>().ok());
        named.is_some_and(|named| hosts.iter().any(|host| host.eq_ignore_ascii_case(named.host())))
    }
}
