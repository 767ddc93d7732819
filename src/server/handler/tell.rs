//! What a call tells its caller on the way: as far as the caller wants to know.
#![expect(deprecated, reason = "logging is deprecated by SEP-2577, and it is what the supported revisions have")]

use std::sync::Arc;

use rmcp::{
    RoleServer,
    model::{LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam, ProgressToken},
    service::{Peer, RequestContext},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use crate::call::{BoxFuture, Level, Progress, Tell};

/// Ends the event stream that a request within a session is answered on; the session keeps what comes after.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct LetGo(pub(in crate::server) CancellationToken);

/// From which level on a caller reads log messages.
enum Listens {
    /// 2026-07-28: this request says so.
    Says(Option<LoggingLevel>),
    /// A session, whose client says so once.
    Session(Arc<Connection>),
}

/// The way to the caller of one request.
pub(super) struct Telling {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    listens: Listens,
    let_go: Option<LetGo>,
}

impl Telling {
    pub(super) fn of(context: &RequestContext<RoleServer>, connection: &Arc<Connection>) -> Self {
        let listens = if context.meta.protocol_version().is_some() {
            Listens::Says(context.meta.log_level())
        } else {
            Listens::Session(Arc::clone(connection))
        };
        let parts = context.extensions.get::<axum::http::request::Parts>();
        Self {
            peer: context.peer.clone(),
            token: context.meta.get_progress_token(),
            listens,
            let_go: parts.and_then(|parts| parts.extensions.get::<LetGo>()).cloned(),
        }
    }
}

impl Tell for Telling {
    fn progress(&self, progress: Progress) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Some(token) = self.token.clone() else { return };
            let mut word = ProgressNotificationParam::new(token, progress.done);
            (word.total, word.message) = (progress.total, progress.message);
            // A client that has gone away is told nothing.
            let _ = self.peer.notify_progress(word).await;
        })
    }

    fn log_level(&self) -> Option<Level> {
        match &self.listens {
            Listens::Says(least) => least.map(Level::from),
            Listens::Session(connection) => Some(connection.level()),
        }
    }

    fn log(&self, level: Level, data: Value) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.log_level().is_some_and(|least| level >= least) {
                let message = LoggingMessageNotificationParam::new(level.into(), data);
                let _ = self.peer.notify_logging_message(message).await;
            }
        })
    }

    fn let_go(&self) {
        if let Some(LetGo(token)) = &self.let_go {
            token.cancel();
        }
    }
}
