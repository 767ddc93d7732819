//! `/openapi.json`: OpenAPI 3.1 out of the tools' schemas, made at the start and when settings are read again.
//!
//! A guarded server's tools are not in it: they change while we run, and what a caller may know of them depends on its token.
//! The tools' schemas are JSON Schema 2020-12, which is what OpenAPI 3.1 embeds, so they go in as they are. `/mcp` and the
//! embedded issuer have metadata of their own (MCP's `tools/list`, RFC 8414) and are not described here.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Response},
};
use serde_json::{Map, Value, json};

use super::{App, asset::Asset, rest};
use crate::tools::{Definition, JsonObject, Tools};

const PROBLEM: &str = "application/problem+json";
/// The refusals of every request that needs a token.
const TOKEN_REFUSALS: [(&str, &str); 4] =
    [("400", "Ambiguous"), ("401", "Unauthorized"), ("429", "TooMany"), ("503", "Unavailable")];
/// The refusals of a call, besides those.
const CALL_REFUSALS: [(&str, &str); 5] =
    [("403", "Forbidden"), ("408", "Slow"), ("413", "TooLarge"), ("415", "NotJson"), ("422", "Unfit")];

/// `GET /openapi.json`.
pub(super) async fn get(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    app.openapi.answer(&headers)
}

/// The document of the tools that are the server's own.
pub(super) fn document(tools: &Tools) -> Asset {
    let mut paths = service_paths();
    let mut schemas = service_schemas();
    for tool in tools.list().iter().filter(|tool| tool.upstream.is_none()) {
        paths.insert(rest::endpoint(tool), json!({"post": call(tool)}));
        schemas.insert(input_name(tool), component(&input_name(tool), &tool.input_schema));
        if let Some(output_schema) = &tool.output_schema {
            schemas.insert(output_name(tool), component(&output_name(tool), output_schema));
        }
    }
    let document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": "securemcp",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "MCP tools behind OAuth 2.1, as plain HTTP",
            "description": "The tools of the MCP endpoint `/mcp` by POST. Every call needs a bearer token for this server with \
                the scopes of the tool; `/.well-known/oauth-protected-resource` says which issuer gives one.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "tools", "description": "One operation for each tool"},
            {"name": "caller", "description": "What the token allows"},
            {"name": "service", "description": "Open to everybody"},
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An OAuth 2.1 access token whose audience is this server (RFC 6750, in the header only)",
            }},
            "schemas": schemas,
            "responses": refusals(),
        },
    });
    Asset::new("application/json", document.to_string())
}

fn service_paths() -> Map<String, Value> {
    let object = || json!({"type": "object"});
    let paths = [
        ("/api/v1/tools", for_callers("list_tools", "List the tools", &reference("ToolList"))),
        ("/api/v1/me", for_callers("me", "Show whom the token speaks for", &reference("Caller"))),
        ("/api/v1/user", for_callers("user", "Show whom the token speaks for, as `/api/v1/me`", &reference("Caller"))),
        ("/", for_all("front_page", "Name the service and its links", &object())),
        (
            "/.well-known/oauth-protected-resource",
            for_all("resource_metadata", "Describe the protected resource (RFC 9728)", &reference("ResourceMetadata")),
        ),
        (
            "/.well-known/oauth-protected-resource/mcp",
            for_all("resource_metadata_of_path", "The same document", &reference("ResourceMetadata")),
        ),
        ("/health", for_all("health", "Say that the server runs", &reference("Health"))),
        ("/health/live", for_all("live", "Say that the server runs", &reference("Health"))),
        ("/health/ready", ready()),
    ];
    paths.into_iter().map(|(path, operation)| (path.to_owned(), json!({ "get": operation }))).collect()
}

fn for_all(id: &str, summary: &str, schema: &Value) -> Value {
    json!({
        "operationId": id,
        "summary": summary,
        "tags": ["service"],
        "security": [],
        "responses": {"200": json_answer(summary, schema), "default": refusal("Problem")},
    })
}

