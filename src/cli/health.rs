//! `securemcp health`: check server, issuer and keys, and say what to do about each failure.

use std::time::Duration;

use chrono::DateTime;
use clap::{Args, ValueEnum};
use reqwest::{Method, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::{
    exit::{Exit, Failure},
    print::{Printer, Tone},
    span,
    surroundings::Surroundings,
};
use crate::{
    clock::SystemClock,
    config::ClientSettings,
    hint::Hint as _,
    jose::KeySet,
    net::{Document, Http, NetError},
    oauth::{Challenge, Issuer, Resource, ResourceMetadata, ServerMetadata},
    said,
    tls::Validity,
};

/// How far clocks may differ before it is said: tokens tolerate more, but not by much.
const MAX_SKEW_SECONDS: i64 = 10;

/// The first pause of `--wait`; each is half as long again as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A certificate that ends so soon should have been replaced, or when a tenth of its life is left if that is less.
const LATE_RENEWAL: Duration = Duration::from_hours(14 * 24);

/// The most harmless request there is: a server that wants a token answers it with 401.
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Of a server without resource metadata.
const OPEN: &str = "none: the server asks for no token";

const EXAMPLES: &str = "Ends with 5 if something fails; a warning is no failure.

Examples:
  securemcp health
  securemcp health --wait 60s && ./deploy-next-step
  securemcp health --server https://mcp.example/mcp --output json
  securemcp health --only ready --quiet";

/// Check the server, its issuer and keys; say what to do about each failure
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Check again until nothing fails, for this long
    #[arg(long, value_name = "TIME", value_parser = span, allow_negative_numbers = true)]
    wait: Option<Duration>,
    /// Ask the server for this alone, by whatever name it is reached: for health checks of containers
    #[arg(long, value_name = "STATE", value_enum)]
    only: Option<Only>,
}

/// What a server says about itself to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// It runs
    Live,
    /// It takes calls
    Ready,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    state: State,
    subject: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Fail,
}

/// Checks, and prints a line for each check.
pub(super) async fn run(options: &Options, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let config = surroundings.config()?;
    let http = surroundings.http(surroundings.globals.timeout)?;
    let checks = match options.wait {
        None => surroundings.waiting("checking", checks(&http, &config.client, options.only)).await,
        Some(wait) => {
            surroundings.waiting("waiting for the server", wait_for(&http, &config.client, options.only, wait)).await
        }
    };
    print(&checks, surroundings.printer)?;
    match checks.iter().filter(|check| check.state == State::Fail).count() {
        0 => Ok(Exit::Done),
        count => {
            let problem =
                format!("`{}` is not healthy: {count} of {} checks failed", config.client.server, checks.len());
            // The first failure is often the reason for the others.
            let hint = checks.iter().find(|check| check.state == State::Fail).and_then(|check| check.hint.clone());
            let hint = hint.filter(|_| surroundings.printer.is_json());
            Err(Failure::message(Exit::Unreachable, problem).hint(hint))
        }
    }
}

async fn wait_for(http: &Http, client: &ClientSettings, only: Option<Only>, wait: Duration) -> Vec<Check> {
    let deadline = Instant::now() + wait;
    let mut pause = FIRST_PAUSE;
    let silent = format!("no answer within {} s", wait.as_secs_f64());
    let mut last = vec![fail("server", silent, "give it longer with `--wait`, or see what it logs")];
    while let Ok(checks) = tokio::time::timeout_at(deadline, checks(http, client, only)).await {
        last = checks;
        let is_healthy = last.iter().all(|check| check.state != State::Fail);
        if is_healthy || Instant::now() + pause >= deadline {
            break;
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 3 / 2);
    }
    last
}

async fn checks(http: &Http, client: &ClientSettings, only: Option<Only>) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut dates = Vec::new();
    let is_there = check_server(http, &client.server, only, &mut checks, &mut dates).await;
    if only.is_some() {
        return checks;
    }
    let found = if is_there { check_resource(http, &client.server, &mut checks).await } else { None };
    if let Some(issuer) = choose_issuer(client, found, &mut checks) {
        check_issuer(http, client, &issuer, &mut checks, &mut dates).await;
    }
    checks.extend(dates.first().map(|_| clock_skew(&dates)));
    checks
}

