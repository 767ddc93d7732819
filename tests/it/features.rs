//! Resources and prompts: from the side of another crate, and over HTTP by the same rules as tools.

use securemcp::{
    call::{Begun, CallContext, Changes},
    model::{PromptMessage, Role},
    prompts::{Prompt, PromptError, Prompts},
    resources::{Read, Requested, Resource, ResourceError, Resources},
    server::Features,
    tools::Tools,
};
use serde_json::{Value, json};

use crate::{
    drain::event,
    harness::{
        keys::Key,
        server::{Guarded, merged, stateless, with_mirrors},
    },
};

/// The code of docs/TOOLS.md.
#[expect(unreachable_pub, reason = "it is shown as the code of another crate")]
mod notes {
    use schemars::JsonSchema;
    use securemcp::{
        call::{Begun, CallContext},
        model::{PromptMessage, Role},
        prompts::{Prompt, PromptError, Prompts},
        resources::{Read, Requested, Resource, ResourceError, Resources},
        server::Features,
        tools::Tools,
    };
    use serde::Deserialize;

    pub struct Note;

    impl Resource for Note {
        const URI: &'static str = "notes://{folder}/{id}";
        const NAME: &'static str = "note";
        const DESCRIPTION: &'static str = "One note.";
        const MIME_TYPE: &'static str = "text/plain";
        const SCOPES: &'static [&'static str] = &["mcp:read"];

        async fn read(&self, requested: &Requested<'_>, context: &CallContext) -> Result<Read, ResourceError> {
            let (folder, id) = (requested.variable("folder"), requested.variable("id"));
            if folder != "desk" {
                return Err(ResourceError::NotFound);
            }
            Ok(Read::Text(format!("note {id} of {}", context.principal.subject)))
        }
    }

    pub struct Review;

    #[derive(Deserialize, JsonSchema)]
    pub struct Arguments {
        /// What is to be reviewed.
        text: String,
        /// In which tone.
        tone: Option<String>,
    }

    impl Prompt for Review {
        type Arguments = Arguments;

        const NAME: &'static str = "review";
        const DESCRIPTION: &'static str = "Reviews a text.";
        const SCOPES: &'static [&'static str] = &["mcp:read"];
        const COMPLETES: bool = true;

        async fn get(&self, arguments: Arguments, _: &CallContext) -> Result<Vec<PromptMessage>, PromptError> {
            let Arguments { text, tone } = arguments;
            let tone = tone.as_deref().unwrap_or("friendly");
            Ok(vec![PromptMessage::new_text(Role::User, format!("Review this in a {tone} tone:\n{text}"))])
        }

        async fn complete(&self, begun: &Begun, _: &CallContext) -> Vec<String> {
            let tones = ["friendly", "frank"].into_iter().filter(|tone| tone.starts_with(&begun.value));
            tones.filter(|_| begun.name == "tone").map(str::to_owned).collect()
        }
    }

    pub fn features() -> Features {
        Features::from(Tools::builtin())
            .with_resources(Resources::default().with(Note))
            .with_prompts(Prompts::default().with(Review))
    }
}

/// The features of docs/TOOLS.md.
pub(crate) fn all() -> Features {
    notes::features()
}

/// What only writers may read.
struct Diary;

impl Resource for Diary {
    const URI: &'static str = "diary://today";
    const NAME: &'static str = "diary";
    const DESCRIPTION: &'static str = "A diary.";
    const MIME_TYPE: &'static str = "text/plain";
    const SCOPES: &'static [&'static str] = &["mcp:read", "mcp:write"];

    async fn read(&self, _: &Requested<'_>, context: &CallContext) -> Result<Read, ResourceError> {
        Ok(Read::Text(format!("dear {}", context.principal.subject)))
    }
}

/// What only writers may use.
struct Confession;

impl Prompt for Confession {
    type Arguments = std::collections::BTreeMap<String, String>;

    const NAME: &'static str = "confession";
    const DESCRIPTION: &'static str = "A confession.";
    const SCOPES: &'static [&'static str] = &["mcp:write"];

    async fn get(&self, _: Self::Arguments, _: &CallContext) -> Result<Vec<PromptMessage>, PromptError> {
        Ok(vec![PromptMessage::new_text(Role::User, "I confess")])
    }
}

/// All that is in the vault, for readers.
struct Vault;

impl Resource for Vault {
    const URI: &'static str = "vault://{+path}";
    const NAME: &'static str = "vault";
    const DESCRIPTION: &'static str = "The vault.";
    const MIME_TYPE: &'static str = "text/plain";
    const SCOPES: &'static [&'static str] = &["mcp:read"];
    const IS_PUBLIC: bool = true;

    async fn read(&self, _: &Requested<'_>, _: &CallContext) -> Result<Read, ResourceError> {
        Ok(Read::Text("dust".to_owned()))
    }
}

