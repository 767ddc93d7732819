//! `securemcp token inspect`: what a token says, and what a server would say to it.

use std::time::Duration;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SecondsFormat};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    exit::{Exit, Failure},
    print::{Printer, Tone},
    surroundings::{Given, Surroundings},
};
use crate::{
    client::{Client, Discovery},
    clock::SystemClock,
    hint::Hint as _,
    jose::{ALGORITHMS, Expect, KeySet, Refused, Unverified},
    said::said,
    secret::Secret,
};

/// How far clocks may differ: the server's default.
const LEEWAY: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "Never prints the token itself. Ends with 4 if the server would refuse it.

Examples:
  securemcp token inspect
  securemcp token inspect --token-file token.txt --server https://mcp.example/mcp
  pbpaste | securemcp token inspect --token-file - --output json";

/// Show what a token says, and whether the server would accept it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(flatten)]
    given: Given,
}

/// Prints the report.
pub(super) async fn run(options: &Options, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let client = surroundings.client_with(&options.given).await?;
    let server = client.settings().resource().to_string();
    let token = client.kept_token().await?.map(|token| token.secret).ok_or_else(|| {
        Failure::message(Exit::NotAuthenticated, format!("no token is kept for `{server}`"))
            .hint("`securemcp token get` gets one; `--token-file` looks at another".to_owned())
    })?;
    let now = SystemClock::shared().since_epoch();
    let contents = Contents::of(&token).map_err(|refused| refusal(&server, refused))?;
    let judged = judge(&token, &client, surroundings, now).await;
    contents.print(&judged, now, surroundings.printer)?;
    match judged? {
        Verdict { refused: Some(refused), resource, .. } => Err(refusal(&resource, refused)),
        Verdict { resource, keys_url, .. } => {
            if !surroundings.printer.is_json() {
                let words = format!(
                    "for `{resource}`; its signature fits a key of `{keys_url}`; whether it was revoked is not in it"
                );
                surroundings.printer.labelled(Tone::Good, "good", &words)?;
                if let Some(key) = contents.bound_to() {
                    let words = format!("to the key `{}`: of no use without a proof by it (DPoP)", said(key));
                    surroundings.printer.labelled(Tone::Good, "bound", &words)?;
                }
            }
            Ok(Exit::Done)
        }
    }
}

struct Verdict {
    refused: Option<Refused>,
    resource: String,
    keys_url: String,
}

/// Judges as the server does: by its issuer's keys and its own name.
async fn judge(
    token: &Secret,
    client: &Client,
    surroundings: &Surroundings,
    now: Duration,
) -> Result<Verdict, Failure> {
    let Discovery { resource, issuer, .. } = client.discover(None).await?;
    let resource =
        resource.map_or_else(|| client.settings().resource().to_string(), |(found, _)| found.resource.to_string());
    let keys_url =
        issuer.jwks_uri.with_context(|| format!("the metadata of issuer `{}` has no `jwks_uri`", issuer.issuer))?;
    let document = surroundings.http(surroundings.globals.timeout)?.get(&keys_url).await?;
    if !document.status.is_success() {
        let problem = format!("`{keys_url}` answered with HTTP {}", document.status.as_u16());
        return Err(Failure::message(Exit::Unreachable, problem));
    }
    let keys = KeySet::parse(&document.body).with_context(|| format!("cannot use `{keys_url}`"))?;
    let expect = Expect {
        issuer: issuer.issuer,
        audiences: vec![resource.clone()],
        algorithms: ALGORITHMS.to_vec(),
        leeway: LEEWAY,
    };
    let verdict = Unverified::parse(token.expose()).and_then(|token| token.verify(&keys, &expect, now));
    let refused = verdict.err().map(|refused| expired_first(refused, token, now));
    Ok(Verdict { refused, resource, keys_url: keys_url.to_string() })
}

/// The key of an old token may be gone from the key set: that it is old says more.
fn expired_first(refused: Refused, token: &Secret, now: Duration) -> Refused {
    let Refused::UnknownKey(_) = refused else { return refused };
    let expiry = Contents::of(token).ok().and_then(|contents| contents.claims.get("exp")?.as_u64());
    match expiry.and_then(|expiry| now.as_secs().checked_sub(expiry)) {
        Some(ago) if ago >= LEEWAY.as_secs() => Refused::Expired(ago),
        _ => refused,
    }
}

fn refusal(server: &str, refused: Refused) -> Failure {
    let hint = refused.hint();
    let error = anyhow::Error::new(refused).context(format!("token is not good for `{server}`"));
    Failure::new(Exit::NotAuthenticated, error).hint(hint)
}

