//! The deployment that ships, as a whole: who gets in, what it does, and what of it may fail.

use std::fs;

use serde_json::json;

use crate::{
    harness::{Ended, Load, Stack},
    stack_clients, stack_edge, stack_faults, stack_sessions, stack_tokens,
};

/// Its parts start once: that takes as long as all that is seen of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_deployment_that_ships() {
    let mut stack = Stack::start();
    everything_is_healthy(&stack);
    stack_edge::it_is_closed_to_others(&stack);
    stack_edge::nobody_chooses_an_address(&mut stack);
    stack_edge::administrators_have_a_network(&mut stack);
    static_and_registered_clients_call(&stack);
    both_replicas_are_called(&stack).await;
    let stream = stack_sessions::Session::begin(&stack).await.listen().await;
    stack_clients::the_originals_tests(&stack);
    stack_sessions::a_heartbeat_comes_through(stream).await;
    stack_sessions::a_session_outlives_its_replica(&mut stack).await;
    stack_faults::replicas_are_replaced_under_load(&mut stack).await;
    stack_faults::keys_rotate_under_load(&stack).await;
    stack_faults::a_removed_key_dies(&mut stack).await;
    stack_faults::unknown_keys_and_a_slow_issuer(&mut stack).await;
    stack_faults::redis_fails(&mut stack).await;
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
    // Who was not told of its certificate is told so.
    let (resource, issuer) = (stack.resource(), stack.issuer());
    let strangers = [("SECUREMCP_SERVER", resource.as_str()), ("SECUREMCP_ISSUER", &issuer)];
    stack.caller.with(&strangers, &["call", "echo", "hi"]).failed(5, &["certificate", "--ca"]);
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
