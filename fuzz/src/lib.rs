//! What fuzzers throw bytes at. `tests/fuzz` runs it under libFuzzer; `tests/it/fuzz.rs` includes the readers, and replays
//! the corpora and what proptest makes up.

mod readers;

/// Runs the reader of this name.
///
/// # Panics
/// If there is none, or if it breaks a rule.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, read) = readers::READERS.iter().find(|(reader, _)| *reader == name).expect("a reader that there is");
    read(bytes);
}
