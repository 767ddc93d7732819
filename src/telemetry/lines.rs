//! JSON log lines: one object for one event, in one piece.
//!
//! `tracing-subscriber` has such a layer too, for spans and with JSON values in between, which took more of a tool call than
//! its authentication.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    time::Duration,
};

use chrono::DateTime;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::request;
use crate::{clock::SharedClock, said::is_deceptive};

thread_local! {
    static LINE: RefCell<Line> = RefCell::default();
}

/// Writes `{"timestamp":…,"level":…,"target":…,"message":…, the event's fields, the ids of its request}`.
pub(super) struct JsonLines<W> {
    pub(super) clock: SharedClock,
    /// Whether events of this target are written.
    pub(super) takes: fn(&str) -> bool,
    /// Takes what is said of the event's kind, and a line with its newline.
    pub(super) write: W,
}

/// A line in the making, and the second that the one before it told: most lines of a busy server share it.
#[derive(Default)]
struct Line {
    text: String,
    second: u64,
    second_as_text: String,
}

impl<S: Subscriber, W: Fn(&Metadata<'_>, &[u8]) + 'static> Layer<S> for JsonLines<W> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        if !(self.takes)(metadata.target()) {
            return;
        }
        // Taken out, because a field's own `Debug` might log.
        let mut line = LINE.take();
        line.begin(self.clock.since_epoch());
        let text = &mut line.text;
        // Piece by piece, since this is most of what a call costs: `format_args!` takes several times as many steps.
        push_all(text, [r#","level":""#, metadata.level().as_str(), r#"","target":"#]);
        push_quoted(text, metadata.target());
        event.record(&mut Fields(text));
        request::each(|name, id| push_all(text, [",\"", name, "\":\"", id, "\""]));
        text.push_str("}\n");
        (self.write)(metadata, text.as_bytes());
        LINE.replace(line);
    }
}

impl Line {
    fn begin(&mut self, now: Duration) {
        let second = now.as_secs();
        if self.second_as_text.is_empty() || self.second != second {
            self.second = second;
            self.second_as_text = to_the_second(second);
        }
        self.text.clear();
        let micros = now.subsec_micros();
        push_all(&mut self.text, [r#"{"timestamp":""#, &self.second_as_text, "."]);
        self.text.extend([100_000, 10_000, 1000, 100, 10, 1].map(|place| digit(micros / place)));
        self.text.push_str("Z\"");
    }
}

/// When an event was, as every line tells it.
pub(super) fn timestamp(now: Duration) -> String {
    format!("{}.{:06}Z", to_the_second(now.as_secs()), now.subsec_micros())
}

fn to_the_second(second: u64) -> String {
    let time = i64::try_from(second).ok().and_then(|second| DateTime::from_timestamp(second, 0));
    time.unwrap_or_default().format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Adds each field as `,"name":value`.
struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    /// Names are those of the program, in which nothing needs an escape.
    fn name(&mut self, field: &Field) {
        push_all(self.0, [",\"", field.name(), "\":"]);
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        push(self.0, format_args!("{value}"));
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        push_quoted(self.0, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// A JSON string, in which nothing can draw on the terminal of whoever reads the line.
fn push_quoted(text: &mut String, value: &str) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    // Without an early end it is checked sixteen bytes at a time.
    if value.bytes().fold(true, |so_far, byte| so_far & is_plain(byte)) {
        text.push('"');
        text.push_str(value);
        text.push('"');
        return;
    }
    for character in serde_json::to_string(value).expect("a string is JSON").chars() {
        if is_deceptive(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                push(text, format_args!("\\u{unit:04x}"));
            }
        } else {
            text.push(character);
        }
    }
}

fn push_all<const N: usize>(text: &mut String, pieces: [&str; N]) {
    for piece in pieces {
        text.push_str(piece);
    }
}

/// The last digit of a number.
fn digit(number: u32) -> char {
    char::from_digit(number % 10, 10).expect("a remainder of ten")
}

fn push(text: &mut String, value: fmt::Arguments<'_>) {
    text.write_fmt(value).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt as _;
    use serde_json::{Value, json};
    use tracing_subscriber::{Registry, layer::SubscriberExt as _};

    use super::*;
    use crate::{clock::TestClock, telemetry::request::Ids};

    fn lines(story: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&written);
        let write = move |_: &Metadata<'_>, line: &[u8]| writer.lock().unwrap().extend_from_slice(line);
        let subscriber =
            Registry::default().with(JsonLines { clock: TestClock::at(1_800_000_000), takes: |_| true, write });
        // With only one subscriber in the process, tracing would cache what others in other threads are interested in.
        let _second = tracing::Dispatch::new(Registry::default());
        tracing::subscriber::with_default(subscriber, story);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    #[test]
    fn j09_nothing_in_a_line_draws_on_a_terminal_or_turns_it_round() {
        let told = "\u{e9}\u{9b}2J\u{7f}\u{202e}gnp\u{2028}\u{e0041}\r\n\"\\";
        let mut quoted = String::new();
        push_quoted(&mut quoted, told);
        assert_eq!(quoted, r#""\u{e9}\u009b2J\u007f\u202egnp\u2028\udb40\udc41\r\n\"\\""#.replace(r"\u{e9}", "\u{e9}"));
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), told, "a reader gets what was said");
    }

    #[test]
    fn an_event_is_one_object_with_the_ids_of_its_request() {
        let id = |text| http::HeaderValue::from_static(text);
        let found = lines(|| {
            let ids = Ids { request: id("r-1"), correlation: Some(id("c-1")) };
            let event =
                async || tracing::info!(target: "audit", number = 7_u64, less = -7, is_so = true, "tool_called");
            ids.around(event()).now_or_never().unwrap();
            Ids { request: id("r-2"), correlation: None }.around(event()).now_or_never().unwrap();
            event().now_or_never().unwrap();
        });
        let expected = json!({"timestamp": "2027-01-15T08:00:00.000000Z", "level": "INFO", "target": "audit",
            "message": "tool_called", "number": 7, "less": -7, "is_so": true});
        let with = |ids: Value| {
            let mut expected = expected.clone();
            expected.as_object_mut().unwrap().extend(ids.as_object().unwrap().clone());
            expected
        };
        let ids = [json!({"request_id": "r-1", "correlation_id": "c-1"}), json!({"request_id": "r-2"}), json!({})];
        assert_eq!(found, ids.map(with));
    }

    #[test]
    fn what_strangers_write_stays_inside_its_string() {
        let odd = "a\"b\\c\r\nd\u{1b}[31m\u{0}é\u{2028}";
        let found = lines(|| tracing::warn!(odd, debug = ?odd, display = %odd, "odd {odd}"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["odd"], odd);
        assert_eq!(found[0]["display"], odd);
        assert_eq!(found[0]["message"], format!("odd {odd}"));
    }

    #[test]
    fn a_field_that_logs_while_it_is_read_gets_a_line_of_its_own() {
        struct Talker;
        impl fmt::Debug for Talker {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                tracing::info!("inner");
                formatter.write_str("talker")
            }
        }
        let found = lines(|| tracing::info!(who = ?Talker, "outer"));
        let outer = found.iter().find(|line| line["message"] == "outer").unwrap();
        assert_eq!(outer["who"], "talker");
    }
}
