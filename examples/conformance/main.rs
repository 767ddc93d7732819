//! The server that the official conformance suite of MCP is run against: every feature of the protocol, with securemcp's
//! library, as somebody else's crate would use it.
//!
//! It takes its settings as `securemcp serve` does, from the environment and from `securemcp.toml`:
//!
//! ```sh
//! SECUREMCP_LISTEN=127.0.0.1:8000 cargo run --example conformance
//! ```
//!
//! To be guarded by another server, it can do without authentication: `conformance open 127.0.0.1:9000` serves whoever
//! reaches that port, `conformance stdio` whoever has started it.

mod asking;
mod content;
mod prompts;
mod resources;
mod tasks;
mod telling;

use std::{error::Error, os::fd::AsFd as _, sync::Arc};

use axum::Router;
use rmcp::{
    ServiceExt as _,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use securemcp::{
    call::Changes,
    clock::SystemClock,
    config::{self, Environment, Inputs, Purpose},
    prompts::Prompts,
    resources::{Resources, Skills, SkillsError},
    server::{Features, Local, Server},
    tools::Tools,
};
use tokio::{
    net::{TcpListener, unix::pipe},
    signal::unix::{SignalKind, signal},
};

/// A tool of the suite: `Name = "name", "description", [constants that are true], |input: Input, context| { result }`.
macro_rules! tool {
    (
        $tool:ident = $name:literal, $description:literal, [$($constant:ident),*],
        |$input:ident: $type:ty, $context:ident| $body:block
    ) => {
        pub(crate) struct $tool;

        impl securemcp::tools::Tool for $tool {
            type Input = $type;
            type Output = securemcp::tools::Content;

            const NAME: &'static str = $name;
            const DESCRIPTION: &'static str = $description;
            const SCOPES: &'static [&'static str] = &["mcp:read"];
            $(const $constant: bool = true;)*

            async fn call(
                &self,
                $input: $type,
                $context: &securemcp::call::CallContext,
            ) -> Result<securemcp::tools::Content, securemcp::tools::ToolError> {
                $body
            }
        }
    };
}
pub(crate) use tool;

/// Where the skills are: beside this file.
const SKILLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/conformance/skills");

/// Everything that the suite asks for.
fn features() -> Result<Features, SkillsError> {
    let changes = Changes::default();
    let tools = Tools::default()
        .with(content::SimpleText)
        .with(content::Image)
        .with(content::Audio)
        .with(content::EmbeddedResource)
        .with(content::MultipleTypes)
        .with(content::Failing)
        .with(content::HandWritten)
        .with(content::CustomHeader)
        .with(telling::Logging)
        .with(telling::LoggingIfWanted)
        .with(telling::Progressing)
        .with(telling::Reconnection)
        .with(telling::ToolChange(changes.clone()))
        .with(telling::PromptChange(changes.clone()))
        .with(asking::Sampling)
        .with(asking::Elicitation)
        .with(asking::Defaults)
        .with(asking::Enums)
        .with(asking::MissingCapability)
        .with(asking::StreamingElicitation)
        .with(asking::Name)
        .with(asking::Capital)
        .with(asking::Roots)
        .with(asking::State)
        .with(asking::TamperedState)
        .with(asking::Several)
        .with(asking::Rounds)
        .with(asking::Capabilities)
        .with(tasks::Greet)
        .with(tasks::SlowCompute)
        .with(tasks::FailingJob)
        .with(tasks::ProtocolErrorJob)
        .with(tasks::ConfirmDelete)
        .with(tasks::MultiInput)
        .with(tasks::AskingFirst);
    let resources = Resources::default()
        .with(resources::StaticText)
        .with(resources::StaticBinary)
        .with(resources::Watched)
        .with(resources::Template)
        .with_skills(Skills::from_dir(SKILLS, &["mcp:read"])?);
    let prompts = Prompts::default()
        .with(prompts::Simple)
        .with(prompts::WithArguments)
        .with(prompts::WithResource)
        .with(prompts::WithImage)
        .with(prompts::Asking);
    Ok(Features::from(tools).with_resources(resources).with_prompts(prompts).with_changes(changes))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => guarded().await,
        ["open", address] => open(address).await,
        ["stdio"] => stdio().await,
        _ => Err("usage: conformance [open ADDRESS | stdio]".into()),
    }
}

/// With authentication.
async fn guarded() -> Result<(), Box<dyn Error>> {
    let inputs = Inputs { environment: Environment::of_process(), ..Inputs::default() };
    let config = config::load(Purpose::Serve, &inputs)?;
    let server = Server::bind(&config, features()?, SystemClock::shared()).await?;
    server.run(ended()).await;
    Ok(())
}

/// For whoever reaches the address.
async fn open(address: &str) -> Result<(), Box<dyn Error>> {
    let local = Local::new(features()?, SystemClock::shared());
    let sessions = Arc::new(LocalSessionManager::default());
    let mcp = StreamableHttpService::new(move || Ok(local.handler()), sessions, StreamableHttpServerConfig::default());
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, Router::new().route_service("/mcp", mcp)).with_graceful_shutdown(ended()).await?;
    Ok(())
}

/// For whoever has started this.
async fn stdio() -> Result<(), Box<dyn Error>> {
    // Whoever starts a server on stdio gives it pipes.
    let requests = pipe::Receiver::from_owned_fd(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    let answers = pipe::Sender::from_owned_fd(std::io::stdout().as_fd().try_clone_to_owned()?)?;
    Local::new(features()?, SystemClock::shared()).handler().serve((requests, answers)).await?.waiting().await?;
    Ok(())
}

/// Until somebody ends it.
async fn ended() {
    let mut ended = signal(SignalKind::terminate()).expect("signals can be heard of");
    tokio::select! {
        _ = ended.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
