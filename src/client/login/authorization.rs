//! What is asked of the authorization endpoint, and what counts as its answer: RFC 6749 section 4.1 with PKCE
//! (RFC 7636), `resource` (RFC 8707) and `iss` (RFC 9207).

use url::{Url, form_urlencoded};

use super::error::{Abandoned, LOGIN, LoginError};
use crate::{
    client::{ClientError, error::said},
    oauth::{
        ErrorCode, ErrorResponse, Issuer, Resource, Scopes, ServerMetadata,
        pkce::{S256, Verifier},
    },
    secret::{Secret, constant_time_eq},
};

/// One login: what was sent, for comparison with what comes back.
#[derive(Debug)]
pub(super) struct Authorization {
    issuer: Issuer,
    /// Whether every answer of this issuer names it (RFC 9207 section 3).
    names_itself: bool,
    endpoint: Url,
    /// Where the answer comes to.
    pub(super) redirect_uri: String,
    state: Secret,
    /// Proves at the token endpoint that the code was asked for here.
    pub(super) verifier: Verifier,
}

impl Authorization {
    /// A login at this endpoint, which was checked.
    pub(super) fn new(issuer: &ServerMetadata, endpoint: Url, redirect_uri: String) -> Self {
        Self {
            issuer: issuer.issuer.clone(),
            names_itself: issuer.authorization_response_iss_parameter_supported,
            endpoint,
            redirect_uri,
            state: Secret::random(),
            verifier: Verifier::random(),
        }
    }

    /// Where the person logs in.
    pub(super) fn page(&self, client_id: &str, resource: &Resource, scopes: Option<&Scopes>) -> Url {
        let mut page = self.endpoint.clone();
        {
            let mut query = page.query_pairs_mut();
            query.append_pair("response_type", "code").append_pair("client_id", client_id);
            query.append_pair("redirect_uri", &self.redirect_uri).append_pair("state", self.state.expose());
            query.append_pair("code_challenge", self.verifier.challenge().as_str());
            query.append_pair("code_challenge_method", S256).append_pair("resource", resource.as_str());
            if let Some(scopes) = scopes {
                query.append_pair("scope", &scopes.to_string());
            }
        }
        page
    }

    /// The code in an answer, the query of the address that the person was sent back to.
    ///
    /// # Errors
    /// [`LoginError::NotOurs`] if it is not the answer of this issuer to this login: then nothing of it is shown;
    /// [`LoginError::Abandoned`] if the person said no; [`ClientError::Refused`] if the issuer did.
    pub(super) fn code(&self, query: &str) -> Result<Secret, ClientError> {
        let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let one = |name: &'static str| {
            let mut found = parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
            let first = found.next().filter(|value| !value.is_empty());
            // Which of two is meant is nobody's to guess (RFC 6749 section 3.1).
            if found.next().is_some() { Err(not_ours(format!("it has `{name}` twice"))) } else { Ok(first) }
        };
        let is_ours =
            one("state")?.is_some_and(|state| constant_time_eq(state.as_bytes(), self.state.expose().as_bytes()));
        if !is_ours {
            return Err(not_ours("its `state` is not the one that was sent along"));
        }
        match one("iss")? {
            Some(named) if named != self.issuer.as_str() => {
                return Err(not_ours(format!("its `iss` is not `{}`", self.issuer)));
            }
            None if self.names_itself => {
                return Err(not_ours(format!("it has no `iss`, which `{}` says it always sends", self.issuer)));
            }
            _ => {}
        }
        if let Some(error) = one("error")? {
            return Err(self.refusal(error, one("error_description")?));
        }
        one("code")?.map(Secret::new).ok_or_else(|| not_ours("it has neither `code` nor `error`"))
    }

    fn refusal(&self, error: &str, description: Option<&str>) -> ClientError {
        let code = serde_json::from_value(error.into()).unwrap_or_else(|_| ErrorCode::Other(error.to_owned()));
        let answer = ErrorResponse { error: code.clone(), error_description: description.map(str::to_owned) };
        let answer = said(&answer.to_string());
        if code == ErrorCode::AccessDenied {
            return LoginError::Abandoned(Abandoned::Denied(answer)).into();
        }
        let mut url = self.endpoint.clone();
        url.set_query(None);
        ClientError::Refused { action: LOGIN, url: url.to_string(), answer, code, retry_after: None }
    }
}