/// The readable parts of a token, none of them believed.
#[derive(Debug)]
struct Contents {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Contents {
    fn of(token: &Secret) -> Result<Self, Refused> {
        Unverified::parse(token.expose())?;
        let mut parts = token.expose().split('.').map(|part| {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice(&bytes).unwrap_or_default()
        });
        Ok(Self { header: parts.next().unwrap_or_default(), claims: parts.next().unwrap_or_default() })
    }

    /// The thumbprint of the key that it works with.
    fn bound_to(&self) -> Option<&str> {
        self.claims.get("cnf")?.get("jkt")?.as_str()
    }

    fn print(&self, judged: &Result<Verdict, Failure>, now: Duration, printer: Printer) -> Result<(), Failure> {
        let refused = judged.as_ref().ok().map(|verdict| &verdict.refused);
        if printer.is_json() {
            let reason = refused.and_then(Option::as_ref).map(ToString::to_string);
            printer.document(&json!({
                "header": self.header,
                "claims": self.claims,
                "bound_to": self.bound_to(),
                "accepted": refused.map(Option::is_none),
                "reason": reason,
            }))?;
            return Ok(());
        }
        for (heading, members) in [("header", &self.header), ("claims", &self.claims)] {
            printer.labelled(Tone::Heading, heading, "")?;
            for (name, value) in members {
                // Each on a line of its own, whatever a stranger has put into it; the printer sees to the rest.
                let line = format!("{name:10}  {}", in_words(name, value, now)).replace('\n', "\\n");
                printer.text(&format!("  {line}"))?;
            }
        }
        Ok(())
    }
}

/// A member for a person to read; times are told as such.
fn in_words(name: &str, value: &Value, now: Duration) -> String {
    let time = match name {
        "exp" | "iat" | "nbf" | "auth_time" => value.as_i64(),
        _ => None,
    };
    let Some((seconds, date)) = time.and_then(|seconds| Some((seconds, DateTime::from_timestamp(seconds, 0)?))) else {
        return value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    };
    let ahead = seconds.saturating_sub(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let span = span(ahead.unsigned_abs());
    let words = match (name, ahead > 0) {
        ("exp", true) => format!("expires in {span}"),
        ("exp", false) => format!("expired {span} ago"),
        (_, true) => format!("in {span}"),
        (_, false) => format!("{span} ago"),
    };
    format!("{words} ({})", date.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// A span of time in its largest unit: `14 minutes`.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::SigningKey;

    #[test]
    fn times_are_told_in_words() {
        let now = Duration::from_secs(1_700_000_000);
        for (name, value, words) in [
            ("exp", json!(1_700_000_840), "expires in 14 minutes (2023-11-14T22:27:20Z)"),
            ("exp", json!(1_699_999_999), "expired 1 second ago (2023-11-14T22:13:19Z)"),
            ("iat", json!(1_699_990_000), "2 hours ago (2023-11-14T19:26:40Z)"),
            ("nbf", json!(1_700_864_000), "in 10 days (2023-11-24T22:13:20Z)"),
            ("exp", json!("soon"), "soon"),
            ("exp", json!(i64::MAX), "9223372036854775807"),
            ("aud", json!(["a", "b"]), r#"["a","b"]"#),
        ] {
            assert_eq!(in_words(name, &value, now), words);
        }
    }

    #[test]
    fn an_expired_token_is_expired_whatever_became_of_its_key() {
        let now = Duration::from_secs(1000);
        let unknown = || Refused::UnknownKey("k".to_owned());
        let of = |exp: u64, refused| {
            let token = SigningKey::generate().sign("at+jwt", &json!({"iss": "https://i.example", "exp": exp}));
            expired_first(refused, &token, now)
        };
        assert!(matches!(of(900, unknown()), Refused::Expired(100)));
        assert!(matches!(of(990, unknown()), Refused::UnknownKey(_)), "it may be the clocks");
        assert!(matches!(of(1300, unknown()), Refused::UnknownKey(_)));
        assert!(matches!(of(900, Refused::Signature), Refused::Signature), "a forged token says nothing of its age");
    }

    #[test]
    fn contents_are_those_of_the_token() {
        let token = SigningKey::generate().sign("at+jwt", &json!({"iss": "https://i.example", "exp": 1}));
        let contents = Contents::of(&token).unwrap();
        assert_eq!(contents.header["typ"], "at+jwt");
        assert_eq!(contents.claims["iss"], "https://i.example");
        assert!(matches!(Contents::of(&Secret::new("opaque")), Err(Refused::Malformed(_))));
    }
}
