//! As which client people log in: one that was named, one that a document describes, one that is kept, or a new one
//! (MCP 2026-07-28, client registration).

use std::net::{Ipv4Addr, TcpListener};

use url::Url;

use super::{
    LoginError,
    callback::{PATH, Place},
};
use crate::{
    client::{
        Client, ClientError, Discovery,
        identity::{Identity, Proof},
        register::{LOGIN_NAME, SavedClient},
    },
    oauth::{AuthMethod, ClientMetadata, ErrorCode, Scopes, ServerMetadata, device::DEVICE_CODE, is_https_or_loopback},
};

/// A client that people log in with.
#[derive(Debug)]
pub(in crate::client) struct LoginClient {
    pub(in crate::client) identity: Identity,
    /// Its registration, if we made it.
    saved: Option<Box<SavedClient>>,
    /// Whether its issuer has registered it just now.
    pub(super) is_new: bool,
}

impl LoginClient {
    fn of(saved: SavedClient) -> Self {
        Self { saved: Some(Box::new(saved.clone())), identity: saved.identity(), is_new: false }
    }

    /// Where its logins come back to.
    pub(super) fn place(&self) -> Result<Place, LoginError> {
        let Some(saved) = &self.saved else { return Ok(Place::default()) };
        let registered = [&saved.client.metadata.redirect_uris, &saved.requested.redirect_uris];
        let uris = registered.into_iter().find(|uris| !uris.is_empty()).map_or(&[][..], Vec::as_slice);
        let places: Vec<_> = uris.iter().filter_map(|uri| Place::of(uri)).collect();
        // One with a port is good everywhere while the port is free; one without only where RFC 8252 is known.
        let with_port = places.iter().find(|place| place.has_port()).or(places.first());
        let none = || LoginError::NoPlace { client_id: self.identity.client_id.clone(), uris: uris.to_vec() };
        with_port.cloned().ok_or_else(none)
    }

    /// The registration that was made by itself, and may be made anew by itself.
    pub(super) fn automatic(&self) -> Option<&SavedClient> {
        self.saved.as_deref().filter(|saved| saved.is_automatic())
    }
}

impl Client {
    /// The client for logins at this issuer, without asking anybody; `None` if one has to be registered.
    ///
    /// What belongs to one issuer is never shown to another; only the URL of a document is everybody's to read.
    pub(in crate::client) async fn login_client(
        &self,
        issuer: &ServerMetadata,
        grant: &'static str,
    ) -> Result<Option<LoginClient>, ClientError> {
        let (here, reached_at) = (issuer.issuer.clone(), self.reached_at(&issuer.issuer));
        if let Some(name) = self.settings.client_id.clone() {
            let identity = self.identity_as(&issuer.issuer, Some(name.clone())).await?;
            let saved =
                self.on_disk(move |state| SavedClient::newest(state, &here, &reached_at, |saved| saved.is(&name)));
            return Ok(Some(LoginClient { identity, saved: saved.await?.map(Box::new), is_new: false }));
        }
        let document = self.settings.client_metadata_url.as_ref().filter(|url| is_https_or_loopback(url));
        if let Some(url) = document.filter(|_| issuer.client_id_metadata_document_supported) {
            let identity = Identity {
                client_id: url.to_string(),
                registered_method: None,
                registered_scopes: None,
                proof: Proof::Nothing,
            };
            return Ok(Some(LoginClient { identity, saved: None, is_new: false }));
        }
        let saved =
            self.on_disk(move |state| SavedClient::newest(state, &here, &reached_at, |saved| saved.does(grant)));
        Ok(saved.await?.map(LoginClient::of))
    }

