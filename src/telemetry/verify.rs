//! Whether audit logs are what was written.
//!
//! Chains begin one after the other, whichever processes write them, and each begins with a line that names how far all
//! of the others had come: so no chain can be cut once another follows, nor be taken out or put in. How far the last ones
//! have come is in the [head](super::head).

use std::{
    collections::HashMap,
    io::{self, BufRead},
    path::{Path, PathBuf},
};

use aws_lc_rs::hmac;

use super::{
    chain::{self, Closed, Link, Place, Position},
    head::{self, Found},
};
use crate::{hint::Hint, secret::Secret};

/// Checks the files of a log, the oldest first.
#[derive(Debug)]
pub struct Verification {
    key: hmac::Key,
    /// Whether the log may have begun in files that are not given.
    is_continued: bool,
    chains: HashMap<String, Seen>,
    /// The chain that began last.
    newest: Option<String>,
    files: usize,
    closed: Option<Closed>,
    intact: Intact,
}

/// What is in a log that nobody has touched.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Intact {
    /// Its lines.
    pub lines: u64,
    /// The chains that they belong to.
    pub chains: usize,
    /// Those of them that have no end.
    pub open: usize,
    /// Lines that were not written to their end.
    pub torn: u64,
    /// Events that could not be written.
    pub lost: u64,
    /// Lines that the log follows, in files that were not given.
    pub earlier: Vec<Position>,
}

/// How far the chains of a log have come, by its head.
#[derive(Debug)]
pub struct Head {
    path: PathBuf,
    chains: Vec<Position>,
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
    /// It was written after others, and they are not given.
    #[error("it begins after line {} of chain `{}`, which is in an earlier file", .0.seq, .0.chain)]
    Continued(Position),
    /// A head names a line that is missing.
    #[error("line {} of chain `{}` is missing, which `{}` names", .last.seq, .last.chain, .head.display())]
    Missing {
        /// The line.
        last: Position,
        /// The head.
        head: PathBuf,
    },
    /// A head does not name the chain that began last.
    #[error("chain `{chain}` is not in `{}`: it was put in, or the head is an older one", .head.display())]
    Unknown {
        /// The chain.
        chain: String,
        /// The head.
        head: PathBuf,
    },
    /// There is no head.
    #[error("`{}` is missing, without which nobody can tell what was cut off", .0.display())]
    Headless(PathBuf),
    /// A head was changed.
    #[error("`{}` was changed, or written with another key", .0.display())]
    Head(PathBuf),
    /// It should have ended, and has not.
    #[error("{0}")]
    Open(String),
}

impl Hint for Broken {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io(_) => "name the file that `audit.file` names",
            Self::Line { problem: TORN, .. } => "start its server again: it says whether it found the line like this",
            Self::Line { problem: BEGINS, .. } => {
                "if its lines are in another file, which was copied and emptied, name that one first"
            }
            Self::Line { .. } | Self::Head(_) => {
                "if the key is right, somebody else wrote here; lines from before `audit.key` was set belong into \
                 another file"
            }
            Self::Continued(_) => "name that file first, or add `--continued` if it is gone for good",
            Self::Missing { .. } => {
                "if it is in another file, name that one too, the oldest first; else it was cut off"
            }
            Self::Unknown { .. } => "name all files of the log up to the one that is written now",
            Self::Headless(_) => {
                "keep the head beside the log; for files that were moved away add `--closed`, or name those after them"
            }
            Self::Open(_) => "name the file after it too: without it nobody can tell what was cut off",
        };
        Some(hint.to_owned())
    }
}

const BEGINS: &str = "begins a chain after a line that is missing";
const TORN: &str = "is torn: its writer was ended meanwhile, or it was cut";

/// How far a chain was read.
#[derive(Debug)]
struct Seen {
    seq: u64,
    mac: String,
    is_closed: bool,
}

impl Head {
    fn read(path: &Path, key: &hmac::Key) -> Result<Self, Broken> {
        match head::read(path, key)? {
            Found::Nothing => Err(Broken::Headless(path.to_owned())),
            Found::Damaged => Err(Broken::Head(path.to_owned())),
            Found::Entries(entries) => {
                Ok(Self { path: path.to_owned(), chains: entries.into_iter().map(|entry| entry.last).collect() })
            }
        }
    }

    fn names(&self, chain: &str) -> bool {
        self.chains.iter().any(|last| last.chain == chain)
    }
}

impl Verification {
    /// With the key of the log. `is_continued`: it may have begun in files that are not given.
    pub fn new(key: &Secret, is_continued: bool) -> Self {
        Self {
            key: chain::prepared(key),
            is_continued,
            chains: HashMap::new(),
            newest: None,
            files: 0,
            closed: None,
            intact: Intact::default(),
        }
    }

