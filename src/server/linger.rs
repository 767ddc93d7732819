//! The rest of a body that was answered before it was read.
//!
//! Whoever is still sending when the connection closes gets a reset, and with it often loses the answer: why the body
//! was too large, or which token is wanted. So what is left is read and thrown away, within bounds, before that.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{Request, Version, header},
};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// How long is read on.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much is read on, in bytes: as much as our command line sends by mistake.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A body of a request, read on by itself if it is dropped before its end.
pub(super) struct Lingering {
    /// `None` once there is nothing left to read.
    body: Option<Incoming>,
    lingers: bool,
}

impl Lingering {
    /// Puts it around the body of a request.
    pub(super) fn around(request: Request<Incoming>) -> Request<Self> {
        // HTTP/2 ends one stream without the others. Who waits for `100 Continue` sends nothing when it does not come.
        let lingers = request.version() < Version::HTTP_2 && !request.headers().contains_key(header::EXPECT);
        request.map(|body| Self { body: Some(body).filter(|body| !body.is_end_stream()), lingers })
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *body).poll_frame(context);
        let is_over = match &polled {
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Ready(Some(Ok(_))) => body.is_end_stream(),
            Poll::Pending => false,
        };
        if is_over {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|_| self.lingers) else { return };
        // Beside the answer, which is written meanwhile.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(TIMEOUT, throw_away(body)));
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let mut left = MAX_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
