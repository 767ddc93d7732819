//! `securemcp dcr`: register clients (RFC 7591) and look at them (RFC 7592).

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::{
    exit::{Exit, Failure},
    print::Printer,
    settings::Setting,
    surroundings::{Surroundings, Wanted},
};
use crate::{
    client::{Client, RegistrationRequest},
    config::Config,
    oauth::{AuthMethod, RegisteredClient, Scopes},
    secret::Secret,
    store::{LocalClient, PrivateDir, initial_access_token},
};

/// Settings that have a flag here.
pub(super) const SETTINGS: &[Setting] = &[("client.initial_access_token", "FILE")];

/// What is shown of a registration only when asked for.
const SECRETS: [&str; 2] = ["client_secret", "registration_access_token"];

const REGISTER_EXAMPLES: &str = "A kept registration that still works is used again.

Examples:
  securemcp dcr register --name ci --scope \"mcp:read mcp:write\"
  securemcp dcr register --issuer https://kc.example/realms/mcp --initial-access-token-file iat.txt
  securemcp dcr register --auth-method private_key_jwt --new";
const SHOW_EXAMPLES: &str = "Examples:
  securemcp dcr show
  securemcp dcr show --show-secrets --output json";

/// Register a client with the issuer, look at it
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Register(Register),
    Show(Show),
}

/// Register a client and keep it for later commands
#[derive(Debug, Args)]
#[command(after_help = REGISTER_EXAMPLES)]
pub(super) struct Register {
    /// The client's name, for people
    #[arg(long, value_name = "NAME", default_value = "securemcp")]
    name: String,
    /// A grant the client will use; repeatable [default: `client_credentials`, or with `--redirect-uri` those of a login]
    #[arg(long, value_enum)]
    grant: Vec<Grant>,
    /// Where people come back to after they logged in; repeatable
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// The scopes that the client may ask for, separated by spaces
    #[arg(long, value_name = "SCOPES", value_parser = Scopes::parse)]
    scope: Option<Scopes>,
    /// How the client proves itself
    #[arg(long, value_enum, default_value_t)]
    auth_method: Method,
    /// Register anew although a working registration is kept
    #[arg(long)]
    new: bool,
    /// Print secrets instead of `[redacted]`
    #[arg(long)]
    show_secrets: bool,
}

/// Show the kept registration, as the issuer has it
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(super) struct Show {
    /// Print secrets instead of `[redacted]`
    #[arg(long)]
    show_secrets: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Grant {
    ClientCredentials,
    AuthorizationCode,
    RefreshToken,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Method {
    #[default]
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    None,
}

/// Does what was asked.
pub(super) async fn run(command: &Command, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let config = surroundings.config()?;
    let mut settings = surroundings.client_settings(&config, &Wanted::default())?;
    match command {
        Command::Register(options) => {
            settings.force_new = options.new;
            let client = Client::new(settings)?;
            let mut request = request(options);
            request.initial_access_token = opener(&config, &client).await?;
            let registered = client.register(request).await?;
            let (verb, file) =
                (if registered.reused { "kept from before" } else { "saved" }, registered.file.display());
            surroundings.printer.note(&format!("{verb} in `{file}`, registered at `{}`", registered.issuer));
            print(&registered.client, options.show_secrets, surroundings.printer)
        }
        Command::Show(options) => {
            let registered = Client::new(settings)?.show_registration().await?;
            print(&registered, options.show_secrets, surroundings.printer)
        }
    }
}

fn request(options: &Register) -> RegistrationRequest {
    let default: &[Grant] = match options.redirect_uri.as_slice() {
        [] => &[Grant::ClientCredentials],
        _ => &[Grant::AuthorizationCode, Grant::RefreshToken],
    };
    let grants = if options.grant.is_empty() { default } else { &options.grant };
    let word = |grant: &Grant| match grant {
        Grant::ClientCredentials => "client_credentials".to_owned(),
        Grant::AuthorizationCode => "authorization_code".to_owned(),
        Grant::RefreshToken => "refresh_token".to_owned(),
    };
    RegistrationRequest {
        name: options.name.clone(),
        grants: grants.iter().map(word).collect(),
        redirect_uris: options.redirect_uri.clone(),
        scopes: options.scope.clone(),
        auth_method: match options.auth_method {
            Method::ClientSecretBasic => AuthMethod::ClientSecretBasic,
            Method::ClientSecretPost => AuthMethod::ClientSecretPost,
            Method::PrivateKeyJwt => AuthMethod::PrivateKeyJwt,
            Method::None => AuthMethod::None,
        },
        initial_access_token: None,
    }
}

/// What opens the registration endpoint: the token that was given, or the embedded issuer's own if that is where this goes.
async fn opener(config: &Config, client: &Client) -> Result<Option<Secret>, Failure> {
    if config.client.initial_access_token.is_some() || !config.state_dir.exists() {
        return Ok(config.client.initial_access_token.clone());
    }
    let state = PrivateDir::open(&config.state_dir)?;
    let Some(local) = LocalClient::load(&state)? else { return Ok(None) };
    let found = client.discover(None).await?.issuer.issuer;
    Ok(if found == local.issuer { Some(initial_access_token(&state)?) } else { None })
}

fn print(registered: &RegisteredClient, show_secrets: bool, printer: Printer) -> Result<Exit, Failure> {
    let mut value = serde_json::to_value(registered).context("cannot read the registration")?;
    if !show_secrets {
        redact(&mut value);
    }
    if printer.is_json() {
        printer.document(&value)?;
    } else if let Value::Object(members) = &value {
        for (name, value) in members {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            printer.text(&format!("{name:27}  {text}"))?;
        }
    }
    Ok(Exit::Done)
}

fn redact(registration: &mut Value) {
    for name in SECRETS {
        if let Some(secret) = registration.get_mut(name) {
            *secret = Value::from("[redacted]");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        register: Register,
    }

    fn asked(line: &str) -> RegistrationRequest {
        request(&Line::parse_from(line.split_whitespace()).register)
    }

    #[test]
    fn machines_are_the_default_and_a_redirect_means_people() {
        assert_eq!(asked("register").grants, ["client_credentials"]);
        let people = asked("register --redirect-uri http://127.0.0.1/ --auth-method none");
        assert_eq!(people.grants, ["authorization_code", "refresh_token"]);
        assert_eq!(people.auth_method, AuthMethod::None);
        let both = asked("register --grant client_credentials --grant refresh_token --redirect-uri http://127.0.0.1/");
        assert_eq!(both.grants, ["client_credentials", "refresh_token"]);
    }

    #[test]
    fn secrets_are_redacted() {
        let mut registration = json!({"client_id": "c", "client_secret": "s", "registration_access_token": "r"});
        redact(&mut registration);
        let expected =
            json!({"client_id": "c", "client_secret": "[redacted]", "registration_access_token": "[redacted]"});
        assert_eq!(registration, expected);
    }
}
