//! The command line: one file for each command, and the only layer that people meet.

mod answers;
mod arguments;
mod asking;
mod audit;
mod browser;
mod call;
mod complete;
mod completions;
mod config;
mod dcr;
mod deployment;
mod deployment_client;
mod env_file;
mod exit;
mod health;
mod hearing;
mod init;
mod inspect;
mod login;
mod memory;
#[cfg(test)]
mod pages;
mod print;
mod prompt;
mod prune;
mod resource;
mod sampling;
mod separate;
mod serve;
mod settings;
mod shape;
mod skill;
mod surroundings;
mod token;
mod tools;
mod usage;
mod waiting;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, sync::atomic::AtomicBool, time::Duration};

use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::{
    exit::{Exit, Failure, report},
    print::{Colour, Format, Printer},
    separate::{Flags, separate},
    surroundings::Surroundings,
    waiting::Turning,
};
use crate::config::Environment;

const EXAMPLES: &str = "Examples:
  securemcp serve                  run the server, with its own issuer
  securemcp call echo \"Hello!\"     call one of its tools
  TOKEN=$(securemcp token get)     get a token for something else to use";

/// OAuth 2.1 for the Model Context Protocol: serve tools, get tokens, call tools
#[derive(Debug, Parser)]
#[command(name = "securemcp", version, max_term_width = 120, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command understands, before or after its name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Globals {
    /// Read settings from this file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read environment variables from this file, beside the process's own
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// What stdout carries
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    /// Print results and errors only
    #[arg(short, long, global = true, overrides_with = "quiet")]
    quiet: bool,
    /// Log what happens to stderr; twice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    #[arg(
        long,
        help = "When to use colour [env: NO_COLOR]",
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t
    )]
    color: Colour,
    /// How long one request may take
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        value_parser = span,
        default_value = "30s",
        allow_negative_numbers = true
    )]
    timeout: Duration,
    /// How long a person may take to log in
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        value_parser = span,
        default_value = "5m",
        allow_negative_numbers = true
    )]
    login_timeout: Duration,
    /// Trust the certificates in this PEM file, beside the system's
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Options),
    Call(call::Options),
    Tools(tools::Options),
    #[command(subcommand, arg_required_else_help = false)]
    Resource(resource::Command),
    #[command(subcommand, arg_required_else_help = false)]
    Prompt(prompt::Command),
    #[command(subcommand, arg_required_else_help = false)]
    Skill(skill::Command),
    #[command(subcommand, arg_required_else_help = false)]
    Token(token::Command),
    Health(health::Options),
    #[command(subcommand, arg_required_else_help = false)]
    Dcr(dcr::Command),
    Init(init::Options),
    Completions(completions::Options),
    #[command(subcommand, arg_required_else_help = false)]
    Config(config::Command),
    #[command(subcommand, arg_required_else_help = false)]
    Audit(audit::Command),
}

/// Runs the command that this process was started with.
pub fn run() -> ExitCode {
    memory::keep_to_ourselves();
    let words = std::env::args_os().collect();
    let environment = Environment::of_process();
    match run_words(words, environment) {
        Ok(exit) => exit.into(),
        Err(Ended { failure, printer }) => report(&failure, printer),
    }
}

/// A failure, and the printer of the format that it is to be told in.
struct Ended {
    failure: Failure,
    printer: Printer,
}

fn run_words(words: Vec<OsString>, environment: Environment) -> Result<Exit, Ended> {
    let mut tree = command();
    if let [_, word, line] = words.as_slice()
        && word == complete::WORD
    {
        // It is no command for people, and so in no help, page or script.
        let printer = Printer::new(Format::Text, Colour::Never, true, &environment);
        let answer = complete::answer(&line.to_string_lossy(), &mut tree, &environment);
        return printer.exactly(&answer).map(|()| Exit::Done).map_err(|error| Ended { failure: error.into(), printer });
    }
    let mut own_flags = Flags::default();
    // Building the whole tree takes time that most commands need not spend.
    let words = if words.iter().any(|word| word == "call" || word == "tools") {
        tree.build();
        own_flags = tree.find_subcommand("call").map(Flags::of).unwrap_or_default();
        separate(words, &own_flags)
    } else {
        words
    };
    let early = usage::early_printer(&words, &environment);
    let parsed = tree.try_get_matches_from_mut(&words).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, settings::given(leaf(&matches))))
    });
    let (cli, flags) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage::end(&error, early).map_err(|failure| Ended { failure, printer: early }),
    };
    let globals = cli.globals;
    let printer = Printer::new(globals.output, globals.color, globals.quiet, &environment);
    let surroundings = Surroundings {
        printer,
        globals,
        flags,
        environment,
        own_flags,
        turning: Turning::default(),
        leaves: AtomicBool::new(false),
    };
    let ended = match cli.command {
        Command::Serve(options) => serve::run(&options, &surroundings),
        Command::Call(options) if options.wants_own_help() => {
            let help = tree.find_subcommand_mut("call").map(clap::Command::render_help).unwrap_or_default();
            printer.help(&help).map(|()| Exit::Done).map_err(Failure::from)
        }
        Command::Call(options) => surroundings.block_on(call::run(&options, &surroundings)),
        Command::Resource(command) => surroundings.block_on(resource::run(&command, &surroundings)),
        Command::Prompt(command) => surroundings.block_on(prompt::run(&command, &surroundings)),
        Command::Skill(command) => surroundings.block_on(skill::run(&command, &surroundings)),
        Command::Tools(options) => surroundings.block_on(tools::run(&options, &surroundings)),
        Command::Token(command) => surroundings.block_on(token::run(&command, &surroundings)),
        Command::Health(options) => surroundings.block_on(health::run(&options, &surroundings)),
        Command::Init(options) => init::run(&options, &surroundings),
        Command::Completions(options) => completions::run(&options, &mut command(), printer),
        Command::Dcr(command) => surroundings.block_on(dcr::run(&command, &surroundings)),
        Command::Config(command) => config::run(&command, &surroundings),
        Command::Audit(command) => audit::run(&command, &surroundings),
    };
    ended.map_err(|failure| Ended { failure, printer })
}