/// Whether it is there at all.
async fn check_server(
    http: &Http,
    server: &Resource,
    only: Option<Only>,
    checks: &mut Vec<Check>,
    dates: &mut Vec<Skew>,
) -> bool {
    let (mut certificate, mut upstream, mut redis) = (None, None, None);
    let questions =
        [(Only::Live, "server live", "health/live", "healthy"), (Only::Ready, "server ready", "health/ready", "ready")];
    for (_, subject, path, word) in questions.into_iter().filter(|(state, ..)| only.is_none_or(|only| only == *state)) {
        // Beside the MCP endpoint, so that a prefix in front of both is kept.
        let Ok(url) = server.url().join(path) else { continue };
        match http.get(&url).await {
            Err(error) => {
                let start = "start it with `securemcp serve`, or name another with `--server`";
                let hint = if error.is_nobody() { Some(start.to_owned()) } else { error.hint() };
                checks.push(Check { hint, ..unreachable(subject, &error) });
                return false;
            }
            Ok(document) => {
                dates.extend(skew("the server", &document));
                certificate = document.certificate_validity();
                upstream = guarded_server(&document);
                redis = shared_store(&document);
                // Whoever asks for nothing else means a server of ours.
                let check = probe(subject, &url, word, &document);
                let is_good = only.is_none() || check.state == State::Ok;
                checks.push(if is_good { check } else { Check { state: State::Fail, ..check } });
            }
        }
    }
    let now = SystemClock::shared().since_epoch();
    checks.extend(certificate.map(|validity| certificate_check(validity, now)));
    checks.extend(upstream);
    checks.extend(redis);
    true
}

/// What a path of ours for probes answered. Servers of others need not have it.
fn probe(subject: &'static str, url: &Url, word: &str, document: &Document) -> Check {
    let said = document.json::<Value>().ok();
    let says = said.as_ref().and_then(|said| said.get("status")?.as_str());
    let foreign = |detail| warn(subject, detail, "nothing to do if the server is not securemcp");
    match document.status {
        StatusCode::OK if says == Some(word) => ok(subject, url.to_string()),
        StatusCode::OK => foreign(format!("`{url}` answers, but does not say `\"status\":\"{word}\"`")),
        StatusCode::NOT_FOUND => foreign(format!("`{url}` does not exist")),
        status if status.is_redirection() || status.is_client_error() => foreign(answered(url, status)),
        status => {
            let text = String::from_utf8_lossy(&document.body).chars().take(200).collect::<String>();
            fail(subject, format!("HTTP {}: {}", status.as_u16(), said::said(text.trim())), "see what the server logs")
        }
    }
}

fn answered(url: &Url, status: StatusCode) -> String {
    format!("`{url}` answered with HTTP {}", status.as_u16())
}

/// How long the server's certificate is still good. One that is not is no longer answered: the server is unreachable.
fn certificate_check(validity: Validity, now: Duration) -> Check {
    const SUBJECT: &str = "certificate";
    let (left, life) = (validity.ends.saturating_sub(now), validity.ends.saturating_sub(validity.begins));
    let end = i64::try_from(validity.ends.as_secs()).ok().and_then(|end| DateTime::from_timestamp(end, 0));
    let Some(end) = end else { return ok(SUBJECT, "good without end".to_owned()) };
    let detail = format!("good for another {} days, until {}", left.as_secs() / 86_400, end.format("%Y-%m-%d"));
    if left < LATE_RENEWAL.min(life / 10) {
        return warn(SUBJECT, detail, "renew it, then send the server `SIGHUP` (docs/TLS.md)");
    }
    ok(SUBJECT, detail)
}

/// The guarded server, if the answer about readiness speaks of one.
fn guarded_server(ready: &Document) -> Option<Check> {
    const SUBJECT: &str = "upstream";
    let said: Value = ready.json().ok()?;
    if said.get("upstream")? == "ready" {
        return Some(ok(SUBJECT, "the guarded server takes calls".to_owned()));
    }
    let hint = "see that it runs, and what the server logs about it (`the guarded server takes no calls`)";
    Some(fail(SUBJECT, "the guarded server takes no calls".to_owned(), hint))
}

