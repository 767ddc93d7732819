//! What every command finds: the printer, the settings, a runtime.

use std::{
    future::Future,
    io::{IsTerminal as _, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use serde_json::{Map, Value};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{
    Globals,
    answers::Answers,
    exit::{Exit, Failure},
    hearing::Hearing,
    login::Login,
    print::Printer,
    separate::Flags,
    waiting::Turning,
};
use crate::{
    client::{self, Client, Host, IdentityProvider, Sampler, Session, Voucher, WorkloadIdentity},
    clock::SystemClock,
    config::{self, Config, Environment, Flag, Inputs, Purpose, VouchedBy},
    net::{self, Http},
    oauth::{Resource, Scopes},
    secret::Secret,
};

/// How long an interrupted command may take to tell the server.
const FAREWELL: Duration = Duration::from_secs(2);

/// The largest file or standard input that is read whole, in bytes.
/// Longest token in a file. Servers take heads of some 16 KiB.
const MAX_SECRET_BYTES: usize = 16 * 1024;
const MAX_INPUT_BYTES: u64 = 16 * 1024 * 1024;

/// One process, as its command sees it.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Prints.
    pub(super) printer: Printer,
    /// The flags that every command has.
    pub(super) globals: Globals,
    /// The settings that were given as flags.
    pub(super) flags: Vec<Flag>,
    /// The process environment.
    pub(super) environment: Environment,
    /// What `call` takes for itself instead of giving it to the tool.
    pub(super) own_flags: Flags,
    /// What turns while somebody waits.
    pub(super) turning: Turning,
    /// Whether the command was interrupted and takes leave of the server by itself.
    pub(super) leaves: AtomicBool,
}

/// What a command wants of a token.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Wanted {
    /// Scopes to ask for, separated by spaces [default: what the server asks for]
    #[arg(long, value_name = "SCOPES", value_parser = Scopes::parse)]
    scope: Option<Scopes>,
    /// The resource to get the token for [default: what the server calls itself]
    #[arg(long, value_name = "URL", value_parser = Resource::parse)]
    resource: Option<Resource>,
}

/// What gets a command to the server.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Access {
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    login: Login,
    #[command(flatten)]
    answers: Answers,
}

/// A token that is there already.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Given {
    #[command(flatten)]
    wanted: Wanted,
    #[arg(
        long,
        value_name = "FILE",
        help = "Use the token in this file, or on standard input for `-` [env: SECUREMCP_TOKEN]"
    )]
    token_file: Option<PathBuf>,
}

impl Surroundings {
    /// Runs a command of the client side, until it ends or is interrupted.
    pub(super) fn block_on(&self, command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
        self.start_log();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
        let ended = runtime.block_on(async {
            let mut command = std::pin::pin!(command);
            tokio::select! {
                biased;
                ended = &mut command => return ended,
                _ = tokio::signal::ctrl_c() => {}
            }
            if self.leaves.load(Ordering::Relaxed) {
                tokio::select! {
                    _ = command => {}
                    _ = tokio::signal::ctrl_c() => {}
                    () = tokio::time::sleep(FAREWELL) => {}
                }
            }
            Err(interrupted())
        });
        // A thread that still waits for a lock or for standard input must not keep the process.
        runtime.shutdown_background();
        ended
    }

