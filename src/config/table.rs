//! The table of settings: a row for each key, in the order of the documentation.

use super::keys::{Fallback, Key};

const PLAIN: Key = Key {
    path: "",
    variable: None,
    original: &[],
    flag: None,
    default: Fallback::Unset("none"),
    doc: "",
    for_clients: false,
    secret: false,
    is_section: false,
    reloads: false,
};

/// Every key.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: "state_dir",
        variable: Some("SECUREMCP_STATE_DIR"),
        original: &["DCR_DATA_DIR"],
        flag: Some("--state-dir"),
        default: Fallback::Unset("`$XDG_STATE_HOME/securemcp`, else `~/.local/state/securemcp`"),
        doc: "where keys, registrations and tokens are kept",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "server.listen",
        variable: Some("SECUREMCP_LISTEN"),
        original: &["HOST", "PORT"],
        flag: Some("--listen"),
        default: Fallback::Value("127.0.0.1:8000"),
        doc: "IP address and port to listen on",
        ..PLAIN
    },
    Key {
        path: "server.resource",
        variable: Some("SECUREMCP_RESOURCE"),
        original: &["MCP_RESOURCE_IDENTIFIER"],
        flag: Some("--resource"),
        default: Fallback::Unset("the listening URL on loopback, else required"),
        doc: "the URL that names this server: what tokens must be issued for",
        ..PLAIN
    },
    Key {
        path: "server.audiences",
        variable: Some("SECUREMCP_AUDIENCES"),
        original: &["OAUTH_AUDIENCE"],
        doc: "list: audiences accepted besides the resource; each start logs them",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "server.dpop_nonce",
        variable: Some("SECUREMCP_DPOP_NONCE"),
        default: Fallback::Value("false"),
        doc: "whether DPoP proofs must have a nonce that this server, or its embedded issuer, gave minutes ago",
        ..PLAIN
    },
    Key {
        path: "server.tls_cert",
        variable: Some("SECUREMCP_TLS_CERT"),
        flag: Some("--tls-cert"),
        default: Fallback::Unset("none: plain http"),
        doc: "a file with the server's certificate chain, in PEM",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "server.tls_key",
        variable: Some("SECUREMCP_TLS_KEY"),
        flag: Some("--tls-key"),
        doc: "a file with the private key of the certificate, in PEM",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "server.tls_self_signed",
        variable: Some("SECUREMCP_TLS_SELF_SIGNED"),
        flag: Some("--tls-self-signed"),
        default: Fallback::Value("false"),
        doc: "serve https with a certificate of its own, kept in the state directory",
        ..PLAIN
    },
    Key {
        path: "server.require_https",
        original: &["REQUIRE_HTTPS"],
        default: Fallback::Unset("`true` beyond loopback"),
        doc: "start only with TLS or a declared TLS proxy, and over TLS tell browsers to come by https only",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "server.hsts_max_age",
        original: &["HSTS_MAX_AGE"],
        default: Fallback::Value("31536000"),
        doc: "for how long browsers remember that; 0 tells them nothing",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "server.trusted_proxies",
        variable: Some("SECUREMCP_TRUSTED_PROXIES"),
        flag: Some("--trusted-proxy"),
        default: Fallback::Unset("none: forwarded headers are ignored"),
        doc: "list: addresses or networks of the TLS proxies in front; required beyond loopback without TLS",
        ..PLAIN
    },
    Key {
        path: "server.allowed_hosts",
        variable: Some("SECUREMCP_ALLOWED_HOSTS"),
        default: Fallback::Unset("the resource's host; on loopback its three names"),
        doc: "list: values of `Host` that are answered",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "server.allowed_origins",
        variable: Some("SECUREMCP_ALLOWED_ORIGINS"),
        original: &["CORS_ORIGINS"],
        default: Fallback::Unset("the resource's origin; on loopback also MCP Inspector's"),
        doc: "list: web origins that may call",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "server.docs_client_id",
        variable: Some("SECUREMCP_DOCS_CLIENT_ID"),
        default: Fallback::Unset("none: with an issuer elsewhere there is no login at `/docs`"),
        doc: "a public client at `issuer.url` as which the page at `/docs` logs in; it comes back to `/docs` of this server",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "server.max_body_bytes",
        variable: Some("SECUREMCP_MAX_BODY_BYTES"),
        default: Fallback::Value("4194304"),
        doc: "the largest request body, 1 KiB to 64 MiB",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "server.drain_timeout",
        variable: Some("SECUREMCP_DRAIN_TIMEOUT"),
        default: Fallback::Value("25s"),
        doc: "how long a stopping server waits for calls in flight",
        ..PLAIN
    },
    Key {
        path: "server.metrics_listen",
        variable: Some("SECUREMCP_METRICS_LISTEN"),
        flag: Some("--metrics-listen"),
        default: Fallback::Unset("off"),
        doc: "where Prometheus reads `/metrics`, without a token",
        ..PLAIN
    },
    Key {
        path: "issuer.url",
        variable: Some("SECUREMCP_ISSUER"),
        original: &["OAUTH_ISSUER", "KEYCLOAK_URL", "KEYCLOAK_REALM"],
        flag: Some("--issuer"),
        default: Fallback::Unset("none: the embedded issuer"),
        doc: "the issuer's name, exactly as its tokens carry it; for clients the only issuer that may be used",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "issuer.backchannel_url",
        variable: Some("SECUREMCP_ISSUER_BACKCHANNEL_URL"),
        flag: Some("--issuer-backchannel-url"),
        default: Fallback::Unset("`issuer.url`"),
        doc: "where the issuer is reached from here",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "issuer.jwks_uri",
        original: &["OAUTH_JWKS_URI"],
        default: Fallback::Unset("from the issuer's metadata"),
        doc: "where the issuer's keys are",
        ..PLAIN
    },
    Key {
        path: "issuer.introspection.endpoint",
        original: &["OAUTH_TOKEN_INTROSPECTION_ENDPOINT"],
        default: Fallback::Unset("from the issuer's metadata"),
        doc: "where the issuer is asked about tokens (RFC 7662)",
        ..PLAIN
    },
    Key {
        path: "issuer.introspection.client_id",
        variable: Some("SECUREMCP_INTROSPECTION_CLIENT_ID"),
        default: Fallback::Unset("none: tokens are JWTs, judged by the issuer's keys"),
        doc: "the client that asks the issuer about every token",
        ..PLAIN
    },
    Key {
        path: "issuer.introspection.client_secret",
        variable: Some("SECUREMCP_INTROSPECTION_CLIENT_SECRET"),
        default: Fallback::Unset("none"),
        doc: "that client's secret",
        secret: true,
        ..PLAIN
    },
    Key {
        path: "issuer.algorithms",
        original: &["JWT_ALGORITHMS"],
        default: Fallback::Value("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA"),
        doc: "list: signature algorithms that count; asymmetric only",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "issuer.leeway",
        original: &["JWT_LEEWAY"],
        default: Fallback::Value("30s"),
        doc: "how far clocks may disagree, at most 60s",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "issuer.allowed_clients",
        variable: Some("SECUREMCP_ALLOWED_CLIENTS"),
        default: Fallback::Unset("any"),
        doc: "list: the only client ids whose tokens count",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "embedded.face_network",
        flag: Some("--embedded-issuer-on-network"),
        default: Fallback::Value("false"),
        doc: "let the embedded issuer face the network",
        ..PLAIN
    },
    Key {
        path: "embedded.cimd_allow_loopback",
        flag: Some("--cimd-allow-loopback"),
        default: Fallback::Value("false"),
        doc: "let a client's metadata document be on this machine, by http too; embedded issuer on loopback only",
        ..PLAIN
    },
    Key {
        path: "embedded.users",
        default: Fallback::Unset("one user `dev`, with a password in the state directory"),
        doc: "section: who may log in, as `<name> = \"<argon2id hash>\"`",
        is_section: true,
        secret: true,
        ..PLAIN
    },
    Key {
        path: "embedded.auto_approve",
        flag: Some("--auto-approve"),
        default: Fallback::Value("false"),
        doc: "ask nobody: programs on this machine get `mcp:read`, or the scopes written here, as `dev`; to try things",
        ..PLAIN
    },
    Key {
        path: "embedded.resources",
        variable: Some("SECUREMCP_EMBEDDED_RESOURCES"),
        default: Fallback::Unset("none"),
        doc: "list: other MCP servers that the embedded issuer gives tokens for, besides this one",
        ..PLAIN
    },
    Key {
        path: "redis.url",
        variable: Some("SECUREMCP_REDIS_URL"),
        original: &["REDIS_URL"],
        flag: Some("--redis-url"),
        default: Fallback::Unset("none: this process's memory"),
        doc: "`redis://` or `rediss://` URL: replicas share the issuer's keys, sessions and rates there",
        secret: true,
        ..PLAIN
    },
    Key {
        path: "redis.ttl",
        original: &["REDIS_TTL"],
        default: Fallback::Value("3600s"),
        doc: "duration: how long documents of the issuer are kept in Redis",
        ..PLAIN
    },
    Key {
        path: "scopes.supported",
        original: &["MCP_SUPPORTED_SCOPES"],
        default: Fallback::Unset("`mcp:read mcp:write mcp:infer`"),
        doc: "list: the scopes that the metadata names",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "scopes.require_dpop",
        variable: Some("SECUREMCP_REQUIRE_DPOP"),
        doc: "list: what needs one of these scopes takes only access tokens that are bound to a key (DPoP)",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "upstream.url",
        variable: Some("SECUREMCP_UPSTREAM_URL"),
        flag: Some("--upstream"),
        default: Fallback::Unset("none: the server has tools of its own"),
        doc: "the MCP server to guard, by its URL (docs/GATEWAY.md)",
        ..PLAIN
    },
    Key {
        path: "upstream.command",
        variable: Some("SECUREMCP_UPSTREAM_COMMAND"),
        flag: Some("--upstream-command"),
        doc: "the MCP server to guard, by the command that starts it on stdio; quotes as in a shell, but there is none",
        ..PLAIN
    },
    Key {
        path: "upstream.token",
        variable: Some("SECUREMCP_UPSTREAM_TOKEN"),
        flag: Some("--upstream-token-file"),
        doc: "this server's own bearer token for `upstream.url`; tokens of callers are never passed on",
        secret: true,
        ..PLAIN
    },
    Key {
        path: "upstream.scopes",
        default: Fallback::Unset("`mcp:write` for tools that do not say `readOnlyHint`, else `mcp:read`"),
        doc: "section: the scopes that callers need, as `<tool, prompt or URI> = \"scope scope\"`",
        is_section: true,
        ..PLAIN
    },
    Key {
        path: "upstream.show_locked",
        default: Fallback::Value("false"),
        doc: "show callers also what their token does not allow",
        ..PLAIN
    },
    Key {
        path: "upstream.allow_requests",
        default: Fallback::Unset("none: whatever the guarded server asks is refused"),
        doc: "list: what the guarded server may ask a caller's client for during its call: `sampling`, `elicitation`, `roots`",
        ..PLAIN
    },
    Key {
        path: "upstream.timeout",
        variable: Some("SECUREMCP_UPSTREAM_TIMEOUT"),
        default: Fallback::Value("60s"),
        doc: "how long a call of the guarded server may take",
        ..PLAIN
    },
    Key {
        path: "limits.per_client",
        variable: Some("SECUREMCP_LIMITS_PER_CLIENT"),
        default: Fallback::Value("100/s"),
        doc: "requests of one client, and of one user, with good tokens",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "limits.per_address",
        variable: Some("SECUREMCP_LIMITS_PER_ADDRESS"),
        default: Fallback::Value("200/s"),
        doc: "requests of one address (of IPv6: one /64); a refused token counts as 10 more",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "limits.sessions_per_principal",
        variable: Some("SECUREMCP_LIMITS_SESSIONS_PER_PRINCIPAL"),
        default: Fallback::Value("50"),
        doc: "open sessions of one caller",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "limits.sessions",
        variable: Some("SECUREMCP_LIMITS_SESSIONS"),
        default: Fallback::Value("10000"),
        doc: "open sessions in all",
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "limits.session_idle",
        variable: Some("SECUREMCP_LIMITS_SESSION_IDLE"),
        default: Fallback::Value("30m"),
        doc: "a session unused for this long is closed",
        ..PLAIN
    },
    Key {
        path: "limits.unread_bytes",
        variable: Some("SECUREMCP_LIMITS_UNREAD_BYTES"),
        default: Fallback::Value("100663296"),
        doc: "bytes of answers that wait to be read; above, a user who has its share of them is refused until it has read",
        ..PLAIN
    },
    Key {
        path: "log.level",
        variable: Some("SECUREMCP_LOG_LEVEL"),
        original: &["LOG_LEVEL"],
        flag: Some("--log-level"),
        default: Fallback::Value("info"),
        doc: "`error`, `warn`, `info`, `debug` or `trace`",
        for_clients: true,
        reloads: true,
        ..PLAIN
    },
    Key {
        path: "log.format",
        variable: Some("SECUREMCP_LOG_FORMAT"),
        original: &["LOG_FORMAT"],
        flag: Some("--log-format"),
        default: Fallback::Value("auto"),
        doc: "`text`, `json`, or `auto`: text on a terminal, json otherwise",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "log.file",
        variable: Some("SECUREMCP_LOG_FILE"),
        original: &["LOG_FILE_PATH"],
        default: Fallback::Unset("none: stderr"),
        doc: "a file that log lines are appended to",
        ..PLAIN
    },
    Key {
        path: "audit.file",
        variable: Some("SECUREMCP_AUDIT_FILE"),
        flag: Some("--audit-file"),
        default: Fallback::Unset("none: the log, target `audit`"),
        doc: "a file that audit events are appended to, in JSON, whatever the level of the log",
        ..PLAIN
    },
    Key {
        path: "audit.key",
        variable: Some("SECUREMCP_AUDIT_KEY"),
        default: Fallback::Unset("none: lines do not vouch for each other"),
        doc: "a secret of at least 16 characters: `audit.file` becomes a chain that `securemcp audit verify` checks",
        for_clients: true,
        secret: true,
        ..PLAIN
    },
    Key {
        path: "client.server",
        variable: Some("SECUREMCP_SERVER"),
        original: &["MCP_SERVER_URL"],
        flag: Some("--server"),
        default: Fallback::Value("http://127.0.0.1:8000/mcp"),
        doc: "the MCP server that commands talk to",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.id",
        variable: Some("SECUREMCP_CLIENT_ID"),
        original: &["KEYCLOAK_CLIENT_ID"],
        flag: Some("--client-id"),
        doc: "a client id registered beforehand",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.secret",
        variable: Some("SECUREMCP_CLIENT_SECRET"),
        original: &["KEYCLOAK_CLIENT_SECRET"],
        flag: Some("--client-secret-file"),
        doc: "the secret of `client.id`",
        for_clients: true,
        secret: true,
        ..PLAIN
    },
    Key {
        path: "client.private_key",
        variable: Some("SECUREMCP_CLIENT_PRIVATE_KEY"),
        flag: Some("--private-key"),
        doc: "the private key of `client.id` in PEM, instead of a secret (`private_key_jwt`, RFC 7523)",
        for_clients: true,
        secret: true,
        ..PLAIN
    },
    Key {
        path: "client.private_key_id",
        variable: Some("SECUREMCP_CLIENT_PRIVATE_KEY_ID"),
        flag: Some("--private-key-id"),
        default: Fallback::Unset("the key's RFC 7638 thumbprint"),
        doc: "the `kid` by which the issuer knows `client.private_key`",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.assertion",
        variable: Some("SECUREMCP_ASSERTION"),
        flag: Some("--assertion-file"),
        doc: "a JWT by which a cluster or CI provider tells the issuer who this workload is (RFC 7523)",
        for_clients: true,
        secret: true,
        ..PLAIN
    },
    Key {
        path: "client.workload_identity",
        variable: Some("SECUREMCP_WORKLOAD_IDENTITY"),
        flag: Some("--workload-identity"),
        doc: "`github-actions`: have the CI provider that runs this job make such a JWT for the issuer",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.id_token",
        variable: Some("SECUREMCP_ID_TOKEN"),
        flag: Some("--id-token-file"),
        doc: "the ID token of `client.identity_provider`: it vouches for its person (enterprise-managed authorization)",
        for_clients: true,
        secret: true,
        ..PLAIN
    },
    Key {
        path: "client.identity_provider",
        variable: Some("SECUREMCP_IDENTITY_PROVIDER"),
        flag: Some("--identity-provider"),
        doc: "the issuer of `client.id_token`",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.identity_provider_client_id",
        variable: Some("SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID"),
        flag: Some("--identity-provider-client-id"),
        default: Fallback::Unset("`client.id`"),
        doc: "the client that `client.id_token` was issued to",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.identity_provider_client_secret",
        variable: Some("SECUREMCP_IDENTITY_PROVIDER_CLIENT_SECRET"),
        flag: Some("--identity-provider-client-secret-file"),
        default: Fallback::Unset("none: it is a public client"),
        doc: "that client's secret",
        for_clients: true,
        secret: true,
        ..PLAIN
    },
    Key {
        path: "client.metadata_url",
        variable: Some("SECUREMCP_CLIENT_METADATA_URL"),
        flag: Some("--client-metadata-url"),
        default: Fallback::Unset("none: a client is registered for logins"),
        doc: "the https URL of a document that describes this client (CIMD), for issuers that read such documents",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.dpop",
        variable: Some("SECUREMCP_DPOP"),
        flag: Some("--dpop"),
        default: Fallback::Value("false"),
        doc: "bind access tokens to a key of this account (DPoP), so that nobody else can use them",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.token_store",
        variable: Some("SECUREMCP_TOKEN_STORE"),
        default: Fallback::Value("file"),
        doc: "`file` keeps tokens for the next command, `memory` forgets them",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.use_dcr",
        variable: Some("SECUREMCP_USE_DCR"),
        original: &["USE_DCR"],
        default: Fallback::Value("false"),
        doc: "have the server register this deployment's client, once, and keep it in `state_dir`",
        ..PLAIN
    },
    Key {
        path: "client.registration_key",
        variable: Some("SECUREMCP_REGISTRATION_KEY"),
        default: Fallback::Unset("none: only replicas that share `state_dir` share that client"),
        doc: "a secret of at least 32 characters, the same for all replicas: it seals that client for them in Redis, and the \
            secret that they share",
        secret: true,
        ..PLAIN
    },
    Key {
        path: "client.initial_access_token",
        variable: Some("SECUREMCP_INITIAL_ACCESS_TOKEN"),
        original: &["DCR_INITIAL_ACCESS_TOKEN"],
        flag: Some("--initial-access-token-file"),
        doc: "the token that opens the issuer's registration endpoint",
        for_clients: true,
        secret: true,
        ..PLAIN
    },
    Key {
        path: "client.keycloak_admin",
        variable: Some("SECUREMCP_KEYCLOAK_ADMIN"),
        flag: Some("--keycloak-admin"),
        doc: "the administrator of a Keycloak who opens its registration endpoint and gives clients their roles",
        for_clients: true,
        ..PLAIN
    },
    Key {
        path: "client.keycloak_admin_password",
        variable: Some("SECUREMCP_KEYCLOAK_ADMIN_PASSWORD"),
        original: &["KEYCLOAK_ADMIN_PASSWORD"],
        flag: Some("--keycloak-admin-password-file"),
        doc: "the password of `client.keycloak_admin`",
        for_clients: true,
        secret: true,
        ..PLAIN
    },
];
