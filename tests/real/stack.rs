//! The deployment that ships, as a whole: who gets in, what it does, and what of it may fail.

use std::fs;

use serde_json::json;

use crate::{
    harness::{Ended, Load, Stack},
    stack_clients, stack_faults, stack_sessions, stack_tokens,
};

/// Its parts start once: that takes as long as all that is seen of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_deployment_that_ships() {
    let mut stack = Stack::start();
    everything_is_healthy(&stack);
    the_edge_is_closed_to_others(&stack);
    static_and_registered_clients_call(&stack);
    both_replicas_are_called(&stack).await;
    stack_clients::the_originals_tests(&stack);
    stack_sessions::a_session_outlives_its_replica(&mut stack).await;
    stack_faults::replicas_are_replaced_under_load(&mut stack).await;
    stack_faults::keys_rotate_under_load(&stack).await;
    stack_faults::unknown_keys_and_a_slow_issuer(&mut stack).await;
    stack_faults::redis_is_slow_and_gone(&mut stack).await;
    stack_faults::the_database_is_gone(&mut stack).await;
    stack_faults::keycloak_is_gone(&mut stack).await;
    stack_tokens::tokens_are_judged(&mut stack);
}

/// Runs a command as the client that the realm has.
pub(crate) fn run(stack: &Stack, arguments: &[&str]) -> Ended {
    let secret = stack.secret("keycloak_client_secret").display().to_string();
    stack.run(&[("SECUREMCP_CLIENT_ID", "mcp-server"), ("SECUREMCP_CLIENT_SECRET_FILE", &secret)], arguments)
}

/// A new token of that client.
pub(crate) fn token(stack: &Stack) -> String {
    run(stack, &["token", "get", "--new"]).done().trim_end().to_owned()
}

fn everything_is_healthy(stack: &Stack) {
    let health = run(stack, &["health", "--output", "json"]).json();
    let checks = health.as_array().expect("a list");
    assert!(checks.len() > 3 && checks.iter().all(|check| check["state"] == "ok"), "{health:#}");
    let ready = stack.shell("$CURL $MCP/health/ready", &[]).json();
    assert_eq!((&ready["status"], &ready["redis"]), (&json!("ready"), &json!("ready")), "{ready}");
}

fn the_edge_is_closed_to_others(stack: &Stack) {
    let plain = format!("http://127.0.0.1:{}", stack.http_port);
    let ports = stack.replica_ports.map(|port| format!("http://127.0.0.1:{port}/mcp"));
    let status = "$CURL -o /dev/null -w '%{http_code} %{redirect_url}'";
    let issuer = "$AUTH/realms/mcp-realm";
    for (line, printed, code) in [
        (
            format!("{status} -X POST -H 'Host: mcp.localhost' {plain}/mcp?a=b"),
            format!("308 {}?a=b", stack.resource()),
            0,
        ),
        // Nothing is said to names that are not ours.
        (format!("{status} -H 'Host: other.localhost' {plain}/"), "000 ".to_owned(), 52),
        (
            format!(
                "{status} -k --resolve other.localhost:${{MCP##*:}}:127.0.0.1 https://other.localhost:${{MCP##*:}}/"
            ),
            "000 ".to_owned(),
            35,
        ),
        (format!("{status} --tls-max 1.1 $MCP/health"), "000 ".to_owned(), 35),
        (format!("{status} --tls-max 1.2 $MCP/health"), "200 ".to_owned(), 0),
        (format!("{status} --tlsv1.3 $MCP/health"), "200 ".to_owned(), 0),
        // The realm is for everybody, its administration is not.
        (format!("{status} {issuer}/.well-known/openid-configuration"), "200 ".to_owned(), 0),
        (format!("{status} $AUTH/admin/realms"), "403 ".to_owned(), 0),
        (
            format!("{status} -d grant_type=password $AUTH/realms/master/protocol/openid-connect/token"),
            "403 ".to_owned(),
            0,
        ),
        (format!("{status} --path-as-is \"{issuer};/../../master\""), "400 ".to_owned(), 0),
        (format!("{status} $AUTH/metrics"), "404 ".to_owned(), 0),
    ] {
        let ended = stack.shell(&line, &[]);
        assert_eq!((ended.stdout.as_str(), ended.code), (printed.as_str(), Some(code)), "{line}: {ended:#?}");
    }
    for url in ["$MCP/health", "$AUTH/realms/mcp-realm"] {
        let headers = stack.shell(&format!("$CURL -o /dev/null -D - {url}"), &[]);
        let headers = headers.done().to_lowercase();
        let hardened = ["strict-transport-security: max-age=", "x-content-type-options: nosniff"];
        assert!(hardened.iter().all(|header| headers.contains(header)), "{url}: {headers}");
    }
    // Who says where it comes from is believed by the replicas if it is the proxy, and the proxy believes nobody.
    let forged = "-o /dev/null -H 'X-Forwarded-For: 203.0.113.9' -H 'Forwarded: for=203.0.113.9' -X POST";
    let seen = || stack.replicas.iter().flatten().filter(|(server, _)| server.log().contains("203.0.113.9")).count();
    let refused = stack.shell(&format!("for i in 1 2 3 4; do $CURL -w '%{{http_code}} ' {forged} $MCP/mcp; done"), &[]);
    assert_eq!((refused.done(), seen()), ("401 401 401 401 ", 0));
    for port in &ports {
        stack.shell(&format!("$CURL {forged} -H \"Host: ${{MCP#https://}}\" {port}"), &[]).done();
    }
    assert_eq!(seen(), 2, "the twin: the proxy itself");
}