    /// The settings of client commands; warnings are said.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        self.config_from(&self.inputs())
    }

    /// The same, read from elsewhere.
    pub(super) fn config_from(&self, inputs: &Inputs) -> Result<Config, Failure> {
        let config = config::load(Purpose::Client, inputs)?;
        config.warnings.iter().for_each(|warning| self.printer.warning(warning));
        Ok(config)
    }

    /// What the configuration is read from.
    pub(super) fn inputs(&self) -> Inputs {
        Inputs {
            config_file: self.globals.config.clone(),
            env_file: self.globals.env_file.clone(),
            flags: self.flags.clone(),
            environment: self.environment.clone(),
        }
    }

    /// How the client room is to reach the server and to get tokens.
    pub(super) fn client_settings(&self, config: &Config, wanted: &Wanted) -> Result<client::Settings, Failure> {
        let client = config.client.clone();
        Ok(client::Settings {
            server: client.server,
            issuer: client.issuer,
            issuer_backchannel_url: client.issuer_backchannel_url,
            client_id: client.id,
            client_secret: client.secret,
            private_key: client.private_key,
            voucher: client.vouched_by.map(voucher),
            client_metadata_url: client.metadata_url,
            grant: None,
            person: None,
            login_timeout: self.globals.login_timeout,
            dpop: client.dpop,
            token: client.token,
            scopes: wanted.scope.clone(),
            resource: wanted.resource.clone(),
            state_dir: config.state_dir.clone(),
            persist: client.keeps_tokens,
            force_new: false,
            timeout: self.globals.timeout,
            extra_roots: self.extra_roots()?,
            clock: SystemClock::shared(),
        })
    }

    /// A client that gets its tokens itself.
    pub(super) fn client(&self, wanted: &Wanted) -> Result<Client, Failure> {
        Ok(Client::new(self.client_settings(&self.config()?, wanted)?)?)
    }

    /// A client that uses the token that was given, if there is one.
    pub(super) async fn client_with(&self, given: &Given) -> Result<Client, Failure> {
        Ok(Client::new(self.settings_with(given).await?)?)
    }

    async fn settings_with(&self, given: &Given) -> Result<client::Settings, Failure> {
        let mut settings = self.client_settings(&self.config()?, &given.wanted)?;
        if let Some(path) = &given.token_file {
            settings.token = Some(secret(path).await?);
        }
        Ok(settings)
    }

    /// Talks with the server, from the session's begin to its end.
    pub(super) async fn in_session(
        &self,
        access: &Access,
        sampler: Option<Arc<dyn Sampler>>,
        talk: impl AsyncFnOnce(&Session) -> Result<Exit, Failure>,
    ) -> Result<Exit, Failure> {
        let mut settings = self.settings_with(&access.given).await?;
        access.login.apply(&mut settings, self);
        let client = Client::new(settings)?;
        let answering = Arc::new(access.answers.read(access.login.asker(self), self).await?);
        let host = Host {
            sampler,
            respondent: Some(Arc::clone(&answering) as _),
            listener: Some(Arc::new(Hearing::new(self))),
        };
        let session = self.waiting("connecting and getting a token", client.connect(host)).await?;
        // Debug escapes what the server says of itself.
        tracing::debug!(server = ?session.server_name(), revision = ?session.protocol_version(), "connected");
        let ended = tokio::select! {
            biased;
            ended = talk(&session) => ended,
            _ = tokio::signal::ctrl_c() => {
                self.leaves.store(true, Ordering::Relaxed);
                Err(interrupted())
            }
        };
        session.close().await;
        for name in answering.unused() {
            self.printer.warning(&format!("the server did not ask for `{name}`"));
        }
        ended
    }

    /// Whether somebody sits at the terminal, and may be asked.
    pub(super) fn has_somebody(&self) -> bool {
        self.printer.faces_somebody() && std::io::stdin().is_terminal() && !self.environment.is_ci()
    }

    /// A client for documents.
    pub(super) fn http(&self, timeout: Duration) -> Result<Http, Failure> {
        Ok(Http::new(&net::Options { timeout, extra_roots: self.extra_roots()? })?)
    }

    fn extra_roots(&self) -> Result<Vec<reqwest::Certificate>, Failure> {
        let Some(path) = &self.globals.ca else { return Ok(Vec::new()) };
        let unusable = |error: anyhow::Error| {
            Failure::new(Exit::Configuration, error).hint("`--ca` takes a file of PEM certificates".to_owned())
        };
        let pem = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display())).map_err(unusable)?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem)
            .with_context(|| format!("`{}` has no usable certificate", path.display()))
            .map_err(unusable)?;
        if roots.is_empty() {
            return Err(unusable(anyhow::anyhow!("`{}` has no certificate in it", path.display())));
        }
        Ok(roots)
    }

    /// Logs of our own at the level asked for; of others only what is wrong, since they may log what they send.
    fn start_log(&self) {
        let level = match self.globals.verbose {
            0 => return,
            1 => tracing::Level::DEBUG,
            _ => tracing::Level::TRACE,
        };
        let filter = Targets::new().with_target("securemcp", level).with_default(tracing::Level::WARN);
        let lines =
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(self.printer.colours_words());
        // A second start in one process (a test) keeps the first one's.
        let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    }
}

fn voucher(by: VouchedBy) -> Voucher {
    match by {
        VouchedBy::Assertion(assertion) => Voucher::Assertion(assertion),
        VouchedBy::Workload { url, token } => Voucher::Workload(WorkloadIdentity { url, token }),
        VouchedBy::IdentityProvider { issuer, client_id, client_secret, id_token } => {
            Voucher::IdentityProvider(IdentityProvider { issuer, client_id, client_secret, id_token })
        }
    }
}

/// Reads a secret from a file, or from standard input for `-`; the end of its line is not part of it.
async fn secret(path: &Path) -> Result<Secret, Failure> {
    let text = input(path).await?;
    let secret = text.trim_end_matches(['\r', '\n']);
    // What goes into a header: a token, and nothing that ends or breaks it.
    if secret.is_empty() || secret.len() > MAX_SECRET_BYTES || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = format!("`{}` does not hold a secret in one line", path.display());
        let hint = "it has to hold the secret alone, such as a token as `securemcp token get` prints it";
        return Err(Failure::message(Exit::Usage, problem).hint(hint.to_owned()));
    }
    Ok(Secret::new(secret))
}

fn interrupted() -> Failure {
    Failure::message(Exit::Interrupted, "interrupted")
}

/// Reads a JSON object that was given to this flag: itself, or where it is to be read.
pub(super) async fn json_object(flag: &str, given: &str) -> Result<Map<String, Value>, Failure> {
    let text = match given.strip_prefix('@') {
        Some(path) => input(path.as_ref()).await?,
        None if given == "-" => input(given.as_ref()).await?,
        None => given.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| {
        let error = anyhow::Error::new(error).context(format!("`{flag}` is not a JSON object"));
        Failure::new(Exit::Usage, error).hint(format!(
            "write it as `{flag} '{{\"name\": \"value\"}}'`, `{flag} @FILE`, or `{flag} -` for standard input"
        ))
    })
}

/// Reads a text from a file, or from standard input for `-`.
pub(super) async fn input(path: &Path) -> Result<String, Failure> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let context = || format!("cannot read `{}`", path.display());
        let source: Box<dyn Read> = if path == Path::new("-") {
            Box::new(std::io::stdin())
        } else {
            Box::new(std::fs::File::open(&path).with_context(context)?)
        };
        let mut text = String::new();
        source.take(MAX_INPUT_BYTES + 1).read_to_string(&mut text).with_context(context)?;
        anyhow::ensure!(text.len() as u64 <= MAX_INPUT_BYTES, "`{}` is larger than 16 MiB", path.display());
        Ok(text)
    });
    let text = read.await.context("cannot read")?;
    text.map_err(|error| {
        Failure::from(error).hint("name a text file that this account may read, or `-` for stdin".to_owned())
    })
}