fn ready() -> Value {
    let mut operation = for_all("ready", "Say whether the server can do its work", &reference("Health"));
    operation["responses"]["503"] = json_answer("Names the parts that are not ready", &reference("Health"));
    operation
}

fn for_callers(id: &str, summary: &str, schema: &Value) -> Value {
    let mut responses = with_refusals(&TOKEN_REFUSALS);
    responses.insert("200".to_owned(), json_answer(summary, schema));
    json!({
        "operationId": id,
        "summary": summary,
        "tags": ["caller"],
        "security": [{"bearer": []}],
        "responses": responses,
    })
}

/// The scopes stand in the security requirement: OpenAPI 3.1 allows role names there for any scheme.
fn call(tool: &Definition) -> Value {
    let scopes: Vec<_> = tool.scopes.iter().collect();
    let mut responses = with_refusals(&TOKEN_REFUSALS);
    responses.extend(with_refusals(&CALL_REFUSALS));
    responses.insert("200".to_owned(), json_answer("The result, and who asked for it", &result_of(tool)));
    json!({
        "operationId": format!("call_{}", tool.name),
        "summary": tool.title.as_ref().unwrap_or(&tool.name),
        "description": tool.description,
        "tags": ["tools"],
        "security": [{ "bearer": scopes }],
        "requestBody": {
            "required": true,
            "description": "The arguments",
            "content": {"application/json": {"schema": reference(&input_name(tool))}},
        },
        "responses": responses,
    })
}

fn result_of(tool: &Definition) -> Value {
    json!({
        "type": "object",
        "required": ["tool", "result", "user", "client"],
        "properties": {
            "tool": {"const": tool.name},
            "result": if tool.output_schema.is_some() { reference(&output_name(tool)) } else { json!({}) },
            "user": {"type": "string", "description": "The user name of the token, else its subject"},
            "client": {"type": ["string", "null"], "description": "The client that got the token"},
        },
    })
}

fn service_schemas() -> Map<String, Value> {
    let schemas = [
        (
            "Problem",
            json!({
                "type": "object",
                "description": "RFC 9457",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "errors": {
                        "type": "array",
                        "description": "What is wrong with the arguments, at most ten things",
                        "items": {
                            "type": "object",
                            "required": ["pointer", "detail"],
                            "properties": {
                                "pointer": {"type": "string", "description": "Where: a JSON pointer (RFC 6901)"},
                                "detail": {"type": "string"},
                            },
                        },
                    },
                },
            }),
        ),
        (
            "Caller",
            json!({
                "type": "object",
                "required": ["sub", "user", "client", "issuer", "scopes", "exp"],
                "properties": {
                    "sub": {"type": "string", "description": "The subject, unique within the issuer"},
                    "user": {"type": "string", "description": "The user name of the token, else its subject"},
                    "client": {"type": ["string", "null"], "description": "The client that got the token"},
                    "issuer": {"type": "string", "description": "Who vouches for all of it"},
                    "scopes": {"type": "array", "items": {"type": "string"}},
                    "exp": {"type": ["integer", "null"],
                            "description": "When the token expires, in seconds since 1970 (UTC); null if its issuer does not say"},
                },
            }),
        ),
        (
            "ToolList",
            json!({
                "type": "object",
                "required": ["tools"],
                "properties": {"tools": {"type": "array", "items": {
                    "type": "object",
                    "required": ["name", "title", "description", "endpoint", "method", "required_scope", "input_schema",
                                 "output_schema"],
                    "properties": {
                        "name": {"type": "string"},
                        "title": {"type": ["string", "null"]},
                        "description": {"type": "string"},
                        "endpoint": {"type": "string"},
                        "method": {"const": "POST"},
                        "required_scope": {"type": ["string", "null"], "description": "All of them, with spaces between"},
                        "input_schema": {"type": "object"},
                        "output_schema": {"type": "object"},
                    },
                }}},
            }),
        ),
        (
            "ResourceMetadata",
            json!({
                "type": "object",
                "required": ["resource", "authorization_servers"],
                "properties": {
                    "resource": {"type": "string"},
                    "authorization_servers": {"type": "array", "items": {"type": "string"}},
                    "scopes_supported": {"type": "array", "items": {"type": "string"}},
                    "bearer_methods_supported": {"const": ["header"]},
                },
            }),
        ),
        (
            "Health",
            json!({
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": {"enum": ["healthy", "ready", "unready"]},
                    "failing": {"type": "array", "items": {"type": "string"}},
                    "redis": {"enum": ["ready", "failing"]},
                    "upstream": {"enum": ["ready", "failing"]},
                },
            }),
        ),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn refusals() -> Map<String, Value> {
    let refusals = [
        ("Problem", "What went wrong", None),
        ("Ambiguous", "More than one token, or a body that is not a JSON object", Some("WWW-Authenticate")),
        ("Unauthorized", "No token, or none that is good", Some("WWW-Authenticate")),
        ("Forbidden", "The token lacks a scope; the challenge names all that the tool needs", Some("WWW-Authenticate")),
        ("Slow", "The body did not come in time", None),
        ("TooLarge", "The body is too large", None),
        ("NotJson", "The body is not said to be `application/json`", None),
        ("Unfit", "The arguments do not fit the tool, or it has to ask its caller, which only MCP can do", None),
        (
            "TooMany",
            "The address, the client or the user comes too often, or has too many answers to read",
            Some("Retry-After"),
        ),
        ("Unavailable", "Tokens cannot be checked at the moment; keep yours and try again", Some("Retry-After")),
    ];
    refusals.into_iter().map(|(name, description, header)| (name.to_owned(), problem(description, header))).collect()
}

