//! After the registration: looking at it, changing and ending it (RFC 7592).
//!
//! An issuer may replace the registration access token in every answer and kill the old one. So the room on the disk is
//! taken before it is asked, and what it answers is on the disk before anything else is done.

use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Client, ClientError,
    error::said,
    grant::ask,
    register::SavedClient,
    tokens::{KeptToken, folder},
};
use crate::{
    net::Document,
    oauth::{RegisteredClient, Scopes},
};

/// What an update must not send back (RFC 7592 section 2.2).
const KEPT_OUT: [&str; 4] =
    ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];

/// What is to become different in a registration; what is `None` or empty stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct RegistrationChange {
    /// For people.
    pub name: Option<String>,
    /// The scopes it may ask for.
    pub scopes: Option<Scopes>,
    /// The grants it will use.
    pub grants: Vec<String>,
    /// Where people come back to.
    pub redirect_uris: Vec<String>,
}

impl RegistrationChange {
    fn apply(&self, metadata: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Value| drop(metadata.insert(name.to_owned(), value));
        if let Some(name) = &self.name {
            set("client_name", json!(name));
        }
        if let Some(scopes) = &self.scopes {
            set("scope", json!(scopes));
        }
        if !self.grants.is_empty() {
            set("grant_types", json!(self.grants));
        }
        if !self.redirect_uris.is_empty() {
            set("redirect_uris", json!(self.redirect_uris));
        }
    }
}

impl Client {
    /// Asks the issuer what it knows of the kept registration (RFC 7592 section 2.1).
    ///
    /// # Errors
    /// [`ClientError::NoRegistration`] if none is kept for this issuer; [`ClientError::NotOffered`] if its issuer gave no
    /// way to ask.
    pub(crate) async fn show_registration(&self) -> Result<RegisteredClient, ClientError> {
        let saved = self.kept_registration().await?;
        Ok(self.look_at(saved).await?.client)
    }

    /// Changes the kept registration (RFC 7592 section 2.2). An update replaces everything, so all that the issuer
    /// has is sent back to it, members that mean nothing here too.
    pub(crate) async fn update_registration(
        &self,
        change: &RegistrationChange,
    ) -> Result<RegisteredClient, ClientError> {
        const ACTION: &str = "the change of the registration";
        let (saved, mut metadata) = self.look_closely(self.kept_registration().await?).await?;
        metadata.retain(|name, _| !KEPT_OUT.contains(&name.as_str()));
        metadata.insert("client_id".to_owned(), json!(saved.client.client_id));
        if let Some(secret) = &saved.client.client_secret {
            metadata.insert("client_secret".to_owned(), json!(secret));
        }
        change.apply(&mut metadata);
        let (url, request) = self.management(&saved, Method::PUT)?;
        let (mut saved, _) = self.manage(saved, ACTION, &url, request.json(&metadata)).await?;
        // What `register` will be asked for when it is to find this one again.
        let mut requested = json!(saved.requested);
        requested.as_object_mut().into_iter().for_each(|requested| change.apply(requested));
        saved.requested = serde_json::from_value(requested).unwrap_or(saved.requested);
        Ok(self.keep_registration(saved).await?.client)
    }

    /// Ends the kept registration at its issuer (RFC 7592 section 2.3), then forgets it here with its tokens; its id.
    pub(crate) async fn delete_registration(&self) -> Result<String, ClientError> {
        let saved = self.kept_registration().await?;
        self.end(&saved).await?;
        self.forget_saved(&saved).await?;
        Ok(saved.client.client_id)
    }

    /// Ends this registration at its issuer.
    pub(super) async fn end(&self, saved: &SavedClient) -> Result<(), ClientError> {
        let (url, request) = self.management(saved, Method::DELETE)?;
        ask(self.web.at(&url)?, "the deletion of the registration", &url, request).await.map(drop)
    }

    /// Forgets the kept registration and its tokens here; its id. The issuer is not told.
    pub(crate) async fn forget_registration(&self) -> Result<String, ClientError> {
        let saved = self.kept_registration().await?;
        self.forget_saved(&saved).await?;
        Ok(saved.client.client_id)
    }

    async fn forget_saved(&self, saved: &SavedClient) -> Result<(), ClientError> {
        let (issuer, client_id) = (saved.issuer.clone(), saved.client.client_id.clone());
        self.on_disk(move |state| {
            let folder = folder(state)?;
            for (name, kept) in KeptToken::every(&folder)? {
                if kept.key.issuer == issuer && kept.key.client_id == client_id {
                    folder.remove(&name)?;
                }
            }
            Ok(())
        })
        .await?;
        self.drop_registration(saved).await
    }

    async fn kept_registration(&self) -> Result<SavedClient, ClientError> {
        let issuer = self.issuer_to_register_at().await?.issuer;
        let (here, reached_at, wanted) = (issuer.clone(), self.reached_at(&issuer), self.settings.client_id.clone());
        let is_wanted = move |saved: &SavedClient| wanted.as_ref().is_none_or(|name| saved.is(name));
        let saved = self.on_disk(move |state| SavedClient::newest(state, &here, &reached_at, is_wanted)).await?;
        saved.ok_or_else(|| ClientError::NoRegistration { issuer: issuer.to_string() })
    }

