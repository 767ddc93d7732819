//! Lists of the guarded server, asked for page by page.

use std::collections::HashSet;

use rmcp::{
    RoleClient,
    model::{
        ClientRequest, ErrorCode, ListPromptsRequest, ListResourceTemplatesRequest, ListResourcesRequest,
        ListSkillsRequest, ListToolsRequest, PaginatedRequestParams, Prompt, Resource, ResourceTemplate, ServerResult,
        Skill, Tool,
    },
    service::{Peer, ServiceError},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::down::Down;
use crate::{said::said, secret::sha256_base64url};

/// How many pages of a list are followed, and how many items of it are served.
const MAX_PAGES: usize = 100;
pub(super) const MAX_ITEMS: usize = 1_000;

/// A page, and where the next one is.
pub(super) type Page<T> = (Vec<T>, Option<String>);

/// Something that is listed.
pub(super) trait Paged: DeserializeOwned {
    /// The method that lists it.
    const METHOD: &'static str;
    /// The member of its answer that has the list.
    const MEMBER: &'static str;

    fn request(params: Option<PaginatedRequestParams>) -> ClientRequest;

    /// The page in an answer, if it is one.
    fn page(answer: ServerResult) -> Result<Page<Self>, Box<ServerResult>>;
}

/// `Type: method, member, request, result, field`.
macro_rules! paged {
    ($type:ty: $method:literal, $member:literal, $request:ident, $result:ident, $field:ident) => {
        impl Paged for $type {
            const METHOD: &'static str = $method;
            const MEMBER: &'static str = $member;

            fn request(params: Option<PaginatedRequestParams>) -> ClientRequest {
                ClientRequest::$request($request { params, ..$request::default() })
            }

            fn page(answer: ServerResult) -> Result<Page<Self>, Box<ServerResult>> {
                match answer {
                    ServerResult::$result(page) => Ok((page.$field, page.next_cursor)),
                    other => Err(Box::new(other)),
                }
            }
        }
    };
}

paged!(Tool: "tools/list", "tools", ListToolsRequest, ListToolsResult, tools);
paged!(Resource: "resources/list", "resources", ListResourcesRequest, ListResourcesResult, resources);
paged!(ResourceTemplate: "resources/templates/list", "resourceTemplates", ListResourceTemplatesRequest,
    ListResourceTemplatesResult, resource_templates);
paged!(Prompt: "prompts/list", "prompts", ListPromptsRequest, ListPromptsResult, prompts);
paged!(Skill: "skills/list", "skills", ListSkillsRequest, ListSkillsResult, skills);

/// Asks for the whole list. What cannot be read is left out; a method that there is not has nothing to list.
pub(super) async fn fetch<T: Paged>(peer: &Peer<RoleClient>) -> Result<Vec<T>, Down> {
    let (mut items, mut cursor, mut seen) = (Vec::new(), None, HashSet::new());
    for _ in 0..MAX_PAGES {
        let params = Some(PaginatedRequestParams::default().with_cursor(cursor));
        // Not `Peer::list_tools` and the like, which may answer from their own memory.
        let page = match peer.send_request(T::request(params)).await {
            Ok(answer) => match T::page(answer) {
                Ok(page) => page,
                // One bad definition makes it no list to rmcp.
                Err(other) => match *other {
                    ServerResult::CustomResult(result) => one_by_one(&result.0)?,
                    _ => return Err(Down::NotMcp(format!("`{}` is answered with something else", T::METHOD))),
                },
            },
            Err(ServiceError::McpError(error)) if error.code == ErrorCode::METHOD_NOT_FOUND => return Ok(items),
            Err(ServiceError::McpError(error)) => {
                return Err(Down::NotMcp(format!("`{}` is answered with: {}", T::METHOD, said(&error.message))));
            }
            Err(error) => return Err(Down::of_service(error)),
        };
        items.extend(page.0);
        cursor = page.1;
        match &cursor {
            None => return Ok(items),
            Some(again) if !seen.insert(sha256_base64url(again.as_bytes())) => break,
            Some(_) if items.len() > MAX_ITEMS => break,
            Some(_) => {}
        }
    }
    tracing::warn!(
        method = T::METHOD,
        served = items.len().min(MAX_ITEMS),
        "a list of the guarded server does not end; the rest is left out"
    );
    Ok(items)
}

fn one_by_one<T: Paged>(result: &Value) -> Result<Page<T>, Down> {
    let Some(written) = result.get(T::MEMBER).and_then(Value::as_array) else {
        return Err(Down::NotMcp(format!("`{}` is answered without `{}`", T::METHOD, T::MEMBER)));
    };
    let mut items = Vec::new();
    for written in written {
        match serde_json::from_value(written.clone()) {
            Ok(item) => items.push(item),
            Err(error) => {
                let name = ["name", "uri", "uriTemplate"].iter().find_map(|key| written.get(key)?.as_str());
                left_out(T::MEMBER, name.unwrap_or("something without a name"), &said(&error.to_string()));
            }
        }
    }
    Ok((items, result.get("nextCursor").and_then(Value::as_str).map(str::to_owned)))
}

pub(super) fn left_out(kind: &str, name: &str, reason: &str) {
    tracing::warn!(kind, name = said(name), reason, "something of the guarded server is left out");
}
