//! Skills (SEP-2640): a folder of them is listed, got and read by the same rules as resources, and nothing else of the
//! disk is.

use std::{fs, os::unix::fs::symlink, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use securemcp::{
    model::{Skill, SkillResources},
    resources::{Resources, Skills},
    server::Features,
    tools::Tools,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    keys::Key,
    log::Log,
    server::{Guarded, stateless, with_mirrors},
};

/// The code of docs/TOOLS.md.
#[expect(unreachable_pub, reason = "it is shown as the code of another crate")]
pub(crate) mod taught {
    use std::path::Path;

    use securemcp::{
        resources::{Resources, Skills, SkillsError},
        server::Features,
        tools::Tools,
    };

    pub fn features(folder: &Path) -> Result<Features, SkillsError> {
        let skills = Skills::from_dir(folder, &["mcp:read"])?;
        Ok(Features::from(Tools::builtin()).with_resources(Resources::default().with_skills(skills)))
    }
}

pub(crate) const SKILL: &str = "skill://forms/SKILL.md";
pub(crate) const FIELDS: &str = "skill://forms/references/FIELDS.md";
pub(crate) const LOGO: &str = "skill://forms/logo.png";
const TEXT: &str = "---\nname: forms\ndescription: Fills forms.\nlicense: MIT\n---\n\nFill them.\n";
const LOGO_BYTES: &[u8] = b"\x89PNG\0\xff";
/// What no answer may have in it.
const SECRET: &str = "only for who sits here";

fn write(folder: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("below the folder")).expect("a new folder");
    fs::write(path, content).expect("written");
}

/// A folder with one good skill, and what must not be served: something hidden in that skill, something beside the
/// folder, and two skills with a link to it.
pub(crate) fn disk() -> TempDir {
    let disk = tempfile::tempdir().expect("a temporary directory");
    let skill = |name: &str| format!("---\nname: {name}\ndescription: Another.\n---\n");
    write(disk.path(), "private/secret.txt", SECRET);
    write(disk.path(), "skills/forms/SKILL.md", TEXT);
    write(disk.path(), "skills/forms/references/FIELDS.md", "# Fields\n");
    write(disk.path(), "skills/forms/logo.png", LOGO_BYTES);
    write(disk.path(), "skills/forms/.env", SECRET);
    write(disk.path(), "skills/no-skill/notes.txt", SECRET);
    write(disk.path(), "skills/linked/SKILL.md", skill("linked"));
    symlink("../../private/secret.txt", disk.path().join("skills/linked/secret.txt")).expect("a new name");
    write(disk.path(), "skills/linked-folder/SKILL.md", skill("linked-folder"));
    symlink("../../private", disk.path().join("skills/linked-folder/private")).expect("a new name");
    disk
}

async fn guarded() -> (Guarded, TempDir) {
    let disk = disk();
    let features = taught::features(&disk.path().join("skills")).expect("the folder is there");
    (Guarded::start_whole(Key::ec(), &[], features).await, disk)
}

/// What is answered within a session: status and body.
async fn in_session(guarded: &Guarded, token: &str, method: &str, params: Value) -> (u16, Value) {
    let session = guarded.begin(token).await;
    let body = json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": params}).to_string();
    let answer = guarded.in_session(token, &session, body).await;
    let (status, text) = (answer.status().as_u16(), answer.text().await.expect("a body"));
    let message = text.lines().find_map(|line| line.strip_prefix("data: ").filter(|data| data.starts_with('{')));
    (status, serde_json::from_str(message.unwrap_or(&text)).expect("JSON"))
}

