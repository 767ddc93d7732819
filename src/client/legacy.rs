//! Servers of MCP 2025-03-26, which publish no protected resource metadata: each is its own issuer.

use serde_json::json;

use super::{
    Client, ClientError, Discovery,
    discover::DiscoverError,
    identity::Whose,
    login::LoginError,
    tokens::{Held, Need},
};
use crate::oauth::{Issuer, ServerMetadata, pkce::S256};

impl Client {
    /// Gets a token from the server's own origin: by the metadata there, else by the endpoints that the revision names
    /// for servers without any.
    ///
    /// An address that nobody has published is only good for a login: no secret of ours goes there.
    pub(super) async fn obtain_as_of_2025_03_26(&self, need: &Need<'_>) -> Result<Held, ClientError> {
        let server = &self.settings.server;
        let nothing = || ClientError::from(DiscoverError::NoResourceMetadata(server.clone()));
        let issuer = Issuer::parse(server.origin().as_str()).map_err(|_| nothing())?;
        let (metadata, is_published) = match self.issuer_metadata(&issuer).await {
            Ok(metadata) => (metadata, true),
            Err(ClientError::Discover(DiscoverError::NoIssuerMetadata { .. })) => (assumed(&issuer), false),
            Err(error) => return Err(error),
        };
        let discovery = Discovery { resource: None, issuer: metadata };
        match self.whose(&issuer).await? {
            Whose::Client(identity) if is_published => self.obtain_as_machine(need, &discovery, &identity).await,
            Whose::Client(_) => Err(nothing()),
            Whose::Person if is_published => self.obtain_by_login(need, &discovery).await,
            Whose::Person => self.obtain_by_login(need, &discovery).await.map_err(|error| match error {
                // There is nothing where it might have been.
                ClientError::Login(LoginError::NotRegistered { .. }) => nothing(),
                error => error,
            }),
        }
    }
}

/// What the revision says of a server that says nothing (MCP 2025-03-26, fallbacks for servers without metadata
/// discovery). It requires PKCE of all of them.
fn assumed(issuer: &Issuer) -> ServerMetadata {
    let at = |path: &str| issuer.url().join(path).map(String::from).unwrap_or_default();
    let metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "registration_endpoint": at("/register"),
        "code_challenge_methods_supported": [S256],
    });
    serde_json::from_value(metadata).expect("an issuer and URLs of its own")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::testing::{Visitor, World, echo, field},
        secret::Secret,
    };

    const ISSUER: &str = "/.well-known/oauth-authorization-server";

    /// A server that publishes nothing about itself, and perhaps nothing about its issuer either.
    async fn world(publishes_issuer: bool) -> World {
        let world = World::new().await;
        world.change(|rules| {
            rules.challenge = None;
            rules.call_scope.clear();
            rules.documents.remove("/.well-known/oauth-protected-resource/mcp");
            if !publishes_issuer {
                rules.documents.remove(ISSUER);
            }
        });
        world
    }

    fn is_silent(error: &ClientError) -> bool {
        matches!(error, ClientError::Discover(DiscoverError::NoResourceMetadata(_)))
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_of_itself_is_its_own_issuer() {
        for publishes_issuer in [true, false] {
            let (world, person) = (world(publishes_issuer).await, Visitor::new());
            assert_eq!(echo(&world.visited_by(&person, |_| {})).await.unwrap(), "hi");
            assert_eq!(person.visits(), 1);
            let seen = world.seen();
            let requests: Vec<_> = seen.iter().map(|seen| seen.what.as_str()).collect();
            assert!(requests.contains(&"POST /register") && requests.contains(&"POST /token"), "{requests:?}");
            let token = seen.iter().find(|seen| seen.what == "POST /token").unwrap();
            assert_eq!(field(&token.body, "resource").unwrap(), format!("{}/mcp", world.origin));
            // The next one goes on with what is kept.
            assert_eq!(echo(&world.visited_by(&person, |_| {})).await.unwrap(), "hi");
            assert_eq!(world.whats(), ["POST /mcp tools/call"]);
        }
    }

    #[tokio::test]
    async fn no_secret_goes_where_nothing_was_published() {
        let person = Visitor::new();
        let machine = |world: &World| {
            world.visited_by(&person, |settings| {
                (settings.client_id, settings.client_secret) = (Some("cli".into()), Some(Secret::new("s3cret")));
            })
        };
        let silent = world(false).await;
        assert!(is_silent(&echo(&machine(&silent)).await.unwrap_err()));
        assert!(silent.seen().iter().all(|seen| seen.what != "POST /token"));
        // The twin: its metadata names where it goes.
        let world = world(true).await;
        assert_eq!(echo(&machine(&world)).await.unwrap(), "hi");
        assert_eq!(person.visits(), 0);
    }

    #[tokio::test]
    async fn where_there_is_nothing_the_first_problem_is_told() {
        let (world, person) = (world(false).await, Visitor::new());
        world.change(|rules| drop(rules.answers.insert("/register".to_owned(), (404, json!(null)))));
        assert!(is_silent(&echo(&world.visited_by(&person, |_| {})).await.unwrap_err()));
        let nobody = world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
        assert!(is_silent(&echo(&nobody).await.unwrap_err()));
        assert_eq!(person.visits(), 0);
    }
}
