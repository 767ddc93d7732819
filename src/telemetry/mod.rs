//! What the program says about itself while it runs: logs, audit events and metrics.

pub mod audit;
mod chain;
pub mod file;
pub mod head;
mod lines;
pub mod logs;
pub mod metrics;
pub mod request;
mod sealed;
mod sink;
#[cfg(test)]
pub(crate) mod testing;
pub mod verify;