fn static_and_registered_clients_call(stack: &Stack) {
    assert_eq!(run(stack, &["call", "echo", "Hello!"]).done(), "Hello!\n");
    assert_eq!(run(stack, &["call", "calculator", "add", "10", "20", "30"]).done(), "60\n");
    let inspected = run(stack, &["token", "inspect"]);
    assert!(inspected.done().contains(&format!("good for `{}`", stack.resource())), "{inspected:#?}");
    run(stack, &["call", "calculator", "add", "1", "2", "--scope", "mcp:read"]).failed(6, &["mcp:write"]);

    // By an initial access token, from outside; an administrator gives the roles.
    let initial = stack.keycloak.initial_access_token(1);
    let arguments = ["dcr", "register", "--name", "outside", "--scope", "mcp:read", "--output", "json"];
    let made = stack.run(&[("SECUREMCP_INITIAL_ACCESS_TOKEN", &initial)], &arguments).json();
    let id = made["client_id"].as_str().expect("an id");
    stack.run(&[], &["call", "echo", "hi"]).failed(4, &["the issuer left", "Keycloak: the roles"]);
    stack.keycloak.grant(&stack.keycloak.id_of(id), "mcp-reader");
    assert_eq!(stack.run(&[], &["call", "echo", "hi"]).done(), "hi\n");
    assert_eq!(stack.run(&[], &["dcr", "show", "--output", "json"]).json()["client_id"], id);
    stack.run(&[], &["dcr", "delete"]).done();

    // By an administrator, from inside: administration is closed at the edge.
    let password = fs::read_to_string(stack.secret("keycloak_admin_password")).expect("it was made");
    let arguments =
        ["dcr", "register", "--name", "inside", "--keycloak-admin", "admin", "--scope", "mcp:read mcp:write"];
    let secret = ("KEYCLOAK_ADMIN_PASSWORD", password.trim_end());
    stack
        .run(&[secret], &arguments)
        .failed(1, &["HTTP 403", "hint: a proxy in front of Keycloak keeps its administration"]);
    let inside = format!("http://127.0.0.1:{}/realms/mcp-realm", stack.keycloak.port);
    let inside = ("SECUREMCP_ISSUER_BACKCHANNEL_URL", inside.as_str());
    stack.run(&[secret, inside], &arguments).done();
    assert_eq!(stack.run(&[inside], &["call", "calculator", "multiply", "6", "7"]).done(), "42\n");
    stack.run(&[inside], &["dcr", "delete"]).done();
}

async fn both_replicas_are_called(stack: &Stack) {
    let load = Load::begin(stack.http(), &stack.resource(), &token(stack));
    load.more(40).await;
    load.end().await.all_good();
    for (server, _) in stack.replicas.iter().flatten() {
        assert!(server.log().contains("\"message\":\"tool_called\""), "{}", server.log());
    }
}
