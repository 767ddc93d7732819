//! The guarded server's tools: asked for, cleaned, compared with what was served until now, and served.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use rmcp::{
    RoleClient,
    model::{ClientRequest, ListToolsRequest, PaginatedRequestParams, ServerResult, Tool},
    service::{Peer, ServiceError},
};
use serde_json::{Map, Value};

use super::{
    down::Down,
    status::{GuardedTool, Status},
};
use crate::{
    call::registry::Item as _,
    config::Upstream,
    oauth::Scopes,
    said::{said, without_deception},
    secret::sha256_base64url,
    telemetry::{
        audit::{self, Event},
        metrics::Metrics,
    },
    tools::{Definition, Entry, Tools},
};

/// How many pages of tools are followed, and how many tools are served.
const MAX_PAGES: usize = 100;
const MAX_TOOLS: usize = 1_000;

/// What a caller needs for a tool that says it changes nothing, and for any other.
const READS: &str = "mcp:read";
const WRITES: &str = "mcp:write";

/// The scopes of tools that the settings do not name.
pub(super) fn default_scopes() -> Scopes {
    scopes_of(READS).union(&scopes_of(WRITES))
}

fn scopes_of(text: &str) -> Scopes {
    Scopes::parse(text).expect("a literal of good scopes")
}

/// Asks for all tools, page by page. What is no definition of a tool is left out.
pub(super) async fn fetch(peer: &Peer<RoleClient>) -> Result<Vec<Tool>, Down> {
    let (mut tools, mut cursor, mut seen) = (Vec::new(), None, HashSet::new());
    for _ in 0..MAX_PAGES {
        let params = Some(PaginatedRequestParams::default().with_cursor(cursor));
        let request = ListToolsRequest { params, ..ListToolsRequest::default() };
        // Not `Peer::list_tools`, which may answer from its own memory.
        let page = match peer.send_request(ClientRequest::ListToolsRequest(request)).await {
            Ok(ServerResult::ListToolsResult(page)) => (page.tools, page.next_cursor),
            // One bad definition makes it no list to rmcp.
            Ok(ServerResult::CustomResult(result)) => one_by_one(&result.0)?,
            Ok(_) => return Err(Down::NotMcp("`tools/list` is answered with something else".to_owned())),
            Err(ServiceError::McpError(error)) => {
                return Err(Down::NotMcp(format!("`tools/list` is answered with: {}", said(&error.message))));
            }
            Err(error) => return Err(Down::of_service(error)),
        };
        tools.extend(page.0);
        cursor = page.1;
        match &cursor {
            None => return Ok(tools),
            Some(again) if !seen.insert(sha256_base64url(again.as_bytes())) => break,
            Some(_) if tools.len() > MAX_TOOLS => break,
            Some(_) => {}
        }
    }
    tracing::warn!(
        tools = tools.len().min(MAX_TOOLS),
        "the guarded server's list of tools does not end; the rest is left out"
    );
    Ok(tools)
}

fn one_by_one(result: &Value) -> Result<(Vec<Tool>, Option<String>), Down> {
    let Some(written) = result.get("tools").and_then(Value::as_array) else {
        return Err(Down::NotMcp("`tools/list` is answered without `tools`".to_owned()));
    };
    let mut tools = Vec::new();
    for written in written {
        match serde_json::from_value(written.clone()) {
            Ok(tool) => tools.push(tool),
            Err(error) => {
                let name = written.get("name").and_then(Value::as_str).unwrap_or("a tool without a name");
                left_out(name, &said(&error.to_string()));
            }
        }
    }
    Ok((tools, result.get("nextCursor").and_then(Value::as_str).map(str::to_owned)))
}

fn left_out(tool: &str, reason: &str) {
    tracing::warn!(tool = said(tool), reason, "a tool of the guarded server is left out");
}

/// What is served at the moment.
#[derive(Default)]
pub(super) struct Listed {
    metrics: Metrics,
    served: Vec<Served>,
    /// Hashes by name of every tool that there ever was, so that one that goes away for a moment cannot come back changed
    /// without a word.
    known: HashMap<String, Known>,
    /// What the list was when it was last asked for.
    last: Option<(Arc<str>, String)>,
}

struct Served {
    hash: String,
    entry: Arc<Entry>,
}

struct Known {
    hash: String,
    /// Whether callers needed more than to read.
    writes: bool,
}

