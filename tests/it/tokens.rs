//! Attacks on the access token (facts J01 to J30), each beside the good token that differs in nothing else.

use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{
    issuer::Behaviour,
    keys::{Key, b64},
    server::{Guarded, NOW, merged},
};

impl Guarded {
    async fn refuses(&self, token: &str, what: &str) {
        let answer = self.server.call(token, "echo", json!({"message": "hi"})).await;
        assert_eq!(answer.status(), 401, "{what}");
        let challenge = answer.headers()["www-authenticate"].to_str().expect("ASCII").to_owned();
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""),
            "{what}: {challenge}"
        );
        assert!(challenge.contains("resource_metadata=") && challenge.contains("scope="), "{what}: {challenge}");
        assert!(!answer.headers().contains_key("mcp-session-id"), "{what}");
        let body = answer.text().await.expect("a body");
        assert!(!body.contains("signature") && !body.contains("aud"), "{what}: the caller learns no detail: {body}");
    }

    async fn accepts(&self, token: &str, what: &str) {
        assert_eq!(self.server.status_with(token).await, 200, "{what}");
    }

    fn with_header(&self, changes: &Value) -> String {
        self.key.token(&merged(self.header(), changes), &self.claims())
    }
}

#[tokio::test]
async fn j01_no_algorithm_is_no_signature() {
    let guarded = Guarded::start().await;
    guarded.accepts(&guarded.token(&json!({})), "the twin").await;
    for alg in ["none", "None", "nOnE", "NONE", ""] {
        let header = merged(guarded.header(), &json!({ "alg": alg }));
        let input = format!("{}.{}", b64(header.to_string()), b64(guarded.claims().to_string()));
        guarded.refuses(&format!("{input}."), &format!("alg {alg:?} without signature")).await;
        guarded.refuses(&format!("{input}.{}", b64("x")), &format!("alg {alg:?} with a signature")).await;
    }
}

#[tokio::test]
async fn j02_a_public_key_is_no_shared_secret() {
    let guarded = Guarded::start_with(Key::rsa(), &[]).await;
    guarded.accepts(&guarded.token(&json!({})), "the twin").await;
    let spki = guarded.key.rsa_spki();
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &spki);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    let modulus = guarded.key.jwk("k1")["n"].as_str().expect("text").to_owned();
    // A SubjectPublicKeyInfo of RSA has a prefix of 24 bytes before the PKCS#1 key.
    let secrets = [
        spki.clone(),
        spki[24..].to_vec(),
        pem.clone().into_bytes(),
        format!("{pem}\n").into_bytes(),
        modulus.into_bytes(),
    ];
    for alg in ["HS256", "hs256"] {
        for (index, secret) in secrets.iter().enumerate() {
            let header = merged(guarded.header(), &json!({ "alg": alg }));
            let input = format!("{}.{}", b64(header.to_string()), b64(guarded.claims().to_string()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
            guarded.refuses(&format!("{input}.{}", b64(tag)), &format!("{alg} with secret {index}")).await;
        }
    }
}

#[tokio::test]
async fn j03_the_key_says_its_algorithm() {
    let guarded = Guarded::start_with(Key::rsa(), &[]).await;
    let ps256 = guarded.with_header(&json!({"alg": "PS256"}));
    guarded.accepts(&ps256, "a key without `alg` may do both").await;
    let mut jwk = guarded.key.jwk("k1");
    jwk["alg"] = "RS256".into();
    guarded.issuer.behave(Behaviour::Keys(vec![jwk]));
    guarded.refetch().await;
    guarded.accepts(&guarded.token(&json!({})), "the twin").await;
    guarded.refuses(&ps256, "PS256 with a key for RS256").await;
    guarded.refuses(&guarded.with_header(&json!({"alg": "RS512"})), "RS512 with a key for RS256").await;
    guarded.refuses(&guarded.with_header(&json!({"alg": "ES256"})), "ES256 with an RSA key").await;
}

impl Guarded {
    /// Has the server look at the issuer's keys again, as it does for an unknown `kid` once in a cool-down.
    async fn refetch(&self) {
        self.server.clock.advance(Duration::from_secs(31));
        let before = self.issuer.jwks_hits();
        let stranger = self.with_header(&json!({"kid": format!("unknown-{before}")}));
        assert_eq!(self.server.status_with(&stranger).await, 401);
        assert_eq!(self.issuer.jwks_hits(), before + 1);
    }
}

#[tokio::test]
async fn j04_every_byte_is_signed() {
    let guarded = Guarded::start().await;
    let good = guarded.token(&json!({}));
    guarded.accepts(&good, "the twin").await;
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let (header, payload) = input.split_once('.').expect("three parts");
    let other = guarded.token(&json!({"sub": "mallory"}));
    let other_payload = other.split('.').nth(1).expect("three parts");
    let mut bytes =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).expect("base64url");
    bytes[10] ^= 1;
    let flipped = b64(&bytes);
    let truncated = b64(&bytes[..bytes.len() - 1]);
    for (token, what) in [
        (input.to_owned(), "signature stripped with its dot"),
        (format!("{input}."), "signature empty"),
        (format!("{input}.{truncated}"), "signature one byte short"),
        (format!("{input}.{flipped}"), "one bit flipped"),
        (format!("{header}.{other_payload}.{signature}"), "payload swapped"),
        (format!("{header}..{signature}"), "payload missing"),
        (format!(".{payload}.{signature}"), "header missing"),
        ("..".to_owned(), "nothing at all"),
    ] {
        guarded.refuses(&token, what).await;
    }
}