/// The Redis that the server's replicas share, if the answer about readiness speaks of one. Without it the server goes on,
/// but for sessions.
fn shared_store(ready: &Document) -> Option<Check> {
    const SUBJECT: &str = "Redis";
    let said: Value = ready.json().ok()?;
    if said.get("redis")? == "ready" {
        return Some(ok(SUBJECT, "replicas share sessions".to_owned()));
    }
    let hint = "see what the server logs about it (`sessions are not available`), and docs/REDIS.md";
    Some(warn(SUBJECT, "it does not answer the server: sessions of 2025 revisions are 503".to_owned(), hint))
}

/// What a client without a token is told, and where that leads.
async fn check_resource(http: &Http, server: &Resource, checks: &mut Vec<Check>) -> Option<ResourceMetadata> {
    const SUBJECT: &str = "resource metadata";
    let request = http
        .request(Method::POST, &server.url())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .body(PING);
    let answer = match http.send(request).await {
        Ok(answer) => answer,
        Err(error) => {
            checks.push(unreachable(SUBJECT, &error));
            return None;
        }
    };
    let is_open = answer.status != StatusCode::UNAUTHORIZED;
    if is_open && !is_mcp(&answer) {
        checks.push(no_mcp(&server.url(), answer.status));
        return None;
    }
    let named = challenge(&answer).and_then(|challenge| Url::parse(&challenge.resource_metadata?).ok());
    if let Some(url) = named.as_ref().filter(|url| url.origin() != server.url().origin()) {
        let hint = "set the server's resource (`--resource`) to the URL that clients call";
        checks.push(fail(SUBJECT, format!("the server points to `{url}`, which is not of its own origin"), hint));
        return None;
    }
    let url = named.unwrap_or_else(|| server.metadata_url());
    let (check, metadata) = match http.get(&url).await {
        Err(error) => (unreachable(SUBJECT, &error), None),
        Ok(document) if is_open && document.status.is_client_error() => (ok(SUBJECT, OPEN.to_owned()), None),
        Ok(document) => match document.json::<ResourceMetadata>() {
            _ if !document.status.is_success() => {
                let hint = "see that a proxy in front passes `/.well-known/`";
                (fail(SUBJECT, answered(&url, document.status), hint), None)
            }
            // A page for whatever is asked, of a server that sends nobody there.
            Err(_) if is_open => (ok(SUBJECT, OPEN.to_owned()), None),
            Err(error) => {
                (fail(SUBJECT, format!("`{url}` is no RFC 9728 metadata: {error}"), "see what answers there"), None)
            }
            Ok(metadata) if metadata.resource != *server => {
                let detail = format!("`resource` is `{}`, expected `{server}`", metadata.resource);
                let hint = format!("call it as `--server {}`, or set the server's resource", metadata.resource);
                (fail(SUBJECT, detail, &hint), None)
            }
            Ok(metadata) => (ok(SUBJECT, url.to_string()), Some(metadata)),
        },
    };
    checks.push(check);
    metadata
}

/// Whether somebody who speaks MCP has answered to [`PING`], be it that it is not the right beginning.
fn is_mcp(answer: &Document) -> bool {
    if answer.status.is_redirection() || answer.status.is_server_error() {
        return false;
    }
    let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_event_stream = answer.status.is_success() && kind.starts_with("text/event-stream");
    let asks_for_more = matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::NOT_ACCEPTABLE);
    is_event_stream || asks_for_more || answer.json::<Value>().is_ok_and(|said| said.get("jsonrpc").is_some())
}

fn no_mcp(url: &Url, status: StatusCode) -> Check {
    let hint = match status {
        StatusCode::TOO_MANY_REQUESTS => "wait a moment, then check again",
        status if status.is_server_error() => "see what the server logs, and a proxy in front of it",
        status if status.is_redirection() => {
            "name the URL that answers itself with `--server`: no redirect is followed"
        }
        _ => "check the path of the URL: MCP servers usually answer at `/mcp`",
    };
    fail("MCP endpoint", format!("no MCP: {}", answered(url, status)), hint)
}

fn challenge(document: &Document) -> Option<Challenge> {
    let values = document.headers.get_all(header::WWW_AUTHENTICATE);
    values.iter().filter_map(|value| value.to_str().ok()).find_map(Challenge::parse)
}

