//! Audit lines that vouch for each other.
//!
//! Each line gets the id of its chain, its number and an HMAC over itself and the MAC of the line before, so that without
//! the key no line can be changed, taken out, put in or moved. Each process has a chain of its own, and begins another in
//! each new file. A chain begins with a line that names how far all others had come, and ends with one that says so: see
//! [`verify`](super::verify) for what that finds.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// What the MAC stands behind, at the end of a line.
const MAC: &str = ",\"mac\":\"";

/// The chain that a process writes.
#[derive(Debug)]
pub(super) struct Chain {
    key: hmac::Key,
    id: String,
    next: u64,
    /// Of the last line, as it is written.
    last: String,
}

/// A line with its place, which the chain takes once it is written.
pub(super) struct Sealed {
    /// The line.
    pub(super) bytes: Vec<u8>,
    mac: String,
}

/// A line of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The chain.
    pub chain: String,
    /// Its number there, from 0.
    pub seq: u64,
}

/// What a line says beyond its event.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    /// At the beginning of a chain: the last lines of others in the same file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) after: Vec<Position>,
    /// The same in files that were there before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) earlier: Vec<Position>,
    /// Lines were there, and no head that says how many.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) headless: bool,
    /// The chain begins here since the file before this one was moved away.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) moved: bool,
    /// The chain ends here.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) closed: Option<Closed>,
    /// So many lines in front of this one were not written to their end.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) torn: u64,
    /// So many events in front of this one could not be written.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) lost: u64,
}

/// Why a chain has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Closed {
    /// Its process has.
    Stopped,
    /// Its file was moved away.
    Moved,
}

/// What a line says of its place.
#[derive(Deserialize)]
pub(super) struct Place {
    pub(super) chain: String,
    pub(super) seq: u64,
    #[serde(default)]
    pub(super) link: Link,
    pub(super) mac: String,
}

impl Chain {
    /// A new chain.
    pub(super) fn new(key: &hmac::Key) -> Self {
        Self { key: key.clone(), id: Secret::random().expose()[..16].to_owned(), next: 0, last: String::new() }
    }

    /// An event, which is an object in a line, with its place in the chain.
    pub(super) fn seal(&self, event: &[u8], link: &Link) -> Sealed {
        let body = event.strip_suffix(b"}\n").unwrap_or(event);
        let mut bytes = Vec::with_capacity(event.len() + 128);
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(format!(",\"chain\":\"{}\",\"seq\":{}", self.id, self.next).as_bytes());
        if !is_default(link) {
            bytes.extend_from_slice(b",\"link\":");
            bytes.extend_from_slice(&serde_json::to_vec(link).expect("names and numbers are JSON"));
        }
        let mac = end(&self.key, &self.last, &mut bytes);
        Sealed { bytes, mac }
    }

    /// The line was written.
    pub(super) fn wrote(&mut self, sealed: Sealed) {
        (self.next, self.last) = (self.next + 1, sealed.mac);
    }

    /// The last line that was written, if there is one.
    pub(super) fn position(&self) -> Option<Position> {
        Some(Position { chain: self.id.clone(), seq: self.next.checked_sub(1)? })
    }
}

/// The key as it is used.
pub(super) fn prepared(key: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes())
}

/// Ends an object with the MAC over it and what was `before`, and returns the MAC.
pub(super) fn end(key: &hmac::Key, before: &str, object: &mut Vec<u8>) -> String {
    let mut context = hmac::Context::with_key(key);
    for part in [before.as_bytes(), b"\n", object] {
        context.update(part);
    }
    let mac = URL_SAFE_NO_PAD.encode(context.sign());
    object.extend_from_slice(format!("{MAC}{mac}\"}}\n").as_bytes());
    mac
}

/// What the MAC at the end of this line vouches for: all that is in front of it, and nothing follows.
pub(super) fn signed<'a>(line: &'a [u8], mac: &str) -> Option<&'a [u8]> {
    line.strip_suffix(format!("{MAC}{mac}\"}}").as_bytes())
}

/// Whether this is the MAC over an object and what was `before`.
pub(super) fn is_good(key: &hmac::Key, before: &str, signed: &[u8], mac: &str) -> bool {
    let expected = URL_SAFE_NO_PAD.decode(mac).unwrap_or_default();
    hmac::verify(key, &[before.as_bytes(), b"\n", signed].concat(), &expected).is_ok()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_vouches_for_all_of_its_line_whatever_the_event_says() {
        let key = prepared(&Secret::new("a key of this test"));
        let mut chain = Chain::new(&key);
        assert_eq!(chain.position(), None);
        let event = b"{\"said\":\",\\\"mac\\\":\\\"\",\"after\":\"x\",\"closed\":1}\n";
        for seq in 0..2 {
            let before = chain.last.clone();
            let sealed = chain.seal(event, &Link { torn: seq, ..Link::default() });
            let line = sealed.bytes.strip_suffix(b"\n").unwrap().to_vec();
            let place: Place = serde_json::from_slice(&line).unwrap();
            assert_eq!((&place.chain, place.seq, place.link.torn), (&chain.id, seq, seq));
            let vouched = signed(&line, &place.mac).unwrap();
            assert!(is_good(&key, &before, vouched, &place.mac));
            assert!(!is_good(&key, "other", vouched, &place.mac));
            assert!(!is_good(&prepared(&Secret::new("another key")), &before, vouched, &place.mac));
            assert!(signed(&[&line[..], b" "].concat(), &place.mac).is_none());
            chain.wrote(sealed);
            assert_eq!(chain.position().unwrap().seq, seq);
        }
    }
}
