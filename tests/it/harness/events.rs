//! The messages of an event stream, one after the other, however they come.

use std::{collections::VecDeque, time::Duration};

use reqwest::Response;
use serde_json::Value;

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Those of one answer.
pub(crate) struct Events {
    response: Response,
    /// What has come and is no whole line yet.
    text: String,
    ready: VecDeque<Value>,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        Self { response, text: String::new(), ready: VecDeque::new() }
    }

    /// The next message. Signs of life are none.
    pub(crate) async fn next(&mut self) -> Value {
        tokio::time::timeout(LIMIT, self.message()).await.expect("one more in time")
    }

    async fn message(&mut self) -> Value {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return message;
            }
            let chunk = self.response.chunk().await.expect("no broken stream").expect("one more event");
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
            while let Some(end) = self.text.find('\n') {
                let line: String = self.text.drain(..=end).collect();
                self.ready.extend(line.strip_prefix("data: ").and_then(|data| serde_json::from_str(data).ok()));
            }
        }
    }
}
