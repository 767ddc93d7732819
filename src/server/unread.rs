//! Answers that nobody has taken yet: what they may hold of memory, and who has to give way.
//!
//! A caller whose answers hold more than its share of what there is for all is refused before anything is done for it. Many
//! such callers together still hold more than there is: then whoever holds the most loses the oldest answer, with its
//! connection. Whoever reads what it asks for hears nothing of either.

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
    http::Response,
};
use hyper::body::{Frame, SizeHint};

use super::listener::Connection;
use crate::auth::Principal;

/// An answer below it does not count, in bytes.
const SMALL: usize = 16 * 1024;
/// With so much of it there, in bytes, callers above their share are refused.
const SHARED: usize = 96 * 1024 * 1024;
/// With more, in bytes, answers are given up. The difference is for calls that were let in before.
const MAX: usize = 112 * 1024 * 1024;

/// The answers of this process that wait to be taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    hasher: RandomState,
    /// Of all answers in the table; changed under its lock.
    bytes: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// Whose answers wait, by a hash of who it is.
    callers: HashMap<u64, Waiting>,
}

/// What waits for one caller.
#[derive(Debug, Default)]
struct Waiting {
    bytes: usize,
    /// The oldest first.
    answers: BTreeMap<u64, Answer>,
}

#[derive(Debug)]
struct Answer {
    bytes: usize,
    /// By which connection it goes; `None` where nothing is known of connections.
    connection: Option<Arc<Connection>>,
}

/// One answer's room, until it is dropped.
#[derive(Debug)]
struct Held {
    unread: Unread,
    caller: u64,
    number: u64,
}

impl Unread {
    /// Whether this caller has to read before it may ask for more.
    pub(super) fn is_full_for(&self, principal: &Principal) -> bool {
        if self.0.bytes.load(Ordering::Relaxed) < SHARED {
            return false;
        }
        let caller = self.caller(principal);
        let table = self.table();
        table.callers.get(&caller).is_some_and(|waiting| waiting.bytes >= SHARED / table.callers.len())
    }

    /// Counts an answer until it is written, or given up.
    pub(super) fn count(
        &self,
        response: Response<Body>,
        principal: &Principal,
        connection: Option<Arc<Connection>>,
    ) -> Response<Body> {
        let known = response.body().size_hint().exact();
        if known.is_some_and(|bytes| bytes < SMALL as u64) {
            return response;
        }
        let caller = self.caller(principal);
        // An answer of HTTP/2 may wait here for long, until its peer wants any of it.
        let held =
            known.map(|bytes| self.hold(caller, usize::try_from(bytes).unwrap_or(usize::MAX), connection.clone()));
        let unread = self.clone();
        response.map(|body| Body::new(Counted { body, held, unread, caller, connection }))
    }

    fn hold(&self, caller: u64, bytes: usize, connection: Option<Arc<Connection>>) -> Held {
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        let waiting = table.callers.entry(caller).or_default();
        waiting.bytes += bytes;
        waiting.answers.insert(number, Answer { bytes, connection });
        let mut all = self.0.bytes.load(Ordering::Relaxed) + bytes;
        let mut given_up = Vec::new();
        while all > MAX
            && let Some(answer) = table.give_up(number)
        {
            all -= answer.bytes;
            given_up.push(answer);
        }
        self.0.bytes.store(all, Ordering::Relaxed);
        drop(table);
        given_up.into_iter().for_each(Answer::end);
        Held { unread: self.clone(), caller, number }
    }

