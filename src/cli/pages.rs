//! The generated files that are checked in: `completions/` and `man/`, each compared with what it is made from.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::ValueEnum as _;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{command, completions::Shell, exit::Exit};
use crate::config::{Fallback, Key, keys};

const STALE: &str = "is stale; write it with: UPDATE=1 cargo test --lib cli::pages";

/// Compares the files of a directory, or writes them.
#[track_caller]
fn compare(directory: &str, expected: &BTreeMap<String, String>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let names = |directory: &Path| -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&directory).unwrap();
        for name in names(&directory) {
            fs::remove_file(directory.join(name)).unwrap();
        }
        for (name, text) in expected {
            fs::write(directory.join(name), text).unwrap();
        }
    }
    for (name, text) in expected {
        let path: PathBuf = directory.join(name);
        assert!(fs::read_to_string(&path).unwrap_or_default() == *text, "{} {STALE}", path.display());
    }
    assert_eq!(names(&directory), expected.keys().cloned().collect::<Vec<_>>(), "a file is there too much");
}

#[test]
fn completions_are_those_of_the_commands() {
    let script = |shell: &Shell| {
        let name = match shell {
            Shell::Bash => "securemcp.bash",
            Shell::Zsh => "_securemcp",
            Shell::Fish => "securemcp.fish",
        };
        (name.to_owned(), shell.script(&mut command()))
    };
    compare("completions", &Shell::value_variants().iter().map(script).collect());
}

#[test]
fn man_pages_are_those_of_the_commands_and_keys() {
    let mut tree = command().disable_help_subcommand(true);
    tree.build();
    let mut pages = BTreeMap::new();
    add(&tree, &mut pages);
    pages.insert("securemcp.toml.5".to_owned(), of_the_file());
    assert!(pages.len() > 15, "every command has one");
    compare("man", &pages);
}

fn add(command: &clap::Command, pages: &mut BTreeMap<String, String>) {
    let man = Man::new(command.clone()).date("").manual("securemcp");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut page).unwrap();
    }
    let mut rest = Roff::new();
    if let Some(text) = command.get_after_help().map(ToString::to_string) {
        let (notes, examples) = text.split_once("Examples:\n").unwrap_or((&text, ""));
        let (examples, _) = examples.split_once("\n\n").unwrap_or((examples, ""));
        if !notes.trim().is_empty() {
            rest.control("SH", ["NOTES"]).text([roman(notes.trim())]);
        }
        rest.control("SH", ["EXAMPLES"]).control("nf", []).text([roman(examples)]).control("fi", []);
    }
    rest.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        rest.control("TP", []).text([bold((exit as u8).to_string())]).text([roman(exit.meaning())]);
    }
    let see = ["securemcp(1)", "securemcp.toml(5)"];
    rest.control("SH", ["SEE ALSO"]).text([roman(see.join(", "))]);
    rest.to_writer(&mut page).unwrap();
    pages.insert(man.get_filename(), String::from_utf8(page).unwrap());
    command.get_subcommands().for_each(|command| add(command, pages));
}

/// securemcp.toml(5), from the table of keys.
fn of_the_file() -> String {
    let mut page = Roff::new();
    page.control("TH", ["securemcp.toml", "5", "", &format!("securemcp {}", env!("CARGO_PKG_VERSION")), "securemcp"]);
    page.control("SH", ["NAME"]).text([roman("securemcp.toml - the settings of securemcp")]);
    page.control("SH", ["DESCRIPTION"]).text([roman(
        "A TOML file with the sections and keys below: `section.key` is `key` under `[section]`. `securemcp \
         serve` reads the file of --config, else ./securemcp.toml, else securemcp/securemcp.toml in the XDG \
         configuration directory. Every other command reads the file of --config, else the one in the XDG \
         configuration directory, and never one in the working directory. Environment variables beat the \
         file, flags beat both. An unknown key is an error. A file that group or others may write is refused.",
    )]);
    page.control("SH", ["KEYS"]);
    for key in keys() {
        page.control("TP", []).text([bold(key.path)]).text([roman(about(key))]);
    }
    page.control("SH", ["EXAMPLES"]).control("nf", []);
    page.text([roman("[server]\nlisten = \"127.0.0.1:8000\"\n\n[log]\nlevel = \"info\"")]).control("fi", []);
    page.control("SH", ["SEE ALSO"]).text([roman("securemcp(1), securemcp-serve(1), securemcp-init(1)")]);
    page.render()
}

fn about(key: &Key) -> String {
    let default = match key.default {
        Fallback::Value(value) => format!(" Default: {value}."),
        Fallback::Unset("none") => String::new(),
        Fallback::Unset(words) => format!(" Default: {words}."),
    };
    let variables: Vec<_> = key.variable.map(str::to_owned).into_iter().chain(key.file_variable()).collect();
    let variables = if variables.is_empty() { String::new() } else { format!(" Variable: {}.", variables.join(", ")) };
    let flag = key.flag.map(|flag| format!(" Flag: {flag}.")).unwrap_or_default();
    let clients = if key.for_clients { " Read by every command." } else { " Read by serve." };
    let mut doc = key.doc.to_owned();
    if let Some(first) = doc.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{doc}.{default}{variables}{flag}{clients}")
}
