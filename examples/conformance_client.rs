//! The client that the official conformance suite tests (`@modelcontextprotocol/conformance client --command ..`).
//!
//! What the suite says in its environment becomes the settings of [`securemcp::client`], as flags and variables do for
//! `securemcp call`; all the rest is the library's.

use std::{
    env,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::model::SkillResources;
use securemcp::{
    client::{
        Asked, BoxFuture, Client, DeviceCode, Grant, Host, IdentityProvider, Person, Question, Reply, Respondent,
        Session, Settings, Unanswered, Voucher,
    },
    jose::PrivateKey,
    oauth::{Issuer, Resource},
    secret::Secret,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

/// The document of this client that the suite knows.
const METADATA_URL: &str = "https://conformance-test.local/client-metadata.json";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What the suite gives to a scenario, in `MCP_CONFORMANCE_CONTEXT`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Context {
    client_id: Option<String>,
    client_secret: Option<Secret>,
    private_key_pem: Option<Secret>,
    valid_jwt: Option<Secret>,
    idp_issuer: Option<Issuer>,
    idp_client_id: Option<String>,
    idp_id_token: Option<Secret>,
    #[serde(rename = "toolCalls")]
    tool_calls: Vec<ToolCall>,
}

#[derive(Debug, Deserialize)]
struct ToolCall {
    name: String,
    arguments: Map<String, Value>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let server = env::args().nth(1).ok_or("expected the URL of a server")?;
    let scenario = variable("MCP_CONFORMANCE_SCENARIO").ok_or("`MCP_CONFORMANCE_SCENARIO` is not set")?;
    let context = variable("MCP_CONFORMANCE_CONTEXT").map(|context| serde_json::from_str::<Context>(&context));
    let context = context.transpose()?.unwrap_or_default();
    let state = tempfile::tempdir()?;
    let settings = settings(&server, &scenario, &context, state.path().join("state")).await?;
    let host = Host { respondent: Some(Arc::new(Consenting)), ..Host::default() };
    let session = Client::new(settings)?.connect(host).await?;
    let ended = talk(&scenario, &context, &session).await;
    session.close().await;
    ended
}

/// A person who sends every form as it is shown.
struct Consenting;

impl Respondent for Consenting {
    fn fills_forms(&self) -> bool {
        true
    }

    fn opens_pages(&self) -> bool {
        false
    }

    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Reply, Unanswered>> {
        let reply = match question.wanted {
            Asked::Form(form) => form.fill(Map::new()).map_or(Reply::Decline, Reply::Accept),
            Asked::Page(_) => Reply::Decline,
        };
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// What flags and variables would be.
async fn settings(server: &str, scenario: &str, context: &Context, state: std::path::PathBuf) -> Outcome<Settings> {
    let mut settings = Settings::new(Resource::parse(server)?, state);
    settings.client_id.clone_from(&context.client_id);
    settings.client_secret.clone_from(&context.client_secret);
    settings.private_key = match &context.private_key_pem {
        Some(pem) => Some(Arc::new(PrivateKey::from_pem(pem.expose(), None)?)),
        None => None,
    };
    settings.voucher = match (&context.valid_jwt, &context.idp_issuer, &context.idp_client_id, &context.idp_id_token) {
        (Some(assertion), ..) => Some(Voucher::Assertion(assertion.clone())),
        (None, Some(issuer), Some(client_id), Some(id_token)) => Some(Voucher::IdentityProvider(IdentityProvider {
            issuer: issuer.clone(),
            client_id: client_id.clone(),
            client_secret: None,
            id_token: id_token.clone(),
        })),
        _ => None,
    };
    settings.client_metadata_url = Some(Url::parse(METADATA_URL)?);
    settings.person = Some(Arc::new(Browser::new()?));
    settings.dpop = scenario.starts_with("auth/dpop");
    if scenario == "auth/pre-registration" {
        settings.grant = Some(Grant::AuthorizationCode);
    }
    if context.client_id.is_some() {
        // The suite does not say whose the credentials are: here, where nothing is real, the server may.
        settings.issuer = Some(Client::new(settings.clone())?.discover(None).await?.issuer.issuer);
    }
    Ok(settings)
}

async fn talk(scenario: &str, context: &Context, session: &Session) -> Outcome {
    if let Some(about_skills) = scenario.strip_prefix("sep-2640-client-") {
        for skill in session.list_skills().await? {
            if about_skills != "no-prefetch" {
                session.read_skill(&skill).await?;
                let SkillResources::Files(files) = &skill.resources else { continue };
                for file in files {
                    session.read_skill_file(&skill, &file.uri).await?;
                }
            }
        }
        return Ok(());
    }
    let tools = session.list_tools().await?;
    match scenario {
        "json-schema-ref-no-deref" | "request-metadata" => return Ok(()),
        "json-schema-2020-12-preservation" => {
            let tool =
                tools.iter().find(|tool| tool.name == "json_schema_2020_12_tool").ok_or("the tool is missing")?;
            let arguments = Map::from_iter([("schema".to_owned(), Value::Object((*tool.input_schema).clone()))]);
            session.call_tool("json_schema_echo", arguments).await?;
            return Ok(());
        }
        _ => {}
    }
    for call in &context.tool_calls {
        session.call_tool(&call.name, call.arguments.clone()).await?;
    }
    for tool in tools.iter().filter(|tool| context.tool_calls.iter().all(|call| call.name != tool.name)) {
        session.call_tool(&tool.name, sample(&tool.input_schema)).await?;
    }
    if scenario == "http-standard-headers" {
        for resource in session.list_resources().await? {
            session.read_resource(&resource.uri).await?;
        }
        for prompt in session.list_prompts().await? {
            session.get_prompt(&prompt.name, Map::new()).await?;
        }
    }
    Ok(())
}

/// Something for each argument that a tool requires.
fn sample(schema: &Map<String, Value>) -> Map<String, Value> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let value = |name: &str| match schema["properties"][name]["type"].as_str() {
        Some("number" | "integer") => json!(2),
        Some("boolean") => json!(true),
        Some("object") => json!({}),
        Some("array") => json!([]),
        _ => json!("text"),
    };
    required.map(|name| (name.to_owned(), value(name))).collect()
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "an example has no configuration of its own")]
    env::var(name).ok()
}

/// A browser whose person agrees to everything: the page sends it back at once, and the address is carried over.
#[derive(Debug)]
struct Browser {
    http: reqwest::Client,
    arrived_at: Mutex<Option<String>>,
}

impl Browser {
    fn new() -> Outcome<Self> {
        #[expect(clippy::disallowed_methods, reason = "a browser of its own, which follows nothing")]
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, arrived_at: Mutex::default() })
    }
}

impl Person for Browser {
    fn visit<'a>(&'a self, page: &'a Url) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Ok(response) = self.http.get(page.clone()).send().await else { return };
            let location = response.headers().get("location").and_then(|location| location.to_str().ok());
            *self.arrived_at.lock().unwrap_or_else(PoisonError::into_inner) = location.map(str::to_owned);
        })
    }

    fn pasted(&self) -> BoxFuture<'_, String> {
        let address = self.arrived_at.lock().unwrap_or_else(PoisonError::into_inner).take();
        match address {
            Some(address) => Box::pin(std::future::ready(address)),
            None => Box::pin(std::future::pending()),
        }
    }

    fn show_code(&self, _code: &DeviceCode) {}

    fn tell(&self, _words: &str) {}

    fn done(&self) {}
}
