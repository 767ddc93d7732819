//! Where people come back to: redirect URIs, RFC 6749 section 3.1.2, RFC 8252 section 7.

use serde::{Deserialize, Serialize};
use url::{Host, Position, Url};

use super::is_loopback;

/// Longest redirect URI, in bytes.
const MAX_BYTES: usize = 2000;
/// Schemes that a browser or the system runs or reads itself: no program waits behind them that has asked for a login.
const OF_THE_SYSTEM: [&str; 32] = [
    "about",
    "blob",
    "chrome",
    "data",
    "facetime",
    "feed",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "jar",
    "javascript",
    "ldap",
    "ldaps",
    "livescript",
    "mailto",
    "resource",
    "rtsp",
    "search",
    "sftp",
    "shell",
    "sip",
    "smb",
    "sms",
    "ssh",
    "steam",
    "tel",
    "telnet",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// A redirect URI as a client registered it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RedirectUri(String);

/// Why something may not be a redirect URI.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadRedirectUri {
    /// Relative, or no URI at all.
    #[error("it is not an absolute URI")]
    NotAUri,
    /// Longer than anything that is one.
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// RFC 6749 section 3.1.2.
    #[error("it has a fragment")]
    Fragment,
    /// A name before the host reads like a host.
    #[error("it has a user name or a password")]
    UserInfo,
    /// Matching is exact: there are no patterns.
    #[error("it has a `*`, and there are no patterns")]
    Pattern,
    /// A code would cross the network in the clear.
    #[error("http is for this machine only: 127.0.0.1, [::1] or localhost; elsewhere it has to be https")]
    Plain,
    /// Nothing that is somebody's.
    #[error("its scheme is none that belongs to a program")]
    Scheme,
}

