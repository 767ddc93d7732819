//! Tells our own flags from a tool's: after `call TOOL` both may come in any order.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
};

/// The flags that `call` understands itself, its own and the global ones.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Without dashes, and whether a value follows.
    long: BTreeMap<String, bool>,
    short: BTreeSet<char>,
}

impl Flags {
    /// Reads them off the command; it must have been built, so that global flags are in it.
    pub(super) fn of(command: &clap::Command) -> Self {
        let mut flags = Self::default();
        for argument in command.get_arguments() {
            let takes_value = argument.get_action().takes_values();
            for name in argument.get_long().into_iter().chain(argument.get_all_aliases().into_iter().flatten()) {
                flags.long.insert(name.to_owned(), takes_value);
            }
            flags.short.extend(argument.get_short());
        }
        flags
    }

    /// Whether `--name` is ours.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.long.contains_key(name)
    }

    /// How many words this flag takes, itself included; `None` if it is not ours.
    pub(super) fn words(&self, word: &str) -> Option<usize> {
        if let Some(long) = word.strip_prefix("--") {
            let (name, has_value) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
            let takes_value = *self.long.get(name)?;
            return Some(if takes_value && !has_value { 2 } else { 1 });
        }
        let letters = word.strip_prefix('-').filter(|letters| !letters.is_empty())?;
        letters.chars().all(|letter| self.short.contains(&letter)).then_some(1)
    }
}

/// Rewrites `[globals] call [ours] TOOL [mixed]` as `[globals] call [ours] TOOL -- [the tool's]`; anything else stays.
///
/// A word that is one of our flags is ours wherever it stands, up to a `--`; a tool's argument of that name is given by
/// `--arg`, a value of that look by `--flag=value`.
pub(super) fn separate(words: Vec<OsString>, flags: &Flags) -> Vec<OsString> {
    let Some(after_call) = call_position(&words, flags).map(|position| position + 1) else {
        return words;
    };
    let mut words = words.into_iter();
    let mut ours: Vec<_> = words.by_ref().take(after_call).collect();
    let (mut tool, mut theirs) = (None, Vec::new());
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        if let Some(count) = flags.words(text) {
            ours.push(word);
            let value = words.as_slice().first().filter(|_| count > 1);
            if count > 1 && value.is_none_or(is_flag) {
                // The end, for clap to see that there is no value, whatever else was typed.
                return ours;
            }
            ours.extend(words.by_ref().take(count - 1));
        } else if tool.is_none() && text == "--" {
            tool = words.next();
            theirs.push(word);
            theirs.extend(words.by_ref());
        } else if tool.is_some() {
            let ends_flags = text == "--";
            theirs.push(word);
            if ends_flags {
                theirs.extend(words.by_ref());
            }
        } else if text.starts_with('-') {
            // Nobody's flag: clap has the words for that.
            ours.push(word);
        } else {
            tool = Some(word);
        }
    }
    ours.extend(tool);
    if !theirs.is_empty() {
        ours.push("--".into());
        ours.extend(theirs);
    }
    ours
}

/// Whether a word cannot be the value of a flag: it looks like one itself, and is neither `-` nor a number.
fn is_flag(word: &OsString) -> bool {
    let text = word.to_str().unwrap_or_default();
    text.len() > 1 && text.starts_with('-') && text.parse::<f64>().is_err()
}

/// Where the subcommand is, if it is `call`. The first word is the program.
fn call_position(words: &[OsString], flags: &Flags) -> Option<usize> {
    let mut position = 1;
    loop {
        let word = words.get(position)?.to_str()?;
        match flags.words(word) {
            Some(count) => position += count,
            None => return (word == "call").then_some(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> Flags {
        let long = [("output", true), ("server", true), ("json", true), ("quiet", false), ("help", false)];
        Flags {
            long: long.into_iter().map(|(name, takes_value)| (name.to_owned(), takes_value)).collect(),
            short: ['q', 'v', 'h'].into(),
        }
    }

    fn separated(line: &str) -> String {
        let words = line.split(' ').map(OsString::from).collect();
        separate(words, &flags()).join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn our_flags_are_found_among_the_tools() {
        for (typed, clear) in [
            ("s call echo hi", "s call echo -- hi"),
            ("s call echo", "s call echo"),
            ("s call echo hi --output json", "s call --output json echo -- hi"),
            ("s call echo --output=json --message hi", "s call --output=json echo -- --message hi"),
            ("s -q --server u call --quiet echo -v -3", "s -q --server u call --quiet -v echo -- -3"),
            ("s call echo -vvq --help x", "s call -vvq --help echo -- x"),
            ("s call x --json -", "s call --json - x"),
            ("s call echo -", "s call echo -- -"),
        ] {
            assert_eq!(separated(typed), clear);
        }
    }

    #[test]
    fn two_dashes_end_our_flags() {
        assert_eq!(separated("s call echo -q -- --output json"), "s call -q echo -- -- --output json");
        assert_eq!(separated("s call -- echo --quiet"), "s call echo -- -- --quiet");
        assert_eq!(separated("s call echo --message=--quiet"), "s call echo -- --message=--quiet");
    }

    #[test]
    fn a_flag_without_its_value_is_the_last_thing_that_clap_sees() {
        for (typed, clear) in [
            ("s call echo hi --server", "s call --server"),
            ("s call echo --server --message hi", "s call --server"),
            ("s call echo --server -q", "s call --server"),
            ("s call echo --server -1", "s call --server -1 echo"),
            ("s call echo --server=", "s call --server= echo"),
        ] {
            assert_eq!(separated(typed), clear);
        }
    }

    #[test]
    fn other_commands_are_left_alone() {
        for line in [
            "s",
            "s tools --output json",
            "s --server call tools",
            "s token get call",
            "s -- call x y",
            "s --nope call x y",
        ] {
            assert_eq!(separated(line), line);
        }
    }

    #[test]
    fn an_unknown_flag_before_the_tool_is_left_to_clap() {
        assert_eq!(separated("s call --nope echo hi"), "s call --nope echo -- hi");
    }
}
