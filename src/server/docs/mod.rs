//! `/docs`: a page to read about the tools and to try them. Everything on it comes from `/openapi.json`.

use std::sync::{Arc, LazyLock};

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};

use super::{App, asset::Asset, error::problem, layers::ResourceIndex};
use crate::oauth::{Issuer, RedirectUri, Resource};

static PAGE: LazyLock<Asset> = LazyLock::new(|| Asset::new("text/html; charset=utf-8", include_str!("page.html")));

/// What the page loads, by name.
static FILES: LazyLock<[(&str, Asset); 8]> = LazyLock::new(|| {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    [
        ("page.css", Asset::new("text/css; charset=utf-8", include_str!("page.css"))),
        ("page.js", Asset::new(SCRIPT, include_str!("page.js"))),
        ("login.js", Asset::new(SCRIPT, include_str!("login.js"))),
        ("form.js", Asset::new(SCRIPT, include_str!("form.js"))),
        ("answer.js", Asset::new(SCRIPT, include_str!("answer.js"))),
        ("curl.js", Asset::new(SCRIPT, include_str!("curl.js"))),
        ("dom.js", Asset::new(SCRIPT, include_str!("dom.js"))),
        ("icon.svg", Asset::new("image/svg+xml", include_str!("icon.svg"))),
    ]
});

/// What the page of this resource may do: scripts and styles of this server only, requests to this server only and to the
/// `issuer` that it logs in at, no markup made out of strings.
pub(super) fn policy(resource: &Resource, issuer: Option<&Issuer>) -> HeaderValue {
    let origin = |url: url::Url| url.origin().ascii_serialization();
    let elsewhere = issuer.map(|issuer| origin(issuer.url())).filter(|issuer| *issuer != origin(resource.url()));
    let elsewhere = elsewhere.map(|issuer| format!(" {issuer}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{elsewhere}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    );
    HeaderValue::try_from(policy).expect("an origin is visible ASCII")
}

/// Where the issuer sends people back to the page of this resource.
pub(super) fn redirect_uri(resource: &Resource) -> Option<RedirectUri> {
    let page = resource.url().join("docs").ok()?;
    RedirectUri::parse(page.as_str()).ok()
}

/// `GET /docs`.
pub(super) async fn page(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let mut response = PAGE.answer(&parts.headers);
    let policy = app.documents.docs_policy(ResourceIndex::of(&parts));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// `GET /docs/{file}`.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    match FILES.iter().find(|(file, _)| *file == name) {
        Some((_, asset)) => asset.answer(&headers),
        None => problem(StatusCode::NOT_FOUND, "there is nothing at this path"),
    }
}