#[tokio::test]
async fn j05_ecdsa_signatures_are_fixed_size_and_not_zero() {
    let guarded = Guarded::start().await;
    let good = guarded.token(&json!({}));
    guarded.accepts(&good, "the twin").await;
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    guarded.refuses(&format!("{input}.{}", b64([0; 64])), "r = s = 0").await;
    let raw = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).expect("base64url");
    let mut der = vec![0x30, 0];
    for half in [&raw[..32], &raw[32..]] {
        let padded = half[0] & 0x80 != 0;
        der.extend([0x02, 32 + u8::from(padded)]);
        der.extend(std::iter::repeat_n(0, usize::from(padded)));
        der.extend(half);
    }
    der[1] = u8::try_from(der.len() - 2).expect("short");
    guarded.refuses(&format!("{input}.{}", b64(der)), "a DER signature").await;
}

#[tokio::test]
async fn j06_to_j08_keys_come_from_the_issuer_only() {
    let guarded = Guarded::start().await;
    let attacker = Key::ec();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let trap = format!("http://{}/jwks", listener.local_addr().expect("bound"));
    for header in [
        json!({"alg": "ES256", "typ": "at+jwt", "jwk": attacker.jwk("k1")}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1", "jwk": attacker.jwk("k1")}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1", "jku": trap}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1", "x5u": trap}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1", "x5c": [b64("certificate")]}),
    ] {
        guarded.refuses(&attacker.token(&header, &guarded.claims()), &header.to_string()).await;
        // The twin: the same header over the issuer's own signature is merely ignored.
        guarded.accepts(&guarded.key.token(&header, &guarded.claims()), &header.to_string()).await;
    }
    let nobody = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(nobody.is_err(), "nobody fetched the attacker's keys");
}

#[tokio::test]
async fn j09_kid_is_only_a_name() {
    let guarded = Guarded::start().await;
    let long = "k".repeat(8 * 1024);
    for kid in [
        json!("../../../../dev/null"),
        json!("' OR 1=1--"),
        json!("|id"),
        json!("k1\r\nX-Evil: 1"),
        json!(long),
        json!(1),
        json!(["k1"]),
        json!({"k1": 1}),
    ] {
        guarded.refuses(&guarded.with_header(&json!({ "kid": kid })), &kid.to_string()).await;
    }
    let header = r#"{"alg":"ES256","typ":"at+jwt","kid":null}"#;
    guarded.refuses(&guarded.key.token_of_texts(header, &guarded.claims().to_string()), "kid null").await;
    guarded.accepts(&guarded.with_header(&json!({"kid": "k1"})), "the twin").await;
}

#[tokio::test]
async fn j10_without_kid_only_one_key_may_fit() {
    let guarded = Guarded::start().await;
    let anonymous = guarded.with_header(&json!({"kid": null}));
    guarded.accepts(&anonymous, "one key").await;
    guarded.issuer.behave(Behaviour::Keys(vec![guarded.key.jwk("k1"), Key::ec().jwk("k2")]));
    guarded.refetch().await;
    guarded.refuses(&anonymous, "two keys that fit").await;
    guarded.issuer.behave(Behaviour::Keys(vec![guarded.key.jwk("k1"), Key::ed().jwk("k2")]));
    guarded.refetch().await;
    guarded.accepts(&anonymous, "two keys, one of which fits").await;
}

