//! The product, driven in this process and as the real binary. One file for each subject.

mod call;
mod cli;
mod client;
mod configuration;
mod crash;
mod drain;
mod files;
mod gateway;
mod gateway_stdio;
mod harness;
mod http;
mod issuer;
mod jwks;
mod layers;
mod logs;
mod mcp;
mod openapi;
mod panic;
mod readme;
mod reload;
mod rest;
mod secrets;
mod sessions;
mod tls;
mod tokens;
mod tools;
