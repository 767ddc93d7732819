//! What the tests stand on: a server in this process, an issuer that can lie, raw connections, real processes.

pub(crate) mod browser;
pub(crate) mod cli;
pub(crate) mod events;
pub(crate) mod issuer;
pub(crate) mod keys;
pub(crate) mod liar;
pub(crate) mod log;
pub(crate) mod newcomer;
pub(crate) mod person;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod raw;
pub(crate) mod redis;
pub(crate) mod replicas;
pub(crate) mod server;
pub(crate) mod talker;
pub(crate) mod terminal;
pub(crate) mod tls;
pub(crate) mod until;
pub(crate) mod upstream;
pub(crate) mod visitor;
