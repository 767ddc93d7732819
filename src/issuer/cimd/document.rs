//! What may be the URL of a client's document, and what the document may say.

use http::{HeaderMap, header};
use serde::{Deserialize, de::IgnoredAny};
use url::Url;

use crate::{
    issuer::register::clean_name,
    json::present,
    oauth::{AuthMethod, ClientMetadata, RedirectUri, Scopes, redirect::BadRedirectUri},
    said::said,
};

/// Longest client id, in bytes.
pub(super) const MAX_ID_BYTES: usize = 1000;
/// Most redirect URIs of one client.
const MAX_REDIRECT_URIS: usize = 50;

/// A client as its document describes it: public, and for people only.
#[derive(Debug, PartialEq)]
pub(in crate::issuer) struct DocumentClient {
    /// The URL, byte for byte.
    pub(in crate::issuer) client_id: String,
    /// Anybody's claim.
    pub(in crate::issuer) name: Option<String>,
    /// At least one.
    pub(in crate::issuer) redirect_uris: Vec<RedirectUri>,
    /// Whether it means to use refresh tokens; without a word it does not (RFC 7591 section 2).
    pub(in crate::issuer) may_refresh: bool,
    /// All it means to ask for, known here or not; `None` if it does not say.
    pub(in crate::issuer) scope: Option<Scopes>,
}

/// Why a URL is not one of a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::issuer) enum BadDocumentId {
    #[error("it is longer than {MAX_ID_BYTES} bytes")]
    TooLong,
    #[error("it is not an absolute URL")]
    NotAUrl,
    /// Reads like a host.
    #[error("it has a user name or a password")]
    UserInfo,
    #[error("it has a fragment")]
    Fragment,
    #[error("it has no path: a whole site is no client")]
    NoPath,
    /// Which the sites that read it may take for different ones.
    #[error("its path has a `.` or `..` segment, or an encoded dot or slash")]
    Dots,
    /// One document would have many ids.
    #[error("it is written in a way that programs change, to `{0}`")]
    NotPlain(Url),
}

impl BadDocumentId {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::NotPlain(plain) => format!("use `{plain}`"),
            _ => "use the https URL of the client's document, such as `https://app.example/client.json`".to_owned(),
        }
    }
}

/// Checks a client id before anything is fetched. Whether http may be used is for the guard to say.
pub(super) fn parse_id(client_id: &str) -> Result<Url, BadDocumentId> {
    if client_id.len() > MAX_ID_BYTES {
        return Err(BadDocumentId::TooLong);
    }
    let url = Url::parse(client_id).map_err(|_| BadDocumentId::NotAUrl)?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(BadDocumentId::NotAUrl);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadDocumentId::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(BadDocumentId::Fragment);
    }
    // The parser has resolved the segments; what was sent still has them.
    let before_query = client_id.split('?').next().unwrap_or_default().to_ascii_lowercase();
    let has_dots = before_query.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."));
    if has_dots || ["%2e", "%2f", "%5c"].iter().any(|encoded| before_query.contains(encoded)) {
        return Err(BadDocumentId::Dots);
    }
    if url.path() == "/" {
        return Err(BadDocumentId::NoPath);
    }
    if url.as_str() == client_id { Ok(url) } else { Err(BadDocumentId::NotPlain(url)) }
}

