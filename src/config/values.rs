//! Texts to values: what each setting may look like. An error is the part of a message after the key's name.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use url::Url;

use super::{Environment, IpNetwork, LogFormat, problem::quoted};
use crate::{
    oauth::{Issuer, Resource, is_https_or_loopback},
    said::said,
    secret::Secret,
};

/// What is wrong with a text, to follow the key's name.
pub(super) type Refusal = String;

pub(super) fn expected(text: &str, what: &str) -> Refusal {
    format!("is {}, expected {what}", quoted(text))
}

/// A refusal by one of the vocabulary's own types.
pub(super) fn refused(error: impl std::fmt::Display) -> Refusal {
    format!("cannot be used: {}", said(&error.to_string()))
}

pub(super) fn text(text: &str) -> Result<String, Refusal> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// What may stand behind `Bearer` (RFC 6750 section 2.1). It is a secret, and never quoted.
pub(super) fn bearer_token(text: &str) -> Result<String, Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !text.is_empty() && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("is no bearer token, expected letters, digits and `-._~+/=` only".to_owned())
    }
}

/// What MACs are made with. It is a secret, and never quoted.
pub(super) fn audit_key(text: &str) -> Result<Secret, Refusal> {
    if text.len() < 16 { Err("is shorter than 16 characters".to_owned()) } else { Ok(Secret::new(text)) }
}

/// What seals for replicas. Whoever reads what it sealed can try guesses. It is a secret, and never quoted.
pub(super) fn registration_key(text: &str) -> Result<Secret, Refusal> {
    if text.len() < 32 { Err("is shorter than 32 characters".to_owned()) } else { Ok(Secret::new(text)) }
}

pub(super) fn switch(text: &str) -> Result<bool, Refusal> {
    // `True` is how the original's settings were often written.
    text.to_ascii_lowercase().parse().map_err(|_| expected(text, "`true` or `false`"))
}

pub(super) fn number_from_1(text: &str) -> Result<usize, Refusal> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| expected(text, "a whole number from 1"))
}

/// So many requests a second.
pub(super) fn rate(text: &str) -> Result<u32, Refusal> {
    let digits = text.strip_suffix("/s").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let rate = digits.and_then(|digits| digits.parse().ok()).filter(|rate| (1..=1_000_000).contains(rate));
    rate.ok_or_else(|| expected(text, "requests a second from `1/s` to `1000000/s`"))
}

pub(super) fn body_bytes(text: &str) -> Result<usize, Refusal> {
    let allowed = 1 << 10..=64 << 20;
    text.parse()
        .ok()
        .filter(|bytes| allowed.contains(bytes))
        .ok_or_else(|| expected(text, "a number of bytes from 1024 (1 KiB) to 67108864 (64 MiB)"))
}

/// `25s`, `5m`, `1h`, or bare seconds.
pub(super) fn duration(text: &str) -> Result<Duration, Refusal> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, text.as_bytes()[number.len()]),
        None => (text, b's'),
    };
    let seconds_each = match unit {
        b'h' => 3600,
        b'm' => 60,
        _ => 1,
    };
    let digits_only = number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds =
        number.parse::<u64>().ok().filter(|_| digits_only).and_then(|number| number.checked_mul(seconds_each));
    seconds.map(Duration::from_secs).ok_or_else(|| expected(text, "a duration such as `25s`, `5m`, `1h` or seconds"))
}

pub(super) fn duration_from_1s(text: &str) -> Result<Duration, Refusal> {
    let duration = duration(text)?;
    if duration.is_zero() { Err(expected(text, "at least `1s`")) } else { Ok(duration) }
}

/// At most a minute: more would keep expired tokens alive.
pub(super) fn leeway(text: &str) -> Result<Duration, Refusal> {
    let leeway = duration(text)?;
    if leeway > Duration::from_mins(1) { Err(expected(text, "at most `60s`")) } else { Ok(leeway) }
}

/// An address and a port; `localhost` is `127.0.0.1`, since a listener has one address and no resolver is asked.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Refusal> {
    let address = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = address.as_deref().unwrap_or(text).parse();
    address.map_err(|_| expected(text, "an IP address and a port such as `127.0.0.1:8000`"))
}

pub(super) fn resource(text: &str) -> Result<Resource, Refusal> {
    without_user_information(text)?;
    Resource::parse(text).map_err(refused)
}

pub(super) fn issuer(text: &str) -> Result<Issuer, Refusal> {
    without_user_information(text)?;
    Issuer::parse(text).map_err(refused)
}

