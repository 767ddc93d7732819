//! Audit lines that vouch for each other.
//!
//! Each line gets the id of its chain, its number and an HMAC over itself and the MAC of the line before, so that without
//! the key no line can be changed, taken out, put in or moved. Each process has its own chain, and begins another in each
//! new file; its first line names the last MAC that was in the file, or in the one before, so that a chain whose end was
//! cut off is found when another follows it. A line that was written in part, before a power cut or on a full disk, is vouched
//! for by the line behind it.

use std::{
    collections::{HashMap, HashSet},
    io::{self, BufRead},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

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
    last: Option<String>,
    /// Whether what is in front of the next line is a part of one.
    torn: bool,
}

/// A line that is to be written.
#[derive(Debug)]
pub(super) struct Sealed {
    /// With the end of a torn line in front.
    pub(super) bytes: Vec<u8>,
    mac: Option<String>,
}

/// What is in a log that nobody has touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intact {
    /// Its lines.
    pub lines: u64,
    /// The chains that they belong to.
    pub chains: usize,
    /// Lines that were written in part.
    pub torn: u64,
}

/// Why a log is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line is not as it was written, or not where it was.
    #[error("line {line} {problem}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// The end of the sentence.
        problem: &'static str,
    },
}

/// What a line says of its place.
#[derive(Deserialize)]
struct Place {
    chain: String,
    seq: u64,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    torn: bool,
    mac: String,
}

impl Chain {
    /// A chain in a file that ends like this.
    pub(super) fn after(key: &Secret, end: &[u8]) -> Self {
        let lines = end.rsplit(|byte| *byte == b'\n');
        let last = lines.filter_map(|line| serde_json::from_slice::<Place>(line).ok()).map(|place| place.mac).next();
        let torn = end.last().is_some_and(|byte| *byte != b'\n');
        Self { key: prepared(key), id: new_id(), next: 0, last, torn }
    }

    /// Goes on in another file.
    pub(super) fn begin_anew(&mut self) {
        (self.id, self.next, self.torn) = (new_id(), 0, false);
    }

    /// The line with its place in the chain; one that is no object stays as it is.
    pub(super) fn seal(&self, line: &[u8]) -> Sealed {
        let Some(body) = line.strip_suffix(b"}\n") else { return Sealed { bytes: line.to_vec(), mac: None } };
        let mut sealed = Vec::with_capacity(line.len() + 128);
        sealed.extend_from_slice(body);
        if self.torn {
            sealed.extend_from_slice(b",\"torn\":true");
        }
        sealed.extend_from_slice(format!(",\"chain\":\"{}\",\"seq\":{}", self.id, self.next).as_bytes());
        let before = match (&self.last, self.next) {
            (Some(last), 0) => {
                sealed.extend_from_slice(format!(",\"after\":\"{last}\"").as_bytes());
                ""
            }
            (Some(last), _) => last,
            (None, _) => "",
        };
        let mac = mac(&self.key, before, &sealed);
        sealed.extend_from_slice(format!("{MAC}{mac}\"}}\n").as_bytes());
        if self.torn {
            sealed.insert(0, b'\n');
        }
        Sealed { bytes: sealed, mac: Some(mac) }
    }

    /// Moves on, if the line was written; if only this many of its bytes were, the next one vouches for them.
    pub(super) fn wrote(&mut self, sealed: Sealed, count: usize) {
        if count < sealed.bytes.len() {
            self.torn |= count > 0;
        } else if let Some(mac) = sealed.mac {
            (self.next, self.last, self.torn) = (self.next + 1, Some(mac), false);
        }
    }
}

