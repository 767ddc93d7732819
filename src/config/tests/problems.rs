use super::*;

fn of_file(text: &str) -> (String, String) {
    Desk::serve().toml(text).problem()
}

#[test]
fn all_problems_are_reported_together_with_where_they_were_written() {
    let desk = Desk::serve()
        .toml("[server]\nlisten = '0.0.0.0:80'\nlisen = 1\n[limits]\nsessions = 0\n")
        .file("env", "SECUREMCP_LOG_FORMAT=xml\n")
        .env_file("env")
        .variables(&[("SECUREMCP_DRAIN_TIMEOUT", "soon"), ("SECUREMCP_RESOURC", "https://h"), ("JWT_LEEWAY", "2m")])
        .flag("log.level", "--log-level", "loud");
    assert_eq!(
        desk.problems(),
        [
            "`SECUREMCP_RESOURC` is not a variable of securemcp",
            "`securemcp.toml` line 3: there is no key `server.lisen`",
            "`SECUREMCP_DRAIN_TIMEOUT`: `server.drain_timeout` is `soon`, expected a duration such as `25s`, `5m`, `1h` or seconds",
            "`JWT_LEEWAY`: `issuer.leeway` is `2m`, expected at most `60s`",
            "`securemcp.toml` line 5: `limits.sessions` is `0`, expected a whole number from 1",
            "`--log-level`: `log.level` is `loud`, expected `error`, `warn`, `info`, `debug` or `trace`",
            "`SECUREMCP_LOG_FORMAT` (`env` line 1): `log.format` is `xml`, expected `auto`, `text` or `json`",
            "`securemcp.toml` line 2: `server.listen` is `0.0.0.0:80`, beyond loopback, expected TLS, here or in front of it",
            "`securemcp.toml` line 2: `server.listen` is `0.0.0.0:80`, beyond loopback, expected `server.resource` to name the server",
            "`server.listen` is `0.0.0.0:80`, but the embedded issuer is for loopback unless `--embedded-issuer-on-network` says otherwise",
        ]
    );
    let invalid = load(desk.purpose, &desk.inputs).unwrap_err();
    let shown = invalid.to_string();
    assert!(shown.starts_with("the configuration has 10 problems\n  - `SECUREMCP_RESOURC` is not"), "{shown}");
    assert!(shown.contains("\n    hint: write `SECUREMCP_RESOURCE` if that was meant\n  - "), "{shown}");
    assert_eq!(invalid.hint(), None, "each hint stands below its problem");
}

#[test]
fn unknown_keys_name_the_nearest_one() {
    for (text, problem, hint) in [
        ("listen = 'x'", "line 1: there is no key `listen`", "write `server.listen` if that was meant"),
        ("[isuer]\nurl = 'x'", "line 1: there is no key `isuer`", "see docs/ENVIRONMENT.md for every key"),
        ("[server.tls]\n", "line 1: there is no key `server.tls`", "see docs/ENVIRONMENT.md for every key"),
        ("\"a\\u001b\" = 1", "line 1: there is no key `a\\u{1b}`", "see docs/ENVIRONMENT.md for every key"),
    ] {
        assert_eq!(of_file(text), (format!("`securemcp.toml` {problem}"), hint.to_owned()));
    }
}