/// A URL to fetch from.
pub(super) fn http_url(text: &str) -> Result<Url, Refusal> {
    without_user_information(text)?;
    let url = Url::parse(text).map_err(|_| expected(text, "an absolute URL"))?;
    if matches!(url.scheme(), "http" | "https") && url.fragment().is_none() {
        Ok(url)
    } else {
        Err(expected(text, "an http or https URL without a fragment"))
    }
}

/// The URL of a client's metadata document, which is its id: written as a parser writes it, since it is compared byte by
/// byte (draft-ietf-oauth-client-id-metadata-document, section 3).
pub(super) fn document_url(text: &str) -> Result<Url, Refusal> {
    let url = http_url(text)?;
    let is_good = is_https_or_loopback(&url) && url.path() != "/" && url.as_str() == text;
    is_good.then_some(url).ok_or_else(|| {
        expected(text, "an https URL with a path such as `https://app.example.com/client.json`; http is for loopback")
    })
}

/// User information is a password: it is refused before any message could quote it.
fn without_user_information(text: &str) -> Result<(), Refusal> {
    if has_user_information(text) { Err("has user information in its URL, expected none".to_owned()) } else { Ok(()) }
}

/// Whether a URL has a user or a password in it.
pub(super) fn has_user_information(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

/// Where Redis is. It may hold a password, and is never quoted.
pub(super) fn redis_url(text: &str) -> Result<Secret, Refusal> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host());
    let database = |url: &Url| url.path().trim_start_matches('/').is_empty() || url.path()[1..].parse::<u8>().is_ok();
    match url.filter(|url| url.query().is_none() && url.fragment().is_none() && database(url)) {
        Some(_) => Ok(Secret::new(text)),
        None => Err("is no URL of a Redis, expected one such as `redis://host:6379/0` or `rediss://…`".to_owned()),
    }
}

/// A `Host` header's value.
pub(super) fn host(text: &str) -> Result<String, Refusal> {
    let authority = text.parse::<http::uri::Authority>().ok();
    let good = authority.filter(|authority| !authority.host().is_empty() && !authority.as_str().contains(['@', '*']));
    good.map(|authority| authority.as_str().to_ascii_lowercase())
        .ok_or_else(|| expected(text, "a host with an optional port such as `mcp.example.com`"))
}

/// An `Origin` header's value.
pub(super) fn origin(text: &str) -> Result<String, Refusal> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let bare = url.map(|url| (url.origin().ascii_serialization(), url)).filter(|(origin, url)| {
        // Anything else about the URL would show as a difference here.
        url.as_str() == format!("{origin}/")
    });
    bare.map(|(origin, _)| origin).ok_or_else(|| expected(text, "a web origin such as `https://app.example.com`"))
}

/// A proxy's network. Every address at once is no proxy: anybody could then forge forwarded headers.
pub(super) fn proxy(text: &str) -> Result<IpNetwork, Refusal> {
    let network: IpNetwork = text.parse().map_err(refused)?;
    if network.is_everything() { Err(expected(text, "the proxy's own address or network")) } else { Ok(network) }
}

/// Only asymmetric algorithms: with `HS*` whoever verifies could also sign, and the issuer's public key would do.
pub(super) fn algorithm(text: &str) -> Result<Algorithm, Refusal> {
    let algorithm = text.parse().ok().filter(|algorithm| !AlgorithmFamily::Hmac.algorithms().contains(algorithm));
    algorithm.ok_or_else(|| {
        expected(text, "an asymmetric algorithm: RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 or EdDSA")
    })
}

/// A file that lines are added to, in a directory that is there. Absolute.
pub(super) fn file_to_write(path: &str, environment: &Environment) -> Result<PathBuf, Refusal> {
    let path = environment.absolute(text(path)?);
    match path.parent() {
        _ if path.is_dir() => Err(expected(&path.display().to_string(), "a file, but that is a directory")),
        Some(folder) if !folder.is_dir() => {
            let expectation = "a file in a directory that exists";
            Err(expected(&path.display().to_string(), expectation))
        }
        _ => Ok(path),
    }
}

/// Whether tokens are kept on disk.
pub(super) fn token_store(text: &str) -> Result<bool, Refusal> {
    match text {
        "file" => Ok(true),
        "memory" => Ok(false),
        _ => Err(expected(text, "`file` or `memory`")),
    }
}

