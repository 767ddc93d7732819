//! Keys and signed tokens: JWK (RFC 7517), JWS (RFC 7515), JWT (RFC 7519) under the rules of RFC 8725.

mod claims;
pub mod dpop;
pub mod jwk;
pub mod jws;
pub mod nonce;
pub mod private_key;
pub mod sign;
mod told;
pub mod verify;

pub use claims::Claims;
pub use jwk::KeySet;
pub use jws::Jws;
pub use nonce::Nonces;
pub use private_key::PrivateKey;
pub use sign::SigningKey;
pub use told::{Active, Told};
pub use verify::{Expect, Refused, Unverified};

use jsonwebtoken::Algorithm;

/// Every algorithm that may be allowed; symmetric ones and `none` cannot be.
pub const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The allowed algorithm of this exact name (RFC 7518 names are case sensitive).
pub fn algorithm_named(name: &str) -> Option<Algorithm> {
    ALGORITHMS.into_iter().find(|algorithm| algorithm_name(*algorithm) == name)
}

/// The registered name.
pub fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::RS384 => "RS384",
        Algorithm::RS512 => "RS512",
        Algorithm::PS256 => "PS256",
        Algorithm::PS384 => "PS384",
        Algorithm::PS512 => "PS512",
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::EdDSA => "EdDSA",
        _ => "not allowed",
    }
}
