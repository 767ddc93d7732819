//! securemcp: OAuth 2.1 for the Model Context Protocol.
//!
//! # The map
//!
//! Layers are modules; a module may use those above it in this list, never those below (`tests/it/layers.rs` reads
//! the imports and fails otherwise).
//!
//! | layer | modules | what lives there |
//! |---|---|---|
//! | 0, pure | [`clock`], [`secret`], [`hint`], [`oauth`], [`jose`], `json`, `said`, [`tls`] | no sockets, no environment; time comes in as an argument |
//! | 1, the outside world | [`config`], `telemetry`, `net`, `store` | settings, logs and audit, HTTP clients, bodies of requests, files, what replicas share |
//! | 2, who you are, how to get a token | `auth`, `client` | bearer token to [`Principal`](auth::Principal); discovery, grants, token keeping |
//! | 3, what can be done | [`call`], [`tools`], [`resources`], [`prompts`], `gateway`, `issuer` | what callers can use and the rules of every use; what a guarded server has; the embedded authorization server |
//! | 4, HTTP | [`server`] | every route, every layer, the only map from errors to HTTP |
//! | 5, people | `cli` | one file per command |
//!
//! Siblings are strangers, with few exceptions: `tools`, `resources` and `prompts` know `call`, which has what is the same
//! for all three; `gateway` knows these four, since a guarded server's tool is just another tool there. What `client`
//! and `gateway` share of being an MCP client is below both: the transport in `net`, the words of other parties in
//! `said`. `telemetry` knows the settings of the log in `config`; `jose` uses `oauth` and `said`. `issuer` uses neither `auth` nor `client`, so it cannot share a bug with the verifier that
//! judges its tokens. Only `cli::print` writes results, only `config` reads the environment, only `net` builds HTTP clients,
//! only `clock` reads the time of day (`clippy.toml` enforces the last three).
//!
//! # The public surface
//!
//! Adding tools, resources, skills and prompts ([`tools`], [`resources`], [`prompts`], and what a [`call`] of each can do),
//! running a server ([`server`], [`config`]), calling one ([`client`]), and the types that these need; those of MCP itself are
//! [`model`].
//! Everything else is private; the feature `internals` opens it to tests and benches and carries no promise.

#![cfg_attr(
    not(feature = "internals"),
    expect(unreachable_pub, reason = "private rooms are `pub` inside, for the feature that opens them")
)]

pub mod auth;
pub mod call;
pub mod client;
pub mod clock;
pub mod config;
pub mod hint;
pub mod jose;
mod json;
pub mod oauth;
pub mod prompts;
pub mod resources;
mod said;
pub mod secret;
pub mod server;
pub mod tls;
pub mod tools;

#[cfg(feature = "internals")]
pub mod cli;
#[cfg(not(feature = "internals"))]
mod cli;

mod gateway;

#[cfg(feature = "internals")]
pub mod issuer;
#[cfg(not(feature = "internals"))]
mod issuer;

#[cfg(feature = "internals")]
pub mod net;
#[cfg(not(feature = "internals"))]
mod net;

#[cfg(feature = "internals")]
pub mod store;
#[cfg(not(feature = "internals"))]
mod store;

#[cfg(feature = "internals")]
pub mod telemetry;
#[cfg(not(feature = "internals"))]
mod telemetry;

pub use cli::run;
/// The types of MCP, as the official SDK has them.
pub use rmcp::model;
