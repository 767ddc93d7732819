//! Tools by what they give and what they take.

use schemars::JsonSchema;
use securemcp::{
    call::CallContext,
    model::{AudioContent, ContentBlock, ResourceContents},
    tools::{Content, JsonObject, Tool, ToolError},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::tool;

/// One red pixel, PNG, base64.
pub(crate) const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
/// Silence, WAV, base64.
const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

/// No arguments.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

tool!(SimpleText = "test_simple_text", "Gives a text.", [READ_ONLY], |_input: Nothing, _context| {
    Ok(Content::text("This is a simple text response for testing."))
});

tool!(Image = "test_image_content", "Gives an image.", [READ_ONLY], |_input: Nothing, _context| {
    Ok(Content(vec![ContentBlock::image(IMAGE, "image/png")]))
});

tool!(Audio = "test_audio_content", "Gives a sound.", [READ_ONLY], |_input: Nothing, _context| {
    Ok(Content(vec![ContentBlock::Audio(AudioContent::new(AUDIO, "audio/wav"))]))
});

tool!(EmbeddedResource = "test_embedded_resource", "Gives a resource.", [READ_ONLY], |_input: Nothing, _context| {
    let resource = ResourceContents::text("This is an embedded resource content.", "test://embedded-resource");
    Ok(Content(vec![ContentBlock::resource(resource)]))
});

tool!(
    MultipleTypes = "test_multiple_content_types",
    "Gives a text, an image and a resource.",
    [READ_ONLY],
    |_input: Nothing, _context| {
        let data = json!({"test": "data", "value": 123}).to_string();
        let resource = ResourceContents::text(data, "test://mixed-content-resource").with_mime_type("application/json");
        Ok(Content(vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(IMAGE, "image/png"),
            ContentBlock::resource(resource),
        ]))
    }
);

tool!(Failing = "test_error_handling", "Fails.", [READ_ONLY], |_input: Nothing, _context| {
    Err(ToolError::Failed("This tool intentionally returns an error for testing".to_owned()))
});

/// What a caller passes in a header too.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct InHeader {
    /// Anything.
    #[schemars(extend("x-mcp-header" = "Value"))]
    value: String,
}

tool!(
    CustomHeader = "test_custom_header",
    "Gives back what also came in a header.",
    [READ_ONLY],
    |input: InHeader, _context| { Ok(Content::text(input.value)) }
);

/// A tool whose schema is written by hand: callers see every word of it.
pub(crate) struct HandWritten;

impl Tool for HandWritten {
    type Input = JsonObject;
    type Output = Content;

    const NAME: &'static str = "json_schema_2020_12_tool";
    const DESCRIPTION: &'static str = "Greets somebody; its schema has what JSON Schema 2020-12 has.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];
    const READ_ONLY: bool = true;

    fn input_schema() -> JsonObject {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}}
                }
            },
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"}
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": false
        });
        serde_json::from_value(schema).expect("an object")
    }

    async fn call(&self, input: JsonObject, _: &CallContext) -> Result<Content, ToolError> {
        let name = input.get("name").and_then(Value::as_str).unwrap_or("world");
        Ok(Content::text(format!("Hello, {name}!")))
    }
}
