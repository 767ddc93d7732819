//! Attacks by bodies (facts H11 to H15, H17, H19, H29, H30): their form, size, length, encoding, type and pace; and what must
//! work beside them.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    harness::{
        raw::{exchange, status},
        server::{Guarded, TestServer, with_mirrors},
    },
    http::{ECHO, echo_body},
};

#[tokio::test]
async fn h11_h13_h14_h15_bodies_that_are_no_message() {
    let guarded = Guarded::start().await;
    for (body, code) in [
        (json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]).to_string(), -32600),
        ("[]".to_owned(), -32600),
        (
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{}1{}}}",
                "[".repeat(10_000),
                "]".repeat(10_000)
            ),
            -32600,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}"#.to_owned(), -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"calculator"}}"#.to_owned(),
            -32600,
        ),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#.to_owned(), -32600),
        (r#"{"jsonrpc":"2.0","id":1e999,"method":"ping"}"#.to_owned(), -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#.to_owned(), -32600),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#.to_owned(), -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#.to_owned(), -32600),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#.to_owned(), -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":5}}"#.to_owned(), -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:b","uri":"a:c"}}"#.to_owned(), -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":["x"]}}"#.to_owned(), -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"name":"a","uri":"b"}}}"#
                .to_owned(),
            -32600,
        ),
        (format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(1_000_000)), -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#.to_owned(), -32700),
        ("{".to_owned(), -32700),
        (String::new(), -32700),
        ("not JSON".to_owned(), -32700),
    ] {
        assert_eq!(guarded.post_body(body.clone()).await, (400, code), "{}", &body[..body.len().min(80)]);
    }
    assert_eq!(guarded.post_body(b"\xff\xfe".to_vec()).await, (400, -32700));
    let nul = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"ec\0ho\"}}".to_vec();
    assert_eq!(guarded.post_body(nul).await, (400, -32700));
    for odd in [r#"{"message":"\ud800"}"#, r#"{"message":1e999}"#] {
        let body = echo_body().replace(r#"{"message":"hi"}"#, odd);
        let request = with_mirrors(guarded.server.post(&guarded.token(&json!({})), body), "tools/call", Some(ECHO));
        assert_eq!(request.send().await.expect("an answer").status(), 400, "{odd}");
    }
}

#[tokio::test]
async fn h12_bodies_have_a_limit_whatever_they_declare() {
    let guarded = Guarded::start_with(crate::harness::keys::Key::ec(), &[("server.max_body_bytes", "100000")]).await;
    let padded = |length: usize| echo_body().replace("\"hi\"", &format!("\"{}\"", "x".repeat(length)));
    let post =
        |body: String| with_mirrors(guarded.server.post(&guarded.token(&json!({})), body), "tools/call", Some(ECHO));
    assert_eq!(post(padded(90_000)).send().await.expect("an answer").status(), 200);
    assert_eq!(post(padded(100_000)).send().await.expect("an answer").status(), 413);
    let mut lines = guarded.good_lines("");
    *lines.last_mut().expect("a length") = "Content-Length: 9999999999".to_owned();
    let answer = exchange(guarded.server.address, guarded.raw_post(&lines, "{").as_bytes()).await;
    assert_eq!(status(&answer), 413, "refused by its length, before it was read");
    *lines.last_mut().expect("a length") = "Transfer-Encoding: chunked".to_owned();
    let chunk = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000));
    let answer = exchange(guarded.server.address, guarded.raw_post(&lines, &chunk.repeat(3)).as_bytes()).await;
    assert_eq!(status(&answer), 413, "chunked, without a length");
}

#[tokio::test]
async fn h12_a_refused_body_is_read_on_until_the_answer_has_arrived() {
    let guarded = Guarded::start().await;
    let body = "x".repeat(10 << 20);
    let large = guarded.raw_post(&guarded.good_lines(&body), &body).replace("Connection: close\r\n", "");
    let next = guarded.raw_post(&guarded.good_lines(&echo_body()), &echo_body());
    // Whole before anything is read, as a simple client does it; then the connection still is one.
    let text = exchange(guarded.server.address, format!("{large}{next}").as_bytes()).await;
    let answers: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(answers, ["413", "200"]);
}

#[tokio::test]
async fn h12_a_refused_body_is_not_read_on_for_ever() {
    let guarded = Guarded::start().await;
    let mut lines = guarded.good_lines("");
    *lines.last_mut().expect("a length") = "Content-Length: 9999999999".to_owned();
    let mut stream = TcpStream::connect(guarded.server.address).await.expect("it listens");
    stream.write_all(guarded.raw_post(&lines, "").as_bytes()).await.expect("a head");
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < 1000 && stream.write_all(&piece).await.is_ok() {
        sent += 1;
    }
    assert!((1..100).contains(&sent), "{sent} MiB");
}

