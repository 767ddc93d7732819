//! `securemcp call`: call a tool on any MCP server.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value};

use super::{
    arguments::{Misfit, Signature, nearest},
    exit::{Exit, Failure},
    sampling::SamplingCommand,
    surroundings::{Access, Surroundings, json_object},
    tools::{describe, input_schema, list, name},
};
use crate::client::{ClientError, Sampler, Session};

/// JSON-RPC's code for a tool or prompt that does not exist, or arguments that do not fit it.
pub(super) const INVALID_PARAMS: i32 = -32602;
/// MCP 2026-07-28: the client would have to be able to do something that it does not say it can.
const MISSING_CAPABILITY: i32 = -32021;
const GIVE_IT_A_MODEL: &str = "give it a model: `--sampling-command CMD` runs for each question it has";

const EXAMPLES: &str = "Arguments of the tool:
  VALUE               fills the required ones in order; a list at their end takes the rest
  --NAME VALUE        any of them; one that is true or false needs no VALUE, or is --no-NAME
  --arg NAME=VALUE    the same, for a name that is one of the flags above
  --                  what follows are values, even if they begin with dashes

Examples:
  securemcp call echo \"Hello!\"
  securemcp call calculator add 2 -3 4
  securemcp call echo --json '{\"message\":\"hi\"}' --output json
  securemcp call echo --help";

/// Call a tool on any MCP server
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    disable_help_flag = true,
    override_usage = "securemcp call [OPTIONS] <TOOL> [ARGUMENTS OF THE TOOL]..."
)]
pub(super) struct Options {
    /// The tool's name; `securemcp tools` lists them
    #[arg(required_unless_present = "help", hide = true)]
    tool: Option<String>,
    #[arg(last = true, hide = true, value_name = "VALUE")]
    words: Vec<String>,
    /// All arguments as one JSON object; `@FILE` or `-` read it from a file or standard input
    #[arg(long, value_name = "JSON", conflicts_with_all = ["words", "arg"])]
    json: Option<String>,
    /// One argument, by the name that the tool's schema gives it
    #[arg(long, value_name = "NAME=VALUE")]
    arg: Vec<String>,
    /// A shell command that answers when the tool asks for a model: request on its stdin, answer on its stdout
    #[arg(long, value_name = "COMMAND")]
    sampling_command: Option<String>,
    #[command(flatten)]
    access: Access,
    /// Print help, of the tool if there is one
    #[arg(short, long)]
    help: bool,
}

impl Options {
    /// Whether help is wanted for the command itself and not for a tool.
    pub(super) fn wants_own_help(&self) -> bool {
        self.help && self.tool.is_none()
    }
}

/// Calls the tool and prints what it answers.
pub(super) async fn run(options: &Options, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let tool = options.tool.as_deref().unwrap_or_default();
    let given = match &options.json {
        Some(json) => Some(json_object("--json", json).await?),
        None => None,
    };
    let sampler =
        options.sampling_command.clone().map(|command| Arc::new(SamplingCommand(command)) as Arc<dyn Sampler>);
    surroundings
        .in_session(&options.access, sampler, async |session| {
            Box::pin(talk(options, tool, given, session, surroundings)).await
        })
        .await
}

async fn talk(
    options: &Options,
    tool: &str,
    given: Option<Map<String, Value>>,
    session: &Session,
    surroundings: &Surroundings,
) -> Result<Exit, Failure> {
    // Kept for a closer look: what is given as JSON goes to the server without asking it for the schema first.
    let (arguments, unjudged) = match given {
        Some(arguments) if !options.help => (arguments.clone(), Some(arguments)),
        _ => {
            let tools = list(session).await?;
            let found = find(&tools, tool)?;
            if options.help {
                return describe(found, surroundings);
            }
            let signature = Signature::of(tool, input_schema(found), &surroundings.own_flags);
            (signature.arguments(&options.words, &options.arg).map_err(misfit)?, None)
        }
    };
    // Tools say in their own words that they want a model, and all of them name MCP's.
    let wants_model = |text: &str| options.sampling_command.is_none() && text.to_lowercase().contains("sampling");
    let call = session.call_tool(tool, arguments);
    // A command that answers questions has the terminal to itself.
    let result = match &options.sampling_command {
        Some(_) => call.await,
        None => Box::pin(surroundings.waiting("waiting for the tool", call)).await,
    };
    let is_refusal = match &result {
        Ok(result) => result.is_error == Some(true),
        Err(error) => matches!(error, ClientError::Rpc { code: INVALID_PARAMS, .. }),
    };
    if is_refusal && let Some(arguments) = unjudged {
        judge(tool, arguments, session, surroundings).await?;
    }
    let result = result.map_err(|error| match error {
        ClientError::Rpc { code: INVALID_PARAMS, .. } => Failure::new(Exit::Usage, error).hint(format!(
            "`securemcp tools` lists the server's tools, `securemcp call {tool} --help` the arguments of this one"
        )),
        ClientError::Rpc { code: MISSING_CAPABILITY, ref message } if wants_model(message) => {
            Failure::new(Exit::Failed, error).hint(GIVE_IT_A_MODEL.to_owned())
        }
        error => error.into(),
    })?;
    let result = serde_json::to_value(result).context("cannot read the result")?;
    let text = text(&result);
    let is_error = result.get("isError") == Some(&Value::Bool(true));
    if surroundings.printer.is_json() {
        surroundings.printer.document(&result)?;
    } else if !is_error {
        surroundings.printer.text(&text)?;
    }
    if !is_error {
        return Ok(Exit::Done);
    }
    let hint = wants_model(&text).then(|| GIVE_IT_A_MODEL.to_owned());
    Err(Failure::message(Exit::Failed, text).hint(hint))
}