    /// The registration as its issuer has it now.
    pub(super) async fn look_at(&self, saved: SavedClient) -> Result<SavedClient, ClientError> {
        Ok(self.look_closely(saved).await?.0)
    }

    /// The same, with everything that the issuer says of it.
    async fn look_closely(&self, saved: SavedClient) -> Result<(SavedClient, Map<String, Value>), ClientError> {
        let (url, request) = self.management(&saved, Method::GET)?;
        self.manage(saved, "the question about the registration", &url, request).await
    }

    /// A request to where this registration is managed, with its token.
    fn management(&self, saved: &SavedClient, method: Method) -> Result<(Url, RequestBuilder), ClientError> {
        let (Some(token), Some(url)) = (&saved.client.registration_access_token, &saved.client.registration_client_uri)
        else {
            let what = "a way to manage this registration (RFC 7592)".to_owned();
            return Err(ClientError::NotOffered { issuer: saved.issuer.to_string(), what });
        };
        let url = self.endpoint(&saved.issuer, "client configuration", Some(url))?;
        let request = self.web.at(&url)?.request(method, &url).bearer_auth(token.expose());
        Ok((url, request.header("accept", "application/json")))
    }

    /// Sends it, and saves what was answered before anything is made of it.
    async fn manage(
        &self,
        mut saved: SavedClient,
        action: &'static str,
        url: &Url,
        request: RequestBuilder,
    ) -> Result<(SavedClient, Map<String, Value>), ClientError> {
        self.take_room(saved.file_name()).await?;
        let answered = match ask(self.web.at(url)?, action, url, request).await {
            Ok(document) => read_answer(&document, &saved, action, url),
            Err(error) => Err(error),
        };
        let (now, members) = match answered {
            Ok(answered) => answered,
            Err(error) => {
                self.leave_room(saved.file_name()).await?;
                return Err(error);
            }
        };
        let old = std::mem::replace(&mut saved.client, now);
        let new = &mut saved.client;
        // An answer may leave out what did not change.
        if new.client_secret.is_none() && old.client_secret.is_some() {
            new.client_secret = old.client_secret;
            new.client_secret_expires_at = new.client_secret_expires_at.or(old.client_secret_expires_at);
        }
        new.registration_access_token = new.registration_access_token.take().or(old.registration_access_token);
        new.registration_client_uri = new.registration_client_uri.take().or(old.registration_client_uri);
        Ok((self.keep_registration(saved).await?, members))
    }
}

