//! Tokens of the deployment: each kind that Keycloak makes, and why those of others are refused.

use std::{
    fs,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{Account, Server, Stack, free_port};

/// How long an event may take to be in a log.
const LIMIT: Duration = Duration::from_secs(20);
/// Of the clients that are made here.
const SECRET: &str = "secret-of-another-client-0123456789";
/// The client that the realm has, and how its tokens are made unless a test says otherwise.
const CLIENT: &str = "mcp-server";
const USUAL: [(&str, &str); 3] = [
    ("access.token.signed.response.alg", "RS256"),
    ("client.use.lightweight.access.token.enabled", "false"),
    ("access.token.header.type.rfc9068", "false"),
];

/// Whatever a realm may be set to for a client, and nothing else.
pub(crate) fn tokens_are_judged(stack: &mut Stack) {
    let good: Vec<_> = [
        ("RS256", [USUAL[0], USUAL[1], USUAL[2]]),
        ("ES256", [(USUAL[0].0, "ES256"), USUAL[1], USUAL[2]]),
        ("PS256", [(USUAL[0].0, "PS256"), USUAL[1], USUAL[2]]),
        ("EdDSA", [(USUAL[0].0, "EdDSA"), USUAL[1], USUAL[2]]),
        ("lightweight", [USUAL[0], (USUAL[1].0, "true"), USUAL[2]]),
        ("at+jwt", [USUAL[0], USUAL[1], (USUAL[2].0, "true")]),
    ]
    .map(|(kind, attributes)| (kind, made(stack, &attributes)))
    .into();
    let symmetric = made(stack, &[(USUAL[0].0, "HS256")]);
    let usual = made(stack, &USUAL);
    let bad = of_others(stack, &usual, symmetric);

    // Keycloak makes a key when an algorithm is first used. A server that starts now has asked for none of them yet.
    for replica in 0..2 {
        stack.begin_replica(replica);
    }
    for (kind, token) in &good {
        let header = header(token);
        assert!([&header["alg"], &header["typ"]].contains(&&json!(kind)) || *kind == "lightweight", "{kind}: {header}");
        let answer = called(stack, "$MCP", token);
        assert_eq!((answer.status.as_str(), &answer.body["client"]), ("200", &json!(CLIENT)), "{kind}: {answer:?}");
        // Who is in it only by number is called by that.
        let by_name = answer.body["user"] == "service-account-mcp-server";
        assert_eq!(by_name, *kind != "lightweight", "{kind}: {answer:?}");
    }
    for (kind, token, reason) in &bad {
        let answer = called(stack, "$MCP", token);
        assert_eq!(answer.status, "401", "{kind}: {answer:?}");
        let challenge = &answer.challenge;
        assert!(challenge.contains("error=\"invalid_token\"") && !challenge.contains(reason), "{kind}: {challenge}");
        let servers: Vec<_> = stack.replicas.iter().flatten().map(|(server, _)| server).collect();
        assert_eq!(told(&servers, &answer.request_id), ("authentication_failed".to_owned(), reason.clone()), "{kind}");
        // Its owner learns why without a log.
        fs::write(stack.caller.home().join("token"), token).expect("the home is writable");
        stack.run(&[], &["token", "inspect", "--token-file", "token"]).failed(4, &[reason, "hint: "]);
    }
    only_clients_on_the_list_pass(stack, &usual);
}

/// A token of the realm's client, made with these of its attributes changed.
fn made(stack: &Stack, attributes: &[(&str, &str)]) -> String {
    stack.keycloak.set_attributes(CLIENT, attributes);
    let secret = fs::read_to_string(stack.secret("keycloak_client_secret")).expect("it was made");
    access(&asked(stack, "mcp-realm", CLIENT, secret.trim_end(), "mcp:read"))
}

/// What a token endpoint answers to a client that speaks for itself.
fn asked(stack: &Stack, realm: &str, client: &str, secret: &str, scope: &str) -> Value {
    let line = "$CURL --fail-with-body -d grant_type=client_credentials -d client_id=$ID -d client_secret=$SECRET \
                -d \"scope=$SCOPE\" $AUTH/realms/$REALM/protocol/openid-connect/token";
    stack.shell(line, &[("REALM", realm), ("ID", client), ("SECRET", secret), ("SCOPE", scope)]).json()
}

fn access(answer: &Value) -> String {
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn header(token: &str) -> Value {
    let (header, _) = token.split_once('.').expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).expect("base64url")).expect("JSON")
}

