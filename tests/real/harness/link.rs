//! The way to a server, which may be slow or cut.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::free_port;

/// Passes on what comes to a port of its own.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    to: u16,
    /// Before each piece of an answer, in milliseconds.
    delay: AtomicU64,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    /// All that was asked.
    asked: Mutex<Vec<u8>>,
}

impl Link {
    /// To this port.
    pub(crate) fn to(to: u16) -> Self {
        let port = free_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it was free");
        let shared = Arc::new(Shared {
            to,
            delay: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            open: Mutex::default(),
            asked: Mutex::default(),
        });
        let passing = Arc::clone(&shared);
        thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                if passing.ended.load(Ordering::SeqCst) {
                    return;
                }
                passing.connect(caller);
            }
        });
        Self { port, shared }
    }

    /// Makes every piece of an answer wait this long.
    pub(crate) fn delay(&self, by: Duration) {
        self.shared.delay.store(u64::try_from(by.as_millis()).expect("a short time"), Ordering::SeqCst);
    }

    /// Ends what is open, so that the next request goes by today's rules.
    pub(crate) fn hang_up(&self) {
        for stream in self.shared.open.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How often these bytes were sent to the server.
    pub(crate) fn count(&self, words: &str) -> usize {
        let asked = self.shared.asked.lock().expect("no panic");
        asked.windows(words.len()).filter(|window| *window == words.as_bytes()).count()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Whoever waits for callers gets one more.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        self.hang_up();
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, caller: TcpStream) {
        // Where nobody listens, the caller hears no more than that.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.to)) else { return };
        for stream in [&caller, &server] {
            let _ = stream.set_nodelay(true);
            self.open.lock().expect("no panic").push(stream.try_clone().expect("a descriptor"));
        }
        let ends = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
        let (from, to, shared) = (ends(&caller), ends(&server), Arc::clone(self));
        thread::spawn(move || pass(from, to, |piece| shared.asked.lock().expect("no panic").extend_from_slice(piece)));
        let shared = Arc::clone(self);
        thread::spawn(move || {
            pass(server, caller, |_| thread::sleep(Duration::from_millis(shared.delay.load(Ordering::SeqCst))));
        });
    }
}

/// Until either end is closed, which closes the other.
fn pass(mut from: TcpStream, mut to: TcpStream, before: impl Fn(&[u8])) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        before(&piece[..count]);
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