#[tokio::test]
async fn h12_lengths_that_contradict_each_other_are_refused() {
    let guarded = Guarded::start().await;
    let body = echo_body();
    assert_eq!(guarded.raw_status(&guarded.good_lines(&body), &body).await, 200, "the twin");
    let with = |more: &[&str]| {
        let mut lines = guarded.good_lines(&body);
        lines.extend(more.iter().map(|line| (*line).to_owned()));
        lines
    };
    for more in [
        &["Content-Length: 3"][..],
        &["Transfer-Encoding: chunked"],
        &["Content-Length: +5"],
        &["Transfer-Encoding: chunked, identity"],
    ] {
        assert_eq!(guarded.raw_status(&with(more), &body).await, 400, "{more:?}");
    }
}

#[tokio::test]
async fn h12_nothing_behind_a_chunked_body_is_a_request() {
    let guarded = Guarded::start().await;
    let body = echo_body();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let smuggled = format!("GET /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", guarded.server.address);
    let plain = guarded.good_lines(&body);
    let mut lines = plain.clone();
    lines.pop();
    lines.push("Transfer-Encoding: chunked".to_owned());
    let answers = async |lines: &[String], body: &str| {
        let request = guarded.raw_post(lines, body).replace("Connection: close\r\n", "");
        let text = exchange(guarded.server.address, format!("{request}{smuggled}").as_bytes()).await;
        text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(answers(&plain, &body).await, ["200", "200"], "the twin: two requests on one connection");
    assert_eq!(answers(&lines, &chunked).await, ["200"]);
    lines.push("Content-Length: 5".to_owned());
    assert_eq!(answers(&lines, &chunked).await, ["200"], "and with a length that says something else");
}

#[tokio::test]
async fn h19_a_body_that_says_it_is_compressed_is_refused() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    for (coding, expected) in [("gzip", 415), ("identity, gzip", 415), ("br", 415), ("identity", 200)] {
        let request = guarded.server.post(&token, echo_body()).header("content-encoding", coding);
        let answer = with_mirrors(request, "tools/call", Some(ECHO)).send().await.expect("an answer");
        assert_eq!(answer.status(), expected, "{coding}");
        let request = guarded.server.request(Method::POST, "/api/v1/tools/echo").bearer_auth(&token);
        let request = request.json(&json!({"message": "hi"})).header("content-encoding", coding);
        assert_eq!(request.send().await.expect("an answer").status(), expected, "{coding} over REST");
    }
}

#[tokio::test]
async fn h29_h30_types_of_bodies_and_answers() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    let both = "application/json, text/event-stream";
    let typed = |kind: &'static str, accept: &'static str| {
        let request = guarded.server.request(Method::POST, "/mcp").bearer_auth(&token).header("accept", accept);
        let request = request.header("content-type", kind).body(echo_body());
        async { with_mirrors(request, "tools/call", Some(ECHO)).send().await.expect("an answer").status().as_u16() }
    };
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(typed(kind, both).await, 200, "{kind}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""] {
        assert_eq!(typed(kind, both).await, 415, "{kind}");
    }
    assert_eq!(typed("application/json", "*/*").await, 200, "what probes of real clients send");
    let mut lines = guarded.good_lines(&echo_body());
    lines.retain(|line| !line.starts_with("Accept"));
    assert_eq!(guarded.raw_status(&lines, &echo_body()).await, 200, "no Accept accepts everything");
    for accept in ["application/json", "text/event-stream", "text/html"] {
        assert_eq!(typed("application/json", accept).await, 406, "{accept}");
    }
}

/// A request whose body is still to come.
async fn begun(server: &TestServer, path: &str, kind: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("it listens");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).await.expect("it is open");
    stream
}

const FORM: &str = "application/x-www-form-urlencoded";
const ISSUER_PATHS: [(&str, &str); 7] = [
    ("/token", FORM),
    ("/register", "application/json"),
    ("/login", FORM),
    ("/consent", FORM),
    ("/device", FORM),
    ("/revoke", FORM),
    ("/introspect", FORM),
];