impl Listed {
    /// Nothing yet.
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.served.len()
    }

    /// Serves these tools from now on, and says what has changed.
    pub(super) fn update(
        &mut self,
        mut found: Vec<Tool>,
        name: &Arc<str>,
        settings: &Upstream,
        tools: &Tools,
        status: &Arc<Status>,
    ) {
        found.truncate(MAX_TOOLS);
        let found: Vec<_> = found.into_iter().map(clean).map(|tool| (hash(&tool), tool)).collect();
        let all = sha256_base64url(found.iter().map(|(hash, _)| hash.as_str()).collect::<String>().as_bytes());
        let now = Some((Arc::clone(name), all));
        if self.last == now {
            return;
        }
        let is_same_server = self.last.as_ref().is_some_and(|(before, _)| before == name);
        let mut before: HashMap<_, _> = std::mem::take(&mut self.served)
            .into_iter()
            .filter(|_| is_same_server)
            .map(|served| (served.hash, served.entry))
            .collect();
        for (hash, tool) in found {
            // Compiled once: most lists come again as they were.
            if let Some(entry) = before.remove(&hash) {
                self.served.push(Served { hash, entry });
                continue;
            }
            let tool_name = tool.name.to_string();
            let writes = self.note(&tool, &hash, name);
            let definition =
                Definition::of_upstream(tool, scopes_for(&tool_name, writes, settings), settings.may_sample);
            let (name_of_tool, status, may_sample) = (tool_name.clone(), Arc::clone(status), settings.may_sample);
            let guarded = Box::new(GuardedTool { name: name_of_tool, status, may_sample });
            match Entry::of_upstream(definition, Arc::clone(name), settings.timeout, guarded) {
                Ok(entry) => self.served.push(Served { hash, entry: Arc::new(entry) }),
                Err(reason) => left_out(&tool_name, &reason.to_string()),
            }
        }
        for taken in tools.replace_upstream(self.served.iter().map(|served| Arc::clone(&served.entry)).collect()) {
            left_out(&taken.definition().name, "there is another tool of this name");
        }
        if self.last.is_none() {
            self.check_settings(settings);
        } else {
            tracing::info!(upstream = %name, tools = self.served.len(), "the guarded server's tools have changed");
        }
        self.last = now;
    }

    /// Remembers a definition, warns if another was known by the same name, and says whether callers need to write.
    fn note(&mut self, tool: &Tool, hash: &str, upstream: &str) -> bool {
        let reads = tool.annotations.as_ref().and_then(|hints| hints.read_only_hint) == Some(true);
        let name = tool.name.as_ref();
        let before = self.known.get(name);
        // A server that changes its mind while it runs does not open to readers what was not.
        let writes = !reads || before.is_some_and(|known| known.writes);
        if let Some(before) = before.filter(|known| known.hash != hash) {
            tracing::warn!(upstream, tool = said(name), "the guarded server changed the definition of a tool");
            self.metrics.tool_changed();
            audit::record(Event::UpstreamToolChanged {
                upstream,
                tool: &said(name),
                before: &before.hash,
                after: hash,
            });
        }
        if self.known.len() < 10 * MAX_TOOLS || before.is_some() {
            self.known.insert(name.to_owned(), Known { hash: hash.to_owned(), writes });
        }
        writes
    }

    fn check_settings(&self, settings: &Upstream) {
        let names: HashSet<_> = self.served.iter().map(|served| served.entry.definition().name.as_ref()).collect();
        for tool in settings.scopes.keys().filter(|tool| !names.contains(tool.as_str())) {
            tracing::warn!(tool = said(tool), "`upstream.scopes` names a tool that the guarded server does not have");
        }
    }
}

fn scopes_for(tool: &str, writes: bool, settings: &Upstream) -> Scopes {
    let default = || scopes_of(if writes { WRITES } else { READS });
    settings.scopes.get(tool).cloned().unwrap_or_else(default)
}

fn hash(tool: &Tool) -> String {
    sha256_base64url(&serde_json::to_vec(tool).expect("it came as JSON"))
}

/// The definition without what could draw on a terminal, or hide words from a person that a model would read.
fn clean(mut tool: Tool) -> Tool {
    tool.title = tool.title.map(|title| without_deception(&title));
    tool.description = tool.description.map(|text| without_deception(&text).into());
    if let Some(annotations) = &mut tool.annotations {
        annotations.title = annotations.title.take().map(|title| without_deception(&title));
    }
    for schema in [Some(&mut tool.input_schema), tool.output_schema.as_mut()].into_iter().flatten() {
        clean_schema(Arc::make_mut(schema));
    }
    tool
}

/// Only what describes: values and patterns mean what they are.
fn clean_schema(schema: &mut Map<String, Value>) {
    for (name, value) in schema {
        match value {
            Value::String(text) if matches!(name.as_str(), "description" | "title" | "$comment") => {
                *text = without_deception(text);
            }
            _ => clean_inside(value),
        }
    }
}

fn clean_inside(value: &mut Value) {
    match value {
        Value::Object(inner) => clean_schema(inner),
        Value::Array(items) => items.iter_mut().for_each(clean_inside),
        _ => {}
    }
}
