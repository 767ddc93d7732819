//! An issuer's key, and tokens of it.

use std::io::Write as _;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::verifier::now;

/// How long the tokens are good: longer than any run.
const LIFETIME_SECONDS: u64 = 6 * 3600;
/// What makes a token as long as one of Keycloak's, 1.2 KB.
const PADDING: usize = 400;

/// Makes a key of 2048 bits, writes the set with its public half to `keys`, and so many tokens to standard output.
pub(crate) fn write(keys: &str, issuer: &str, audience: &str, count: usize) {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let public = pair.public_key().as_ref();
    // RFC 8017 appendix A.1.1: two numbers, here of 256 and of 3 bytes, behind their tags and lengths.
    let (n, e) = (URL_SAFE_NO_PAD.encode(&public[9..265]), URL_SAFE_NO_PAD.encode(&public[267..270]));
    let set = json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench", "n": n, "e": e}]});
    std::fs::write(keys, set.to_string()).expect("the file can be written");
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(&json!({"alg": "RS256", "kid": "bench", "typ": "at+jwt"}));
    let issued_at = now().as_secs();
    let mut out = std::io::stdout().lock();
    for number in 0..count {
        let claims = json!({
            "iss": issuer, "aud": audience, "sub": format!("user-{number}"), "client_id": "bench",
            "iat": issued_at, "exp": issued_at + LIFETIME_SECONDS, "jti": number.to_string(),
            "scope": "mcp:read mcp:write mcp:infer", "padding": "x".repeat(PADDING),
        });
        let signed = format!("{header}.{}", encode(&claims));
        let mut signature = [0; 256];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("it signs");
        writeln!(out, "{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).expect("somebody reads");
    }
}
