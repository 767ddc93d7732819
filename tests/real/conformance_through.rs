//! The official conformance suite on a server that the product guards: the example, which then asks nobody for a token.
//!
//! The gateway speaks 2026-07-28 to it, where no event stream is taken up again. So one check of 2025-11-25 is none here
//! (`server-sse-disconnect-resume` is `INFO`): that a server ends a stream before the answer, which it need not do.

use crate::{
    conformance::{OF_HINTS, Subject},
    harness::{Account, status_of},
};

/// Everything that a guarded server may ask.
const ALLOWED: &str = "[upstream]\nallow_requests = [\"sampling\", \"elicitation\", \"roots\"]\n";

#[test]
fn everything_of_2025_11_25_by_http() {
    by_http(|subject| subject.passes_2025_11_25(83));
}

#[test]
fn everything_of_2026_07_28_by_http() {
    by_http(|subject| drop(subject.passes_2026_07_28(49, 196)));
}

#[test]
fn everything_of_2025_11_25_by_stdio() {
    by_stdio(|subject| subject.passes_2025_11_25(83));
}

#[test]
fn everything_of_2026_07_28_by_stdio() {
    by_stdio(|subject| drop(subject.passes_2026_07_28(49, 196)));
}

#[test]
fn skills_by_http() {
    by_http(|subject| {
        subject.passes_skills("2025-11-25", 43, &OF_HINTS);
        subject.passes_skills("2026-07-28", 45, &[]);
    });
}

#[test]
fn skills_by_stdio() {
    by_stdio(|subject| {
        subject.passes_skills("2025-11-25", 43, &OF_HINTS);
        subject.passes_skills("2026-07-28", 45, &[]);
    });
}

fn by_http(run: impl FnOnce(&Subject<'_>)) {
    let account = Account::new();
    let (url, _example) = account.open_example();
    through(&account, &["--upstream", &url], run);
}

fn by_stdio(run: impl FnOnce(&Subject<'_>)) {
    let account = Account::new();
    through(&account, &["--upstream-command", &format!("'{}' stdio", Account::example())], run);
}

fn through(account: &Account, flags: &[&str], run: impl FnOnce(&Subject<'_>)) {
    account.configure(ALLOWED);
    let server = account.serve_with(flags);
    assert_eq!(status_of(server.port, "/mcp"), Some(401), "authentication is on");
    let token = account.token_for(&server.url(), "mcp:read mcp:write");
    run(&Subject { url: &server.url(), token: &token, ca: None });
}