/// The issuer to look at: the configured one, else the resource's first.
fn choose_issuer(
    client: &ClientSettings,
    metadata: Option<ResourceMetadata>,
    checks: &mut Vec<Check>,
) -> Option<Issuer> {
    const SUBJECT: &str = "issuer";
    let listed = metadata.map(|metadata| metadata.authorization_servers);
    match (&client.issuer, listed) {
        (Some(ours), Some(listed)) if !listed.contains(ours) => {
            let listed = listed.iter().map(|issuer| format!("`{issuer}`")).collect::<Vec<_>>().join(", ");
            let detail = format!("the server trusts {listed}, expected `{ours}`");
            checks.push(fail(SUBJECT, detail, "set `issuer.url` to the same name on both sides, byte for byte"));
            Some(ours.clone())
        }
        (Some(ours), _) => Some(ours.clone()),
        (None, Some(listed)) if listed.is_empty() => {
            let hint = "name the issuer with `--issuer`";
            checks.push(fail(SUBJECT, "the resource metadata names no authorization server".to_owned(), hint));
            None
        }
        (None, listed) => listed.and_then(|listed| listed.into_iter().next()),
    }
}

async fn check_issuer(
    http: &Http,
    client: &ClientSettings,
    issuer: &Issuer,
    checks: &mut Vec<Check>,
    dates: &mut Vec<Skew>,
) {
    const SUBJECT: &str = "issuer metadata";
    let base = client.issuer_backchannel_url.clone().unwrap_or_else(|| issuer.url());
    let reached = client.issuer_backchannel_url.as_ref().map(|url| format!(" at `{url}`")).unwrap_or_default();
    let nothing = format!("`{issuer}` has no metadata{reached}");
    let mut check = fail(SUBJECT, nothing, "see that the issuer's name has its whole path");
    for url in Issuer::metadata_urls(&base) {
        match http.get(&url).await {
            Err(error) => {
                check = unreachable(SUBJECT, &error);
                break;
            }
            Ok(document) if document.status.is_success() => {
                dates.extend(skew("the issuer", &document));
                match document.json::<ServerMetadata>() {
                    Ok(metadata) => {
                        checks.push(ok(SUBJECT, url.to_string()));
                        checks.push(issuer_equality(&metadata.issuer, issuer));
                        checks.push(check_keys(http, metadata.jwks_uri.as_ref()).await);
                        return;
                    }
                    Err(error) => {
                        let detail = format!("`{url}` is no RFC 8414 metadata: {error}");
                        check = fail(SUBJECT, detail, "see what answers there");
                    }
                }
            }
            Ok(document) if document.status.is_client_error() && document.status != StatusCode::TOO_MANY_REQUESTS => {}
            Ok(document) => {
                let hint = "see what the issuer logs, and a proxy in front of it";
                check = fail(SUBJECT, answered(&url, document.status), hint);
                break;
            }
        }
    }
    checks.push(check);
}

fn issuer_equality(found: &Issuer, expected: &Issuer) -> Check {
    const SUBJECT: &str = "issuer equality";
    if found == expected {
        return ok(SUBJECT, format!("`{found}` on both sides"));
    }
    let hint =
        format!("set the server's `issuer.url` to `{found}`, and where it is reached to `issuer.backchannel_url`");
    fail(SUBJECT, format!("the issuer calls itself `{found}`, expected `{expected}`"), &hint)
}

async fn check_keys(http: &Http, url: Option<&Url>) -> Check {
    const SUBJECT: &str = "keys";
    let hint = "see the issuer's realm keys; a server can verify RSA of 2048 bits and more, P-256, P-384 and Ed25519";
    let Some(url) = url else {
        return fail(SUBJECT, "the issuer metadata has no `jwks_uri`".to_owned(), hint);
    };
    match http.get(url).await {
        Err(error) => unreachable(SUBJECT, &error),
        Ok(document) if !document.status.is_success() => fail(SUBJECT, answered(url, document.status), hint),
        Ok(document) => match KeySet::parse(&document.body) {
            Ok(keys) if !keys.is_empty() => ok(SUBJECT, format!("{} at `{url}`", keys.len())),
            Ok(_) => fail(SUBJECT, format!("no usable key at `{url}`"), hint),
            Err(error) => fail(SUBJECT, format!("`{url}` is {error}"), hint),
        },
    }
}

