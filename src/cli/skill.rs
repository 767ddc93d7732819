//! `securemcp skill`: what a server teaches a model to do, compared with what the server says of it (SEP-2640).

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    arguments::nearest,
    exit::{Exit, Failure},
    resource::first_line,
    surroundings::{Access, Surroundings},
    tools::table,
};
use crate::client::{Session, Skill};

const LIST_EXAMPLES: &str = "Examples:
  securemcp skill list
  securemcp skill list --output json | jq -r '.skills[].resources[].uri'";

const READ_EXAMPLES: &str = "Examples:
  securemcp skill read pdf-processing
  securemcp skill read pdf-processing skill://pdf-processing/references/FORMS.md";

/// List and read the skills of any MCP server; a file that is not what the server lists is not shown
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Read(Read),
}

/// List the server's skills; nothing of them is read
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(super) struct List {
    #[command(flatten)]
    access: Access,
}

/// Print a skill's text, or one of its files, if its size, digest and frontmatter are what the server lists
#[derive(Debug, Args)]
#[command(after_help = READ_EXAMPLES)]
pub(super) struct Read {
    /// The skill's name; `securemcp skill list` lists them
    name: String,
    /// The URI of one of its files [default: its SKILL.md]
    file: Option<String>,
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
                .in_session(&options.access, None, async |session| read(session, options, surroundings).await)
                .await
        }
    }
}

async fn list(session: &Session, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let skills = session.list_skills().await?;
    let printer = surroundings.printer;
    if printer.is_json() {
        printer.document(&json!({ "skills": skills }))?;
        return Ok(Exit::Done);
    }
    let row = |skill: &Skill| [skill.name(), &skill.frontmatter.description].map(|text| first_line(&json!(text)));
    let rows: Vec<_> = skills.iter().map(row).collect();
    if rows.is_empty() {
        printer.note("the server has no skills");
    } else {
        printer.text(&table(&rows))?;
    }
    Ok(Exit::Done)
}

async fn read(session: &Session, options: &Read, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let skills = session.list_skills().await?;
    let skill = find(&skills, &options.name)?;
    let printer = surroundings.printer;
    let file = options.file.as_deref().filter(|file| *file != skill.uri);
    let Some(file) = file else {
        let text = session.read_skill(skill).await?;
        if printer.is_json() {
            printer.document(&json!({"uri": skill.uri, "frontmatter": skill.frontmatter, "text": text}))?;
        } else {
            printer.exactly(&text)?;
        }
        return Ok(Exit::Done);
    };
    let bytes = session.read_skill_file(skill, file).await?;
    match String::from_utf8(bytes) {
        Ok(text) if printer.is_json() => printer.document(&json!({"uri": file, "text": text}))?,
        Ok(text) => printer.exactly(&text)?,
        Err(binary) => {
            let bytes = binary.into_bytes();
            if printer.is_json() || !printer.bytes(&bytes)? {
                let problem = format!("`{file}` is {} bytes and no text", bytes.len());
                let hint = "redirect stdout to a file, without `--output json`".to_owned();
                return Err(Failure::message(Exit::Failed, problem).hint(hint));
            }
        }
    }
    Ok(Exit::Done)
}

fn find<'s>(skills: &'s [Skill], wanted: &str) -> Result<&'s Skill, Failure> {
    skills.iter().find(|skill| skill.name() == wanted || skill.uri == wanted).ok_or_else(|| {
        let similar = nearest(wanted, skills.iter().map(Skill::name));
        let advice = similar.map(|similar| format!("did you mean `{similar}`? ")).unwrap_or_default();
        Failure::message(Exit::Usage, format!("the server has no skill `{wanted}`"))
            .hint(format!("{advice}`securemcp skill list` lists them"))
    })
}