/// Whether the arguments of a refused call fit the tool's schema. Without a schema the server has the last word.
async fn judge(
    tool: &str,
    arguments: Map<String, Value>,
    session: &Session,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let Ok(tools) = list(session).await else { return Ok(()) };
    let Some(found) = tools.iter().find(|found| name(found) == tool) else { return Ok(()) };
    let signature = Signature::of(tool, input_schema(found), &surroundings.own_flags);
    signature.validate(arguments).map(drop).map_err(misfit)
}

fn misfit(misfit: Misfit) -> Failure {
    let hint = misfit.hint.clone();
    Failure::new(Exit::Usage, misfit).hint(hint)
}

fn find<'t>(tools: &'t [Value], wanted: &str) -> Result<&'t Value, Failure> {
    tools.iter().find(|tool| name(tool) == wanted).ok_or_else(|| {
        let similar = nearest(wanted, tools.iter().map(name));
        let advice = similar.map(|similar| format!("did you mean `{similar}`? ")).unwrap_or_default();
        Failure::message(Exit::Usage, format!("the server has no tool `{wanted}`")).hint(format!(
            "{advice}`securemcp tools` lists them; a server may leave out what the token does not allow (ask for more \
                 with `--scope`), or what asks questions where nobody answers (`--answer`)"
        ))
    })
}

/// A result as a person reads it: its content, or the structured content if there is no other.
fn text(result: &Value) -> String {
    let blocks = result.get("content").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match result.get("structuredContent").filter(|structured| blocks.is_empty() && !structured.is_null()) {
        Some(structured) => format!("{structured:#}"),
        None => blocks.iter().map(block).collect::<Vec<_>>().join("\n"),
    }
}

/// One block of content, as a person reads it.
pub(super) fn block(block: &Value) -> String {
    let get = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = get(block, "type").unwrap_or_default();
    if kind == "text" {
        return get(block, "text").unwrap_or_default();
    }
    // Base64 is 4 characters for 3 bytes, less its padding.
    let decoded_len = |data: String| data.trim_end_matches('=').len() * 3 / 4;
    let resource = block.get("resource").unwrap_or(block);
    if let Some(text) = get(resource, "text") {
        return text;
    }
    let data = get(resource, "data").or_else(|| get(resource, "blob"));
    let words =
        [get(resource, "uri"), get(resource, "mimeType"), data.map(|data| format!("{} bytes", decoded_len(data)))];
    let words = words.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("[{}]", format!("{kind} {words}").trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_blocks_are_printed_as_they_come() {
        let content = json!([{"type": "text", "text": "Hello!"}, {"type": "text", "text": "twice\n"}]);
        assert_eq!(text(&json!({"content": content, "structuredContent": {"echo": "Hello!"}})), "Hello!\ntwice\n");
    }

    #[test]
    fn what_is_no_text_is_described_in_one_line() {
        for (content, line) in [
            (json!({"type": "image", "mimeType": "image/png", "data": "AAAAAA=="}), "[image image/png, 4 bytes]"),
            (json!({"type": "audio", "mimeType": "audio/wav", "data": ""}), "[audio audio/wav, 0 bytes]"),
            (json!({"type": "resource_link", "uri": "file:///a", "name": "a"}), "[resource_link file:///a]"),
            (
                json!({"type": "resource", "resource": {"uri": "x:1", "mimeType": "a/b", "blob": "AAAA"}}),
                "[resource x:1, a/b, 3 bytes]",
            ),
            (json!({"type": "resource", "resource": {"uri": "x:1", "text": "inside"}}), "inside"),
            (json!({"type": "hologram"}), "[hologram]"),
        ] {
            assert_eq!(text(&json!({ "content": [content] })), line);
        }
    }

    #[test]
    fn structured_content_stands_in_for_missing_content() {
        assert_eq!(text(&json!({"content": [], "structuredContent": {"a": 1}})), "{\n  \"a\": 1\n}");
        assert_eq!(text(&json!({})), "");
    }
}
