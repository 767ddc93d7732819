//! The `securemcp` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    securemcp::run()
}