/// Whether a log is what was written with this key.
///
/// What was cut off at the very end does not show, nor whole chains at the beginning of a file.
///
/// # Errors
/// The first line that is not as it was.
pub fn verify(log: impl BufRead, key: &Secret) -> Result<Intact, Broken> {
    let key = prepared(key);
    let mut chains: HashMap<String, (u64, String)> = HashMap::new();
    let mut seen = HashSet::new();
    let (mut line, mut torn) = (0, 0);
    let mut in_no_chain = None;
    for text in log.split(b'\n') {
        let text = text?;
        line += 1;
        let broken = |problem| Broken::Line { line, problem };
        let Ok(place) = serde_json::from_slice::<Place>(&text) else {
            if let Some(before) = in_no_chain.replace(broken("is in no chain")) {
                return Err(before);
            }
            continue;
        };
        match in_no_chain.take() {
            Some(_) if place.torn => torn += 1,
            Some(before) => return Err(before),
            None if place.torn => return Err(broken("follows a torn line that is missing")),
            None => {}
        }
        // Nothing may follow the MAC, which vouches for what is in front of it.
        let end = format!("{MAC}{}\"}}", place.mac);
        let signed = text.strip_suffix(end.as_bytes()).ok_or_else(|| broken("is in no chain"))?;
        let before = match chains.get(&place.chain) {
            None if place.seq > 0 => return Err(broken("is not the first of its chain, and that is missing")),
            None => {
                // The first line of a file follows one in another file.
                if place.after.as_ref().is_some_and(|after| line > 1 && !seen.contains(&decoded(after))) {
                    return Err(broken("begins a chain after a line that is missing"));
                }
                String::new()
            }
            Some((last, _)) if place.seq != last + 1 => {
                return Err(broken("does not follow the line before it in its chain: one is missing or moved"));
            }
            Some((_, mac)) => mac.clone(),
        };
        let expected = decoded(&place.mac);
        let signed = [before.as_bytes(), b"\n", signed].concat();
        hmac::verify(&key, &signed, &expected).map_err(|_| broken("was changed, or written with another key"))?;
        seen.insert(expected);
        chains.insert(place.chain, (place.seq, place.mac));
    }
    match in_no_chain {
        Some(broken) => Err(broken),
        None => Ok(Intact { lines: line, chains: chains.len(), torn }),
    }
}

fn mac(key: &hmac::Key, before: &str, signed: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    for part in [before.as_bytes(), b"\n", signed] {
        context.update(part);
    }
    URL_SAFE_NO_PAD.encode(context.sign())
}

fn decoded(mac: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(mac).unwrap_or_default()
}

fn prepared(key: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes())
}

