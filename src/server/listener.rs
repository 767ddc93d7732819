//! Connections: accepting them, their limits, and their end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{Extensions, Request},
};
use futures_util::{
    FutureExt as _,
    future::{AbortHandle, Abortable},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::{either::Either, sync::CancellationToken};

use super::{linger::Lingering, reload::Running, stall::Unstalled};

/// How long a client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of one request, in all.
const MAX_HEADER_BYTES: u32 = 32 * 1024;
/// How long a proxy may take to give up connections that it does not use. The one of compose/nginx does so after 5 s.
const IDLE_AT_PROXY: Duration = Duration::from_secs(6);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);
/// A pause when the process has no file descriptor left: accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection, in the extensions of each request that comes by it.
#[derive(Debug)]
pub(super) struct Connection {
    /// Who is at the other end: a client, or a proxy in front.
    pub(super) peer: SocketAddr,
    /// Ends what serves it.
    pub(super) ender: AbortHandle,
}

impl Connection {
    /// By which a request came; `None` if that is not known.
    pub(super) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get()
    }

    /// Closes it as it is, in the middle of whatever is under way.
    pub(super) fn end(&self) {
        self.ender.abort();
    }
}

/// What every connection needs.
struct Shared {
    builder: auto::Builder<TokioExecutor>,
    running: Arc<Running>,
    stop: CancellationToken,
}

/// Serves connections until `stop` fires, then stops accepting. Returns the connections still open.
pub(super) async fn accept(listener: TcpListener, running: Arc<Running>, stop: CancellationToken) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let shared = Arc::new(Shared { builder: builder(), running, stop: stop.clone() });
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            (stream, peer) = next(&listener) => {
                // A handshake takes as long as the client likes: never in the way of the next connection.
                begin(stream, peer, &shared, connections.watcher());
            }
        }
    }
    // Whoever waits in the kernel's queue is connected already, and may have sent a call. The runtime may not know yet.
    if let Ok(listener) = listener.into_std() {
        while let Ok((stream, peer)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                begin(stream, peer, &shared, connections.watcher());
            }
        }
    }
    connections
}

/// Waits until a proxy has closed its connections, but not for ever.
///
/// It may be sending a call over one that it believes to be idle: closed now, it would have to fail that call, since nobody
/// knows whether it was done. What it still sends is answered, and is the last on its connection.
pub(super) async fn left_by_proxy(connections: &GracefulShutdown, drain_timeout: Duration) {
    let (began, longest) = (Instant::now(), IDLE_AT_PROXY.min(drain_timeout / 2));
    while connections.count() > 0 && began.elapsed() < longest {
        tokio::time::sleep(LOOK).await;
    }
}

/// The next connection, however long that takes.
pub(super) async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn begin(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, connections: Watcher) {
    let (ender, registration) = AbortHandle::new_pair();
    let connection = Arc::new(Connection { peer, ender });
    tokio::spawn(Abortable::new(serve(stream, connection, Arc::clone(shared), connections), registration));
}

async fn serve(stream: TcpStream, connection: Arc<Connection>, shared: Arc<Shared>, connections: Watcher) {
    let peer = connection.peer;
    // Without it an event stream waits 40 ms for each small write (Nagle against delayed acknowledgement).
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    // Below TLS, which knows nothing of a peer that takes a part of what it has sealed.
    let stream = Unstalled::new(stream);
    let stream = match &shared.running.tls {
        None => Either::Left(stream),
        Some(tls) => {
            let shaken = tokio::select! {
                // A server that ends does not wait for somebody who has not said anything yet.
                () = shared.stop.cancelled() => return,
                // Boxed, so that a connection without TLS takes no more memory for it.
                shaken = Box::pin(tls.accept(stream)) => shaken.map(Box::new),
            };
            match shaken {
                Ok(stream) => Either::Right(stream),
                Err(error) => {
                    tracing::debug!(%error, %peer, "no TLS handshake");
                    return;
                }
            }
        }
    };
    let running = Arc::clone(&shared.running);
    let asked = Arc::new(AtomicBool::new(false));
    let asks = Arc::clone(&asked);
    let service = service_fn(move |mut request: Request<Incoming>| {
        asks.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Arc::clone(&connection));
        // No `async` block: it would hold the answer twice, for as long as the connection lives.
        running.routes().answer(Lingering::around(request).map(Body::new)).map(Ok::<_, Infallible>)
    });
    let served = shared.builder.serve_connection(TokioIo::new(stream), service).into_owned();
    // Until it is known which HTTP is spoken nothing else bounds the wait, and a single `P` does not tell.
    let silence = async {
        tokio::time::sleep(HEADER_TIMEOUT).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = connections.watch(served) => if let Err(error) = ended {
            tracing::debug!(error = error.as_ref(), "a connection ended early");
        },
        () = silence => tracing::debug!(%peer, "a connection without a request"),
    }
}

/// How a connection is served, whatever for.
pub(super) fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        // A request has at most 100 headers, hyper's own bound: to set it, even to that, costs time on each request.
        .max_buf_size(MAX_HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_concurrent_streams(256)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    builder
}
