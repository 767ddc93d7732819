//! What an authorization server and a protected resource say of themselves: RFC 8414 and RFC 9728.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{AuthMethod, Issuer, Resource};

/// Authorization server metadata: RFC 8414 section 2.
///
/// Lists that a server left out are empty here; where the RFC gives a default, the method beside the field applies it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerMetadata {
    /// Must be, byte for byte, the issuer that was asked for.
    pub issuer: Issuer,
    /// Where people log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<Url>,
    /// Where tokens are issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<Url>,
    /// Where a device asks for a code that a person types elsewhere (RFC 8628 section 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<Url>,
    /// Where the signing keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<Url>,
    /// Dynamic client registration (RFC 7591).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<Url>,
    /// RFC 7009.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<Url>,
    /// RFC 7662.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<Url>,
    /// Scopes that may be asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// Required by the RFC, empty where there is no authorization endpoint.
    #[serde(default)]
    pub response_types_supported: Vec<String>,
    /// See [`supports_grant`](Self::supports_grant).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grant_types_supported: Vec<String>,
    /// See [`supports_auth_method`](Self::supports_auth_method).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// Algorithms of client assertions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// How a caller proves itself at the revocation endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocation_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// Algorithms of client assertions there; required beside `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// How a caller proves itself at the introspection endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introspection_endpoint_auth_methods_supported: Vec<AuthMethod>,
    /// Algorithms of client assertions there; required beside `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Algorithms of DPoP proofs; absent where tokens cannot be bound (RFC 9449 section 5.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// `S256` must be among them before a person is sent to log in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code_challenge_methods_supported: Vec<String>,
    /// Whether every answer of the authorization endpoint names the issuer (RFC 9207 section 3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub authorization_response_iss_parameter_supported: bool,
    /// Whether the URL of a client's metadata document may be its id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_id_metadata_document_supported: bool,
}

impl ServerMetadata {
    /// Whether the server lists this method for the token endpoint; `client_secret_basic` is RFC 8414's default.
    pub fn supports_auth_method(&self, method: AuthMethod) -> bool {
        match self.token_endpoint_auth_methods_supported.as_slice() {
            [] => method == AuthMethod::ClientSecretBasic,
            listed => listed.contains(&method),
        }
    }

    /// Whether the server lists this grant; authorization code and implicit are RFC 8414's default.
    ///
    /// Servers without the list usually have more than the default, so an absent list refuses nothing.
    pub fn supports_grant(&self, grant: &str) -> bool {
        self.grant_types_supported.is_empty() || self.grant_types_supported.iter().any(|listed| listed == grant)
    }
}

/// Protected resource metadata: RFC 9728 section 2.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResourceMetadata {
    /// Must be the URL that was called.
    pub resource: Resource,
    /// Who may issue tokens for it, best first.
    #[serde(default)]
    pub authorization_servers: Vec<Issuer>,
    /// The scopes that its operations need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// `header` only, here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bearer_methods_supported: Vec<String>,
    /// Algorithms of DPoP proofs; absent where bound tokens are not taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dpop_signing_alg_values_supported: Vec<String>,
    /// Whether no others are taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dpop_bound_access_tokens_required: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<Url>,
}
