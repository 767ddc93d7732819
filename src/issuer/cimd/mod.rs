//! Clients that nobody registered: the client id is the URL of a document that says what the client is
//! (draft-ietf-oauth-client-id-metadata-document; MCP has clients try this before registration).
//!
//! Whoever opens a login chooses the URL, so a fetch is for `net::Guard`, and counted before it is made.

mod document;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, header};
use tokio::sync::Semaphore;
use url::Url;

pub(super) use document::{BadDocument, BadDocumentId, DocumentClient};

use super::{
    Sender, Settings,
    attempts::{BySender, Closed},
};
use crate::{
    clock::SharedClock,
    hint::Hint,
    net::{Flights, Guard, GuardError, Options},
    said::said,
};

/// One fetch, from resolving the name to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Documents that one sender may have us fetch within a minute.
const MAX_OF_EACH: u32 = 20;
/// And all senders together.
const MAX_OF_ALL: u32 = 60;
/// Fetches under way at once.
const MAX_AT_ONCE: usize = 8;
/// How soon somebody who came when there were as many is to come back: one of those has then ended.
const SOON: Duration = FETCH_TIMEOUT;
/// Documents kept at once: about 1 MiB.
const MAX_KEPT: usize = 256;
/// How long a document is kept that says less, and one that says nothing, and one that says more.
const SHORTEST: Duration = Duration::from_mins(1);
const USUAL: Duration = Duration::from_mins(10);
const LONGEST: Duration = Duration::from_hours(24);

/// Whether a client id is meant to be the URL of a document: no id that this issuer gives out looks like one.
pub(super) fn is_document_id(client_id: &str) -> bool {
    let begins_with = |scheme: &str| client_id.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
    begins_with("https:") || begins_with("http:")
}

/// Why there is no such client.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum CimdError {
    /// The URL itself.
    #[error("`{client_id}` is not a URL that can be a client's id")]
    Id {
        /// Safe to show.
        client_id: String,
        source: BadDocumentId,
    },
    /// There is no document.
    #[error("cannot fetch what the client `{client_id}` says of itself")]
    Fetch {
        client_id: String,
        /// Those who waited for one fetch share it.
        source: Arc<GuardError>,
    },
    /// The document is not one of a client that can be served here.
    #[error("cannot use what the client `{client_id}` says of itself")]
    Document { client_id: String, source: BadDocument },
    /// Too many fetches.
    #[error("too many documents of clients are being fetched {whose}")]
    TooMany {
        /// By whom.
        whose: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
}

impl Hint for CimdError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Id { source, .. } => Some(source.hint()),
            Self::Fetch { source, .. } => source.hint(),
            Self::Document { .. } => Some("whoever makes the client has to correct its document".to_owned()),
            Self::TooMany { retry_after, .. } => Some(format!("try again in {} s", retry_after.as_secs() + 1)),
        }
    }
}

/// The documents of clients: fetched when they are needed, and kept for a while.
#[derive(Debug)]
pub(super) struct Documents {
    guard: Guard,
    clock: SharedClock,
    kept: Mutex<HashMap<String, Kept>>,
    under_way: Flights<String, Result<Arc<DocumentClient>, CimdError>>,
    at_once: Semaphore,
    fetches: Mutex<BySender>,
}

#[derive(Debug)]
struct Kept {
    client: Arc<DocumentClient>,
    /// Of the monotonic clock.
    until: Duration,
}

impl Documents {
    /// None yet.
    pub(super) fn new(settings: &Settings) -> Self {
        let guard = Guard::new(Options::with_timeout(FETCH_TIMEOUT), settings.cimd_allow_loopback);
        Self {
            guard,
            clock: Arc::clone(&settings.clock),
            kept: Mutex::default(),
            under_way: Flights::default(),
            at_once: Semaphore::new(MAX_AT_ONCE),
            fetches: Mutex::new(BySender::new(MAX_OF_EACH, MAX_OF_ALL)),
        }
    }