    fn caller(&self, principal: &Principal) -> u64 {
        let Principal { issuer, subject, client_id, .. } = principal;
        self.0.hasher.hash_one((issuer.as_str(), subject, client_id))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The oldest answer to whoever has the most (of several, who has waited for longest), unless that is the newest of all.
    fn give_up(&mut self, newest: u64) -> Option<Answer> {
        let oldest = |waiting: &Waiting| waiting.answers.keys().next().copied();
        let most = self.callers.iter().max_by_key(|(_, waiting)| (waiting.bytes, Reverse(oldest(waiting))));
        let (&caller, waiting) = most?;
        self.remove(caller, oldest(waiting).filter(|number| *number != newest)?)
    }

    fn remove(&mut self, caller: u64, number: u64) -> Option<Answer> {
        let waiting = self.callers.get_mut(&caller)?;
        let answer = waiting.answers.remove(&number)?;
        waiting.bytes -= answer.bytes;
        if waiting.answers.is_empty() {
            self.callers.remove(&caller);
        }
        Some(answer)
    }
}

impl Answer {
    /// What hyper has of it can be had back only with the whole connection.
    fn end(self) {
        if let Some(connection) = self.connection {
            let (peer, bytes) = (connection.peer, self.bytes);
            tracing::warn!(%peer, bytes, "closing a connection: too much memory holds answers that are not read");
            connection.end();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut table = self.unread.table();
        if let Some(answer) = table.remove(self.caller, self.number) {
            self.unread.0.bytes.fetch_sub(answer.bytes, Ordering::Relaxed);
        }
    }
}

/// A body whose pieces hold room for as long as they are anywhere.
struct Counted {
    body: Body,
    /// Of a body whose length is known: for all of it, with its first piece.
    held: Option<Held>,
    unread: Unread,
    caller: u64,
    connection: Option<Arc<Connection>>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

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
    fn counted(&mut self, bytes: Bytes) -> Bytes {
        let is_large = bytes.len() >= SMALL;
        let fresh = || is_large.then(|| self.unread.hold(self.caller, bytes.len(), self.connection.clone()));
        match self.held.take().or_else(fresh) {
            Some(held) => Bytes::from_owner(Piece { bytes, _held: held }),
            None => bytes,
        }
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

#[cfg(test)]
mod tests {
    use std::{future, sync::OnceLock};

    use http_body_util::BodyExt as _;
    use tokio::task::JoinHandle;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn caller(number: usize) -> Principal {
        Principal::for_tests(&format!("user {number}"), "cli", "mcp:tools")
    }

    fn answer(bytes: usize) -> Response<Body> {
        Response::new(Body::from(vec![b'x'; bytes]))
    }

    /// A connection that is open until somebody ends it.
    fn connection() -> (Arc<Connection>, JoinHandle<()>) {
        let task = tokio::spawn(future::pending());
        (Arc::new(Connection { peer: ([127, 0, 0, 1], 1).into(), task: OnceLock::from(task.abort_handle()) }), task)
    }

    fn bytes(unread: &Unread) -> usize {
        unread.0.bytes.load(Ordering::Relaxed)
    }

    #[test]
    fn r20_who_has_all_that_there_is_must_read_and_others_need_not() {
        let unread = Unread::default();
        let mut waiting: Vec<_> = (0..95).map(|_| unread.count(answer(MIB), &caller(1), None)).collect();
        assert!(!unread.is_full_for(&caller(1)), "there is room");
        waiting.push(unread.count(answer(MIB), &caller(1), None));
        assert!(unread.is_full_for(&caller(1)));
        assert!(!unread.is_full_for(&caller(2)), "it has nothing");
        // A third of what there is would be its share now.
        let theirs =
            [(2, 31 * MIB), (3, MIB)].map(|(number, bytes)| unread.count(answer(bytes), &caller(number), None));
        assert!(!unread.is_full_for(&caller(2)));
        let more = unread.count(answer(MIB), &caller(2), None);
        assert!(unread.is_full_for(&caller(2)));
        drop((theirs, more));
        waiting.pop();
        assert!(!unread.is_full_for(&caller(1)), "it has read one");
        drop(waiting);
        assert_eq!((bytes(&unread), unread.table().callers.len()), (0, 0));
    }

    #[tokio::test]
    async fn r20_an_answer_counts_wherever_it_is() {
        let unread = Unread::default();
        let mut waits = unread.count(answer(MIB), &caller(1), None).into_body();
        assert_eq!(bytes(&unread), MIB, "not even begun");
        assert_eq!(waits.size_hint().exact(), Some(MIB as u64), "it goes out with its length");
        let piece = waits.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(waits.is_end_stream());
        drop(waits);
        assert_eq!((bytes(&unread), piece.len()), (MIB, MIB), "it is about to be written");
        drop(piece);
        assert_eq!(bytes(&unread), 0);
        // In pieces, of which each counts from when it is there.
        let pieces = [SMALL, SMALL - 1].map(|bytes| Ok::<_, std::convert::Infallible>(vec![b'x'; bytes]));
        let stream = Response::new(Body::from_stream(futures_util::stream::iter(pieces)));
        let mut stream = unread.count(stream, &caller(1), None).into_body();
        assert_eq!(bytes(&unread), 0);
        let first = stream.frame().await.unwrap().unwrap();
        let second = stream.frame().await.unwrap().unwrap();
        assert_eq!((bytes(&unread), second.data_ref().unwrap().len()), (SMALL, SMALL - 1));
        drop(first);
        assert_eq!(bytes(&unread), 0);
        let small = unread.count(answer(SMALL - 1), &caller(1), None);
        assert_eq!((bytes(&unread), small.into_body().collect().await.unwrap().to_bytes().len()), (0, SMALL - 1));
    }

    #[tokio::test]
    async fn r20_above_all_that_there_is_the_oldest_of_whoever_has_most_goes() {
        let unread = Unread::default();
        let mut open = Vec::new();
        for number in [1, 2, 2, 2] {
            let (connection, task) = connection();
            open.push((unread.count(answer(28 * MIB), &caller(number), Some(connection)), task));
        }
        assert_eq!(bytes(&unread), MAX, "there is just enough");
        let newest = connection();
        let newest = (unread.count(answer(MIB), &caller(3), Some(newest.0)), newest.1);
        let (_, oldest) = open.remove(1);
        assert!(oldest.await.unwrap_err().is_cancelled());
        assert_eq!(bytes(&unread), MAX - 27 * MIB);
        assert!(open.iter().chain([&newest]).all(|(_, task)| !task.is_finished()), "the others are open");
        drop((open, newest));
        assert_eq!((bytes(&unread), unread.table().callers.len()), (0, 0));
    }

    #[tokio::test]
    async fn one_answer_of_any_size_is_nobodys_fault() {
        let unread = Unread::default();
        let (connection, task) = connection();
        let held = unread.hold(1, MAX * 2, Some(connection));
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        drop(held);
        assert_eq!(bytes(&unread), 0);
    }
}
