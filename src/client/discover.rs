//! From a server's URL, or its 401, to the issuer's metadata: RFC 9728, RFC 8414.

use serde::de::DeserializeOwned;
use url::Url;

use super::{Client, ClientError, Kind, Settings, error::said, reach::Reach};
use crate::{
    hint::Hint,
    oauth::{Challenge, Issuer, Resource, ResourceMetadata, ServerMetadata},
};

/// What was found.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The resource's metadata and its address; `None` if the issuer was configured and the server publishes none.
    pub resource: Option<(ResourceMetadata, Url)>,
    /// The issuer's metadata; its `issuer` is the one that was asked for.
    pub issuer: ServerMetadata,
}

/// Why no issuer may be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// A challenge must not choose whom we ask.
    #[error("`{server}` points to metadata at another origin: `{pointed}`")]
    ForeignMetadata {
        /// The server called.
        server: Resource,
        /// What its challenge says, escaped.
        pointed: String,
    },
    /// Nothing at any of the well-known places.
    #[error("`{0}` does not say who issues tokens for it: it publishes no protected resource metadata (RFC 9728)")]
    NoResourceMetadata(Resource),
    /// The server wants a token for somebody else.
    #[error("`{url}` describes another resource: `resource` is `{found}`, expected `{expected}`")]
    OtherResource {
        /// The metadata.
        url: String,
        /// What it says.
        found: Resource,
        /// What was called.
        expected: Resource,
    },
    /// The configured issuer is not one that the server trusts.
    #[error("`{server}` does not accept tokens of `{issuer}`: its `authorization_servers` are {listed:?}")]
    NotListed {
        /// The server called.
        server: Resource,
        /// What is configured.
        issuer: Issuer,
        /// What the server lists.
        listed: Vec<String>,
    },
    /// The server names nobody.
    #[error("`{0}` lists no authorization server")]
    NoIssuer(String),
    /// A server out there sends us to a machine in here.
    #[error("`{server}` sends its clients inward, to {what} `{target}`")]
    Inward {
        /// The server called.
        server: Resource,
        /// What it or its issuer names.
        what: &'static str,
        /// Where that is.
        target: String,
    },
    /// Nothing at any of the three places.
    #[error("issuer `{issuer}` publishes no metadata, asked at {}", listed(.tried))]
    NoIssuerMetadata {
        /// Whose.
        issuer: Issuer,
        /// Where.
        tried: Vec<String>,
    },
    /// Somebody else's metadata (RFC 8414 section 3.3).
    #[error("`{url}` describes another issuer: `issuer` is `{found}`, expected `{expected}`")]
    OtherIssuer {
        /// The metadata.
        url: String,
        /// What it says.
        found: Issuer,
        /// What was asked for.
        expected: Issuer,
    },
    /// An endpoint that must not see a secret.
    #[error("the {name} endpoint of issuer `{issuer}` is `{url}`: plain http to an origin that is not the issuer's")]
    Endpoint {
        /// Whose.
        issuer: Issuer,
        /// Which.
        name: &'static str,
        /// Where.
        url: String,
    },
    /// Something that people must not be sent to.
    #[error(
        "the {name} of issuer `{issuer}` is `{url}`: people are sent to https pages only, or to http of this machine"
    )]
    Page {
        /// Whose.
        issuer: Issuer,
        /// Which.
        name: &'static str,
        /// Where.
        url: String,
    },
    /// Not the document it should be.
    #[error("`{url}` is not {what}: {problem}")]
    Document {
        /// Where.
        url: String,
        /// What it should be.
        what: &'static str,
        /// Why it is not, escaped and capped.
        problem: String,
    },
    /// The server broke.
    #[error("`{url}` answered with HTTP {status}")]
    Status {
        /// Where.
        url: String,
        /// What.
        status: u16,
    },
}

impl DiscoverError {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Status { .. } => Kind::Unreachable,
            _ => Kind::NotAuthenticated,
        }
    }
}

