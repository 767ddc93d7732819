//! `securemcp tools`: what a server offers.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{
    arguments::Signature,
    exit::{Exit, Failure},
    print::Tone,
    surroundings::{Access, Surroundings},
};
use crate::client::Session;

/// Widest column that is padded; what is longer pushes the rest of its line to the right.
const MAX_COLUMN: usize = 60;

/// Where a server says which scopes a tool needs.
const SCOPES_KEY: &str = "io.securemcp/scopes";

const EXAMPLES: &str = "Examples:
  securemcp tools
  securemcp tools --server https://mcp.example/mcp
  securemcp tools --output json | jq -r '.[].name'";

/// List the server's tools, their arguments and the scopes they need
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    access: Access,
}

/// Prints the list.
pub(super) async fn run(options: &Options, surroundings: &Surroundings) -> Result<Exit, Failure> {
    surroundings.in_session(&options.access, None, async |session| print(&list(session).await?, surroundings)).await
}

fn print(tools: &[Value], surroundings: &Surroundings) -> Result<Exit, Failure> {
    let printer = surroundings.printer;
    if printer.is_json() {
        printer.document(&tools)?;
    } else if tools.is_empty() {
        printer.note("the server has no tools");
    } else {
        let rows = tools.iter().map(|tool| {
            let signature = Signature::of(name(tool), input_schema(tool), &surroundings.own_flags);
            let about = description(tool).lines().next().unwrap_or_default().to_owned();
            [name(tool).to_owned(), signature.line(), scopes(tool), about]
        });
        printer.text(&table(&rows.collect::<Vec<_>>()))?;
    }
    Ok(Exit::Done)
}

/// The tools as the server sent them.
pub(super) async fn list(session: &Session) -> Result<Vec<Value>, Failure> {
    values(session.list_tools().await?)
}

/// What a server listed, as JSON.
pub(super) fn values<T: Serialize>(listed: Vec<T>) -> Result<Vec<Value>, Failure> {
    let values: Result<_, _> = listed.into_iter().map(serde_json::to_value).collect();
    Ok(values.context("cannot read what the server listed")?)
}

/// Prints what is to be known of one tool: its help.
pub(super) fn describe(tool: &Value, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let printer = surroundings.printer;
    if printer.is_json() {
        printer.document(tool)?;
        return Ok(Exit::Done);
    }
    let signature = Signature::of(name(tool), input_schema(tool), &surroundings.own_flags);
    if !description(tool).is_empty() {
        printer.text(&format!("{}\n\n", description(tool).trim()))?;
    }
    printer.labelled(Tone::Heading, "Usage:", &signature.usage())?;
    let rows: Vec<_> =
        signature.descriptions().into_iter().map(|(written, words)| [format!("  {written}"), words]).collect();
    if !rows.is_empty() {
        printer.labelled(Tone::Heading, "\nArguments:", "")?;
        printer.text(&table(&rows))?;
    }
    if !scopes(tool).is_empty() {
        printer.labelled(Tone::Heading, "\nScopes:", &scopes(tool))?;
    }
    Ok(Exit::Done)
}

/// The tool's name.
pub(super) fn name(tool: &Value) -> &str {
    tool.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The schema of its arguments; a tool without one takes anything.
pub(super) fn input_schema(tool: &Value) -> &Value {
    tool.get("inputSchema").unwrap_or(&Value::Null)
}

fn description(tool: &Value) -> &str {
    let text = |name: &str| tool.get(name).and_then(Value::as_str);
    text("description").or_else(|| text("title")).unwrap_or_default()
}

fn scopes(tool: &Value) -> String {
    let scopes = tool.get("_meta").and_then(|meta| meta.get(SCOPES_KEY)).and_then(Value::as_array);
    scopes.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

/// Rows with aligned columns; a column that is empty everywhere is left out.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        let longest_padded = widths.clone().filter(|width| *width <= MAX_COLUMN).max().unwrap_or_default();
        if widths.max() == Some(0) { None } else { Some(longest_padded) }
    };
    let widths: [_; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).filter_map(|(cell, width)| Some(format!("{cell:0$}", width?)));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let long = "x".repeat(70);
        let rows = [row(["echo", "", "says"]), row(["calculator", "", "counts"]), row([&long, "", "z"])];
        assert_eq!(table(&rows), format!("echo        says\ncalculator  counts\n{long}  z\n"));
    }

    #[test]
    fn scopes_are_read_from_the_meta_data() {
        let tool = json!({"name": "t", "_meta": {"io.securemcp/scopes": ["a", "b"]}});
        assert_eq!(scopes(&tool), "a b");
        for tool in [json!({}), json!({"_meta": {"io.securemcp/scopes": "a"}})] {
            assert_eq!(scopes(&tool), "");
        }
    }
}
