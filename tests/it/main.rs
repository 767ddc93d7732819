//! The product, driven in this process and as the real binary. One file for each subject.

mod call;
mod cli;
mod client;
mod crash;
mod dcr;
mod drain;
mod files;
mod harness;
mod http;
mod issuer;
mod jwks;
mod layers;
mod mcp;
mod panic;
mod readme;
mod secrets;
mod sessions;
mod terminal;
mod tokens;
mod tools;
