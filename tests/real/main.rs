//! The product with other people's clients, servers and test suite.
//!
//! Needs what `./tests/run` installs, so plain `cargo test` does not build it.

mod completions;
mod conformance;
mod everything;
mod fastmcp;
mod harness;
mod sdk_clients;
mod typescript_server;