#[tokio::test]
async fn a_skill_is_listed_got_and_read_in_both_generations() {
    let (guarded, _disk) = guarded().await;
    let token = guarded.token(&json!({"scope": "mcp:read"}));
    for has_session in [false, true] {
        let ask = async |method: &str, params: Value| {
            let (status, body) = if has_session {
                in_session(&guarded, &token, method, params).await
            } else {
                guarded.asked(&token, method, params).await
            };
            assert_eq!(status, 200, "{method}: {body}");
            body["result"].clone()
        };
        let listed = ask("skills/list", json!({})).await;
        let skills: Vec<Skill> = serde_json::from_value(listed["skills"].clone()).expect("skills");
        assert_eq!(skills.iter().map(|skill| &*skill.uri).collect::<Vec<_>>(), [SKILL]);
        let frontmatter = json!({"name": "forms", "description": "Fills forms.", "license": "MIT"});
        assert_eq!(listed["skills"][0]["frontmatter"], frontmatter);
        assert_eq!(listed["skills"][0]["_meta"], json!({"io.securemcp/scopes": ["mcp:read"]}));
        let got = ask("skills/get", json!({"uri": SKILL})).await;
        assert_eq!(got["skill"], listed["skills"][0]);
        // What is read is what the entry describes, byte for byte.
        let SkillResources::Files(files) = &skills[0].resources else { panic!("{skills:?}") };
        assert_eq!(files.iter().map(|file| &*file.uri).collect::<Vec<_>>(), [SKILL, LOGO, FIELDS]);
        for file in files {
            let read = ask("resources/read", json!({"uri": file.uri})).await["contents"][0].take();
            let bytes = match read["text"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => STANDARD.decode(read["blob"].as_str().expect("a text or bytes")).expect("base64"),
            };
            file.verify(&bytes).unwrap_or_else(|error| panic!("{error}: {read}"));
        }
        let folder = ask("resources/directory/read", json!({"uri": "skill://forms"})).await["resources"].take();
        let children = folder.as_array().expect("a list").iter().map(|child| (&child["uri"], &child["mimeType"]));
        let expected = [(SKILL, "text/markdown"), (LOGO, "image/png"), ("skill://forms/references", "inode/directory")]
            .map(|(uri, mime_type)| (json!(uri), json!(mime_type)));
        assert_eq!(children.collect::<Vec<_>>(), expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());
        // Among the resources there is the skill, and its files are in its own list.
        let resources = ask("resources/list", json!({})).await["resources"].take();
        let expected = json!([{"uri": SKILL, "name": "forms", "description": "Fills forms.",
            "mimeType": "text/markdown", "_meta": {"io.securemcp/scopes": ["mcp:read"]}}]);
        assert_eq!(resources, expected);
    }
}

#[tokio::test]
async fn what_a_token_does_not_allow_is_403_with_the_scope_and_the_twin_is_answered() {
    let (guarded, _disk) = guarded().await;
    let (weak, good) = (guarded.token(&json!({"scope": "mcp:write"})), guarded.token(&json!({"scope": "mcp:read"})));
    for (method, uri) in [
        ("skills/get", SKILL),
        ("resources/directory/read", "skill://forms"),
        ("resources/directory/read", "skill://forms/references"),
        ("resources/read", SKILL),
        ("resources/read", FIELDS),
        ("resources/read", LOGO),
    ] {
        let params = json!({ "uri": uri });
        let request = |token: &str| {
            let request = guarded.server.post(token, stateless(method, params.clone()));
            with_mirrors(request, method, Some(uri)).send()
        };
        let refused = request(&weak).await.expect("an answer");
        assert_eq!(refused.status(), 403, "{method} {uri}");
        let challenge = refused.headers()["www-authenticate"].to_str().expect("a text");
        assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
        assert!(challenge.contains("scope=\"mcp:read\""), "{challenge}");
        assert_eq!(request(&good).await.expect("an answer").status(), 200, "{method} {uri}");
        assert_eq!(in_session(&guarded, &weak, method, params.clone()).await.0, 403, "{method} {uri}");
        assert_eq!(in_session(&guarded, &good, method, params.clone()).await.0, 200, "{method} {uri}");
    }
    // As with resources, everybody sees what there is, and what it needs.
    let (status, body) = guarded.asked(&weak, "skills/list", json!({})).await;
    assert_eq!((status, &body["result"]["skills"][0]["uri"]), (200, &json!(SKILL)));
    let answers = ["skills/get", "resources/read"].map(|method| (method, SKILL));
    for (method, uri) in answers.into_iter().chain([("resources/directory/read", "skill://forms")]) {
        let (_, body) = guarded.asked(&good, method, json!({ "uri": uri })).await;
        assert_eq!(body["result"]["cacheScope"], "private", "{method}: not for a cache that is shared");
    }
}