impl Hint for DiscoverError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoResourceMetadata(_) => {
                Some("name the issuer of its tokens with `--issuer`, or give a token in `SECUREMCP_TOKEN`".to_owned())
            }
            Self::OtherResource { found, expected, .. } if found.url().origin() == expected.url().origin() => {
                Some(format!("call the server by its own name: `--server {found}`"))
            }
            Self::OtherResource { .. } | Self::ForeignMetadata { .. } => {
                Some("check the URL of the server; if it is right, its operator has to correct its metadata".to_owned())
            }
            Self::NotListed { .. } => {
                Some("set `--issuer` to one of these exactly as it is written there, or leave it out".to_owned())
            }
            Self::Inward { .. } => {
                Some("if that is where you want to get tokens, name the issuer yourself with `--issuer`".to_owned())
            }
            // Keycloak 26.7 answers 400 `missingNormalization`.
            Self::NoIssuerMetadata { issuer, .. } if issuer.url().path().contains("//") => {
                Some("take the `//` out of the path of the issuer's URL".to_owned())
            }
            Self::NoIssuerMetadata { .. } => {
                Some("check the issuer's URL; for Keycloak it ends in `/realms/<name>`".to_owned())
            }
            Self::OtherIssuer { found, .. } => Some(format!(
                "the issuer's name is compared exactly: if `{found}` is right, use that name everywhere, with \
                 `--issuer-backchannel-url` for where it is reached"
            )),
            Self::Document { .. } => {
                Some("check the URL of the server or the issuer: what answers there is something else".to_owned())
            }
            _ => None,
        }
    }
}

impl Discovery {
    /// What tokens are to be for: what somebody has named, else what the server calls itself.
    pub(super) fn token_resource<'a>(&'a self, settings: &'a Settings) -> &'a Resource {
        let found = self.resource.as_ref().map(|(metadata, _)| &metadata.resource);
        settings.resource.as_ref().or(found).unwrap_or(&settings.server)
    }
}

impl Client {
    /// Finds the issuer and checks every step of the way.
    ///
    /// The metadata that a challenge names is asked first, then the well-known places of RFC 9728 section 3.1. No token
    /// and no secret is sent.
    ///
    /// # Errors
    /// [`ClientError::Discover`] if a step is missing, contradicts what was called, or leads where it must not.
    pub async fn discover(&self, challenge: Option<&Challenge>) -> Result<Discovery, ClientError> {
        let found = match self.resource_metadata(challenge).await {
            // Whom to trust is settled; that the server is down is its own problem.
            Err(ClientError::Net(_)) if self.settings.issuer.is_some() => None,
            other => other?,
        };
        let issuer = self.choose_issuer(found.as_ref())?;
        let metadata = self.issuer_metadata(&issuer).await?;
        Ok(Discovery { resource: found, issuer: metadata })
    }

    async fn resource_metadata(
        &self,
        challenge: Option<&Challenge>,
    ) -> Result<Option<(ResourceMetadata, Url)>, ClientError> {
        let server = &self.settings.server;
        let mut candidates = Vec::new();
        if let Some(pointed) = challenge.and_then(|challenge| challenge.resource_metadata.as_deref()) {
            let url = Url::parse(pointed).ok().filter(|url| url.origin() == server.url().origin());
            let foreign = || DiscoverError::ForeignMetadata { server: server.clone(), pointed: said(pointed) };
            candidates.push(url.ok_or_else(foreign)?);
        }
        let origin = server.origin();
        for url in [server.metadata_url(), origin.metadata_url()] {
            if !candidates.contains(&url) {
                candidates.push(url);
            }
        }
        for url in candidates {
            let Some(metadata) = self.document::<ResourceMetadata>(&url, "protected resource metadata").await? else {
                continue;
            };
            // What stands where the origin's own metadata belongs may be that (RFC 9728 section 3.3).
            let is_of_origin = metadata.resource == origin && url == origin.metadata_url();
            let is_named = Some(&metadata.resource) == self.settings.resource.as_ref();
            if metadata.resource != *server && !is_of_origin && !is_named {
                let (url, found, expected) = (url.to_string(), metadata.resource, server.clone());
                return Err(DiscoverError::OtherResource { url, found, expected }.into());
            }
            return Ok(Some((metadata, url)));
        }
        Ok(None)
    }

    fn choose_issuer(&self, found: Option<&(ResourceMetadata, Url)>) -> Result<Issuer, DiscoverError> {
        let server = &self.settings.server;
        match (&self.settings.issuer, found) {
            (Some(issuer), None) => Ok(issuer.clone()),
            (Some(issuer), Some((metadata, _))) if metadata.authorization_servers.contains(issuer) => {
                Ok(issuer.clone())
            }
            (Some(issuer), Some((metadata, _))) => Err(DiscoverError::NotListed {
                server: server.clone(),
                issuer: issuer.clone(),
                listed: metadata.authorization_servers.iter().map(|issuer| said(issuer.as_str())).collect(),
            }),
            (None, None) => Err(DiscoverError::NoResourceMetadata(server.clone())),
            (None, Some((metadata, url))) => {
                let issuer =
                    metadata.authorization_servers.first().ok_or_else(|| DiscoverError::NoIssuer(url.to_string()))?;
                self.check_reach("the issuer", &issuer.url())?;
                Ok(issuer.clone())
            }
        }
    }

