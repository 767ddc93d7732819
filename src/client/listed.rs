//! The tools that each server listed last, so that a shell completes their names without asking anybody.

use std::path::Path;

use rmcp::model::Tool;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Client;
use crate::{
    oauth::Resource,
    secret::sha256_base64url,
    store::{PrivateDir, StoreError},
};

const FOLDER: &str = "tools";

/// Longest list that is kept of a server, in bytes: of one that is longer, the tools at its beginning.
const MAX_KEPT_BYTES: usize = 256 * 1024;
/// How many servers' lists are kept. When there are as many, no new one is.
const MAX_SERVERS: usize = 200;

/// A tool, as a server described it. Nothing in it is secret or trusted.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ListedTool {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub input_schema: Value,
}

/// What one server listed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ListedTools {
    /// The URL called.
    server: Resource,
    tools: Vec<ListedTool>,
}

impl ListedTool {
    /// What this server listed last; nothing if that is not known. Makes no directory, and waits for nobody.
    pub(crate) fn of(state_dir: &Path, server: &Resource) -> Vec<Self> {
        if !state_dir.join(FOLDER).exists() {
            return Vec::new();
        }
        let read = || PrivateDir::open(state_dir)?.child(FOLDER)?.read(&file_name(server));
        let listed = read().ok().flatten().and_then(|bytes| serde_json::from_slice::<ListedTools>(&bytes).ok());
        listed.filter(|listed| listed.server == *server).map(|listed| listed.tools).unwrap_or_default()
    }
}

impl ListedTools {
    fn new(server: &Resource, tools: &[Tool]) -> Self {
        let mut room = MAX_KEPT_BYTES;
        let tools = tools.iter().map_while(|tool| {
            let input_schema = Value::Object(tool.input_schema.as_ref().clone());
            room = room.checked_sub(tool.name.len() + input_schema.to_string().len())?;
            Some(ListedTool { name: tool.name.to_string(), input_schema })
        });
        Self { server: server.clone(), tools: tools.collect() }
    }

    /// Keeps it, unless it is kept already or somebody else is about to.
    fn keep(&self, state: &PrivateDir) -> Result<(), StoreError> {
        let (folder, name) = (state.child(FOLDER)?, file_name(&self.server));
        let text = serde_json::to_vec(self).expect("JSON values and strings");
        let before = folder.read(&name)?;
        let has_room = before.is_some() || folder.names()?.len() < MAX_SERVERS;
        if before.as_ref() == Some(&text) || !has_room {
            return Ok(());
        }
        match folder.try_lock(&name)? {
            Some(_lock) => folder.write(&name, &text),
            None => Ok(()),
        }
    }
}

fn file_name(server: &Resource) -> String {
    sha256_base64url(server.as_str().as_bytes())
}

/// Forgets what a server listed.
pub(super) fn forget(state: &PrivateDir, server: &Resource) -> Result<(), StoreError> {
    state.child(FOLDER)?.remove(&file_name(server)).map(drop)
}

impl Client {
    /// Remembers what the server listed. No command fails for it.
    pub(super) async fn note_tools(&self, tools: &[Tool]) {
        if !self.settings.keeps() {
            return;
        }
        let listed = ListedTools::new(&self.settings.server, tools);
        if let Err(error) = self.on_disk(move |state| listed.keep(state)).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the tools' names are not kept for completion");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

    use serde_json::json;

    use super::*;
    use crate::client::{Host, testing::World};

    fn tool(name: &str, schema: &Value) -> Tool {
        Tool::new(name.to_owned(), "", Arc::new(schema.as_object().unwrap().clone()))
    }

    async fn listed(world: &World, change: impl FnOnce(&mut crate::client::Settings)) -> Vec<String> {
        let client = world.client_with(change);
        let session = client.connect(Host::default()).await.unwrap();
        session.list_tools().await.unwrap();
        session.close().await;
        let settings = client.settings();
        ListedTool::of(&settings.state_dir, &settings.server).into_iter().map(|tool| tool.name).collect()
    }

    #[tokio::test]
    async fn what_a_server_lists_is_kept_for_this_account_until_it_is_forgotten() {
        let world = World::new().await;
        assert_eq!(listed(&world, |_| ()).await, ["echo"]);
        let file = &world.files(FOLDER)[0];
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(world.files(FOLDER).len(), 1);
        for damage in ["", "{", "{\"server\":\"http://127.0.0.1:1/mcp\",\"tools\":[]}"] {
            std::fs::write(file, damage).unwrap();
            let settings = world.client();
            let settings = settings.settings();
            assert_eq!(ListedTool::of(&settings.state_dir, &settings.server), [], "{damage}");
            assert_eq!(listed(&world, |_| ()).await, ["echo"]);
        }
        world.client().forget().await.unwrap();
        assert!(world.files(FOLDER).is_empty());
    }

    #[tokio::test]
    async fn a_run_that_leaves_no_trace_leaves_no_names() {
        let world = World::new().await;
        assert_eq!(listed(&world, |settings| settings.persist = false).await, [""; 0]);
        assert!(world.files(FOLDER).is_empty());
    }

    #[test]
    fn a_list_has_an_end() {
        let server = Resource::parse("http://127.0.0.1:1/mcp").unwrap();
        let schema = json!({"type": "object", "description": "x".repeat(1000)});
        let many: Vec<_> = (0..1000).map(|index| tool(&index.to_string(), &schema)).collect();
        let kept = ListedTools::new(&server, &many);
        assert!((200..300).contains(&kept.tools.len()) && kept.tools[0].name == "0", "{}", kept.tools.len());
        assert!(serde_json::to_vec(&kept).unwrap().len() < 2 * MAX_KEPT_BYTES);
    }
}