fn read_answer(
    document: &Document,
    saved: &SavedClient,
    action: &'static str,
    url: &Url,
) -> Result<(RegisteredClient, Map<String, Value>), ClientError> {
    let bad = |problem: String| ClientError::BadAnswer { action, url: url.to_string(), problem };
    let no_client = |_| bad("it is no registered client (RFC 7592 section 3)".to_owned());
    let now: RegisteredClient = document.json().map_err(no_client)?;
    if now.client_id != saved.client.client_id {
        return Err(bad(format!("it is about the client `{}`", said(&now.client_id))));
    }
    Ok((now, document.json().map_err(no_client)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{RegistrationRequest, testing::World},
        hint::Hint as _,
        oauth::AuthMethod,
    };

    async fn registered(world: &World) -> Client {
        registered_as(world, "ci").await
    }

    async fn registered_as(world: &World, name: &str) -> Client {
        let client = world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
        let request = RegistrationRequest {
            name: name.to_owned(),
            grants: vec!["client_credentials".to_owned()],
            redirect_uris: Vec::new(),
            scopes: None,
            auth_method: AuthMethod::ClientSecretBasic,
            initial_access_token: None,
            keycloak_admin: None,
            takes_over: true,
        };
        client.register(request).await.unwrap();
        client
    }

    #[tokio::test]
    async fn a_token_that_was_replaced_is_saved_before_it_is_shown() {
        let world = World::new().await;
        let client = registered(&world).await;
        world.seen();
        client.show_registration().await.unwrap();
        client.show_registration().await.unwrap();
        let sent: Vec<_> = world.seen().into_iter().filter_map(|seen| seen.authorization).collect();
        assert_eq!(sent, ["Bearer rat-1", "Bearer rat-2"]);
        assert!(std::fs::read_to_string(&world.files("clients")[0]).unwrap().contains("registered-secret"));
    }

    #[tokio::test]
    async fn an_answer_about_another_client_changes_nothing() {
        let world = World::new().await;
        let client = registered(&world).await;
        world.lie("/register/it", "client_id", "another");
        assert!(matches!(client.show_registration().await, Err(ClientError::BadAnswer { .. })));
        assert!(!std::fs::read_to_string(&world.files("clients")[0]).unwrap().contains("another"));
    }

    #[tokio::test]
    async fn there_is_nothing_to_show_without_a_registration() {
        let world = World::new().await;
        assert!(matches!(world.client().show_registration().await, Err(ClientError::NoRegistration { .. })));
    }

    fn sent(world: &World) -> Vec<(String, String)> {
        let seen = world.seen().into_iter().filter(|seen| seen.what.contains("/register/"));
        seen.map(|seen| (seen.what, seen.authorization.unwrap_or_default())).collect()
    }

    fn kept(world: &World) -> Value {
        serde_json::from_str(&std::fs::read_to_string(&world.files("clients")[0]).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn an_update_sends_back_all_that_the_issuer_has_and_keeps_the_new_token() {
        let world = World::new().await;
        let client = registered(&world).await;
        world.lie("/register/it", "x_unknown", json!({"a": [1]}));
        world.lie("/register/it", "client_secret_expires_at", 0);
        let change = RegistrationChange { scopes: Some(Scopes::parse("mcp:read").unwrap()), ..Default::default() };
        let updated = client.update_registration(&change).await.unwrap();
        assert_eq!(updated.registration_access_token.unwrap().expose(), "rat-2");
        let seen = world.seen().into_iter().find(|seen| seen.what == "PUT /register/it").unwrap();
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        let expected = json!({
            "client_name": "ci", "grant_types": ["client_credentials"], "scope": "mcp:read", "x_unknown": {"a": [1]},
            "token_endpoint_auth_method": "client_secret_basic", "application_type": "native",
            "client_id": body["client_id"], "client_secret": "registered-secret",
        });
        assert_eq!(body, expected);
        assert_eq!(kept(&world)["requested"]["scope"], "mcp:read");
        assert_eq!(kept(&world)["client"]["registration_access_token"], "rat-2");
        client.show_registration().await.unwrap();
        assert_eq!(sent(&world), [("GET /register/it".to_owned(), "Bearer rat-2".to_owned())]);
    }

    #[tokio::test]
    async fn nothing_is_asked_when_the_answer_could_not_be_kept() {
        let world = World::new().await;
        let client = registered(&world).await;
        let before = kept(&world);
        let name = world.files("clients")[0].file_name().unwrap().to_owned();
        // What cannot be removed cannot be written either.
        let in_the_way = world.state_dir().join("clients").join(format!(".{}.new", name.to_str().unwrap()));
        std::fs::create_dir(&in_the_way).unwrap();
        world.seen();
        assert!(matches!(client.show_registration().await, Err(ClientError::Store(_))));
        assert!(matches!(client.update_registration(&RegistrationChange::default()).await, Err(ClientError::Store(_))));
        assert!(sent(&world).is_empty() && kept(&world) == before);
        std::fs::remove_dir(in_the_way).unwrap();
        client.show_registration().await.unwrap();
        assert_eq!(sent(&world).len(), 1);
    }

    #[tokio::test]
    async fn a_refusal_takes_nothing_away() {
        let world = World::new().await;
        let client = registered(&world).await;
        let before = kept(&world);
        for (status, error) in [(401, "invalid_token"), (400, "invalid_client_metadata"), (503, "server_error")] {
            world.change(|rules| {
                rules.answers.insert("/register/it".to_owned(), (status, json!({ "error": error })));
            });
            let refused = client.update_registration(&RegistrationChange::default()).await.unwrap_err();
            assert!(matches!(refused, ClientError::Refused { .. }), "{refused}");
            assert!(refused.hint().is_some(), "{refused}");
            assert!(client.delete_registration().await.is_err());
            assert_eq!(kept(&world), before);
            assert_eq!(std::fs::read_dir(world.state_dir().join("clients")).unwrap().count(), 3, "two locks, no room");
        }
    }

    #[tokio::test]
    async fn a_deleted_registration_is_gone_with_its_tokens() {
        let world = World::new().await;
        let client = registered(&world).await;
        client.access_token(None).await.unwrap();
        world.client().access_token(None).await.unwrap();
        assert_eq!(world.files("tokens").len(), 2);
        world.seen();
        client.delete_registration().await.unwrap();
        assert_eq!(sent(&world), [("DELETE /register/it".to_owned(), "Bearer rat-1".to_owned())]);
        assert!(world.files("clients").is_empty());
        assert_eq!(world.files("tokens").len(), 1, "the other client's token stays");
        assert!(matches!(client.delete_registration().await, Err(ClientError::NoRegistration { .. })));
    }

    #[tokio::test]
    async fn a_registration_can_be_forgotten_without_its_issuers_leave() {
        let world = World::new().await;
        let client = registered(&world).await;
        world.seen();
        client.forget_registration().await.unwrap();
        assert!(sent(&world).is_empty() && world.files("clients").is_empty());
    }

    #[tokio::test]
    async fn of_registrations_of_one_second_the_last_is_used() {
        let world = World::new().await;
        let mut last = String::new();
        for name in ["b", "a", "d", "c"] {
            last = registered_as(&world, name).await.show_registration().await.unwrap().client_id;
            let newest = world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
            assert_eq!(newest.kept_registration().await.unwrap().name, name);
        }
        let again = registered_as(&world, "c").await.kept_registration().await.unwrap();
        assert_eq!((again.client.client_id, again.order), (last, 4), "asked for again, and still the last");
    }
}
