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

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of the routes in this source.
    fn routes(source: &str) -> Vec<&str> {
        let routes = source.split(".route(").skip(1).filter_map(|rest| rest.strip_prefix('"'));
        routes.map(|rest| rest.split_once('"').expect("a literal").0).collect()
    }

    #[test]
    fn every_route_has_a_name_of_its_own() {
        let (own, issuers) = (routes(include_str!("router.rs")), routes(include_str!("../issuer/mod.rs")));
        assert_eq!((own.len(), issuers.len()), (13, 13));
        for path in own.into_iter().chain(issuers).chain(["/mcp", "/register/{client_id}"]) {
            assert_eq!(of(path), path);
        }
    }

    #[test]
    fn h24_paths_that_do_not_exist_have_one_name() {
        for path in ["", "*", "/MCP", "/mcp/", "//mcp", "/metrics", "/docs2", "/api/v1/tool", "/api/v1/", "/registers"]
        {
            assert_eq!(of(path), "other", "{path}");
        }
    }
}
