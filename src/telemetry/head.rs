//! The head of an audit log: how far each chain has come, in a small file beside the log, under a MAC of its own.
//!
//! It is what tells a log that was cut, emptied or robbed of a whole chain from one that is not longer. It is never ahead
//! of what is on the disk. Processes that share a log share its head, one at a time.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::hmac;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::chain::{self, Position};

/// Longer than any head of ours.
const MAX_BYTES: u64 = 256 * 1024;

/// Stands where a line has the MAC of the line before, so that no head can be taken for a line.
const BEFORE: &str = "head";

/// A chain, and the file that its last line is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) last: Position,
    /// The number that the file system gave it.
    pub(super) file: u64,
}

/// What was found where a head should be.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// It is not what was written with this key.
    Damaged,
    Entries(Vec<Entry>),
}

/// A head that no other process changes meanwhile.
pub(super) struct Held(File);

#[derive(Deserialize)]
struct Head {
    chains: Vec<Entry>,
    mac: String,
}

/// Where the head of a log is.
pub fn path_of(log: &Path) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(".head");
    name.into()
}

/// Waits for its turn. A head that is not there is made.
pub(super) fn hold(path: &Path) -> io::Result<Held> {
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    file.lock()?;
    Ok(Held(file))
}

/// Reads one without changing it.
pub(super) fn read(path: &Path, key: &hmac::Key) -> io::Result<Found> {
    match File::open(path) {
        Ok(file) => {
            file.lock_shared()?;
            found(&file, key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

impl Held {
    pub(super) fn read(&self, key: &hmac::Key) -> io::Result<Found> {
        found(&self.0, key)
    }

    /// Writes it in place, which needs no room on a full disk. What may be left of a longer one comes after its end.
    pub(super) fn write(&self, entries: &[Entry], key: &hmac::Key) -> io::Result<()> {
        let mut head = b"{\"chains\":".to_vec();
        head.extend_from_slice(&serde_json::to_vec(entries)?);
        chain::end(key, BEFORE, &mut head);
        self.0.write_all_at(&head, 0)?;
        self.0.set_len(head.len() as u64)?;
        self.0.sync_data()
    }
}

fn found(file: &File, key: &hmac::Key) -> io::Result<Found> {
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(Found::Nothing);
    }
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let entries = serde_json::from_slice::<Head>(line).ok().and_then(|head| {
        let signed = chain::signed(line, &head.mac)?;
        chain::is_good(key, BEFORE, signed, &head.mac).then_some(head.chains)
    });
    Ok(entries.map_or(Found::Damaged, Found::Entries))
}
