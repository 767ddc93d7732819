//! What is remembered of each server, so that the next run needs one request: its token's file and its era.

use rmcp::model::DiscoverResult;
use serde::{Deserialize, Serialize};

use super::{Client, ClientError, tokens::TokenKey};
use crate::{
    oauth::Resource,
    secret::sha256_base64url,
    store::{PrivateDir, StoreError},
};

const FOLDER: &str = "servers";

/// Longest description of itself that is kept of a server, in bytes.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// One server. Nothing in it is secret or trusted: every use is checked by the server itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownServer {
    /// The URL called.
    pub(super) server: Resource,
    /// Which token was last got for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<TokenKey>,
    /// Which token was last got without anybody naming its scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) default_token: Option<TokenKey>,
    /// Which generation of the protocol it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) era: Option<Era>,
}

/// How a session begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Era {
    /// With `initialize`: 2025-11-25 and before.
    Legacy,
    /// With nothing: 2026-07-28. This is what the server answered to `server/discover`.
    Modern(Box<DiscoverResult>),
}

impl KnownServer {
    /// What is remembered; a damaged file is nothing.
    pub(super) fn load(state: &PrivateDir, server: &Resource) -> Result<Option<Self>, StoreError> {
        let bytes = state.child(FOLDER)?.read(&file_name(server))?;
        let known = bytes.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        Ok(known.filter(|known| known.server == *server))
    }

    /// Changes what is remembered, one writer at a time.
    pub(super) fn update(
        state: &PrivateDir,
        server: &Resource,
        change: impl FnOnce(&mut Self),
    ) -> Result<(), StoreError> {
        let (folder, name) = (state.child(FOLDER)?, file_name(server));
        let _lock = folder.lock(&name)?;
        let before = Self::load(state, server)?;
        let unknown = || Self { server: server.clone(), token: None, default_token: None, era: None };
        let mut known = before.clone().unwrap_or_else(unknown);
        change(&mut known);
        if before.as_ref() == Some(&known) {
            return Ok(());
        }
        folder.write(&name, &serde_json::to_vec_pretty(&known).expect("strings, lists and maps of strings"))
    }

    /// Forgets everything of this server.
    pub(super) fn remove(state: &PrivateDir, server: &Resource) -> Result<bool, StoreError> {
        state.child(FOLDER)?.remove(&file_name(server))
    }
}

fn file_name(server: &Resource) -> String {
    sha256_base64url(server.as_str().as_bytes())
}

impl Client {
    /// Remembers how the server's sessions begin, or forgets it.
    pub(super) async fn note_era(&self, era: Option<Era>) -> Result<(), ClientError> {
        if !self.settings.keeps() {
            return Ok(());
        }
        let small = |era: &Era| serde_json::to_vec(era).is_ok_and(|bytes| bytes.len() <= MAX_KEPT_BYTES);
        let (server, era) = (self.settings.server.clone(), era.filter(small));
        self.on_disk(move |state| KnownServer::update(state, &server, |known| known.era = era)).await
    }
}
