//! `securemcp serve`: run the server.

use std::{fmt::Write as _, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tokio::{
    runtime::{self, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;

use super::{
    deployment_client::Registration,
    exit::{Exit, Failure},
    print::Printer,
    settings::Setting,
    surroundings::Surroundings,
};
use crate::{
    clock::{SharedClock, SystemClock},
    config::{self, Config, Inputs, IssuerChoice, Purpose},
    hint::{Hint as _, chain},
    server::{self, Reloader, Server},
    store::{self, PrivateDir},
    telemetry::logs::{self, Logs},
    tools::Tools,
};

/// Settings that have a flag here.
pub(super) const SETTINGS: &[Setting] = &[
    ("server.listen", "ADDRESS"),
    ("server.resource", "URL"),
    ("server.tls_cert", "FILE"),
    ("server.tls_key", "FILE"),
    ("server.tls_self_signed", ""),
    ("server.trusted_proxies", "NETWORK"),
    ("server.metrics_listen", "ADDRESS"),
    ("embedded.face_network", ""),
    ("embedded.cimd_allow_loopback", ""),
    ("embedded.auto_approve", ""),
    ("redis.url", "URL"),
    ("upstream.url", "URL"),
    ("upstream.command", "COMMAND"),
    ("upstream.token", "FILE"),
    ("audit.file", "FILE"),
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
  securemcp serve --tls-self-signed
  securemcp serve --check --config /etc/securemcp.toml";

/// Run the server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// Check the whole configuration and the state directory, bind nothing, and exit
    #[arg(long)]
    check: bool,
}

/// Serves until SIGTERM or Ctrl-C, then drains; a second signal ends it at once. SIGHUP reads the settings anew.
///
/// Whoever pressed Ctrl-C gets [`Exit::Interrupted`], as from every other command.
pub(super) fn run(options: &Options, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let printer = surroundings.printer;
    let config = config::load(Purpose::Serve, &surroundings.inputs())?;
    config.warnings.iter().for_each(|warning| printer.warning(warning));
    // Who guards a server serves that server's tools.
    let tools = if config.upstream.is_some() { Tools::default() } else { Tools::builtin() };
    if options.check {
        server::check(&config, tools)?;
        if printer.is_json() {
            printer.document(&json!({"good": true, "warnings": config.warnings}))?;
        } else {
            printer.note("the configuration is good");
        }
        return Ok(Exit::Done);
    }
    let clock = SystemClock::shared();
    let logs = Arc::new(logs::start(&config.log, Arc::clone(&clock))?);
    let runtime = runtime(&logs).context("cannot start the runtime")?;
    let log = Arc::clone(&logs);
    let ended = runtime.block_on(async {
        let server = Server::bind(&config, tools, Arc::clone(&clock)).await?;
        let registration = Registration::of(&config, &server, Arc::clone(&clock))?;
        let mut signals = Signals::new().context("cannot listen for signals")?;
        announce(&server, &config, printer, logs.is_json());
        let reloading = Reloading { reloader: server.reloader(), logs, inputs: surroundings.inputs(), clock };
        let stop_registering = CancellationToken::new();
        let registering = registration.map(|wanted| tokio::spawn(wanted.run(stop_registering.clone())));
        let (stop, stopped) = oneshot::channel();
        let mut serving = tokio::spawn(server.run(async {
            // The sender is dropped only when this function has returned.
            let _ = stopped.await;
        }));
        let exit = loop {
            let asked = tokio::select! {
                asked = signals.next() => asked,
                // Nobody asked it to: whoever watches over this process starts another.
                ended = &mut serving => {
                    let error = ended.err().map_or_else(|| anyhow::anyhow!("it ended by itself"), anyhow::Error::from);
                    return Err(error.context("the server broke").into());
                }
            };
            match asked {
                Asked::Reload => {
                    let reloading = reloading.clone();
                    // One after the other: what is read last wins.
                    let _ = tokio::task::spawn_blocking(move || reloading.reload()).await;
                }
                Asked::End(exit) => break exit,
            }
        };
        let _ = stop.send(());
        stop_registering.cancel();
        let both = async {
            // What an issuer has answered once must reach the disk.
            let registered = async {
                if let Some(task) = registering {
                    let _ = tokio::time::timeout(config.server.drain_timeout, task).await;
                }
            };
            tokio::join!(&mut serving, registered).0
        };
        tokio::select! {
            ended = both => ended.context("the server broke").map(|()| exit).map_err(Failure::from),
            () = signals.end() => Err(Failure::message(Exit::Interrupted, "interrupted before calls under way had ended")),
        }
    });
    drop(runtime);
    log.end();
    ended
}

/// A runtime whose threads write what they have logged before they sleep.
fn runtime(logs: &Arc<Logs>) -> std::io::Result<Runtime> {
    let logs = Arc::clone(logs);
    runtime::Builder::new_multi_thread().enable_all().on_thread_park(move || logs.before_sleep()).build()
}

/// What a reload needs.
#[derive(Clone)]
struct Reloading {
    reloader: Reloader,
    logs: Arc<Logs>,
    inputs: Inputs,
    clock: SharedClock,
}

impl Reloading {
    /// Reads all settings again and takes them over, or says in the log why nothing changes.
    fn reload(&self) {
        let mut inputs = self.inputs.clone();
        inputs.environment = inputs.environment.at(self.clock.since_epoch());
        if let Err(error) = self.logs.reopen() {
            tracing::error!(error = chain(&error), hint = error.hint(), "a log file goes on where it was");
        }
        let config = match config::load(Purpose::Serve, &inputs) {
            Ok(config) => config,
            Err(invalid) => {
                for problem in invalid.problems() {
                    tracing::error!(%problem, hint = problem.hint(), "the new configuration cannot be used");
                }
                tracing::error!("not reloaded: nothing has changed");
                return;
            }
        };
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        match self.reloader.reload(&config) {
            Ok(reloaded) => {
                self.logs.set_level(&config.log.level);
                if !reloaded.need_restart.is_empty() {
                    let keys = reloaded.need_restart.join(", ");
                    tracing::warn!(keys, "these settings have changed and wait for a restart");
                }
                tracing::info!("reloaded");
            }
            Err(error) => {
                tracing::error!(error = chain(&error), hint = error.hint(), "not reloaded: nothing has changed");
            }
        }
    }
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
    if let IssuerChoice::Embedded { auto_approve: Some(scopes), .. } = &config.issuer.choice {
        let words = format!("nobody is asked to log in: every program on this machine gets `{scopes}` as `dev`");
        if is_json { tracing::warn!("{words}") } else { printer.warning(&words) }
    }
    if is_json {
        let ca = server.own_certificate().map(|path| path.display().to_string());
        let metrics = server.metrics_address().map(|address| address.to_string());
        let address = server.address();
        tracing::info!(%address, %resource, %issuer, kind, tools, upstream, ca, metrics, "listening");
        return;
    }
    let default_server = "http://127.0.0.1:8000/mcp";
    let mut at = if resource.as_str() == default_server { String::new() } else { format!(" --server {resource}") };
    printer.note(&format!("securemcp {} serves {resource}", env!("CARGO_PKG_VERSION")));
    printer.note(&format!("  issuer  {issuer} ({kind})"));
    if let IssuerChoice::Embedded { users, .. } = &config.issuer.choice {
        printer.note(&format!("  login   {}", who_logs_in(users.len(), config, printer)));
    }
    printer.note(&format!("  state   {}", config.state_dir.display()));
    if let Some(path) = server.own_certificate() {
        printer.note(&format!("  ca      {}", path.display()));
        let _ = write!(at, " --ca {}", path.display());
    }
    if let Some(address) = server.metrics_address() {
        printer.note(&format!("  metrics http://{address}/metrics"));
    }
    if upstream.is_empty() {
        printer.note(&format!("  tools   {tools}"));
        printer.note(&format!("  try     securemcp call echo \"Hello!\"{at}"));
    } else {
        printer.note(&format!("  guards  {upstream}"));
        printer.note(&format!("  try     securemcp tools{at}"));
    }
}

/// The users, or the one that there is without any. A password is for somebody who looks at a terminal, not for a log.
fn who_logs_in(users: usize, config: &Config, printer: Printer) -> String {
    let file = config.state_dir.join(store::DEV_PASSWORD_FILE);
    let password = || PrivateDir::open(&config.state_dir).and_then(|state| store::dev_password(&state));
    match users {
        0 if printer.asks()
            && let Ok(password) = password() =>
        {
            format!("dev, password {}", password.expose())
        }
        0 => format!("dev, password in {}", file.display()),
        1 => "1 user".to_owned(),
        many => format!("{many} users"),
    }
}

/// The signals that this process listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// With this exit code when nothing goes wrong.
    End(Exit),
    Reload,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End(Exit::Done),
            _ = self.interrupt.recv() => Asked::End(Exit::Interrupted),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    /// A server that ends has nothing to reload.
    async fn end(&mut self) {
        while self.next().await == Asked::Reload {}
    }
}
