//! What the completion scripts ask at each Tab behind `call`: which tools there are, and which flags a tool takes.
//!
//! Asks no server, makes nothing and complains about nothing: a shell waits for the answer. The names were written by
//! servers, and some shells read what they complete: only names that no shell reads anything into are answered.

use super::{arguments::Signature, separate::Flags};
use crate::{
    client::ListedTool,
    config::{self, Environment, Flag, Inputs, Purpose},
};

/// The word that asks for it, in place of a command.
pub(super) const WORD: &str = "__complete";

/// Longest name that is answered: what MCP allows at most.
const MAX_NAME: usize = 128;

/// The words that may stand at the end of a line that begins with `securemcp`, one a line.
pub(super) fn answer(line: &str, tree: &mut clap::Command, environment: &Environment) -> String {
    tree.build();
    let ours = tree.find_subcommand("call").map(Flags::of).unwrap_or_default();
    let (words, current) = words(line);
    let candidates = Typed::read(&words, &ours).map(|typed| typed.candidates(&ours, environment)).unwrap_or_default();
    let fitting = candidates.into_iter().filter(|candidate| candidate.starts_with(&current));
    fitting.map(|candidate| candidate + "\n").collect()
}

/// What has been typed, as far as it matters for what comes next.
#[derive(Debug, Default, PartialEq)]
struct Typed<'w> {
    /// Our own flags that have a value.
    ours: Vec<(&'w str, &'w str)>,
    tool: Option<&'w str>,
    /// The tool's flags, without dashes.
    flags: Vec<&'w str>,
    /// The last of them, if nothing follows it yet.
    open: Option<&'w str>,
}

impl<'w> Typed<'w> {
    /// Reads the words before the one that is being typed; `None` if they are not those of `call`, or if the next word is
    /// the value of one of our flags or follows `--`.
    fn read(words: &'w [String], ours: &Flags) -> Option<Self> {
        let mut typed = Self::default();
        let mut is_call = false;
        // In front there may be variables for this one command.
        let mut words = words.iter().map(String::as_str).skip_while(|word| word.contains('=')).skip(1);
        while let Some(word) = words.next() {
            typed.open = None;
            if let Some(count) = ours.words(word) {
                let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
                let value = if count > 1 { Some(words.next()?) } else { value };
                typed.ours.extend(value.map(|value| (name, value)));
            } else if !is_call {
                is_call = word == "call";
                is_call.then_some(())?;
            } else if word == "--" {
                return None;
            } else if let Some(flag) = word.strip_prefix("--") {
                typed.open = Some(flag).filter(|flag| !flag.contains('='));
                typed.flags.push(flag.split('=').next().unwrap_or_default());
            } else if typed.tool.is_none() {
                typed.tool = Some(word);
            }
        }
        is_call.then_some(typed)
    }

    fn candidates(&self, ours: &Flags, environment: &Environment) -> Vec<String> {
        let tools = self.listed(environment).unwrap_or_default();
        let Some(tool) = self.tool else {
            return tools.into_iter().map(|tool| tool.name).filter(|name| is_plain(name)).collect();
        };
        let Some(tool) = tools.iter().find(|listed| listed.name == tool) else { return Vec::new() };
        let signature = Signature::of(&tool.name, &tool.input_schema, ours);
        if self.open.is_some_and(|flag| signature.takes_value(flag)) {
            return Vec::new();
        }
        signature.flags(&self.flags).into_iter().filter(|flag| is_plain(flag)).map(|flag| format!("--{flag}")).collect()
    }

