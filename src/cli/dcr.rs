//! `securemcp dcr`: register clients (RFC 7591), look at them, change and delete them (RFC 7592).

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    asking,
    env_file::{self, EnvFile},
    exit::{Exit, Failure},
    print::Printer,
    prune,
    settings::Setting,
    surroundings::{Surroundings, Wanted},
};
use crate::{
    client::{Client, KeycloakAdmin, RegistrationChange, RegistrationRequest},
    config::{Config, Inputs},
    oauth::{AuthMethod, RedirectUri, RegisteredClient, Scopes, device::DEVICE_CODE, redirect::BadRedirectUri},
};

/// Settings that have a flag at `register` only.
pub(super) const SETTINGS: &[Setting] = &[("client.initial_access_token", "FILE")];
/// Settings that have a flag where an administrator of a Keycloak is needed.
pub(super) const ADMIN: &[Setting] = &[("client.keycloak_admin", "USER"), ("client.keycloak_admin_password", "FILE")];
/// Settings that have a flag where a registration is chosen.
pub(super) const CHOICE: &[Setting] = &[("client.id", "ID")];

/// What is shown of a registration only when asked for.
const SECRETS: [&str; 2] = ["client_secret", "registration_access_token"];

/// What an update is about: one of them at least.
const CHANGEABLE: [&str; 4] = ["name", "scope", "grant", "redirect_uri"];

/// What is waited for.
const ASKING: &str = "asking the issuer";

const REGISTER_EXAMPLES: &str = "A kept registration that still works is used again.

Examples:
  securemcp dcr register --name ci --scope \"mcp:read mcp:write\"
  securemcp dcr register --issuer https://kc.example/realms/mcp --initial-access-token-file iat.txt
  securemcp dcr register --issuer https://kc.example/realms/mcp --keycloak-admin admin --scope mcp:read
  securemcp dcr register --auth-method private_key_jwt --new
  securemcp dcr register --grant authorization_code --grant refresh_token
  securemcp dcr register --env-file .env --auto-update";
const UPDATE_EXAMPLES: &str = "What is not named stays as it is. Scopes can be given up, not won.

Examples:
  securemcp dcr update --scope mcp:read
  securemcp dcr update --client-id client-x --name nightly";
const DELETE_EXAMPLES: &str = "Its tokens end with it, and so do its lines in the file of `--env-file`.

Examples:
  securemcp dcr delete
  securemcp dcr delete --client-id client-x --forget";
const SHOW_EXAMPLES: &str = "Examples:
  securemcp dcr show
  securemcp dcr show --show-secrets --output json";

/// Register a client with the issuer, look at it, change it, delete it; clear up at a Keycloak
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Register(Register),
    Show(Show),
    Update(Update),
    Delete(Delete),
    Prune(prune::Options),
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
    /// Where people come back to after they logged in; repeatable [default for a login: this machine]
    #[arg(long, value_name = "URI", value_parser = redirect_uri)]
    redirect_uri: Vec<String>,
    /// The scopes that the client may ask for, separated by spaces
    #[arg(long, value_name = "SCOPES", value_parser = Scopes::parse)]
    scope: Option<Scopes>,
    /// How the client proves itself [default: `client_secret_basic`, or `none` for logins that come back to this machine]
    #[arg(long, value_enum)]
    auth_method: Option<Method>,
    /// Register anew although a working registration is kept
    #[arg(long)]
    new: bool,
    /// Write client id and secret into the file of `--env-file`; its other lines stay
    #[arg(long)]
    auto_update: bool,
    /// Print secrets instead of `[redacted]`
    #[arg(long)]
    show_secrets: bool,
}

/// Change the kept registration at its issuer
#[derive(Debug, Args)]
#[command(after_help = UPDATE_EXAMPLES)]
#[command(group = ArgGroup::new("change").args(CHANGEABLE).multiple(true).required(true))]
pub(super) struct Update {
    /// A new name, for people
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The scopes that the client may ask for from now on, separated by spaces
    #[arg(long, value_name = "SCOPES", value_parser = Scopes::parse)]
    scope: Option<Scopes>,
    /// A grant the client will use; repeatable
    #[arg(long, value_enum)]
    grant: Vec<Grant>,
    /// Where people come back to after they logged in; repeatable
    #[arg(long, value_name = "URI", value_parser = redirect_uri)]
    redirect_uri: Vec<String>,
    /// Print secrets instead of `[redacted]`
    #[arg(long)]
    show_secrets: bool,
}

