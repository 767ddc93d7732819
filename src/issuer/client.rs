//! A client: what is kept of it, what it may ask for, and what it proves itself with.

use serde::{Deserialize, Serialize};
use url::Url;

use super::cimd::{DocumentClient, is_document_id};
use crate::{
    jose::KeySet,
    oauth::{AuthMethod, RedirectUri, Scopes, device::DEVICE_CODE},
};

/// The name of the server's own page as a client. No other client's begins like it.
pub const PAGE_CLIENT: &str = "docs";

/// What is kept of a client. Of its secrets only hashes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) id: String,
    /// Seconds since the epoch.
    pub(super) issued_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// All it may ever ask for.
    pub(super) scope: Scopes,
    /// The ways in which it may ask.
    #[serde(default = "for_itself")]
    pub(super) grants: Vec<GrantType>,
    /// Where people come back to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) redirect_uris: Vec<RedirectUri>,
    pub(super) proof: Proof,
    /// Absent for the client that the issuer provisions itself: nobody manages it over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) registration_token_sha256: Option<String>,
    /// The one before. It works until the new one is used: an answer that was lost on its way locks nobody out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous_registration_token_sha256: Option<String>,
    /// Whether whoever registered it had no initial access token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_strangers: bool,
    /// Whether it has never got a token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_unused: bool,
}

/// A way to ask for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GrantType {
    /// A person says yes, and comes back with a code (RFC 6749 section 4.1).
    AuthorizationCode,
    /// A person has said yes before (RFC 6749 section 6).
    RefreshToken,
    /// A person says yes on another device (RFC 8628).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
    /// The client speaks for itself (RFC 6749 section 4.4).
    ClientCredentials,
}

impl GrantType {
    /// All that are served here.
    pub(super) const ALL: [Self; 4] =
        [Self::AuthorizationCode, Self::RefreshToken, Self::DeviceCode, Self::ClientCredentials];

    /// The registered name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::DeviceCode => DEVICE_CODE,
            Self::ClientCredentials => "client_credentials",
        }
    }

    /// The grant of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

fn for_itself() -> Vec<GrantType> {
    vec![GrantType::ClientCredentials]
}

impl Client {
    /// One that is described elsewhere, for as long as a login takes.
    pub(super) fn described(document: &DocumentClient, supported: &Scopes) -> Self {
        let scope = document.scope.as_ref().map(|scope| {
            // What it means to ask for elsewhere means nothing here.
            Scopes::from_claims(scope.iter().filter(|scope| supported.contains(scope)))
        });
        let scope = scope.filter(|scope| !scope.is_empty()).unwrap_or_else(|| supported.clone());
        let mut grants = vec![GrantType::AuthorizationCode];
        grants.extend(document.may_refresh.then_some(GrantType::RefreshToken));
        Self {
            name: document.name.clone(),
            scope,
            grants,
            redirect_uris: document.redirect_uris.clone(),
            ..Self::named_by_url(&document.client_id)
        }
    }

    /// The same where its document says nothing that matters: what it has was granted to this very name.
    pub(super) fn named_by_url(client_id: &str) -> Self {
        Self {
            id: client_id.to_owned(),
            issued_at: 0,
            name: None,
            scope: Scopes::none(),
            grants: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            redirect_uris: Vec::new(),
            proof: Proof::None,
            registration_token_sha256: None,
            previous_registration_token_sha256: None,
            is_strangers: true,
            is_unused: false,
        }
    }

    /// The host that stands for what the client says of itself.
    pub(super) fn vouched_by(&self) -> Option<String> {
        if self.is_own_page() {
            return self.redirect_uris.first().map(RedirectUri::place);
        }
        let url = Url::parse(&self.id).ok().filter(|_| is_document_id(&self.id))?;
        url.host_str().map(str::to_owned)
    }

    /// Whether it may ask in this way.
    pub(super) fn may(&self, grant: GrantType) -> bool {
        self.grants.contains(&grant)
    }

    /// Whether it is the page of the server that the issuer is part of.
    pub(super) fn is_own_page(&self) -> bool {
        self.id == PAGE_CLIENT
    }

    /// Whether people may be sent to `asked`. The server knows the port of its own page: no other program of this machine
    /// may stand in for it.
    pub(super) fn comes_back_to(&self, asked: &str) -> bool {
        let is_whole = self.is_own_page();
        let mut registered = self.redirect_uris.iter();
        registered.any(|registered| if is_whole { registered.as_str() == asked } else { registered.allows(asked) })
    }
}

/// What a client proves itself with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub(super) enum Proof {
    /// Nothing: a public client, which a person vouches for each time.
    None,
    /// A secret in the `Authorization` header.
    ClientSecretBasic { secret_sha256: String },
    /// A secret in the form.
    ClientSecretPost { secret_sha256: String },
    /// Assertions signed with one of these keys.
    PrivateKeyJwt { jwks: serde_json::Value },
}

impl Proof {
    /// The method's registered name.
    pub(super) fn method(&self) -> AuthMethod {
        match self {
            Self::None => AuthMethod::None,
            Self::ClientSecretBasic { .. } => AuthMethod::ClientSecretBasic,
            Self::ClientSecretPost { .. } => AuthMethod::ClientSecretPost,
            Self::PrivateKeyJwt { .. } => AuthMethod::PrivateKeyJwt,
        }
    }

    /// The hash of the secret, if the client has one.
    pub(super) fn secret_sha256(&self) -> Option<&str> {
        match self {
            Self::ClientSecretBasic { secret_sha256 } | Self::ClientSecretPost { secret_sha256 } => Some(secret_sha256),
            Self::None | Self::PrivateKeyJwt { .. } => None,
        }
    }

    /// The keys that it signs assertions with; none for a client with a secret.
    pub(super) fn keys(&self) -> KeySet {
        match self {
            Self::PrivateKeyJwt { jwks } => KeySet::parse(jwks.to_string().as_bytes()).unwrap_or_default(),
            _ => KeySet::default(),
        }
    }
}
