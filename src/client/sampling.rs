//! The server asks its caller's model: sampling, by a request of 2025 or by an `input_required` of 2026.

use std::pin::Pin;

use serde_json::Value;

/// A future without a name.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers a server that asks for its caller's model.
pub trait Sampler: Send + Sync {
    /// Answers one `sampling/createMessage`, whose params these are, with a text, or with the reason why not.
    fn sample(&self, request: Value) -> BoxFuture<'_, Result<String, String>>;
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use serde_json::Map;

    use super::*;
    use crate::client::{Client, ClientError, Host, testing::World};

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
        let session = client.connect(Host { sampler, ..Host::default() }).await?;
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
