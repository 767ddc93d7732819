//! Skills of a guarded server (SEP-2640): what it lists is listed and read by the same rules, and nothing else.

use std::sync::Arc;

use axum::Router;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use securemcp::{
    clock::SystemClock,
    model::{Skill, SkillFrontmatter, SkillResource, SkillResources},
    server::{Features, Local},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    harness::{
        keys::Key,
        log::Log,
        server::{Guarded, stateless, with_mirrors},
        until::until,
        upstream::{Lie, Upstream},
    },
    skills::{FIELDS, LOGO, SKILL, disk, taught},
};

const FOLDER: &str = "skill://forms";

/// A server that asks nobody who they are. It stops when dropped.
struct Open {
    url: String,
    task: JoinHandle<()>,
}

impl Open {
    async fn start(features: Features) -> Self {
        let local = Local::new(features, SystemClock::shared());
        let sessions = Arc::new(LocalSessionManager::default());
        let mcp =
            StreamableHttpService::new(move || Ok(local.handler()), sessions, StreamableHttpServerConfig::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("bound"));
        let routes = Router::new().route_service("/mcp", mcp);
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.expect("serves") });
        Self { url, task }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// In front of a server with skills, with these scopes in the settings.
async fn guarding(scopes: &str) -> (Guarded, Open) {
    let features = taught::features(&disk().path().join("skills")).expect("the folder is there");
    let open = Open::start(features).await;
    let file = format!("[upstream]\n[upstream.scopes]\n{scopes}");
    let guarded = Guarded::guarding_with_file(Key::ec(), &[("upstream.url", &open.url)], &file).await;
    (guarded, open)
}

