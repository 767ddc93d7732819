//! Answers that nobody has taken yet: what they may hold of memory, and who has to give way.
//!
//! A user whose answers hold its share of what there is for all is refused before anything more is done for it. Many such
//! users together still come to more than there is: then whoever holds the most loses its oldest answer, with the connection.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{Response, Version, request::Parts},
};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;

use super::listener::Connection;
use crate::auth::Principal;

/// Over HTTP/1.1 a piece below it does not count, in bytes: a connection has one answer at a time, and little of a stream.
const SMALL: usize = 16 * 1024;
/// Over HTTP/2, where one connection has hundreds, every piece counts, and as so many bytes at least.
const LEAST: usize = 4 * 1024;

/// The answers of this process that wait to be taken.
#[derive(Clone, Debug)]
pub(super) struct Unread(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// With so many bytes of them, users who have their share are refused.
    limit: usize,
    hasher: RandomState,
    /// Of all answers in the table; changed under its lock.
    bytes: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// Whose answers wait, by a hash of who it is.
    users: HashMap<u64, Waiting>,
}

/// What waits for one user.
#[derive(Debug)]
struct Waiting {
    principal: Arc<Principal>,
    bytes: usize,
    /// The oldest first.
    answers: BTreeMap<u64, Answer>,
}

#[derive(Debug)]
struct Answer {
    bytes: usize,
    connection: Option<Arc<Connection>>,
}

/// What has to go.
struct GivenUp {
    principal: Arc<Principal>,
    bytes: usize,
    connection: Option<Arc<Connection>>,
}

/// The room of an answer, or of a piece of one, until it is dropped.
#[derive(Debug)]
struct Held {
    unread: Unread,
    user: u64,
    number: u64,
}

/// By which way an answer goes.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// `None` where nothing is known of connections.
    connection: Option<Arc<Connection>>,
    /// HTTP/2: a peer can have answers wait while the connection goes on.
    is_multiplexed: bool,
}

impl Way {
    /// Back to where this request came from.
    pub(super) fn of(parts: &Parts) -> Self {
        let connection = Connection::of(&parts.extensions).cloned();
        Self { connection, is_multiplexed: parts.version >= Version::HTTP_2 }
    }
}

impl Unread {
    pub(super) fn new(limit: usize) -> Self {
        let (bytes, table) = (AtomicUsize::new(0), Mutex::default());
        Self(Arc::new(Shared { limit, hasher: RandomState::new(), bytes, table }))
    }

    /// Whether this user has to read before it may ask for more.
    pub(super) fn is_full_for(&self, principal: &Principal) -> bool {
        if self.0.bytes.load(Ordering::Relaxed) < self.0.limit {
            return false;
        }
        let user = self.user(principal);
        let table = self.table();
        table.users.get(&user).is_some_and(|waiting| waiting.bytes >= self.0.limit / table.users.len())
    }

    /// Counts an answer until it is written, or given up.
    pub(super) fn count(&self, response: Response<Body>, principal: &Arc<Principal>, way: Way) -> Response<Body> {
        let known = response.body().size_hint().exact();
        if !way.is_multiplexed && known.is_some_and(|bytes| bytes < SMALL as u64) {
            return response;
        }
        let is_read_ahead = way.is_multiplexed && known.is_none();
        response.map(|body| {
            let counted = Counted { body, unread: self.clone(), principal: Arc::clone(principal), way };
            if is_read_ahead { ahead(counted) } else { Body::new(counted) }
        })
    }

    fn hold(&self, principal: &Arc<Principal>, bytes: usize, connection: Option<Arc<Connection>>) -> Held {
        let user = self.user(principal);
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        let nothing = || Waiting { principal: Arc::clone(principal), bytes: 0, answers: BTreeMap::new() };
        let waiting = table.users.entry(user).or_insert_with(nothing);
        waiting.bytes += bytes;
        waiting.answers.insert(number, Answer { bytes, connection });
        let mut all = self.0.bytes.load(Ordering::Relaxed) + bytes;
        let mut given_up = Vec::new();
        while all > self.max()
            && let Some(answer) = table.give_up(number)
        {
            all -= answer.bytes;
            given_up.push(answer);
        }
        self.0.bytes.store(all, Ordering::Relaxed);
        drop(table);
        given_up.into_iter().for_each(GivenUp::end);
        Held { unread: self.clone(), user, number }
    }

    /// With more, in bytes, answers are given up. A sixth above the limit is for calls that were let in before.
    fn max(&self) -> usize {
        self.0.limit.saturating_add(self.0.limit / 6)
    }