fn problem(description: &str, header: Option<&str>) -> Value {
    let mut response = json!({
        "description": description,
        "content": {PROBLEM: {"schema": reference("Problem")}},
    });
    if let Some(header) = header {
        response["headers"] = json!({header: {"schema": {"type": "string"}}});
    }
    response
}

fn with_refusals(refusals: &[(&str, &str)]) -> Map<String, Value> {
    let named = refusals.iter().chain(&[("default", "Problem")]);
    named.map(|(status, name)| ((*status).to_owned(), refusal(name))).collect()
}

fn refusal(name: &str) -> Value {
    json!({"$ref": format!("#/components/responses/{name}")})
}

fn json_answer(description: &str, schema: &Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn input_name(tool: &Definition) -> String {
    format!("{}.input", tool.name)
}

fn output_name(tool: &Definition) -> String {
    format!("{}.output", tool.name)
}

/// A tool's schema in its new place: references within it are from the root, and that is elsewhere now.
fn component(name: &str, schema: &JsonObject) -> Value {
    let mut schema = Value::Object(schema.clone());
    move_references(&mut schema, &format!("#/components/schemas/{name}"));
    schema
}

fn move_references(value: &mut Value, root: &str) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(rest) = reference.strip_prefix('#')
            {
                *reference = format!("{root}{rest}");
            }
            members.values_mut().for_each(|member| move_references(member, root));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, root)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_follow_their_schema() {
        let Value::Object(schema) = json!({
            "type": "object",
            "properties": {"child": {"$ref": "#/$defs/Node"}, "self": {"$ref": "#"}, "other": {"$ref": "https://x/y"}},
            "$defs": {"Node": {"items": [{"$ref": "#/$defs/Node"}]}},
        }) else {
            panic!("an object");
        };
        let moved = component("tree.input", &schema);
        assert_eq!(moved["properties"]["child"]["$ref"], "#/components/schemas/tree.input/$defs/Node");
        assert_eq!(moved["properties"]["self"]["$ref"], "#/components/schemas/tree.input");
        assert_eq!(moved["properties"]["other"]["$ref"], "https://x/y");
        assert_eq!(moved["$defs"]["Node"]["items"][0]["$ref"], "#/components/schemas/tree.input/$defs/Node");
    }
}
