//! `securemcp prompt`: what a server has to say to a model.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{
    arguments::nearest,
    call::{INVALID_PARAMS, block},
    exit::{Exit, Failure},
    resource::first_line,
    surroundings::{Access, Surroundings},
    tools::{table, values},
};
use crate::client::{ClientError, Session};

const LIST_EXAMPLES: &str = "Examples:
  securemcp prompt list
  securemcp prompt list --output json | jq -r '.[].name'";

const GET_EXAMPLES: &str = "Examples:
  securemcp prompt get review
  securemcp prompt get review --arg language=Rust --arg style=short";

/// List and get the prompts of any MCP server
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Get(Get),
}

/// List the server's prompts and their arguments
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(super) struct List {
    #[command(flatten)]
    access: Access,
}

/// Print a prompt with its arguments filled in
#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES)]
pub(super) struct Get {
    /// The prompt's name; `securemcp prompt list` lists them
    name: String,
    /// One argument of the prompt
    #[arg(long, value_name = "NAME=VALUE")]
    arg: Vec<String>,
    #[command(flatten)]
    access: Access,
}

/// Runs one of the commands.
pub(super) async fn run(command: &Command, surroundings: &Surroundings) -> Result<Exit, Failure> {
    match command {
        Command::List(options) => {
            surroundings.in_session(&options.access, None, async |session| list(session, surroundings).await).await
        }
        Command::Get(options) => {
            surroundings
                .in_session(&options.access, None, async |session| get(session, options, surroundings).await)
                .await
        }
    }
}

async fn list(session: &Session, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let prompts = values(session.list_prompts().await?)?;
    let printer = surroundings.printer;
    if printer.is_json() {
        printer.document(&prompts)?;
    } else if prompts.is_empty() {
        printer.note("the server has no prompts");
    } else {
        let rows = prompts.iter().map(|prompt| {
            let arguments: Vec<_> = arguments(prompt)
                .map(|(name, is_required)| if is_required { name.to_owned() } else { format!("[{name}]") })
                .collect();
            [first_line(&prompt["name"]), arguments.join(" "), first_line(&prompt["description"])]
        });
        printer.text(&table(&rows.collect::<Vec<_>>()))?;
    }
    Ok(Exit::Done)
}

async fn get(session: &Session, options: &Get, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let prompts = values(session.list_prompts().await?)?;
    let prompt = find(&prompts, &options.name)?;
    let given = given(prompt, &options.arg)?;
    let result = session.get_prompt(&options.name, given).await.map_err(|error| match error {
        ClientError::Rpc { code: INVALID_PARAMS, .. } => Failure::new(Exit::Usage, error)
            .hint("`securemcp prompt list` lists the server's prompts and their arguments".to_owned()),
        error => error.into(),
    })?;
    let result = serde_json::to_value(result).context("cannot read the prompt")?;
    let printer = surroundings.printer;
    if printer.is_json() {
        printer.document(&result)?;
        return Ok(Exit::Done);
    }
    for message in result["messages"].as_array().into_iter().flatten() {
        printer.text(&format!("{}: {}", first_line(&message["role"]), block(&message["content"])))?;
    }
    Ok(Exit::Done)
}

fn find<'p>(prompts: &'p [Value], wanted: &str) -> Result<&'p Value, Failure> {
    let names = || prompts.iter().filter_map(|prompt| prompt["name"].as_str());
    prompts.iter().find(|prompt| prompt["name"] == wanted).ok_or_else(|| {
        let similar = nearest(wanted, names()).map(|similar| format!("did you mean `{similar}`? ")).unwrap_or_default();
        Failure::message(Exit::Usage, format!("the server has no prompt `{wanted}`"))
            .hint(format!("{similar}`securemcp prompt list` lists them"))
    })
}

/// The arguments that were given, if they are those that the prompt has and needs.
fn given(prompt: &Value, written: &[String]) -> Result<Map<String, Value>, Failure> {
    let usage = |problem: String, hint: String| Failure::message(Exit::Usage, problem).hint(hint);
    let name = first_line(&prompt["name"]);
    let mut given = Map::new();
    for argument in written {
        let Some((key, value)) = argument.split_once('=') else {
            return Err(usage(format!("`--arg {argument}` has no `=`"), "write `--arg NAME=VALUE`".to_owned()));
        };
        if !arguments(prompt).any(|(known, _)| known == key) {
            let known: Vec<_> = arguments(prompt).map(|(known, _)| format!("`{known}`")).collect();
            let hint = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            return Err(usage(format!("prompt `{name}` has no argument `{key}`"), hint));
        }
        if given.insert(key.to_owned(), value.into()).is_some() {
            return Err(usage(format!("argument `{key}` is given twice"), "give it once".to_owned()));
        }
    }
    match arguments(prompt).find(|(known, is_required)| *is_required && !given.contains_key(*known)) {
        Some((missing, _)) => Err(usage(
            format!("prompt `{name}` needs the argument `{missing}`"),
            format!("add `--arg {missing}=VALUE`"),
        )),
        None => Ok(given),
    }
}

/// Name of each argument, and whether it is required.
fn arguments(prompt: &Value) -> impl Iterator<Item = (&str, bool)> {
    let all = prompt["arguments"].as_array().into_iter().flatten();
    all.filter_map(|argument| Some((argument["name"].as_str()?, argument["required"] == true)))
}
