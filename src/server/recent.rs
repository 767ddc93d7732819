//! The newest events of all sessions of this process, where there is no Redis to keep them.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rmcp::transport::streamable_http_server::session::SessionId;
use tokio::time::Instant;

use super::events::{KEPT_FOR, MAX_BYTES};

/// What is kept of all sessions together, in bytes. The oldest event goes first, whosever it is.
const MAX_BYTES_IN_ALL: usize = 64 * 1024 * 1024;

/// Events, until their session ends, 5 minutes are over, or newer ones need the room.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// In the order in which they were written.
    events: BTreeMap<u64, Event>,
    sessions: HashMap<SessionId, OfSession>,
    /// Of the next event.
    number: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Event {
    session: SessionId,
    place: String,
    message: Arc<str>,
    since: Instant,
}

#[derive(Debug, Default)]
struct OfSession {
    /// Its events, the oldest first.
    numbers: VecDeque<u64>,
    bytes: usize,
}

impl Event {
    fn bytes(&self) -> usize {
        self.place.len() + self.message.len()
    }
}

impl Recent {
    /// Keeps an event, and forgets what has to go for it.
    pub(super) fn append(&self, session: &SessionId, place: String, message: String, now: Instant) {
        let mut kept = self.kept();
        let event = Event { session: session.clone(), place, message: message.into(), since: now };
        let number = kept.number;
        kept.number += 1;
        kept.bytes += event.bytes();
        let of_session = kept.sessions.entry(session.clone()).or_default();
        of_session.bytes += event.bytes();
        of_session.numbers.push_back(number);
        kept.events.insert(number, event);
        while let Some(oldest) = kept.oldest_too_much(session, now) {
            kept.forget(oldest);
        }
    }

    /// Places and messages of a session.
    pub(super) fn lines(&self, session: &SessionId) -> Vec<(String, Arc<str>)> {
        let kept = self.kept();
        let numbers = kept.sessions.get(session).map(|of_session| &of_session.numbers);
        let events = numbers.into_iter().flatten().filter_map(|number| kept.events.get(number));
        events.map(|event| (event.place.clone(), Arc::clone(&event.message))).collect()
    }

    /// Forgets a session that has ended.
    pub(super) fn end(&self, session: &SessionId) {
        let mut kept = self.kept();
        while let Some(oldest) = kept.sessions.get(session).and_then(|of_session| of_session.numbers.front().copied()) {
            kept.forget(oldest);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// What has to go next, after a session has got an event.
    fn oldest_too_much(&self, session: &SessionId, now: Instant) -> Option<u64> {
        let of_session = self.sessions.get(session).filter(|of_session| of_session.bytes > MAX_BYTES);
        let (oldest, event) = self.events.first_key_value()?;
        let is_over = self.bytes > MAX_BYTES_IN_ALL || now.duration_since(event.since) >= KEPT_FOR;
        of_session.and_then(|of_session| of_session.numbers.front()).or(is_over.then_some(oldest)).copied()
    }

    /// Takes away the oldest event of a session.
    fn forget(&mut self, number: u64) {
        let Some(event) = self.events.remove(&number) else { return };
        self.bytes -= event.bytes();
        if let Some(of_session) = self.sessions.get_mut(&event.session) {
            of_session.bytes -= event.bytes();
            of_session.numbers.pop_front();
            if of_session.numbers.is_empty() {
                self.sessions.remove(&event.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(recent: &Recent, session: &str) -> Vec<String> {
        recent.lines(&session.into()).into_iter().map(|(place, _)| place).collect()
    }

    fn is_empty(recent: &Recent) -> bool {
        let kept = recent.kept();
        kept.events.is_empty() && kept.sessions.is_empty() && kept.bytes == 0
    }

    #[test]
    fn a_session_has_its_own_events_until_it_ends() {
        let (recent, now) = (Recent::default(), Instant::now());
        for (session, place) in [("a", "1"), ("b", "2"), ("a", "3")] {
            recent.append(&session.into(), place.to_owned(), "{}".to_owned(), now);
        }
        assert_eq!(
            (places(&recent, "a"), places(&recent, "b")),
            (vec!["1".to_owned(), "3".to_owned()], vec!["2".into()])
        );
        recent.end(&"a".into());
        assert_eq!((places(&recent, "a"), places(&recent, "b")), (vec![], vec!["2".to_owned()]));
        recent.end(&"b".into());
        assert!(is_empty(&recent));
    }

    #[test]
    fn an_event_goes_when_its_time_is_over_or_newer_ones_need_the_room() {
        let (recent, now) = (Recent::default(), Instant::now());
        let append = |session: &str, place: &str, length: usize, now: Instant| {
            recent.append(&session.into(), place.to_owned(), "x".repeat(length), now);
        };
        append("a", "1", 1, now);
        append("b", "2", MAX_BYTES / 2, now);
        append("b", "3", MAX_BYTES / 2, now);
        assert_eq!((places(&recent, "a"), places(&recent, "b")), (vec!["1".to_owned()], vec!["3".to_owned()]));
        append("b", "4", 1, now + KEPT_FOR);
        assert_eq!((places(&recent, "a"), places(&recent, "b")), (vec![], vec!["4".to_owned()]));
        for number in 0..=MAX_BYTES_IN_ALL / (MAX_BYTES - 8) {
            append(&format!("c{number}"), "5", MAX_BYTES - 8, now + KEPT_FOR);
        }
        assert_eq!((places(&recent, "b"), places(&recent, "c0")), (vec![], vec![]));
        assert_eq!(places(&recent, "c1"), ["5"]);
        assert!(recent.kept().bytes <= MAX_BYTES_IN_ALL);
    }
}
