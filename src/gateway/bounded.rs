//! What a child process writes, up to the longest answer that is read.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use rmcp::transport::async_rw::DEFAULT_MAX_LINE_LENGTH as MAX_BYTES;
use tokio::io::{AsyncRead, ReadBuf};

/// A pipe that breaks when [`MAX_BYTES`] have come without a message, be it in one line or in many that are none. rmcp would
/// drop them and wait: whoever called would be told nothing before the call's time is up.
pub(super) struct Bounded<R> {
    pipe: R,
    line: Line,
    has_burst: Arc<AtomicBool>,
}

/// How far it is since the last message.
#[derive(Debug, Default)]
struct Line {
    bytes: usize,
    /// Whether the line that is read might be a message; `None` at its start.
    is_message: Option<bool>,
}

impl<R> Bounded<R> {
    /// Around a pipe; the flag tells whether it has broken for this reason.
    pub(super) fn new(pipe: R) -> (Self, Arc<AtomicBool>) {
        let has_burst = Arc::new(AtomicBool::new(false));
        (Self { pipe, line: Line::default(), has_burst: Arc::clone(&has_burst) }, has_burst)
    }
}

impl Line {
    /// Reads on; whether there may be more.
    fn take(&mut self, bytes: &[u8]) -> bool {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let first = piece.iter().find(|byte| !byte.is_ascii_whitespace());
            self.is_message = self.is_message.or(first.map(|byte| *byte == b'{'));
            self.bytes += piece.len();
            if self.bytes >= MAX_BYTES {
                return false;
            }
            if piece.ends_with(b"\n") && self.is_message.take() == Some(true) {
                self.bytes = 0;
            }
        }
        true
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Bounded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.pipe).poll_read(context, buffer))?;
        if self.line.take(&buffer.filled()[before..]) {
            return Poll::Ready(Ok(()));
        }
        self.has_burst.store(true, Ordering::Release);
        Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pieces of 1 MiB are taken.
    fn taken(pieces: impl Iterator<Item = Vec<u8>>) -> usize {
        let mut line = Line::default();
        pieces.take(100).take_while(|piece| line.take(piece)).count()
    }

    fn ending_in(end: &[u8], first: u8) -> Vec<u8> {
        let mut piece = vec![b'x'; 1 << 20];
        piece[0] = first;
        let end_at = piece.len() - end.len();
        piece[end_at..].copy_from_slice(end);
        piece
    }

    #[test]
    fn a_message_may_be_long_and_there_may_be_many() {
        assert_eq!(taken(std::iter::repeat_with(|| ending_in(b"}\n", b'{'))), 100);
        let mut long = vec![b'{'; MAX_BYTES - 2];
        long.push(b'\n');
        assert!(Line::default().take(&long));
    }

    #[test]
    fn neither_one_line_without_end_nor_many_that_are_no_message_are_read_for_ever() {
        for (end, first) in [(&b""[..], b'{'), (b"", b'x'), (b"\n", b'x'), (b"\n", b'\n')] {
            assert_eq!(taken(std::iter::repeat_with(|| ending_in(end, first))), 15, "{end:?} {first}");
        }
    }
}