    /// Reads the next file of the log.
    ///
    /// # Errors
    /// The first line that is not as it was.
    pub fn read(&mut self, mut log: impl BufRead) -> Result<(), Broken> {
        self.files += 1;
        let (mut text, mut number) = (Vec::new(), 0);
        // Lines in no chain, which may be torn: what the first one is, and how many.
        let mut torn: Option<(Broken, u64)> = None;
        while log.read_until(b'\n', &mut text)? > 0 {
            number += 1;
            let whole = text.strip_suffix(b"\n");
            let read = match self.line(whole.unwrap_or(&text), number) {
                Err(later) => return Err(torn.map_or(later, |(broken, _)| broken)),
                Ok(read) => read,
            };
            if let Some(told) = read {
                match torn.take() {
                    Some((broken, lines)) if lines != told => return Err(broken),
                    Some((_, lines)) => self.intact.torn += lines,
                    None => {}
                }
            } else {
                let problem = if whole.is_some() { "is in no chain" } else { TORN };
                let (first, lines) = torn.unwrap_or((Broken::Line { line: number, problem }, 0));
                torn = Some((first, lines + 1));
            }
            text.clear();
        }
        torn.map_or(Ok(()), |(broken, _)| Err(broken))
    }

    /// Says what was read, if the log goes no further than that, as its head has it, which was read before the log.
    ///
    /// # Errors
    /// Lines or chains are not as many as it says.
    pub fn ends_at(mut self, head: &Head) -> Result<Intact, Broken> {
        self.holds(head)?;
        if let Some(newest) = &self.newest
            && !head.names(newest)
            // It may have begun while the log was read.
            && !Head::read(&head.path, &self.key)?.names(newest)
        {
            return Err(Broken::Unknown { chain: newest.clone(), head: head.path.clone() });
        }
        Ok(self.counted())
    }

    /// Checks that what a head names was read. It may be older than the log.
    ///
    /// # Errors
    /// A line is missing.
    pub fn holds(&self, head: &Head) -> Result<(), Broken> {
        match head.chains.iter().find(|last| !self.has(last)) {
            Some(last) => Err(Broken::Missing { last: last.clone(), head: head.path.clone() }),
            None => Ok(()),
        }
    }

    /// Reads the head of a log, or a copy from before.
    ///
    /// # Errors
    /// There is none, or it is not as it was written.
    pub fn head(&self, path: &Path) -> Result<Head, Broken> {
        Head::read(path, &self.key)
    }

    /// Says what was read, if all of it was ended by its writers.
    ///
    /// # Errors
    /// A chain has no end, or the last line does not say that its file was moved away.
    pub fn ends_by_itself(mut self) -> Result<Intact, Broken> {
        if let Some((chain, seen)) = self.chains.iter().find(|(_, seen)| !seen.is_closed) {
            let open = format!("chain `{chain}` has no end after its line {}", seen.seq);
            return Err(Broken::Open(open));
        }
        if self.closed != Some(Closed::Moved) {
            return Err(Broken::Open("its last line does not say that the file was moved away".to_owned()));
        }
        Ok(self.counted())
    }

    fn counted(&mut self) -> Intact {
        let intact = std::mem::take(&mut self.intact);
        let open = self.chains.values().filter(|seen| !seen.is_closed).count();
        Intact { chains: self.chains.len(), open, ..intact }
    }

    /// Reads a line: how many torn ones it tells of, or nothing if it is in no chain.
    fn line(&mut self, text: &[u8], line: u64) -> Result<Option<u64>, Broken> {
        let broken = |problem| Broken::Line { line, problem };
        let Ok(place) = serde_json::from_slice::<Place>(text) else { return Ok(None) };
        let Some(signed) = chain::signed(text, &place.mac) else { return Ok(None) };
        let Place { chain, seq, link, mac } = place;
        let before = match self.chains.get(&chain) {
            None if seq > 0 => return Err(broken("is not the first of its chain, and that is missing")),
            None => "",
            Some(seen) if seq != seen.seq + 1 => {
                return Err(broken("does not follow the line before it in its chain: one is missing or moved"));
            }
            Some(seen) => &seen.mac,
        };
        if !chain::is_good(&self.key, before, signed, &mac) {
            return Err(broken("was changed, or written with another key"));
        }
        if seq == 0 {
            self.begins(&link, line)?;
            self.newest = Some(chain.clone());
        }
        self.intact.lines += 1;
        self.intact.lost += link.lost;
        self.closed = link.closed;
        self.chains.insert(chain, Seen { seq, mac, is_closed: link.closed.is_some() });
        Ok(Some(link.torn))
    }

    /// Checks what a line that begins a chain says of the others.
    fn begins(&mut self, link: &Link, number: u64) -> Result<(), Broken> {
        let broken = |problem| Broken::Line { line: number, problem };
        if link.headless {
            return Err(broken("was written where the head was missing: what was cut off before it does not show"));
        }
        if !link.after.iter().all(|position| self.has(position)) {
            return Err(broken(BEGINS));
        }
        let unseen: Vec<_> = link.earlier.iter().filter(|position| !self.has(position)).collect();
        for position in unseen {
            // Whoever finds lines in front of it has met the first file already, unless several processes go on in a new one.
            if self.files > 1 || (number > 1 && !link.moved) {
                return Err(broken(BEGINS));
            }
            if !self.is_continued {
                return Err(Broken::Continued(position.clone()));
            }
            self.intact.earlier.push(position.clone());
        }
        let names = |chain: &String| link.after.iter().chain(&link.earlier).any(|position| position.chain == *chain);
        match &self.newest {
            Some(newest) if !names(newest) => {
                Err(broken("begins a chain that does not know the one before it: one is missing, or was put in"))
            }
            _ => Ok(()),
        }
    }

    fn has(&self, position: &Position) -> bool {
        self.chains.get(&position.chain).is_some_and(|seen| seen.seq >= position.seq)
    }
}