    /// The client whose id this is, as its document says now or said a while ago.
    ///
    /// Refusals are not kept: whoever corrects a document is served at once.
    pub(super) async fn client(
        &self,
        client_id: &str,
        sender: Option<Sender>,
    ) -> Result<Arc<DocumentClient>, CimdError> {
        if let Some(client) = self.find(client_id) {
            return Ok(client);
        }
        let url = document::parse_id(client_id).map_err(|source| {
            // Somebody's text, of any length.
            let client_id = said(&client_id.chars().take(document::MAX_ID_BYTES).collect::<String>());
            CimdError::Id { client_id, source }
        })?;
        self.count(sender)?;
        self.under_way.join(client_id.to_owned(), self.fetch(client_id, &url)).await
    }

    async fn fetch(&self, client_id: &str, url: &Url) -> Result<Arc<DocumentClient>, CimdError> {
        let Ok(_permit) = self.at_once.try_acquire() else {
            return Err(CimdError::TooMany { whose: "at once", retry_after: SOON });
        };
        let answer = self.guard.get(url).await;
        let answer =
            answer.map_err(|source| CimdError::Fetch { client_id: client_id.to_owned(), source: Arc::new(source) })?;
        let client = DocumentClient::read(client_id, &answer.headers, &answer.body)
            .map_err(|source| CimdError::Document { client_id: client_id.to_owned(), source })?;
        let client = Arc::new(client);
        self.keep(&client, lifetime(&answer.headers));
        Ok(client)
    }

    fn find(&self, client_id: &str) -> Option<Arc<DocumentClient>> {
        let now = self.clock.monotonic();
        let kept = self.kept();
        kept.get(client_id).filter(|kept| now < kept.until).map(|kept| Arc::clone(&kept.client))
    }

    fn keep(&self, client: &Arc<DocumentClient>, lifetime: Duration) {
        let now = self.clock.monotonic();
        let mut all = self.kept();
        all.retain(|_, kept| now < kept.until);
        if all.len() >= MAX_KEPT && !all.contains_key(&client.client_id) {
            let next = all.iter().min_by_key(|(_, kept)| kept.until).map(|(client_id, _)| client_id.clone());
            next.and_then(|client_id| all.remove(&client_id));
        }
        all.insert(client.client_id.clone(), Kept { client: Arc::clone(client), until: now + lifetime });
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, sender: Option<Sender>) -> Result<(), CimdError> {
        let mut fetches = self.fetches.lock().unwrap_or_else(PoisonError::into_inner);
        fetches.count(sender, self.clock.monotonic()).map_err(|closed| match closed {
            Closed::ForSender(retry_after) => CimdError::TooMany { whose: "for this address", retry_after },
            Closed::ForAll(retry_after) => CimdError::TooMany { whose: "for all addresses", retry_after },
        })
    }
}