/// How far somebody's clock is ahead of ours.
#[derive(Debug)]
struct Skew {
    whose: &'static str,
    seconds: i64,
}

fn skew(whose: &'static str, document: &Document) -> Option<Skew> {
    let date = document.headers.get(header::DATE)?.to_str().ok()?;
    let theirs = DateTime::parse_from_rfc2822(date).ok()?.timestamp();
    let ours = i64::try_from(SystemClock::shared().since_epoch().as_secs()).ok()?;
    Some(Skew { whose, seconds: theirs - ours })
}

fn clock_skew(skews: &[Skew]) -> Check {
    const SUBJECT: &str = "clock";
    match skews.iter().max_by_key(|skew| skew.seconds.abs()) {
        Some(Skew { whose, seconds }) if seconds.abs() > MAX_SKEW_SECONDS => {
            let direction = if *seconds > 0 { "ahead of" } else { "behind" };
            let detail = format!("{whose} is {} s {direction} this machine", seconds.abs());
            warn(SUBJECT, detail, "synchronise the clocks (NTP): tokens have little tolerance")
        }
        _ => ok(SUBJECT, format!("within {MAX_SKEW_SECONDS} s")),
    }
}

fn ok(subject: &'static str, detail: String) -> Check {
    Check { state: State::Ok, subject, detail, hint: None }
}

fn warn(subject: &'static str, detail: String, hint: &str) -> Check {
    Check { state: State::Warn, subject, detail, hint: Some(hint.to_owned()) }
}

fn fail(subject: &'static str, detail: String, hint: &str) -> Check {
    Check { state: State::Fail, subject, detail, hint: Some(hint.to_owned()) }
}

fn unreachable(subject: &'static str, error: &NetError) -> Check {
    let mut causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let detail = causes.by_ref().last().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    Check { state: State::Fail, subject, detail, hint: error.hint() }
}

fn print(checks: &[Check], printer: Printer) -> Result<(), Failure> {
    if printer.is_json() {
        printer.document(&checks)?;
        return Ok(());
    }
    let width = checks.iter().map(|check| check.subject.len()).max().unwrap_or_default();
    for Check { state, subject, detail, hint } in checks {
        let (tone, label) = match state {
            State::Ok => (Tone::Good, "ok  "),
            State::Warn => (Tone::Doubtful, "warn"),
            State::Fail => (Tone::Bad, "fail"),
        };
        printer.labelled(tone, label, &format!(" {subject:width$}  {detail}"))?;
        if let Some(hint) = hint {
            printer.labelled(Tone::Advice, "      hint:", hint)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_a_warning() {
        let at =
            |seconds| clock_skew(&[Skew { whose: "the issuer", seconds: 0 }, Skew { whose: "the server", seconds }]);
        assert_eq!(at(10).state, State::Ok);
        let late = at(-11);
        assert_eq!((late.state, late.detail.as_str()), (State::Warn, "the server is 11 s behind this machine"));
    }

    #[test]
    fn a_certificate_that_should_have_been_renewed_is_a_warning() {
        let day = Duration::from_hours(24);
        let now = 20_100 * day;
        let with = |days, left: u32| {
            certificate_check(Validity { begins: (20_100 + left - days) * day, ends: now + left * day }, now)
        };
        for (days, left, state) in [
            (365, 14, State::Ok),
            (365, 13, State::Warn),
            (90, 9, State::Ok),
            (90, 8, State::Warn),
            (6, 1, State::Ok),
            (6, 0, State::Warn),
        ] {
            let check = with(days, left);
            assert_eq!(check.state, state, "{days} {left}");
            assert!(check.detail.starts_with(&format!("good for another {left} days, until 2025-01-")), "{check:?}");
        }
        let endless = Validity { begins: now, ends: Duration::from_secs(u64::MAX) };
        assert_eq!(certificate_check(endless, now).detail, "good without end");
    }

    #[test]
    fn issuers_are_equal_byte_for_byte() {
        let issuer = |text| Issuer::parse(text).unwrap();
        assert_eq!(issuer_equality(&issuer("https://a.example"), &issuer("https://a.example")).state, State::Ok);
        assert_eq!(issuer_equality(&issuer("https://a.example/"), &issuer("https://a.example")).state, State::Fail);
    }
}
