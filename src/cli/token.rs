//! `securemcp token`: get, look at, and end access tokens.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    exit::{Exit, Failure},
    inspect,
    login::Login,
    surroundings::{Surroundings, Wanted},
};
use crate::{
    client::{AccessToken, Client, withheld_hint},
    clock::SystemClock,
    oauth::token::token_type,
};

const GET_EXAMPLES: &str = "A kept token that is still good is used again.

Examples:
  TOKEN=$(securemcp token get)
  curl -H \"$(securemcp token get --header)\" http://127.0.0.1:8000/api/v1/me
  securemcp token get --client-id ci --client-secret-file secret.txt --scope mcp:read
  securemcp token get --grant authorization_code     log in with a browser
  securemcp token get --no-browser                   log in with a browser on another machine
  securemcp token get --grant device_code            log in by a code that is typed elsewhere";
const OF_NO_USE: &str = "this token is bound to a key of this account: it is of no use without a proof by that key for each \
                         request (DPoP), as `securemcp call --dpop` makes it";
const REVOKE_EXAMPLES: &str = "Examples:
  securemcp token revoke
  securemcp token revoke --server https://mcp.example/mcp";
const FORGET_EXAMPLES: &str = "Examples:
  securemcp token forget
  securemcp token forget --server https://mcp.example/mcp";

/// Get an access token, look at it, end it
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Get(Get),
    Inspect(inspect::Options),
    Revoke(Revoke),
    Forget(Forget),
}

/// Print an access token for the server, and nothing else
#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES)]
pub(super) struct Get {
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    login: Login,
    /// Print a whole `Authorization` header
    #[arg(long)]
    header: bool,
    /// Get a new token although a good one is kept
    #[arg(long)]
    new: bool,
}

/// Revoke the kept token at its issuer, and forget it
#[derive(Debug, Args)]
#[command(after_help = REVOKE_EXAMPLES)]
pub(super) struct Revoke {
    #[command(flatten)]
    wanted: Wanted,
}

/// Forget the kept tokens of the server, without telling the issuer
#[derive(Debug, Args)]
#[command(after_help = FORGET_EXAMPLES)]
pub(super) struct Forget {}

/// Does what was asked.
pub(super) async fn run(command: &Command, surroundings: &Surroundings) -> Result<Exit, Failure> {
    match command {
        Command::Get(options) => get(options, surroundings).await,
        Command::Inspect(options) => inspect::run(options, surroundings).await,
        Command::Revoke(options) => {
            let client = surroundings.client(&options.wanted)?;
            let revoked = surroundings.waiting("revoking", client.revoke()).await?;
            if surroundings.printer.is_json() {
                surroundings.printer.document(&json!({"revoked": revoked}))?;
            } else {
                surroundings.printer.note(if revoked { "revoked" } else { "there is no kept token to revoke" });
            }
            Ok(Exit::Done)
        }
        Command::Forget(_) => {
            let count = surroundings.client(&Wanted::default())?.forget().await?;
            if surroundings.printer.is_json() {
                surroundings.printer.document(&json!({"forgotten": count}))?;
            } else {
                surroundings.printer.note(&match count {
                    1 => "forgot 1 token".to_owned(),
                    _ => format!("forgot {count} tokens"),
                });
            }
            Ok(Exit::Done)
        }
    }
}

async fn get(options: &Get, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let config = surroundings.config()?;
    let mut settings = surroundings.client_settings(&config, &options.wanted)?;
    settings.force_new = options.new;
    options.login.apply(&mut settings, surroundings);
    let client = Client::new(settings)?;
    let got = surroundings.waiting("getting a token", client.access_token(None)).await?;
    let AccessToken { secret, scopes, withheld, expires_at, bound_to, .. } = got;
    let printer = surroundings.printer;
    let scheme = token_type(bound_to.is_some());
    if bound_to.is_some() {
        printer.note(OF_NO_USE);
    }
    if !withheld.is_empty() {
        printer.warning(&withheld_hint(&withheld));
    }
    if printer.is_json() {
        let now = SystemClock::shared().since_epoch();
        printer.document(&json!({
            "access_token": secret.expose(),
            "token_type": scheme,
            "expires_in": expires_at.map(|at| at.saturating_sub(now).as_secs()),
            "scope": scopes,
        }))?;
    } else if options.header {
        printer.text(&format!("Authorization: {scheme} {}", secret.expose()))?;
    } else {
        printer.text(secret.expose())?;
    }
    Ok(Exit::Done)
}
