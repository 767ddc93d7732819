//! Security events: one enum, one log target (`audit`), never a secret.
//!
//! Every event is one line at level INFO. Fields carry names of parties and of tools, reasons and outcomes; no token, no
//! secret, no argument of a tool. The ids of the request come with every line.

use tracing::info;

/// Who did it, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// The issuer that vouched for it.
    pub issuer: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// `client_id`, empty when the token names none.
    pub client: &'a str,
}

/// One authentication or access decision.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A request was refused for the name that it gave this server, or for the page that it came from.
    RequestRefused {
        /// `host`, `origin`, or `header` for one that came more than once.
        check: &'a str,
        /// What the header said, without what could break a line; empty where there was none, or more than one. For
        /// `header`: its name.
        value: &'a str,
        /// Where the request came from.
        address: &'a str,
    },
    /// A request was refused before anybody was known: no token, or one that is not good.
    AuthenticationFailed {
        /// Where the request came from.
        address: &'a str,
        /// Why, without quoting the token.
        reason: &'a str,
    },
    /// A request was refused because nobody could tell whether its token is good.
    AuthenticationUnavailable {
        /// Where the request came from.
        address: &'a str,
        /// What is missing.
        reason: &'a str,
    },
    /// A known caller was refused.
    AccessDenied {
        /// The caller.
        actor: Actor<'a>,
        /// What was asked for: `tools/call` and the tool (so for resources and prompts), `task`, `session`, `initialize`,
        /// or `any` if the caller may do nothing.
        operation: &'a str,
        /// Why: a client that is not listed, missing scopes, another owner's session, too many of them, a foreign state.
        reason: &'a str,
    },
    /// A request was refused since there were too many before it, or too much that its user has not read. Once a second for
    /// each bucket: the request that it is about, or the latest of those that had no event.
    RateLimited {
        /// Whose: `address`, `client` or `user`; `unread` for a user who has to read first.
        scope: &'a str,
        /// Where the request came from.
        address: &'a str,
        /// The caller, if its token has been looked at.
        actor: Option<Actor<'a>>,
        /// How many refusals it stands for, all since the last event of the bucket.
        count: u64,
    },
    /// A tool ran, or refused its arguments.
    ToolCalled {
        /// The caller.
        actor: Actor<'a>,
        /// The tool.
        tool: &'a str,
        /// The upstream server that ran it; empty for a tool of our own.
        upstream: &'a str,
        /// `ok`, `error`, `invalid_arguments`, `timeout`, `cancelled`, `input_required`, `unknown_tool`.
        outcome: &'a str,
    },
    /// A resource was read, or not.
    ResourceRead {
        /// The caller.
        actor: Actor<'a>,
        /// What was asked for.
        uri: &'a str,
        /// The guarded server whose resource it is; empty for one of our own.
        upstream: &'a str,
        /// `ok`, or why not.
        outcome: &'a str,
    },
    /// A prompt was given, or not.
    PromptGiven {
        /// The caller.
        actor: Actor<'a>,
        /// Its name.
        prompt: &'a str,
        /// The guarded server whose prompt it is; empty for one of our own.
        upstream: &'a str,
        /// `ok`, or why not.
        outcome: &'a str,
    },
    /// An upstream server changed a tool while it was guarded: what callers were told of it no longer holds.
    UpstreamToolChanged {
        /// The upstream server.
        upstream: &'a str,
        /// The tool.
        tool: &'a str,
        /// SHA-256 of the definition that was served until now, base64url.
        before: &'a str,
        /// And of the one that is served from now on.
        after: &'a str,
    },
    /// An upstream server changed a resource while it was guarded.
    UpstreamResourceChanged {
        /// The upstream server.
        upstream: &'a str,
        /// Its URI, or the template.
        uri: &'a str,
        /// As of a tool.
        before: &'a str,
        /// So too.
        after: &'a str,
    },
    /// An upstream server changed a prompt while it was guarded.
    UpstreamPromptChanged {
        /// The upstream server.
        upstream: &'a str,
        /// The prompt.
        prompt: &'a str,
        /// As of a tool.
        before: &'a str,
        /// So too.
        after: &'a str,
    },
    /// An upstream server changed a skill while it was guarded, or a file of it.
    UpstreamSkillChanged {
        /// The upstream server.
        upstream: &'a str,
        /// The URI of its `SKILL.md`.
        uri: &'a str,
        /// As of a tool.
        before: &'a str,
        /// So too.
        after: &'a str,
    },
    /// The embedded issuer issued a token.
    TokenIssued {
        /// The client.
        client: &'a str,
        /// The granted scopes.
        scope: &'a str,
        /// The audience.
        resource: &'a str,
    },
    /// A person logged in at the embedded issuer.
    PersonLoggedIn {
        /// The user.
        user: &'a str,
    },
    /// Somebody tried to.
    LoginFailed {
        /// As they named themselves; it may be anybody.
        user: &'a str,
        /// Why not.
        reason: &'a str,
    },
    /// A person let a client act for them.
    ConsentGiven {
        /// The client.
        client: &'a str,
        /// The person.
        user: &'a str,
        /// What it may do.
        scope: &'a str,
    },
    /// A person did not.
    ConsentDenied {
        /// The client.
        client: &'a str,
        /// The person.
        user: &'a str,
        /// What it wanted to do.
        scope: &'a str,
    },
    /// What a person had granted to a client ended before its time, with all its tokens.
    GrantEnded {
        /// The client.
        client: &'a str,
        /// The person.
        user: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The embedded issuer refused a request at one of its endpoints.
    IssuerRefused {
        /// `authorize`, `device_authorization`, `token`, `register`, `manage`, `revoke`, `introspect`.
        endpoint: &'a str,
        /// The client as it named itself; it may be anybody.
        client: &'a str,
        /// The OAuth error code, if that is the answer, and the reason.
        reason: &'a str,
    },
    /// The embedded issuer revoked a token.
    TokenRevoked {
        /// The client that asked.
        client: &'a str,
        /// The token's own name.
        token_id: &'a str,
    },
    /// The embedded issuer told a client what a token is worth.
    TokenIntrospected {
        /// The client that asked.
        client: &'a str,
        /// What it was told.
        active: bool,
    },
    /// The embedded issuer registered a client.
    ClientRegistered {
        /// The new client.
        client: &'a str,
    },
    /// The embedded issuer showed a client its registration.
    ClientRead {
        /// The client.
        client: &'a str,
    },
    /// The embedded issuer changed a registration as its client asked.
    ClientUpdated {
        /// The client.
        client: &'a str,
    },
    /// The embedded issuer removed a client, and with it ended its tokens.
    ClientRemoved {
        /// The client.
        client: &'a str,
        /// `deleted` by itself, or `unused` for too long.
        reason: &'a str,
    },
    /// A session of the 2025 revisions began.
    SessionOpened {
        /// Its owner.
        actor: Actor<'a>,
    },
}

