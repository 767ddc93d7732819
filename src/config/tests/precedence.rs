use super::*;

#[test]
fn nothing_written_is_a_loopback_server_with_its_own_issuer() {
    let desk = Desk::serve();
    let config = desk.config();
    assert_eq!(config.state_dir, desk.path("home/.local/state/securemcp"));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
    assert!(config.server.resource.is_none() && config.server.audiences.is_empty());
    assert!(config.server.trusted_proxies.is_empty());
    assert!(config.server.allowed_hosts.is_empty() && config.server.allowed_origins.is_empty());
    assert_eq!(config.server.max_body_bytes, 4 << 20);
    assert_eq!(config.server.drain_timeout, Duration::from_secs(25));
    assert!(matches!(config.issuer.choice, IssuerChoice::Embedded { face_network: false, .. }));
    assert_eq!(config.issuer.algorithms.len(), 9);
    assert_eq!(config.issuer.leeway, Duration::from_secs(30));
    assert!(config.issuer.allowed_clients.is_none() && config.scopes_supported.is_none());
    assert_eq!((config.limits.sessions_per_principal, config.limits.sessions), (50, 10_000));
    assert_eq!(config.limits.session_idle, Duration::from_mins(30));
    assert_eq!((config.limits.per_client, config.limits.per_address), (100, 200));
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Auto));
    assert_eq!(config.client.server.as_str(), "http://127.0.0.1:8000/mcp");
    assert!(config.client.id.is_none() && config.client.secret.is_none() && config.client.token.is_none());
    assert!(config.warnings.is_empty());
}

#[test]
fn every_key_can_be_set_in_the_file() {
    let desk = Desk::serve().toml(
        r#"
        state_dir = "state"
        [server]
        listen = "0.0.0.0:8443"
        resource = "https://mcp.example/mcp"
        audiences = ["https://old.example/mcp"]
        trusted_proxies = ["10.0.0.0/8", "::1"]
        allowed_hosts = ["MCP.example"]
        allowed_origins = ["https://app.example"]
        docs_client_id = "tools-page"
        max_body_bytes = 0x10_00
        drain_timeout = 5
        [issuer]
        url = "https://kc.example/realms/a"
        backchannel_url = "http://127.0.0.1:8080/realms/a"
        jwks_uri = "https://kc.example/keys"
        algorithms = ["ES256", "RS256"]
        leeway = "1m"
        allowed_clients = ["one", "two"]
        introspection = { endpoint = "https://kc.example/ask", client_id = "mcp-resource", client_secret = "hunter3" }
        [embedded]
        face_network = true
        [scopes]
        supported = ["mcp:read", "mcp:write"]
        [limits]
        per_client = "3/s"
        per_address = "1000000/s"
        sessions_per_principal = 1
        sessions = 2
        session_idle = "1h"
        [log]
        level = "debug"
        format = "json"
        [client]
        server = "https://mcp.example/mcp"
        id = "me"
        secret = "hunter2"
        initial_access_token = "iat"
        "#,
    );
    let config = desk.config();
    assert_eq!(config.state_dir, desk.path("state"));
    assert_eq!(config.server.listen.port(), 8443);
    assert_eq!(config.server.resource.unwrap().as_str(), "https://mcp.example/mcp");
    assert_eq!(config.server.audiences, ["https://old.example/mcp"]);
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.server.allowed_hosts, ["mcp.example"]);
    assert_eq!(config.server.allowed_origins, ["https://app.example"]);
    assert_eq!(config.server.docs_client_id.as_deref(), Some("tools-page"));
    assert_eq!((config.server.max_body_bytes, config.server.drain_timeout), (4096, Duration::from_secs(5)));
    let IssuerChoice::External { url, backchannel_url, jwks_uri } = config.issuer.choice else { panic!("external") };
    assert_eq!(url.as_str(), "https://kc.example/realms/a");
    assert_eq!(backchannel_url.unwrap().as_str(), "http://127.0.0.1:8080/realms/a");
    assert_eq!(jwks_uri.unwrap().as_str(), "https://kc.example/keys");
    let introspection = config.issuer.introspection.unwrap();
    assert_eq!(introspection.endpoint.unwrap().as_str(), "https://kc.example/ask");
    assert_eq!((introspection.client_id.as_str(), introspection.client_secret.expose()), ("mcp-resource", "hunter3"));
    assert_eq!(config.issuer.algorithms, [Algorithm::ES256, Algorithm::RS256]);
    assert_eq!(config.issuer.leeway, Duration::from_mins(1));
    assert_eq!(config.issuer.allowed_clients.unwrap(), ["one", "two"]);
    assert_eq!(config.scopes_supported.unwrap().to_string(), "mcp:read mcp:write");
    assert_eq!((config.limits.sessions_per_principal, config.limits.sessions), (1, 2));
    assert_eq!(config.limits.session_idle, Duration::from_hours(1));
    assert_eq!((config.limits.per_client, config.limits.per_address), (3, 1_000_000));
    assert_eq!((config.log.level.as_str(), config.log.format), ("debug", LogFormat::Json));
    assert_eq!(config.client.server.as_str(), "https://mcp.example/mcp");
    assert_eq!(config.client.id.as_deref(), Some("me"));
    assert_eq!(config.client.secret.unwrap().expose(), "hunter2");
    assert_eq!(config.client.initial_access_token.unwrap().expose(), "iat");
    assert_eq!(config.client.issuer.unwrap().as_str(), "https://kc.example/realms/a");
    assert!(config.client.issuer_backchannel_url.is_some());
}

