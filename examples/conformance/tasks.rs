//! Tools whose calls may become tasks, and one whose calls never do.

use std::time::Duration;

use schemars::JsonSchema;
use securemcp::{
    call::CallContext,
    tools::{Content, TaskSupport, Tool, ToolError},
};
use serde::Deserialize;

use crate::{content::Nothing, tool};

/// Whom to greet.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Greeted {
    name: String,
}

/// What to work on.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Work {
    /// For how long.
    seconds: u64,
    /// What it is called.
    label: Option<String>,
}

/// What to delete.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct File {
    filename: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Named {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmed {
    confirm: bool,
}

tool!(Greet = "greet", "Greets, at once.", [], |input: Greeted, _context| {
    Ok(Content::text(format!("Hello, {}!", input.name)))
});

/// A tool of the suite that may become a task, by itself.
macro_rules! task {
    (
        $tool:ident = $name:literal, $description:literal, $support:ident, asks: $asks:literal,
        |$input:ident: $type:ty, $context:ident| $body:block
    ) => {
        pub(crate) struct $tool;

        impl Tool for $tool {
            type Input = $type;
            type Output = Content;

            const NAME: &'static str = $name;
            const DESCRIPTION: &'static str = $description;
            const SCOPES: &'static [&'static str] = &["mcp:read"];
            const ASKS: bool = $asks;
            const TASK: TaskSupport = TaskSupport::$support;
            const TIMEOUT: Duration = Duration::from_mins(2);

            async fn call(&self, $input: $type, $context: &CallContext) -> Result<Content, ToolError> {
                $body
            }
        }
    };
}

task!(SlowCompute = "slow_compute", "Takes its time.", Optional, asks: false, |input: Work, context| {
    if input.seconds > 0 {
        context.begin_task().await?;
        tokio::time::sleep(Duration::from_secs(input.seconds)).await;
    }
    Ok(Content::text(format!("computed {} in {} s", input.label.unwrap_or_default(), input.seconds)))
});

task!(FailingJob = "failing_job", "Fails, as a task.", Required, asks: false, |_input: Nothing, context| {
    context.begin_task().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Err(ToolError::Failed("This job always fails".to_owned()))
});

task!(ProtocolErrorJob = "protocol_error_job", "Breaks, as a task.", Optional, asks: false, |_input: Nothing, context| {
    context.begin_task().await?;
    panic!("this job always breaks");
});

task!(ConfirmDelete = "confirm_delete", "Asks before it deletes.", Optional, asks: true, |input: File, context| {
    context.begin_task().await?;
    let filename = input.filename.unwrap_or_default();
    let answer: Confirmed = context.ask.elicit("confirm", &format!("Delete {filename}?")).await?;
    Ok(Content::text(if answer.confirm { format!("deleted {filename}") } else { format!("kept {filename}") }))
});

task!(MultiInput = "multi_input", "Asks two things at once.", Optional, asks: true, |_input: Nothing, context| {
    context.begin_task().await?;
    let (name, confirmed) = tokio::try_join!(
        context.ask.elicit::<Named>("name", "What is your name?"),
        context.ask.elicit::<Confirmed>("confirm", "Go on?"),
    )?;
    Ok(Content::text(format!("{}: {}", name.name, confirmed.confirm)))
});

task!(
    AskingFirst = "test_tool_with_task",
    "Asks, and goes on as a task.",
    Required,
    asks: true,
    |_input: Nothing, context| {
        let user: Named = context.ask.elicit("user_name", "What is your name?").await?;
        context.begin_task().await?;
        Ok(Content::text(format!("Hello, {}!", user.name)))
    }
);