impl TryFrom<String> for RedirectUri {
    type Error = BadRedirectUri;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl RedirectUri {
    /// Takes https anywhere, http on this machine, and the private schemes of programs (RFC 8252 section 7.1).
    pub fn parse(text: &str) -> Result<Self, BadRedirectUri> {
        if text.len() > MAX_BYTES {
            return Err(BadRedirectUri::TooLong);
        }
        // What the parser would repair is written differently by whoever compares it.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>')) {
            return Err(BadRedirectUri::NotAUri);
        }
        let url = Url::parse(text).map_err(|_| BadRedirectUri::NotAUri)?;
        if url.fragment().is_some() {
            return Err(BadRedirectUri::Fragment);
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err(BadRedirectUri::UserInfo);
        }
        if text.contains('*') {
            return Err(BadRedirectUri::Pattern);
        }
        match url.scheme() {
            // What a parser would repair or decode, and what would end a list in a Content-Security-Policy.
            scheme @ ("http" | "https")
                if !text[scheme.len()..].starts_with("://")
                    || authority(text).is_empty()
                    || authority(text).contains([';', ',', '\'', '%']) =>
            {
                return Err(BadRedirectUri::NotAUri);
            }
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(BadRedirectUri::Plain),
            scheme if OF_THE_SYSTEM.contains(&scheme) => return Err(BadRedirectUri::Scheme),
            // Windows' own (`ms-msdt`, `search-ms`), and parts of browsers.
            scheme if scheme.starts_with("ms-") || scheme.ends_with("-ms") || scheme.ends_with("-extension") => {
                return Err(BadRedirectUri::Scheme);
            }
            _ if url.path().is_empty() && url.host().is_none() => return Err(BadRedirectUri::NotAUri),
            _ => {}
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request may send people to `asked`: the same bytes, but for the port on this machine, which a program
    /// that listens there cannot choose beforehand (RFC 8252 section 7.3). `localhost` is treated alike, since programs
    /// in the field register it (Claude Code among them); which of its addresses they listen at is theirs to know.
    pub fn allows(&self, asked: &str) -> bool {
        if self.0 == asked {
            return true;
        }
        match (without_port(&self.0), without_port(asked)) {
            (Some(registered), Some(asked)) => registered == asked,
            _ => false,
        }
    }

    /// Whether what waits there is a program on the person's own machine.
    pub fn is_local(&self) -> bool {
        self.url().scheme() != "https"
    }

    /// Whether it is an http address of this machine.
    pub fn is_on_loopback(&self) -> bool {
        without_port(&self.0).is_some()
    }

    /// Where it leads, in the words of a person: the host and port, or the scheme of a program.
    pub fn place(&self) -> String {
        let url = self.url();
        match url.scheme() {
            "http" | "https" => url[Position::BeforeHost..Position::AfterPort].to_owned(),
            scheme => format!("{scheme}:"),
        }
    }

    /// The same as a source of a Content-Security-Policy, which compares scheme, host and port.
    pub fn csp_source(&self) -> String {
        let url = self.url();
        match url.scheme() {
            // There is no way to write an IPv6 address there.
            scheme if matches!(url.host(), Some(Host::Ipv6(_))) => format!("{scheme}:"),
            "http" | "https" => url.origin().ascii_serialization(),
            scheme => format!("{scheme}:"),
        }
    }

    /// The way there with these parameters, beside those that it has.
    pub fn with<'a>(&self, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Url {
        let mut url = self.url();
        url.query_pairs_mut().extend_pairs(parameters);
        url
    }

    fn url(&self) -> Url {
        Url::parse(&self.0).expect("it was parsed before")
    }
}

/// What a text has between the two slashes and the next one.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// Host and rest of an http URI of this machine.
fn without_port(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("http://")?;
    let host = ["127.0.0.1", "[::1]", "localhost"].into_iter().find(|host| rest.starts_with(host))?;
    let rest = &rest[host.len()..];
    let Some(after_colon) = rest.strip_prefix(':') else {
        return (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest));
    };
    let (port, rest) = after_colon.split_at(after_colon.find(['/', '?']).unwrap_or(after_colon.len()));
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    is_port.then_some((host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a06_what_no_program_waits_behind_is_no_redirect_uri() {
        for good in [
            "https://app.example/callback?x=1",
            "http://127.0.0.1/callback",
            "http://[::1]:8000/callback",
            "http://localhost:3118/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/callback",
        ] {
            assert_eq!(RedirectUri::parse(good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("javascript:alert(1)", BadRedirectUri::Scheme),
            ("JaVaScRiPt:alert(1)", BadRedirectUri::Scheme),
            ("data:text/html,x", BadRedirectUri::Scheme),
            ("file:///etc/passwd", BadRedirectUri::Scheme),
            ("ms-msdt:/id", BadRedirectUri::Scheme),
            ("search-ms:query", BadRedirectUri::Scheme),
            ("moz-extension://x/y", BadRedirectUri::Scheme),
            ("feed:javascript:alert(1)", BadRedirectUri::Scheme),
            ("ssh://host/x", BadRedirectUri::Scheme),
            ("x:", BadRedirectUri::NotAUri),
            ("https:app.example/callback", BadRedirectUri::NotAUri),
            ("https:///app.example/callback", BadRedirectUri::NotAUri),
            ("https:/a'.example/b://c.example", BadRedirectUri::NotAUri),
            ("https:a.example/callback", BadRedirectUri::NotAUri),
            ("https://a.example;frame-ancestors/callback", BadRedirectUri::NotAUri),
            ("https://a.example,b/callback", BadRedirectUri::NotAUri),
            ("https://a'.example/callback", BadRedirectUri::NotAUri),
            ("https://a%2cb.example/callback", BadRedirectUri::NotAUri),
            ("http://app.example/callback", BadRedirectUri::Plain),
            ("http://127.0.0.1.example/callback", BadRedirectUri::Plain),
            ("http://10.0.0.1/callback", BadRedirectUri::Plain),
            ("https://*.example/callback", BadRedirectUri::Pattern),
            ("https://app.example/*", BadRedirectUri::Pattern),
            ("https://app.example/callback#x", BadRedirectUri::Fragment),
            ("https://app.example@evil.example/", BadRedirectUri::UserInfo),
            ("https://@evil.example/", BadRedirectUri::UserInfo),
            ("/callback", BadRedirectUri::NotAUri),
            ("callback", BadRedirectUri::NotAUri),
            ("", BadRedirectUri::NotAUri),
            ("https://app.example/a b", BadRedirectUri::NotAUri),
            ("https://app.example\\@evil.example/", BadRedirectUri::NotAUri),
            (" https://app.example/", BadRedirectUri::NotAUri),
            ("https://app.example/\u{e9}", BadRedirectUri::NotAUri),
        ] {
            assert_eq!(RedirectUri::parse(bad), Err(why), "{bad}");
        }
        assert_eq!(
            RedirectUri::parse(&format!("https://a.example/{}", "x".repeat(2000))),
            Err(BadRedirectUri::TooLong)
        );
    }

    #[test]
    fn a05_only_the_same_bytes_are_the_same_redirect_uri() {
        let registered = RedirectUri::parse("https://app.example/callback").unwrap();
        assert!(registered.allows("https://app.example/callback"));
        for other in [
            "https://app.example/callback/",
            "https://app.example/callback?x",
            "https://app.example/callback#x",
            "https://app.example/Callback",
            "https://APP.example/callback",
            "https://app.example:443/callback",
            "https://app.example:8443/callback",
            "https://app.example/x/../callback",
            "https://app.example/%63allback",
            "https://app.example/callback%2e%2e",
            "https://app.example/callback..;/",
            "https://evil@app.example/callback",
            "https://app.example@@evil.example/callback",
            "https://app.example.evil.example/callback",
            "https://app.exampl\u{435}/callback",
            "http://app.example/callback",
        ] {
            assert!(!registered.allows(other), "{other}");
        }
    }

    #[test]
    fn a05_on_this_machine_only_the_port_is_free() {
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            for registered in [format!("http://{host}/callback"), format!("http://{host}:1234/callback")] {
                let registered = RedirectUri::parse(&registered).unwrap();
                assert!(registered.allows(&format!("http://{host}:49152/callback")));
                assert!(registered.allows(&format!("http://{host}/callback")));
                for rest in [
                    ":49152/callback/",
                    ":49152/callback?x",
                    ":49152/Callback",
                    ":49152",
                    ":0/callback",
                    ":99999/callback",
                    ":/callback",
                    ":+1/callback",
                    ":80:80/callback",
                    ":80@evil.example/callback",
                    "@evil.example/callback",
                    ".evil.example/callback",
                ] {
                    assert!(!registered.allows(&format!("http://{host}{rest}")), "{host}{rest}");
                }
                assert!(!registered.allows(&format!("https://{host}/callback")));
            }
        }
        let registered = RedirectUri::parse("http://127.0.0.1/callback").unwrap();
        for other in ["http://[::1]/callback", "http://localhost/callback", "http://127.0.0.2/callback"] {
            assert!(!registered.allows(other), "{other}");
        }
    }

    #[test]
    fn people_are_told_where_it_leads() {
        for (uri, place, is_local) in [
            ("https://app.example/callback", "app.example", false),
            ("https://app.example:8443/callback", "app.example:8443", false),
            ("http://localhost:3118/callback", "localhost:3118", true),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor:", true),
        ] {
            let uri = RedirectUri::parse(uri).unwrap();
            assert_eq!((uri.place().as_str(), uri.is_local()), (place, is_local));
        }
    }

    #[test]
    fn a_policy_can_say_where_it_leads() {
        for (uri, source) in [
            ("https://app.example:8443/callback", "https://app.example:8443"),
            ("http://127.0.0.1:49152/callback", "http://127.0.0.1:49152"),
            ("http://[::1]:49152/callback", "http:"),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor:"),
        ] {
            assert_eq!(RedirectUri::parse(uri).unwrap().csp_source(), source);
        }
    }

    #[test]
    fn what_is_added_leaves_what_was_there() {
        let with = |uri: &str| RedirectUri::parse(uri).unwrap().with([("code", "a&b"), ("state", "c d")]).to_string();
        assert_eq!(with("https://app.example/callback?x=1"), "https://app.example/callback?x=1&code=a%26b&state=c+d");
        assert_eq!(with("com.example.app:/callback"), "com.example.app:/callback?code=a%26b&state=c+d");
    }
}