    fn user(&self, principal: &Principal) -> u64 {
        self.0.hasher.hash_one((principal.issuer.as_str(), &principal.subject))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The oldest answer to whoever has the most, or has waited for longest among those, and whatever else goes to them by
    /// the same connection. The newest answer of all is nobody's oldest.
    fn give_up(&mut self, newest: u64) -> Option<GivenUp> {
        let oldest = |waiting: &Waiting| waiting.answers.keys().next().copied().filter(|number| *number != newest);
        let users = self.users.iter().filter_map(|(user, waiting)| Some((*user, waiting.bytes, oldest(waiting)?)));
        let (user, _, number) = users.max_by_key(|(_, bytes, oldest)| (*bytes, Reverse(*oldest)))?;
        let principal = Arc::clone(&self.users.get(&user)?.principal);
        let Answer { mut bytes, connection } = self.remove(user, number)?;
        if let (Some(connection), Some(waiting)) = (&connection, self.users.get(&user)) {
            let is_same = |answer: &Answer| answer.connection.as_ref().is_some_and(|own| Arc::ptr_eq(own, connection));
            let others = waiting.answers.iter().filter(|(_, answer)| is_same(answer));
            let others: Vec<_> = others.map(|(number, _)| *number).collect();
            bytes += others
                .into_iter()
                .filter_map(|number| self.remove(user, number))
                .map(|other| other.bytes)
                .sum::<usize>();
        }
        Some(GivenUp { principal, bytes, connection })
    }

    fn remove(&mut self, user: u64, number: u64) -> Option<Answer> {
        let waiting = self.users.get_mut(&user)?;
        let answer = waiting.answers.remove(&number)?;
        waiting.bytes -= answer.bytes;
        if waiting.answers.is_empty() {
            self.users.remove(&user);
        }
        Some(answer)
    }
}

impl GivenUp {
    /// What hyper has of an answer can be had back only with the whole connection.
    fn end(self) {
        let Some(connection) = self.connection else { return };
        let (peer, user, bytes) = (connection.peer, &*self.principal.subject, self.bytes);
        tracing::warn!(%peer, user, bytes, "closed a connection: too many answers wait to be read, most of them by this user");
        connection.end();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.unread.table();
        if let Some(answer) = table.remove(self.user, self.number) {
            self.unread.0.bytes.fetch_sub(answer.bytes, Ordering::Relaxed);
        }
    }
}

/// A body whose pieces hold room for as long as they are anywhere.
struct Counted {
    body: Body,
    unread: Unread,
    principal: Arc<Principal>,
    way: Way,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    /// Whoever writes it asks for the first piece at once, whether it can be written or not.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_ok(|frame| frame.map_data(|bytes| self.counted(bytes)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Counted {
    fn counted(&self, bytes: Bytes) -> Bytes {
        let room = match bytes.len() {
            length if self.way.is_multiplexed => length.max(LEAST),
            length if length < SMALL => return bytes,
            length => length,
        };
        let held = self.unread.hold(&self.principal, room, self.way.connection.clone());
        Bytes::from_owner(Piece { bytes, _held: held })
    }
}

/// What hyper has of an answer until the system takes it.
struct Piece {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The same body, taken from its source as it comes: while a peer of HTTP/2 has the first event of a stream wait, those behind
/// it would wait where nobody counts them.
fn ahead(mut body: Counted) -> Body {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                frame = body.frame() => match frame {
                    // It is closed as soon as nobody is there to take it.
                    Some(frame) => drop(sender.send(frame)),
                    None => return,
                },
            }
        }
    });
    let frames = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    Body::new(StreamBody::new(Box::pin(frames)))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::future::AbortHandle;

    use super::*;

    const LIMIT: usize = 6000 * SMALL;

    fn user(number: usize) -> Arc<Principal> {
        Arc::new(Principal::for_tests(&format!("user {number}"), "cli", "mcp:tools"))
    }

    fn way(is_multiplexed: bool) -> Way {
        let (ender, _) = AbortHandle::new_pair();
        Way { connection: Some(Arc::new(Connection { peer: ([127, 0, 0, 1], 1).into(), ender })), is_multiplexed }
    }

    impl Way {
        fn is_open(&self) -> bool {
            self.connection.as_ref().is_some_and(|connection| !connection.ender.is_aborted())
        }
    }

    impl Unread {
        /// An answer to this user that waits.
        fn keep(&self, number: usize, bytes: usize, way: &Way) -> Held {
            self.hold(&user(number), bytes, way.connection.clone())
        }

        fn bytes(&self) -> usize {
            self.0.bytes.load(Ordering::Relaxed)
        }

        #[track_caller]
        fn is_empty(&self) {
            assert_eq!((self.bytes(), self.table().users.len()), (0, 0));
        }
    }

    #[test]
    fn r20_who_has_all_that_there_is_must_read_and_others_need_not() {
        let (unread, way) = (Unread::new(LIMIT), way(false));
        let most = unread.keep(1, LIMIT - 1, &way);
        assert!(!unread.is_full_for(&user(1)), "there is room");
        let last = unread.keep(1, 1, &way);
        assert!(unread.is_full_for(&user(1)));
        assert!(unread.is_full_for(&Principal::for_tests("user 1", "another client", "")), "it is the same user");
        assert!(!unread.is_full_for(&user(2)), "it has nothing");
        // A third of what there is would be its share now.
        let theirs = [(2, LIMIT / 3 - 1), (3, 1)].map(|(number, bytes)| unread.keep(number, bytes / 3, &way));
        assert!(!unread.is_full_for(&user(2)));
        drop(last);
        drop(most);
        let all = [(1, LIMIT / 3), (2, LIMIT / 3), (3, LIMIT / 3)];
        let all = all.map(|(number, bytes)| unread.keep(number, bytes, &way));
        assert!([1, 2, 3].iter().all(|number| unread.is_full_for(&user(*number))));
        drop((theirs, all));
        unread.is_empty();
        assert!(!unread.is_full_for(&user(1)), "it has read");
    }

    #[test]
    fn r20_the_oldest_of_whoever_has_most_goes() {
        let unread = Unread::new(LIMIT);
        let ways: Vec<_> = (0..5).map(|_| way(false)).collect();
        let quarter = unread.max() / 4;
        let held: Vec<_> =
            [1, 2, 2, 2].iter().zip(&ways).map(|(number, way)| unread.keep(*number, quarter, way)).collect();
        assert!(ways.iter().all(Way::is_open), "there is just enough");
        let newest = unread.keep(3, SMALL, &ways[4]);
        assert_eq!(ways.iter().map(Way::is_open).collect::<Vec<_>>(), [true, false, true, true, true]);
        assert_eq!(unread.bytes(), 3 * quarter + SMALL);
        drop((held, newest));
        unread.is_empty();
    }

    #[test]
    fn r20_nobody_comes_round_it_with_answers_that_grow() {
        let unread = Unread::new(LIMIT);
        let mut held = Vec::new();
        let mut ways = Vec::new();
        for number in 0..200 {
            ways.push(way(false));
            held.push(unread.keep(number, LIMIT / 20 + number, &ways[number]));
            assert!(unread.bytes() <= unread.max());
        }
        assert_eq!(ways.iter().filter(|way| way.is_open()).count(), 23);
        drop(held);
        unread.is_empty();
    }

    #[test]
    fn r20_a_connection_that_goes_takes_all_of_its_answers_along() {
        let unread = Unread::new(LIMIT);
        let (one, other) = (way(true), way(true));
        let half = unread.max() / 4;
        let held = [(1, &one), (1, &other), (1, &one), (2, &other)].map(|(number, way)| unread.keep(number, half, way));
        let newest = unread.keep(2, SMALL, &other);
        assert_eq!((one.is_open(), other.is_open()), (false, true));
        assert_eq!(unread.bytes(), 2 * half + SMALL, "one was enough");
        drop((held, newest));
        unread.is_empty();
    }

    #[test]
    fn one_answer_of_any_size_is_nobodys_fault() {
        let (unread, way) = (Unread::new(LIMIT), way(false));
        let held = unread.keep(1, LIMIT * 2, &way);
        assert!(way.is_open());
        drop(held);
        unread.is_empty();
    }

    fn streamed(pieces: Vec<usize>) -> Response<Body> {
        let pieces = pieces.into_iter().map(|bytes| Ok::<_, Infallible>(vec![b'x'; bytes]));
        Response::new(Body::from_stream(stream::iter(pieces)))
    }

    async fn next(body: &mut Body) -> Bytes {
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test]
    async fn r20_an_answer_counts_until_nobody_has_any_of_it() {
        let unread = Unread::new(LIMIT);
        let whole = Response::new(Body::from(vec![b'x'; SMALL]));
        let mut waits = unread.count(whole, &user(1), way(false)).into_body();
        assert_eq!(waits.size_hint().exact(), Some(SMALL as u64), "it goes out with its length");
        let piece = next(&mut waits).await;
        assert!(waits.is_end_stream());
        drop(waits);
        assert_eq!((unread.bytes(), piece.len()), (SMALL, SMALL), "it is about to be written");
        drop(piece);
        let mut pieces = unread.count(streamed(vec![SMALL, SMALL - 1]), &user(1), way(false)).into_body();
        let first = next(&mut pieces).await;
        let second = next(&mut pieces).await;
        assert_eq!((unread.bytes(), second.len()), (SMALL, SMALL - 1), "a small one waits for no other");
        drop((first, second));
        let small = unread.count(Response::new(Body::from(vec![b'x'; SMALL - 1])), &user(1), way(false));
        let small = next(&mut small.into_body()).await;
        assert_eq!((unread.bytes(), small.len()), (0, SMALL - 1));
    }

    #[tokio::test]
    async fn r20_over_http2_everything_counts_and_events_do_before_they_are_asked_for() {
        let unread = Unread::new(LIMIT);
        let small = unread.count(Response::new(Body::from("x")), &user(1), way(true));
        let small = next(&mut small.into_body()).await;
        assert_eq!((unread.bytes(), small.len()), (LEAST, 1));
        drop(small);
        let mut events = unread.count(streamed(vec![1, SMALL, SMALL]), &user(1), way(true)).into_body();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(unread.bytes(), LEAST + 2 * SMALL);
        let pieces = [next(&mut events).await, next(&mut events).await, next(&mut events).await];
        assert_eq!(pieces.map(|piece| piece.len()), [1, SMALL, SMALL]);
        assert!(events.frame().await.is_none());
        unread.is_empty();
        // Nobody takes it any more.
        let endless = Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>("x")));
        let endless = unread.count(Response::new(endless), &user(1), way(true));
        drop(endless);
        while !unread.table().users.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