#[test]
fn values_of_the_wrong_shape_are_refused() {
    for (text, problem) in [
        ("server = 1", "`server` is a value, expected a section `[server]`"),
        ("[server.listen]\nx = 1", "`server.listen` has a table in it, expected a value or a list of values"),
        ("server.audiences = [['x']]", "`server.audiences` has a table in it, expected a value or a list of values"),
        ("log.level = ['info']", "`log.level` is a list, expected one value"),
        ("issuer.allowed_clients = []", "`issuer.allowed_clients` is an empty list, expected at least one item"),
        ("scopes.supported = ''", "`scopes.supported` is an empty list, expected at least one item"),
        ("embedded.cimd_allow_loopback = 'yes'", "`embedded.cimd_allow_loopback` is `yes`, expected `true` or `false`"),
        ("embedded.face_network = 'yes'", "`embedded.face_network` is `yes`, expected `true` or `false`"),
        ("client.id = ''", "`client.id` is empty"),
        ("client.secret = ''", "`client.secret` is empty"),
        ("state_dir = ''", "`state_dir` is empty"),
        (
            "server.max_body_bytes = 1023",
            "`server.max_body_bytes` is `1023`, expected a number of bytes from 1024 (1 KiB) to 67108864 (64 MiB)",
        ),
        (
            "server.max_body_bytes = 67108865",
            "`server.max_body_bytes` is `67108865`, expected a number of bytes from 1024 (1 KiB) to 67108864 (64 MiB)",
        ),
        (
            "limits.sessions_per_principal = -1",
            "`limits.sessions_per_principal` is `-1`, expected a whole number from 1",
        ),
        (
            "limits.per_client = '0/s'",
            "`limits.per_client` is `0/s`, expected requests a second from `1/s` to `1000000/s`",
        ),
        ("limits.per_address = 5", "`limits.per_address` is `5`, expected requests a second from `1/s` to `1000000/s`"),
        ("limits.session_idle = 0", "`limits.session_idle` is `0`, expected at least `1s`"),
        ("issuer.leeway = 61", "`issuer.leeway` is `61`, expected at most `60s`"),
        (
            "issuer.algorithms = ['HS256']",
            "`issuer.algorithms` has an item that is `HS256`, expected an asymmetric algorithm: RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 or EdDSA",
        ),
        (
            "issuer.algorithms = 'none'",
            "`issuer.algorithms` has an item that is `none`, expected an asymmetric algorithm: RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 or EdDSA",
        ),
        (
            "server.trusted_proxies = ['0.0.0.0/0']",
            "`server.trusted_proxies` has an item that is `0.0.0.0/0`, expected the proxy's own address or network",
        ),
        (
            "server.trusted_proxies = ['nginx']",
            "`server.trusted_proxies` has an item that cannot be used: `nginx` is not an IP address or network such as `10.0.0.0/8`",
        ),
        (
            "server.allowed_origins = ['*']",
            "`server.allowed_origins` has an item that is `*`, expected a web origin such as `https://app.example.com`",
        ),
        (
            "scopes.supported = ['a\"b']",
            "`scopes.supported` has an item that cannot be used: `a\"b` is not a scope: visible ASCII without quotes and backslashes",
        ),
        (
            "server.resource = 'http://mcp.example/mcp'",
            "`server.resource` cannot be used: `http://mcp.example/mcp` must be https; http is for loopback only",
        ),
        (
            "issuer.url = 'http://kc.example'",
            "`issuer.url` cannot be used: issuer `http://kc.example` must be https; http is for loopback only",
        ),
        ("client.server = 'mcp'", "`client.server` cannot be used: `mcp` is not an absolute URL"),
    ] {
        assert_eq!(of_file(text), (format!("`securemcp.toml` line 1: {problem}"), String::new()));
    }
}

#[test]
fn a_password_in_a_url_is_not_quoted() {
    for path in ["issuer.url", "server.resource", "client.server", "issuer.backchannel_url"] {
        let problems = Desk::serve().toml(&format!("{path} = 'https://me:hunter2@h/x'")).problems();
        let expected = format!("`securemcp.toml` line 1: `{path}` has user information in its URL, expected none");
        assert_eq!(problems[0], expected);
        assert!(!problems.join("\n").contains("hunter2"), "{problems:?}");
    }
}

#[test]
fn syntax_errors_are_placed_and_quote_no_line() {
    let desk = Desk::serve().toml("[client]\nsecret = hunter2\n[server\n").variable("SECUREMCP_LISTEN", "0.0.0.0:80");
    let problems = desk.problems();
    assert!(problems[0].starts_with("`securemcp.toml` line 2: not TOML: "), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("`securemcp.toml` line 3: not TOML: ")), "{problems:?}");
    assert!(!problems.join("\n").contains("hunter2"), "{problems:?}");
    assert!(!problems.join("\n").contains("server.resource"), "unknown whether the file meant to set it");
}

