//! The page that a browser ends at after a login: plain, readable in the dark, without scripts and without anybody
//! else's resources.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;

const STYLE: &str = "\
:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}\
main{max-width:32rem;margin:1.5rem;padding:2rem;border-radius:.75rem;\
border:1px solid color-mix(in srgb,CanvasText 25%,transparent)}\
h1{margin:0 0 .5rem;font-size:1.35rem}\
p{margin:.5rem 0;overflow-wrap:anywhere}\
.name{font-weight:600;letter-spacing:.02em;opacity:.75}";

/// What to say to whom a browser asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) heading: &'static str,
    /// As it is; escaped here.
    pub(super) text: String,
}

impl Page {
    /// The login came back.
    pub(super) fn received() -> Self {
        let text = "You can close this page and go back to the terminal.".to_owned();
        Self { status: StatusCode::OK, heading: "Your login has arrived", text }
    }

    /// It came back, and is no good.
    pub(super) fn failed(problem: &str) -> Self {
        let text = format!("{problem}. Go back to the terminal: it says what to do.");
        Self { status: StatusCode::BAD_REQUEST, heading: "This login did not work", text }
    }

    /// Nothing that belongs to the login.
    pub(super) fn nothing(status: StatusCode) -> Self {
        let text = "A command waits at this address for the end of a login, and for nothing else.".to_owned();
        Self { status, heading: "Nothing here", text }
    }

    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let (heading, text) = (self.heading, escaped(&self.text));
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{heading} - securemcp</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<p class=\"name\">securemcp</p>\n<h1>{heading}</h1>\n\
             <p>{text}</p>\n</main>\n</body>\n</html>\n"
        );
        let response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, policy)
            .header(header::X_FRAME_OPTIONS, "DENY")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::REFERRER_POLICY, "no-referrer")
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::CONNECTION, "close");
        response.body(Full::new(Bytes::from(html))).expect("headers of our own")
    }
}

/// Text that HTML takes for text, also in attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn c11_what_strangers_say_is_text_on_the_page() {
        let page = Page::failed("<img src=x onerror=alert(1)> & \"quoted\" 'so'");
        let response = page.response();
        assert_eq!(response.status(), 400);
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let html = std::str::from_utf8(&body).unwrap();
        assert!(html.contains("&lt;img src=x onerror=alert(1)&gt; &amp; &quot;quoted&quot; &#39;so&#39;"), "{html}");
        assert!(!html.contains("<img") && !html.contains("<script"), "{html}");
    }
}
