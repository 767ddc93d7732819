//! Somebody at a browser without scripts: follows nothing by itself, keeps one cookie, presses buttons.

use reqwest::{Response, header, redirect};
use url::Url;

/// What our own pages are sent with, by a browser that they forbid to say where it is.
const OF_A_FORM: [(&str, &str); 2] = [("origin", "null"), ("sec-fetch-site", "same-origin")];

pub(crate) struct Browser {
    http: reqwest::Client,
    origin: String,
    cookie: Option<String>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: header::HeaderMap,
    pub(crate) text: String,
}

impl Browser {
    /// At the pages of this origin.
    pub(crate) fn at(origin: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).no_proxy().build().expect("a client");
        Self { http, origin: origin.to_owned(), cookie: None }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        let request = self.http.get(format!("{}{path}", self.origin));
        self.send(request).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut request = self.http.post(format!("{}{path}", self.origin)).form(fields);
        for (name, value) in OF_A_FORM {
            request = request.header(name, value);
        }
        self.send(request).await
    }

    /// Logs in and says yes; where the person is sent.
    pub(crate) async fn allow(&mut self, path: &str, user: &str, password: &str) -> Url {
        let mut page = self.get(path).await;
        if page.text.contains("name=\"password\"") {
            let (about, form) = page.hidden();
            let fields = [("about", about.as_str()), ("form", &form), ("user", user), ("password", password)];
            assert_eq!(self.post("/login", &fields).await.location(), path);
            page = self.get(path).await;
        }
        let (about, form) = page.hidden();
        let answer = self.post("/consent", &[("about", &about), ("form", &form), ("decision", "allow")]).await;
        Url::parse(answer.location()).expect("a URL")
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Page {
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let answer: Response = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        if let Some(cookie) = headers.get(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("ASCII");
            self.cookie = Some(cookie.split(';').next().unwrap_or_default().to_owned());
        }
        Page { status, headers, text: answer.text().await.expect("a body") }
    }
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII")).unwrap_or_default()
    }

    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.header("location")
    }

    /// The hidden fields of its form.
    pub(crate) fn hidden(&self) -> (String, String) {
        let field = |name: &str| {
            let begin = format!("name=\"{name}\" value=\"");
            let (_, rest) = self.text.split_once(&begin).unwrap_or_else(|| panic!("no form: {}", self.text));
            rest.split('"').next().expect("a part").replace("&amp;", "&")
        };
        (field("about"), field("form"))
    }
}
