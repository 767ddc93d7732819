//! `securemcp serve`: run the server.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use super::{
    exit::{Exit, Failure},
    print::Printer,
    settings::Setting,
    surroundings::Surroundings,
};
use crate::{
    clock::SystemClock,
    config::{self, Config, IssuerChoice, Purpose},
    server::Server,
    telemetry::logs,
    tools::Tools,
};

/// Settings that have a flag here.
pub(super) const SETTINGS: &[Setting] = &[
    ("server.listen", "ADDRESS"),
    ("server.resource", "URL"),
    ("server.trusted_proxies", "NETWORK"),
    ("embedded.face_network", ""),
    ("upstream.url", "URL"),
    ("upstream.command", "COMMAND"),
    ("upstream.token", "FILE"),
    ("log.level", "LEVEL"),
    ("log.format", "FORMAT"),
];

const EXAMPLES: &str = "Without settings it listens on loopback and issues tokens itself.

Examples:
  securemcp serve
  securemcp serve --issuer https://kc.example/realms/mcp --resource https://mcp.example/mcp \\
      --listen 0.0.0.0:8000 --trusted-proxy 10.0.0.0/8
  securemcp serve --upstream http://127.0.0.1:9000/mcp
  securemcp serve --upstream-command 'npx -y @modelcontextprotocol/server-filesystem /srv/files'
  securemcp serve --check --config /etc/securemcp.toml";

/// Run the server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Check the whole configuration, bind nothing, and exit
    #[arg(long)]
    check: bool,
}

/// Serves until SIGTERM or Ctrl-C, then drains; a second signal ends it at once.
pub(super) fn run(options: &Options, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let printer = surroundings.printer;
    let config = config::load(Purpose::Serve, &surroundings.inputs())?;
    config.warnings.iter().for_each(|warning| printer.warning(warning));
    if options.check {
        printer.note("the configuration is good");
        return Ok(Exit::Done);
    }
    let clock = SystemClock::shared();
    let is_json = logs::start(&config.log.level, config.log.format, Arc::clone(&clock));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        // Who guards a server serves that server's tools.
        let tools = if config.upstream.is_some() { Tools::default() } else { Tools::builtin() };
        let server = Server::bind(&config, tools, clock).await?;
        announce(&server, &config, printer, is_json);
        let mut signals = Signals::new().context("cannot listen for signals")?;
        let (stop, stopped) = oneshot::channel();
        let mut serving = tokio::spawn(server.run(async {
            // The sender is dropped only when this function has returned.
            let _ = stopped.await;
        }));
        signals.next().await;
        let _ = stop.send(());
        tokio::select! {
            ended = &mut serving => ended.context("the server broke").map(|()| Exit::Done).map_err(Failure::from),
            () = signals.next() => Err(Failure::message(Exit::Interrupted, "interrupted before calls under way had ended")),
        }
    })
}

/// Says where the server is and how to call it: in lines for people, or as one log event where logs are JSON.
fn announce(server: &Server, config: &Config, printer: Printer, is_json: bool) {
    let names: Vec<_> = server.tools().list().iter().map(|tool| tool.name.to_string()).collect();
    let (resource, issuer, tools) = (server.resource(), server.issuer(), names.join(", "));
    let upstream = server.upstream().unwrap_or_default();
    let kind = match config.issuer.choice {
        IssuerChoice::Embedded { .. } => "embedded",
        IssuerChoice::External { .. } => "external",
    };
    if is_json {
        tracing::info!(address = %server.address(), %resource, %issuer, kind, tools, upstream, "listening");
        return;
    }
    let default_server = "http://127.0.0.1:8000/mcp";
    let at = if resource.as_str() == default_server { String::new() } else { format!(" --server {resource}") };
    printer.note(&format!("securemcp {} serves {resource}", env!("CARGO_PKG_VERSION")));
    printer.note(&format!("  issuer  {issuer} ({kind})"));
    printer.note(&format!("  state   {}", config.state_dir.display()));
    if upstream.is_empty() {
        printer.note(&format!("  tools   {tools}"));
        printer.note(&format!("  try     securemcp call echo \"Hello!\"{at}"));
    } else {
        printer.note(&format!("  guards  {upstream}"));
        printer.note(&format!("  try     securemcp tools{at}"));
    }
}

/// The signals that ask a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