#[tokio::test]
async fn j11_keys_for_other_uses_verify_nothing() {
    let guarded = Guarded::start_with(Key::rsa(), &[]).await;
    let token = guarded.token(&json!({}));
    guarded.accepts(&token, "the twin").await;
    for change in [json!({"use": "enc"}), json!({"key_ops": ["encrypt"]}), json!({"alg": "RSA-OAEP"})] {
        let (bad, good) = (merged(guarded.key.jwk("k1"), &change), Key::ec().jwk("other"));
        guarded.issuer.behave(Behaviour::Keys(vec![bad, good]));
        guarded.refetch().await;
        guarded.refuses(&token, &change.to_string()).await;
    }
}

/// A 1024-bit RSA key, made for this test with the exponent 65537.
const WEAK_MODULUS: &str = "d3caec7a904da4e5960b9767aecffcf4f2d2f2d783108d4d1ca87a42566b5bde91ba45f72fc6034b229ebb4dc7b921d7\
    eac9bc47cac5cfff41c53b9cb21ef6d8bce0945ac8cd5b5cdf5bbaa467f12ac6407d4e5e2628ec2b298d51fe4a30f882e075910135aa36ea90da\
    796dd961890b72461704cf51de1a86fdcc705f005ee1";
const WEAK_PRIVATE_EXPONENT: &str = "99a4714f2c961714b277f03b38370c43ca503bf919cc8d252eb00e1947c6145c6f0d59aa4b8ef35eb35bc17\
    75877365503af9b95dd4509721c8d6f846a374a4c78741c2b4dd32ff9f8608ad6feb7f35cd2e770d26952dd9013f45c6e686367433ce23fc769e\
    e1001486ac255fb49f01476f05a1afc78c566b41c9ba167f40801";

/// What RS256 raises to the private exponent: RFC 8017 section 9.2, for a modulus of this many bytes.
fn padded_digest(input: &str, modulus_bytes: usize) -> Vec<u8> {
    const SHA_256: [u8; 19] = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, input.as_bytes());
    let mut padded = vec![0, 1];
    padded.resize(modulus_bytes - SHA_256.len() - 33, 0xff);
    padded.push(0);
    padded.extend(SHA_256);
    padded.extend(hash.as_ref());
    padded
}

#[tokio::test]
async fn j12_keys_that_anybody_can_break_are_ignored() {
    let guarded = Guarded::start_with(Key::rsa(), &[]).await;
    // Each look at the issuer's keys takes half a minute of the server's clock.
    let claims = merged(guarded.claims(), &json!({"exp": NOW + 3600}));
    let input = format!("{}.{}", b64(guarded.header().to_string()), b64(claims.to_string()));
    let number = |digits: &str| num_bigint::BigUint::parse_bytes(digits.as_bytes(), 16).expect("hexadecimal");
    let modulus = number(WEAK_MODULUS);
    let signed = num_bigint::BigUint::from_bytes_be(&padded_digest(&input, 128));
    let signature = signed.modpow(&number(WEAK_PRIVATE_EXPONENT), &modulus);
    assert_eq!(signature.modpow(&number("10001"), &modulus), signed, "the signature is good");
    let short = json!({"kty": "RSA", "kid": "k1", "n": b64(modulus.to_bytes_be()), "e": "AQAB"});
    let by_short = format!("{input}.{}", b64(signature.to_bytes_be()));
    // To the power of one: the padded digest is its own signature.
    let by_nobody = format!("{input}.{}", b64(padded_digest(&input, 256)));
    let mut keys = vec![(short, by_short)];
    for exponent in ["AQ", "AAAB", "AA", ""] {
        keys.push((merged(guarded.key.jwk("k1"), &json!({ "e": exponent })), by_nobody.clone()));
    }
    let anonymous = guarded.key.token(&merged(guarded.header(), &json!({"kid": null})), &claims);
    for (key, forged) in keys {
        guarded.issuer.behave(Behaviour::Keys(vec![key.clone()]));
        guarded.refetch().await;
        guarded.refuses(&forged, &key.to_string()).await;
        // As if it were not there: beside it, a good key is the only one that fits.
        guarded
            .issuer
            .behave(Behaviour::Keys(vec![guarded.key.jwk("good"), merged(key.clone(), &json!({"kid": "k2"}))]));
        guarded.refetch().await;
        guarded.accepts(&anonymous, &key.to_string()).await;
    }
    guarded.issuer.behave(Behaviour::Keys(vec![guarded.key.jwk("k1"), guarded.key.jwk("k2")]));
    guarded.refetch().await;
    guarded.refuses(&anonymous, "the twin: a second good key is not ignored").await;
    guarded.accepts(&guarded.key.token(&guarded.header(), &claims), "the twin: the same key, whole").await;
}

