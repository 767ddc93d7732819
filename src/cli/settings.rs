//! Flags of settings, made from the table of keys, so that help, names and variables cannot differ from the configuration.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{self, Fallback, Flag, Key};

/// A key's path, and what its value is called in the help.
pub(super) type Setting = (&'static str, &'static str);

/// Settings that every command has a flag for.
pub(super) const EVERYWHERE: &[Setting] =
    &[("client.server", "URL"), ("issuer.url", "URL"), ("issuer.backchannel_url", "URL"), ("state_dir", "DIR")];

/// Settings of commands that get tokens.
pub(super) const CLIENT: &[Setting] = &[
    ("client.id", "ID"),
    ("client.secret", "FILE"),
    ("client.private_key", "FILE"),
    ("client.private_key_id", "ID"),
    ("client.metadata_url", "URL"),
    ("client.assertion", "FILE"),
    ("client.workload_identity", "PROVIDER"),
    ("client.id_token", "FILE"),
    ("client.identity_provider", "URL"),
    ("client.identity_provider_client_id", "ID"),
    ("client.identity_provider_client_secret", "FILE"),
    ("client.dpop", ""),
];

/// Adds a flag for each of these settings.
pub(super) fn with_flags(command: Command, settings: &[Setting]) -> Command {
    command.args(settings.iter().filter_map(|(path, value)| argument(key(path)?, value)))
}

/// Adds the flags that every command has.
pub(super) fn with_global_flags(command: Command) -> Command {
    let arguments = EVERYWHERE.iter().filter_map(|(path, value)| argument(key(path)?, value));
    command.args(arguments.map(|argument| argument.global(true).help_heading("Global options")))
}

/// What was given, for the configuration to judge.
pub(super) fn given(matches: &ArgMatches) -> Vec<Flag> {
    let mut flags = Vec::new();
    for key in config::keys() {
        let Some(name) = key.flag else { continue };
        // A flag that this command does not have is as good as one not given.
        if let Ok(Some(values)) = matches.try_get_many::<String>(key.path) {
            flags.extend(values.map(|value| Flag { key: key.path, value: value.clone(), name }));
        } else if is_switch(key) && matches.try_get_one::<bool>(key.path).ok().flatten() == Some(&true) {
            flags.push(Flag { key: key.path, value: "true".to_owned(), name });
        }
    }
    flags
}

fn key(path: &str) -> Option<&'static Key> {
    config::keys().iter().find(|key| key.path == path)
}

fn argument(key: &'static Key, value: &'static str) -> Option<Arg> {
    let argument = Arg::new(key.path).long(key.flag?.strip_prefix("--")?).help(help(key));
    Some(match (is_switch(key), key.doc.starts_with("list:")) {
        (true, _) => argument.action(ArgAction::SetTrue),
        (_, true) => argument.value_name(value).action(ArgAction::Append),
        _ => argument.value_name(value),
    })
}

fn is_switch(key: &Key) -> bool {
    matches!(key.default, Fallback::Value("false"))
}

fn help(key: &Key) -> String {
    let (doc, repeated) = key.doc.strip_prefix("list: ").map_or((key.doc, ""), |doc| (doc, "; repeatable"));
    let file = if key.flag_names_file() { "a file with " } else { "" };
    let mut help = format!("{file}{doc}{repeated}");
    if let Some(first) = help.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if let Some(variable) = key.variable {
        let _ = write!(help, " [env: {variable}]");
    }
    let default = key.default.text();
    if !is_switch(key) && default != "none" {
        let _ = write!(help, " [default: {}]", default.strip_prefix("none: ").unwrap_or(default));
    }
    help
}
