//! The Compose files, as Compose's own library reads them, and by dclint.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::strings;
use crate::harness::{Account, Ended, Tool};

const BASE: &[&str] = &["compose.yaml"];
const PRODUCTION: &[&str] = &["compose.yaml", "compose.prod.yaml"];
const STACK: &[&str] = &["stack.yaml"];
const NAMES: [(&str, &str); 3] =
    [("MCP_HOST", "mcp.example.com"), ("AUTH_HOST", "auth.example.com"), ("REGISTRY", "registry.example.com")];

fn load(files: &[&str], variables: &[(&str, &str)]) -> Ended {
    let tool = Tool::installed("compose-config");
    tool.copy("compose");
    tool.run("compose", files, variables)
}

/// Each service with its name.
fn services(project: &Value) -> Vec<(&str, &Value)> {
    project["services"].as_object().expect("services").iter().map(|(name, service)| (name.as_str(), service)).collect()
}

#[test]
fn compose_takes_its_files_and_names_what_is_missing() {
    for files in [BASE, PRODUCTION] {
        load(files, &NAMES).done();
        load(files, &NAMES[..1]).failed(1, &["AUTH_HOST", "run securemcp init --compose"]);
        load(files, &NAMES[1..]).failed(1, &["MCP_HOST", "run securemcp init --compose"]);
    }
    load(STACK, &NAMES).done();
    load(STACK, &NAMES[..2]).failed(1, &["REGISTRY", "name your registry"]);
    let tool = Tool::installed("compose-config");
    tool.copy("compose");
    tool.replace("compose/compose.yaml", "    healthcheck:", "    healthchecks:");
    tool.run("compose", BASE, &NAMES).failed(1, &["healthchecks"]);
}

#[test]
fn dclint_finds_nothing() {
    let tool = Tool::node("dclint/node_modules/dclint/bin/dclint.cjs");
    tool.copy("compose");
    tool.run("compose", &["--max-warnings", "0", "compose.yaml", "compose.prod.yaml"], &[]).done();
    // Swarm has no interfaces to listen on.
    let stack = ["stack.yaml", "--max-warnings", "0", "--disable-rule", "no-unbound-port-interfaces"];
    tool.run("compose", &stack, &[]).done();
    tool.replace("compose/compose.yaml", "postgres:17.6-alpine", "postgres:latest");
    let ended = tool.run("compose", &["compose.yaml"], &[]);
    assert!(ended.code == Some(1) && ended.stdout.contains("service-image-require-explicit-tag"), "{ended:#?}");
}

#[test]
fn every_service_is_healthy_before_another_needs_it() {
    for files in [BASE, PRODUCTION] {
        let project = load(files, &NAMES).json();
        let services = services(&project);
        assert_eq!(services.len(), 6);
        for (name, service) in &services {
            assert!(service["healthcheck"]["test"].is_array(), "{name}");
            for (needed, how) in service["depends_on"].as_object().into_iter().flatten() {
                assert_eq!(how["condition"], "service_healthy", "{name} needs {needed}");
            }
        }
        let needs = |name: &str| {
            let needed = project["services"][name]["depends_on"].as_object();
            needed.map(|needed| needed.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        assert_eq!(needs("nginx"), ["keycloak", "securemcp-1", "securemcp-2"]);
        assert_eq!(needs("securemcp-2"), ["keycloak", "redis"]);
        assert_eq!(needs("keycloak"), ["postgres"]);
    }
}

#[test]
fn the_server_takes_the_settings_that_it_gets() {
    let account = Account::new();
    let resource =
        ["--resource", "https://mcp.example.com/mcp", "--issuer", "https://auth.example.com/realms/mcp-realm"];
    account.securemcp(&[&["init", "--compose"], &resource[..]].concat()).done();
    let secrets = account.home().join("secrets");
    for files in [BASE, PRODUCTION, STACK] {
        let project = load(files, &NAMES).json();
        let servers: Vec<_> =
            services(&project).into_iter().filter(|(name, _)| name.starts_with("securemcp")).collect();
        assert!(!servers.is_empty(), "{files:?}");
        for (name, service) in servers {
            let environment = service["environment"].as_object().expect("variables");
            let text =
                |value: &Value| value.as_str().expect("text").replace("/run/secrets", &secrets.to_string_lossy());
            let mut variables: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
            let check = |variables: &[(&str, String)]| {
                let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
                account.with(&variables, &["serve", "--check"])
            };
            check(&variables).done();
            assert!(environment.contains_key("SECUREMCP_REDIS_URL_FILE"), "{name} shares nothing");
            variables.push(("SECUREMCP_REDIS_URI", "redis://redis".to_owned()));
            check(&variables).failed(3, &["SECUREMCP_REDIS_URI"]);
        }
    }
}

#[test]
fn only_nginx_is_published_and_beyond_this_machine_only_in_production() {
    for (files, address) in [(BASE, "127.0.0.1"), (PRODUCTION, "0.0.0.0")] {
        let project = load(files, &NAMES).json();
        for (name, service) in services(&project) {
            let ports = service["ports"].as_array().cloned().unwrap_or_default();
            let published: Vec<_> = ports.iter().map(|port| (&port["host_ip"], &port["published"])).collect();
            let expected = [(&address.into(), &"80".into()), (&address.into(), &"443".into())];
            assert_eq!(published, if name == "nginx" { &expected[..] } else { &[] }, "{name}");
        }
        assert_eq!(project["networks"]["back"]["internal"], true);
    }
}

#[test]
fn in_production_containers_may_do_nothing_that_they_need_not() {
    let project = load(PRODUCTION, &NAMES).json();
    for (name, service) in services(&project) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service["user"].as_str().is_some_and(|user| !user.starts_with('0')), "{name}: {}", service["user"]);
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(
            !limits["memory"].is_null() && !limits["cpus"].is_null() && !limits["pids"].is_null(),
            "{name}: {limits}"
        );
    }
    let stack = load(STACK, &NAMES).json();
    for (name, service) in services(&stack) {
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
    }
}