#[tokio::test]
async fn j13_j14_j15_headers_that_change_the_meaning() {
    let guarded = Guarded::start().await;
    guarded.accepts(&guarded.token(&json!({})), "the twin").await;
    for header in [
        json!({"crit": ["x"]}),
        json!({"crit": []}),
        json!({"b64": false}),
        json!({"zip": "DEF"}),
        json!({"cty": "JWT"}),
    ] {
        guarded.refuses(&guarded.with_header(&header), &header.to_string()).await;
    }
    let good = guarded.token(&json!({}));
    guarded.refuses(&format!("{good}.{}.{}", b64("x"), b64("y")), "five parts").await;
    let nested = guarded.key.token_of_texts(&guarded.header().to_string(), &good);
    guarded.refuses(&nested, "a token in a token").await;
}

#[tokio::test]
async fn j16_only_access_tokens() {
    let guarded = Guarded::start().await;
    for typ in ["at+jwt", "application/at+jwt", "JWT"] {
        guarded.accepts(&guarded.with_header(&json!({ "typ": typ })), typ).await;
    }
    for typ in ["logout+jwt", "dpop+jwt", "client-authentication+jwt", "secevent+jwt"] {
        guarded.refuses(&guarded.with_header(&json!({ "typ": typ })), typ).await;
    }
    let legacy = |claims: Value| {
        guarded.key.token(&merged(guarded.header(), &json!({"typ": "JWT"})), &merged(guarded.claims(), &claims))
    };
    for typ in ["Refresh", "ID", "Offline"] {
        guarded.refuses(&legacy(json!({ "typ": typ })), typ).await;
    }
    guarded.refuses(&legacy(json!({"nonce": "n"})), "an ID token").await;
    guarded.accepts(&legacy(json!({"typ": "Bearer"})), "Keycloak's access token").await;
}

#[tokio::test]
async fn j17_the_issuer_is_compared_byte_by_byte() {
    let guarded = Guarded::start().await;
    guarded.accepts(&guarded.token(&json!({})), "the twin").await;
    let url = &guarded.issuer.url;
    let hits = guarded.issuer.jwks_hits();
    for iss in [
        json!("https://other.example"),
        json!(format!("{url}/")),
        json!(format!("{url}/realms/other")),
        json!(url.to_uppercase()),
        json!(url.replace("http://", "http://idp@")),
        json!([url]),
        json!(""),
    ] {
        // Even with an unknown key: a stranger's token must not make the server fetch.
        let header = merged(guarded.header(), &json!({"kid": "unknown"}));
        let claims = merged(guarded.claims(), &json!({ "iss": iss }));
        guarded.refuses(&guarded.key.token(&header, &claims), &iss.to_string()).await;
        guarded.refuses(&guarded.token(&json!({ "iss": iss })), &iss.to_string()).await;
    }
    guarded.refuses(&guarded.token(&json!({"iss": null})), "no iss").await;
    assert_eq!(guarded.issuer.jwks_hits(), hits);
}

#[tokio::test]
async fn j18_the_audience_is_this_server() {
    let guarded = Guarded::start().await;
    let ours = format!("{}/mcp", guarded.server.url);
    for aud in [json!(ours), json!([ours]), json!(["account", ours])] {
        guarded.accepts(&guarded.token(&json!({ "aud": aud })), &aud.to_string()).await;
    }
    let localhost = ours.replace("127.0.0.1", "localhost");
    guarded.accepts(&guarded.token(&json!({ "aud": localhost })), "another loopback name of the same server").await;
    for aud in [
        json!(""),
        json!(ours.trim_end_matches('p')),
        json!(format!("{ours}2")),
        json!(format!("{ours}/evil")),
        json!(format!("{ours}/")),
        json!(ours.to_uppercase()),
        json!(ours.replace("127.0.0.1:", "127.0.0.1:1")),
        json!(ours.replace(':', "%3A")),
        json!(["account", "other"]),
        json!([]),
        json!({ "aud": ours }),
    ] {
        guarded.refuses(&guarded.token(&json!({ "aud": aud })), &aud.to_string()).await;
    }
    guarded.refuses(&guarded.token(&json!({"aud": null})), "no aud").await;
}

