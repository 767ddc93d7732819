//! Runs one tool alone, for the tests of tools.

use std::sync::Arc;

use serde_json::Value;

use super::{CallContext, CallError, JsonObject, Tool, Tools};
use crate::{auth::Principal, call::schema, clock::TestClock};

/// A caller who may do everything, on 2026-11-23 at 10:00 UTC.
pub(super) fn context() -> CallContext {
    let principal = Principal::for_tests("ada", "cli", "mcp:read mcp:write mcp:infer");
    CallContext::new(Arc::new(principal), TestClock::at(1_795_428_000))
}

/// The object in a JSON literal.
pub(super) fn object(value: Value) -> JsonObject {
    let Value::Object(object) = value else { panic!("{value} is not an object") };
    object
}

/// Calls the tool; a result has to fit the schema that callers are told.
pub(super) async fn run<T: Tool>(tool: T, arguments: Value) -> Result<Value, CallError> {
    let tools = Tools::default().with(tool);
    let result = tools.call(T::NAME, object(arguments), &context()).await?.into_value();
    let output_schema = tools.list()[0].output_schema.clone().expect("a tool of ours has one");
    assert_eq!(schema::check(&schema::compile(&output_schema), &result), Ok(()));
    Ok(result)
}

/// What is wrong with the arguments, as a person reads it.
pub(super) async fn violations<T: Tool>(tool: T, arguments: Value) -> Vec<String> {
    match run(tool, arguments).await {
        Err(CallError::InvalidArguments(violations)) => violations.iter().map(ToString::to_string).collect(),
        other => panic!("expected invalid arguments, found {other:?}"),
    }
}
