//! Tools that ask their caller, by whichever way its revision of MCP has.

use schemars::JsonSchema;
use securemcp::{
    call::{AskError, CallContext, SampleRequest},
    model::{ElicitRequestParams, ElicitResult, ElicitationAction},
    tools::{Content, ToolError},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{content::Nothing, tool};

/// A form with one field.
#[derive(Deserialize, JsonSchema)]
struct Named {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Colour {
    color: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmed {
    ok: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Valued {
    value: String,
}

/// What the model shall do.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Prompted {
    /// What it is to answer.
    prompt: String,
}

/// What the person shall do.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Message {
    /// What the person reads.
    message: String,
}

fn sample(prompt: &str, max_tokens: u32) -> SampleRequest {
    SampleRequest { prompt: prompt.to_owned(), system: None, max_tokens }
}

/// A form whose schema is written out.
fn form(message: &str, properties: &Value, required: &[&str]) -> ElicitRequestParams {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema: serde_json::from_value(schema).expect("a literal"),
    }
}

fn outcome(answer: &ElicitResult) -> String {
    let action = match answer.action {
        ElicitationAction::Accept => "accept",
        ElicitationAction::Decline => "decline",
        _ => "cancel",
    };
    format!("action={action}, content={}", answer.content.clone().unwrap_or_default())
}

tool!(Sampling = "test_sampling", "Asks the caller's model.", [ASKS], |input: Prompted, context| {
    let text = context.ask.sample("prompt", sample(&input.prompt, 100)).await?;
    Ok(Content::text(format!("LLM response: {text}")))
});

tool!(Elicitation = "test_elicitation", "Asks the person.", [ASKS], |input: Message, context| {
    let properties = json!({
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"}
    });
    let form = form(&input.message, &properties, &["username", "email"]);
    let answer = context.ask.elicit_with("user", form).await?;
    Ok(Content::text(format!("User response: {}", outcome(&answer))))
});

tool!(
    Defaults = "test_elicitation_sep1034_defaults",
    "Asks the person, with values that are there already.",
    [ASKS],
    |_input: Nothing, context| {
        let properties = json!({
            "name": {"type": "string", "description": "User name", "default": "John Doe"},
            "age": {"type": "integer", "description": "User age", "default": 30},
            "score": {"type": "number", "description": "User score", "default": 95.5},
            "status": {
                "type": "string", "description": "User status", "default": "active",
                "enum": ["active", "inactive", "pending"]
            },
            "verified": {"type": "boolean", "description": "Verification status", "default": true}
        });
        let answer = context.ask.elicit_with("defaults", form("Please review these values", &properties, &[])).await?;
        Ok(Content::text(format!("Elicitation completed: {}", outcome(&answer))))
    }
);

tool!(Enums = "test_elicitation_sep1330_enums", "Asks the person to choose.", [ASKS], |_input: Nothing, context| {
    let titled = |values: [[&str; 2]; 3]| values.map(|[value, title]| json!({"const": value, "title": title}));
    let properties = json!({
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": titled([["value1", "First Option"], ["value2", "Second Option"], ["value3", "Third Option"]])
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"]
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {
            "type": "array",
            "items": {
                "anyOf": titled([["value1", "First Choice"], ["value2", "Second Choice"], ["value3", "Third Choice"]])
            }
        }
    });
    let answer = context.ask.elicit_with("enums", form("Please choose", &properties, &[])).await?;
    Ok(Content::text(format!("Elicitation completed: {}", outcome(&answer))))
});

tool!(
    MissingCapability = "test_missing_capability",
    "Cannot do without the caller's model.",
    [ASKS],
    |_input: Nothing, context| {
        let text = context.ask.sample("needed", sample("Say something", 10)).await?;
        Ok(Content::text(text))
    }
);

tool!(
    StreamingElicitation = "test_streaming_elicitation",
    "Asks the person for a value.",
    [ASKS],
    |_input: Nothing, context| {
        let Valued { value } = context.ask.elicit("streaming_elicitation", "Provide a value").await?;
        Ok(Content::text(value))
    }
);

tool!(Name = "test_input_required_result_elicitation", "Greets the person.", [ASKS], |_input: Nothing, context| {
    let Named { name } = context.ask.elicit("user_name", "What is your name?").await?;
    Ok(Content::text(format!("Hello, {name}!")))
});

tool!(
    Capital = "test_input_required_result_sampling",
    "Asks the caller's model for a capital.",
    [ASKS],
    |_input: Nothing, context| {
        let question = sample("What is the capital of France?", 100);
        Ok(Content::text(context.ask.sample("capital_question", question).await?))
    }
);

tool!(
    Roots = "test_input_required_result_list_roots",
    "Names the caller's folders.",
    [ASKS],
    |_input: Nothing, context| {
        let roots = context.ask.roots("client_roots").await?;
        Ok(Content::text(format!("Client roots: {}", roots.join(", "))))
    }
);

/// Asks for a yes.
async fn confirm(context: &CallContext) -> Result<Content, ToolError> {
    let Confirmed { ok } = context.ask.elicit("confirm", "Please confirm").await?;
    Ok(Content::text(if ok { "Confirmed: state-ok" } else { "Not confirmed: state-ok" }))
}

tool!(
    State = "test_input_required_result_request_state",
    "Asks for a yes, and takes only its own state back.",
    [ASKS],
    |_input: Nothing, context| { confirm(context).await }
);

tool!(
    TamperedState = "test_input_required_result_tampered_state",
    "Asks for a yes, and takes no other state back.",
    [ASKS],
    |_input: Nothing, context| { confirm(context).await }
);

tool!(
    Several = "test_input_required_result_multiple_inputs",
    "Asks the person, the model and the client at once.",
    [ASKS],
    |_input: Nothing, context| {
        let ask = &context.ask;
        let (Named { name }, greeting, roots) = tokio::try_join!(
            ask.elicit("user_name", "What is your name?"),
            ask.sample("greeting", sample("Generate a greeting", 50)),
            ask.roots("client_roots"),
        )?;
        Ok(Content::text(format!("{greeting} {name} works in {}", roots.join(", "))))
    }
);

tool!(
    Rounds = "test_input_required_result_multi_round",
    "Asks twice, one after the other.",
    [ASKS],
    |_input: Nothing, context| {
        let Named { name } = context.ask.elicit("step1", "Step 1: What is your name?").await?;
        let Colour { color } = context.ask.elicit("step2", "Step 2: What is your favorite color?").await?;
        Ok(Content::text(format!("{name} likes {color}")))
    }
);

tool!(
    Capabilities = "test_input_required_result_capabilities",
    "Asks what the caller can answer, and nothing else.",
    [ASKS],
    |_input: Nothing, context| {
        let ask = &context.ask;
        let (name, greeting) = tokio::join!(
            ask.elicit::<Named>("user_name", "What is your name?"),
            ask.sample("greeting", sample("Generate a greeting", 50)),
        );
        let name = if_possible(name)?.map(|named| named.name);
        let greeting = if_possible(greeting)?;
        Ok(Content::text(format!("{} {}", greeting.unwrap_or_default(), name.unwrap_or_default())))
    }
);

/// An answer, unless the caller cannot give one.
fn if_possible<T>(answer: Result<T, AskError>) -> Result<Option<T>, AskError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(AskError::Unsupported(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
