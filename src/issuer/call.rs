//! One request at an endpoint of the issuer, before anything in it is believed.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use url::form_urlencoded;

use super::{MaxBodyBytes, RouteError, Sender, client_auth::Credentials};
use crate::{
    net::read_body,
    secret::Secret,
    telemetry::audit::{Event, record},
};

/// Longest name of a client in an audit event, in characters: it may be anybody's text.
const MAX_CLAIMED_NAME: usize = 64;
/// Parameters of one form: no request has a quarter of them, and a megabyte would hold hundreds of thousands.
const MAX_PARAMETERS: usize = 100;

/// What was sent: headers, the body, and whether there was anything in the query.
pub(super) struct Call {
    headers: HeaderMap,
    has_query: bool,
    sender: Option<Sender>,
    body: Bytes,
    /// What the body is as a form, or why it is none, once somebody has asked: the log asks again.
    form: OnceLock<Result<Arc<Form>, &'static str>>,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = RouteError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let has_query = parts.uri.query().is_some_and(|query| !query.is_empty());
        let sender = parts.extensions.get().copied();
        let MaxBodyBytes(max_bytes) = parts.extensions.get().copied().unwrap_or_default();
        let headers = parts.headers;
        let body = read_body(&headers, body, max_bytes).await?;
        Ok(Self { headers, has_query, sender, body, form: OnceLock::new() })
    }
}

impl Call {
    /// Where it comes from, as far as anybody said.
    pub(super) const fn sender(&self) -> Option<Sender> {
        self.sender
    }

    /// The headers.
    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body as a form.
    pub(super) fn form(&self) -> Result<Arc<Form>, RouteError> {
        self.form.get_or_init(|| self.read_form().map(Arc::new)).clone().map_err(RouteError::InvalidRequest)
    }

    fn read_form(&self) -> Result<Form, &'static str> {
        self.check_plain()?;
        if !self.has_media_type("application/x-www-form-urlencoded") {
            return Err("send the parameters as a form: Content-Type application/x-www-form-urlencoded");
        }
        Form::parse(&self.body)
    }

    /// The body as JSON text.
    pub(super) fn json(&self) -> Result<&[u8], RouteError> {
        self.check_plain().map_err(RouteError::InvalidRequest)?;
        if !self.has_media_type("application/json") {
            return Err(RouteError::InvalidRequest("send the metadata as JSON: Content-Type application/json"));
        }
        Ok(&self.body)
    }

    /// The one `Authorization` header.
    pub(super) fn authorization(&self) -> Result<Option<&str>, RouteError> {
        let mut values = self.headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next();
        if values.next().is_some() {
            return Err(RouteError::InvalidRequest("there is more than one Authorization header; send one"));
        }
        match value.map(http::HeaderValue::to_str) {
            Some(Err(_)) => Err(RouteError::InvalidRequest("the Authorization header is not ASCII")),
            Some(Ok(text)) => Ok(Some(text)),
            None => Ok(None),
        }
    }

    /// The bearer token; an empty one is none.
    pub(super) fn bearer(&self) -> Result<Option<Secret>, RouteError> {
        let token = self.authorization()?.and_then(|value| credentials_of("bearer", value));
        Ok(token.map(Secret::new))
    }

    /// Passes a refusal on, and leaves it in the audit log.
    pub(super) fn refused(&self, endpoint: &str, error: RouteError) -> RouteError {
        let client: String = self.claimed_client().chars().take(MAX_CLAIMED_NAME).collect();
        let reason = format!("{}: {error}", error.code());
        record(Event::IssuerRefused { endpoint, client: &client, reason: &reason });
        error
    }

    fn claimed_client(&self) -> String {
        let credentials = self.form().and_then(|form| Credentials::read(self, &form));
        credentials.map(|credentials| credentials.client_id().to_owned()).unwrap_or_default()
    }

    /// A URL ends up in logs and histories; nothing of a request belongs there. And nothing is decompressed.
    fn check_plain(&self) -> Result<(), &'static str> {
        if self.has_query {
            return Err("parameters belong into the body, not into the URL");
        }
        if self.headers.contains_key(header::CONTENT_ENCODING) {
            return Err("the body is not decompressed here; send it without Content-Encoding");
        }
        Ok(())
    }

    fn has_media_type(&self, expected: &str) -> bool {
        let value = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.split(';').next()).is_some_and(|kind| kind.trim().eq_ignore_ascii_case(expected))
    }
}

/// What follows the scheme in an `Authorization` header, if it is this scheme's and not empty.
pub(super) fn credentials_of<'a>(scheme: &str, value: &'a str) -> Option<&'a str> {
    let (found, credentials) = value.split_once(' ')?;
    let credentials = credentials.trim();
    (found.eq_ignore_ascii_case(scheme) && !credentials.is_empty()).then_some(credentials)
}

/// The parameters of a form or a query.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// No parameter may be there twice (RFC 6749 section 3.2), except `resource` (RFC 8707 section 2).
    ///
    /// # Errors
    /// One is, or there are too many, behind which nothing is read; in words for the caller.
    pub(super) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let mut rest = form_urlencoded::parse(body).into_owned();
        let parameters: Vec<(String, String)> = rest.by_ref().take(MAX_PARAMETERS).collect();
        if rest.next().is_some() {
            return Err("there are too many parameters");
        }
        let mut names = HashSet::new();
        if !parameters.iter().filter(|(name, _)| name != "resource").all(|(name, _)| names.insert(name)) {
            return Err("a parameter is there twice; send each once");
        }
        Ok(Self(parameters))
    }

    /// The parameter's value. An empty one counts as absent (RFC 6749 section 3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(other, value)| other == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_parameters_are_absent_and_doubled_ones_refused() {
        let form = Form::parse(b"a=1&b=&resource=x&resource=y").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), None, None));
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        for doubled in ["a=1&a=1", "a=1&a=", "%61=1&a=2"] {
            assert!(Form::parse(doubled.as_bytes()).is_err(), "{doubled}");
        }
    }

    #[test]
    fn a_form_of_many_parameters_is_not_read_to_its_end() {
        let form = |count: usize| (0..count).map(|number| format!("p{number}=x")).collect::<Vec<_>>().join("&");
        let whole = Form::parse(form(MAX_PARAMETERS).as_bytes()).unwrap();
        assert_eq!(whole.get("p99"), Some("x"), "the twin");
        for count in [MAX_PARAMETERS + 1, 200_000] {
            // What is doubled stands behind what is read.
            let refused = Form::parse(format!("{}&p0=x", form(count)).as_bytes()).err();
            assert_eq!(refused, Some("there are too many parameters"), "{count}");
        }
    }

    #[test]
    fn an_empty_credential_is_none() {
        assert_eq!(credentials_of("bearer", "BEARER x"), Some("x"));
        for none in ["Bearer", "Bearer ", "Bearer   ", "Basic x", ""] {
            assert_eq!(credentials_of("bearer", none), None, "{none}");
        }
    }
}