/// Time stands still but for waiting.
#[tokio::test(start_paused = true)]
async fn h17_a_body_for_the_issuer_that_never_ends_is_not_waited_for() {
    let server = TestServer::start(&[]).await;
    for (path, kind) in ISSUER_PATHS {
        let began = tokio::time::Instant::now();
        let (mut answers, mut stream) = begun(&server, path, kind, 100_000).await.into_split();
        let dripping = async {
            // Until it is closed.
            while stream.write_all(b"a").await.is_ok() && began.elapsed() < Duration::from_mins(3) {
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
        };
        let mut answer = String::new();
        let reading = async {
            let _ = answers.read_to_string(&mut answer).await;
            began.elapsed().as_secs()
        };
        let seconds = tokio::select! {
            seconds = reading => seconds,
            () = dripping => panic!("{path}: it was waited for"),
        };
        assert_eq!(status(&answer), 408, "{path}: {answer}");
        assert!((29..=33).contains(&seconds), "{path}: {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn h17_a_body_for_the_issuer_that_comes_slowly_is_taken() {
    let server = TestServer::start(&[]).await;
    let initial = std::fs::read_to_string(server.state.path().join("state/initial-access-token")).expect("it was made");
    let metadata = r#"{"token_endpoint_auth_method":"client_secret_post"}"#;
    let register = server.request(Method::POST, "/register").bearer_auth(&initial);
    let client = register.header("content-type", "application/json").body(metadata).send().await.expect("an answer");
    let client: serde_json::Value = client.json().await.expect("JSON");
    let (id, secret) = (client["client_id"].as_str().expect("text"), client["client_secret"].as_str().expect("text"));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    for (path, kind, body, expected) in [
        ("/token", FORM, form.as_str(), 200),
        ("/register", "application/json", r#"{"redirect_uris":["http://127.0.0.1/callback"]}"#, 201),
        // Read to its end, and judged.
        ("/login", FORM, "about=%2Fdevice&form=x&user=dev&password=x", 403),
    ] {
        let mut stream = begun(&server, path, kind, body.len()).await;
        for part in body.as_bytes().chunks(body.len().div_ceil(9)) {
            tokio::time::sleep(Duration::from_secs(3)).await;
            stream.write_all(part).await.expect("it is open");
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert_eq!(status(&answer), expected, "{path}: {answer}");
    }
}

#[tokio::test]
async fn h12_bodies_for_the_issuer_have_the_same_limit() {
    let server = TestServer::start(&[]).await;
    let small = TestServer::start(&[("server.max_body_bytes", "100000")]).await;
    let sent = |server: &TestServer, path: &str, kind: &str, length: usize| {
        let request = server.request(Method::POST, path).header("content-type", kind).body("x".repeat(length));
        async move { request.send().await.expect("an answer").status().as_u16() }
    };
    for (path, kind) in ISSUER_PATHS {
        assert_eq!(sent(&server, path, kind, (4 << 20) + 1).await, 413, "{path}");
        assert_eq!(sent(&small, path, kind, 100_001).await, 413, "{path}");
        // The twin: read, and refused for what it is.
        assert_ne!(sent(&server, path, kind, 4 << 20).await, 413, "{path}");
        assert_ne!(sent(&small, path, kind, 100_000).await, 413, "{path}");
    }
}

/// An answer of 7 MB, more than what the system keeps of it.
async fn asked_for_much(guarded: &Guarded) -> TcpStream {
    let body = echo_body().replace("\"hi\"", &format!("\"{}\"", "x".repeat(3_500_000)));
    let mut stream = TcpStream::connect(guarded.server.address).await.expect("it listens");
    let request = guarded.raw_post(&guarded.good_lines(&body), &body);
    stream.write_all(request.as_bytes()).await.expect("it is read");
    // Some of the answer is here: it is being written.
    stream.peek(&mut [0]).await.expect("an answer");
    stream
}

const WHOLE: usize = 7_000_000;

#[tokio::test]
async fn h17_who_does_not_read_the_answer_is_dropped() {
    let guarded = Guarded::start().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(asked_for_much(&guarded).await);
    }
    tokio::time::pause();
    // Half a minute, and once more if the system took some bytes of the next part meanwhile.
    tokio::time::sleep(Duration::from_secs(62)).await;
    for mut stream in streams {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.len() < WHOLE, "{} bytes", answer.len());
    }
}

#[tokio::test]
async fn h17_who_reads_an_answer_late_gets_it_whole() {
    let guarded = Guarded::start().await;
    let mut stream = asked_for_much(&guarded).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(20)).await;
    tokio::time::resume();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the whole answer");
    assert!(answer.len() > WHOLE, "{} bytes", answer.len());
}
