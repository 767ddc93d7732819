use super::*;

#[test]
fn the_originals_names_keep_working() {
    let desk = Desk::serve().variables(&[
        ("DCR_DATA_DIR", "/data"),
        ("MCP_RESOURCE_IDENTIFIER", "https://mcp.example/mcp"),
        ("OAUTH_AUDIENCE", "mcp-server"),
        ("CORS_ORIGINS", r#"["https://a.example","https://b.example"]"#),
        ("OAUTH_ISSUER", "https://kc.example/realms/a"),
        ("OAUTH_JWKS_URI", "https://kc.example/keys"),
        ("JWT_ALGORITHMS", "RS256,ES256"),
        ("JWT_LEEWAY", "10"),
        ("MCP_SUPPORTED_SCOPES", "mcp:read mcp:write"),
        ("LOG_LEVEL", "WARNING"),
        ("LOG_FORMAT", "json"),
        ("MCP_SERVER_URL", "https://mcp.example/mcp"),
        ("KEYCLOAK_CLIENT_ID", "mcp-server"),
        ("KEYCLOAK_CLIENT_SECRET", "hunter2"),
        ("DCR_INITIAL_ACCESS_TOKEN", "iat"),
    ]);
    let config = desk.config();
    assert_eq!(config.state_dir, Path::new("/data"));
    assert_eq!(config.server.resource.unwrap().as_str(), "https://mcp.example/mcp");
    assert_eq!(config.server.audiences, ["mcp-server"]);
    assert_eq!(config.server.allowed_origins, ["https://a.example", "https://b.example"]);
    assert!(matches!(config.issuer.choice, IssuerChoice::External { jwks_uri: Some(_), .. }));
    assert_eq!(config.issuer.algorithms, [Algorithm::RS256, Algorithm::ES256]);
    assert_eq!(config.issuer.leeway, Duration::from_secs(10));
    assert_eq!(config.scopes_supported.unwrap().iter().count(), 2);
    assert_eq!((config.log.level.as_str(), config.log.format), ("warn", LogFormat::Json));
    assert_eq!(config.client.server.as_str(), "https://mcp.example/mcp");
    assert_eq!(config.client.id.as_deref(), Some("mcp-server"));
    assert_eq!(config.client.secret.unwrap().expose(), "hunter2");
    assert_eq!(config.client.initial_access_token.unwrap().expose(), "iat");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn ours_beats_the_originals_and_an_empty_original_is_unset() {
    let desk = Desk::client().variables(&[("SECUREMCP_CLIENT_ID", "ours"), ("KEYCLOAK_CLIENT_ID", "theirs")]);
    assert_eq!(desk.config().client.id.as_deref(), Some("ours"));
    assert!(desk.warnings().is_empty());
    let desk = Desk::client().variables(&[("KEYCLOAK_CLIENT_ID", ""), ("KEYCLOAK_URL", ""), ("OAUTH_ISSUER", "")]);
    assert!(desk.config().client.id.is_none() && desk.config().client.issuer.is_none());
    let desk = Desk::client()
        .file("s", "ours")
        .variables(&[("SECUREMCP_CLIENT_SECRET_FILE", "s"), ("KEYCLOAK_CLIENT_SECRET", "theirs")]);
    assert_eq!(desk.config().client.secret.unwrap().expose(), "ours");
}

#[test]
fn keycloaks_url_and_realm_make_an_issuer() {
    let both = [("KEYCLOAK_URL", "https://kc.example/"), ("KEYCLOAK_REALM", "mcp-realm")];
    let issuer = |desk: Desk| desk.config().client.issuer.unwrap().as_str().to_owned();
    assert_eq!(issuer(Desk::client().variables(&both)), "https://kc.example/realms/mcp-realm");
    let named = [("OAUTH_ISSUER", "https://named.example")];
    assert_eq!(issuer(Desk::client().variables(&both).variables(&named)), "https://named.example");
    assert_eq!(issuer(Desk::client().variables(&both).variables(&[ISSUER])), ISSUER.1);
}

#[test]
fn keycloaks_url_and_realm_need_each_other() {
    for (set, missing) in [("KEYCLOAK_URL", "KEYCLOAK_REALM"), ("KEYCLOAK_REALM", "KEYCLOAK_URL")] {
        // Beyond loopback, so that a missing issuer would be reported once more if it counted as embedded.
        let desk = Desk::serve().variables(&[(set, "https://kc.example"), ("SECUREMCP_RESOURCE", "https://h/mcp")]);
        let (problem, hint) = desk.problem();
        assert_eq!(
            problem,
            format!("`{set}` is set without `{missing}`, expected both: together they name the issuer")
        );
        assert_eq!(hint, format!("set `{missing}`, or `SECUREMCP_ISSUER` in place of both"));
        desk.variables(&[ISSUER]).config();
    }
}

#[test]
fn keycloak_inside_a_network_needs_a_name_of_its_own() {
    let desk = Desk::serve().variables(&[("KEYCLOAK_URL", "http://keycloak:8080"), ("KEYCLOAK_REALM", "a")]);
    let (problem, hint) = desk.problem();
    assert_eq!(
        problem,
        "`KEYCLOAK_URL` and `KEYCLOAK_REALM`: `issuer.url` cannot be used: issuer `http://keycloak:8080/realms/a` must be https; http is for loopback only"
    );
    assert!(hint.starts_with("set `SECUREMCP_ISSUER` to the issuer's name in its tokens, and"), "{hint}");
}

#[test]
fn host_and_port_are_honoured_with_a_warning() {
    let set = |desk: Desk| (desk.config().server.listen.to_string(), desk.warnings());
    let warning =
        |names, address| vec![format!("{names} set the listening address `{address}`; set `SECUREMCP_LISTEN` instead")];
    let (both, host, port) = ("`HOST` and `PORT`", "`HOST`", "`PORT`");
    let desk = Desk::serve().variables(&[("HOST", "localhost"), ("PORT", "9000")]);
    assert_eq!(set(desk), ("127.0.0.1:9000".to_owned(), warning(both, "127.0.0.1:9000")));
    let desk = Desk::serve().variable("HOST", "::1");
    assert_eq!(set(desk), ("[::1]:8000".to_owned(), warning(host, "[::1]:8000")));
    let desk = Desk::serve().toml("server.listen = '127.0.0.9:1'").variable("PORT", "9000");
    assert_eq!(set(desk), ("127.0.0.9:9000".to_owned(), warning(port, "127.0.0.9:9000")));

    let ours = Desk::serve().variables(&[("HOST", "0.0.0.0"), ("PORT", "x"), ("SECUREMCP_LISTEN", "127.0.0.1:1")]);
    assert_eq!(set(ours), ("127.0.0.1:1".to_owned(), vec![]));
    let flag = Desk::serve().variable("PORT", "9000").flag("server.listen", "--listen", "127.0.0.1:2");
    assert_eq!(set(flag), ("127.0.0.1:2".to_owned(), vec![]));
}

#[test]
fn a_host_that_is_a_machines_name_is_ignored_and_a_port_must_be_one() {
    let desk = Desk::serve().variable("HOST", "laptop");
    assert_eq!(
        desk.warnings(),
        ["`HOST` is `laptop`, no IP address, and ignored; `SECUREMCP_LISTEN` says where to listen"]
    );
    assert_eq!(desk.config().server.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(
        Desk::serve().variable("PORT", "http").problem().0,
        "`PORT`: `server.listen` is `127.0.0.1:http`, expected an IP address and a port such as `127.0.0.1:8000`"
    );
}

#[test]
fn variables_that_do_nothing_any_more_say_what_does() {
    let desk = Desk::serve().variables(&[
        ("EXTERNAL_KEYCLOAK_URL", "x"),
        ("INTERNAL_KEYCLOAK_URL", "x"),
        ("PUBLIC_BASE_URL", "x"),
        ("APP_NAME", "x"),
        ("DEBUG", "true"),
        ("WORKERS", ""),
    ]);
    assert_eq!(
        desk.warnings(),
        [
            "`EXTERNAL_KEYCLOAK_URL` has no effect; set `SECUREMCP_ISSUER` to the issuer's name instead",
            "`INTERNAL_KEYCLOAK_URL` has no effect; set `SECUREMCP_ISSUER_BACKCHANNEL_URL` to where the issuer is reached instead",
            "`PUBLIC_BASE_URL` has no effect; set `SECUREMCP_RESOURCE` to the URL that names this server instead",
            "`APP_NAME` has no effect; `server.resource` names this server",
            "`DEBUG` has no effect; set `SECUREMCP_LOG_LEVEL=debug` instead",
        ]
    );
    let client = Desk::client().variables(&[("EXTERNAL_KEYCLOAK_URL", "x"), ("DEBUG", "true")]);
    assert!(client.warnings().is_empty());
}

#[test]
fn common_names_alone_are_not_mentioned() {
    let common = [("APP_NAME", "x"), ("DEBUG", "1"), ("WORKERS", "4"), ("CONTAINER_ENV", "x"), ("LOG_LEVEL", "info")];
    let foreign = [("PUBLIC_KEY", "x"), ("INTERNAL_IP", "x"), ("EXTERNAL_ID", "x")];
    assert!(Desk::serve().variables(&common).variables(&foreign).warnings().is_empty());
    let beside = Desk::serve().variables(&common).variable("KEYCLOAK_CLIENT_ID", "mcp-server");
    let warnings = beside.warnings();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.contains(" has no effect; ")), "{warnings:?}");
}
