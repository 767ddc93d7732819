//! `securemcp dcr prune`: clients that registered themselves at a Keycloak and are used no more.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{
    exit::{Exit, Failure},
    surroundings::Surroundings,
    tools::table,
};
use crate::client::{self, Client, KeycloakAdmin, StaleClient};

const EXAMPLES: &str = "Without `--delete` it only lists them. The realm's events tell when a client was last used.

Examples:
  securemcp dcr prune --keycloak-admin admin --issuer https://kc.example/realms/mcp
  securemcp dcr prune --keycloak-admin admin --unused-days 14 --delete";

/// List the clients that registered themselves at a Keycloak and are used no more, or delete them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// For how many days nobody has registered, changed or used them
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    unused_days: u16,
    /// Delete them
    #[arg(long)]
    delete: bool,
}

/// Looks, and does what was asked.
pub(super) async fn run(
    options: &Options,
    client: &Client,
    admin: &KeycloakAdmin,
    surroundings: &Surroundings,
) -> Result<Exit, Failure> {
    let unused_for = Duration::from_hours(24) * u32::from(options.unused_days);
    let pruned = client.prune(admin, unused_for, options.delete);
    let stale = surroundings.waiting("looking at the clients", Box::pin(pruned)).await?;
    let printer = surroundings.printer;
    if printer.is_json() {
        let shown = |client: &StaleClient| {
            json!({"client_id": client.client_id, "client_name": client.name,
                "last_seen": client.last_seen.map(|seen| seen.as_secs()), "deleted": options.delete})
        };
        printer.document(&stale.iter().map(shown).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    if !stale.is_empty() {
        let rows = stale.iter().map(|client| [client.client_id.clone(), client.name.clone(), last_seen(client)]);
        printer.text(&table(&rows.collect::<Vec<_>>()))?;
    }
    printer.note(&match (stale.len(), options.delete) {
        (0, _) => format!("no client was unused for {} days", options.unused_days),
        (count, true) => format!("deleted {count} of them"),
        (count, false) => format!("{count} of them; `--delete` deletes them"),
    });
    Ok(Exit::Done)
}

fn last_seen(client: &StaleClient) -> String {
    client.last_seen.and_then(client::day).unwrap_or_else(|| "before all events".to_owned())
}