/// Tokens that are not for this server, each with what the log says of it.
fn of_others(stack: &Stack, usual: &str, symmetric: String) -> Vec<(&'static str, String, String)> {
    let (resource, issuer) = (stack.resource(), stack.issuer());
    let client = |audience: &str| {
        json!({"clientId": "other", "secret": SECRET, "serviceAccountsEnabled": true, "publicClient": false,
            "protocolMappers": [{"name": "audience", "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": {"included.custom.audience": audience, "access.token.claim": "true"}}]})
    };
    // One differs in nothing but its issuer, the other in nothing but its audience.
    let realm = json!({"realm": "other", "enabled": true, "sslRequired": "none", "clients": [client(&resource)]});
    stack.keycloak.admin("POST", "/realms", Some(&realm));
    stack.keycloak.admin("POST", "/realms/mcp-realm/clients", Some(&client("https://other.example/mcp")));
    let secret = fs::read_to_string(stack.secret("keycloak_client_secret")).expect("it was made");
    let identified = asked(stack, "mcp-realm", CLIENT, secret.trim_end(), "openid mcp:read");
    let identity = identified["id_token"].as_str().unwrap_or_else(|| panic!("{identified}")).to_owned();
    let (signed, signature) = usual.rsplit_once('.').expect("three parts");
    let turned: String = signature.chars().rev().collect();
    vec![
        (
            "another realm",
            access(&asked(stack, "other", "other", SECRET, "profile")),
            format!("`iss` is `{}/realms/other`, expected `{issuer}`", stack.auth()),
        ),
        (
            "another audience",
            access(&asked(stack, "mcp-realm", "other", SECRET, "profile")),
            format!(r#"`aud` is "https://other.example/mcp", expected `{resource}`"#),
        ),
        (
            "no audience",
            access(&asked(stack, "mcp-realm", CLIENT, secret.trim_end(), "profile")),
            format!("`aud` is absent, expected `{resource}`"),
        ),
        ("HS256", symmetric, "token is signed with `HS256`, which is not allowed for this issuer's key".to_owned()),
        ("an ID token", identity, "not an access token: its `typ` is `ID`".to_owned()),
        ("another signature", format!("{signed}.{turned}"), "token signature does not fit the issuer's key".to_owned()),
    ]
}

fn only_clients_on_the_list_pass(stack: &Stack, token: &str) {
    let account = Account::new();
    let inside = format!("http://127.0.0.1:{}/realms/mcp-realm", stack.keycloak.port);
    let (resource, issuer) = (stack.resource(), stack.issuer());
    for (allowed, status) in [("other", "403"), ("other,mcp-server", "200")] {
        let variables = [
            ("SECUREMCP_RESOURCE", resource.as_str()),
            ("SECUREMCP_ISSUER", &issuer),
            ("SECUREMCP_ISSUER_BACKCHANNEL_URL", &inside),
            ("SECUREMCP_TRUSTED_PROXIES", "127.0.0.1"),
            ("SECUREMCP_LOG_FORMAT", "json"),
            ("SECUREMCP_ALLOWED_CLIENTS", allowed),
        ];
        let server = account.serve_at(free_port(), &variables, &[]);
        let answer = called(stack, &server.origin(), token);
        assert_eq!(answer.status, status, "{allowed}: {answer:?}");
        if status == "403" {
            assert!(!answer.challenge.contains("insufficient_scope"), "no scope would help: {answer:?}");
            let reason = "client `mcp-server` is not among `issuer.allowed_clients`";
            assert_eq!(told(&[&server], &answer.request_id), ("access_denied".to_owned(), reason.to_owned()));
        }
    }
}

/// What came of a call of `echo`.
#[derive(Debug)]
struct Answer {
    status: String,
    request_id: String,
    challenge: String,
    body: Value,
}

fn called(stack: &Stack, origin: &str, token: &str) -> Answer {
    let line = format!(
        "$CURL -w '\\n%{{http_code}} %header{{x-request-id}} %header{{www-authenticate}}' \
         -H \"Host: ${{MCP#https://}}\" -H \"Authorization: Bearer $TOKEN\" \
         --json '{{\"message\":\"hi\"}}' {origin}/api/v1/tools/echo"
    );
    let ended = stack.shell(&line, &[("TOKEN", token)]);
    let (body, rest) = ended.done().rsplit_once('\n').expect("two lines");
    let mut rest = rest.splitn(3, ' ').map(str::to_owned);
    let mut next = || rest.next().expect("a word");
    let (status, request_id, challenge) = (next(), next(), next());
    Answer { status, request_id, challenge, body: serde_json::from_str(body).unwrap_or_default() }
}

/// The audit event of a request, and its reason.
fn told(servers: &[&Server], request_id: &str) -> (String, String) {
    let began = Instant::now();
    loop {
        let logs: Vec<_> = servers.iter().map(|server| server.log()).collect();
        let lines = logs.iter().flat_map(|log| log.lines()).filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut of_it = lines.filter(|line| line["request_id"] == request_id && line["target"] == "audit");
        if let Some(event) = of_it.next() {
            let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {event}")).to_owned();
            return (text("message"), text("reason"));
        }
        assert!(began.elapsed() < LIMIT, "no event of {request_id}: {logs:#?}");
    }
}