    /// A server may send us as far inside as it is itself; further only where the configuration says so.
    pub(super) fn check_reach(&self, what: &'static str, target: &Url) -> Result<(), DiscoverError> {
        let server = &self.settings.server;
        if self.settings.issuer.is_some() || Reach::of(target) >= Reach::of(&server.url()) {
            return Ok(());
        }
        Err(DiscoverError::Inward { server: server.clone(), what, target: target.to_string() })
    }

    /// A secret that was brought along belongs to the issuer that was named with it, else to the server that is called: a
    /// server must not choose who else gets it. What is kept on the disk has its issuer beside it.
    pub(super) fn may_show(&self, secret: &'static str, issuer: &Issuer) -> Result<(), ClientError> {
        if self.settings.issuer.is_some() || issuer.url().origin() == self.settings.server.url().origin() {
            return Ok(());
        }
        Err(ClientError::IssuerNotNamed { secret, issuer: issuer.to_string() })
    }

    /// The metadata of this issuer, from where it is reached.
    pub(super) async fn issuer_metadata(&self, issuer: &Issuer) -> Result<ServerMetadata, ClientError> {
        self.metadata_at(issuer, &self.reached_at(issuer)).await
    }

    /// The metadata of whoever has this name and is reached there.
    pub(super) async fn metadata_at(&self, issuer: &Issuer, reached_at: &Url) -> Result<ServerMetadata, ClientError> {
        let tried = Issuer::metadata_urls(reached_at);
        for url in &tried {
            let Some(metadata) = self.document::<ServerMetadata>(url, "authorization server metadata").await? else {
                continue;
            };
            if metadata.issuer != *issuer {
                let (url, found, expected) = (url.to_string(), metadata.issuer, issuer.clone());
                return Err(DiscoverError::OtherIssuer { url, found, expected }.into());
            }
            return Ok(metadata);
        }
        let tried = tried.iter().map(Url::to_string).collect();
        Err(DiscoverError::NoIssuerMetadata { issuer: issuer.clone(), tried }.into())
    }

    /// Where this issuer is reached.
    pub(super) fn reached_at(&self, issuer: &Issuer) -> Url {
        self.settings.issuer_backchannel_url.clone().unwrap_or_else(|| issuer.url())
    }

    /// An endpoint of verified metadata, if a secret may be sent there: the issuer's own origin, the configured
    /// back channel, or another https origin that does not lead inward.
    pub(super) fn endpoint(&self, issuer: &Issuer, name: &'static str, url: Option<&Url>) -> Result<Url, ClientError> {
        let Some(url) = url else {
            return Err(ClientError::NotOffered { issuer: issuer.to_string(), what: format!("a {name} endpoint") });
        };
        let backchannel = self.settings.issuer_backchannel_url.as_ref().map(Url::origin);
        if url.origin() == issuer.url().origin() || Some(url.origin()) == backchannel {
            return Ok(url.clone());
        }
        if url.scheme() != "https" {
            return Err(DiscoverError::Endpoint { issuer: issuer.clone(), name, url: url.to_string() }.into());
        }
        self.check_reach("an endpoint", url)?;
        Ok(url.clone())
    }

    /// A JSON document; `None` if it is not there.
    async fn document<T: DeserializeOwned>(&self, url: &Url, what: &'static str) -> Result<Option<T>, ClientError> {
        let document = self.web.at(url)?.get(url).await?;
        if document.status.is_client_error() {
            return Ok(None);
        }
        if !document.status.is_success() {
            return Err(DiscoverError::Status { url: url.to_string(), status: document.status.as_u16() }.into());
        }
        let problem = |error: serde_json::Error| DiscoverError::Document {
            url: url.to_string(),
            what,
            problem: said(&error.to_string()),
        };
        Ok(Some(document.json().map_err(problem)?))
    }
}

