//! What a path is called in metrics: a name of few, whatever strangers ask for.

use crate::issuer;

/// Paths that are their own name.
const PLAIN: [&str; 12] = [
    "/mcp",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/",
    "/health",
    "/health/live",
    "/health/ready",
    "/api/v1/me",
    "/api/v1/user",
    "/api/v1/tools",
    "/openapi.json",
    "/docs",
];

/// The name of the route that answers this path.
pub(super) fn of(path: &str) -> &'static str {
    let plain = PLAIN.into_iter().find(|plain| *plain == path);
    plain.or_else(|| issuer::route_of(path)).unwrap_or_else(|| match path {
        _ if path.starts_with("/api/v1/tools/") => "/api/v1/tools/{name}",
        _ if path.starts_with("/docs/") => "/docs/{file}",
        _ => "other",
    })
}
