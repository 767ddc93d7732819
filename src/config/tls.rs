//! The certificate that the server shows: from files, its own, or none.

use chrono::DateTime;

use super::{
    Environment, Tls, files,
    problem::{Report, Reported, quoted},
    reader::Reader,
    values,
};
use crate::{
    hint::Hint as _,
    oauth::Resource,
    tls::{Certificate, chain, key},
};

const CERTIFICATE: &str = "server.tls_cert";
const KEY: &str = "server.tls_key";
const SELF_SIGNED: &str = "server.tls_self_signed";

/// A file that a setting names.
struct Named<'a> {
    path: &'a str,
    origin: &'a str,
}

/// Whether somebody asked for TLS, also in a way that cannot work.
pub(super) fn is_wanted(reader: &Reader<'_>) -> bool {
    !reader.is_unset(CERTIFICATE)
        || !reader.is_unset(KEY)
        || reader.quietly(SELF_SIGNED, values::switch).unwrap_or_default()
}

/// Reads and judges certificate and key.
pub(super) fn tls(reader: &mut Reader<'_>, environment: &Environment, resource: Option<&Resource>) -> Option<Tls> {
    let is_self_signed = reader.required(SELF_SIGNED, values::switch);
    let paths = (reader.optional(CERTIFICATE, values::text), reader.optional(KEY, values::text));
    let Reader { values, report } = reader;
    let origin = |path| values.get(path).map(|value| value.origin.as_str()).unwrap_or_default();
    let tls = match (&paths, is_self_signed) {
        ((None, None), false) => return None,
        ((None, None), true) => Tls::SelfSigned,
        (_, true) => {
            let path = if paths.0.is_some() { CERTIFICATE } else { KEY };
            let message =
                format!("{}: `{SELF_SIGNED}` is set beside `{path}`, expected one of them", origin(SELF_SIGNED));
            report.problem_with_hint(message, "leave out one of the two");
            return None;
        }
        ((Some(certificate), Some(key)), false) => {
            let certificate = Named { path: certificate, origin: origin(CERTIFICATE) };
            let key = Named { path: key, origin: origin(KEY) };
            Tls::Files(read(&certificate, &key, environment, resource, report).ok()?)
        }
        (one, false) => {
            let (set, missing) = if one.0.is_some() { (CERTIFICATE, KEY) } else { (KEY, CERTIFICATE) };
            // A value that could not be read has been reported already.
            if !values.contains_key(missing) {
                let message = format!("{}: `{set}` is set without `{missing}`, expected both", origin(set));
                report.problem_with_hint(message, format!("set `{missing}` too, or use `--tls-self-signed`"));
            }
            return None;
        }
    };
    if let Some(resource) = resource.filter(|resource| resource.url().scheme() == "http") {
        let message = format!("`server.resource` is {}, but the server speaks TLS", quoted(resource.as_str()));
        report.problem_with_hint(message, "name it with an https URL");
    }
    Some(tls)
}

fn read(
    certificate: &Named<'_>,
    private_key: &Named<'_>,
    environment: &Environment,
    resource: Option<&Resource>,
    report: &mut Report,
) -> Result<Certificate, Reported> {
    let whole = |what: &str, named: &Named<'_>| format!("{}: {what} file {}", named.origin, quoted(named.path));
    let what = format!("{}: certificate file", certificate.origin);
    let certificates = files::read(&what, certificate.path.as_ref(), environment, report).and_then(|content| {
        chain(&content.text).map_err(|error| {
            let message = format!("{} {error}", whole("certificate", certificate));
            report.problem_with_hint(message, error.hint().unwrap_or_default())
        })
    });
    let keys = files::read_secret("key file", private_key.path, private_key.origin, environment, report);
    let keys = keys.and_then(|text| {
        key(text.expose()).map_err(|error| {
            let message = format!("{} {error}", whole("key", private_key));
            report.problem_with_hint(message, error.hint().unwrap_or_default())
        })
    });
    let read = Certificate::new(certificates?, keys?).map_err(|error| {
        let message = format!("{} with {}: {error}", whole("certificate", certificate), whole("key", private_key));
        report.problem_with_hint(message, error.hint().unwrap_or_default())
    })?;
    let (now, validity) = (environment.now(), read.validity());
    let day = |time: std::time::Duration| {
        let time = i64::try_from(time.as_secs()).ok().and_then(DateTime::from_timestamp_secs);
        time.unwrap_or(DateTime::<chrono::Utc>::MAX_UTC).format("%Y-%m-%d %H:%M UTC")
    };
    if now > validity.ends {
        let message = format!("{} expired on {}", whole("certificate", certificate), day(validity.ends));
        return Err(report.problem_with_hint(message, "renew it, and see that what renews it also replaces this file"));
    }
    if now < validity.begins {
        let begins = day(validity.begins);
        report.warn(format!("{} is good from {begins} on: no client takes it yet", whole("certificate", certificate)));
    }
    if let Some(host) = resource.and_then(|resource| resource.url().host_str().map(str::to_owned))
        && !read.is_for(&host)
    {
        let host = quoted(&host);
        report.warn(format!("{} is not for {host}, the host of `server.resource`", whole("certificate", certificate)));
    }
    Ok(read)
}
