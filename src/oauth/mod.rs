//! The vocabulary that both sides of every wire share: one file for each noun of the RFCs, no I/O.

pub mod assertion;
pub mod challenge;
pub mod client_auth;
pub mod device;
pub mod error;
pub mod issuer;
pub mod metadata;
pub mod pkce;
pub mod redirect;
pub mod registration;
pub mod resource;
pub mod scope;
pub mod token;

pub use challenge::{Challenge, Scheme};
pub use client_auth::AuthMethod;
pub use error::{ErrorCode, ErrorResponse};
pub use issuer::Issuer;
pub use metadata::{ResourceMetadata, ServerMetadata};
pub use redirect::RedirectUri;
pub use registration::{ClientMetadata, RegisteredClient};
pub use resource::Resource;
pub use scope::Scopes;
pub use token::TokenResponse;

/// Whether `url` may carry credentials: https anywhere, http on loopback only.
///
/// Loopback is `localhost`, `127.0.0.0/8` and `::1`, by name, without asking a resolver.
pub fn is_https_or_loopback(url: &url::Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether the host of `url` is this machine, by name, without asking a resolver.
pub fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