/// In any case, and by Python's names too, which the original's env files use.
pub(super) fn log_level(text: &str) -> Result<String, Refusal> {
    let level = match text.to_ascii_lowercase().as_str() {
        "critical" => "error",
        "warning" => "warn",
        level => ["error", "warn", "info", "debug", "trace"]
            .into_iter()
            .find(|known| *known == level)
            .ok_or_else(|| expected(text, "`error`, `warn`, `info`, `debug` or `trace`"))?,
    };
    Ok(level.to_owned())
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(expected(text, "`auto`, `text` or `json`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        for (text, seconds) in [("25s", 25), ("5m", 300), ("30m", 1800), ("1h", 3600), ("90", 90), ("0", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in ["", "s", "5d", "1h30m", "-1s", "+1s", "1.5s", "18446744073709551615h", "5 m"] {
            let message = format!("is `{bad}`, expected a duration such as `25s`, `5m`, `1h` or seconds");
            assert_eq!(duration(bad), Err(message));
        }
    }

    #[test]
    fn localhost_is_an_address_and_other_names_are_not() {
        assert_eq!(listen("localhost:80").unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(listen("[::1]:80").unwrap().to_string(), "[::1]:80");
        for bad in ["8000", ":8000", "127.0.0.1", "mcp.example:80", "localhost", "::1:80:"] {
            assert!(listen(bad).unwrap_err().ends_with("expected an IP address and a port such as `127.0.0.1:8000`"));
        }
    }

    #[test]
    fn origins_are_kept_as_browsers_write_them() {
        assert_eq!(origin("HTTPS://App.Example:443/").unwrap(), "https://app.example");
        assert_eq!(origin("http://localhost:6274").unwrap(), "http://localhost:6274");
        for bad in ["*", "null", "app.example", "https://app.example/x", "https://a@b", "https://a?q", "file:///x", ""]
        {
            assert!(
                origin(bad).unwrap_err().ends_with("expected a web origin such as `https://app.example.com`"),
                "{bad}"
            );
        }
    }

    #[test]
    fn hosts_are_lower_case_and_never_patterns() {
        assert_eq!(host("MCP.example:8443").unwrap(), "mcp.example:8443");
        for bad in ["", "*", "*.example", "https://h", "h/x", "a@h", "h h"] {
            assert!(host(bad).unwrap_err().ends_with("such as `mcp.example.com`"), "{bad}");
        }
    }

    #[test]
    fn urls_to_fetch_from_carry_no_credentials() {
        assert!(http_url("http://keycloak:8080/realms/a").is_ok());
        assert_eq!(http_url("keycloak").unwrap_err(), "is `keycloak`, expected an absolute URL");
        assert_eq!(
            http_url("file:///x").unwrap_err(),
            "is `file:///x`, expected an http or https URL without a fragment"
        );
        assert!(http_url("https://h/#f").is_err());
        for bad in ["http://a:hunter2@b", "http://a@b", "ftp://a:b@c"] {
            assert_eq!(http_url(bad).unwrap_err(), "has user information in its URL, expected none");
        }
    }

    #[test]
    fn documents_that_are_client_ids_are_written_in_one_way() {
        for good in ["https://app.example.com/client.json", "http://127.0.0.1:8000/c", "https://h/c?v=1"] {
            assert_eq!(document_url(good).unwrap().as_str(), good);
        }
        for bad in
            ["http://app.example.com/c", "https://h", "https://h/", "https://h/a/../c", "HTTPS://h/c", "https://h/c#f"]
        {
            assert!(document_url(bad).unwrap_err().starts_with(&format!("is `{bad}`, expected an http")), "{bad}");
        }
    }

    #[test]
    fn whoever_verifies_cannot_sign() {
        assert_eq!(algorithm("ES256"), Ok(Algorithm::ES256));
        for bad in ["HS256", "HS384", "HS512", "none", "None", "es256", ""] {
            assert!(algorithm(bad).unwrap_err().contains("expected an asymmetric algorithm"), "{bad}");
        }
    }

    #[test]
    fn log_levels_may_be_pythons() {
        assert_eq!(log_level("WARNING").as_deref(), Ok("warn"));
        assert_eq!(log_level("Critical").as_deref(), Ok("error"));
        assert_eq!(log_level("loud").unwrap_err(), "is `loud`, expected `error`, `warn`, `info`, `debug` or `trace`");
        assert_eq!(log_format("JSON"), Ok(LogFormat::Json));
        assert_eq!(log_format("xml").unwrap_err(), "is `xml`, expected `auto`, `text` or `json`");
    }
}
