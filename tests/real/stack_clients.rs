//! Every case of the original's tests, over TLS and by way of the proxy: with the client that the realm has, and with
//! one that registered itself.

use std::fs;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{Stack, program};

/// Who asks for tokens: variables of the command line.
type Client<'a> = &'a [(&'a str, &'a str)];

const ME: &str = "$MCP/api/v1/me";
const TOOLS: &str = "$MCP/api/v1/tools";

/// All of them, for each kind of client.
pub(crate) fn the_originals_tests(stack: &Stack) {
    nobody_is_let_in(stack);
    let secret = stack.secret("keycloak_client_secret").display().to_string();
    let of_the_realm = [("SECUREMCP_CLIENT_ID", "mcp-server"), ("SECUREMCP_CLIENT_SECRET_FILE", secret.as_str())];
    a_client_calls(stack, &of_the_realm, "mcp-server");

    // Administration is closed at the edge: who registers by an administrator does it from inside.
    let password = fs::read_to_string(stack.secret("keycloak_admin_password")).expect("it was made");
    let inside = format!("http://127.0.0.1:{}/realms/mcp-realm", stack.keycloak.port);
    let inside = [("SECUREMCP_ISSUER_BACKCHANNEL_URL", inside.as_str())];
    let scopes = "mcp:read mcp:write mcp:infer";
    let register = ["dcr", "register", "--keycloak-admin", "admin", "--scope", scopes, "--output", "json"];
    let made = stack.run(&[inside[0], ("KEYCLOAK_ADMIN_PASSWORD", password.trim_end())], &register).json();
    a_client_calls(stack, &inside, made["client_id"].as_str().expect("an id"));
    stack.run(&inside, &["dcr", "delete"]).done();
}

fn a_client_calls(stack: &Stack, client: Client<'_>, name: &str) {
    let token = |scopes: &str| stack.run(client, &["token", "get", "--scope", scopes]).done().trim_end().to_owned();
    let (all, read, write) = (token("mcp:read mcp:write mcp:infer"), token("mcp:read"), token("mcp:write"));
    assert!(all.split('.').count() == 3 && all.starts_with("ey"), "it has the shape of a JWT");
    let (status, me) = answer(stack, &bearer(&all), ME);
    assert_eq!((status.as_str(), &me["client"]), ("200", &json!(name)), "{me}");
    assert_eq!(answer(stack, &bearer(&all), "$MCP/api/v1/user"), (status, me), "its other name");
    let (_, listed) = answer(stack, &bearer(&read), TOOLS);
    let names: Vec<_> = listed["tools"].as_array().expect("a list").iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["echo", "timestamp", "calculator", "summarize"]);
    scopes_decide(stack, &[("all", &all), ("mcp:read", &read), ("mcp:write", &write)]);
    tools_answer(stack, &all, name);
    tokens_that_are_none(stack, &all);
    the_command_line(stack, client, &all);
}