/// What opens its drawers, for writers. Its text would fit the vault's template.
struct Codes;

impl Resource for Codes {
    const URI: &'static str = "vault://{drawer}/codes";
    const NAME: &'static str = "codes";
    const DESCRIPTION: &'static str = "What opens a drawer.";
    const MIME_TYPE: &'static str = "text/plain";
    const SCOPES: &'static [&'static str] = &["mcp:write"];
    const COMPLETES: bool = true;

    async fn read(&self, _: &Requested<'_>, _: &CallContext) -> Result<Read, ResourceError> {
        Err(ResourceError::NotFound)
    }

    async fn complete(&self, _: &Begun, _: &CallContext) -> Vec<String> {
        vec!["left".to_owned()]
    }
}

/// What hangs at the door.
struct Sign;

impl Resource for Sign {
    const URI: &'static str = "sign://door";
    const NAME: &'static str = "sign";
    const DESCRIPTION: &'static str = "The sign at the door.";
    const MIME_TYPE: &'static str = "text/plain";
    const SCOPES: &'static [&'static str] = &[];
    const IS_PUBLIC: bool = true;

    async fn read(&self, _: &Requested<'_>, _: &CallContext) -> Result<Read, ResourceError> {
        Ok(Read::Text("open".to_owned()))
    }
}

async fn with_vault() -> Guarded {
    let resources = Resources::default().with(Vault).with(Codes).with(Sign);
    Guarded::start_whole(Key::ec(), &[], Features::from(Tools::builtin()).with_resources(resources)).await
}

/// A server with something to read and to use for readers, something for writers, and word of its changes.
async fn guarded() -> (Guarded, Changes) {
    let changes = Changes::default();
    let features = Features::from(Tools::builtin())
        .with_resources(Resources::default().with(notes::Note).with(Diary))
        .with_prompts(Prompts::default().with(notes::Review).with(Confession))
        .with_changes(changes.clone());
    (Guarded::start_whole(Key::ec(), &[], features).await, changes)
}

#[tokio::test]
async fn what_another_crate_adds_is_listed_and_used() {
    let guarded = Guarded::start_whole(Key::ec(), &[], all()).await;
    let token = guarded.token(&json!({"scope": "mcp:read"}));
    let ask = async |method, params| {
        let (status, body) = guarded.asked(&token, method, params).await;
        assert_eq!(status, 200, "{body}");
        body["result"].clone()
    };
    let templates = ask("resources/templates/list", json!({})).await;
    assert_eq!(templates["resourceTemplates"][0]["uriTemplate"], "notes://{folder}/{id}");
    assert_eq!(templates["resourceTemplates"][0]["_meta"]["io.securemcp/scopes"], json!(["mcp:read"]));
    assert_eq!(ask("resources/list", json!({})).await["resources"], json!([]));
    let read = ask("resources/read", json!({"uri": "notes://desk/7"})).await;
    let expected = json!([{"uri": "notes://desk/7", "mimeType": "text/plain", "text": "note 7 of alice"}]);
    assert_eq!((&read["contents"], &read["cacheScope"], &read["ttlMs"]), (&expected, &json!("private"), &json!(0)));
    let prompts = ask("prompts/list", json!({})).await;
    let arguments = json!([
        {"name": "text", "description": "What is to be reviewed.", "required": true},
        {"name": "tone", "description": "In which tone.", "required": false},
    ]);
    assert_eq!(prompts["prompts"][0]["arguments"], arguments);
    let given = ask("prompts/get", json!({"name": "review", "arguments": {"text": "x", "tone": "frank"}})).await;
    assert_eq!(given["messages"][0]["content"]["text"], "Review this in a frank tone:\nx");
    for (argument, begun, expected) in [("tone", "fr", json!(["friendly", "frank"])), ("text", "fr", json!([]))] {
        let params = json!({"ref": {"type": "ref/prompt", "name": "review"},
            "argument": {"name": argument, "value": begun}});
        assert_eq!(ask("completion/complete", params).await["completion"]["values"], expected, "{argument}");
    }
}

