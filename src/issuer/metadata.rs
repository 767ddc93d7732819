//! What anybody may read: `GET /.well-known/oauth-authorization-server` (RFC 8414) and `GET /jwks`.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use http::{HeaderName, header};
use url::Url;

use super::{Embedded, Settings, authorize, client::GrantType};
use crate::{
    jose::{ALGORITHMS, algorithm_name, dpop},
    oauth::{AuthMethod, Issuer, ServerMetadata, pkce::S256},
};

/// Pages of any origin may read these documents; there is nothing in them that is not public.
const PUBLIC: [(HeaderName, &str); 2] =
    [(header::CACHE_CONTROL, "public, max-age=300"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];

pub(super) async fn get(State(issuer): State<Arc<Embedded>>) -> impl IntoResponse {
    (PUBLIC, Json(describe(&issuer.settings)))
}

pub(super) async fn get_keys(State(issuer): State<Arc<Embedded>>) -> impl IntoResponse {
    (PUBLIC, [(header::CONTENT_TYPE, "application/json")], issuer.key_set())
}

/// Where an endpoint is, as clients call it.
pub(super) fn endpoint(issuer: &Issuer, path: &str) -> Url {
    issuer.url().join(path).expect("an absolute path joins to every http URL")
}

/// Says what the other files do, and nothing else: a test uses all of it.
fn describe(settings: &Settings) -> ServerMetadata {
    let at = |path| Some(endpoint(&settings.issuer, path));
    let proofs = vec![AuthMethod::PrivateKeyJwt, AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost];
    let methods = [proofs.as_slice(), &[AuthMethod::None]].concat();
    let algorithms: Vec<_> = ALGORITHMS.into_iter().map(|algorithm| algorithm_name(algorithm).to_owned()).collect();
    ServerMetadata {
        issuer: settings.issuer.clone(),
        authorization_endpoint: at(authorize::PATH),
        device_authorization_endpoint: at("/device_authorization"),
        token_endpoint: at("/token"),
        jwks_uri: at("/jwks"),
        registration_endpoint: at("/register"),
        revocation_endpoint: at("/revoke"),
        introspection_endpoint: at("/introspect"),
        scopes_supported: settings.scopes.iter().map(str::to_owned).collect(),
        response_types_supported: vec!["code".to_owned()],
        grant_types_supported: GrantType::ALL.iter().map(|grant| grant.name().to_owned()).collect(),
        token_endpoint_auth_methods_supported: methods.clone(),
        token_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
        revocation_endpoint_auth_methods_supported: methods.clone(),
        revocation_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
        introspection_endpoint_auth_methods_supported: proofs,
        introspection_endpoint_auth_signing_alg_values_supported: algorithms,
        dpop_signing_alg_values_supported: dpop::algorithm_names().map(str::to_owned).collect(),
        code_challenge_methods_supported: vec![S256.to_owned()],
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: true,
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer as _,
        rand::SystemRandom,
        rsa::{KeyPair as RsaKeyPair, KeySize},
        signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
    };
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use http::{Method, StatusCode};
    use serde_json::{Value, json};

    use crate::{
        issuer::testing::{Fixture, ISSUER, claims_of},
        oauth::device::DEVICE_CODE,
    };

    async fn metadata(issuer: &Fixture) -> Value {
        let answer = issuer.send(Method::GET, "/.well-known/oauth-authorization-server", &[], "").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        answer.json
    }

    type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

    /// A client's key of any kind: its public half, and how it signs.
    fn key_for(algorithm: &str) -> (Value, Sign) {
        let random = SystemRandom::new();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let elliptic = |curve: &str, scheme, half: usize| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(scheme, pkcs8.as_ref()).unwrap();
            let point = pair.public_key().as_ref();
            let jwk =
                json!({"kty": "EC", "crv": curve, "x": encode(&point[1..=half]), "y": encode(&point[half + 1..])});
            let sign = move |input: &[u8]| pair.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec();
            (jwk, Box::new(sign) as Sign)
        };
        let padding: &'static dyn signature::RsaEncoding = match algorithm {
            "ES256" => return elliptic("P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING, 32),
            "ES384" => return elliptic("P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING, 48),
            "EdDSA" => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
                let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())});
                return (jwk, Box::new(move |input| pair.sign(input).as_ref().to_vec()));
            }
            "RS256" => &signature::RSA_PKCS1_SHA256,
            "RS384" => &signature::RSA_PKCS1_SHA384,
            "RS512" => &signature::RSA_PKCS1_SHA512,
            "PS256" => &signature::RSA_PSS_SHA256,
            "PS384" => &signature::RSA_PSS_SHA384,
            "PS512" => &signature::RSA_PSS_SHA512,
            other => panic!("{other} is advertised and not tested"),
        };
        let generated = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = generated.as_der().unwrap();
        let pair = signature::RsaKeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        // RSAPublicKey in DER: two headers of four bytes, a zero, then 256 bytes of modulus.
        let modulus = encode(&pair.public_key().as_ref()[9..265]);
        let sign = move |input: &[u8]| {
            let mut signed = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &SystemRandom::new(), input, &mut signed).unwrap();
            signed
        };
        (json!({"kty": "RSA", "n": modulus, "e": "AQAB"}), Box::new(sign))
    }

    #[tokio::test]
    async fn nothing_is_advertised_that_is_not_there() {
        let issuer = Fixture::new();
        let mut metadata = metadata(&issuer).await;
        let members = metadata.as_object_mut().unwrap();
        let mut take = |name: &str| members.shift_remove(name).unwrap_or_default();
        let methods = json!(["private_key_jwt", "client_secret_basic", "client_secret_post"]);
        assert_eq!(take("issuer"), ISSUER);
        assert_eq!(take("response_types_supported"), json!(["code"]));
        assert_eq!(take("code_challenge_methods_supported"), json!(["S256"]));
        assert_eq!(take("authorization_response_iss_parameter_supported"), true);
        assert_eq!(take("client_id_metadata_document_supported"), true);
        let grants = ["authorization_code", "refresh_token", DEVICE_CODE, "client_credentials"];
        assert_eq!(take("grant_types_supported"), json!(grants));
        assert_eq!(take("scopes_supported"), json!(["mcp:read", "mcp:write", "mcp:infer"]));
        let algorithms = take("token_endpoint_auth_signing_alg_values_supported");
        let with_none = json!(["private_key_jwt", "client_secret_basic", "client_secret_post", "none"]);
        assert_eq!(take("token_endpoint_auth_methods_supported"), with_none);
        assert_eq!(take("revocation_endpoint_auth_methods_supported"), with_none);
        assert_eq!(take("introspection_endpoint_auth_methods_supported"), methods);
        for endpoint in ["revocation", "introspection"] {
            assert_eq!(take(&format!("{endpoint}_endpoint_auth_signing_alg_values_supported")), algorithms);
        }
        assert_eq!(take("dpop_signing_alg_values_supported"), algorithms);
        assert!(!algorithms.to_string().contains("HS") && !algorithms.to_string().contains("none"));
        for name in ["token", "registration", "revocation", "introspection", "device_authorization"] {
            let path = take(&format!("{name}_endpoint")).as_str().unwrap().replace(ISSUER, "");
            let status = issuer.send(Method::GET, &path, &[], "").await.status;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{name}");
        }
        let path = take("authorization_endpoint").as_str().unwrap().replace(ISSUER, "");
        assert_eq!(issuer.send(Method::GET, &path, &[], "").await.status, StatusCode::BAD_REQUEST);
        let path = take("jwks_uri").as_str().unwrap().replace(ISSUER, "");
        assert_eq!(issuer.send(Method::GET, &path, &[], "").await.status, StatusCode::OK);
        assert_eq!(members, &mut serde_json::Map::new(), "advertised and not tested");
    }

    #[tokio::test]
    async fn every_advertised_method_and_scope_works_at_every_endpoint() {
        let issuer = Fixture::new();
        let metadata = metadata(&issuer).await;
        let list = |name: &str| -> Vec<String> { serde_json::from_value(metadata[name].clone()).unwrap() };
        let (basic_id, basic_secret) = issuer.registered("client_secret_basic").await;
        let (post_id, post_secret) = issuer.registered("client_secret_post").await;
        // How a public client gets a token is shown where people say yes.
        for method in list("token_endpoint_auth_methods_supported").into_iter().filter(|method| method != "none") {
            let ask = async |path: &str, more: &[(&str, &str)]| match method.as_str() {
                "private_key_jwt" => issuer.local(path, more).await,
                "client_secret_basic" => issuer.with_basic(path, &basic_id, &basic_secret, more).await,
                "client_secret_post" => issuer.with_secret(path, &post_id, &post_secret, more).await,
                other => panic!("{other} is advertised and not tested"),
            };
            for scope in list("scopes_supported") {
                let answer = ask("/token", &[("scope", &scope)]).await;
                assert_eq!(answer.json["scope"], scope);
                let token = answer.json["access_token"].as_str().unwrap();
                assert_eq!(ask("/introspect", &[("token", token)]).await.json["active"], true, "{method}");
                assert_eq!(ask("/revoke", &[("token", token)]).await.status, StatusCode::OK, "{method}");
                assert!(issuer.is_revoked(claims_of(token)["jti"].as_str().unwrap()), "{method}");
            }
        }
    }

    #[tokio::test]
    async fn every_advertised_algorithm_signs_an_assertion() {
        let issuer = Fixture::new();
        let metadata = metadata(&issuer).await;
        for algorithm in metadata["token_endpoint_auth_signing_alg_values_supported"].as_array().unwrap() {
            let (jwk, sign) = key_for(algorithm.as_str().unwrap());
            let wishes = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk]}});
            let registered = issuer.register(&wishes).await;
            let id = registered.json["client_id"].as_str().unwrap();
            let header = json!({ "alg": algorithm }).to_string();
            let claims = issuer.assertion_claims(id).to_string();
            let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            let assertion = format!("{input}.{}", URL_SAFE_NO_PAD.encode(sign(input.as_bytes())));
            let answer = issuer.with_assertion("/token", &assertion, &[]).await;
            assert_eq!(answer.status, StatusCode::OK, "{algorithm}: {}", answer.json);
        }
    }
}
