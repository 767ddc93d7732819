//! From a bearer token to a [`Principal`]: who is asking, and what they may do.

mod principal;

pub use principal::Principal;
