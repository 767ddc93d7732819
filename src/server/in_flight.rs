//! Counts requests under way, so that a drain knows when the last is answered.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Response, Version, header},
};
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;

use super::App;

/// The number of requests under way.
#[derive(Clone, Debug)]
pub(super) struct InFlight(Arc<watch::Sender<usize>>);

/// One request; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Guard(Arc<watch::Sender<usize>>);

impl InFlight {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(super) fn enter(&self) -> Guard {
        self.0.send_modify(|count| *count += 1);
        Guard(Arc::clone(&self.0))
    }

    /// Waits until there is none.
    pub(super) async fn none(&self) {
        // An error would mean that the sender is gone, and it is `self`.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
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
