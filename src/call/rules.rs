//! The rules around every call, of whatever kind: scopes, time, audit, metrics.

use std::{borrow::Cow, fmt, pin::pin, task::Poll, time::Duration};

use futures_util::poll;

use super::{AskError, CallContext, CallError};
use crate::{
    auth::Principal,
    oauth::Scopes,
    telemetry::audit::{self, Actor, Event},
};

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long one may take that asks its caller: a person may have to think.
const TIMEOUT_ASKING: Duration = Duration::from_mins(5);
/// The longest name that MCP allows for a tool, in characters; prompts keep to it.
const MAX_NAME: usize = 128;
/// How much of a URI is in an audit event and in an answer, in characters.
const MAX_URI: usize = 512;

const CANCELLED: &str = "cancelled";

/// What can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By `tools/call`.
    Tool,
    /// By `resources/read`.
    Resource,
    /// By `prompts/get`.
    Prompt,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt => "prompt",
        })
    }
}

impl Kind {
    /// The method of MCP that uses it.
    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::Tool => "tools/call",
            Self::Resource => "resources/read",
            Self::Prompt => "prompts/get",
        }
    }

    /// A name or URI that may be nobody's, cut off where no good one goes on.
    pub(crate) fn shortened(self, name: &str) -> &str {
        let most = if self == Self::Resource { MAX_URI } else { MAX_NAME };
        // No character takes less than a byte.
        let end = if name.len() <= most { None } else { name.char_indices().nth(most) };
        end.map_or(name, |(end, _)| &name[..end])
    }
}

/// Whether it is a name of a tool or a prompt.
pub(crate) fn is_name(name: &str) -> bool {
    let charset = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(charset)
}

/// How long a call may take that asks its caller, or does not.
pub(crate) const fn timeout(asks: bool) -> Duration {
    if asks { TIMEOUT_ASKING } else { TIMEOUT }
}

/// The scopes of a definition in a program.
///
/// # Panics
/// If one of them is none.
pub(crate) fn scopes_of(kind: Kind, name: &str, scopes: &[&str]) -> Scopes {
    Scopes::parse(&scopes.join(" ")).unwrap_or_else(|error| panic!("{kind} `{name}`: {error}"))
}

/// One use of one thing.
pub(crate) struct Call<'a> {
    pub(crate) kind: Kind,
    /// The tool's or prompt's name, the resource's URI.
    pub(crate) name: &'a str,
    /// What it is counted by: of a resource by template, the template.
    pub(crate) label: &'a Cow<'static, str>,
    pub(crate) scopes: &'a Scopes,
    pub(crate) timeout: Duration,
    /// The upstream server's name for the audit; empty for what is our own.
    pub(crate) upstream: &'a str,
    pub(crate) context: &'a CallContext,
}

impl Call<'_> {
    /// Does the work if the caller may have it done, for as long as it may take. It leaves an audit event, also if it is
    /// dropped before its end. A panic goes through: the server catches it.
    ///
    /// # Errors
    /// Missing scopes, what the work says, time that is up, a caller that gave up.
    pub(crate) async fn run<T>(
        self,
        work: impl Future<Output = Result<T, CallError>>,
        is_error: impl Fn(&T) -> bool,
    ) -> Result<T, CallError> {
        self.allow()?;
        let mut ending = Ending { call: self, outcome: CANCELLED };
        let result = ending.call.bounded(work).await;
        ending.outcome = match &result {
            Ok(value) if is_error(value) => "error",
            Ok(_) => "ok",
            Err(CallError::InvalidArguments(_)) => "invalid_arguments",
            Err(CallError::Ask(AskError::Pending)) => "input_required",
            Err(CallError::TimedOut { .. }) => "timeout",
            Err(CallError::Cancelled) => CANCELLED,
            Err(CallError::Unknown { kind, .. }) => unknown(*kind),
            Err(_) => "error",
        };
        result
    }

    /// Does something that goes before a call and is none, such as to say what an argument may be: by the same rules, and
    /// without a trace if it is allowed.
    ///
    /// # Errors
    /// As those of [`run`](Self::run).
    pub(crate) async fn prepare<T>(self, work: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        self.allow()?;
        self.bounded(work).await
    }

    fn allow(&self) -> Result<(), CallError> {
        let principal = &self.context.principal;
        if principal.scopes.covers(self.scopes) {
            return Ok(());
        }
        let needed = self.scopes.clone();
        deny(principal, self.kind, self.name, &format!("needs `{needed}`"));
        Err(CallError::MissingScope { kind: self.kind, needed })
    }

    async fn bounded<T>(&self, work: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        if self.context.cancel.is_cancelled() {
            return Err(CallError::Cancelled);
        }
        let mut work = pin!(work);
        // What is done at once needs nobody to watch it.
        if let Poll::Ready(result) = poll!(&mut work) {
            return result;
        }
        let bounded = tokio::time::timeout(self.timeout, work);
        match self.context.cancel.run_until_cancelled(bounded).await {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(CallError::TimedOut { kind: self.kind, bound: self.timeout }),
            None => Err(CallError::Cancelled),
        }
    }
}

/// There is nothing of this name, and that is audited.
pub(crate) fn none_of(kind: Kind, name: &str, context: &CallContext) -> CallError {
    let name = kind.shortened(name);
    record(context.principal.actor(), kind, name, "", unknown(kind));
    count(context, kind, None, unknown(kind));
    CallError::Unknown { kind, name: name.to_owned() }
}

/// Records that a caller may not use something.
pub(crate) fn deny(principal: &Principal, kind: Kind, name: &str, reason: &str) {
    let operation = format!("{} {}", kind.method(), kind.shortened(name));
    audit::record(Event::AccessDenied { actor: principal.actor(), operation: &operation, reason });
}

const fn unknown(kind: Kind) -> &'static str {
    match kind {
        Kind::Tool => "unknown_tool",
        Kind::Resource => "unknown_resource",
        Kind::Prompt => "unknown_prompt",
    }
}

fn record(actor: Actor<'_>, kind: Kind, name: &str, upstream: &str, outcome: &str) {
    let name = kind.shortened(name);
    audit::record(match kind {
        Kind::Tool => Event::ToolCalled { actor, tool: name, upstream, outcome },
        Kind::Resource => Event::ResourceRead { actor, uri: name, upstream, outcome },
        Kind::Prompt => Event::PromptGiven { actor, prompt: name, upstream, outcome },
    });
}

fn count(context: &CallContext, kind: Kind, label: Option<&Cow<'static, str>>, outcome: &'static str) {
    match kind {
        Kind::Tool => context.metrics.tool_call(label, outcome),
        Kind::Resource => context.metrics.resource_read(label, outcome),
        Kind::Prompt => context.metrics.prompt_given(label, outcome),
    }
}

/// Audits a call when it ends, in whatever way: a client that goes away drops it half-done.
struct Ending<'a> {
    call: Call<'a>,
    outcome: &'static str,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { "error" } else { self.outcome };
        let Call { kind, name, label, upstream, context, .. } = self.call;
        record(context.principal.actor(), kind, name, upstream, outcome);
        count(context, kind, Some(label), outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_those_that_mcp_allows() {
        for name in ["a", "get_user.v2-beta", &"x".repeat(128)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "two words", "a/b", "naïve", "a\n", &"x".repeat(129)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
