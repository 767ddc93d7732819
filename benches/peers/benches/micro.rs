//! What the steps of a request cost: `cargo bench -p peers`.

use std::{collections::BTreeSet, hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use securemcp::{
    auth::{Authenticator, Keys, Rules},
    clock::SystemClock,
    jose::{Expect, KeySet, SigningKey, algorithm_named},
    oauth::{Challenge, Issuer, Scopes},
    secret::Secret,
    server::fuzz::read_envelope,
};
use serde_json::json;

const ISSUER: &str = "https://issuer.example";
const RESOURCE: &str = "https://mcp.example/mcp";

fn token_and_judge() -> (Secret, impl Fn() -> Authenticator) {
    let key = SigningKey::generate();
    let clock = SystemClock::shared();
    let now = clock.since_epoch().as_secs();
    let claims = json!({"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "cli", "jti": "1", "iat": now,
                        "exp": now + 3600, "scope": "mcp:read mcp:write"});
    let set = json!({"keys": [key.public_jwk()]}).to_string();
    let judge = move || {
        let expect = Expect {
            issuer: Issuer::parse(ISSUER).expect("a literal"),
            audiences: vec![RESOURCE.to_owned()],
            algorithms: algorithm_named("ES256").into_iter().collect(),
            leeway: Duration::from_secs(5),
        };
        let allowed_clients = Some(BTreeSet::from(["cli".to_owned()]));
        let rules = Rules { expect, allowed_clients, revocations: None };
        Authenticator::new(rules, Keys::Fixed(KeySet::parse(set.as_bytes()).expect("a set")), clock.clone())
    };
    (key.sign("at+jwt", &claims), judge)
}

fn verification(criterion: &mut Criterion) {
    let (token, judge) = token_and_judge();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let knows = judge();
    let verify = |judge: &Authenticator| {
        runtime.block_on(judge.authenticate(token.expose().as_bytes(), None)).expect("a good token")
    };
    criterion.bench_function("a token seen before", |bench| bench.iter(|| verify(black_box(&knows))));
    criterion.bench_function("a token's first sight, ES256", |bench| {
        bench.iter_batched_ref(&judge, |judge| verify(judge), criterion::BatchSize::SmallInput);
    });
}

fn decode(criterion: &mut Criterion) {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                      "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"name": "echo", "arguments": {"message": "hi"}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    criterion.bench_function("what a message is and wants", |bench| {
        bench.iter(|| read_envelope(black_box(body.as_bytes())).expect("a good message"));
    });
}

fn challenge(criterion: &mut Criterion) {
    let scope = Scopes::parse("mcp:read mcp:write").expect("a literal");
    criterion.bench_function("a challenge", |bench| {
        bench.iter(|| {
            let challenge = Challenge {
                error: Some("invalid_token".to_owned()),
                scope: Some(black_box(&scope).clone()),
                resource_metadata: Some("https://mcp.example/.well-known/oauth-protected-resource/mcp".to_owned()),
                ..Challenge::default()
            };
            challenge.to_string()
        });
    });
}

fn policy(criterion: &mut Criterion) {
    let has = Scopes::parse("mcp:infer mcp:read mcp:write openid profile").expect("a literal");
    let needs = Scopes::parse("mcp:read mcp:write").expect("a literal");
    criterion.bench_function("whether scopes cover a tool's", |bench| {
        bench.iter(|| black_box(&has).covers(black_box(&needs)));
    });
}

criterion_group!(steps, verification, decode, challenge, policy);
criterion_main!(steps);