/// Why a document is not one of a client that can be served here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::issuer) enum BadDocument {
    #[error("its Content-Type is not `application/json`")]
    MediaType,
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("it {problem}, line {line} column {column}")]
    Json { problem: &'static str, line: usize, column: usize },
    /// Somebody else's document, or a copy.
    #[error("its `client_id` is not the URL it is served at")]
    OtherId,
    /// What everybody can read is no secret.
    #[error("it has a secret in it: `{0}`")]
    Secret(&'static str),
    #[error("its `token_endpoint_auth_method` is `{0}`, expected `none`")]
    AuthMethod(AuthMethod),
    #[error("its `grant_types` do not have `authorization_code`")]
    Grants,
    #[error("its `response_types` do not have `code`")]
    ResponseTypes,
    #[error("it has no `redirect_uris`")]
    NoRedirectUris,
    #[error("it has more than {MAX_REDIRECT_URIS} `redirect_uris`")]
    TooManyRedirectUris,
    #[error("`{uri}` in its `redirect_uris` cannot be used")]
    RedirectUri {
        /// Safe to show.
        uri: String,
        source: BadRedirectUri,
    },
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    client_secret: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    client_secret_expires_at: Option<IgnoredAny>,
    #[serde(flatten)]
    metadata: ClientMetadata,
}

impl DocumentClient {
    /// Members that mean nothing here are ignored; no address in them is ever fetched. So are grants beside the one
    /// that is needed, since editors in the field list them all (VS Code: the device's).
    pub(in crate::issuer) fn read(client_id: &str, headers: &HeaderMap, body: &[u8]) -> Result<Self, BadDocument> {
        if !is_json(headers) {
            return Err(BadDocument::MediaType);
        }
        let Written { client_id: written_id, client_secret, client_secret_expires_at, metadata } = parse(body)?;
        if written_id.as_deref() != Some(client_id) {
            return Err(BadDocument::OtherId);
        }
        for (name, member) in [("client_secret", client_secret), ("client_secret_expires_at", client_secret_expires_at)]
        {
            if member.is_some() {
                return Err(BadDocument::Secret(name));
            }
        }
        // RFC 7591's default is a secret, which cannot be meant.
        let method = metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::None);
        if method != AuthMethod::None {
            return Err(BadDocument::AuthMethod(method));
        }
        let lacks = |list: &[String], word: &str| !list.is_empty() && list.iter().all(|other| other != word);
        if lacks(&metadata.grant_types, "authorization_code") {
            return Err(BadDocument::Grants);
        }
        if lacks(&metadata.response_types, "code") {
            return Err(BadDocument::ResponseTypes);
        }
        Ok(Self {
            client_id: client_id.to_owned(),
            name: metadata.client_name.as_deref().and_then(clean_name),
            redirect_uris: redirect_uris(&metadata.redirect_uris)?,
            may_refresh: metadata.grant_types.iter().any(|grant| grant == "refresh_token"),
            scope: metadata.scope,
        })
    }
}

fn redirect_uris(written: &[String]) -> Result<Vec<RedirectUri>, BadDocument> {
    match written.len() {
        0 => return Err(BadDocument::NoRedirectUris),
        1..=MAX_REDIRECT_URIS => {}
        _ => return Err(BadDocument::TooManyRedirectUris),
    }
    let parse =
        |uri: &String| RedirectUri::parse(uri).map_err(|source| BadDocument::RedirectUri { uri: said(uri), source });
    written.iter().map(parse).collect()
}

fn parse(body: &[u8]) -> Result<Written, BadDocument> {
    // serde would read an array as the members in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(BadDocument::NotAnObject);
    }
    serde_json::from_slice(body).map_err(|error| {
        let problem = if error.is_data() { "has a member of the wrong type or form" } else { "is not JSON" };
        BadDocument::Json { problem, line: error.line(), column: error.column() }
    })
}