    /// What the server that the line is for listed last.
    fn listed(&self, environment: &Environment) -> Option<Vec<ListedTool>> {
        let last = |wanted: &str| self.ours.iter().rfind(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let given = |name: &'static str| last(name).map(str::to_owned);
        let flags = config::keys().iter().filter_map(|key| {
            let name = key.flag?;
            Some(Flag { key: key.path, value: given(name)?, name })
        });
        let inputs = Inputs {
            config_file: last("--config").map(Into::into),
            env_file: last("--env-file").map(Into::into),
            flags: flags.collect(),
            environment: environment.clone(),
        };
        let config = config::load(Purpose::Client, &inputs).ok()?;
        Some(ListedTool::of(&config.state_dir, &config.client.server))
    }
}

/// Whether no shell reads anything into it, not even as the first word behind a flag.
fn is_plain(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= MAX_NAME
        && name.bytes().next().is_some_and(is_word)
        && name.bytes().all(|byte| is_word(byte) || matches!(byte, b'-' | b'.' | b'/'))
}

/// The words of a line as a shell would take them apart, without anything that it would put in; the last one is still
/// being typed.
fn words(line: &str) -> (Vec<String>, String) {
    let (mut words, mut current) = (Vec::new(), None::<String>);
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, character) if character.is_whitespace() => words.extend(current.take()),
            (None, '\'' | '"') => {
                quote = Some(character);
                current.get_or_insert_default();
            }
            (Some(open), character) if open == character => quote = None,
            (None | Some('"'), '\\') => current.get_or_insert_default().extend(characters.next()),
            (_, character) => current.get_or_insert_default().push(character),
        }
    }
    (words, current.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    fn flags() -> Flags {
        let mut tree = command();
        tree.build();
        tree.find_subcommand("call").map(Flags::of).unwrap()
    }

    #[test]
    fn lines_are_taken_apart_as_shells_do() {
        for (line, expected, last) in [
            ("s call ec", &["s", "call"][..], "ec"),
            ("s call ", &["s", "call"], ""),
            ("s  call\techo '", &["s", "call", "echo"], ""),
            (r#"s call "a b" 'c"d' e\ f "\"g"#, &["s", "call", "a b", "c\"d", "e f"], "\"g"),
            (r#"s '' "" x"#, &["s", "", ""], "x"),
            ("", &[], ""),
        ] {
            let (found, current) = words(line);
            assert_eq!((found.as_slice(), current.as_str()), (expected.map_to_owned().as_slice(), last), "{line}");
        }
    }

    trait MapToOwned {
        fn map_to_owned(&self) -> Vec<String>;
    }

    impl MapToOwned for [&str] {
        fn map_to_owned(&self) -> Vec<String> {
            self.iter().map(|word| (*word).to_owned()).collect()
        }
    }

    #[test]
    fn what_matters_of_a_line_is_found() {
        let flags = flags();
        let read = |line: &str| {
            let words = line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            Typed::read(&words, &flags).map(|typed| {
                let ours: Vec<_> = typed.ours.iter().map(|(name, value)| format!("{name} {value}")).collect();
                format!("{} | {} | {}", ours.join(" "), typed.tool.unwrap_or_default(), typed.flags.join(" "))
            })
        };
        for (line, expected) in [
            ("s call", Some(" |  | ")),
            ("A=b s call", Some(" |  | ")),
            (
                "s -q --server u call --output=json echo --message x -v",
                Some("--server u --output json | echo | message"),
            ),
            ("s call echo --message=x y --server u", Some("--server u | echo | message")),
            ("s call --server", None),
            ("s call echo --", None),
            ("s tools", None),
            ("s token get call", None),
            ("s", None),
        ] {
            assert_eq!(read(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_name_that_a_shell_could_read_is_none() {
        for good in ["echo", "a", "get_user", "admin.tools.list", "data-export/v2", "9", "_x", &"x".repeat(128)] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            "-rf",
            "--server",
            ".",
            "/etc/passwd",
            "a b",
            "a\nb",
            "a\tb",
            "$(id)",
            "`id`",
            "a'b",
            "a\"b",
            "a\\b",
            "a;b",
            "a|b",
            "a&b",
            "a>b",
            "a<b",
            "~root",
            "a*",
            "a?",
            "[a]",
            "{a,b}",
            "a=b",
            "a:b",
            "!1",
            "#a",
            "a%b",
            "\u{1b}[31m",
            "a\u{202e}b",
            "ünïcode",
            "a\0b",
            "a(b)",
            "^a",
            "@a",
            "+a",
            &"x".repeat(129),
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
