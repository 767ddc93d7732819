//! What the program says about itself while it runs: logs, audit events and metrics.

pub mod audit;
pub mod chain;
pub mod file;
mod lines;
pub mod logs;
pub mod metrics;
pub mod request;
mod sink;