    /// Registers a public client for logins and keeps it; one that another process has just registered is taken, unless
    /// it is the one that the issuer has `forgotten`.
    ///
    /// Strangers bring no initial access token; at this account's own issuer nobody of this account is one.
    pub(super) async fn register_for_logins(
        &self,
        discovery: &Discovery,
        asked: Option<&Scopes>,
        grant: &'static str,
        forgotten: Option<&str>,
    ) -> Result<LoginClient, ClientError> {
        let issuer = &discovery.issuer;
        let reached_at = self.reached_at(&issuer.issuer);
        let (_lock, kept) = self.lock_registration(&issuer.issuer, &reached_at, LOGIN_NAME).await?;
        let is_good = |kept: &SavedClient| {
            let suffices = kept.requested.scope.as_ref().zip(asked).is_none_or(|(may, asked)| may.covers(asked));
            let was_asked_for = kept.requested.grant_types.iter().any(|known| known == grant);
            suffices && was_asked_for && forgotten.is_none_or(|forgotten| !kept.is(forgotten))
        };
        let for_this = |client: LoginClient| {
            let does = client.saved.as_ref().is_some_and(|saved| saved.does(grant));
            let refusal = || LoginError::NotForStrangers { issuer: issuer.issuer.to_string(), grant };
            if does { Ok(client) } else { Err(refusal().into()) }
        };
        if let Some(kept) = kept.filter(is_good) {
            return for_this(LoginClient::of(kept));
        }
        let opener = self.own_initial_access_token(&issuer.issuer).await?;
        let mut requested = metadata(issuer, may_ask_for(discovery, asked))?;
        let registered = match self.ask_with_room(issuer, &requested, LOGIN_NAME, opener.clone()).await {
            // Keycloak's policy may not let a stranger name scopes; what it gives everybody may be enough.
            Err(error) if requested.scope.is_some() && is_about_scopes(&error) => {
                requested.scope = None;
                self.ask_with_room(issuer, &requested, LOGIN_NAME, opener.clone()).await
            }
            answered => answered,
        };
        let client = registered.map_err(|error| match error {
            ClientError::Refused { .. }
            | ClientError::GrantNotOffered { .. }
            | ClientError::NotOffered { .. }
            | ClientError::Status { status: 400..=499, .. } => {
                LoginError::NotRegistered { issuer: issuer.issuer.to_string(), source: Box::new(error) }.into()
            }
            error => error,
        })?;
        let saved = SavedClient {
            issuer: issuer.issuer.clone(),
            reached_at,
            name: LOGIN_NAME.to_owned(),
            registered_at: self.settings.clock.since_epoch().as_secs(),
            // It takes nobody's place: whatever a person registers himself is newer.
            order: 0,
            requested,
            client,
            private_key: None,
            is_untold: false,
        };
        for_this(LoginClient { is_new: true, ..LoginClient::of(self.keep_registration(saved).await?) })
    }

    /// Whether the issuer says that it does not know this client any more. Where it gives no way to ask, `None`.
    pub(super) async fn is_forgotten(&self, saved: &SavedClient) -> Result<Option<bool>, ClientError> {
        match self.look_at(saved.clone()).await {
            Ok(_) => Ok(Some(false)),
            Err(ClientError::NotOffered { .. }) => Ok(None),
            Err(
                ClientError::Refused { code: ErrorCode::InvalidToken | ErrorCode::InvalidClient, .. }
                | ClientError::Status { status: 401 | 403 | 404, .. },
            ) => Ok(Some(true)),
            Err(error) => Err(error),
        }
    }
}

fn metadata(issuer: &ServerMetadata, scope: Option<Scopes>) -> Result<ClientMetadata, ClientError> {
    let mut grant_types = vec!["authorization_code".to_owned()];
    for grant in ["refresh_token", DEVICE_CODE] {
        let is_listed = issuer.grant_types_supported.iter().any(|listed| listed == grant);
        if is_listed || grant == "refresh_token" && issuer.supports_grant(grant) {
            grant_types.push(grant.to_owned());
        }
    }
    let host = Ipv4Addr::LOCALHOST;
    // Issuers that compare every byte of a redirect URI do not know that the port on this machine is free (RFC 8252
    // section 7.3): the one that is free now will mostly be free later.
    let port = TcpListener::bind((host, 0)).and_then(|listener| listener.local_addr());
    let port = port.map_err(LoginError::NoListener)?.port();
    Ok(ClientMetadata {
        client_name: Some(LOGIN_NAME.to_owned()),
        grant_types,
        response_types: vec!["code".to_owned()],
        redirect_uris: vec![format!("http://{host}{PATH}"), format!("http://{host}:{port}{PATH}")],
        token_endpoint_auth_method: Some(AuthMethod::None),
        scope,
        application_type: Some("native".to_owned()),
        jwks: None,
        jwks_uri: None,
    })
}

/// All that logins at this server may ever ask for: a client cannot ask for more than it was registered for.
fn may_ask_for(discovery: &Discovery, asked: Option<&Scopes>) -> Option<Scopes> {
    let published = discovery.resource.as_ref().map(|(resource, _)| resource.scopes_supported.as_slice());
    let published = Scopes::from_claims(published.unwrap_or_default().iter().map(String::as_str));
    let all = asked.map_or_else(|| published.clone(), |asked| published.union(asked));
    (!all.is_empty()).then(|| all.union(&super::offline(&discovery.issuer)))
}

fn is_about_scopes(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { code: ErrorCode::InvalidScope | ErrorCode::InvalidClientMetadata, .. } => true,
        ClientError::Refused { code: ErrorCode::Other(code), .. } => code == "insufficient_scope",
        _ => false,
    }
}

/// The document's URL as a client id, where people are sent with it.
pub(in crate::client) fn is_document(client_id: &str, document: Option<&Url>) -> bool {
    document.is_some_and(|url| url.as_str() == client_id)
}
