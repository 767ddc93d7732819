//! `securemcp resource`: what a server has to read.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    exit::{Exit, Failure},
    surroundings::{Access, Surroundings},
    tools::table,
};
use crate::client::{ClientError, Session};

/// What servers answer for a resource that they do not have: MCP's own code, and JSON-RPC's since 2026-07-28.
const NOT_FOUND: [i32; 2] = [-32002, -32602];

const LIST_EXAMPLES: &str = "Examples:
  securemcp resource list
  securemcp resource list --output json | jq -r '.resources[].uri'";

const READ_EXAMPLES: &str = "Examples:
  securemcp resource read file:///etc/hostname
  securemcp resource read demo://picture > picture.png";

/// List and read the resources of any MCP server
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Read(Read),
}

/// List the server's resources, and the templates of their URIs
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(super) struct List {
    #[command(flatten)]
    access: Access,
}

/// Print a resource as it is: text, or bytes where stdout is no terminal
#[derive(Debug, Args)]
#[command(after_help = READ_EXAMPLES)]
pub(super) struct Read {
    /// The resource's URI; `securemcp resource list` lists them
    uri: String,
    #[command(flatten)]
    access: Access,
}

/// Runs one of the commands.
pub(super) async fn run(command: &Command, surroundings: &Surroundings) -> Result<Exit, Failure> {
    match command {
        Command::List(options) => {
            surroundings.in_session(&options.access, None, async |session| list(session, surroundings).await).await
        }
        Command::Read(options) => {
            surroundings
                .in_session(&options.access, None, async |session| read(session, &options.uri, surroundings).await)
                .await
        }
    }
}

async fn list(session: &Session, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let resources = session.list_resources().await?;
    // Many servers that have resources know no templates, and some say so with an error.
    let templates = match session.list_resource_templates().await {
        Err(ClientError::Rpc { .. }) => Vec::new(),
        listed => listed?,
    };
    let listed = json!({"resources": resources, "resourceTemplates": templates});
    let printer = surroundings.printer;
    if printer.is_json() {
        printer.document(&listed)?;
        return Ok(Exit::Done);
    }
    let rows = |list: &str, uri: &'static str| {
        let list = listed[list].as_array().cloned().unwrap_or_default();
        list.into_iter().map(move |one| [uri, "name", "mimeType", "description"].map(|member| first_line(&one[member])))
    };
    let rows: Vec<_> = rows("resources", "uri").chain(rows("resourceTemplates", "uriTemplate")).collect();
    if rows.is_empty() {
        printer.note("the server has no resources");
    } else {
        printer.text(&table(&rows))?;
    }
    Ok(Exit::Done)
}

async fn read(session: &Session, uri: &str, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let result = session.read_resource(uri).await.map_err(|error| match error {
        ClientError::Rpc { code, .. } if NOT_FOUND.contains(&code) => {
            Failure::new(Exit::Usage, error).hint("`securemcp resource list` lists the server's resources".to_owned())
        }
        error => error.into(),
    })?;
    let result = serde_json::to_value(result).context("cannot read the resource")?;
    let printer = surroundings.printer;
    if printer.is_json() {
        printer.document(&result)?;
        return Ok(Exit::Done);
    }
    for content in result["contents"].as_array().into_iter().flatten() {
        if let Some(text) = content["text"].as_str() {
            printer.exactly(text)?;
            continue;
        }
        let blob = STANDARD.decode(content["blob"].as_str().unwrap_or_default());
        let blob = blob.with_context(|| format!("`{uri}` holds bytes that are not base64"))?;
        if !printer.bytes(&blob)? {
            let problem = format!("`{uri}` is {} bytes and no text, and stdout is a terminal", blob.len());
            return Err(Failure::message(Exit::Failed, problem).hint("redirect stdout to a file".to_owned()));
        }
    }
    Ok(Exit::Done)
}

/// What a list shows of a text.
pub(super) fn first_line(text: &Value) -> String {
    text.as_str().and_then(|text| text.lines().next()).unwrap_or_default().to_owned()
}
