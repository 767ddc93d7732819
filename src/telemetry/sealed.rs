//! An audit log whose lines vouch for each other, as a process writes it.
//!
//! Its requests pay for an HMAC and a write a line. What a power cut must not take, and the [head](super::head) after it,
//! are written once a second by a thread of its own.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::Duration,
};

use aws_lc_rs::hmac;
use rustix::fs::OFlags;
use serde_json::json;

use super::{
    chain::{self, Chain, Closed, Link, Place, Position},
    file::{LogFileError, open},
    head::{self, Entry, Found},
    lines,
};
use crate::{clock::SharedClock, hint::chain as causes, secret::Secret};

/// Longer than any line of ours.
const MAX_LINE: u64 = 1024 * 1024;

/// How often the head follows the log.
const HEAD_EVERY: Duration = Duration::from_secs(1);

/// Cheap to clone: every clone writes to the same file.
#[derive(Clone, Debug)]
pub(super) struct SealedFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    key: hmac::Key,
    clock: SharedClock,
    /// Taken before `open` by whoever takes both.
    head: Mutex<Head>,
    open: Mutex<Open>,
}

/// What this process has written to the head.
#[derive(Debug)]
struct Head {
    path: PathBuf,
    written: Option<Entry>,
    /// Whether the log knows that something cannot be written.
    was_told: bool,
}

#[derive(Debug)]
struct Open {
    file: Arc<File>,
    /// The number of a regular file; a pipe has no head.
    number: Option<u64>,
    /// `None`: it could not begin, or has ended.
    chain: Option<Chain>,
    has_ended: bool,
    /// What the next line tells.
    torn: u64,
    lost: u64,
}

/// How a log ends that somebody else has written.
#[derive(Default)]
struct Tail {
    is_empty: bool,
    is_torn: bool,
    last: Option<Position>,
}

impl SealedFile {
    /// Opens it for appending, and begins a chain. On a full disk it begins later.
    ///
    /// # Errors
    /// Those of [`open`], or the head cannot be kept beside it.
    pub(super) fn open(path: &Path, key: &Secret, clock: SharedClock) -> Result<Self, LogFileError> {
        let open = Open::new(open(path)?).map_err(|source| LogFileError::Io { path: path.to_owned(), source })?;
        let head = Head { path: head::path_of(path), written: None, was_told: false };
        if open.number.is_some() {
            head::hold(&head.path).map_err(|source| LogFileError::Head { path: head.path.clone(), source })?;
        }
        let (path, key) = (path.to_owned(), chain::prepared(key));
        let log = Self(Arc::new(Inner { path, key, clock, head: Mutex::new(head), open: Mutex::new(open) }));
        // Nobody can be told yet: on a failure the thread tries again.
        let _ = log.0.begin(&mut log.0.head(), &mut log.0.open(), false);
        let inner = Arc::downgrade(&log.0);
        let thread = thread::Builder::new().name("audit-head".to_owned());
        let started = thread.spawn(move || follow(&inner));
        started.map_err(|source| LogFileError::Io { path: log.0.path.clone(), source })?;
        Ok(log)
    }

    /// Writes a line in one piece. Nobody is left to be told of a failure but those who read the log: the next line says
    /// how many there were.
    pub(super) fn line(&self, line: &[u8]) {
        let _ = self.0.open().append(line, Link::default());
    }

    /// Goes on in a new file if this one was moved away. On an error it goes on in the old one.
    pub(super) fn reopen(&self) -> Result<(), LogFileError> {
        let inner = &*self.0;
        let io_error = |source| LogFileError::Io { path: inner.path.clone(), source };
        let next = Open::new(open(&inner.path)?).map_err(io_error)?;
        let (mut head, mut open) = (inner.head(), inner.open());
        if next.number == open.number {
            return Ok(());
        }
        let ended = inner.end(&mut head, &mut open, Closed::Moved);
        *open = Open { lost: open.lost, ..next };
        let begun = inner.begin(&mut head, &mut open, true);
        drop(open);
        inner.tell(&mut head, ended.and(begun));
        Ok(())
    }

    /// Writes that nothing follows.
    pub(super) fn end(&self) {
        let (mut head, mut open) = (self.0.head(), self.0.open());
        let ended = self.0.end(&mut head, &mut open, Closed::Stopped);
        open.has_ended = true;
        drop(open);
        self.0.tell(&mut head, ended);
    }
}

impl Inner {
    fn head(&self) -> MutexGuard<'_, Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a chain, with a line that names how far all others have come.
    fn begin(&self, head: &mut Head, open: &mut Open, moved: bool) -> io::Result<()> {
        let Some(number) = open.number else {
            open.chain = Some(Chain::new(&self.key));
            return open.append(&self.event("log_opened"), Link::default());
        };
        let locked = head::hold(&head.path)?;
        let tail = tail(&self.path, number)?;
        let (entries, has_head) = match locked.read(&self.key)? {
            Found::Entries(entries) => (entries, true),
            Found::Nothing => (Vec::new(), tail.is_empty),
            Found::Damaged => (Vec::new(), false),
        };
        let mut link = Link { headless: !has_head, moved, ..Link::default() };
        for entry in entries {
            // A head is behind its log after a crash.
            if tail.last.as_ref().is_some_and(|last| last.chain == entry.last.chain && last.seq >= entry.last.seq) {
                continue;
            }
            if entry.file == number { &mut link.after } else { &mut link.earlier }.push(entry.last);
        }
        link.after.extend(tail.last);
        open.torn = u64::from(tail.is_torn);
        let lost = open.lost;
        open.chain = Some(Chain::new(&self.key));
        if let Err(error) = open.append(&self.event("log_opened"), link) {
            // It is tried again, and no event.
            (open.chain, open.lost) = (None, lost);
            return Err(error);
        }
        let entry = open.entry();
        open.file.sync_data()?;
        locked.write(&entry.clone().into_iter().collect::<Vec<_>>(), &self.key)?;
        head.written = entry;
        Ok(())
    }