#[test]
fn flags_beat_variables_beat_the_file_beats_defaults() {
    let level = |desk: &Desk| desk.config().log.level;
    let desk = Desk::serve();
    assert_eq!(level(&desk), "info");
    let desk = desk.toml("log.level = 'error'");
    assert_eq!(level(&desk), "error");
    let desk = desk.variable("SECUREMCP_LOG_LEVEL", "debug");
    assert_eq!(level(&desk), "debug");
    let desk = desk.flag("log.level", "--log-level", "trace");
    assert_eq!(level(&desk), "trace");
}

#[test]
fn the_environment_beats_the_env_file() {
    let desk = Desk::client().file(".env", "export SECUREMCP_CLIENT_ID='from file'\nSECUREMCP_LOG_LEVEL=debug # all\n");
    assert_eq!(desk.config().client.id, None, "an env file is read only when it is named");
    let desk = desk.env_file(".env").variable("SECUREMCP_LOG_LEVEL", "error");
    let config = desk.config();
    assert_eq!((config.client.id.as_deref(), config.log.level.as_str()), (Some("from file"), "error"));
}

#[test]
fn lists_are_text_in_variables_and_repeated_in_flags() {
    let desk = Desk::serve().variable("SECUREMCP_TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2\t10.0.0.3,");
    assert_eq!(desk.config().server.trusted_proxies.len(), 3);
    let flag = |desk: Desk, value| desk.flag("server.trusted_proxies", "--trusted-proxy", value);
    let desk = flag(desk, "127.0.0.1");
    assert_eq!(desk.config().server.trusted_proxies.len(), 1);
    assert_eq!(flag(desk, "10.0.0.0/8 ::1").config().server.trusted_proxies.len(), 3);
}

#[test]
fn serve_prefers_the_named_file_then_the_directory_then_the_home() {
    let id = |desk: &Desk| desk.config().client.id.unwrap();
    let desk = Desk::serve().file("home/.config/securemcp/securemcp.toml", "client.id = 'home'");
    assert_eq!(id(&desk), "home");
    let desk = desk.toml("client.id = 'directory'");
    assert_eq!(id(&desk), "directory");
    let desk = desk.file("other.toml", "client.id = 'named'").config_file("other.toml");
    assert_eq!(id(&desk), "named");
}

#[test]
fn client_commands_never_read_the_working_directory() {
    let desk = Desk::client().toml("client.server = 'https://evil.example/mcp'\nnonsense");
    assert_eq!(desk.config().client.server.as_str(), "http://127.0.0.1:8000/mcp");
    let desk = desk.file("home/.config/securemcp/securemcp.toml", "client.id = 'home'");
    assert_eq!(desk.config().client.id.as_deref(), Some("home"));
    fs::create_dir_all(desk.path("xdg/securemcp")).unwrap();
    let xdg = desk.path("xdg").display().to_string();
    let desk = desk.file("xdg/securemcp/securemcp.toml", "client.id = 'xdg'").variable("XDG_CONFIG_HOME", &xdg);
    assert_eq!(desk.config().client.id.as_deref(), Some("xdg"));
}

#[test]
fn client_commands_do_not_judge_the_servers_settings() {
    let desk = Desk::client()
        .file("x.toml", "server.listen = 'nowhere'\nlimits.sessions = 0")
        .config_file("x.toml")
        .variables(&[("SECUREMCP_MAX_BODY_BYTES", "1"), ("PORT", "x"), ("HOST", "0.0.0.0"), ("JWT_LEEWAY", "9h")]);
    assert_eq!(desk.config().server.listen.to_string(), "127.0.0.1:8000");
    assert!(desk.warnings().is_empty());
}

#[test]
fn secrets_come_from_a_variable_or_a_file_that_a_variable_or_flag_names() {
    let secret = |desk: &Desk| desk.config().client.secret.unwrap().expose().to_owned();
    let desk = Desk::client().file("secret", "from a file\r\n").file("other", " spaces stay \n");
    assert_eq!(secret(&desk.variable("SECUREMCP_CLIENT_SECRET", "plain")), "plain");
    let desk = Desk::client().file("secret", "from a file\r\n").file("other", " spaces stay \n");
    let desk = desk.variable("SECUREMCP_CLIENT_SECRET_FILE", "secret");
    assert_eq!(secret(&desk), "from a file");
    let desk = desk.flag("client.secret", "--client-secret-file", "other");
    assert_eq!(secret(&desk), " spaces stay ");
    let desk = desk.file("iat", "iat\n").variable("SECUREMCP_INITIAL_ACCESS_TOKEN_FILE", "iat");
    assert_eq!(desk.config().client.initial_access_token.unwrap().expose(), "iat");
    assert!(desk.warnings().is_empty());
}

