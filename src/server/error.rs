//! The only map from our errors to HTTP. What a caller reads here never holds a path, a secret, or why exactly a token was
//! refused; that is in the log.

use axum::{
    Json,
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::names::MCP_PATH;
use crate::{
    auth::Denied,
    issuer,
    jose::dpop,
    oauth::{Challenge, ErrorCode, ErrorResponse, Scheme, Scopes},
    store::RedisError,
    tools::Violation,
};

/// JSON-RPC: the body is not JSON.
pub(super) const PARSE_ERROR: i64 = -32700;
/// JSON-RPC: the body is JSON but not a request.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC: there is no such method.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// For refusals that JSON-RPC has no code for (first of the range left to implementations).
pub(super) const REFUSED: i64 = -32000;

/// What a caller without a good token is told to get, and how to send it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) scope: &'a Scopes,
    pub(super) resource_metadata: &'a str,
    /// How the refused token was sent, if there was one.
    pub(super) sent_by: Option<Scheme>,
    /// Whether nothing is taken without a proof of possession.
    pub(super) needs_proof: bool,
}

impl Wanted<'_> {
    /// Whoever has sent a proof, or must, is told of nothing else; others hear that they may (RFC 9449 section 7.1).
    fn challenges(&self, error: Option<&str>, description: Option<&str>) -> Vec<Challenge> {
        let challenge = |scheme| Challenge {
            scheme,
            error: error.map(str::to_owned),
            error_description: description.map(visible),
            scope: Some(self.scope.clone()),
            resource_metadata: Some(self.resource_metadata.to_owned()),
            algs: None,
        };
        if self.needs_proof || self.sent_by == Some(Scheme::Dpop) {
            return vec![Challenge { algs: Some(algorithms()), ..challenge(Scheme::Dpop) }];
        }
        let offer = Challenge { scheme: Scheme::Dpop, algs: Some(algorithms()), ..Challenge::default() };
        vec![challenge(Scheme::Bearer), offer]
    }
}

/// What a header takes (RFC 6750 section 3): a name in other characters must not cost the caller the challenge.
fn visible(text: &str) -> String {
    text.chars().map(|character| if matches!(character, ' '..='~') { character } else { '?' }).collect()
}

/// Those of proofs.
fn algorithms() -> String {
    dpop::algorithm_names().collect::<Vec<_>>().join(" ")
}

/// A refusal: an HTTP status whose body is a JSON-RPC error at `/mcp` and a problem document over REST.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: i64,
    message: String,
    challenges: Vec<Challenge>,
    retry_after_seconds: Option<u64>,
    violations: Vec<Violation>,
}

