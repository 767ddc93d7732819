//! The `securemcp` command.

use std::process::ExitCode;

/// A fifth faster under load than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    securemcp::run()
}