#[tokio::test]
async fn j19_clients_off_the_list_are_forbidden() {
    let guarded = Guarded::start_with(Key::ec(), &[("issuer.allowed_clients", "cli other")]).await;
    guarded.accepts(&guarded.token(&json!({})), "the twin").await;
    guarded.accepts(&guarded.token(&json!({"client_id": null, "azp": "other"})), "azp stands in for client_id").await;
    for changes in [json!({"client_id": "evil"}), json!({"client_id": null}), json!({"client_id": null, "azp": "evil"})]
    {
        assert_eq!(guarded.server.status_with(&guarded.token(&changes)).await, 403, "{changes}");
    }
}

#[tokio::test]
async fn j20_tokens_expire_and_expiry_is_a_number() {
    let guarded = Guarded::start_with(Key::ec(), &[("issuer.leeway", "0s")]).await;
    for exp in [json!(NOW + 1), json!(1_800_000_000.5)] {
        guarded.accepts(&guarded.token(&json!({ "exp": exp })), &exp.to_string()).await;
    }
    for exp in [json!(NOW - 1), json!(NOW), json!("never"), json!("99999999999"), json!(-1), json!([NOW + 9])] {
        guarded.refuses(&guarded.token(&json!({ "exp": exp })), &exp.to_string()).await;
    }
    guarded.refuses(&guarded.token(&json!({"exp": null})), "no exp").await;
    for exp in ["1e400", "null"] {
        let claims = guarded.claims().to_string().replace(&format!("\"exp\":{}", NOW + 300), &format!("\"exp\":{exp}"));
        guarded.refuses(&guarded.key.token_of_texts(&guarded.header().to_string(), &claims), exp).await;
    }
    let lenient = Guarded::start().await;
    lenient.accepts(&lenient.token(&json!({"exp": NOW - 29})), "within the leeway of 30 s").await;
    lenient.refuses(&lenient.token(&json!({"exp": NOW - 30})), "after it").await;
}

#[tokio::test]
async fn j20_a_remembered_token_expires_too() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({"exp": NOW + 60}));
    guarded.accepts(&token, "fresh").await;
    guarded.accepts(&token, "from the cache").await;
    guarded.server.clock.advance(Duration::from_secs(91));
    guarded.refuses(&token, "expired while remembered").await;
}

#[tokio::test]
async fn j21_j22_tokens_from_the_future() {
    let guarded = Guarded::start().await;
    for good in [json!({"nbf": NOW + 30}), json!({"iat": NOW + 30}), json!({"nbf": NOW - 9, "iat": null})] {
        guarded.accepts(&guarded.token(&good), &good.to_string()).await;
    }
    for bad in [json!({"nbf": NOW + 31}), json!({"nbf": "soon"}), json!({"iat": NOW + 31}), json!({"iat": "now"})] {
        guarded.refuses(&guarded.token(&bad), &bad.to_string()).await;
    }
}

#[tokio::test]
async fn j23_no_token_lives_longer_than_a_day() {
    let guarded = Guarded::start().await;
    let day = 24 * 3600;
    for good in [
        json!({"exp": NOW + day}),
        json!({"iat": NOW - day + 300, "exp": NOW + 300}),
        json!({"iat": null, "exp": NOW + day}),
    ] {
        guarded.accepts(&guarded.token(&good), &good.to_string()).await;
    }
    for bad in [
        json!({"exp": NOW + day + 1}),
        json!({"iat": NOW - day + 299, "exp": NOW + 300}),
        json!({"iat": null, "exp": NOW + day + 1}),
        json!({"exp": 1e300}),
    ] {
        guarded.refuses(&guarded.token(&bad), &bad.to_string()).await;
    }
}

#[tokio::test]
async fn j24_doubled_members_are_refused() {
    let guarded = Guarded::start().await;
    let (header, claims) = (guarded.header().to_string(), guarded.claims().to_string());
    guarded.accepts(&guarded.key.token_of_texts(&header, &claims), "the twin").await;
    let aud = format!("\"aud\":\"{}/mcp\"", guarded.server.url);
    let exp = format!("\"exp\":{}", NOW + 300);
    for (name, twice) in [
        ("aud", claims.replace(&aud, &format!("{aud},\"aud\":\"other\""))),
        ("aud reversed", claims.replace(&aud, &format!("\"aud\":\"other\",{aud}"))),
        ("exp", claims.replace(&exp, &format!("{exp},\"exp\":1"))),
        ("exp reversed", claims.replace(&exp, &format!("\"exp\":1,{exp}"))),
    ] {
        assert_ne!(twice, claims, "{name}");
        guarded.refuses(&guarded.key.token_of_texts(&header, &twice), name).await;
    }
    let twice = header.replacen('{', "{\"alg\":\"none\",", 1);
    let input = format!("{}.{}", b64(&twice), b64(&claims));
    guarded.refuses(&format!("{input}.{}", b64(guarded.key.signature("ES256", &input))), "alg").await;
}

