//! `securemcp init`: write a configuration and an env file, asking on a terminal, or by flags.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use dialoguer::{Input, console::Term, theme::SimpleTheme};
use serde_json::json;

use super::{
    deployment,
    exit::{Exit, Failure},
    settings::Setting,
    surroundings::Surroundings,
};
use crate::{
    config::{self, Config, Environment, Flag, Inputs, Invalid, Key, Purpose, keys},
    secret::Secret,
    store::OwnFile,
};

/// Settings that have a flag here: those of a server that are not the same everywhere.
pub(super) const SETTINGS: &[Setting] = &[
    ("server.listen", "ADDRESS"),
    ("server.resource", "URL"),
    ("server.tls_cert", "FILE"),
    ("server.tls_key", "FILE"),
    ("server.tls_self_signed", ""),
    ("server.trusted_proxies", "NETWORK"),
    ("audit.file", "FILE"),
    ("log.level", "LEVEL"),
    ("log.format", "FORMAT"),
];

const EXAMPLES: &str =
    "On a terminal it asks for what no flag says. Elsewhere, with CI set or with `--yes`, it asks nothing.

Examples:
  securemcp init
  securemcp init --yes --directory /etc/securemcp --listen 0.0.0.0:8000 \\
      --issuer https://kc.example/realms/mcp --resource https://mcp.example/mcp --trusted-proxy 10.0.0.0/8
  securemcp init --compose --directory compose \\
      --issuer https://auth.example/realms/mcp-realm --resource https://mcp.example/mcp";

/// Write securemcp.toml and an env file with secrets
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Where to write them
    #[arg(long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Ask nothing: take flags and defaults
    #[arg(short, long)]
    yes: bool,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    /// Write what the deployment in compose/ needs instead: .env, and secrets with a certificate in secrets/
    #[arg(long)]
    compose: bool,
}

/// A file to write, and what was there before.
pub(super) struct Planned {
    file: OwnFile,
    text: String,
    before: Option<String>,
}

impl Planned {
    /// At this path.
    pub(super) fn at(path: &Path, text: String, before: Option<String>) -> Result<Self, Failure> {
        Ok(Self { file: OwnFile::at(path)?, text, before })
    }
}

/// Asks, checks as `serve --check` does, writes all or nothing, and says how to go on.
pub(super) fn run(options: &Options, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let printer = surroundings.printer;
    if options.compose {
        let check = |environment: &Environment, flags| Ok(check(environment, flags, None)?);
        return deployment::run(&options.directory, options.force, &surroundings.flags, surroundings, check);
    }
    let paths = ["securemcp.toml", ".env"].map(|name| options.directory.join(name));
    let before = paths.iter().map(|path| Ok(OwnFile::at(path)?.read()?)).collect::<Result<Vec<_>, Failure>>()?;
    there_already(&paths, &before, options.force)?;
    let mut flags = surroundings.flags.clone();
    let asks = printer.asks() && io::stdin().is_terminal() && !surroundings.environment.is_ci() && !options.yes;
    if asks {
        ask(&surroundings.environment, &mut flags)?;
    }
    // First as flags: a problem then names what the person wrote.
    let config = check(&surroundings.environment, flags.clone(), None)?;
    let texts = [toml(&flags), env(&config, &flags)];
    let planned = paths.iter().zip(texts).zip(before).map(|((path, text), before)| Planned::at(path, text, before));
    write(&surroundings.environment, &planned.collect::<Result<Vec<_>, _>>()?)?;
    let next = next(&options.directory);
    if printer.is_json() {
        printer.document(&json!({"files": paths, "next": next}))?;
    } else {
        for path in &paths {
            printer.note(&format!("wrote `{}`", path.display()));
        }
        printer.note(&format!("next  {next}"));
    }
    Ok(Exit::Done)
}

/// Refuses to replace what is there, unless that was asked for.
pub(super) fn there_already(paths: &[PathBuf], before: &[Option<String>], force: bool) -> Result<(), Failure> {
    let there: Vec<_> = paths.iter().zip(before).filter(|(_, before)| before.is_some()).collect();
    if there.is_empty() || force {
        return Ok(());
    }
    let names: Vec<_> = there.iter().map(|(path, _)| format!("`{}`", path.display())).collect();
    let (are, them) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
    let problem = format!("{} {are} there already", names.join(" and "));
    let hint = format!("keep {them}, write elsewhere with `--directory`, or replace {them} with `--force`");
    Err(Failure::message(Exit::Failed, problem).hint(hint))
}

