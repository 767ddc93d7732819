//! `GET /metrics`, on a listener of its own: whoever reads it needs no token, and whoever has a token need not see it.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, StatusCode, header},
    response::IntoResponse as _,
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::{error::problem, listener};
use crate::telemetry::metrics::Metrics;

/// The media type of `OpenMetrics`.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Connections at a time: a handful of scrapers.
const MAX_CONNECTIONS: usize = 64;

/// Serves the page until `stop` fires.
pub(super) async fn serve(listener: TcpListener, metrics: Metrics, stop: CancellationToken) {
    let builder = Arc::new(listener::builder());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accepting = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, _) = listener::next(&listener).await;
            let (builder, metrics, stop) = (Arc::clone(&builder), metrics.clone(), stop.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let response = answer(&request, &metrics);
                    async { Ok::<_, Infallible>(response) }
                });
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
                    tracing::debug!(error = error.as_ref(), "a connection for metrics ended early");
                }
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Body> {
    let mut response = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.page()).into_response()
        }
        (_, "/metrics") => {
            let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        _ => problem(StatusCode::NOT_FOUND, "there is nothing here but /metrics"),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