#[tokio::test]
async fn what_a_token_does_not_allow_is_403_with_all_scopes_and_the_twin_is_answered() {
    let (guarded, _) = guarded().await;
    let (weak, good) = (guarded.token(&json!({"scope": "mcp:read"})), guarded.token(&json!({})));
    let diary = json!({"uri": "diary://today"});
    let listen = json!({"notifications": {"resourceSubscriptions": ["notes://desk/7", "diary://today"]}});
    let complete = json!({"ref": {"type": "ref/prompt", "name": "confession"}, "argument": {"name": "a", "value": ""}});
    for (method, params, scopes) in [
        ("resources/read", diary.clone(), "mcp:read mcp:write"),
        ("prompts/get", json!({"name": "confession"}), "mcp:write"),
        ("completion/complete", complete, "mcp:write"),
        ("subscriptions/listen", listen, "mcp:read mcp:write"),
    ] {
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let request = |token: &str| {
            let request = guarded.server.post(token, stateless(method, params.clone()));
            with_mirrors(request, method, name.as_deref()).send()
        };
        let refused = request(&weak).await.expect("an answer");
        assert_eq!(refused.status(), 403, "{method}");
        let challenge = refused.headers()["www-authenticate"].to_str().expect("a text");
        assert!(challenge.contains(&format!("scope=\"{scopes}\"")), "{method}: {challenge}");
        assert!(challenge.contains("error=\"insufficient_scope\""), "{method}: {challenge}");
        assert_eq!(request(&good).await.expect("an answer").status(), 200, "{method}");
    }
    let session = guarded.begin(&weak).await;
    let of_writer = guarded.begin(&good).await;
    for method in ["resources/read", "resources/subscribe"] {
        let body = json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": diary}).to_string();
        assert_eq!(guarded.in_session(&weak, &session, body.clone()).await.status(), 403, "{method}");
        assert_eq!(guarded.in_session(&good, &of_writer, body).await.status(), 200, "{method}");
    }
}

#[tokio::test]
async fn completion_needs_the_scopes_of_the_template_that_answers() {
    let guarded = with_vault().await;
    let (weak, good) = (guarded.token(&json!({"scope": "mcp:read"})), guarded.token(&json!({"scope": "mcp:write"})));
    let complete = async |token: &str, template: &str, variable: &str| {
        let params = json!({"ref": {"type": "ref/resource", "uri": template},
            "argument": {"name": variable, "value": ""}});
        guarded.asked(token, "completion/complete", params).await
    };
    let (status, body) = complete(&weak, "vault://{drawer}/codes", "drawer").await;
    let message = "`vault://{drawer}/codes` needs scope `mcp:write`";
    assert_eq!((status, &body["error"]["message"]), (403, &json!(message)));
    let (status, body) = complete(&good, "vault://{drawer}/codes", "drawer").await;
    assert_eq!((status, &body["result"]["completion"]["values"]), (200, &json!(["left"])), "the twin: {body}");
    assert_eq!(complete(&weak, "vault://{+path}", "path").await.0, 200);
    assert_eq!(complete(&good, "vault://{+path}", "path").await.0, 403);
}

#[tokio::test]
async fn only_what_needs_no_scope_is_for_caches_that_are_shared() {
    let guarded = with_vault().await;
    let token = guarded.token(&json!({}));
    for (uri, scope) in [("vault://gold", "private"), ("sign://door", "public")] {
        let (status, body) = guarded.asked(&token, "resources/read", json!({ "uri": uri })).await;
        assert_eq!((status, &body["result"]["cacheScope"]), (200, &json!(scope)), "{uri}: {body}");
    }
}

#[tokio::test]
async fn h09_the_body_decides_what_is_read_and_not_the_header() {
    let (guarded, _) = guarded().await;
    let (weak, good) = (guarded.token(&json!({"scope": "mcp:read"})), guarded.token(&json!({})));
    let read = async |token: &str, header: &str| {
        let body = stateless("resources/read", json!({"uri": "diary://today"}));
        let request = with_mirrors(guarded.server.post(token, body), "resources/read", Some(header));
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON")["error"]["code"].clone())
    };
    assert_eq!(read(&weak, "notes://desk/7").await, (403, json!(-32000)));
    assert_eq!(read(&good, "notes://desk/7").await, (400, json!(-32020)));
    assert_eq!(read(&good, "diary://today").await, (200, Value::Null));
}