/// Asks for what no flag said. An empty answer takes the default.
fn ask(environment: &Environment, flags: &mut Vec<Flag>) -> Result<(), Failure> {
    let has = |flags: &[Flag], path: &str| flags.iter().any(|flag| flag.key == path);
    let questions = [
        ("server.listen", "Where should the server listen?", "127.0.0.1:8000"),
        ("issuer.url", "Which issuer does it trust? (a URL; empty: it issues tokens itself)", ""),
        ("server.resource", "By which URL do clients call it? (empty: where it listens)", ""),
        ("server.trusted_proxies", "Which network is the TLS proxy in? (empty: there is none)", ""),
    ];
    for (path, question, default) in questions {
        let Some(key) = keys().iter().find(|key| key.path == path) else { continue };
        // On loopback the server knows its own name, and needs no proxy.
        let is_about_others = matches!(path, "server.resource" | "server.trusted_proxies");
        if has(flags, path) || (is_about_others && check(environment, flags.clone(), None).is_ok()) {
            continue;
        }
        let given = flags.clone();
        let answer: String = Input::with_theme(&SimpleTheme)
            .with_prompt(question)
            .default(default.to_owned())
            .show_default(!default.is_empty())
            .allow_empty(true)
            .validate_with(|answer: &String| judge(environment, &given, key, answer))
            .interact_text_on(&Term::stderr())
            .context("nobody answers")?;
        flags.extend(flag(key, answer.trim()));
    }
    Ok(())
}

fn flag(key: &'static Key, value: &str) -> Option<Flag> {
    let name = key.flag?;
    (!value.is_empty()).then(|| Flag { key: key.path, value: value.to_owned(), name })
}

/// What is wrong with this very answer.
fn judge(environment: &Environment, given: &[Flag], key: &'static Key, answer: &str) -> Result<(), String> {
    let Some(flag) = flag(key, answer.trim()) else { return Ok(()) };
    let name = flag.name;
    // What it may lack beside it is asked for later.
    let later = [
        ("server.resource", "https://mcp.example/mcp"),
        ("server.trusted_proxies", "192.0.2.1/32"),
        ("issuer.url", "https://issuer.example"),
    ];
    let mut flags = [given, &[flag]].concat();
    for (path, value) in later {
        if !flags.iter().any(|flag| flag.key == path) {
            flags.extend(keys().iter().find(|key| key.path == path).and_then(|key| self::flag(key, value)));
        }
    }
    let Err(invalid) = check(environment, flags, None) else { return Ok(()) };
    let mut problems = invalid.problems().iter().map(ToString::to_string);
    // What the value itself has wrong begins with its flag.
    problems.find(|problem| problem.trim_start_matches('`').starts_with(name)).map_or(Ok(()), Err)
}

/// Checks settings as `serve --check` does: these flags, or these files. Nothing of this process's environment counts.
fn check(environment: &Environment, flags: Vec<Flag>, files: Option<(&Path, &Path)>) -> Result<Config, Invalid> {
    let (config_file, env_file) = files.unzip();
    let inputs = Inputs {
        config_file: Some(config_file.unwrap_or(Path::new("/dev/null")).to_owned()),
        env_file: env_file.map(Path::to_owned),
        flags,
        environment: environment.bare(),
    };
    config::load(Purpose::Serve, &inputs)
}

