//! nginx's own judgement of compose/nginx.

use std::{fs, time::Duration};

use securemcp::tls::self_signed;

use crate::harness::{Tool, root, write_nginx_configuration};

/// The names of all that is filled in, with values that fit a test.
fn values(home: &str) -> Vec<(&'static str, String)> {
    let mut values = vec![("TEMP", home.to_owned()), ("ACME_ROOT", home.to_owned())];
    values.push(("TLS_CERTIFICATE", format!("{home}/certificate.pem")));
    values.push(("TLS_KEY", format!("{home}/key.pem")));
    let rest = [
        ("HTTP_LISTEN", "127.0.0.1:8080"),
        ("HTTPS_LISTEN", "127.0.0.1:8443"),
        ("HEALTH_LISTEN", "127.0.0.1:8081"),
        ("REDIRECT_PORT", ":8443"),
        ("MCP_HOST", "mcp.localhost"),
        ("AUTH_HOST", "auth.localhost"),
        ("SECUREMCP_1", "127.0.0.1:8001"),
        ("SECUREMCP_2", "127.0.0.1:8002"),
        ("KEYCLOAK", "127.0.0.1:8003"),
        ("ADMIN_NETWORK", "127.0.0.1"),
    ];
    values.extend(rest.map(|(name, value)| (name, value.to_owned())));
    values
}

#[test]
fn nginx_takes_its_configuration() {
    let tool = Tool::system("nginx");
    let home = tool.home().to_str().expect("UTF-8");
    let hosts = ["mcp.localhost", "auth.localhost"].map(str::to_owned);
    let made = self_signed(&hosts, Duration::from_hours(500_000)).expect("a certificate");
    fs::write(tool.home().join("certificate.pem"), made.certificate).expect("the home is writable");
    fs::write(tool.home().join("key.pem"), made.key.expose()).expect("the home is writable");
    let values = values(home);
    let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    write_nginx_configuration(tool.home(), &values);
    let configuration = tool.home().join("nginx.conf");
    let test = || tool.run("", &["-t", "-c", configuration.to_str().expect("UTF-8")], &[]);
    let ended = test();
    assert!(ended.code == Some(0) && ended.stderr.contains("test is successful"), "{ended:#?}");
    assert!(!ended.stderr.contains("[warn]"), "{ended:#?}");
    tool.replace("proxy.conf", "proxy_http_version 1.1;", "proxy_http_versions 1.1;");
    test().failed(1, &["unknown directive \"proxy_http_versions\""]);
}

#[test]
fn compose_and_swarm_fill_in_everything() {
    for file in ["compose/compose.yaml", "compose/stack.yaml"] {
        let text = fs::read_to_string(root().join(file)).expect("it ships");
        for (name, _) in values("") {
            assert!(text.contains(&format!("      NGINX_{name}: ")), "{file}: NGINX_{name}");
        }
    }
}