    /// Ends the chain.
    fn end(&self, head: &mut Head, open: &mut Open, closed: Closed) -> io::Result<()> {
        let link = Link { closed: Some(closed), ..Link::default() };
        let appended = if open.chain.is_some() { open.append(&self.event("log_closed"), link) } else { Ok(()) };
        let saved = self.save(head, &open.file, open.entry());
        open.chain = None;
        appended.and(saved)
    }

    /// Brings the head up to here.
    fn save(&self, head: &mut Head, file: &File, entry: Option<Entry>) -> io::Result<()> {
        let Some(entry) = entry.filter(|entry| head.written.as_ref() != Some(entry)) else { return Ok(()) };
        file.sync_data()?;
        let locked = head::hold(&head.path)?;
        let mut entries = match locked.read(&self.key)? {
            Found::Entries(entries) => entries,
            Found::Nothing | Found::Damaged => Vec::new(),
        };
        entries.retain(|other| other.last.chain != entry.last.chain);
        entries.push(entry.clone());
        locked.write(&entries, &self.key)?;
        head.written = Some(entry);
        Ok(())
    }

    /// What is done once a second.
    fn follow(&self) {
        let mut head = self.head();
        let mut open = self.open();
        let begun =
            if open.chain.is_none() && !open.has_ended { self.begin(&mut head, &mut open, false) } else { Ok(()) };
        let (file, entry, lost) = (Arc::clone(&open.file), open.entry(), open.lost);
        // Requests write on while the disk does what it has to.
        drop(open);
        let saved = begun.and_then(|()| self.save(&mut head, &file, entry));
        let lost = if lost > 0 { Err(io::Error::other(format!("{lost} events could not be written"))) } else { Ok(()) };
        self.tell(&mut head, saved.and(lost));
    }

    /// Tells the log once that the audit log cannot be written, and once that it can.
    fn tell(&self, head: &mut Head, result: io::Result<()>) {
        match result {
            Err(error) if !head.was_told => {
                tracing::error!(path = %self.path.display(), error = causes(&error), "the audit log cannot be written");
                head.was_told = true;
            }
            Ok(()) if head.was_told => {
                tracing::warn!(path = %self.path.display(), "the audit log is written again");
                head.was_told = false;
            }
            _ => {}
        }
    }

    fn event(&self, message: &str) -> Vec<u8> {
        let timestamp = lines::timestamp(self.clock.since_epoch());
        let event = json!({"timestamp": timestamp, "level": "INFO", "target": "audit", "message": message});
        format!("{event}\n").into_bytes()
    }
}

impl Open {
    fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let number = metadata.is_file().then(|| metadata.ino());
        Ok(Self { file: Arc::new(file), number, chain: None, has_ended: false, torn: 0, lost: 0 })
    }

    /// Writes a line of the chain, which goes on only if all of it was written.
    fn append(&mut self, event: &[u8], link: Link) -> io::Result<()> {
        let Some(chain) = &mut self.chain else {
            self.lost += 1;
            return Err(io::Error::other("the audit log could not begin"));
        };
        let mut sealed = chain.seal(event, &Link { torn: self.torn, lost: self.lost, ..link });
        if self.torn > 0 {
            // What was begun must not become one line with this.
            sealed.bytes.insert(0, b'\n');
        }
        match written(&self.file, &sealed.bytes) {
            Ok(()) => {
                chain.wrote(sealed);
                (self.torn, self.lost) = (0, 0);
                Ok(())
            }
            Err((written, error)) => {
                self.torn += u64::from(written > 0);
                self.lost += 1;
                Err(error)
            }
        }
    }

    fn entry(&self) -> Option<Entry> {
        Some(Entry { last: self.chain.as_ref()?.position()?, file: self.number? })
    }
}

fn follow(inner: &Weak<Inner>) {
    loop {
        thread::sleep(HEAD_EVERY);
        let Some(inner) = inner.upgrade() else { return };
        inner.follow();
    }
}

/// Writes all of it, or says how much it was.
fn written(mut file: &File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// How the file of this number ends, if it is still at its path.
fn tail(path: &Path, number: u64) -> io::Result<Tail> {
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.ino() != number {
        return Err(io::Error::other("the audit log was moved away while it was opened"));
    }
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(MAX_LINE)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let place = |line: &[u8]| serde_json::from_slice::<Place>(line).ok();
    let last = end.rsplit(|byte| *byte == b'\n').find_map(place);
    let last = last.map(|place| Position { chain: place.chain, seq: place.seq });
    let is_torn = end.last().is_some_and(|byte| *byte != b'\n');
    Ok(Tail { is_empty: end.is_empty(), is_torn, last })
}
