//! A command on a terminal, with somebody who reads and types.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::ffi::OsStrExt as _,
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

const LIMIT: Duration = Duration::from_mins(1);

/// A pseudo-terminal, and the command that has it for all its streams.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// Ends when nobody has the terminal open any more, and all that was written to it is on the screen.
    reader: JoinHandle<()>,
}

impl Terminal {
    pub(crate) fn start(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).expect("ours");
        unlockpt(&master).expect("ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let open = || OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(name.to_bytes())).expect("ours");
        command.env("TERM", "xterm").stdin(open()).stdout(open()).stderr(open());
        let child = command.spawn().expect("starts");
        // Its own copies of the streams would keep the terminal open.
        drop(command);
        let keyboard = File::from(master);
        let mut reader = keyboard.try_clone().expect("a descriptor");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&screen);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            // The last reader of a terminal gets an error at its end.
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                shown.lock().expect("no panic").extend_from_slice(&piece[..count]);
            }
        });
        Self { child, keyboard, screen, reader }
    }

    /// All that was shown, as the terminal got it.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("no panic")).into_owned()
    }

    /// Waits until these words are shown.
    #[track_caller]
    pub(crate) fn shows(&mut self, words: &str) {
        let started = Instant::now();
        while !self.screen().contains(words) {
            assert!(started.elapsed() < LIMIT, "no `{words}` in {:?}", self.screen());
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none() || self.settled().contains(words), "it ended, no `{words}` in {:?}", self.screen());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether what is typed is shown.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.keyboard).expect("a terminal").local_modes.contains(LocalModes::ECHO)
    }

    /// Presses these keys.
    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("somebody reads");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it was not waited for yet");
    }

    /// Presses Ctrl-C until it ends: a key that comes while the command does not read keys is the terminal's, and lost.
    #[track_caller]
    pub(crate) fn interrupted(mut self) -> (Option<i32>, String) {
        let started = Instant::now();
        while self.child.try_wait().expect("a child can be waited for").is_none() {
            assert!(started.elapsed() < LIMIT, "it does not end: {:?}", self.screen());
            // Nobody may read any more: then it is about to end.
            let _ = self.keyboard.write_all(b"\x03");
            thread::sleep(Duration::from_millis(50));
        }
        self.ended()
    }

    /// Waits for the end; its exit code, and all that was shown.
    #[track_caller]
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let started = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status.code();
            }
            assert!(started.elapsed() < LIMIT, "it does not end: {:?}", self.screen());
            thread::sleep(Duration::from_millis(2));
        };
        (code, self.settled())
    }

    /// What is shown when the reader has caught up with a command that has ended.
    fn settled(&self) -> String {
        let started = Instant::now();
        while !self.reader.is_finished() {
            assert!(started.elapsed() < LIMIT, "it ended, and somebody has its terminal: {:?}", self.screen());
            thread::sleep(Duration::from_millis(2));
        }
        self.screen()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
