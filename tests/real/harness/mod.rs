//! Starts the product and foreign programs, each in a directory of its own, and ends them with the test.

use std::io::Write as _;

mod account;
mod certificate;
mod foreign;
mod in_process;
mod keycloak;
mod link;
mod load;
mod nginx;
mod person;
mod postgres;
mod process;
#[path = "../../it/harness/program.rs"]
pub(crate) mod program;
mod redis;
mod service;
mod stack;
mod tool;
mod toxiproxy;
mod usage;

pub(crate) use account::{Account, Server};
pub(crate) use certificate::Issued;
pub(crate) use foreign::Foreign;
pub(crate) use in_process::InProcess;
pub(crate) use keycloak::{ADMIN_PASSWORD, Deployed, Keycloak, RESOURCE_SECRET, SERVER_SECRET, USER_PASSWORD};
pub(crate) use link::Link;
pub(crate) use load::{Load, echo, stateless};
pub(crate) use nginx::{Edge, Nginx, Spread, write_nginx_configuration};
pub(crate) use person::{Person, browser};
pub(crate) use postgres::Postgres;
pub(crate) use process::{Ended, eventually};
pub(crate) use redis::{REDIS_PASSWORD, Redis};
pub(crate) use service::{Service, free_port, status_of};
pub(crate) use stack::{NOBODY, Stack};
pub(crate) use tool::{Tool, libfaketime, root};
pub(crate) use toxiproxy::Toxiproxy;
pub(crate) use usage::Usage;

/// Whether this is `./tests/run --soak`: the full load, and its full time.
#[expect(clippy::disallowed_methods, reason = "it is said to the tests, not to the product")]
pub(crate) fn is_soak() -> bool {
    std::env::var_os("SOAK").is_some()
}

/// Prints a figure for whoever reads the run, whether the test fails or not.
pub(crate) fn figure(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}