impl Refusal {
    /// A refusal without challenge.
    pub(super) fn new(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            challenges: Vec::new(),
            retry_after_seconds: None,
            violations: Vec::new(),
        }
    }

    /// 401: no token came, or none that is good (`invalid_token`).
    pub(super) fn unauthorized(wanted: Wanted<'_>) -> Self {
        let (error, message) = match wanted.sent_by {
            Some(_) => (Some("invalid_token"), "the access token is missing, expired, or not for this server"),
            None => (None, "an access token is needed; the WWW-Authenticate header says where to get one"),
        };
        Self::new(StatusCode::UNAUTHORIZED, REFUSED, message).with_challenges(wanted.challenges(error, None))
    }

    /// 401: the token is sent by itself, and this takes one that is bound to a key.
    pub(super) fn proof_needed(operation: &str, wanted: Wanted<'_>) -> Self {
        let message = format!("{operation} takes an access token that is bound to a key, with a proof of it (DPoP)");
        let wanted = Wanted { needs_proof: true, ..wanted };
        let challenges = wanted.challenges(Some("invalid_token"), Some(&message));
        Self::new(StatusCode::UNAUTHORIZED, REFUSED, message).with_challenges(challenges)
    }

    /// 401: of token and proof it is the proof (RFC 9449 section 7.1).
    fn bad_proof(error: &str, message: &'static str, wanted: Wanted<'_>) -> Self {
        let challenges = wanted.challenges(Some(error), Some(message));
        Self::new(StatusCode::UNAUTHORIZED, REFUSED, message).with_challenges(challenges)
    }

    /// 400: more than one token, or one in the query (RFC 6750 section 3.1).
    pub(super) fn ambiguous_token(resource_metadata: &str) -> Self {
        let challenge = Challenge {
            error: Some("invalid_request".to_owned()),
            resource_metadata: Some(resource_metadata.to_owned()),
            ..Challenge::default()
        };
        Self::new(StatusCode::BAD_REQUEST, REFUSED, "send one access token, in one Authorization header")
            .with_challenges(vec![challenge])
    }

    /// 403: a good token without the scopes of this operation. Names all that it needs, not only those missing.
    pub(super) fn insufficient_scope(operation: &str, wanted: Wanted<'_>) -> Self {
        let message = format!("`{operation}` needs scope `{}`", wanted.scope);
        let mut challenges = wanted.challenges(Some("insufficient_scope"), Some(&message));
        // The token is good as it was sent.
        challenges.truncate(1);
        Self::new(StatusCode::FORBIDDEN, REFUSED, message).with_challenges(challenges)
    }

    /// What a refused token becomes.
    pub(super) fn denied(denied: &Denied, wanted: Wanted<'_>) -> Self {
        match denied {
            Denied::Malformed | Denied::Refused(_) | Denied::Revoked => Self::unauthorized(wanted),
            Denied::ProofNeeded => Self::proof_needed("this server", wanted),
            Denied::BadProof(_) | Denied::ProofReplayed => {
                let message = "the DPoP proof is not good for this request; each request needs one of its own";
                Self::bad_proof("invalid_dpop_proof", message, wanted)
            }
            Denied::NonceNeeded => {
                let message = "the DPoP proof needs the nonce in the DPoP-Nonce header";
                Self::bad_proof("use_dpop_nonce", message, wanted)
            }
            Denied::ClientNotAllowed(_) => {
                Self::new(StatusCode::FORBIDDEN, REFUSED, "this client is not allowed at this server")
            }
            Denied::KeysUnavailable | Denied::IntrospectionUnavailable | Denied::ProofsUnavailable => Self {
                retry_after_seconds: Some(5),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    REFUSED,
                    "tokens cannot be checked at the moment; keep the token and try again",
                )
            },
        }
    }

    /// 503: Redis, which has the sessions, does not answer.
    pub(super) fn sessions_unavailable() -> Self {
        let message = "sessions are not available at the moment; keep this one and try again";
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, REFUSED, message);
        Self { retry_after_seconds: Some(1), ..refusal }
    }

    /// 503: Redis, which has the tasks of other replicas, does not answer.
    pub(super) fn tasks_unavailable(error: &RedisError) -> Self {
        tracing::debug!(%error, "a task is not available");
        let message = "tasks are not available at the moment; keep this one and try again";
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, REFUSED, message);
        Self { retry_after_seconds: Some(1), ..refusal }
    }

    /// 429: the caller has as many sessions as it may.
    pub(super) fn too_many_sessions(message: &str) -> Self {
        Self { retry_after_seconds: Some(60), ..Self::new(StatusCode::TOO_MANY_REQUESTS, REFUSED, message) }
    }

    /// 429: an address, a client or a user comes too often.
    pub(super) fn too_many_requests(scope: &str, retry_after_seconds: u64) -> Self {
        let message = format!("too many requests of this {scope}; wait for the time in Retry-After");
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, REFUSED, message);
        Self { retry_after_seconds: Some(retry_after_seconds), ..refusal }
    }

    /// 429: answers to this user hold all the memory that there is for it.
    pub(super) fn too_much_unread() -> Self {
        let message =
            "too many answers to this user wait to be read; read them or close their connections, and try again";
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, REFUSED, message);
        Self { retry_after_seconds: Some(1), ..refusal }
    }

    /// 422: arguments that do not fit, over REST.
    pub(super) fn unfit_arguments(violations: Vec<Violation>) -> Self {
        let message = "the arguments do not fit the tool";
        Self { violations, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, REFUSED, message) }
    }

    fn with_challenges(self, challenges: Vec<Challenge>) -> Self {
        Self { challenges, ..self }
    }

    /// The answer at `/mcp`, correlated with the request's `id` if that is known.
    pub(super) fn with_id(self, id: Option<&serde_json::value::RawValue>) -> Response<Body> {
        let body = json!({"jsonrpc": "2.0", "id": id, "error": {"code": self.code, "message": self.message}});
        let response = (self.status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        self.with_headers(response)
    }

    /// The answer over REST. What is wrong with the arguments is named as in the example of RFC 9457 section 3.
    pub(super) fn into_problem(self) -> Response<Body> {
        let mut document = document(self.status, &self.message);
        if !self.violations.is_empty() {
            let error = |violation: &Violation| json!({"pointer": violation.path, "detail": violation.message});
            document["errors"] = self.violations.iter().map(error).collect();
        }
        let response = problem_of(self.status, &document);
        self.with_headers(response)
    }

    /// The answer at a path that the request has not been led to yet.
    pub(super) fn at(self, path: &str) -> Response<Body> {
        match path {
            MCP_PATH => self.with_id(None),
            _ if issuer::is_endpoint(path) => self.into_oauth(),
            _ => self.into_problem(),
        }
    }

    /// The answer at an endpoint of the embedded issuer. OAuth has no code for a caller who comes too often; this one
    /// says to come back.
    fn into_oauth(self) -> Response<Body> {
        let body =
            ErrorResponse { error: ErrorCode::TemporarilyUnavailable, error_description: Some(self.message.clone()) };
        let response = (self.status, Json(body)).into_response();
        self.with_headers(response)
    }

    fn with_headers(self, mut response: Response<Body>) -> Response<Body> {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A line for each: some clients read the first one only.
        for challenge in self.challenges.iter().filter_map(|one| HeaderValue::try_from(one.to_string()).ok()) {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        self.with_id(None)
    }
}

/// An RFC 9457 problem document, for everything that is neither MCP nor OAuth.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    problem_of(status, &document(status, detail))
}

fn document(status: StatusCode, detail: &str) -> Value {
    let title = status.canonical_reason().unwrap_or_default();
    json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail})
}

fn problem_of(status: StatusCode, document: &Value) -> Response<Body> {
    (status, [(header::CONTENT_TYPE, "application/problem+json")], document.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_name_of_what_is_refused_the_challenge_is_there() {
        let scope = Scopes::parse("mcp:write").unwrap();
        let resource_metadata = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
        let wanted = Wanted { scope: &scope, resource_metadata, sent_by: Some(Scheme::Bearer), needs_proof: false };
        for (name, said) in
            [("add", "add"), ("notes://tag/naïve", "notes://tag/na?ve"), ("a\r\nb: c\u{7f}\u{1f980}", "a??b: c??")]
        {
            for refusal in [Refusal::insufficient_scope(name, wanted), Refusal::proof_needed(name, wanted)] {
                let response = refusal.with_id(None);
                let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
                let challenges: Vec<_> = challenges.iter().map(|one| one.to_str().unwrap()).collect();
                assert_eq!(challenges.len(), 1, "{name:?}: {challenges:?}");
                assert!(
                    challenges[0].contains(said) && challenges[0].contains(r#"scope="mcp:write""#),
                    "{challenges:?}"
                );
            }
        }
    }
}
