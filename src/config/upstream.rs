//! The MCP server that is guarded.

use std::collections::BTreeMap;

use super::{
    Environment, MayAsk, Upstream, UpstreamTarget,
    problem::quoted,
    raw::Written,
    reader::Reader,
    values::{self, Refusal, refused},
};
use crate::{
    oauth::{Scopes, is_https_or_loopback},
    secret::Secret,
};

/// What a child process may know of our environment: where programs and files are, and which language is spoken. Nothing of
/// ours, and no secret that somebody gave to this process.
const PASSED_ON: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// Keys that mean nothing without a server to guard.
const ABOUT_UPSTREAM: &[&str] = &["upstream.token", "upstream.scopes", "upstream.allow_requests"];

pub(super) fn read(reader: &mut Reader<'_>, environment: &Environment) -> Option<Upstream> {
    let url = reader.fetched_from("upstream.url");
    let argv = reader.optional("upstream.command", words);
    let token = reader.optional("upstream.token", |text| values::bearer_token(text).map(Secret::new));
    let scopes = scopes(reader);
    let show_locked = reader.required("upstream.show_locked", values::switch);
    let allowed = reader.list("upstream.allow_requests", allowed).unwrap_or_default();
    let may_ask = allowed.into_iter().fold(MayAsk::default(), |all, allow| allow(all));
    let timeout = reader.required("upstream.timeout", values::duration_from_1s);
    check_together(reader);
    if let Some(url) = url.as_ref().filter(|url| token.is_some() && !is_https_or_loopback(url)) {
        let message = format!("`upstream.url` is {}, over which `upstream.token` could be read", quoted(url.as_str()));
        reader.report.problem_with_hint(message, "reach the guarded server by https, or on this machine");
    }
    let target = match (url, argv) {
        (Some(url), _) => UpstreamTarget::Http { url, token },
        (None, Some(argv)) => {
            let environment =
                PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), environment.get(name)?.to_owned())));
            UpstreamTarget::Command { argv, environment: environment.collect() }
        }
        (None, None) => return None,
    };
    Some(Upstream { target, scopes, show_locked, may_ask, timeout })
}

fn check_together(reader: &mut Reader<'_>) {
    let (url, command) = (reader.values.get("upstream.url"), reader.values.get("upstream.command"));
    match (url, command) {
        (Some(url), Some(command)) => {
            let message =
                format!("{}: `upstream.url` is set, and {}: `upstream.command` is too", url.origin, command.origin);
            reader.report.problem_with_hint(message, "guard one server; run a second `securemcp serve` for another");
        }
        (None, None) => {
            for path in ABOUT_UPSTREAM {
                if let Some(value) = reader.values.get(path) {
                    let message = format!("{}: `{path}` is set without a server to guard", value.origin);
                    reader.report.problem_with_hint(message, "name it with `--upstream` or `--upstream-command`");
                }
            }
        }
        (None, Some(_)) => {
            if let Some(value) = reader.values.get("upstream.token") {
                let message = format!(
                    "{}: `upstream.token` is set, but `upstream.command` is no URL to show it to",
                    value.origin
                );
                reader
                    .report
                    .problem_with_hint(message, "unset `upstream.token`; a child process is not asked for one");
            }
        }
        (Some(_), None) => {}
    }
}

/// A kind of request that can be allowed.
fn allowed(text: &str) -> Result<fn(MayAsk) -> MayAsk, Refusal> {
    match text {
        "sampling" => Ok(|all| MayAsk { sampling: true, ..all }),
        "elicitation" => Ok(|all| MayAsk { elicitation: true, ..all }),
        "roots" => Ok(|all| MayAsk { roots: true, ..all }),
        _ => Err(values::expected(text, "`sampling`, `elicitation` or `roots`")),
    }
}

/// Program and arguments as a shell would split them, without a shell: nothing is expanded.
fn words(text: &str) -> Result<Vec<String>, Refusal> {
    match shlex::split(text) {
        None => Err("has a quote that does not end, or a trailing backslash".to_owned()),
        Some(argv) if argv.first().is_none_or(String::is_empty) => Err("is empty, expected a command".to_owned()),
        Some(argv) if argv.iter().any(|word| word.contains('\0')) => Err("has a NUL in it".to_owned()),
        Some(argv) => Ok(argv),
    }
}

fn scopes(reader: &mut Reader<'_>) -> BTreeMap<String, Scopes> {
    let mut found = BTreeMap::new();
    let Some(section) = reader.values.get("upstream.scopes") else { return found };
    let Written::Section(entries) = &section.written else { return found };
    for (tool, value) in entries {
        let text = match &value.written {
            Written::Text(text) => text.clone(),
            Written::List(items) => items.join(" "),
            Written::Section(_) | Written::Broken => continue,
        };
        let parsed = Scopes::parse(&text).map_err(refused).and_then(|scopes| {
            if scopes.is_empty() { Err("is empty, expected at least one scope".to_owned()) } else { Ok(scopes) }
        });
        match parsed {
            Ok(scopes) => drop(found.insert(tool.clone(), scopes)),
            Err(refusal) => {
                let shown = quoted(&format!("upstream.scopes.{tool}"));
                reader.report.problem(format!("{}: {shown} {refusal}", value.origin));
            }
        }
    }
    found
}
