//! The `securemcp` command.

fn main() {}
