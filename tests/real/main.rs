//! The product with other people's clients, servers and test suite.
//!
//! Needs what `./tests/run` installs, so plain `cargo test` does not build it.

mod completions;
mod conformance;
mod conformance_authorization;
mod conformance_client;
mod conformance_replicas;
mod conformance_through;
mod docs;
mod everything;
mod fastmcp;
mod faults;
mod faults_network;
mod files;
mod guarded;
mod harness;
mod keycloak;
mod metrics;
#[path = "../it/harness/newcomer.rs"]
mod newcomer;
mod pages;
mod people;
mod replicas;
mod scanners;
mod sdk_clients;
mod stack;
mod stack_clients;
mod stack_edge;
mod stack_faults;
mod stack_sessions;
mod stack_tokens;
mod tls;
mod typescript_server;
