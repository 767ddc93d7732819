//! From an access token to a [`Principal`]: who is asking, and what they may do.

mod authenticator;
mod cache;
mod introspection;
mod jwks;
mod principal;
mod proofs;
mod shared_keys;
mod source;

#[cfg(feature = "internals")]
pub use authenticator::{Authenticator, Denied, IsRevoked, Keys, Revocations, Rules};
#[cfg(not(feature = "internals"))]
pub(crate) use authenticator::{Authenticator, Denied, IsRevoked, Keys, Revocations, Rules};
#[cfg(feature = "internals")]
pub use introspection::{Introspection, Introspector};
#[cfg(not(feature = "internals"))]
pub(crate) use introspection::{Introspection, Introspector};
#[cfg(feature = "internals")]
pub use jwks::Jwks;
#[cfg(not(feature = "internals"))]
pub(crate) use jwks::Jwks;
pub use principal::Principal;
#[cfg(feature = "internals")]
pub use proofs::Proofs;
#[cfg(not(feature = "internals"))]
pub(crate) use proofs::Proofs;
#[cfg(feature = "internals")]
pub use shared_keys::SharedKeys;
#[cfg(not(feature = "internals"))]
pub(crate) use shared_keys::SharedKeys;
#[cfg(feature = "internals")]
pub use source::Source;
#[cfg(not(feature = "internals"))]
pub(crate) use source::Source;
