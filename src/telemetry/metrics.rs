//! Numbers about the server, for Prometheus (docs/METRICS.md).
//!
//! Every label has few values, whatever strangers send: paths and tools that do not exist share one. Nothing here names a
//! caller, a session or a token.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};

/// Names of each kind that are counted apart: a guarded server may rename its tools for ever.
const MAX_NAMES: usize = 1_000;
/// The name of a call that names nothing there is, and of those that are too many.
const OTHER: &str = "other";

/// What a text label can be.
type Text = Cow<'static, str>;
type Label<V> = [(&'static str, V); 1];

/// What is counted. Cheap to clone; without a listener for metrics it counts nothing.
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<Counted>>);

struct Counted {
    registry: Registry,
    requests: Family<(Label<&'static str>, Label<u32>), Histogram, Buckets>,
    tokens: Family<Label<&'static str>, Histogram, Buckets>,
    tool_calls: Calls,
    resource_reads: Calls,
    prompts_given: Calls,
    key_fetches: Family<Label<&'static str>, Counter>,
    introspections: Family<Label<&'static str>, Counter>,
    sessions: Gauge,
    sessions_opened: Counter,
    sessions_unavailable: Counter,
    rate_limited: Family<Label<&'static str>, Counter>,
    changed_tools: Counter,
}

/// Calls of one kind, by name and outcome.
struct Calls {
    family: Family<[(&'static str, Text); 2], Counter>,
    /// The label that has the name.
    label: &'static str,
    names: Mutex<BTreeSet<Text>>,
}

/// From these seconds up, for everything that is measured: a token found in memory, a tool that asks a person.
#[derive(Clone, Copy)]
struct Buckets(&'static [f64]);

const OF_REQUESTS: Buckets =
    Buckets(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
const OF_TOKENS: Buckets = Buckets(&[0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0, 5.0]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Metrics({})", if self.0.is_some() { "on" } else { "off" })
    }
}

impl Metrics {
    /// Counts from now on.
    pub fn on() -> Self {
        Self(Some(Arc::new(Counted::new())))
    }

    /// Whether anything is counted: if not, nobody need look at the clock.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A request was answered so long after its headers were read; streams go on after that.
    pub(crate) fn request(&self, route: &'static str, status: u16, took: Duration) {
        if let Some(counted) = &self.0 {
            let labels = ([("route", route)], [("status", status.into())]);
            counted.requests.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }

    /// A token was judged: `accepted`, `refused`, `not_allowed` or `unavailable`.
    pub(crate) fn token(&self, outcome: &'static str, took: Duration) {
        if let Some(counted) = &self.0 {
            counted.tokens.get_or_create(&[("outcome", outcome)]).observe(took.as_secs_f64());
        }
    }

    /// A tool ran or refused to; `None` if there is no such tool.
    pub(crate) fn tool_call(&self, tool: Option<&Text>, outcome: &'static str) {
        if let Some(counted) = &self.0 {
            counted.tool_calls.count(tool, outcome);
        }
    }

    /// A resource was read, or not: by its URI, or that of its template; `None` if there is no such resource.
    pub(crate) fn resource_read(&self, resource: Option<&Text>, outcome: &'static str) {
        if let Some(counted) = &self.0 {
            counted.resource_reads.count(resource, outcome);
        }
    }

    /// A prompt was given, or not; `None` if there is no such prompt.
    pub(crate) fn prompt_given(&self, prompt: Option<&Text>, outcome: &'static str) {
        if let Some(counted) = &self.0 {
            counted.prompts_given.count(prompt, outcome);
        }
    }

    /// The issuer's keys were asked for: `ok` or `error`.
    pub(crate) fn key_fetch(&self, outcome: &'static str) {
        if let Some(counted) = &self.0 {
            counted.key_fetches.get_or_create(&[("outcome", outcome)]).inc();
        }
    }

    /// The issuer was asked about a token: `active`, `inactive` or `error`.
    pub(crate) fn introspection(&self, outcome: &'static str) {
        if let Some(counted) = &self.0 {
            counted.introspections.get_or_create(&[("outcome", outcome)]).inc();
        }
    }

    /// A session began.
    pub(crate) fn session_opened(&self) {
        if let Some(counted) = &self.0 {
            counted.sessions.inc();
            counted.sessions_opened.inc();
        }
    }

    /// A session ended.
    pub(crate) fn session_closed(&self) {
        if let Some(counted) = &self.0 {
            counted.sessions.dec();
        }
    }

    /// A request could not be told whether its session exists.
    pub(crate) fn session_unavailable(&self) {
        if let Some(counted) = &self.0 {
            counted.sessions_unavailable.inc();
        }
    }

    /// A request came too soon after others of the same `address`, `client` or `user`, or its user has to read first
    /// (`unread`).
    pub(crate) fn rate_limited(&self, scope: &'static str) {
        if let Some(counted) = &self.0 {
            counted.rate_limited.get_or_create(&[("scope", scope)]).inc();
        }
    }

    /// The guarded server changed the definition of a tool.
    pub(crate) fn tool_changed(&self) {
        if let Some(counted) = &self.0 {
            counted.changed_tools.inc();
        }
    }

    /// Everything as text (`OpenMetrics` 1.0); empty if nothing is counted.
    pub(crate) fn page(&self) -> String {
        let mut page = String::new();
        if let Some(counted) = &self.0 {
            encode(&mut page, &counted.registry).expect("a String takes everything");
        }
        page
    }
}

impl Counted {
    fn new() -> Self {
        let mut counted = Self {
            registry: Registry::with_prefix("securemcp"),
            requests: Family::new_with_constructor(OF_REQUESTS),
            tokens: Family::new_with_constructor(OF_TOKENS),
            tool_calls: Calls::by("tool"),
            resource_reads: Calls::by("resource"),
            prompts_given: Calls::by("prompt"),
            key_fetches: Family::default(),
            introspections: Family::default(),
            sessions: Gauge::default(),
            sessions_opened: Counter::default(),
            sessions_unavailable: Counter::default(),
            rate_limited: Family::default(),
            changed_tools: Counter::default(),
        };
        // Known from the start, so that the first event is an increase and not a new series.
        for (family, name, values) in [
            (&counted.key_fetches, "outcome", ["ok", "error"].as_slice()),
            (&counted.introspections, "outcome", &["active", "inactive", "error"]),
            (&counted.rate_limited, "scope", &["address", "client", "user", "unread"]),
        ] {
            for value in values {
                drop(family.get_or_create(&[(name, *value)]));
            }
        }
        let registry = &mut counted.registry;
        let seconds = || Unit::Seconds;
        registry.register_with_unit(
            "http_request_duration",
            "Time from the headers of a request to the head of its answer",
            seconds(),
            counted.requests.clone(),
        );
        registry.register_with_unit(
            "token_validation_duration",
            "Time to judge an access token",
            seconds(),
            counted.tokens.clone(),
        );
        registry.register("tool_calls", "Calls of tools", counted.tool_calls.family.clone());
        registry.register("resource_reads", "Reads of resources", counted.resource_reads.family.clone());
        registry.register("prompts_given", "Uses of prompts", counted.prompts_given.family.clone());
        registry.register("jwks_fetches", "Requests for the issuer's keys", counted.key_fetches.clone());
        registry.register("introspections", "Questions to the issuer about tokens", counted.introspections.clone());
        registry.register("sessions", "Open sessions of the 2025 revisions", counted.sessions.clone());
        registry.register("sessions_opened", "Sessions that have begun", counted.sessions_opened.clone());
        let unavailable = counted.sessions_unavailable.clone();
        registry.register("sessions_unavailable", "Requests refused since Redis did not answer", unavailable);
        registry.register("rate_limited", "Requests refused since there were too many", counted.rate_limited.clone());
        registry.register(
            "upstream_tool_changes",
            "Definitions of tools that the guarded server changed while it was guarded",
            counted.changed_tools.clone(),
        );
        counted
    }
}

impl Calls {
    fn by(label: &'static str) -> Self {
        Self { family: Family::default(), label, names: Mutex::default() }
    }

    fn count(&self, name: Option<&Text>, outcome: &'static str) {
        let name = name.filter(|name| self.is_counted_apart(name)).cloned().unwrap_or(Cow::Borrowed(OTHER));
        self.family.get_or_create(&[(self.label, name), ("outcome", outcome.into())]).inc();
    }

    fn is_counted_apart(&self, name: &Text) -> bool {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.contains(name) || names.len() < MAX_NAMES && names.insert(name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h24_a_server_that_renames_its_tools_for_ever_is_counted_in_bounded_room() {
        let metrics = Metrics::on();
        for number in 0..10_000 {
            metrics.tool_call(Some(&format!("tool-{number}").into()), "ok");
        }
        let page = metrics.page();
        assert_eq!(page.lines().filter(|line| line.starts_with("securemcp_tool_calls_total{")).count(), MAX_NAMES + 1);
        assert!(page.contains("securemcp_tool_calls_total{tool=\"tool-999\",outcome=\"ok\"} 1\n"));
        assert!(page.contains("securemcp_tool_calls_total{tool=\"other\",outcome=\"ok\"} 9000\n"));
    }

    #[test]
    fn nothing_is_counted_until_it_is_on() {
        let metrics = Metrics::default();
        metrics.session_opened();
        assert_eq!((metrics.is_on(), metrics.page().as_str()), (false, ""));
    }
}
