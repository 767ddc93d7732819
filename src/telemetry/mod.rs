//! What the program says about itself while it runs: logs and audit events.

pub mod audit;
pub mod file;
mod lines;
pub mod logs;
mod sink;
