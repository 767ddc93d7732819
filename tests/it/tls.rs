//! The listener over TLS: certificates of every kind, its own one, what it offers, and clients that do not play along.

use std::{fs, os::unix::fs::MetadataExt as _, time::Duration};

use reqwest::header::STRICT_TRANSPORT_SECURITY;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use crate::harness::{
    cli::Account,
    person::Person,
    process::Running,
    server::TestServer,
    tls::{Authority, Files, Issued, http1_client_trusting},
};

const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

/// A server in this process with a certificate of the authority.
async fn start(authority: &Authority, more: &[(&'static str, &str)]) -> TestServer {
    let files = Files::new(&authority.issue(&LOOPBACK));
    let (certificate, key) = (files.certificate(), files.key());
    let tls = [("server.tls_cert", &*certificate), ("server.tls_key", &*key)];
    let mut server = TestServer::start(&[&tls, more].concat()).await;
    server.http = authority.client();
    server
}

/// Reads until the other side closes; the bytes that came.
async fn rest(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

#[tokio::test]
async fn the_own_certificate_lets_the_command_line_in_and_is_kept() {
    let account = Account::new();
    let start = || account.start(&["--tls-self-signed"]);
    let serve = start();
    let event: Value = serde_json::from_str(&serve.announced).expect("JSON");
    let ca = event["ca"].as_str().expect("the certificate's path").to_owned();
    assert_eq!(ca, account.state().join("tls/self-signed.pem").display().to_string());
    for name in ["self-signed.pem", "self-signed-key.pem"] {
        let mode = fs::metadata(account.state().join("tls").join(name)).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let pem = fs::read_to_string(&ca).expect("text");
    let port = serve.origin.rsplit(':').next().expect("a port").to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let server = format!("https://{host}:{port}/mcp");
        // The metadata of every name is read through the one address that it listens on.
        let http = http1_client_trusting(&pem);
        let url = format!("{}/.well-known/oauth-protected-resource/mcp", serve.origin);
        let answer = http.get(url).header("host", format!("{host}:{port}")).send().await.expect("an answer");
        let metadata: Value = answer.json().await.expect("JSON");
        assert_eq!(metadata["resource"], server);
        assert_eq!(metadata["authorization_servers"], json!([serve.origin]));
    }
    let call = |server: &str, more: &[&str]| account.run(&[&["call", "echo", "hi", "--server", server], more].concat());
    assert_eq!(call(&serve.url, &["--ca", &ca]).done(), "hi\n");
    let by_name = format!("https://localhost:{port}/mcp");
    assert_eq!(call(&by_name, &["--ca", &ca]).done(), "hi\n");
    let health = account.run(&["health", "--server", &serve.url, "--ca", &ca]);
    assert!(health.done().contains("ok    server live"));
    assert!(health.done().contains("ok    certificate        good for another 36"), "{health:?}");
    call(&serve.url, &[]).failed(5, &["cannot reach"]);
    drop(serve);
    let again = start();
    assert_eq!(fs::read_to_string(&ca).expect("text"), pem, "the certificate is kept");
    assert_eq!(call(&again.url, &["--ca", &ca]).done(), "hi\n");
}

#[tokio::test]
async fn c17_a_server_of_another_name_or_authority_or_time_is_not_believed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let account = Account::new();
    let files = Files::new(&authority.issue(&["127.0.0.1"]));
    let (ca, other) = (files.write("ca.pem", &authority.root()), files.write("other.pem", &other.root()));
    let serve = account.start(&["--tls-cert", &files.certificate(), "--tls-key", &files.key()]);
    let call = |server: &str, ca: &str| account.run(&["call", "echo", "hi", "--server", server, "--ca", ca]);
    call(&serve.url, &other).failed(5, &["cannot reach", "certificate", "`--ca FILE`"]);
    call(&serve.url.replace("127.0.0.1", "localhost"), &ca)
        .failed(5, &["cannot reach", "certificate", "by a name in the certificate"]);
    assert_eq!(call(&serve.url, &ca).done(), "hi\n");
    let another = Account::new();
    let plain = another.start(&[]);
    call(&plain.url.replace("http:", "https:"), &ca)
        .failed(5, &["cannot reach", "does not speak TLS", "begins with http or https"]);
}

#[tokio::test]
async fn keys_of_every_kind_and_chains_are_served() {
    let authority = Authority::new();
    let rsa = authority.issue_for(&LOOPBACK, &rcgen::PKCS_RSA_SHA256);
    let p256 = authority.issue_for(&LOOPBACK, &rcgen::PKCS_ECDSA_P256_SHA256);
    let p384 = authority.issue_for(&LOOPBACK, &rcgen::PKCS_ECDSA_P384_SHA384);
    let chained = Issued { certificate: p256.certificate.clone() + &authority.root(), ..p256.clone() };
    let kinds = [
        ("RSA, PKCS#8", rsa.clone()),
        ("RSA, PKCS#1", rsa.with_old_key("RSA PRIVATE KEY")),
        ("P-256, PKCS#8", p256.clone()),
        ("P-256, SEC1", p256.with_old_key("EC PRIVATE KEY")),
        ("P-384, SEC1", p384.with_old_key("EC PRIVATE KEY")),
        ("Ed25519", authority.issue_for(&LOOPBACK, &rcgen::PKCS_ED25519)),
        ("chain", chained),
    ];
    for (kind, issued) in kinds {
        let files = Files::new(&issued);
        let (certificate, key) = (files.certificate(), files.key());
        let mut server = TestServer::start(&[("server.tls_cert", &certificate), ("server.tls_key", &key)]).await;
        server.http = authority.client();
        assert_eq!(server.get("/health/ready").await.status(), 200, "{kind}");
        server.stop().await;
    }
}

#[tokio::test]
async fn p01_both_versions_and_both_protocols_are_offered() {
    let authority = Authority::new();
    let server = start(&authority, &[]).await;
    for (versions, protocols, agreed) in [
        (&[&TLS13][..], &["h2", "http/1.1"][..], Some("h2")),
        (&[&TLS12], &["http/1.1", "h2"], Some("h2")),
        (&[&TLS12], &["http/1.1"], Some("http/1.1")),
        (&[&TLS13], &[], None),
    ] {
        let mut stream = authority.connect(server.address, versions, protocols).await.expect("a handshake");
        let connection = stream.get_ref().1;
        let found = connection.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
        assert_eq!(found.as_deref(), agreed);
        assert_eq!(connection.protocol_version(), Some(versions[0].version));
        if agreed != Some("h2") {
            let request = format!("GET /health HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address);
            stream.write_all(request.as_bytes()).await.expect("it is open");
            assert!(rest(&mut stream).await.starts_with(b"HTTP/1.1 200 "));
        }
    }
    assert!(authority.connect(server.address, &[&TLS13], &["spdy/3"]).await.is_err(), "nothing in common");
    let answer = server.get("/health").await;
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
}

#[tokio::test]
async fn p01_no_version_before_1_2_is_spoken() {
    let authority = Authority::new();
    let server = start(&authority, &[]).await;
    // A complete ClientHello of TLS 1.1 with TLS_RSA_WITH_AES_128_CBC_SHA; its twin says 1.2 with an AEAD suite.
    let hello = |version: u8, suite: [u8; 2]| {
        let mut body = vec![3, version];
        body.extend([7; 32]);
        body.extend([0, 0, 2, suite[0], suite[1], 1, 0]);
        // Groups, point formats, signature algorithms: what any suite with ECDHE needs.
        let extensions: &[u8] = &[0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
        body.extend([0, u8::try_from(extensions.len()).expect("short")]);
        body.extend(extensions);
        let length = |bytes: usize| u8::try_from(bytes).expect("short");
        let mut record = vec![22, 3, 1, 0, length(body.len() + 4), 1, 0, 0, length(body.len())];
        record.extend(body);
        record
    };
    for (version, suite, answer) in
        [(2, [0x00, 0x2f], 21), (2, [0xc0, 0x2b], 21), (3, [0x00, 0x2f], 21), (3, [0xc0, 0x2b], 22)]
    {
        let mut stream = TcpStream::connect(server.address).await.expect("it listens");
        stream.write_all(&hello(version, suite)).await.expect("it reads");
        let mut first = [0];
        stream.read_exact(&mut first).await.expect("an alert (21) or a ServerHello (22)");
        assert_eq!(first[0], answer, "3.{version} {suite:?}");
    }
}

#[tokio::test]
async fn what_is_no_handshake_ends_one_connection_only() {
    let authority = Authority::new();
    let server = start(&authority, &[]).await;
    // Silent ones first: they are still open when the others are answered.
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(server.address).await.expect("it listens"));
    }
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0; 64],
        &[22, 3, 1, 0xff, 0xff],
    ] {
        let mut stream = TcpStream::connect(server.address).await.expect("it listens");
        stream.write_all(bytes).await.expect("it reads");
        stream.shutdown().await.expect("it is open");
        let answer = rest(&mut stream).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        assert_eq!(server.get("/health").await.status(), 200);
    }
    let untrusting = Authority::new().connect(server.address, &[&TLS13], &[]).await;
    assert!(untrusting.is_err());
    assert_eq!(server.get("/health").await.status(), 200);
    // They do not keep a server that stops.
    let stopping = Instant::now();
    server.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(5), "{:?}", stopping.elapsed());
    assert_eq!(silent.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_and_headers_have_their_time() {
    let authority = Authority::new();
    let server = start(&authority, &[]).await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(server.address).await.expect("it listens");
    assert_eq!(rest(&mut silent).await, b"");
    assert_eq!(started.elapsed().as_secs(), 10);
    let mut slow = authority.connect(server.address, &[&TLS13], &["http/1.1"]).await.expect("a handshake");
    let started = Instant::now();
    slow.write_all(b"GET /health HTTP/1.1\r\nhost: ").await.expect("it is open");
    let answer = rest(&mut slow).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{answer:?}");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn h28_browsers_are_told_to_stay_with_https_only_over_tls_and_beyond_loopback() {
    let authority = Authority::new();
    let told = async |server: &TestServer| {
        let answer = server.http.get(format!("{}/health", server.url)).send().await.expect("an answer");
        answer.headers().get(STRICT_TRANSPORT_SECURITY).map(|value| value.to_str().expect("ASCII").to_owned())
    };
    let remote = ("server.resource", "https://mcp.example/mcp");
    let issuer = ("issuer.url", "https://kc.example/realms/a");
    let year = Some("max-age=31536000");
    assert_eq!(told(&start(&authority, &[remote, issuer]).await).await.as_deref(), year);
    assert_eq!(told(&start(&authority, &[("server.require_https", "true")]).await).await.as_deref(), year);
    assert_eq!(told(&start(&authority, &[]).await).await, None, "it would bind every server on localhost");
    assert_eq!(told(&start(&authority, &[remote, issuer, ("server.require_https", "false")]).await).await, None);
    let short = [remote, issuer, ("server.hsts_max_age", "60")];
    assert_eq!(told(&start(&authority, &short).await).await.as_deref(), Some("max-age=60"));
    let none = [remote, issuer, ("server.hsts_max_age", "0")];
    assert_eq!(told(&start(&authority, &none).await).await, None);
    assert_eq!(told(&TestServer::start(&[remote, issuer]).await).await, None, "plain http, with a proxy in front");
}

#[test]
fn p02_a_key_that_others_may_write_is_refused_and_one_that_they_may_read_is_told() {
    let person = Person::new();
    let issued = Authority::new().issue(&LOOPBACK);
    person.write("cert.pem", &issued.certificate, 0o644);
    let check = ["serve", "--check", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    for mode in [0o620, 0o602, 0o666] {
        person.write("key.pem", &issued.key, mode);
        let ended = Running::start(person.command(&check)).ended();
        ended.failed(
            3,
            &["`--tls-key`: key file `key.pem` may be written by group or others", "hint: chmod go-w key.pem"],
        );
    }
    person.write("key.pem", &issued.key, 0o644);
    let ended = person.run(&check);
    ended.done();
    assert!(ended.stderr.contains("warning: key file `key.pem` may be read by every account"), "{ended:?}");
    person.write("key.pem", &issued.key, 0o600);
    let ended = person.run(&check);
    ended.done();
    assert_eq!(ended.stderr, "the configuration is good\n");
    person.write("cert.pem", &issued.certificate, 0o646);
    person.run(&check).failed(3, &["`--tls-cert`: certificate file `cert.pem` may be written by group or others"]);
    person.write("cert.pem", &issued.certificate, 0o000);
    person.run(&check).failed(3, &["`--tls-cert`: certificate file `cert.pem` cannot be read: Permission denied"]);
}
