//! The product within the test, for what the binary does not have: tools from outside the crate.

use std::{path::Path, thread::JoinHandle};

use securemcp::{
    clock::SystemClock,
    config::{self, Environment, Flag, Inputs, Purpose},
    server::Server,
    tools::Tools,
};
use tokio::sync::oneshot;

/// A running server. It drains when this is dropped.
#[derive(Debug)]
pub(crate) struct InProcess {
    /// Its origin, which is also its issuer.
    pub(crate) origin: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl InProcess {
    /// Serves these tools on a free port, with the state of the account whose home this is.
    pub(super) fn start(home: &Path, tools: Tools) -> Self {
        let state = home.join("state/securemcp");
        let flag = |key, value: &str| Flag { key, value: value.to_owned(), name: "--test" };
        let flags = vec![
            flag("state_dir", state.to_str().expect("UTF-8")),
            flag("server.listen", "127.0.0.1:0"),
            // A fast machine must not meet them.
            flag("limits.per_client", "1000000/s"),
            flag("limits.per_address", "1000000/s"),
        ];
        let environment = Environment::new(home, Some(home.to_owned()));
        let inputs = Inputs { config_file: None, env_file: None, flags, environment };
        let config = config::load(Purpose::Serve, &inputs).expect("a good configuration");
        let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
        let server = runtime.block_on(Server::bind(&config, tools, SystemClock::shared())).expect("starts");
        let origin = format!("http://{}", server.address());
        let (stop, stopped) = oneshot::channel();
        let serve = server.run(async {
            // The sender going away means the same.
            let _ = stopped.await;
        });
        let thread = std::thread::spawn(move || runtime.block_on(serve));
        Self { origin, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server shows as a failure of what the test asked it.
            let _ = thread.join();
        }
    }
}
