//! `securemcp serve`: run the server.

use clap::Args;

use super::{
    exit::{Exit, Failure},
    settings::Setting,
    surroundings::Surroundings,
};

/// Settings that have a flag here.
pub(super) const SETTINGS: &[Setting] = &[
    ("server.listen", "ADDRESS"),
    ("server.resource", "URL"),
    ("server.trusted_proxies", "NETWORK"),
    ("embedded.face_network", ""),
    ("log.level", "LEVEL"),
    ("log.format", "FORMAT"),
];

const EXAMPLES: &str = "Without settings it listens on loopback and issues tokens itself.

Examples:
  securemcp serve
  securemcp serve --issuer https://kc.example/realms/mcp --resource https://mcp.example/mcp \\
      --listen 0.0.0.0:8000 --trusted-proxy 10.0.0.0/8
  securemcp serve --check --config /etc/securemcp.toml";

/// Run the server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Check the whole configuration, bind nothing, and exit
    #[arg(long)]
    check: bool,
}

/// Serves until a signal ends it. `surroundings.inputs()` is what the configuration is to be read from.
pub(super) fn run(options: &Options, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let _ = (options.check, surroundings);
    Err(Failure::message(Exit::Failed, "this build has no server"))
}
