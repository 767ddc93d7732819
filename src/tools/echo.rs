//! `echo`: gives a message back.

use chrono::SecondsFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Tool, ToolError};

pub(super) struct Echo;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Input {
    /// What to say back.
    message: String,
    /// Say it in upper case.
    #[serde(default)]
    uppercase: bool,
    /// Say when.
    #[serde(default)]
    timestamp: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// The message.
    echo: String,
    /// The time (RFC 3339, UTC), if it was asked for.
    timestamp: Option<String>,
    /// How many characters the message had.
    length: usize,
}

impl Tool for Echo {
    type Input = Input;
    type Output = Output;

    const NAME: &'static str = "echo";
    const TITLE: Option<&'static str> = Some("Echo");
    const DESCRIPTION: &'static str = "Gives a message back, in upper case and with the time if wanted.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];
    const SHOWS: Option<&'static str> = Some("echo");
    const READ_ONLY: bool = true;
    const OPEN_WORLD: bool = false;

    async fn call(&self, input: Input, context: &CallContext) -> Result<Output, ToolError> {
        Ok(Output {
            length: input.message.chars().count(),
            timestamp: input.timestamp.then(|| context.now().to_rfc3339_opts(SecondsFormat::Secs, true)),
            echo: if input.uppercase { input.message.to_uppercase() } else { input.message },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Echo;
    use crate::tools::trial::{run, violations};

    #[tokio::test]
    async fn a_message_comes_back_as_it_was() {
        let result = run(Echo, json!({"message": "Hello!"})).await.unwrap();
        assert_eq!(result, json!({"echo": "Hello!", "timestamp": null, "length": 6}));
    }

    #[tokio::test]
    async fn upper_case_and_time_are_given_when_asked_for() {
        let result = run(Echo, json!({"message": "hi", "uppercase": true, "timestamp": true})).await.unwrap();
        assert_eq!(result, json!({"echo": "HI", "timestamp": "2026-11-23T10:00:00Z", "length": 2}));
    }

    #[tokio::test]
    async fn upper_case_is_that_of_unicode_and_length_counts_characters_of_the_input() {
        let result = run(Echo, json!({"message": "straße, ñandú, привет 🦀", "uppercase": true})).await.unwrap();
        assert_eq!(result, json!({"echo": "STRASSE, ÑANDÚ, ПРИВЕТ 🦀", "timestamp": null, "length": 23}));
    }

    #[tokio::test]
    async fn an_empty_message_is_a_message() {
        let result = run(Echo, json!({"message": ""})).await.unwrap();
        assert_eq!(result, json!({"echo": "", "timestamp": null, "length": 0}));
    }

    #[tokio::test]
    async fn malformed_arguments_are_told_one_by_one() {
        assert_eq!(violations(Echo, json!({})).await, ["`message` is missing"]);
        assert_eq!(violations(Echo, json!({"message": null})).await, ["`/message`: expected string, found null"]);
        assert_eq!(
            violations(Echo, json!({"message": 7, "uppercase": "yes", "loud": true})).await,
            [
                "`/message`: expected string, found number",
                "`/uppercase`: expected boolean, found string",
                "there is no argument `loud`",
            ]
        );
    }
}