#[tokio::test]
async fn what_there_is_not_is_an_error_and_never_a_challenge() {
    let (guarded, _disk) = guarded().await;
    let nobody = guarded.token(&json!({"scope": ""}));
    for (method, uri, message) in [
        ("skills/get", "skill://nope/SKILL.md", "there is no skill `skill://nope/SKILL.md`"),
        ("skills/get", FIELDS, "is not the uri of a SKILL.md"),
        ("resources/directory/read", SKILL, "there is no folder `skill://forms/SKILL.md`"),
        ("resources/directory/read", "skill://no-skill", "there is no folder `skill://no-skill`"),
        ("resources/read", "skill://forms/nope.md", "there is no resource `skill://forms/nope.md`"),
        ("skills/get", "", "the parameters do not fit `skills/get`"),
        ("resources/directory/read", "", "the parameters do not fit `resources/directory/read`"),
    ] {
        let params = if uri.is_empty() { json!({}) } else { json!({ "uri": uri }) };
        for (status, body) in [
            guarded.asked(&nobody, method, params.clone()).await,
            in_session(&guarded, &nobody, method, params.clone()).await,
        ] {
            assert_eq!((status, &body["error"]["code"]), (200, &json!(-32602)), "{method} {uri}: {body}");
            let said = body["error"]["message"].as_str().unwrap_or_default();
            assert!(said.contains(message), "{method} {uri}: {said}");
        }
    }
}

#[tokio::test]
async fn only_the_files_of_skills_are_served_and_nothing_else_of_the_disk() {
    let (guarded, disk) = guarded().await;
    let token = guarded.token(&json!({}));
    let outside = format!("file://{}", disk.path().join("private/secret.txt").display());
    for uri in [
        "skill://forms/../../private/secret.txt",
        "skill://forms/..%2f..%2fprivate%2fsecret.txt",
        "skill://forms/%2e%2e/%2e%2e/private/secret.txt",
        "skill://forms//../../private/secret.txt",
        "skill://../private/secret.txt",
        "skill:///private/secret.txt",
        "skill://forms/references/../.env",
        "skill://forms/.env",
        "skill://forms/%2Eenv",
        "skill://no-skill/notes.txt",
        "skill://linked/secret.txt",
        "skill://linked/SKILL.md",
        "skill://linked-folder/private/secret.txt",
        "skill://linked-folder/SKILL.md",
        &outside,
    ] {
        for method in ["resources/read", "resources/directory/read", "skills/get"] {
            let (status, body) = guarded.asked(&token, method, json!({ "uri": uri })).await;
            assert_eq!((status, &body["error"]["code"]), (200, &json!(-32602)), "{method} {uri}: {body}");
            assert!(!body.to_string().contains(SECRET), "{method} {uri}: {body}");
        }
    }
    for uri in ["skill://", "skill://.", "skill://..", "skill://forms/..", "skill://forms/", "skill://linked"] {
        let (_, body) = guarded.asked(&token, "resources/directory/read", json!({ "uri": uri })).await;
        assert_eq!(body["error"]["code"], -32602, "{uri}: {body}");
    }
    // The twins: the whole of what is served.
    for uri in [SKILL, FIELDS, LOGO] {
        let (_, body) = guarded.asked(&token, "resources/read", json!({ "uri": uri })).await;
        assert_eq!(body["result"]["contents"][0]["uri"], uri, "{body}");
    }
}

