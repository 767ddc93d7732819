//! From a bearer token to a [`Principal`]: who is asking, and what they may do.

mod authenticator;
mod cache;
mod jwks;
mod principal;

#[cfg(feature = "internals")]
pub use authenticator::{Authenticator, Denied, IsRevoked, Keys, Rules};
#[cfg(not(feature = "internals"))]
pub(crate) use authenticator::{Authenticator, Denied, IsRevoked, Keys, Rules};
#[cfg(feature = "internals")]
pub use jwks::{Jwks, Source};
#[cfg(not(feature = "internals"))]
pub(crate) use jwks::{Jwks, Source};
pub use principal::Principal;
