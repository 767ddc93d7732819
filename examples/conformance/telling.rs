//! Tools that tell their caller something before they are done, and those that tell everybody.

use std::time::Duration;

use securemcp::{
    call::{CallContext, Changes, Level},
    tools::{Content, Tool, ToolError},
};

use crate::{content::Nothing, tool};

/// How far apart the suite wants to hear of things.
const PACE: Duration = Duration::from_millis(50);
/// Longer than a client takes to come back for its answer.
const AWAY: Duration = Duration::from_millis(500);

tool!(Logging = "test_tool_with_logging", "Logs while it works.", [READ_ONLY, LOGS], |_input: Nothing, context| {
    for message in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        context.log(Level::Info, message).await;
        tokio::time::sleep(PACE).await;
    }
    Ok(Content::text("Logging test completed"))
});

tool!(
    LoggingIfWanted = "test_logging_tool",
    "Logs if that is wanted.",
    [READ_ONLY, LOGS],
    |_input: Nothing, context| {
        context.log(Level::Error, "logLevel was requested").await;
        Ok(Content::text("Logging tool completed"))
    }
);

tool!(Progressing = "test_tool_with_progress", "Says how far it is.", [READ_ONLY], |_input: Nothing, context| {
    for (done, message) in [(0.0, "Starting"), (50.0, "Halfway"), (100.0, "Complete")] {
        context.progress(done, 100.0, message).await;
        tokio::time::sleep(PACE).await;
    }
    Ok(Content::text("Progress test completed"))
});

tool!(Reconnection = "test_reconnection", "Has its caller come back.", [READ_ONLY], |_input: Nothing, context| {
    context.tell.let_go();
    tokio::time::sleep(AWAY).await;
    Ok(Content::text("Reconnection test completed"))
});

/// Says that the tools have changed.
pub(crate) struct ToolChange(pub(crate) Changes);

impl Tool for ToolChange {
    type Input = Nothing;
    type Output = Content;

    const NAME: &'static str = "test_trigger_tool_change";
    const DESCRIPTION: &'static str = "Says that the tools have changed.";
    const SCOPES: &'static [&'static str] = &["mcp:write"];

    async fn call(&self, _: Nothing, _: &CallContext) -> Result<Content, ToolError> {
        self.0.tools();
        Ok(Content::text("Tool list change triggered"))
    }
}

/// Says that the prompts have changed.
pub(crate) struct PromptChange(pub(crate) Changes);

impl Tool for PromptChange {
    type Input = Nothing;
    type Output = Content;

    const NAME: &'static str = "test_trigger_prompt_change";
    const DESCRIPTION: &'static str = "Says that the prompts have changed.";
    const SCOPES: &'static [&'static str] = &["mcp:write"];

    async fn call(&self, _: Nothing, _: &CallContext) -> Result<Content, ToolError> {
        self.0.prompts();
        Ok(Content::text("Prompt list change triggered"))
    }
}
