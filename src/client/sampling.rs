//! The server asks its caller's model: sampling, by a request of 2025 or by an `input_required` of 2026.
#![expect(deprecated, reason = "MCP deprecates sampling (SEP-2577); servers of every revision still ask for it")]

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rmcp::{
    ClientHandler,
    model::{
        ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ErrorCode, ErrorData,
        Implementation, ProtocolVersion, SamplingMessage,
    },
    service::{RequestContext, RoleClient},
};
use serde_json::Value;

use super::bearer::Bearer;

/// How often a server may ask for the model in one session: each time the clock for its own answer starts anew.
const MAX_SAMPLINGS: usize = 16;

/// A future without a name.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers a server that asks for its caller's model.
pub trait Sampler: Send + Sync {
    /// Answers one `sampling/createMessage`, whose params these are, with a text, or with the reason why not.
    fn sample(&self, request: Value) -> BoxFuture<'_, Result<String, String>>;
}

/// What the server may ask of us.
#[derive(Clone)]
pub(super) struct Handler {
    sampler: Option<Arc<dyn Sampler>>,
    samplings: Arc<AtomicUsize>,
    bearer: Arc<Bearer>,
}

impl Handler {
    pub(super) fn new(sampler: Option<Arc<dyn Sampler>>, bearer: Arc<Bearer>) -> Self {
        Self { sampler, samplings: Arc::default(), bearer }
    }

    pub(super) fn bearer(&self) -> &Arc<Bearer> {
        &self.bearer
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.sampling = self.sampler.is_some().then(Default::default);
        ClientConfig::new(capabilities, Implementation::new("securemcp", env!("CARGO_PKG_VERSION")))
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let Some(sampler) = &self.sampler else {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "this client has no model to ask", None));
        };
        if self.samplings.fetch_add(1, Ordering::Relaxed) >= MAX_SAMPLINGS {
            return Err(ErrorData::invalid_request(
                format!("more than {MAX_SAMPLINGS} samplings in one session"),
                None,
            ));
        }
        let request = serde_json::to_value(params).expect("it came as JSON");
        let _busy = self.bearer.busy();
        let text = sampler.sample(request).await.map_err(|reason| ErrorData::internal_error(reason, None))?;
        let answer = CreateMessageResult::new(SamplingMessage::assistant_text(text), "sampling-command".to_owned());
        Ok(answer.with_stop_reason(CreateMessageResult::STOP_REASON_END_TURN))
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handler").field("samples", &self.sampler.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Map;

    use super::*;
    use crate::client::{Client, ClientError, testing::World};

    /// Answers with what it was asked.
    struct Parrot;

    impl Sampler for Parrot {
        fn sample(&self, request: Value) -> BoxFuture<'_, Result<String, String>> {
            Box::pin(async move { Ok(format!("you said {}", request["messages"][0]["content"]["text"])) })
        }
    }

    /// Takes longer than anybody waits for a server.
    struct Slow(Duration);

    impl Sampler for Slow {
        fn sample(&self, _request: Value) -> BoxFuture<'_, Result<String, String>> {
            Box::pin(async move {
                tokio::time::sleep(self.0).await;
                Ok("at last".to_owned())
            })
        }
    }

    struct Mute;

    impl Sampler for Mute {
        fn sample(&self, _request: Value) -> BoxFuture<'_, Result<String, String>> {
            Box::pin(async move { Err("no model here".to_owned()) })
        }
    }

    async fn ask(client: &Client, sampler: Option<Arc<dyn Sampler>>) -> Result<String, ClientError> {
        let session = client.connect(sampler).await?;
        let result = session.call_tool("summarize", Map::new()).await;
        session.close().await;
        Ok(result?.content[0].as_text().unwrap().text.clone())
    }

    #[tokio::test]
    async fn the_model_is_asked_in_both_generations() {
        for modern in [true, false] {
            let world = World::new().await;
            world.change(|rules| (rules.modern, rules.samples) = (modern, true));
            let told = ask(&world.client(), Some(Arc::new(Parrot))).await.unwrap();
            assert_eq!(told, "you said \"what?\"", "modern: {modern}");
        }
    }

    #[tokio::test]
    async fn a_model_may_take_longer_than_a_server() {
        for modern in [true, false] {
            let world = World::new().await;
            world.change(|rules| (rules.modern, rules.samples) = (modern, true));
            let client = world.client_with(|settings| settings.timeout = Duration::from_millis(200));
            let told = ask(&client, Some(Arc::new(Slow(Duration::from_millis(500))))).await.unwrap();
            assert_eq!(told, "at last", "modern: {modern}");
        }
    }

    #[tokio::test]
    async fn without_a_model_the_server_is_told() {
        let world = World::new().await;
        world.change(|rules| rules.samples = true);
        let error = ask(&world.client(), None).await.unwrap_err();
        assert!(error.to_string().contains("no model to ask"), "{error}");
        let error = ask(&world.client(), Some(Arc::new(Mute))).await.unwrap_err();
        assert!(error.to_string().contains("no model here"), "{error}");
    }
}
