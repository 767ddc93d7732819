//! What a server does as one of several replicas, for as long as it runs.

use std::sync::Arc;

use tokio::{sync::Notify, task::JoinHandle};

use super::{Lasting, shared_changes::SharedChanges, shared_rates, shared_sessions};
use crate::store::Heard;

/// Keeps the connection to Redis, and hears and tells what replicas share; `None` if they share nothing.
pub(super) fn follow(lasting: &Lasting) -> Option<JoinHandle<()>> {
    let (redis, shared) = lasting.redis.clone().zip(lasting.shared_sessions.clone())?;
    let (sessions, tasks) = (Arc::clone(&lasting.sessions), lasting.tasks.clone());
    let (secret, changes) = (Arc::clone(&lasting.secret), lasting.shared_changes.clone());
    let rates = shared_rates::run(Arc::clone(&redis), Arc::clone(&lasting.limiter), Arc::clone(&lasting.clock));
    // Before anything can be heard.
    let changing = changes.clone().map(SharedChanges::run);
    Some(tokio::spawn(async move {
        let connected = Notify::new();
        let hear = |heard: Heard<'_>| match heard {
            Heard::Connected => {
                connected.notify_one();
                secret.doubt();
                if let Some(changes) = &changes {
                    changes.connected();
                }
            }
            Heard::Announced(text) => {
                tasks.announced(text);
                shared_sessions::close(&sessions, text);
                if let Some(changes) = &changes {
                    changes.announced(text);
                }
            }
        };
        let changing = async {
            if let Some(changing) = changing {
                changing.await;
            }
        };
        tokio::join!(redis.run(hear), rates, shared.follow(&sessions, &connected), changing);
    }))
}