#[test]
fn no_secret_is_in_a_variable_and_init_makes_every_file() {
    let account = Account::new();
    let resource =
        ["--resource", "https://mcp.example.com/mcp", "--issuer", "https://auth.example.com/realms/mcp-realm"];
    account.securemcp(&[&["init", "--compose"], &resource[..]].concat()).done();
    let names = fs::read_dir(account.home().join("secrets")).expect("it was made");
    let made: BTreeSet<_> =
        names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    for files in [BASE, PRODUCTION, STACK] {
        let project = load(files, &NAMES).json();
        let declared: BTreeSet<_> = project["secrets"].as_object().expect("secrets").keys().cloned().collect();
        assert_eq!(declared, made, "{files:?}");
        for (name, service) in services(&project) {
            let mounted: BTreeSet<_> =
                service["secrets"].as_array().into_iter().flatten().filter_map(|one| one["source"].as_str()).collect();
            for (variable, value) in service["environment"].as_object().into_iter().flatten() {
                let Some(path) = value.as_str() else { continue };
                if let Some(secret) = path.strip_prefix("/run/secrets/") {
                    assert!(mounted.contains(secret), "{name}: {variable} is {path}");
                } else {
                    let is_secret = ["PASSWORD", "SECRET", "TOKEN"].iter().any(|word| variable.contains(word));
                    assert!(!is_secret && !path.contains('@'), "{name}: {variable}");
                }
            }
        }
    }
}

#[test]
fn the_replicas_differ_only_in_where_their_state_is() {
    for files in [BASE, PRODUCTION, STACK] {
        let project = load(files, &NAMES).json();
        let without_state = |name: &str| {
            let mut service = project["services"][name].clone();
            let volumes = service.as_object_mut().expect("a service").remove("volumes").expect("its state");
            assert_eq!((&volumes[0]["source"], &volumes[0]["target"]), (&name.into(), &"/home/nonroot".into()));
            service
        };
        assert_eq!(without_state("securemcp-1"), without_state("securemcp-2"));
    }
}

#[test]
fn another_port_is_in_every_name() {
    let variables = [&NAMES[..], &[("HTTPS_PORT", "8443")]].concat();
    let project = load(BASE, &variables).json();
    let of = |service: &str, variable: &str| project["services"][service]["environment"][variable].clone();
    assert_eq!(of("securemcp-1", "SECUREMCP_RESOURCE"), "https://mcp.example.com:8443/mcp");
    assert_eq!(of("keycloak", "MCP_RESOURCE_IDENTIFIER"), "https://mcp.example.com:8443/mcp");
    assert_eq!(of("securemcp-1", "SECUREMCP_ISSUER"), "https://auth.example.com:8443/realms/mcp-realm");
    assert_eq!(of("keycloak", "KC_HOSTNAME"), "https://auth.example.com:8443");
    assert_eq!(of("nginx", "NGINX_REDIRECT_PORT"), ":8443");
}