#[tokio::test]
async fn the_skills_of_a_guarded_server_are_listed_got_and_read() {
    let (guarded, _open) = guarding("").await;
    let token = guarded.token(&json!({"scope": "mcp:read"}));
    let ask = async |method: &str, params: Value| {
        let (status, body) = guarded.asked(&token, method, params).await;
        assert_eq!(status, 200, "{method}: {body}");
        body["result"].clone()
    };
    let capabilities = ask("server/discover", json!({})).await["capabilities"].take();
    assert_eq!(capabilities["extensions"]["io.modelcontextprotocol/skills"], json!({"directoryRead": true}));
    let listed = ask("skills/list", json!({})).await;
    assert_eq!(listed["cacheScope"], "private");
    let skills: Vec<Skill> = serde_json::from_value(listed["skills"].clone()).expect("skills");
    assert_eq!(ask("skills/get", json!({"uri": SKILL})).await["skill"], listed["skills"][0]);
    let [Skill { uri, resources: SkillResources::Files(files), .. }] = &skills[..] else { panic!("{skills:?}") };
    assert_eq!((&**uri, files.len()), (SKILL, 3));
    for file in files {
        let read = ask("resources/read", json!({"uri": file.uri})).await["contents"][0].take();
        if let Some(text) = read["text"].as_str() {
            file.verify(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {read}"));
        }
        assert_eq!(read["uri"], file.uri);
    }
    let folder = ask("resources/directory/read", json!({"uri": FOLDER})).await["resources"].take();
    let names: Vec<_> = folder.as_array().expect("a list").iter().map(|child| &child["name"]).collect();
    assert_eq!(names, ["SKILL.md", "logo.png", "references"]);
    let resources = ask("resources/list", json!({})).await["resources"].take();
    assert_eq!(resources.as_array().map(Vec::len), Some(1), "its other files are in its own list: {resources}");
    for uri in ["skill://forms/.env", "skill://forms/../../private/secret.txt", "skill://linked/SKILL.md"] {
        for method in ["resources/read", "skills/get", "resources/directory/read"] {
            let (_, body) = guarded.asked(&token, method, json!({ "uri": uri })).await;
            assert_eq!(body["error"]["code"], -32602, "{method} {uri}: {body}");
        }
    }
}

#[tokio::test]
async fn what_the_settings_ask_for_a_skill_its_files_need_too() {
    let (guarded, _open) =
        guarding("'skill://forms/SKILL.md' = 'mcp:write'\n'skill://forms/logo.png' = 'mcp:read'\n").await;
    let (weak, good) = (guarded.token(&json!({"scope": "mcp:read"})), guarded.token(&json!({})));
    let (log, _guard) = Log::start();
    for (name, method, uri) in [
        ("skill", "skills/get", SKILL),
        ("text", "resources/read", SKILL),
        ("file", "resources/read", FIELDS),
        ("folder", "resources/directory/read", FOLDER),
        ("folder-below", "resources/directory/read", "skill://forms/references"),
    ] {
        let params = json!({ "uri": uri });
        let request = guarded.server.post(&weak, stateless(method, params.clone()));
        let request = with_mirrors(request, method, Some(uri)).header("x-request-id", name);
        let refused = request.send().await.expect("an answer");
        assert_eq!(refused.status(), 403, "{method} {uri}");
        let challenge = refused.headers()["www-authenticate"].to_str().expect("a text");
        assert!(challenge.contains("scope=\"mcp:write\""), "{challenge}");
        assert_eq!(log.audited(name)[0]["message"], "access_denied");
        assert_eq!(guarded.asked(&good, method, params).await.0, 200, "{method} {uri}");
    }
    assert_eq!(guarded.asked(&weak, "resources/read", json!({"uri": LOGO})).await.0, 200, "it has its own");
    for (token, shown) in [(&weak, 0), (&good, 1)] {
        let (_, body) = guarded.asked(token, "skills/list", json!({})).await;
        assert_eq!(body["result"]["skills"].as_array().map(Vec::len), Some(shown), "{body}");
    }
}

/// A whole answer with this result.
fn answer(result: &Value) -> Lie {
    Lie::Text(200, "application/json", format!("{{\"jsonrpc\": \"2.0\", \"id\": {{id}}, \"result\": {result}}}"))
}

/// What a server answers to `skills/list` whose skill has this one file besides its `SKILL.md`.
fn listing(uri: &str, content: &str) -> Lie {
    let files = [SkillResource::from_bytes(SKILL, b"x"), SkillResource::from_bytes(uri, content.as_bytes())];
    let skill = Skill::new(SKILL, SkillFrontmatter::new("forms", "Fills forms."), SkillResources::Files(files.into()));
    answer(&json!({"skills": [skill], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}))
}

#[tokio::test]
async fn a_skill_that_changes_is_audited_and_one_that_reaches_outside_is_none() {
    let (log, _guard) = Log::start();
    let upstream = Upstream::start(true).await;
    let discovered = json!({"supportedVersions": ["2026-07-28"], "resultType": "complete", "ttlMs": 0,
        "cacheScope": "private", "capabilities": {"tools": {"listChanged": true}, "resources": {},
            "extensions": {"io.modelcontextprotocol/skills": {}}},
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "fake", "version": "1"}}});
    upstream.lie("server/discover", answer(&discovered));
    let notes = json!({"resources": [{"uri": "notes://1", "name": "1"}], "resultType": "complete", "ttlMs": 0,
        "cacheScope": "private"});
    upstream.lie("resources/list", answer(&notes));
    upstream.lie("skills/list", listing(FIELDS, "# Fields"));
    let guarded = Guarded::guarding(Key::ec(), &[("upstream.url", &upstream.url)]).await;
    let token = guarded.token(&json!({"scope": "mcp:read"}));
    let skills = async || guarded.asked(&token, "skills/list", json!({})).await.1["result"]["skills"].take();
    let before = skills().await;
    assert_eq!(before[0]["uri"], SKILL);
    until("the stream for notices", async || upstream.count("POST subscriptions/listen") > 0).await;
    let listening = upstream.hits().into_iter().find(|hit| hit.what == "POST subscriptions/listen").expect("it came");
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params":
        {"_meta": {"io.modelcontextprotocol/subscriptionId": listening.body["id"]}}});

    upstream.lie("skills/list", listing(FIELDS, "# Other fields"));
    assert_eq!(upstream.notify(&changed), 1);
    until("the change", async || skills().await != before).await;
    let line = log.text().lines().find(|line| line.contains("upstream_skill_changed")).map(str::to_owned);
    assert!(line.as_ref().is_some_and(|line| line.contains(SKILL)), "{}", log.text());

    upstream.lie("skills/list", listing("file:///etc/passwd", "root"));
    assert_eq!(upstream.notify(&changed), 1);
    until("no skill", async || skills().await.as_array().is_none_or(Vec::is_empty)).await;
    for uri in ["file:///etc/passwd", SKILL] {
        let (_, body) = guarded.asked(&token, "resources/read", json!({ "uri": uri })).await;
        assert_eq!(body["error"]["message"], format!("there is no resource `{uri}`"), "{body}");
    }
    assert_eq!(upstream.count("POST resources/read"), 0);
}
