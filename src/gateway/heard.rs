//! What the guarded server tells of a call while it runs, handed to whoever waits for that very call.
#![expect(deprecated, reason = "MCP deprecates logging (SEP-2577); servers still do it")]

use std::collections::HashMap;

use rmcp::{
    RoleClient,
    model::{
        ClientNotification, GetExtensions as _, GetMeta as _, JsonRpcMessage, LoggingMessageNotificationParam,
        ProgressNotificationParam, ProgressToken, RequestId, ServerNotification,
    },
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde::Deserialize as _;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    call::{Level, Progress},
    net::ORIGIN,
    said::{without_deception, without_deception_in},
};

/// How many words wait for a caller that is slow to take them; what comes then is lost.
const MAX_WAITING: usize = 16;
/// The longest word, in bytes of JSON; longer ones are lost.
const MAX_WORD: usize = 64 * 1024;
/// How many calls are known before those are looked for that nobody waits for any more.
const MAX_CALLS: usize = 1_024;

/// In the `_meta` of a request of 2026-07-28: from which level on it wants log messages.
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// Something that is told while a call runs.
#[derive(Debug, PartialEq)]
pub(super) enum Word {
    Progress(Progress),
    Log(Level, Value),
}

/// In a request's extensions: where words of its call go.
#[derive(Clone)]
struct Telling(mpsc::Sender<Word>);

/// Has the words about a request's call come out here.
pub(super) fn words_of(request: &mut rmcp::model::ClientRequest) -> mpsc::Receiver<Word> {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    request.extensions_mut().insert(Telling(sender));
    receiver
}

/// A transport that takes out of the messages what is said of calls under way. What is said of a call that is none goes
/// nowhere: all callers share the connection, and nobody hears of the call of another.
pub(super) struct Heard<T> {
    transport: T,
    calls: Calls,
}

/// The calls under way.
#[derive(Default)]
struct Calls {
    by_id: HashMap<RequestId, (Telling, Option<ProgressToken>)>,
    by_token: HashMap<ProgressToken, RequestId>,
    /// Whether the connection is a pipe, where nothing in a log message says which call it is about. So only one call at
    /// a time asks for them there.
    is_pipe: bool,
    reader: Option<RequestId>,
}