fn listed(urls: &[String]) -> String {
    urls.iter().map(|url| format!("`{url}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::{World, echo, field};

    const RESOURCE_PATH: &str = "/.well-known/oauth-protected-resource/mcp";
    const ISSUER_PATH: &str = "/.well-known/oauth-authorization-server";

    fn pointing_to(url: impl Into<String>) -> Challenge {
        Challenge { resource_metadata: Some(url.into()), ..Challenge::default() }
    }

    async fn refused(client: &Client, challenge: Option<&Challenge>) -> DiscoverError {
        match client.discover(challenge).await {
            Err(ClientError::Discover(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_challenge_is_followed_on_the_servers_own_origin() {
        let world = World::new().await;
        world.change(|rules| {
            let document = rules.documents.remove(RESOURCE_PATH).unwrap();
            rules.documents.insert("/elsewhere".to_owned(), document);
        });
        let challenge = pointing_to(format!("{}/elsewhere", world.origin));
        let found = world.client().discover(Some(&challenge)).await.unwrap();
        assert_eq!(found.issuer.issuer.as_str(), world.origin);
        assert_eq!(world.whats(), ["GET /elsewhere", &format!("GET {ISSUER_PATH}")]);
    }

    #[tokio::test]
    async fn the_challenge_does_not_lead_to_another_origin() {
        let (world, other) = (World::new().await, World::new().await);
        for pointed in
            [format!("{}{RESOURCE_PATH}", other.origin), "file:///etc/passwd".to_owned(), "\u{1b}".to_owned()]
        {
            let error = refused(&world.client(), Some(&pointing_to(pointed))).await;
            assert!(matches!(error, DiscoverError::ForeignMetadata { .. }), "{error}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
        assert!(world.seen().is_empty());
        assert!(other.seen().is_empty());
    }

    #[tokio::test]
    async fn the_root_is_the_last_place() {
        let world = World::new().await;
        world.change(|rules| {
            let document = rules.documents.remove(RESOURCE_PATH).unwrap();
            rules.documents.insert("/.well-known/oauth-protected-resource".to_owned(), document);
        });
        let (_, url) = world.client().discover(None).await.unwrap().resource.unwrap();
        assert_eq!(url.path(), "/.well-known/oauth-protected-resource");
    }

    #[tokio::test]
    async fn metadata_of_another_resource_ends_it_before_any_token() {
        let world = World::new().await;
        for found in
            [format!("{}/mcp/", world.origin), format!("{}/MCP", world.origin), "https://bank.example/mcp".into()]
        {
            world.lie_as_resource("resource", found);
            let error = refused(&world.client(), None).await;
            assert!(matches!(error, DiscoverError::OtherResource { .. }), "{error}");
            assert!(world.client().access_token(None).await.is_err());
            assert!(world.whats().iter().all(|what| what == &format!("GET {RESOURCE_PATH}")));
        }
        world.lie_as_resource("resource", format!("{}/mcp", world.origin.to_uppercase().replace("HTTP", "http")));
        assert!(world.client().discover(None).await.is_ok());
    }

    #[tokio::test]
    async fn metadata_of_the_whole_origin_is_only_taken_from_the_origins_own_place() {
        let world = World::new().await;
        world.lie_as_resource("resource", world.origin.clone());
        let error = refused(&world.client(), None).await;
        assert!(matches!(error, DiscoverError::OtherResource { .. }), "at the place of `/mcp`: {error}");
        world.change(|rules| {
            let document = rules.documents.remove(RESOURCE_PATH).unwrap();
            rules.documents.insert("/elsewhere".to_owned(), document);
        });
        let error = refused(&world.client(), Some(&pointing_to(format!("{}/elsewhere", world.origin)))).await;
        assert!(matches!(error, DiscoverError::OtherResource { .. }), "where a challenge leads: {error}");
        world.change(|rules| {
            let document = rules.documents.remove("/elsewhere").unwrap();
            rules.documents.insert("/.well-known/oauth-protected-resource".to_owned(), document);
            rules.challenge = Some("Bearer".to_owned());
        });
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        assert_eq!(field(&world.token_requests()[0], "resource").unwrap(), world.origin);
        echo(&world.client()).await.unwrap();
        assert_eq!(world.whats(), ["POST /mcp tools/call"], "its token is kept");
    }

    #[tokio::test]
    async fn a_configured_issuer_must_be_listed() {
        let world = World::new().await;
        world.lie_as_resource("authorization_servers", vec!["https://other.example".to_owned(), world.origin.clone()]);
        let with = |issuer: &str| {
            let issuer = Issuer::parse(issuer).unwrap();
            world.client_with(|settings| settings.issuer = Some(issuer))
        };
        assert!(with(&world.origin).discover(None).await.is_ok());
        let error = refused(&with(&format!("{}/", world.origin)), None).await;
        assert!(matches!(error, DiscoverError::NotListed { .. }), "{error}");
        assert!(error.hint().unwrap().contains("--issuer"));
    }

    #[tokio::test]
    async fn a_server_without_metadata_needs_a_configured_issuer() {
        let world = World::new().await;
        world.change(|rules| drop(rules.documents.remove(RESOURCE_PATH)));
        let error = refused(&world.client(), None).await;
        assert!(error.hint().unwrap().contains("--issuer"), "{error}");
        let issuer = Issuer::parse(&world.origin).unwrap();
        let found = world.client_with(|settings| settings.issuer = Some(issuer)).discover(None).await.unwrap();
        assert!(found.resource.is_none());
    }

    #[tokio::test]
    async fn metadata_of_another_issuer_ends_it() {
        let world = World::new().await;
        for found in [format!("{}/", world.origin), "https://evil.example".to_owned()] {
            world.lie_as_issuer("issuer", found);
            let error = refused(&world.client(), None).await;
            assert!(matches!(error, DiscoverError::OtherIssuer { .. }), "{error}");
        }
        assert!(!world.whats().iter().any(|what| what.contains("/token")));
    }

    #[tokio::test]
    async fn the_name_stays_when_the_issuer_is_reached_elsewhere() {
        let world = World::new().await;
        world.lie_as_resource("authorization_servers", vec!["https://kc.example/realms/a"]);
        world.lie_as_issuer("issuer", "https://kc.example/realms/a");
        let client = world.client_with(|settings| {
            settings.issuer = Some(Issuer::parse("https://kc.example/realms/a").unwrap());
            settings.issuer_backchannel_url = Some(Url::parse(&world.origin).unwrap());
        });
        assert!(client.access_token(None).await.is_ok());
        assert!(world.whats().contains(&"POST /token".to_owned()));
    }

    #[tokio::test]
    async fn documents_that_are_none_and_servers_that_break_are_told_apart() {
        let world = World::new().await;
        world.change(|rules| drop(rules.answers.insert(RESOURCE_PATH.to_owned(), (200, "\u{1b}[31m".into()))));
        let error = refused(&world.client(), None).await;
        assert!(matches!(error, DiscoverError::Document { .. }) && !error.to_string().contains('\u{1b}'), "{error}");
        world.change(|rules| drop(rules.answers.insert(RESOURCE_PATH.to_owned(), (503, serde_json::Value::Null))));
        assert_eq!(refused(&world.client(), None).await.kind(), Kind::Unreachable);
    }

    async fn client_of(server: &str, change: impl FnOnce(&mut Settings)) -> Client {
        World::new().await.client_with(|settings| {
            settings.server = Resource::parse(server).unwrap();
            change(settings);
        })
    }

    #[tokio::test]
    async fn a_server_does_not_send_us_inward() {
        let found = |server: &str, issuer: &str| {
            let metadata = serde_json::json!({"resource": server, "authorization_servers": [issuer]});
            (serde_json::from_value::<ResourceMetadata>(metadata).unwrap(), Url::parse(server).unwrap())
        };
        for (server, issuer, good) in [
            ("https://mcp.example/mcp", "https://kc.example", true),
            ("https://mcp.example/mcp", "http://127.0.0.1:8080", false),
            ("https://mcp.example/mcp", "https://localhost", false),
            ("https://mcp.example/mcp", "https://10.0.0.1", false),
            ("https://mcp.example/mcp", "https://169.254.169.254", false),
            ("https://10.0.0.2/mcp", "https://10.0.0.1", true),
            ("https://10.0.0.2/mcp", "http://[::1]:1", false),
            ("http://127.0.0.1:1/mcp", "http://localhost:8080", true),
            ("http://127.0.0.1:1/mcp", "https://kc.example", true),
        ] {
            let chosen = client_of(server, |_| {}).await.choose_issuer(Some(&found(server, issuer)));
            assert_eq!(chosen.is_ok(), good, "{server} {issuer}");
            let configured = client_of(server, |settings| settings.issuer = Some(Issuer::parse(issuer).unwrap())).await;
            assert!(configured.choose_issuer(Some(&found(server, issuer))).is_ok(), "{server} {issuer}");
        }
    }

    #[tokio::test]
    async fn secrets_go_to_the_issuer_its_back_channel_or_another_https_origin() {
        let issuer = Issuer::parse("https://kc.example/realms/a").unwrap();
        let client = client_of("https://mcp.example/mcp", |settings| {
            settings.issuer_backchannel_url = Some(Url::parse("http://keycloak:8080/realms/a").unwrap());
        })
        .await;
        for (url, good) in [
            ("https://kc.example/token", true),
            ("http://keycloak:8080/token", true),
            ("https://tokens.example/token", true),
            ("http://kc.example/token", false),
            ("http://keycloak:9090/token", false),
            ("http://127.0.0.1/token", false),
            ("https://127.0.0.1/token", false),
            ("https://10.0.0.1/token", false),
            ("ftp://kc.example/token", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(client.endpoint(&issuer, "token", Some(&url)).is_ok(), good, "{url}");
        }
        assert!(matches!(client.endpoint(&issuer, "token", None), Err(ClientError::NotOffered { .. })));
    }
}
