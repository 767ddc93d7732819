//! What people pick to start with.

use schemars::JsonSchema;
use securemcp::{
    call::{Begun, CallContext},
    model::{ContentBlock, PromptMessage, ResourceContents, Role},
    prompts::{Prompt, PromptError},
};
use serde::Deserialize;

use crate::content::{IMAGE, Nothing};

fn said(text: impl Into<String>) -> PromptMessage {
    PromptMessage::new_text(Role::User, text)
}

/// Takes nothing.
pub(crate) struct Simple;

impl Prompt for Simple {
    type Arguments = Nothing;

    const NAME: &'static str = "test_simple_prompt";
    const DESCRIPTION: &'static str = "A prompt without arguments.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];

    async fn get(&self, _: Nothing, _: &CallContext) -> Result<Vec<PromptMessage>, PromptError> {
        Ok(vec![said("This is a simple prompt for testing.")])
    }
}

/// Takes two arguments.
pub(crate) struct WithArguments;

/// Two of them.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Two {
    /// The first.
    arg1: String,
    /// The second.
    arg2: String,
}

impl Prompt for WithArguments {
    type Arguments = Two;

    const NAME: &'static str = "test_prompt_with_arguments";
    const DESCRIPTION: &'static str = "A prompt with arguments.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];
    const COMPLETES: bool = true;

    async fn get(&self, Two { arg1, arg2 }: Two, _: &CallContext) -> Result<Vec<PromptMessage>, PromptError> {
        Ok(vec![said(format!("Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))])
    }

    async fn complete(&self, begun: &Begun, _: &CallContext) -> Vec<String> {
        let values = ["hello", "test", "world"].into_iter().filter(|value| value.starts_with(&begun.value));
        values.map(str::to_owned).collect()
    }
}

/// Brings a resource along.
pub(crate) struct WithResource;

/// Which resource.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Which {
    /// Its URI.
    resource_uri: String,
}

impl Prompt for WithResource {
    type Arguments = Which;

    const NAME: &'static str = "test_prompt_with_embedded_resource";
    const DESCRIPTION: &'static str = "A prompt with a resource.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];

    async fn get(&self, which: Which, _: &CallContext) -> Result<Vec<PromptMessage>, PromptError> {
        let resource = ResourceContents::text("Embedded resource content for testing.", which.resource_uri);
        let resource = PromptMessage::new(Role::User, ContentBlock::resource(resource));
        Ok(vec![resource, said("Please process the embedded resource above.")])
    }
}

/// Brings an image along.
pub(crate) struct WithImage;

impl Prompt for WithImage {
    type Arguments = Nothing;

    const NAME: &'static str = "test_prompt_with_image";
    const DESCRIPTION: &'static str = "A prompt with an image.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];

    async fn get(&self, _: Nothing, _: &CallContext) -> Result<Vec<PromptMessage>, PromptError> {
        let image = PromptMessage::new(Role::User, ContentBlock::image(IMAGE, "image/png"));
        Ok(vec![image, said("Please analyze the image above.")])
    }
}

/// Asks before it answers.
pub(crate) struct Asking;

#[derive(Deserialize, JsonSchema)]
struct Context {
    context: String,
}

impl Prompt for Asking {
    type Arguments = Nothing;

    const NAME: &'static str = "test_input_required_result_prompt";
    const DESCRIPTION: &'static str = "A prompt that asks for its context.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];
    const ASKS: bool = true;

    async fn get(&self, _: Nothing, context: &CallContext) -> Result<Vec<PromptMessage>, PromptError> {
        let question = "What context should the prompt use?";
        let Context { context } = context.ask.elicit("user_context", question).await?;
        Ok(vec![said(format!("Prompt with elicited context: {context}"))])
    }
}