/// How long an answer is good, by its own account (RFC 9111 section 5.2.2) within our bounds.
fn lifetime(headers: &HeaderMap) -> Duration {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut lifetime = USUAL;
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, value) = directive.trim().split_once('=').unwrap_or((directive.trim(), ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return SHORTEST,
            "max-age" => {
                let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.parse().ok()).unwrap_or(0);
                // What is no number is no promise.
                let seconds = value.trim_matches('"').parse::<u32>().unwrap_or(0);
                lifetime = Duration::from_secs(u64::from(seconds.saturating_sub(age)));
            }
            _ => {}
        }
    }
    lifetime.clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::future::join_all;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        clock::TestClock,
        issuer::testing,
        net::testing::{Answer, Site},
        oauth::{RedirectUri, Scopes},
    };

    const SECOND: Duration = Duration::from_secs(1);

    struct Fixture {
        site: Site,
        documents: Documents,
        clock: Arc<TestClock>,
    }

    impl Fixture {
        /// A site on this machine, and whether that may be asked.
        async fn new(allow_loopback: bool) -> Self {
            let issuer = testing::Fixture::new();
            let settings = Settings { cimd_allow_loopback: allow_loopback, ..issuer.embedded.settings.clone() };
            let site = Site::http(Answer::json("{}")).await;
            Self { documents: Documents::new(&settings), clock: Arc::clone(&issuer.clock), site }
        }

        fn id(&self, path: &str) -> String {
            format!("http://{}/{path}", self.site.address)
        }

        /// Has the site serve a good document at this path, changed, with these headers.
        fn serve_with(&self, path: &str, headers: &str, change: impl FnOnce(&mut Value)) {
            let mut document = json!({ "client_id": self.id(path), "redirect_uris": ["http://127.0.0.1/callback"] });
            change(&mut document);
            let head = format!("200 OK\r\nContent-Type: application/json{headers}");
            self.site.answer(Answer::with(&head, document.to_string()));
        }

        fn serve(&self, path: &str) {
            self.serve_with(path, "", |_| ());
        }

        async fn client(&self, path: &str) -> Result<Arc<DocumentClient>, CimdError> {
            self.client_for(path, 1).await
        }

        async fn client_for(&self, path: &str, sender: u8) -> Result<Arc<DocumentClient>, CimdError> {
            self.documents.client(&self.id(path), Some(Sender(IpAddr::from([198, 51, 100, sender])))).await
        }
    }

    #[test]
    fn ids_that_this_issuer_gives_out_are_no_urls() {
        for url in ["https://app.example/client.json", "http://127.0.0.1/x", "HTTPS://app.example/", "https:"] {
            assert!(is_document_id(url), "{url}");
        }
        for other in ["client-0123", "", "https", "ftp://app.example/x", "x https://app.example/x", "\u{fffd}ttps:"] {
            assert!(!is_document_id(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a24_a_client_is_what_its_document_says() {
        let fixture = Fixture::new(true).await;
        fixture.serve_with("client.json", "", |document| {
            document["client_name"] = json!("An\u{202e} editor");
            document["scope"] = json!("mcp:read");
        });
        let client = fixture.client("client.json").await.unwrap();
        assert_eq!(
            *client,
            DocumentClient {
                client_id: fixture.id("client.json"),
                name: Some("An editor".to_owned()),
                redirect_uris: vec![RedirectUri::parse("http://127.0.0.1/callback").unwrap()],
                may_refresh: false,
                scope: Some(Scopes::parse("mcp:read").unwrap()),
            }
        );
        let request = fixture.site.requests(1).await.remove(0);
        assert!(request.starts_with("GET /client.json HTTP/1.1\r\n"), "{request}");
        assert!(!request.to_lowercase().contains("cookie") && !request.to_lowercase().contains("authorization"));
    }

    #[tokio::test]
    async fn a24_documents_on_this_machine_are_asked_for_only_where_that_is_allowed() {
        let fixture = Fixture::new(false).await;
        fixture.serve("client.json");
        let refused = fixture.client("client.json").await.unwrap_err();
        assert!(matches!(refused, CimdError::Fetch { source, .. } if matches!(*source, GuardError::Plain(_))));
        let by_https = fixture.id("client.json").replacen("http:", "https:", 1);
        let refused = fixture.documents.client(&by_https, None).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("cannot fetch what the client `{by_https}` says of itself"));
        assert!(refused.hint().unwrap().contains("public internet"));
        assert!(matches!(refused, CimdError::Fetch { source, .. } if matches!(*source, GuardError::NotPublic(_))));
        assert_eq!(fixture.site.connections().await, 0);

        let fixture = Fixture::new(true).await;
        fixture.serve("client.json");
        assert!(fixture.client("client.json").await.is_ok());
        assert_eq!(fixture.site.connections().await, 1);
    }

    #[tokio::test]
    async fn a24_nothing_is_fetched_for_an_id_that_is_none() {
        let fixture = Fixture::new(true).await;
        let at = fixture.site.address;
        for bad in [
            format!("http://{at}/"),
            format!("http://{at}"),
            format!("http://{at}/client.json#x"),
            format!("http://user@{at}/client.json"),
            format!("http://{at}/x/../client.json"),
            format!("http://{at}/%2e%2e/client.json"),
            format!("http://2130706433:{}/client.json", at.port()),
            format!("HTTP://{at}/client.json"),
            format!("http://{at}/client.json\n"),
            format!("http://{at}/{}", "x".repeat(document::MAX_ID_BYTES)),
        ] {
            let refused = fixture.documents.client(&bad, None).await.unwrap_err();
            assert!(matches!(refused, CimdError::Id { .. }), "{bad}: {refused:?}");
            assert!(!refused.to_string().contains('\n') && refused.hint().is_some());
        }
        assert_eq!(fixture.site.connections().await, 0);
        fixture.serve("client.json");
        assert!(fixture.client("client.json").await.is_ok());
    }

    #[tokio::test]
    async fn a21_no_address_in_a_document_is_asked() {
        let (fixture, other) = (Fixture::new(true).await, Site::http(Answer::json("{}")).await);
        fixture.serve_with("client.json", "", |document| {
            for member in
                ["logo_uri", "jwks_uri", "client_uri", "sector_identifier_uri", "tos_uri", "policy_uri", "request_uris"]
            {
                document[member] = json!(format!("http://{}/x", other.address));
            }
        });
        assert!(fixture.client("client.json").await.is_ok());
        assert_eq!((fixture.site.connections().await, other.connections().await), (1, 0));
    }

    #[tokio::test]
    async fn a24_refusals_are_not_kept() {
        let fixture = Fixture::new(true).await;
        let document = json!({ "client_id": fixture.id("client.json"), "redirect_uris": ["http://127.0.0.1/"] });
        for (wrong, is_fetched) in [
            (Answer::with("404 Not Found\r\nCache-Control: max-age=9999", "{}"), false),
            (Answer::with("302 Found\r\nLocation: /client.json\r\nCache-Control: max-age=9999", "{}"), false),
            (Answer::with("200 OK\r\nContent-Type: text/html", document.to_string()), true),
            (Answer::json("not JSON"), true),
            (Answer::json(json!({ "client_id": fixture.id("other.json") }).to_string()), true),
        ] {
            fixture.site.answer(wrong.clone());
            let refused = fixture.client("client.json").await.unwrap_err();
            assert_eq!(matches!(refused, CimdError::Document { .. }), is_fetched, "{wrong:?}: {refused:?}");
            assert!(refused.hint().is_some());
            fixture.serve("client.json");
            assert!(fixture.client("client.json").await.is_ok(), "after {wrong:?}");
            // Until what is kept has gone.
            fixture.clock.advance(LONGEST);
        }
        assert_eq!(fixture.site.connections().await, 10);
    }

    #[tokio::test]
    async fn a24_a_document_is_kept_as_long_as_it_says_within_bounds() {
        for (said, kept) in [
            ("Cache-Control: public", USUAL),
            ("Expires: 0", USUAL),
            ("Cache-Control: max-age=3600", Duration::from_hours(1)),
            ("cache-control: Public, MAX-AGE=\"3600\"", Duration::from_hours(1)),
            ("Cache-Control: max-age=3600\r\nAge: 600", Duration::from_mins(50)),
            ("Cache-Control: max-age=0", SHORTEST),
            ("Cache-Control: max-age=3600\r\nAge: 9999", SHORTEST),
            ("Cache-Control: max-age=x", SHORTEST),
            ("Cache-Control: max-age=3600, no-store", SHORTEST),
            ("Cache-Control: no-cache\r\nCache-Control: max-age=3600", SHORTEST),
            ("Cache-Control: max-age=31536000", LONGEST),
        ] {
            let fixture = Fixture::new(true).await;
            fixture.serve_with("client.json", &format!("\r\n{said}"), |_| ());
            let mut asked = Vec::new();
            for wait in [Duration::ZERO, kept.saturating_sub(SECOND), SECOND] {
                fixture.clock.advance(wait);
                assert!(fixture.client("client.json").await.is_ok());
                asked.push(fixture.site.connections().await);
            }
            assert_eq!(asked, [1, 1, 2], "{said}");
        }
    }

    #[tokio::test]
    async fn a24_only_so_many_documents_are_kept() {
        let fixture = Fixture::new(true).await;
        for index in 0..=MAX_KEPT {
            let client = DocumentClient {
                client_id: index.to_string(),
                name: None,
                redirect_uris: Vec::new(),
                may_refresh: false,
                scope: None,
            };
            // The second is the first that would go by itself.
            let lifetime = if index == 1 { SHORTEST } else { LONGEST };
            fixture.documents.keep(&Arc::new(client), lifetime);
        }
        assert_eq!(fixture.documents.kept().len(), MAX_KEPT);
        let is_kept = |index: usize| fixture.documents.find(&index.to_string()).is_some();
        assert_eq!([0, 1, 2, MAX_KEPT].map(is_kept), [true, false, true, true]);
    }

    #[tokio::test]
    async fn a24_many_who_ask_at_once_make_one_fetch() {
        let fixture = Fixture::new(true).await;
        fixture.serve("client.json");
        let answers = join_all((0..10).map(|_| fixture.client("client.json"))).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(fixture.site.connections().await, 1);
        // A refusal is everybody's who waited for it, and nobody's later.
        fixture.site.answer(Answer::json("{}"));
        let answers = join_all((0..5).map(|_| fixture.client("other.json"))).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(fixture.site.connections().await, 2);
        assert!(fixture.client("other.json").await.is_err());
        assert_eq!(fixture.site.connections().await, 3);
    }

    fn is_too_many(answer: &Result<Arc<DocumentClient>, CimdError>) -> Option<(&'static str, u64)> {
        match answer {
            Err(CimdError::TooMany { whose, retry_after }) => Some((whose, retry_after.as_secs())),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a24_one_sender_makes_us_fetch_so_often_and_no_more() {
        let fixture = Fixture::new(true).await;
        fixture.serve("kept.json");
        assert!(fixture.client("kept.json").await.is_ok());
        fixture.serve("client.json");
        for _ in 1..MAX_OF_EACH {
            let refused = fixture.client("other.json").await;
            assert!(matches!(refused, Err(CimdError::Document { .. })), "{refused:?}");
        }
        fixture.clock.advance(Duration::from_secs(20));
        assert_eq!(is_too_many(&fixture.client("client.json").await), Some(("for this address", 40)));
        assert!(fixture.client("kept.json").await.is_ok(), "what is kept costs nothing");
        assert_eq!(fixture.site.connections().await, MAX_OF_EACH as usize);
        assert!(fixture.client_for("client.json", 2).await.is_ok());
        fixture.clock.advance(Duration::from_mins(30));
        fixture.serve("client.json");
        assert!(fixture.client("client.json").await.is_ok());
    }

    #[tokio::test]
    async fn a24_all_senders_together_make_us_fetch_so_often_and_no_more() {
        let fixture = Fixture::new(true).await;
        for turn in 0..MAX_OF_ALL {
            let refused = fixture.client_for("other.json", u8::try_from(turn).unwrap()).await;
            assert!(matches!(refused, Err(CimdError::Document { .. })), "{refused:?}");
        }
        fixture.serve("client.json");
        assert_eq!(is_too_many(&fixture.client_for("client.json", 200).await), Some(("for all addresses", 60)));
        assert_eq!(fixture.site.connections().await, MAX_OF_ALL as usize);
        fixture.clock.advance(Duration::from_mins(1));
        assert!(fixture.client_for("client.json", 200).await.is_ok());
    }

    #[tokio::test]
    async fn a24_slow_sites_take_a_few_fetches_at_once_and_no_more() {
        let fixture = Arc::new(Fixture::new(true).await);
        fixture.site.answer(Answer::Silence(""));
        let fetches: Vec<_> = (0..MAX_AT_ONCE)
            .map(|index| {
                let fixture = Arc::clone(&fixture);
                tokio::spawn(async move { fixture.client(&format!("{index}.json")).await })
            })
            .collect();
        fixture.site.requests(MAX_AT_ONCE).await;
        assert_eq!(is_too_many(&fixture.client("client.json").await), Some(("at once", SOON.as_secs())));
        assert_eq!(fixture.site.connections().await, MAX_AT_ONCE);
        fetches.iter().for_each(tokio::task::JoinHandle::abort);
        for fetch in fetches {
            assert!(fetch.await.unwrap_err().is_cancelled());
        }
        fixture.serve("client.json");
        assert!(fixture.client("client.json").await.is_ok(), "whoever gives up makes room");
    }
}