#[test]
fn a_token_from_elsewhere_is_for_clients_only() {
    let token = |desk: Desk| desk.variable("SECUREMCP_TOKEN", "t").config().client.token;
    assert_eq!(token(Desk::client()).unwrap().expose(), "t");
    assert!(token(Desk::serve()).is_none());
}

#[test]
fn a_secret_that_every_account_may_read_only_warns() {
    let desk = Desk::client()
        .file_with_mode("secret", "hunter2", 0o644)
        .variable("SECUREMCP_CLIENT_SECRET_FILE", "secret")
        .file_with_mode("x.toml", "client.initial_access_token = 'iat'", 0o644)
        .config_file("x.toml")
        .file_with_mode("env", "SECUREMCP_TOKEN=t", 0o644)
        .env_file("env");
    let expected = ["`env` holds a secret and", "`x.toml` holds a secret and", "secret file `secret`"];
    let warnings = desk.warnings();
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (warning, beginning) in warnings.iter().zip(expected) {
        assert_eq!(*warning, format!("{beginning} may be read by every account of this machine"));
    }
    let harmless = Desk::serve().file_with_mode("securemcp.toml", "log.level = 'info'", 0o644);
    assert!(harmless.warnings().is_empty());
}

#[test]
fn debug_of_a_configuration_and_its_inputs_shows_no_secret() {
    let desk = Desk::client().variables(&[("SECUREMCP_CLIENT_SECRET", "hunter2"), ("SECUREMCP_TOKEN", "hunter2")]);
    let shown = format!("{:?} {:?}", desk.inputs, desk.config());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_documentations_example_is_a_good_file() {
    let page = page::page();
    let (_, example) = page.split_once("```toml\n").unwrap();
    Desk::serve().toml(example.split_once("```").unwrap().0).config();
}

#[test]
fn every_key_is_told_with_its_value_and_where_it_was_written() {
    let desk = Desk::serve()
        .toml("[server]\naudiences = ['a', 'b']\n")
        .file("env", "\nSECUREMCP_CLIENT_SECRET=hunter2\n")
        .env_file("env")
        .variable("LOG_LEVEL", "debug")
        .flag("server.listen", "--listen", "127.0.0.1:9000");
    let config = desk.config();
    let paths: Vec<_> = config.effective.iter().map(|one| one.key.path).collect();
    assert_eq!(paths, keys().iter().map(|key| key.path).collect::<Vec<_>>());
    let told = |path: &str| {
        let one = config.effective.iter().find(|one| one.key.path == path).unwrap();
        (format!("{:?}", one.value), one.origin.as_str())
    };
    for (path, value, origin) in [
        ("server.audiences", r#"List(["a", "b"])"#, "`securemcp.toml` line 2"),
        ("client.secret", "Secret([redacted])", "`SECUREMCP_CLIENT_SECRET` (`env` line 2)"),
        ("log.level", r#"Text("debug")"#, "`LOG_LEVEL`"),
        ("server.listen", r#"Text("127.0.0.1:9000")"#, "`--listen`"),
        ("server.drain_timeout", r#"Text("25s")"#, "default"),
        ("issuer.url", r#"Unset("none: the embedded issuer")"#, "default"),
    ] {
        assert_eq!(told(path), (value.to_owned(), origin));
    }
    let of_clients = Desk::client().config().effective;
    assert!(of_clients.iter().all(|one| one.key.for_clients) && of_clients.len() < paths.len());
}

#[test]
fn files_for_logs_are_in_a_directory_that_exists() {
    let desk = Desk::serve().toml("log.file = 'log'\naudit.file = 'home/audit'\nclient.token_store = 'memory'");
    let config = desk.config();
    assert_eq!(config.log.file, Some(desk.path("log")));
    assert_eq!(config.log.audit_file, Some(desk.path("home/audit")));
    assert!(!desk.path("log").exists() && !config.client.keeps_tokens);
    let problems = Desk::serve().toml("log.file = 'a/b'\naudit.file = 'home'\nclient.token_store = 'cloud'").problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].ends_with("a/b`, expected a file in a directory that exists"), "{problems:?}");
    assert!(problems[1].ends_with("home`, expected a file, but that is a directory"), "{problems:?}");
    assert!(problems[2].ends_with("`client.token_store` is `cloud`, expected `file` or `memory`"), "{problems:?}");
}