/// A request with these headers, and what came of it.
fn answer(stack: &Stack, headers: &str, arguments: &str) -> (String, Value) {
    let line = format!("$CURL -w '\\n%{{http_code}}' -K - {arguments} <<<\"$HEADERS\"");
    let ended = stack.shell(&line, &[("HEADERS", headers)]);
    let (body, status) = ended.done().rsplit_once('\n').expect("a status");
    (status.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

/// The line of curl's configuration that authorises a request by this.
fn authorization(value: &str) -> String {
    format!("header = \"Authorization: {}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn bearer(token: &str) -> String {
    authorization(&format!("Bearer {token}"))
}

fn call(tool: &str, arguments: &Value) -> String {
    format!("--json '{arguments}' {TOOLS}/{tool}")
}

fn nobody_is_let_in(stack: &Stack) {
    let echo = call("echo", &json!({"message": "hi"}));
    for protected in [ME, "$MCP/api/v1/user", TOOLS, &echo] {
        let line = format!("$CURL -o /dev/null -w '%{{http_code}} %header{{www-authenticate}}' {protected}");
        let ended = stack.shell(&line, &[]);
        let resource = stack.resource();
        let origin = resource.strip_suffix("/mcp").expect("its path");
        let metadata = format!("{origin}/.well-known/oauth-protected-resource/mcp");
        assert!(ended.done().starts_with("401 Bearer scope=\"mcp:"), "{ended:?}");
        assert!(ended.done().ends_with(&format!("resource_metadata=\"{metadata}\"")), "{ended:?}");
    }
    for open in ["/health", "/docs", "/openapi.json", "/.well-known/oauth-protected-resource"] {
        let line = format!("$CURL -o /dev/null -w '%{{http_code}}' $MCP{open}");
        assert_eq!(stack.shell(&line, &[]).done(), "200", "{open}");
    }
    let metadata = stack.shell("$CURL $MCP/.well-known/oauth-protected-resource/mcp", &[]).json();
    assert_eq!(metadata["resource"], stack.resource());
    assert_eq!(metadata["authorization_servers"], json!([stack.issuer()]), "and no inner address");
}

fn scopes_decide(stack: &Stack, tokens: &[(&str, &str)]) {
    let (echo, sum) = (json!({"message": "hi"}), json!({"operation": "add", "operands": [1, 2]}));
    let mut answers = Vec::new();
    for (_, token) in tokens {
        let status = |arguments: &str| answer(stack, &bearer(token), arguments).0;
        answers.push([status(ME), status(&call("echo", &echo)), status(&call("calculator", &sum))]);
    }
    assert_eq!(answers, [["200", "200", "200"], ["200", "200", "403"], ["200", "403", "200"]], "{tokens:?}");
}

fn tools_answer(stack: &Stack, token: &str, client: &str) {
    let good = |tool: &str, arguments: &Value| {
        let (status, body) = answer(stack, &bearer(token), &call(tool, arguments));
        assert_eq!((status.as_str(), &body["tool"], &body["client"]), ("200", &json!(tool), &json!(client)), "{body}");
        body["result"].clone()
    };
    let loud = good("echo", &json!({"message": "Hello, World!", "uppercase": true, "timestamp": true}));
    assert_eq!((&loud["echo"], loud["timestamp"].is_string()), (&json!("HELLO, WORLD!"), true));
    let plain = json!({"echo": "Hello, Secure MCP!", "timestamp": null, "length": 18});
    assert_eq!(good("echo", &json!({"message": "Hello, Secure MCP!"})), plain);
    assert_eq!(good("echo", &json!({"message": "grüße 🦀", "uppercase": true}))["echo"], "GRÜSSE 🦀");
    let stamp = good("timestamp", &json!({"format": "%Y-%m-%d", "include_epoch": true}));
    assert_eq!((stamp["epoch"].is_number(), &stamp["format_used"]), (true, &json!("%Y-%m-%d")));
    assert_eq!(good("timestamp", &json!({"timezone": "America/New_York"}))["timezone"], "America/New_York");
    let usual = good("timestamp", &json!({}));
    assert_eq!((&usual["timezone"], &usual["epoch"]), (&json!("UTC"), &Value::Null));
    for (operation, operands, result) in [
        ("add", json!([10, 20, 30]), 60),
        ("multiply", json!([2, 4, 5]), 40),
        ("divide", json!([100, 4]), 25),
        ("power", json!([2, 8]), 256),
        ("sqrt", json!([144]), 12),
        ("factorial", json!([5]), 120),
    ] {
        let made = good("calculator", &json!({"operation": operation, "operands": operands}));
        assert_eq!(made, json!({"result": result, "operation": operation, "operands": operands, "precision": null}));
    }
    for (tool, arguments, status) in [
        ("calculator", json!({"operation": "divide", "operands": [1, 0]}), "422"),
        ("calculator", json!({"operation": "power", "operands": [10, 400]}), "422"),
        ("calculator", json!({"operation": "modulo", "operands": [1]}), "422"),
        ("calculator", json!({"operation": "add"}), "422"),
        ("timestamp", json!({"timezone": "Mars/Olympus"}), "422"),
        ("echo", json!({}), "422"),
        ("echo", json!({"message": 1}), "422"),
        ("echo", json!([]), "400"),
        ("nonsense", json!({}), "404"),
    ] {
        assert_eq!(answer(stack, &bearer(token), &call(tool, &arguments)).0, status, "{tool} {arguments}");
    }
    assert_eq!(answer(stack, &bearer(token), &format!("--json '{{' {TOOLS}/echo")).0, "400");
}

fn tokens_that_are_none(stack: &Stack, good: &str) {
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let (header, payload) = input.split_once('.').expect("three parts");
    let with = |name: &str, value: &Value| {
        let claims = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
        let mut claims: Value = serde_json::from_slice(&claims).expect("claims");
        claims[name] = value.clone();
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()))
    };
    let unsigned = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT"}).to_string());
    for value in [format!("Bearer {good}"), format!("bearer {good}")] {
        assert_eq!(answer(stack, &authorization(&value), ME).0, "200", "the twin");
    }
    let turned: String = signature.chars().rev().collect();
    for (what, value) in [
        ("another signature", format!("Bearer {input}.{turned}")),
        ("no header", format!("Bearer .{payload}.{signature}")),
        ("no payload", format!("Bearer {header}..{signature}")),
        ("no base64", format!("Bearer {header}.!!!.{signature}")),
        ("alg none", format!("Bearer {unsigned}.{payload}.")),
        ("another issuer", format!("Bearer {}", with("iss", &json!("https://evil.example")))),
        ("another audience", format!("Bearer {}", with("aud", &json!("https://other.example/mcp")))),
        ("no exp", format!("Bearer {}", with("exp", &Value::Null))),
        ("cut off", format!("Bearer {}", &good[..good.len() / 2])),
        ("no scheme", good.to_owned()),
        ("another scheme", format!("Token {good}")),
        ("none", "none".to_owned()),
        ("a scheme alone", "Bearer".to_owned()),
        ("two spaces", format!("Bearer  {good}")),
        ("bogus", "Bearer bogus".to_owned()),
        ("SQL", "Bearer ' OR 1=1--".to_owned()),
        ("a script", "Bearer <script>alert(1)</script>".to_owned()),
        ("4,000 x", format!("Bearer {}", "x".repeat(4000))),
    ] {
        assert_eq!(answer(stack, &authorization(&value), ME).0, "401", "{what}");
    }
    // A semicolon makes curl send the header without a value.
    assert_eq!(answer(stack, "header = \"Authorization;\"", ME).0, "401", "empty");
}

/// What the original's curl client could do, or should have.
fn the_command_line(stack: &Stack, client: Client<'_>, token: &str) {
    let run = |arguments: &[&str]| stack.run(client, arguments);
    assert_eq!(run(&["call", "echo", "Hello!"]).done(), "Hello!\n");
    assert_eq!(run(&["call", "calculator", "add", "10", "20", "30"]).done(), "60\n");
    assert!(run(&["call", "timestamp", "--timezone", "America/New_York"]).done().contains("-0"));
    run(&["call", "nonsense"]).failed(2, &["nonsense"]);
    run(&["call", "calculator", "divide", "1", "0"]).failed(1, &["zero"]);
    let inspected = run(&["token", "inspect"]);
    assert!(inspected.done().contains(&format!("good for `{}`", stack.resource())), "{inspected:#?}");
    assert!(run(&["call", "--help"]).done().contains("Usage: "));
    fs::write(stack.caller.home().join("token"), token).expect("the home is writable");
    assert_eq!(run(&["call", "echo", "from a file", "--token-file", "token"]).done(), "from a file\n");
    // The names that its variables had.
    let secret = fs::read_to_string(stack.secret("keycloak_client_secret")).expect("it was made");
    let (resource, auth) = (stack.resource(), stack.auth());
    let line = "exec \"$SECUREMCP\" call echo \"by the original's names\" --ca \"$CA\"";
    let ca = stack.secret("tls_certificate").display().to_string();
    let variables = [
        ("SECUREMCP", program::path()),
        ("CA", ca.as_str()),
        ("MCP_SERVER_URL", &resource),
        ("KEYCLOAK_URL", &auth),
        ("KEYCLOAK_REALM", "mcp-realm"),
        ("KEYCLOAK_CLIENT_ID", "mcp-server"),
        ("KEYCLOAK_CLIENT_SECRET", secret.trim_end()),
    ];
    assert_eq!(stack.shell(line, &variables).done(), "by the original's names\n");
}