fn new_id() -> String {
    Secret::random().expose()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Secret {
        Secret::new("a key of this test")
    }

    /// Two chains of three lines, the second after the first.
    fn log() -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for run in 0..2 {
            let mut chain = Chain::after(&key(), lines.concat().as_bytes());
            for event in 0..3 {
                let line = format!("{{\"run\":{run},\"event\":{event},\"said\":\",\\\"mac\\\":\\\"\"}}\n");
                lines.push(written(&mut chain, &line));
            }
        }
        lines
    }

    fn written(chain: &mut Chain, line: &str) -> String {
        let sealed = chain.seal(line.as_bytes());
        let (text, count) = (String::from_utf8(sealed.bytes.clone()).unwrap(), sealed.bytes.len());
        chain.wrote(sealed, count);
        text
    }

    fn verified(lines: &[String]) -> Result<Intact, String> {
        verify(lines.concat().as_bytes(), &key()).map_err(|broken| broken.to_string())
    }

    #[test]
    fn a_log_that_nobody_touched_is_intact() {
        assert_eq!(verified(&log()), Ok(Intact { lines: 6, chains: 2, torn: 0 }));
        assert_eq!(verified(&[]), Ok(Intact { lines: 0, chains: 0, torn: 0 }));
    }

    #[test]
    fn two_processes_may_write_to_one_file() {
        let (mut one, mut other) = (Chain::after(&key(), b""), Chain::after(&key(), b""));
        let lines: Vec<_> =
            (0..6).map(|index| written(if index % 2 == 0 { &mut one } else { &mut other }, "{\"a\":1}\n")).collect();
        assert_eq!(verified(&lines), Ok(Intact { lines: 6, chains: 2, torn: 0 }));
    }

    #[test]
    fn a_file_that_goes_on_where_another_ended_is_intact_by_itself() {
        let mut chain = Chain::after(&key(), b"");
        written(&mut chain, "{\"a\":1}\n");
        chain.begin_anew();
        let line = written(&mut chain, "{\"a\":2}\n");
        assert!(line.contains("\"seq\":0,\"after\":\""), "{line}");
        assert_eq!(verified(&[line]), Ok(Intact { lines: 1, chains: 1, torn: 0 }));
    }

    #[test]
    fn a_line_that_was_written_in_part_is_vouched_for_by_the_next() {
        let torn = Ok(Intact { lines: 4, chains: 2, torn: 1 });
        // A power cut: the next run finds a part of a line.
        let whole = log();
        let cut = [whole[0].clone(), whole[1].clone(), whole[2][..20].to_owned()].concat();
        let mut next = Chain::after(&key(), cut.as_bytes());
        let next = written(&mut next, "{\"a\":1}\n");
        assert_eq!(verified(&[cut.clone(), next.clone()]), torn);
        // A full disk: the same run goes on.
        let mut chain = Chain::after(&key(), b"");
        let first = written(&mut chain, "{\"a\":1}\n");
        let failed = chain.seal(b"{\"a\":2}\n");
        let part = String::from_utf8(failed.bytes[..30].to_vec()).unwrap();
        chain.wrote(failed, 30);
        let nothing = chain.seal(b"{\"a\":3}\n");
        chain.wrote(nothing, 0);
        let last = written(&mut chain, "{\"a\":4}\n");
        assert_eq!(verified(&[first.clone(), part, last.clone()]), Ok(Intact { lines: 3, chains: 1, torn: 1 }));
        // Nobody else can say so.
        for (lines, problem) in [
            (vec![cut.clone()], "line 3 is in no chain"),
            (vec![cut.clone(), "\n".to_owned(), written(&mut chain, "{\"a\":5}\n")], "line 3 is in no chain"),
            (vec![cut, next.replace(",\"torn\":true", "")], "line 3 is in no chain"),
            (vec![first, last.trim_start().to_owned()], "line 2 follows a torn line that is missing"),
        ] {
            assert_eq!(verified(&lines), Err(problem.to_owned()));
        }
    }

    #[test]
    fn what_was_done_to_a_log_shows() {
        let changed = |line: usize, from: &str, to: &str| {
            let mut lines = log();
            lines[line] = lines[line].replace(from, to);
            lines
        };
        let without = |line: usize| {
            let mut lines = log();
            lines.remove(line);
            lines
        };
        let mut moved = log();
        moved.swap(1, 2);
        let mut doubled = log();
        doubled.insert(2, doubled[1].clone());
        let mut added = log();
        added.insert(3, "{\"run\":0,\"event\":9}\n".to_owned());
        let mut chain = Chain::after(&Secret::new("another key, of an attacker"), b"");
        let forged: Vec<_> = (0..3).map(|_| written(&mut chain, "{\"run\":7}\n")).collect();
        for (lines, problem) in [
            (changed(1, "\"event\":1", "\"event\":7"), "line 2 was changed, or written with another key"),
            (changed(1, "\"}\n", "\",\"event\":7}\n"), "line 2 is in no chain"),
            (changed(3, "\"after\":\"", "\"after\":\"x"), "line 4 begins a chain after a line that is missing"),
            (changed(0, "\"seq\":0", "\"seq\":1"), "line 1 is not the first of its chain, and that is missing"),
            (without(0), "line 1 is not the first of its chain, and that is missing"),
            (without(1), "line 2 does not follow the line before it in its chain: one is missing or moved"),
            // The end of the first run was cut off.
            (without(2), "line 3 begins a chain after a line that is missing"),
            (moved, "line 2 does not follow the line before it in its chain: one is missing or moved"),
            (doubled, "line 3 does not follow the line before it in its chain: one is missing or moved"),
            (added, "line 4 is in no chain"),
            (forged, "line 1 was changed, or written with another key"),
        ] {
            assert_eq!(verified(&lines), Err(problem.to_owned()));
        }
    }
}