/// securemcp.toml: what was said, section by section.
fn toml(flags: &[Flag]) -> String {
    let mut text =
        "# Settings of securemcp, as `securemcp init` wrote them; securemcp.toml(5) describes every key.\n".to_owned();
    let mut section = "";
    for key in keys().iter().filter(|key| !key.secret && key.path != "client.server") {
        let values: Vec<_> = flags.iter().filter(|flag| flag.key == key.path).map(|flag| flag.value.as_str()).collect();
        let Some(first) = values.first() else { continue };
        let (of, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if of != section {
            let _ = writeln!(text, "\n[{of}]");
            section = of;
        }
        // A JSON string is a TOML string, but for a few characters that no setting has; what is written is read again.
        let value = match (key.doc.starts_with("list:"), key.default.text()) {
            (true, _) => json!(values).to_string(),
            (_, "false") => (*first).to_owned(),
            _ => json!(first).to_string(),
        };
        let _ = writeln!(text, "{name} = {value}");
    }
    text
}

/// The env file: where the server is, for commands, and secrets.
fn env(config: &Config, flags: &[Flag]) -> String {
    let given = |path: &str| flags.iter().find(|flag| flag.key == path).map(|flag| flag.value.clone());
    let server = given("client.server").or_else(|| given("server.resource"));
    let scheme = if flags.iter().any(|flag| flag.key.starts_with("server.tls_")) { "https" } else { "http" };
    let server = server.unwrap_or_else(|| format!("{scheme}://{}/mcp", config.server.listen));
    let mut text = "# Read only by `--env-file`. Keep it to yourself.\n".to_owned();
    let known = |path: &str| keys().iter().find(|key| key.path == path)?.variable;
    let lines = known("client.server").map(|name| (name, server)).into_iter();
    // Lines of a file of their own vouch for each other.
    let key = known("audit.key").filter(|_| given("audit.file").is_some());
    let key = key.map(|name| (name, Secret::random().expose().to_owned()));
    for (name, value) in lines.chain(key) {
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

/// Writes all of the files, or none: what is written is read and checked before it takes its place.
fn write(environment: &Environment, planned: &[Planned]) -> Result<(), Failure> {
    let drafts: Vec<_> = planned.iter().map(|planned| planned.file.draft()).collect::<Result<_, _>>()?;
    let checked = planned.iter().zip(&drafts).try_for_each(|(planned, draft)| draft.write(&planned.text));
    let checked = checked.map_err(Failure::from).and_then(|()| {
        let paths = drafts.iter().map(OwnFile::path).collect::<Vec<_>>();
        let files = paths.first().zip(paths.last()).map(|(config, env)| (config.as_path(), env.as_path()));
        Ok(check(environment, Vec::new(), files).map(drop)?)
    });
    for draft in &drafts {
        draft.remove()?;
    }
    checked?;
    place(planned)
}

/// Writes all of the files, or none.
pub(super) fn place(planned: &[Planned]) -> Result<(), Failure> {
    for (index, Planned { file, text, before }) in planned.iter().enumerate() {
        let written = match before {
            Some(_) => file.write(text).map(|()| true),
            None => file.create(text),
        };
        let problem = match written {
            Ok(true) => continue,
            Ok(false) => Failure::message(Exit::Failed, format!("`{}` has just been made", file.path().display())),
            Err(error) => error.into(),
        };
        for Planned { file, before, .. } in &planned[..index] {
            match before {
                Some(before) => file.write(before)?,
                None => file.remove()?,
            }
        }
        return Err(problem);
    }
    Ok(())
}

/// The command that starts the server with these files.
fn next(directory: &Path) -> String {
    if directory == Path::new(".") {
        return "securemcp serve --env-file .env".to_owned();
    }
    let at = |name: &str| directory.join(name).display().to_string();
    format!("securemcp serve --config {} --env-file {}", at("securemcp.toml"), at(".env"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(given: &[(&str, &str)]) -> Vec<Flag> {
        let of =
            |(path, value): &(&str, &str)| flag(keys().iter().find(|key| key.path == *path).unwrap(), value).unwrap();
        given.iter().map(of).collect()
    }

    #[test]
    fn what_was_said_is_written_in_its_section_once() {
        let text = toml(&flags(&[
            ("server.trusted_proxies", "10.0.0.0/8"),
            ("issuer.url", "https://a.example/\"x"),
            ("server.listen", "0.0.0.0:1"),
            ("state_dir", "/s"),
            ("server.trusted_proxies", "::1/128"),
            ("client.server", "https://other.example/mcp"),
        ]));
        let expected = "state_dir = \"/s\"\n\n[server]\nlisten = \"0.0.0.0:1\"\n\
                        trusted_proxies = [\"10.0.0.0/8\",\"::1/128\"]\n\n[issuer]\n\
                        url = \"https://a.example/\\\"x\"\n";
        assert_eq!(text.split_once('\n').unwrap().1, expected);
    }

    #[test]
    fn an_answer_is_judged_by_the_configurations_own_rules() {
        let key = |path: &str| keys().iter().find(|key| key.path == path).unwrap();
        assert!(
            judge(&Environment::default(), &[], key("server.listen"), "nonsense").unwrap_err().contains("nonsense")
        );
        assert_eq!(
            judge(&Environment::default(), &[], key("server.listen"), "0.0.0.0:8000"),
            Ok(()),
            "what it lacks is asked for later"
        );
        assert!(judge(&Environment::default(), &[], key("issuer.url"), "kc.example").is_err());
        assert_eq!(judge(&Environment::default(), &[], key("issuer.url"), ""), Ok(()));
    }
}