#[test]
fn unknown_variables_name_the_nearest_one() {
    for (name, hint) in [
        ("SECUREMCP_ISUER", "write `SECUREMCP_ISSUER` if that was meant"),
        ("SECUREMCP_LISTEN_FILE", "see docs/ENVIRONMENT.md for every variable"),
        ("SECUREMCP_TOKEN_FILE", "name the file with `--token-file`"),
        ("SECUREMCP_COLOUR_OF_THE_DAY", "see docs/ENVIRONMENT.md for every variable"),
        ("SECUREMCP_CLIENTSECRET_FILE", "write `SECUREMCP_CLIENT_SECRET_FILE` if that was meant"),
    ] {
        let problem = format!("`{name}` is not a variable of securemcp");
        assert_eq!(Desk::client().variable(name, "x").problem(), (problem, hint.to_owned()));
    }
}

#[test]
fn kubernetes_service_links_are_no_settings() {
    let links = [
        "SECUREMCP_SERVICE_HOST",
        "SECUREMCP_SERVICE_PORT_HTTP",
        "SECUREMCP_PORT",
        "SECUREMCP_PORT_8000_TCP_ADDR",
        "SECUREMCP_REDIS_PORT_6379_TCP",
    ];
    let desk = links.iter().fold(Desk::serve(), |desk, name| desk.variable(name, "tcp://10.0.0.1:8000"));
    assert_eq!(desk.problems().len(), links.len());
    let desk = desk.variable("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    desk.config();
    assert_eq!(desk.variable("SECUREMCP_LISTN", "x").problems().len(), 1);
}

#[test]
fn an_empty_variable_of_ours_is_no_value() {
    let (problem, _) = Desk::serve().variable("SECUREMCP_ISSUER", "").problem();
    assert_eq!(problem, "`SECUREMCP_ISSUER`: `issuer.url` cannot be used: issuer `` is not a URL");
    let (problem, hint) = Desk::client().variable("SECUREMCP_TOKEN", "").problem();
    assert_eq!(problem, "`SECUREMCP_TOKEN` is empty");
    let (odd, _) = Desk::client().variable("SECUREMCP_TOKEN", "one two").problem();
    assert!(odd.starts_with("`SECUREMCP_TOKEN` is no bearer token") && !odd.contains("one two"), "{odd}");
    let read = Desk::client().variable("SECUREMCP_TOKEN", "token\r\n").config().client.token;
    assert_eq!(read.unwrap().expose(), "token", "as a CI system hands on what was in a file");
    assert_eq!(hint, "set it to an access token, or unset it");
}

#[test]
fn a_flag_without_a_key_is_reported() {
    assert_eq!(
        Desk::client().flag("log.colour", "--colour", "x").problem().0,
        "`--colour` sets `log.colour`, which is no key"
    );
}

#[test]
fn a_secret_has_one_source() {
    let desk = Desk::client().variables(&[("SECUREMCP_CLIENT_SECRET", "x"), ("SECUREMCP_CLIENT_SECRET_FILE", "f")]);
    let problem = "`SECUREMCP_CLIENT_SECRET` and `SECUREMCP_CLIENT_SECRET_FILE` are both set, expected one";
    assert_eq!(desk.problem(), (problem.to_owned(), "unset one of the two".to_owned()));
}

#[test]
fn files_that_are_named_must_be_there() {
    let missing = Desk::client().config_file("x.toml").env_file("env").variable("SECUREMCP_CLIENT_SECRET_FILE", "s");
    assert_eq!(
        missing.problems(),
        [
            "env file `env` does not exist",
            "configuration file `x.toml` does not exist",
            "`SECUREMCP_CLIENT_SECRET_FILE`: secret file `s` does not exist",
        ]
    );
    let (problem, _) = Desk::client().config_file(".").problem();
    assert!(problem.starts_with("configuration file `.` cannot be read: "), "{problem}");
    let (problem, _) = Desk::client().file("s", "").flag("client.secret", "--client-secret-file", "s").problem();
    assert_eq!(problem, "`--client-secret-file` (`s`): `client.secret` is empty");
}

#[test]
fn files_that_others_may_write_are_refused() {
    for mode in [0o620, 0o602, 0o666] {
        let desk = Desk::serve().file_with_mode("securemcp.toml", "[limits]\nsessions = 0", mode);
        assert_eq!(
            desk.problems(),
            [
                format!(
                    "configuration file `securemcp.toml` may be written by group or others (mode {mode:04o}), expected only its owner"
                ),
                "`securemcp.toml` line 2: `limits.sessions` is `0`, expected a whole number from 1".to_owned(),
            ]
        );
    }
    Desk::client().config_file("/dev/null").env_file("/dev/null").config();
    let (_, hint) = Desk::serve().file_with_mode("env", "", 0o622).env_file("env").problem();
    assert_eq!(hint, "chmod go-w env");
    let desk = Desk::client().file_with_mode("s", "x", 0o622).variable("SECUREMCP_CLIENT_SECRET_FILE", "s");
    assert!(desk.problem().0.starts_with("`SECUREMCP_CLIENT_SECRET_FILE`: secret file `s` may be written by group"));
}

#[test]
fn a_line_of_an_env_file_is_named_and_not_quoted() {
    let desk = Desk::client().file("env", "# first\nhunter2\n").env_file("env");
    assert_eq!(desk.problem().0, "`env` line 2: expected `NAME=value`");
    let desk = Desk::serve().env_file("missing").variable("SECUREMCP_LISTEN", "0.0.0.0:80");
    assert_eq!(desk.problem().0, "env file `missing` does not exist", "what it would have set is unknown");
}

#[test]
fn variables_of_ours_must_be_unicode() {
    let mut desk = Desk::serve();
    for name in ["SECUREMCP_CLIENT_ID", "OAUTH_AUDIENCE", "XDG_STATE_HOME", "SOMEBODY_ELSES"] {
        desk.inputs.environment = desk.inputs.environment.with_not_unicode(name);
    }
    assert_eq!(
        desk.problems(),
        ["`SECUREMCP_CLIENT_ID` is not UTF-8", "`OAUTH_AUDIENCE` is not UTF-8", "`XDG_STATE_HOME` is not UTF-8"]
    );
    desk.purpose = Purpose::Client;
    assert_eq!(desk.problems().len(), 2, "the audience is not a client's");
}

#[test]
fn without_a_home_the_state_directory_must_be_named() {
    let desk = |variables: &[(&str, &str)]| {
        let mut desk = Desk::client();
        desk.inputs.environment = Environment::new(desk.folder.path(), None);
        desk.variables(variables)
    };
    let problem = "`state_dir` is not set and, without `HOME`, has no default";
    assert_eq!(desk(&[]).problem(), (problem.to_owned(), "set `SECUREMCP_STATE_DIR`".to_owned()));
    assert_eq!(desk(&[("SECUREMCP_STATE_DIR", "/s")]).config().state_dir, Path::new("/s"));
    assert_eq!(desk(&[("XDG_STATE_HOME", "/s")]).config().state_dir, Path::new("/s/securemcp"));
}

#[test]
fn where_an_issuer_is_reached_needs_its_name() {
    for (name, path) in
        [("SECUREMCP_ISSUER_BACKCHANNEL_URL", "issuer.backchannel_url"), ("OAUTH_JWKS_URI", "issuer.jwks_uri")]
    {
        let (problem, hint) = Desk::serve().variable(name, "https://kc.example/x").problem();
        assert_eq!(problem, format!("`{name}`: `{path}` is set without `issuer.url`"));
        assert_eq!(hint, "set `SECUREMCP_ISSUER` to the issuer's name in its tokens");
    }
}

#[test]
fn the_pages_client_is_for_an_issuer_elsewhere() {
    let desk = || Desk::serve().variable("SECUREMCP_DOCS_CLIENT_ID", "tools-page");
    assert!(desk().variables(&[ISSUER]).warnings().is_empty());
    let expected =
        "`SECUREMCP_DOCS_CLIENT_ID`: `server.docs_client_id` is for an issuer elsewhere, and the embedded one is on";
    assert_eq!(desk().warnings(), [expected]);
}

#[test]
fn introspection_needs_a_client_its_secret_and_an_issuer() {
    let (id, secret) = (("SECUREMCP_INTROSPECTION_CLIENT_ID", "me"), ("SECUREMCP_INTROSPECTION_CLIENT_SECRET", "s"));
    assert!(Desk::serve().variables(&[ISSUER, id, secret]).config().issuer.introspection.is_some());
    let (problem, hint) = Desk::serve().variables(&[ISSUER, id]).problem();
    assert_eq!(
        problem,
        "`SECUREMCP_INTROSPECTION_CLIENT_ID`: `issuer.introspection.client_id` is set without `issuer.introspection.client_secret`"
    );
    assert_eq!(hint, "set `SECUREMCP_INTROSPECTION_CLIENT_SECRET`, or unset both to take JWTs");
    let (problem, _) = Desk::serve().variables(&[ISSUER, secret]).problem();
    assert!(problem.ends_with("is set without `issuer.introspection.client_id`"), "{problem}");
    let (problem, _) = Desk::serve().variables(&[id, secret]).problem();
    assert!(problem.ends_with("`issuer.introspection.client_id` is set without `issuer.url`"), "{problem}");
    let (problem, _) = Desk::serve().variables(&[ISSUER, id, ("SECUREMCP_INTROSPECTION_CLIENT_SECRET", "")]).problem();
    assert!(problem.starts_with("`SECUREMCP_INTROSPECTION_CLIENT_SECRET`: "), "{problem}");
}

#[test]
fn the_originals_endpoint_alone_asks_nobody_and_says_so() {
    let endpoint = ("OAUTH_TOKEN_INTROSPECTION_ENDPOINT", "https://kc.example/ask");
    let desk = Desk::serve().variables(&[ISSUER, endpoint]);
    assert!(desk.config().issuer.introspection.is_none());
    let expected = "`OAUTH_TOKEN_INTROSPECTION_ENDPOINT`: the issuer is not asked about tokens: that needs `issuer.introspection.client_id` and its secret";
    assert_eq!(desk.warnings(), [expected]);
}

#[test]
fn a_plain_http_back_channel_to_another_machine_warns() {
    let desk =
        Desk::serve().variables(&[ISSUER, ("SECUREMCP_ISSUER_BACKCHANNEL_URL", "http://keycloak:8080/realms/a")]);
    let expected = "`issuer.backchannel_url` is plain http to another machine: use it only where nobody can change its answers on the way";
    assert_eq!(desk.warnings(), [expected]);
}

#[test]
fn beyond_loopback_a_proxy_and_a_name_are_required() {
    let listen = ("SECUREMCP_LISTEN", "[::]:8000");
    let named = ("SECUREMCP_RESOURCE", "https://mcp.example/mcp");
    let proxied = ("SECUREMCP_TRUSTED_PROXIES", "10.0.0.0/8");
    let exposed = "`SECUREMCP_LISTEN`: `server.listen` is `[::]:8000`, beyond loopback";

    let (problem, hint) = Desk::serve().variables(&[ISSUER, listen, named]).problem();
    assert_eq!(problem, format!("{exposed}, expected TLS, here or in front of it"));
    assert_eq!(
        hint,
        "set `server.tls_cert` and `server.tls_key`, or declare the TLS proxy in front with `server.trusted_proxies`, or listen on `127.0.0.1`"
    );
    let empty = Desk::serve().variables(&[ISSUER, listen, named, ("SECUREMCP_TRUSTED_PROXIES", "")]);
    assert_eq!(empty.problem().0, problem, "an empty list declares nothing");

    let (problem, hint) = Desk::serve().variables(&[ISSUER, listen, proxied]).problem();
    assert_eq!(problem, format!("{exposed}, expected `server.resource` to name the server"));
    assert!(hint.starts_with("set `SECUREMCP_RESOURCE` to the https URL"), "{hint}");

    Desk::serve().variables(&[ISSUER, listen, named, proxied]).config();
    for loopback in ["127.0.0.2:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"] {
        Desk::serve().variable("SECUREMCP_LISTEN", loopback).config();
    }
}

#[test]
fn the_embedded_issuer_stays_on_loopback_unless_told_otherwise() {
    let named = ("SECUREMCP_RESOURCE", "https://mcp.example/mcp");
    let exposed = [("SECUREMCP_LISTEN", "10.0.0.1:80"), ("SECUREMCP_TRUSTED_PROXIES", "10.0.0.2"), named];
    for variables in [&[named][..], &exposed] {
        let (problem, hint) = Desk::serve().variables(variables).problem();
        assert_eq!(
            problem,
            "`server.resource` is `https://mcp.example/mcp`, but the embedded issuer is for loopback unless `--embedded-issuer-on-network` says otherwise"
        );
        assert_eq!(hint, "name the issuer that people log in to with `issuer.url`, or keep the server on loopback");
        Desk::serve().variables(variables).variables(&[ISSUER]).config();
        let told =
            Desk::serve().variables(variables).flag("embedded.face_network", "--embedded-issuer-on-network", "true");
        assert!(matches!(told.config().issuer.choice, IssuerChoice::Embedded { face_network: true, .. }));
    }
    Desk::serve().variable("SECUREMCP_RESOURCE", "http://localhost:9000/mcp").config();
    let switch_as_variable = Desk::serve().variable("SECUREMCP_EMBEDDED_FACE_NETWORK", "true");
    assert_eq!(switch_as_variable.problems().len(), 1, "a safety switch has no variable");
}

#[test]
fn documents_on_this_machine_are_for_an_issuer_that_nobody_else_reaches() {
    let with_switch = || Desk::serve().flag("embedded.cimd_allow_loopback", "--cimd-allow-loopback", "true");
    let allows = |desk: Desk| match desk.config().issuer.choice {
        IssuerChoice::Embedded { cimd_allow_loopback, .. } => cimd_allow_loopback,
        IssuerChoice::External { .. } => panic!("there is no other issuer"),
    };
    assert!(allows(with_switch()));
    assert!(allows(Desk::serve().toml("embedded.cimd_allow_loopback = true")));
    assert!(!allows(Desk::serve()));
    Desk::serve().variable("SECUREMCP_ISSUER", "https://kc.example/realms/a").config();

    let beginning =
        "`--cimd-allow-loopback`: `embedded.cimd_allow_loopback` is for an embedded issuer on loopback only, but";
    for (variable, value, obstacle) in [
        ("SECUREMCP_ISSUER", "https://kc.example/realms/a", "`issuer.url` names an issuer elsewhere"),
        ("SECUREMCP_TRUSTED_PROXIES", "10.0.0.1", "`server.trusted_proxies` declares a proxy in front"),
    ] {
        let (problem, hint) = with_switch().variable(variable, value).problem();
        assert_eq!(problem, format!("{beginning} {obstacle}"));
        assert_eq!(hint, "serve the documents of clients by https on the public internet, and leave the switch out");
        Desk::serve().variable(variable, value).config();
    }
    let exposed = [
        ("SECUREMCP_LISTEN", "10.0.0.1:80"),
        ("SECUREMCP_TRUSTED_PROXIES", "10.0.0.2"),
        ("SECUREMCP_RESOURCE", "https://mcp.example/mcp"),
    ];
    let exposed =
        |desk: Desk| desk.variables(&exposed).flag("embedded.face_network", "--embedded-issuer-on-network", "true");
    let problems = exposed(with_switch()).problems();
    assert_eq!(
        problems,
        [
            "`server.listen` is `10.0.0.1:80`",
            "`server.resource` is `https://mcp.example/mcp`",
            "`server.trusted_proxies` declares a proxy in front"
        ]
        .map(|obstacle| format!("{beginning} {obstacle}"))
    );
    exposed(Desk::serve()).config();
    let switch_as_variable = Desk::serve().variable("SECUREMCP_EMBEDDED_CIMD_ALLOW_LOOPBACK", "true");
    assert_eq!(switch_as_variable.problems().len(), 1, "a safety switch has no variable");
}

#[test]
fn files_of_the_wrong_kind_are_named_with_what_to_do() {
    let of = |desk: Desk| desk.problem();
    let link = |target: &str| {
        let desk = Desk::serve().file_with_mode("real.toml", "log.level = 'debug'", 0o600);
        std::os::unix::fs::symlink(desk.path(target), desk.path("securemcp.toml")).unwrap();
        desk
    };
    let folder = Desk::serve();
    fs::create_dir(folder.path("securemcp.toml")).unwrap();
    let (problem, hint) = of(folder);
    assert_eq!(
        (problem.as_str(), hint.as_str()),
        ("configuration file `securemcp.toml` cannot be read: Is a directory (os error 21)", "name a file in it")
    );
    let latin = Desk::serve();
    fs::write(latin.path("securemcp.toml"), b"client.id = 'M\xfcller'").unwrap();
    let (problem, hint) = of(latin);
    assert_eq!(
        (problem.as_str(), hint.as_str()),
        (
            "configuration file `securemcp.toml` cannot be read: stream did not contain valid UTF-8",
            "name a text file, in UTF-8"
        )
    );
    let (problem, hint) = of(Desk::serve().config_file("/dev/zero"));
    assert_eq!(problem, "configuration file `/dev/zero` cannot be read: file too large");
    assert!(hint.starts_with("name the right file"), "{hint}");
    let large = Desk::serve().toml(&format!("# {}", "x".repeat(1 << 20)));
    assert!(of(large).0.ends_with("cannot be read: file too large"));
    Desk::serve().toml(&format!("# {}", "x".repeat((1 << 20) - 2))).config();

    // A link is followed, since mounted files are links; what counts is the file at its end.
    assert_eq!(link("real.toml").config().log.level, "debug");
    let desk = link("real.toml").file_with_mode("real.toml", "", 0o622);
    assert!(of(desk).0.starts_with("configuration file `securemcp.toml` may be written by group or others"));
    assert_eq!(link("securemcp.toml").problems().len(), 1, "a link to itself");
    assert_eq!(link("absent").config().log.level, "info");
    let named = link("absent").config_file("securemcp.toml");
    assert_eq!(named.problem().0, "configuration file `securemcp.toml` does not exist");
}

#[test]
fn toml_that_says_a_thing_twice_or_breaks_off_is_placed() {
    for (text, line) in [
        ("[log]\nlevel = 'info'\nlevel = 'debug'\n", 3),
        ("[log]\nlevel = 'info'\n[log]\nformat = 'json'\n", 3),
        ("log.level = 'info\n", 1),
        ("\nlog.level = info\n", 2),
        ("log = { level = 'info' \n", 1),
        ("log.level 'info'\n", 1),
        ("server.audiences = ['a', 'b'\n", 1),
    ] {
        let problems = Desk::serve().toml(text).problems();
        let beginning = format!("`securemcp.toml` line {line}: not TOML: ");
        assert!(problems[0].starts_with(&beginning), "{text:?}: {problems:?}");
    }
}
