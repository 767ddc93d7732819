//! An answer that is ready at once leaves in one write.
//!
//! In a session every answer is an event stream, which rmcp begins before the tool has run. Sent as it comes, the head and
//! the result of a quick call are two writes, two packets and two wake-ups of the client, which cost more than the call.

use std::task::Poll;

use axum::{
    body::{Body, Bytes},
    http::Response,
};
use futures_util::{StreamExt as _, poll, stream};
use http_body_util::BodyExt as _;

/// How often everything else that can run does so before the answer goes out as far as it is there.
const TURNS: usize = 4;
/// With so much of it there, an answer goes out.
const ENOUGH_BYTES: usize = 64 * 1024;

/// The response with all of its body that is there after a few turns of the runtime, in one piece. What comes later comes
/// until `end`, which an answer that is whole does not wait for.
pub(super) async fn gathered(
    response: Response<Body>,
    end: impl Future<Output = ()> + Send + 'static,
) -> Response<Body> {
    let (parts, mut body) = response.into_parts();
    let mut ready = Vec::new();
    for _ in 0..TURNS {
        while ready.len() < ENOUGH_BYTES {
            match poll!(body.frame()) {
                // An event stream has no trailers.
                Poll::Ready(Some(Ok(frame))) => ready.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Poll::Ready(Some(Err(error))) => {
                    let broken = stream::iter([Ok(Bytes::from(ready)), Err(error)]);
                    return Response::from_parts(parts, Body::from_stream(broken));
                }
                Poll::Ready(None) => return Response::from_parts(parts, Body::from(ready)),
                Poll::Pending => break,
            }
        }
        tokio::task::yield_now().await;
    }
    let first = (!ready.is_empty()).then(|| Ok(Bytes::from(ready)));
    let later = body.into_data_stream().take_until(end);
    Response::from_parts(parts, Body::from_stream(stream::iter(first).chain(later)))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future};

    use tokio::sync::mpsc;

    use super::*;

    fn streamed(pieces: mpsc::UnboundedReceiver<&'static str>) -> Response<Body> {
        let pieces = stream::unfold(pieces, async |mut pieces| {
            let piece = pieces.recv().await?;
            Some((Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes())), pieces))
        });
        Response::new(Body::from_stream(pieces))
    }

    #[tokio::test]
    async fn what_is_ready_soon_is_whole() {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send("head ").unwrap();
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            sender.send("result").unwrap();
        });
        let body = gathered(streamed(receiver), future::pending()).await.into_body();
        assert_eq!(axum::body::HttpBody::size_hint(&body).exact(), Some(11), "it goes out with its length");
        assert_eq!(body.collect().await.unwrap().to_bytes(), "head result");
    }

    #[tokio::test]
    async fn what_takes_longer_goes_out_as_it_comes() {
        for first in [None, Some("head ")] {
            let (sender, receiver) = mpsc::unbounded_channel();
            if let Some(piece) = first {
                sender.send(piece).unwrap();
            }
            let mut body = gathered(streamed(receiver), future::pending()).await.into_body();
            if let Some(first) = first {
                assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), first);
            }
            assert!(poll!(body.frame()).is_pending());
            sender.send("result").unwrap();
            drop(sender);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "result");
        }
    }

    #[tokio::test]
    async fn what_is_let_go_of_ends_with_what_was_said_before() {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send("head ").unwrap();
        let body = gathered(streamed(receiver), future::ready(())).await.into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "head ");
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn a_flood_is_not_waited_for() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let piece: &'static str = "x".repeat(1000).leak();
        for _ in 0..1000 {
            sender.send(piece).unwrap();
        }
        drop(sender);
        let mut body = gathered(streamed(receiver), future::pending()).await.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), ENOUGH_BYTES.div_ceil(1000) * 1000);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 1_000_000 - ENOUGH_BYTES.div_ceil(1000) * 1000);
    }

    #[tokio::test]
    async fn what_breaks_is_not_taken_for_whole() {
        let pieces = [Ok("head "), Err(std::io::Error::other("broke"))];
        let mut body =
            gathered(Response::new(Body::from_stream(stream::iter(pieces))), future::pending()).await.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "head ");
        assert!(body.frame().await.unwrap().is_err());
    }
}
