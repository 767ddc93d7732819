//! `/docs`: a page to read about the tools and to try them. Everything on it comes from `/openapi.json`.

use std::sync::LazyLock;

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};

use super::{asset::Asset, error::problem};

/// Scripts and styles of this server only, requests to this server only, no markup made out of strings.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

static PAGE: LazyLock<Asset> = LazyLock::new(|| Asset::new("text/html; charset=utf-8", include_str!("page.html")));

/// What the page loads, by name.
static FILES: LazyLock<[(&str, Asset); 7]> = LazyLock::new(|| {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    [
        ("page.css", Asset::new("text/css; charset=utf-8", include_str!("page.css"))),
        ("page.js", Asset::new(SCRIPT, include_str!("page.js"))),
        ("form.js", Asset::new(SCRIPT, include_str!("form.js"))),
        ("answer.js", Asset::new(SCRIPT, include_str!("answer.js"))),
        ("curl.js", Asset::new(SCRIPT, include_str!("curl.js"))),
        ("dom.js", Asset::new(SCRIPT, include_str!("dom.js"))),
        ("icon.svg", Asset::new("image/svg+xml", include_str!("icon.svg"))),
    ]
});

/// `GET /docs`.
pub(super) async fn page(headers: HeaderMap) -> Response<Body> {
    let mut response = PAGE.answer(&headers);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    response
}

/// `GET /docs/{file}`.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    match FILES.iter().find(|(file, _)| *file == name) {
        Some((_, asset)) => asset.answer(&headers),
        None => problem(StatusCode::NOT_FOUND, "there is nothing at this path"),
    }
}
