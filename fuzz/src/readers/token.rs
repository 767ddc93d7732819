//! An access token: as it comes, and with a good signature under whatever header and claims the bytes are, header and
//! claims with a line break between them.

use std::{sync::OnceLock, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use securemcp::{
    jose::{ALGORITHMS, Claims, Expect, KeySet, Refused, Unverified},
    oauth::Issuer,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://mcp.example/mcp";
const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 30;

struct World {
    pair: EcdsaKeyPair,
    keys: KeySet,
    expect: Expect,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("random source");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).expect("just made");
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
        let set = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "x": x, "y": y}]});
        World {
            keys: KeySet::parse(set.to_string().as_bytes()).expect("a key set"),
            pair,
            expect: Expect {
                issuer: Issuer::parse(ISSUER).expect("an issuer"),
                audiences: vec![AUDIENCE.to_owned()],
                algorithms: ALGORITHMS.to_vec(),
                leeway: Duration::from_secs(LEEWAY),
            },
        }
    })
}

pub(super) fn read(bytes: &[u8]) {
    if let Ok(token) = std::str::from_utf8(bytes) {
        assert!(judge(token).is_err(), "somebody else's signature was taken: {token}");
    }
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (header, claims) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = world().pair.sign(&SystemRandom::new(), input.as_bytes()).expect("random source");
    if let Ok(judged) = judge(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))) {
        let parse = |part| serde_json::from_slice::<Value>(part).expect("a good token is JSON");
        is_good(&parse(header), &parse(claims), &judged);
    }
}

fn judge(token: &str) -> Result<Claims, Refused> {
    let World { keys, expect, .. } = world();
    Unverified::parse(token)?.verify(keys, expect, Duration::from_secs(NOW))
}

/// The rules once more, written on what a general parser sees.
#[expect(clippy::cast_precision_loss, reason = "the times are far below 2 to the power of 52")]
fn is_good(header: &Value, claims: &Value, judged: &Claims) {
    assert_eq!(header["alg"], "ES256");
    assert!(header.get("kid").is_none_or(|kid| kid == "k"), "{header}");
    for name in ["crit", "b64", "zip", "enc", "cty"] {
        assert!(header.get(name).is_none(), "{header}");
    }
    let kind = header["typ"].as_str().unwrap_or_default().to_ascii_lowercase();
    assert!(matches!(kind.as_str(), "" | "jwt" | "at+jwt" | "application/jwt" | "application/at+jwt"), "{header}");
    assert_eq!(claims["iss"], ISSUER);
    let is_ours = |audience: &Value| audience == AUDIENCE;
    assert!(is_ours(&claims["aud"]) || claims["aud"].as_array().is_some_and(|all| all.iter().any(is_ours)), "{claims}");
    let (now, leeway) = (NOW as f64, LEEWAY as f64);
    assert!(claims["exp"].as_f64().is_some_and(|expires| expires > now - leeway), "{claims}");
    for name in ["nbf", "iat"] {
        assert!(claims.get(name).is_none_or(|time| time.as_f64().is_some_and(|time| time <= now + leeway)), "{claims}");
    }
    assert_eq!(claims["sub"].as_str(), Some(judged.subject.as_str()));
    assert!(!judged.subject.is_empty());
    // A token that is bound to a key is never taken for one that is not.
    assert_eq!(claims.get("cnf").is_some(), judged.bound_to.is_some(), "{claims}");
    assert_eq!(claims["cnf"]["jkt"].as_str(), judged.bound_to.as_deref());
    // Each scope is a whole word of a claim.
    let words = |claim: &Value| match claim {
        Value::String(text) => text.split(' ').map(str::to_owned).collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let said = [words(&claims["scope"]), words(&claims["scp"])].concat();
    for scope in judged.scopes.to_string().split(' ').filter(|scope| !scope.is_empty()) {
        assert!(said.iter().any(|word| word == scope), "{scope:?} is not in {claims}");
    }
}