/// Delete the kept registration at its issuer, then here
#[derive(Debug, Args)]
#[command(after_help = DELETE_EXAMPLES)]
pub(super) struct Delete {
    /// Only forget it here; the issuer is not told
    #[arg(long)]
    forget: bool,
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
    DeviceCode,
    RefreshToken,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Method {
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    None,
}

/// Does what was asked.
pub(super) async fn run(command: &Command, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let env_file = match command {
        Command::Register(options) if options.auto_update => Some(EnvFile::of(surroundings)?),
        _ => None,
    };
    // One that is not there yet says nothing; one that is, is read like any other.
    let is_new = env_file.as_ref().is_some_and(EnvFile::is_new);
    let inputs = surroundings.inputs();
    let inputs = if is_new { Inputs { env_file: None, ..inputs } } else { inputs };
    let config = surroundings
        .config_from(&inputs)
        .map_err(|failure| failure.hint(without_auto_update(command, surroundings)))?;
    let mut settings = surroundings.client_settings(&config, &Wanted::default())?;
    let printer = surroundings.printer;
    match command {
        Command::Register(options) => {
            settings.force_new = options.new;
            let client = Client::new(settings)?;
            let mut request = request(options);
            request.keycloak_admin = admin(&config, surroundings).await?;
            if request.keycloak_admin.is_none() {
                request.initial_access_token = config.client.initial_access_token.clone();
            }
            let registered = surroundings.waiting("registering", Box::pin(client.register(request))).await?;
            let (verb, file) =
                (if registered.reused { "kept from before" } else { "saved" }, registered.file.display());
            printer.note(&format!("{verb} in `{file}`, registered at `{}`", registered.issuer));
            if let Some(env_file) = env_file {
                env_file.keep(&registered.client)?;
                printer.note(&format!("wrote its id and secret into `{}`", env_file.path().display()));
            }
            print(&registered.client, options.show_secrets, printer)
        }
        Command::Show(options) => {
            let client = Client::new(settings)?;
            let registered = surroundings.waiting(ASKING, Box::pin(client.show_registration())).await?;
            print(&registered, options.show_secrets, printer)
        }
        Command::Update(options) => {
            let change = RegistrationChange {
                name: options.name.clone(),
                scopes: options.scope.clone(),
                grants: options.grant.iter().copied().map(Grant::word).collect(),
                redirect_uris: options.redirect_uri.clone(),
            };
            let client = Client::new(settings)?;
            let registered = surroundings.waiting(ASKING, Box::pin(client.update_registration(&change))).await?;
            print(&registered, options.show_secrets, printer)
        }
        Command::Delete(options) => {
            let client = Client::new(settings)?;
            let (client_id, verb) = if options.forget {
                (client.forget_registration().await?, "forgot")
            } else {
                (surroundings.waiting(ASKING, client.delete_registration()).await?, "deleted")
            };
            if let Some(path) = &surroundings.globals.env_file {
                // The client is gone, whatever becomes of the file.
                match env_file::forget(path, &client_id) {
                    Ok(true) => printer.note(&format!("took its id and secret out of `{}`", path.display())),
                    Ok(false) => {}
                    Err(problem) => printer.warning(&format!("the env file still names it: {problem}")),
                }
            }
            if printer.is_json() {
                printer.document(&json!({"client_id": client_id, "deleted": !options.forget}))?;
            } else {
                printer.note(&format!("{verb} the client `{client_id}`"));
            }
            Ok(Exit::Done)
        }
        Command::Prune(options) => {
            let Some(admin) = admin(&config, surroundings).await? else {
                let missing = "an administrator of the Keycloak has to look, and none is named";
                return Err(Failure::message(Exit::Usage, missing).hint("add `--keycloak-admin USER`".to_owned()));
            };
            prune::run(options, &Client::new(settings)?, &admin, surroundings).await
        }
    }
}

/// What is missing where an env file that is not there yet was meant to be written.
fn without_auto_update(command: &Command, surroundings: &Surroundings) -> Option<String> {
    let path = surroundings.globals.env_file.as_ref().filter(|path| !path.exists())?;
    let is_meant_to_write = matches!(command, Command::Register(options) if !options.auto_update);
    is_meant_to_write
        .then(|| format!("to have `{}` made, with the new client in it, add `--auto-update`", path.display()))
}

impl Grant {
    fn word(self) -> String {
        let word = match self {
            Self::ClientCredentials => "client_credentials",
            Self::AuthorizationCode => "authorization_code",
            Self::DeviceCode => DEVICE_CODE,
            Self::RefreshToken => "refresh_token",
        };
        word.to_owned()
    }
}

fn redirect_uri(text: &str) -> Result<String, BadRedirectUri> {
    RedirectUri::parse(text).map(|uri| uri.as_str().to_owned())
}

fn request(options: &Register) -> RegistrationRequest {
    let default: &[Grant] = match options.redirect_uri.as_slice() {
        [] => &[Grant::ClientCredentials],
        _ => &[Grant::AuthorizationCode, Grant::RefreshToken],
    };
    let grants = if options.grant.is_empty() { default } else { &options.grant };
    // Where `token get` listens; the port is chosen by whoever does (RFC 8252 section 7.3).
    let mut redirect_uris = options.redirect_uri.clone();
    if redirect_uris.is_empty() && grants.contains(&Grant::AuthorizationCode) {
        redirect_uris.push("http://127.0.0.1/callback".to_owned());
    }
    let is_here = |uri: &String| RedirectUri::parse(uri).is_ok_and(|uri| uri.is_local());
    // A secret in everybody's copy of a program is none (RFC 8252 section 8.5); a machine cannot do without.
    let is_public = !grants.contains(&Grant::ClientCredentials) && redirect_uris.iter().all(is_here);
    RegistrationRequest {
        name: options.name.clone(),
        grants: grants.iter().copied().map(Grant::word).collect(),
        redirect_uris,
        scopes: options.scope.clone(),
        auth_method: match options.auth_method {
            None if is_public => AuthMethod::None,
            None | Some(Method::ClientSecretBasic) => AuthMethod::ClientSecretBasic,
            Some(Method::ClientSecretPost) => AuthMethod::ClientSecretPost,
            Some(Method::PrivateKeyJwt) => AuthMethod::PrivateKeyJwt,
            Some(Method::None) => AuthMethod::None,
        },
        initial_access_token: None,
        keycloak_admin: None,
        takes_over: true,
    }
}

/// Who registers at a Keycloak; a person is asked for the password.
async fn admin(config: &Config, surroundings: &Surroundings) -> Result<Option<KeycloakAdmin>, Failure> {
    let Some(user) = config.client.keycloak_admin.clone() else { return Ok(None) };
    if let Some(password) = config.client.keycloak_admin_password.clone() {
        return Ok(Some(KeycloakAdmin { user, password }));
    }
    if !surroundings.printer.asks() || !io::stdin().is_terminal() || surroundings.environment.is_ci() {
        let missing = format!("the password of Keycloak's administrator `{user}` is missing");
        let hint = "set `KEYCLOAK_ADMIN_PASSWORD`, or name a file with `--keycloak-admin-password-file`";
        return Err(Failure::message(Exit::Usage, missing).hint(hint.to_owned()));
    }
    let prompt = format!("Password of Keycloak's administrator `{user}`");
    let password = asking::hidden(prompt).await.context("nobody answers")?;
    Ok(Some(KeycloakAdmin { user, password }))
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
        let people = asked("register --redirect-uri http://127.0.0.1/");
        assert_eq!(people.grants, ["authorization_code", "refresh_token"]);
        assert_eq!(people.auth_method, AuthMethod::None, "a secret would be no secret");
        let web = asked("register --redirect-uri https://app.example/callback");
        assert_eq!(web.auth_method, AuthMethod::ClientSecretBasic);
        let here = asked("register --grant authorization_code --grant device_code --auth-method client_secret_post");
        assert_eq!(here.redirect_uris, ["http://127.0.0.1/callback"]);
        assert_eq!(here.grants, ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]);
        assert_eq!(here.auth_method, AuthMethod::ClientSecretPost);
        assert!(asked("register").redirect_uris.is_empty());
        let both = asked("register --grant client_credentials --grant refresh_token --redirect-uri http://127.0.0.1/");
        assert_eq!(both.grants, ["client_credentials", "refresh_token"]);
        assert_eq!(both.auth_method, AuthMethod::ClientSecretBasic, "a machine has to prove itself");
    }

    #[test]
    fn what_no_program_waits_behind_is_no_redirect_uri() {
        for bad in ["javascript:alert(1)", "http://app.example/", "https://*.example/", "callback"] {
            assert!(Line::try_parse_from(["register", "--redirect-uri", bad]).is_err(), "{bad}");
        }
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
