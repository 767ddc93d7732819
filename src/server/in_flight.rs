//! Counts requests under way, so that a drain knows when the last is answered.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Response, Version, header},
};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

use super::App;

/// The number of requests under way.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    requests: AtomicUsize,
    none_left: Notify,
}

/// One request; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Guard(Arc<Count>);

impl InFlight {
    pub(super) fn enter(&self) -> Guard {
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        Guard(Arc::clone(&self.0))
    }

    /// Waits until there is none.
    pub(super) async fn none(&self) {
        loop {
            // It hears of every end after this line, also of one before it is awaited.
            let none_left = self.0.none_left.notified();
            if self.0.requests.load(Ordering::SeqCst) == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

/// A call is under way until the last byte of its answer is out; while draining, the connection ends with it.
pub(super) fn held_until_sent(app: &App, response: Response<Body>, guard: Guard) -> Response<Body> {
    let mut response = holding(response, guard);
    if app.draining.load(Ordering::Relaxed) && response.version() <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Keeps something until the body has been sent or given up.
pub(super) fn holding<T: Send + Unpin + 'static>(response: Response<Body>, kept: T) -> Response<Body> {
    response.map(|body| Body::new(Holding { body, _kept: kept }))
}

/// A body, and what goes when it goes.
struct Holding<T> {
    body: Body,
    _kept: T,
}

impl<T: Unpin> HttpBody for Holding<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Known for a JSON answer, which then goes out with its length, in one piece, and not in chunks.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