#[tokio::test]
async fn what_changes_on_the_disk_is_not_served() {
    let (guarded, disk) = guarded().await;
    let token = guarded.token(&json!({}));
    let fields = disk.path().join("skills/forms/references/FIELDS.md");
    fs::remove_file(&fields).expect("it is there");
    symlink("../../../private/secret.txt", &fields).expect("a new name");
    write(disk.path(), "skills/new/SKILL.md", TEXT.replace("forms", "new"));
    let (_, body) = guarded.asked(&token, "resources/read", json!({"uri": FIELDS})).await;
    assert_eq!(body["result"]["contents"][0]["text"], "# Fields\n", "what the entry describes: {body}");
    let (_, body) = guarded.asked(&token, "skills/list", json!({})).await;
    assert_eq!(body["result"]["skills"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn every_read_is_audited_and_every_refusal() {
    let (log, _guard) = Log::start();
    let (guarded, _disk) = guarded().await;
    let (weak, good) = (guarded.token(&json!({"scope": "mcp:write"})), guarded.token(&json!({})));
    for (name, token, method, uri, message, outcome) in [
        ("read", &good, "resources/read", FIELDS, "resource_read", "ok"),
        ("none", &good, "resources/read", "skill://forms/.env", "resource_read", "unknown_resource"),
        ("refused", &weak, "resources/read", FIELDS, "access_denied", ""),
        ("refused-get", &weak, "skills/get", SKILL, "access_denied", ""),
        ("refused-folder", &weak, "resources/directory/read", "skill://forms", "access_denied", ""),
    ] {
        let request = guarded.server.post(token, stateless(method, json!({ "uri": uri })));
        let request = with_mirrors(request, method, Some(uri)).header("x-request-id", name);
        request.send().await.expect("an answer").text().await.expect("a whole body");
        let events = log.audited(name);
        assert_eq!(events.len(), 1, "{name}: {events:#?}");
        let event = &events[0];
        assert_eq!((&event["message"], &event["subject"]), (&json!(message), &json!("alice")), "{event}");
        let (said, expected) = if outcome.is_empty() {
            (&event["operation"], format!("resources/read {uri}"))
        } else {
            assert_eq!(event["outcome"], outcome);
            (&event["uri"], uri.to_owned())
        };
        assert_eq!(*said, json!(expected), "{event}");
    }
}

#[tokio::test]
async fn each_folder_has_its_own_scopes() {
    let (disk, of_writers) = (disk(), tempfile::tempdir().expect("a temporary directory"));
    write(of_writers.path(), "ledger/SKILL.md", TEXT.replace("forms", "ledger"));
    let resources = Resources::default()
        .with_skills(Skills::from_dir(disk.path().join("skills"), &[]).expect("the folder is there"))
        .with_skills(Skills::from_dir(of_writers.path(), &["mcp:write"]).expect("the folder is there"));
    let features = Features::from(Tools::default()).with_resources(resources);
    let guarded = Guarded::start_whole(Key::ec(), &[], features).await;
    let nobody = guarded.token(&json!({"scope": ""}));
    let (status, body) = guarded.asked(&nobody, "resources/read", json!({"uri": SKILL})).await;
    assert_eq!((status, &body["result"]["cacheScope"]), (200, &json!("public")), "{body}");
    for (token, status) in [(nobody, 403), (guarded.token(&json!({"scope": "mcp:write"})), 200)] {
        for (method, uri) in [
            ("resources/read", "skill://ledger/SKILL.md"),
            ("skills/get", "skill://ledger/SKILL.md"),
            ("resources/directory/read", "skill://ledger"),
        ] {
            assert_eq!(guarded.asked(&token, method, json!({ "uri": uri })).await.0, status, "{method}");
        }
    }
}

#[test]
#[should_panic(expected = "there are two resources at `skill://forms/SKILL.md`")]
fn one_path_is_one_skill() {
    let disk = disk();
    let skills = || Skills::from_dir(disk.path().join("skills"), &[]).expect("the folder is there");
    let _ = Resources::default().with_skills(skills()).with_skills(skills());
}

#[tokio::test]
async fn a_server_says_that_it_has_skills_only_if_it_does() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    let features = taught::features(empty.path()).expect("the folder is there");
    for (features, can) in [(features, true), (Features::from(Tools::builtin()), false)] {
        let guarded = Guarded::start_whole(Key::ec(), &[], features).await;
        let token = guarded.token(&json!({}));
        let (_, body) = guarded.asked(&token, "server/discover", json!({})).await;
        let capabilities = &body["result"]["capabilities"];
        assert_eq!(capabilities["resources"].is_object(), can, "{capabilities}");
        let settings = if can { json!({"directoryRead": true}) } else { Value::Null };
        assert_eq!(capabilities["extensions"]["io.modelcontextprotocol/skills"], settings);
        let (status, body) = guarded.asked(&token, "skills/list", json!({})).await;
        let expected = if can { (200, json!([]), Value::Null) } else { (404, Value::Null, json!(-32601)) };
        assert_eq!((status, body["result"]["skills"].clone(), body["error"]["code"].clone()), expected);
    }
}