/// The whole tree of commands, with the flags that come from the table of settings.
fn command() -> clap::Command {
    let with_client = |command| settings::with_flags(command, settings::CLIENT);
    let codes = Exit::ALL.map(|exit| format!("\n  {:3}  {}", exit as u8, exit.meaning())).concat();
    settings::with_global_flags(Cli::command())
        .after_help(format!("{EXAMPLES}\n\nExit codes:{codes}"))
        .mut_subcommand("serve", |command| settings::with_flags(command, serve::SETTINGS))
        .mut_subcommand("init", |command| settings::with_flags(command, init::SETTINGS))
        .mut_subcommand("call", with_client)
        .mut_subcommand("tools", with_client)
        .mut_subcommand("resource", |resource| {
            resource.mut_subcommand("list", with_client).mut_subcommand("read", with_client)
        })
        .mut_subcommand("prompt", |prompt| {
            prompt.mut_subcommand("list", with_client).mut_subcommand("get", with_client)
        })
        .mut_subcommand("skill", |skill| skill.mut_subcommand("list", with_client).mut_subcommand("read", with_client))
        .mut_subcommand("token", |token| {
            token
                .mut_subcommand("get", with_client)
                .mut_subcommand("inspect", with_client)
                .mut_subcommand("revoke", with_client)
                .mut_subcommand("forget", with_client)
        })
        .mut_subcommand("dcr", |dcr| {
            let with_choice = |command| settings::with_flags(command, dcr::CHOICE);
            let with_admin = |command| settings::with_flags(command, dcr::ADMIN);
            dcr.mut_subcommand("register", |command| settings::with_flags(with_admin(command), dcr::SETTINGS))
                .mut_subcommand("show", with_choice)
                .mut_subcommand("update", with_choice)
                .mut_subcommand("delete", with_choice)
                .mut_subcommand("prune", with_admin)
        })
}

/// The matches of the innermost subcommand, which global flags reach too.
fn leaf(matches: &clap::ArgMatches) -> &clap::ArgMatches {
    matches.subcommand().map_or(matches, |(_, matches)| leaf(matches))
}

/// A span of time: `500ms`, `30s`, `5m`, `1h`; seconds if there is no unit.
fn span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_millis = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => 0,
    };
    let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_millis));
    // A day is more than any request takes, and far from where clocks overflow.
    millis
        .filter(|millis| (1..=24 * 60 * 60 * 1000).contains(millis))
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a time such as `500ms`, `30s` or `5m`, at most `24h`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verify_cli() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_of_the_settings_is_offered_somewhere() {
        fn flags(command: &clap::Command, found: &mut Vec<String>) {
            found.extend(command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))));
            command.get_subcommands().for_each(|command| flags(command, found));
        }
        let mut found = Vec::new();
        flags(&command(), &mut found);
        for flag in crate::config::keys().iter().filter_map(|key| key.flag) {
            assert!(found.iter().any(|name| name == flag), "{flag}");
        }
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command) {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let is_group = command.get_subcommands().next().is_some() && command.get_name() != "securemcp";
            assert!(is_group || examples.matches("securemcp ").count() >= 2, "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }

    #[test]
    fn no_flag_takes_a_secret() {
        fn check(command: &clap::Command) {
            for name in command.get_arguments().filter_map(clap::Arg::get_long) {
                let is_secret = name.contains("token") || name.contains("secret") || name.contains("password");
                assert!(!is_secret || name.ends_with("-file") || name.starts_with("show-"), "--{name}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }

    #[test]
    fn times_have_units_or_are_seconds() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("30", 30_000), ("5m", 300_000), ("24h", 86_400_000)] {
            assert_eq!(span(text), Ok(Duration::from_millis(millis)));
        }
        for text in ["", "s", "0", "0s", "-1s", "1.5s", "25h", "99999999999999999999h", "30 s", "1d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
