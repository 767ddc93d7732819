//! Connections: accepting them, their limits, and their end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::layers::Layered;

/// How long a client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of one request, in all.
const MAX_HEADER_BYTES: u32 = 32 * 1024;
/// Headers of one request, in number.
const MAX_HEADERS: usize = 100;
/// A pause when the process has no file descriptor left: accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections until `stop` fires, then stops accepting. Returns the connections still open.
pub(super) async fn accept(listener: TcpListener, routes: Layered, stop: CancellationToken) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let builder = Arc::new(builder());
    loop {
        tokio::select! {
            () = stop.cancelled() => return connections,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve(stream, &builder, &routes, &connections),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

fn serve(
    stream: TcpStream,
    builder: &Arc<auto::Builder<TokioExecutor>>,
    routes: &Layered,
    connections: &GracefulShutdown,
) {
    // Without it an event stream waits 40 ms for each small write (Nagle against delayed acknowledgement).
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let routes = routes.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = routes.clone().answer(request.map(Body::new));
        async { Ok::<_, Infallible>(answer.await) }
    });
    let builder = Arc::clone(builder);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = error.as_ref(), "a connection ended early");
        }
    });
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES as usize)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_concurrent_streams(256)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}