impl<T> Heard<T> {
    pub(super) fn over(transport: T, is_pipe: bool) -> Self {
        Self { transport, calls: Calls { is_pipe, ..Calls::default() } }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Heard<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        mut item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.calls.note(&mut item);
        self.transport.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let message = self.transport.receive().await?;
            if let Some(message) = self.calls.sort(message) {
                return Some(message);
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.transport.close()
    }
}

impl Calls {
    /// A message of ours goes out.
    fn note(&mut self, message: &mut TxJsonRpcMessage<RoleClient>) {
        match message {
            JsonRpcMessage::Request(request) => {
                let Some(telling) = request.request.extensions().get::<Telling>().cloned() else { return };
                if self.by_id.len() >= MAX_CALLS {
                    self.by_id.retain(|_, (telling, _)| !telling.0.is_closed());
                    self.by_token.retain(|_, id| self.by_id.contains_key(id));
                }
                let meta = request.request.get_meta_mut();
                if self.is_pipe && meta.log_level().is_some() {
                    if self.reader.is_none() {
                        self.reader = Some(request.id.clone());
                    } else {
                        meta.remove(LOG_LEVEL);
                    }
                }
                let token = meta.get_progress_token();
                if let Some(token) = &token {
                    self.by_token.insert(token.clone(), request.id.clone());
                }
                self.by_id.insert(request.id.clone(), (telling, token));
            }
            // The reader on a pipe stays who it is: the server may not have heard yet, and log on.
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.forget(id);
                }
            }
            _ => {}
        }
    }

    /// A message of the guarded server; `None` if it was a word about a call.
    fn sort(&mut self, message: RxJsonRpcMessage<RoleClient>) -> Option<RxJsonRpcMessage<RoleClient>> {
        match &message {
            JsonRpcMessage::Response(response) => self.ended(&response.id),
            JsonRpcMessage::Error(error) => {
                if let Some(id) = &error.id {
                    self.ended(id);
                }
            }
            JsonRpcMessage::Notification(notification) => match &notification.notification {
                ServerNotification::ProgressNotification(progress) => {
                    self.progress(&progress.params);
                    return None;
                }
                ServerNotification::LoggingMessageNotification(message) => {
                    self.log(notification.notification.get_meta().get(ORIGIN), &message.params);
                    return None;
                }
                _ => {}
            },
            JsonRpcMessage::Request(_) => {}
        }
        Some(message)
    }

    fn ended(&mut self, id: &RequestId) {
        self.forget(id);
        if self.reader.as_ref() == Some(id) {
            self.reader = None;
        }
    }

    fn forget(&mut self, id: &RequestId) {
        if let Some((_, Some(token))) = self.by_id.remove(id) {
            self.by_token.remove(&token);
        }
    }

    fn progress(&self, told: &ProgressNotificationParam) {
        let telling = self.by_token.get(&told.progress_token).and_then(|id| self.by_id.get(id));
        let (Some((telling, _)), true) = (telling, told.progress.is_finite()) else { return };
        let message = told.message.as_ref().filter(|message| message.len() <= MAX_WORD);
        let message = message.map(|message| without_deception(message));
        let progress = Progress { done: told.progress, total: told.total, message };
        // It is lost if the caller has not taken the last ones yet.
        let _ = telling.0.try_send(Word::Progress(progress));
    }

    fn log(&self, origin: Option<&Value>, message: &LoggingMessageNotificationParam) {
        let of_stream = || RequestId::deserialize(origin?).ok();
        let id = if self.is_pipe { self.reader.clone() } else { of_stream() };
        let Some((telling, _)) = id.and_then(|id| self.by_id.get(&id)) else { return };
        let mut data = message.data.clone();
        if data.to_string().len() <= MAX_WORD {
            without_deception_in(&mut data);
            let _ = telling.0.try_send(Word::Log(message.level.into(), data));
        }
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{
        CallToolRequest, CallToolRequestParams, CancelledNotification, CancelledNotificationParam, ClientRequest,
    };
    use serde_json::json;

    use super::*;

    /// A call goes out that wants log messages; what is told of it comes out here.
    fn call(calls: &mut Calls, id: i64) -> mpsc::Receiver<Word> {
        let mut request: ClientRequest = CallToolRequest::new(CallToolRequestParams::new("tool")).into();
        let words = words_of(&mut request);
        let meta = request.get_meta_mut();
        meta.set_progress_token(ProgressToken(RequestId::Number(100 + id)));
        meta.set_log_level(rmcp::model::LoggingLevel::Info);
        calls.note(&mut JsonRpcMessage::request(request, RequestId::Number(id)));
        words
    }

    fn says(calls: &mut Calls, message: &Value) {
        let message: RxJsonRpcMessage<RoleClient> = serde_json::from_value(message.clone()).unwrap();
        let is_answer = matches!(message, JsonRpcMessage::Response(_));
        assert_eq!(calls.sort(message).is_some(), is_answer);
    }

    fn progress(token: i64) -> Value {
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
    }

    fn log(origin: &Value) -> Value {
        json!({"jsonrpc": "2.0", "method": "notifications/message",
            "params": {"level": "info", "data": "a\u{1b}[1m", "_meta": {ORIGIN: origin}}})
    }

    fn end(id: i64) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "result": {"content": []}})
    }

    fn cancel(calls: &mut Calls, id: i64) {
        let params = CancelledNotificationParam::new(Some(RequestId::Number(id)), None);
        calls.note(&mut JsonRpcMessage::notification(CancelledNotification::new(params).into()));
    }

    #[test]
    fn s09_progress_reaches_the_call_of_its_token_and_no_other() {
        let mut calls = Calls::default();
        let (mut first, mut second) = (call(&mut calls, 1), call(&mut calls, 2));
        says(&mut calls, &progress(101));
        assert_eq!(first.try_recv().unwrap(), Word::Progress(Progress { done: 1.0, ..Progress::default() }));
        assert!(second.try_recv().is_err());
        // Nor when its call is over, or was none.
        says(&mut calls, &end(1));
        says(&mut calls, &progress(101));
        says(&mut calls, &progress(7));
        assert!(first.try_recv().is_err() && second.try_recv().is_err());
    }

    #[test]
    fn s09_a_log_message_reaches_the_call_whose_stream_it_came_on_and_no_other() {
        let mut calls = Calls::default();
        let (mut first, mut second) = (call(&mut calls, 1), call(&mut calls, 2));
        says(&mut calls, &log(&json!(1)));
        assert_eq!(first.try_recv().unwrap(), Word::Log(Level::Info, json!("a[1m")));
        says(&mut calls, &log(&Value::Null));
        assert!(first.try_recv().is_err() && second.try_recv().is_err());
    }

    #[test]
    fn s09_on_a_pipe_one_call_at_a_time_has_the_log() {
        let mut calls = Calls { is_pipe: true, ..Calls::default() };
        let (mut first, mut second) = (call(&mut calls, 1), call(&mut calls, 2));
        // Whatever the guarded server writes there.
        says(&mut calls, &log(&json!(2)));
        assert!(first.try_recv().is_ok() && second.try_recv().is_err());
        says(&mut calls, &end(1));
        let mut third = call(&mut calls, 3);
        says(&mut calls, &log(&json!(2)));
        assert!(third.try_recv().is_ok() && second.try_recv().is_err());
        // After a cancelled one nobody knows when its last message has come.
        cancel(&mut calls, 3);
        let mut fourth = call(&mut calls, 4);
        says(&mut calls, &log(&json!(4)));
        assert!(fourth.try_recv().is_err() && third.try_recv().is_err());
    }
}
