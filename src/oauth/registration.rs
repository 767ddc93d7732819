//! Dynamic client registration: RFC 7591, and the management fields of RFC 7592.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{AuthMethod, Scopes};
use crate::secret::Secret;

/// What a client says of itself: RFC 7591 section 2.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClientMetadata {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The grants it will use; `authorization_code` when absent (RFC 7591 section 2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grant_types: Vec<String>,
    /// The response types it will use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_types: Vec<String>,
    /// Where people come back to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// `client_secret_basic` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// The scopes it may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scopes>,
    /// `native` or `web` (OpenID Connect registration; MCP requires it of clients).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
    /// Public keys for `private_key_jwt`, by value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// Public keys by reference. Kept so that a server can refuse it; securemcp's issuer never fetches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
}

/// What the server answers: RFC 7591 section 3.2.1, RFC 7592 section 3.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegisteredClient {
    /// The name of the client at this issuer.
    pub client_id: String,
    /// Absent for public clients and for `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// Seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id_issued_at: Option<u64>,
    /// Seconds since the epoch; 0 is never. Required with a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_expires_at: Option<u64>,
    /// Opens the registration itself (RFC 7592).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_access_token: Option<Secret>,
    /// Where the registration is managed (RFC 7592).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_client_uri: Option<Url>,
    /// What the server made of the metadata that was sent.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}
