//! The network between two programs, as Toxiproxy has it: cut, or silent, or slow.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Service, foreign::installed, free_port};

/// A way to a server that something can be wrong with.
#[derive(Debug)]
pub(crate) struct Toxiproxy {
    /// Where the way begins.
    pub(crate) port: u16,
    api: String,
    http: reqwest::Client,
    _service: Service,
    _home: TempDir,
}

impl Toxiproxy {
    /// To this port.
    pub(crate) async fn to(to: u16) -> Self {
        let (home, port, api_port) = (tempfile::tempdir().expect("a directory"), free_port(), free_port());
        let mut command = Command::new(installed("toxiproxy"));
        command.args(["-host", "127.0.0.1", "-port", &api_port.to_string()]).env_clear();
        let service = Service::start(command, home.path(), api_port).ready(api_port, "/version", 200);
        let api = format!("http://127.0.0.1:{api_port}/proxies");
        let http =
            securemcp::net::plain_client(&securemcp::net::Options::with_timeout(std::time::Duration::from_secs(10)));
        let proxy = Self { port, api, http: http.expect("a client"), _service: service, _home: home };
        let way = json!({"name": "way", "enabled": true, "listen": format!("127.0.0.1:{port}"),
            "upstream": format!("127.0.0.1:{to}")});
        proxy.post("", &way).await;
        proxy
    }

    /// Ends every connection and takes no more, or takes them again.
    pub(crate) async fn cut(&self, is_cut: bool) {
        self.post("/way", &json!({ "enabled": !is_cut })).await;
    }

    /// Lets connections be, and nothing come through in either direction.
    pub(crate) async fn swallow(&self) {
        for stream in ["upstream", "downstream"] {
            self.post("/way/toxics", &json!({"type": "timeout", "stream": stream, "attributes": {"timeout": 0}})).await;
        }
    }

    /// Makes everything that comes back wait for so long.
    pub(crate) async fn delay(&self, milliseconds: u64) {
        let toxic = json!({"type": "latency", "stream": "downstream", "attributes": {"latency": milliseconds}});
        self.post("/way/toxics", &toxic).await;
    }

    /// Takes away what is wrong.
    pub(crate) async fn heal(&self) {
        for toxic in ["timeout_upstream", "timeout_downstream", "latency_downstream"] {
            let _ = self.http.delete(format!("{}/way/toxics/{toxic}", self.api)).send().await;
        }
    }

    async fn post(&self, path: &str, body: &Value) {
        let request = self.http.post(format!("{}{path}", self.api)).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }
}
