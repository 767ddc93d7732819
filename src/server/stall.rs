//! Callers who do not read: what is written for them waits in memory, and must not wait for ever.

use std::{
    io::{self, IoSlice, Write as _},
    net,
    os::fd::AsFd as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// How long a write may wait without a byte being taken.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that fails when its peer takes nothing of what there is to write. Where nothing is to be written, as on an
/// event stream without events, time does not count.
pub(super) struct Unstalled<S> {
    stream: S,
    /// Kept when a write has gone on, for the next one that waits.
    timer: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl<S: Direct + AsyncWrite + Unpin> Unstalled<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, timer: None, waits: false }
    }

    /// What has become of a write of these bytes.
    fn judged(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waits = false;
            return written;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(TIMEOUT)));
        if !self.waits {
            timer.as_mut().reset(Instant::now() + TIMEOUT);
            self.waits = true;
        }
        ready!(timer.as_mut().poll(context));
        // A socket says that it can be written to only when much of its buffer is free: who reads slowly may have got on all
        // the same. What is free in it for another reason is full the next time.
        self.waits = false;
        Poll::Ready(self.stream.write_directly(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"),
            _ => error,
        }))
    }
}

/// What can be tried to be written to, whether it says that it is ready or not.
pub(super) trait Direct {
    /// Writes without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is taken now.
    fn write_directly(&self, bytes: &[u8]) -> io::Result<usize>;
}

impl Direct for TcpStream {
    fn write_directly(&self, bytes: &[u8]) -> io::Result<usize> {
        // tokio would ask what it knows instead of the system. Both handles are of one socket, which never blocks.
        let same = self.as_fd().try_clone_to_owned()?;
        (&net::TcpStream::from(same)).write(bytes)
    }
}

impl<S: Direct + AsyncWrite + Unpin> AsyncWrite for Unstalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judged(context, written, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        let first = parts.iter().find(|part| !part.is_empty());
        self.judged(context, written, first.map_or(&[], |part| part))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unstalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, net::TcpListener};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// Its readiness is exact.
    impl Direct for DuplexStream {
        fn write_directly(&self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_dropped_after_half_a_minute() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Unstalled::new(ours);
        let began = Instant::now();
        let written = tokio::time::timeout(Duration::from_hours(1), ours.write_all(&[b'x'; 1000])).await;
        let error = written.expect("an end").unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
        // Also who has read before.
        theirs.read_exact(&mut [0; 64]).await.unwrap();
        ours.write_all(&[b'x'; 64]).await.unwrap();
        let began = Instant::now();
        let vectored = ours.write_vectored(&[IoSlice::new(b""), IoSlice::new(b"x")]).await;
        assert_eq!((vectored.unwrap_err().kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_gets_all_of_it() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Unstalled::new(ours);
        let writing = tokio::spawn(async move { ours.write_all(&[b'x'; 1000]).await });
        let mut read = 0;
        while read < 1000 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            read += theirs.read(&mut [0; 10]).await.unwrap();
        }
        assert!(writing.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_written_nobody_has_to_read() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Unstalled::new(ours);
        for _ in 0..3 {
            ours.write_all(b"data: x\n\n").await.unwrap();
            ours.flush().await.unwrap();
            let mut nothing = [0];
            let idle = tokio::time::timeout(Duration::from_hours(1), ours.read(&mut nothing)).await;
            assert!(idle.is_err(), "it is open");
        }
        theirs.read_exact(&mut [0; 27]).await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_takes_what_it_can_before_it_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut theirs = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = TcpStream::from_std(ours).unwrap();
        let piece = [b'x'; 4096];
        let full = loop {
            if let Err(error) = ours.write_directly(&piece) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        // Some of it is read, and then there is room for more, at the latest when all of it is.
        let mut buffer = vec![0; 65536];
        while ours.write_directly(&piece).is_err() {
            assert!(theirs.read(&mut buffer).unwrap() > 0);
        }
    }
}