/// `application/json`, or a narrower type of the same syntax.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    let kind = essence.strip_prefix("application/");
    kind.is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "https://app.example/client.json";

    #[test]
    fn a24_only_the_plain_url_of_a_document_is_an_id() {
        for good in [
            ID,
            "https://app.example:8443/oauth/client",
            "https://app.example/client/",
            "https://app.example/client.json?v=1/../2",
            "https://app.example/~x/a..b/.well-known/c%20d",
            "http://127.0.0.1:8001/client.json",
        ] {
            assert_eq!(parse_id(good).unwrap().as_str(), good);
        }
        let long = format!("{ID}?{}", "x".repeat(MAX_ID_BYTES - ID.len() - 1));
        assert!(parse_id(&long).is_ok());
        assert_eq!(parse_id(&format!("{long}x")), Err(BadDocumentId::TooLong));
        for (bad, why) in [
            ("", BadDocumentId::NotAUrl),
            ("client-0123", BadDocumentId::NotAUrl),
            ("ftp://app.example/client.json", BadDocumentId::NotAUrl),
            ("javascript:alert(1)", BadDocumentId::NotAUrl),
            ("https:///", BadDocumentId::NotAUrl),
            ("https://app.example", BadDocumentId::NoPath),
            ("https://app.example/", BadDocumentId::NoPath),
            ("https://app.example/?x=1", BadDocumentId::NoPath),
            ("https://user@app.example/client.json", BadDocumentId::UserInfo),
            ("https://user:password@app.example/client.json", BadDocumentId::UserInfo),
            ("https://app.example@evil.example/client.json", BadDocumentId::UserInfo),
            ("https://app.example/client.json#", BadDocumentId::Fragment),
            ("https://app.example/client.json#x", BadDocumentId::Fragment),
            ("https://app.example/./client.json", BadDocumentId::Dots),
            ("https://app.example/x/../client.json", BadDocumentId::Dots),
            ("https://app.example/..", BadDocumentId::Dots),
            ("https://app.example/x\\..\\client.json", BadDocumentId::Dots),
            ("https://app.example/%2e%2E/client.json", BadDocumentId::Dots),
            ("https://app.example/.%2e/client.json", BadDocumentId::Dots),
            ("https://app.example/x%2f..%2Fclient.json", BadDocumentId::Dots),
            ("https://app.example/x%5c..%5Cclient.json", BadDocumentId::Dots),
        ] {
            assert_eq!(parse_id(bad), Err(why), "{bad}");
        }
        for (bad, plain) in [
            ("HTTPS://app.example/client.json", ID),
            ("https://APP.example/client.json", ID),
            ("https://app.example:443/client.json", ID),
            ("https:app.example/client.json", ID),
            ("https://@app.example/client.json", ID),
            ("https://app.exam\tple/client.json", ID),
            (" https://app.example/client.json", ID),
            ("https://app.example\\client.json", ID),
            ("https://2130706433/client.json", "https://127.0.0.1/client.json"),
            ("https://0x7f.1/client.json", "https://127.0.0.1/client.json"),
            ("https://[::ffff:127.0.0.1]/client.json", "https://[::ffff:7f00:1]/client.json"),
            ("https://app.ex\u{e4}mple/client.json", "https://app.xn--exmple-cua/client.json"),
        ] {
            let refused = parse_id(bad).unwrap_err();
            assert_eq!(refused, BadDocumentId::NotPlain(plain.parse().unwrap()), "{bad}");
            assert_eq!(refused.hint(), format!("use `{plain}`"));
        }
    }

    fn good() -> Value {
        json!({
            "client_id": ID,
            "client_name": "An editor",
            "redirect_uris": ["https://app.example/callback", "http://127.0.0.1/callback", "app.example:/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "mcp:read mcp:write",
        })
    }

    fn read_as(content_type: Option<&str>, body: &str) -> Result<DocumentClient, BadDocument> {
        let mut headers = HeaderMap::new();
        headers.extend(content_type.map(|value| (header::CONTENT_TYPE, value.parse().unwrap())));
        DocumentClient::read(ID, &headers, body.as_bytes())
    }

    fn read(document: &Value) -> Result<DocumentClient, BadDocument> {
        read_as(Some("application/json"), &document.to_string())
    }

    fn with(name: &str, value: Value) -> Value {
        let mut document = good();
        document[name] = value;
        document
    }

    fn without(name: &str) -> Value {
        let mut document = good();
        document.as_object_mut().unwrap().shift_remove(name).unwrap();
        document
    }

    #[test]
    fn a24_a_document_of_somebody_else_or_with_a_secret_is_refused() {
        let client = read(&good()).unwrap();
        assert_eq!((client.client_id.as_str(), client.name.as_deref()), (ID, Some("An editor")));
        let places: Vec<_> = client.redirect_uris.iter().map(RedirectUri::as_str).collect();
        assert_eq!(json!(places), good()["redirect_uris"]);
        assert_eq!(client.scope, Some(Scopes::parse("mcp:read mcp:write").unwrap()));

        let redirects = |count: usize| json!(vec!["https://app.example/callback"; count]);
        for (bad, why) in [
            (without("client_id"), BadDocument::OtherId),
            (with("client_id", Value::Null), BadDocument::OtherId),
            (with("client_id", json!("https://app.example/other.json")), BadDocument::OtherId),
            (with("client_id", json!("https://APP.example/client.json")), BadDocument::OtherId),
            (with("client_id", json!("https://app.example:443/client.json")), BadDocument::OtherId),
            (with("client_secret", json!("x")), BadDocument::Secret("client_secret")),
            (with("client_secret", Value::Null), BadDocument::Secret("client_secret")),
            (with("client_secret_expires_at", json!(0)), BadDocument::Secret("client_secret_expires_at")),
            (
                with("token_endpoint_auth_method", json!("client_secret_basic")),
                BadDocument::AuthMethod(AuthMethod::ClientSecretBasic),
            ),
            (
                with("token_endpoint_auth_method", json!("client_secret_post")),
                BadDocument::AuthMethod(AuthMethod::ClientSecretPost),
            ),
            (
                with("token_endpoint_auth_method", json!("client_secret_jwt")),
                BadDocument::AuthMethod(AuthMethod::Unsupported),
            ),
            (
                with("token_endpoint_auth_method", json!("private_key_jwt")),
                BadDocument::AuthMethod(AuthMethod::PrivateKeyJwt),
            ),
            (with("grant_types", json!(["client_credentials"])), BadDocument::Grants),
            (with("grant_types", json!(["refresh_token"])), BadDocument::Grants),
            (with("response_types", json!(["token"])), BadDocument::ResponseTypes),
            (without("redirect_uris"), BadDocument::NoRedirectUris),
            (with("redirect_uris", json!([])), BadDocument::NoRedirectUris),
            (with("redirect_uris", redirects(MAX_REDIRECT_URIS + 1)), BadDocument::TooManyRedirectUris),
            (
                with("redirect_uris", json!(["https://app.example/callback", "javascript:alert(1)"])),
                BadDocument::RedirectUri { uri: "javascript:alert(1)".to_owned(), source: BadRedirectUri::Scheme },
            ),
        ] {
            assert_eq!(read(&bad), Err(why), "{bad}");
        }
        assert!(read(&with("redirect_uris", redirects(MAX_REDIRECT_URIS))).is_ok());
        assert!(client.may_refresh);
        assert!(!read(&with("grant_types", json!(["authorization_code"]))).unwrap().may_refresh);
        assert!(!read(&without("grant_types")).unwrap().may_refresh);
        for unsaid in ["client_name", "grant_types", "response_types", "token_endpoint_auth_method", "scope"] {
            assert!(read(&without(unsaid)).is_ok(), "{unsaid}");
        }
    }

    #[test]
    fn a24_what_is_no_json_object_is_refused() {
        let text = good().to_string();
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/cimd+json"] {
            assert!(read_as(Some(kind), &text).is_ok(), "{kind}");
        }
        for kind in ["text/html", "text/plain", "text/json", "application/jsonp", "application/x; y=+json", "json", ""]
        {
            assert_eq!(read_as(Some(kind), &text), Err(BadDocument::MediaType), "{kind}");
        }
        assert_eq!(read_as(None, &text), Err(BadDocument::MediaType));

        let read = |text: &str| read_as(Some("application/json"), text);
        assert!(read(&format!(" \n{text}\n")).is_ok());
        for other in ["", "null", "\"x\"", "[]", &format!("[{text}]"), &format!("\u{feff}{text}")] {
            assert_eq!(read(other), Err(BadDocument::NotAnObject), "{other}");
        }
        let doubled = |member: &str| text.replacen('{', &format!("{{{member},"), 1);
        for broken in [
            text[..text.len() - 1].to_owned(),
            format!("{text}{text}"),
            doubled("\"client_id\":\"https://other.example/x\""),
            doubled("\"redirect_uris\":[\"https://evil.example/\"]"),
            with("redirect_uris", json!("https://app.example/callback")).to_string(),
            with("client_id", json!(["https://app.example/client.json"])).to_string(),
            with("scope", json!("a\"b")).to_string(),
            with("client_name", json!(5)).to_string(),
        ] {
            let refused = read(&broken).unwrap_err();
            assert!(matches!(refused, BadDocument::Json { .. }), "{broken}: {refused:?}");
            assert!(!refused.to_string().contains("evil"), "{refused}");
        }
    }

    #[test]
    fn a22_names_are_made_harmless() {
        let name = |sent: &str| read(&with("client_name", json!(sent))).unwrap().name;
        assert_eq!(name("a\u{202e}b\u{2066}c\n\u{1b}[31m").as_deref(), Some("abc[31m"));
        assert_eq!(name("\u{200f} "), None);
        assert_eq!(name(&"x".repeat(4000)).unwrap().len(), 100);
    }

    /// As it was published in 2026, but for the hosts.
    #[test]
    fn the_document_of_an_editor_in_the_field_is_one() {
        let document = json!({
            "client_id": ID,
            "client_name": "Visual Studio Code",
            "client_uri": "https://code.visualstudio.example",
            "logo_uri": "https://code.visualstudio.example/logo.png",
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"],
            "redirect_uris": ["https://vscode.example/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"],
            "token_endpoint_auth_method": "none",
            "token_endpoint_auth_methods_supported": ["none"],
            "application_type": "native",
        });
        assert_eq!(read(&document).unwrap().redirect_uris.len(), 3);
    }
}