#[tokio::test]
async fn what_there_is_not_is_an_error_and_never_a_challenge() {
    let (guarded, _) = guarded().await;
    let nobody = guarded.token(&json!({"scope": ""}));
    for (method, params, message, data) in [
        (
            "resources/read",
            json!({"uri": "no://such"}),
            "there is no resource `no://such`",
            json!({"uri": "no://such"}),
        ),
        ("prompts/get", json!({"name": "nope"}), "there is no prompt `nope`", Value::Null),
    ] {
        let (status, body) = guarded.asked(&nobody, method, params.clone()).await;
        assert_eq!(body["error"]["code"], -32602, "{body}");
        assert_eq!((status, &body["error"]["message"], &body["error"]["data"]), (200, &json!(message), &data));
        let session = guarded.begin(&nobody).await;
        let body = json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": params}).to_string();
        let text = guarded.in_session(&nobody, &session, body).await.text().await.expect("a body");
        assert!(text.contains("-32602") && text.contains(message), "{text}");
    }
    let reader = guarded.token(&json!({}));
    let (_, body) = guarded.asked(&reader, "resources/read", json!({"uri": "notes://home/7"})).await;
    assert_eq!(body["error"]["data"], json!({"uri": "notes://home/7"}), "the template fits, and there is none");
}

#[tokio::test]
async fn a_server_with_tools_alone_offers_nothing_else() {
    let guarded = Guarded::start().await;
    let (_, body) = guarded.asked(&guarded.token(&json!({})), "server/discover", json!({})).await;
    assert_eq!(body["result"]["capabilities"], json!({"tools": {}}));
    let (offering, _) = self::guarded().await;
    let (_, body) = offering.asked(&offering.token(&json!({})), "server/discover", json!({})).await;
    let expected = json!({
        "completions": {}, "prompts": {"listChanged": true}, "resources": {"listChanged": true, "subscribe": true},
        "tools": {"listChanged": true},
    });
    assert_eq!(body["result"]["capabilities"], expected);
}

#[tokio::test]
async fn changes_reach_whoever_asked_for_them() {
    let (guarded, changes) = guarded().await;
    let token = guarded.token(&json!({}));
    let wanted =
        json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": ["notes://desk/7", "no://"]}});
    let request = guarded.server.post(&token, stateless("subscriptions/listen", wanted));
    let mut stream = with_mirrors(request, "subscriptions/listen", None).send().await.expect("a stream");
    let acknowledged = event(&mut stream).await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let accepted = json!({"toolsListChanged": true, "resourceSubscriptions": ["notes://desk/7"]});
    assert_eq!(acknowledged["params"]["notifications"], accepted);
    changes.prompts();
    changes.resource("notes://desk/8");
    changes.resource("notes://desk/7");
    let updated = event(&mut stream).await;
    assert_eq!(updated["method"], "notifications/resources/updated", "what was not asked for is not told");
    assert_eq!(updated["params"]["uri"], "notes://desk/7");
    changes.tools();
    assert_eq!(event(&mut stream).await["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn s13_a_prompt_that_asks_is_given_in_two_rounds_and_to_its_caller_only() {
    let features = Features::from(Tools::default()).with_prompts(Prompts::default().with(Asking));
    let guarded = Guarded::start_whole(Key::ec(), &[], features).await;
    let alice = guarded.token(&json!({}));
    let ask = async |token: &str, more: Value| {
        let params = merged(json!({"name": "asking"}), &more);
        guarded.asked_by(token, json!({"elicitation": {}}), "prompts/get", params).await.1
    };
    let question = ask(&alice, json!({})).await["result"].take();
    assert_eq!(question["resultType"], "input_required", "{question}");
    assert_eq!(question["inputRequests"]["who"]["method"], "elicitation/create");
    let answer = json!({"action": "accept", "content": {"name": "Ada"}});
    let good = json!({"inputResponses": {"who": answer}, "requestState": question["requestState"]});
    let given = ask(&alice, good.clone()).await;
    assert_eq!(given["result"]["messages"][0]["content"]["text"], "Write to Ada", "{given}");
    let bob = guarded.token(&json!({"sub": "bob"}));
    assert_eq!(ask(&bob, good.clone()).await["error"]["code"], -32602, "the state is another caller's");
    let declined = json!({"inputResponses": {"who": {"action": "decline"}}, "requestState": question["requestState"]});
    assert_eq!(ask(&alice, declined).await["error"]["code"], -32603);
}

/// Asks whom it is for.
struct Asking;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Who {
    name: String,
}

impl Prompt for Asking {
    type Arguments = std::collections::BTreeMap<String, String>;

    const NAME: &'static str = "asking";
    const DESCRIPTION: &'static str = "Asks whom it is for.";
    const SCOPES: &'static [&'static str] = &[];
    const ASKS: bool = true;

    async fn get(&self, _: Self::Arguments, context: &CallContext) -> Result<Vec<PromptMessage>, PromptError> {
        let Who { name } = context.ask.elicit("who", "Whom is it for?").await?;
        Ok(vec![PromptMessage::new_text(Role::User, format!("Write to {name}"))])
    }
}