fn not_ours(problem: impl Into<String>) -> ClientError {
    LoginError::NotOurs { problem: problem.into() }.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::{Kind, testing::field};

    const ISSUER: &str = "https://auth.example/realms/a";

    fn login(names_itself: bool) -> Authorization {
        let metadata = json!({
            "issuer": ISSUER,
            "authorization_response_iss_parameter_supported": names_itself,
        });
        let metadata: ServerMetadata = serde_json::from_value(metadata).unwrap();
        let endpoint = Url::parse("https://auth.example/authorize?kc=1").unwrap();
        Authorization::new(&metadata, endpoint, "http://127.0.0.1:1234/callback".to_owned())
    }

    fn answer(parameters: &[(&str, &str)]) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
    }

    #[test]
    fn the_page_is_asked_for_a_code_for_this_resource_with_pkce() {
        let login = login(true);
        let resource = Resource::parse("https://mcp.example/mcp").unwrap();
        let page = login.page("cli", &resource, Some(&Scopes::parse("mcp:read mcp:write").unwrap()));
        let query = page.query().unwrap();
        assert_eq!(&page[..url::Position::AfterPath], "https://auth.example/authorize");
        for (name, value) in [
            ("kc", "1"),
            ("response_type", "code"),
            ("client_id", "cli"),
            ("redirect_uri", "http://127.0.0.1:1234/callback"),
            ("code_challenge_method", "S256"),
            ("code_challenge", login.verifier.challenge().as_str()),
            ("resource", "https://mcp.example/mcp"),
            ("scope", "mcp:read mcp:write"),
            ("state", login.state.expose()),
        ] {
            assert_eq!(field(query, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(field(login.page("cli", &resource, None).query().unwrap(), "scope"), None);
        assert_eq!(login.state.expose().len(), 43, "256 bits");
        assert!(!query.contains(login.verifier.secret().expose()));
    }

    #[test]
    fn c05_only_the_answer_to_this_login_is_one() {
        let login = login(false);
        let state = login.state.expose();
        assert_eq!(login.code(&answer(&[("code", "c0de"), ("state", state)])).unwrap().expose(), "c0de", "the twin");
        for bad in [
            answer(&[("code", "c0de"), ("state", "another")]),
            answer(&[("code", "c0de"), ("state", &state.to_lowercase())]),
            answer(&[("code", "c0de"), ("state", "")]),
            answer(&[("code", "c0de")]),
            answer(&[("code", "c0de"), ("state", state), ("state", state)]),
            answer(&[("code", "c0de"), ("code", "other"), ("state", state)]),
            answer(&[("state", state)]),
            answer(&[("error", "access_denied"), ("error_description", "hush"), ("state", "another")]),
            String::new(),
        ] {
            let error = login.code(&bad).unwrap_err();
            assert!(matches!(error, ClientError::Login(LoginError::NotOurs { .. })), "{bad}: {error}");
            assert_eq!(error.kind(), Kind::NotAuthenticated);
            assert!(!format!("{error}{error:?}").contains("hush"), "{error}");
        }
    }

    #[test]
    fn c05_the_issuer_in_an_answer_is_the_one_that_was_asked_byte_for_byte() {
        for (names_itself, named, is_good) in [
            (true, Some(ISSUER), true),
            (false, Some(ISSUER), true),
            (false, None, true),
            (true, None, false),
            (true, Some("https://evil.example"), false),
            (false, Some("https://evil.example"), false),
            (true, Some("https://auth.example/realms/a/"), false),
            (true, Some("https://AUTH.example/realms/a"), false),
            (true, Some("https://auth.example:443/realms/a"), false),
            (true, Some(""), false),
        ] {
            let login = login(names_itself);
            let state = login.state.expose().to_owned();
            let iss = named.map(|named| ("iss", named));
            for outcome in [("code", "c0de"), ("error", "server_error")] {
                let mut parameters = vec![outcome, ("error_description", "hush"), ("state", state.as_str())];
                parameters.extend(iss);
                match (login.code(&answer(&parameters)), is_good, outcome.0) {
                    (Ok(code), true, "code") => assert_eq!(code.expose(), "c0de"),
                    (Err(ClientError::Refused { answer, .. }), true, "error") => assert!(answer.contains("hush")),
                    (Err(error @ ClientError::Login(LoginError::NotOurs { .. })), false, _) => {
                        assert!(!format!("{error}{error:?}").contains("hush"), "{error}");
                        assert!(!error.to_string().contains("evil"), "{error}");
                    }
                    (other, ..) => panic!("{named:?} {outcome:?}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let login = login(false);
        let refused = |error: &str| {
            let answer =
                answer(&[("error", error), ("error_description", "\u{1b}[31m"), ("state", login.state.expose())]);
            login.code(&answer).unwrap_err()
        };
        let denied = refused("access_denied");
        assert!(matches!(denied, ClientError::Login(LoginError::Abandoned(_))), "{denied}");
        assert_eq!(denied.kind(), Kind::NotAuthenticated);
        for (code, kind) in [
            ("invalid_scope", Kind::NotPermitted),
            ("server_error", Kind::Unreachable),
            ("unauthorized_client", Kind::NotAuthenticated),
            ("login_required", Kind::NotAuthenticated),
        ] {
            let error = refused(code);
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.to_string().contains(code) && !error.to_string().contains('\u{1b}'), "{error}");
        }
    }
}