#[tokio::test]
async fn j25_garbage_is_refused() {
    let guarded = Guarded::start().await;
    let (header, claims) = (guarded.header().to_string(), guarded.claims());
    let good = guarded.token(&json!({}));
    guarded.accepts(&good, "the twin").await;
    let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
    parts[1].push('=');
    guarded.refuses(&parts.join("."), "padding").await;
    parts[1] = parts[1].trim_end_matches('=').replace('_', "/").replace('-', "+") + "+";
    guarded.refuses(&parts.join("."), "the other base64").await;
    let signed = |claims: &[u8]| {
        let input = format!("{}.{}", b64(&header), b64(claims));
        format!("{input}.{}", b64(guarded.key.signature("ES256", &input)))
    };
    guarded.accepts(&signed(claims.to_string().as_bytes()), "the twin of what follows").await;
    guarded.refuses(&signed(b"\xff\xfe{}"), "invalid UTF-8").await;
    guarded.refuses(&signed(format!("\u{feff}{claims}").as_bytes()), "a byte order mark").await;
    let deep = merged(
        claims.clone(),
        &json!({"x": serde_json::from_str::<Value>(&format!("{}{}", "[".repeat(100), "]".repeat(100))).expect("JSON")}),
    );
    guarded.refuses(&signed(deep.to_string().as_bytes()), "nested 100 deep").await;
    let long = merged(claims.clone(), &json!({"x": "y".repeat(16 * 1024)}));
    guarded.refuses(&signed(long.to_string().as_bytes()), "larger than 16 KiB").await;
    for garbage in ["x", "a.b", "a.b.c", "a.b.c.d", "eyJ.eyJ.x", &"x".repeat(4000), "../../etc/passwd", "..."] {
        guarded.refuses(garbage, garbage).await;
    }
}

#[tokio::test]
async fn j28_a_token_speaks_for_somebody() {
    let guarded = Guarded::start().await;
    for sub in ["a".to_owned(), "s".repeat(255), "ü".repeat(255)] {
        guarded.accepts(&guarded.token(&json!({ "sub": sub })), &sub).await;
    }
    for sub in [json!(null), json!(""), json!("s".repeat(256)), json!(7), json!(["alice"]), json!({"sub": "alice"})] {
        guarded.refuses(&guarded.token(&json!({ "sub": sub })), &sub.to_string()).await;
    }
}

#[tokio::test]
async fn j29_scopes_match_exactly() {
    let guarded = Guarded::start().await;
    for scopes in [
        json!({"scope": "mcp:read"}),
        json!({"scope": ["mcp:read"]}),
        json!({"scope": null, "scp": ["other", "mcp:read"]}),
        json!({"scope": "  other   mcp:read "}),
    ] {
        guarded.accepts(&guarded.token(&scopes), &scopes.to_string()).await;
    }
    for scopes in [
        json!({"scope": "mcp:READ"}),
        json!({"scope": "mcp:rea"}),
        json!({"scope": "mcp:read2"}),
        json!({"scope": "mcp:*"}),
        json!({"scope": "mcp:re\u{0430}d"}),
        json!({"scope": ["mcp:read mcp:write"]}),
        json!({"scope": "mcp:write"}),
        json!({"scope": ""}),
        json!({"scope": 7}),
        json!({"scope": null}),
    ] {
        assert_eq!(guarded.server.status_with(&guarded.token(&scopes)).await, 403, "{scopes}");
    }
}

#[tokio::test]
async fn j30_bound_tokens_are_no_bearer_tokens() {
    let guarded = Guarded::start().await;
    guarded.accepts(&guarded.token(&json!({})), "the twin").await;
    for cnf in [json!({"jkt": "x"}), json!({"x5t#S256": "x"}), json!({})] {
        guarded.refuses(&guarded.token(&json!({ "cnf": cnf })), &cnf.to_string()).await;
    }
}