/// Writes the event to the log, target `audit`.
pub fn record(event: Event<'_>) {
    match event {
        Event::RequestRefused { check, value, address } => {
            info!(target: "audit", check, value, address, "request_refused");
        }
        Event::AuthenticationFailed { address, reason } => {
            info!(target: "audit", address, reason, "authentication_failed");
        }
        Event::AuthenticationUnavailable { address, reason } => {
            info!(target: "audit", address, reason, "authentication_unavailable");
        }
        Event::AccessDenied { actor: Actor { issuer, subject, client }, operation, reason } => {
            info!(target: "audit", issuer, subject, client, operation, reason, "access_denied");
        }
        Event::RateLimited { scope, address, actor: None, count } => {
            info!(target: "audit", scope, address, count, "rate_limited");
        }
        Event::RateLimited { scope, address, actor: Some(Actor { issuer, subject, client }), count } => {
            info!(target: "audit", scope, address, issuer, subject, client, count, "rate_limited");
        }
        Event::ToolCalled { actor: Actor { issuer, subject, client }, tool, upstream: "", outcome } => {
            info!(target: "audit", issuer, subject, client, tool, outcome, "tool_called");
        }
        Event::ToolCalled { actor: Actor { issuer, subject, client }, tool, upstream, outcome } => {
            info!(target: "audit", issuer, subject, client, tool, upstream, outcome, "tool_called");
        }
        Event::ResourceRead { actor: Actor { issuer, subject, client }, uri, upstream: "", outcome } => {
            info!(target: "audit", issuer, subject, client, uri, outcome, "resource_read");
        }
        Event::ResourceRead { actor: Actor { issuer, subject, client }, uri, upstream, outcome } => {
            info!(target: "audit", issuer, subject, client, uri, upstream, outcome, "resource_read");
        }
        Event::PromptGiven { actor: Actor { issuer, subject, client }, prompt, upstream: "", outcome } => {
            info!(target: "audit", issuer, subject, client, prompt, outcome, "prompt_given");
        }
        Event::PromptGiven { actor: Actor { issuer, subject, client }, prompt, upstream, outcome } => {
            info!(target: "audit", issuer, subject, client, prompt, upstream, outcome, "prompt_given");
        }
        Event::UpstreamToolChanged { upstream, tool, before, after } => {
            info!(target: "audit", upstream, tool, before, after, "upstream_tool_changed");
        }
        Event::UpstreamResourceChanged { upstream, uri, before, after } => {
            info!(target: "audit", upstream, uri, before, after, "upstream_resource_changed");
        }
        Event::UpstreamPromptChanged { upstream, prompt, before, after } => {
            info!(target: "audit", upstream, prompt, before, after, "upstream_prompt_changed");
        }
        Event::UpstreamSkillChanged { upstream, uri, before, after } => {
            info!(target: "audit", upstream, uri, before, after, "upstream_skill_changed");
        }
        Event::TokenIssued { client, scope, resource } => {
            info!(target: "audit", client, scope, resource, "token_issued");
        }
        Event::PersonLoggedIn { user } => info!(target: "audit", user, "person_logged_in"),
        Event::LoginFailed { user, reason } => info!(target: "audit", user, reason, "login_failed"),
        Event::ConsentGiven { client, user, scope } => info!(target: "audit", client, user, scope, "consent_given"),
        Event::ConsentDenied { client, user, scope } => info!(target: "audit", client, user, scope, "consent_denied"),
        Event::GrantEnded { client, user, reason } => info!(target: "audit", client, user, reason, "grant_ended"),
        Event::IssuerRefused { endpoint, client, reason } => {
            info!(target: "audit", endpoint, client, reason, "issuer_refused");
        }
        Event::TokenRevoked { client, token_id } => info!(target: "audit", client, token_id, "token_revoked"),
        Event::TokenIntrospected { client, active } => info!(target: "audit", client, active, "token_introspected"),
        Event::ClientRead { client } => info!(target: "audit", client, "client_read"),
        Event::ClientRegistered { client } => info!(target: "audit", client, "client_registered"),
        Event::ClientUpdated { client } => info!(target: "audit", client, "client_updated"),
        Event::ClientRemoved { client, reason } => info!(target: "audit", client, reason, "client_removed"),
        Event::SessionOpened { actor: Actor { issuer, subject, client } } => {
            info!(target: "audit", issuer, subject, client, "session_opened");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    type Events = BTreeMap<String, BTreeSet<String>>;

    /// What [`record`](super::record) writes, read from its own lines.
    fn written() -> Events {
        let (code, _) = include_str!("audit.rs").split_once("#[cfg(test)]").unwrap();
        let mut events = Events::new();
        for call in code.split("info!(target: \"audit\", ").skip(1) {
            let (fields, _) = call.split_once("\")").unwrap();
            let (fields, name) = fields.split_once('"').unwrap();
            let fields = fields.split(',').map(|field| field.trim().to_owned()).filter(|field| !field.is_empty());
            events.entry(name.to_owned()).or_default().extend(fields);
        }
        events
    }

    fn documented() -> Events {
        let rows = include_str!("../../docs/SECURITY.md").lines().filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix("| `")?.split('|').collect();
            let [name, _when, fields, ..] = cells[..] else { return None };
            let fields = fields.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            Some((name.trim().trim_end_matches('`').to_owned(), fields))
        });
        rows.collect()
    }

    #[test]
    fn every_event_is_in_the_docs_with_its_fields_and_no_other_is() {
        let written = written();
        assert!(written.len() > 10 && written["access_denied"].contains("operation"), "{written:?}");
        assert_eq!(documented(), written, "docs/SECURITY.md, \"Logs\"");
    }
}
