//! A certificate that a server signs for itself.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, Days, NaiveDate};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::secret::Secret;

/// How long it is good, in days: a year, the longest that browsers take.
const LIFE_DAYS: u64 = 365;

/// A certificate and its key, in PEM.
#[derive(Debug)]
pub struct SelfSigned {
    /// What clients are told to trust.
    pub certificate: String,
    /// Its key.
    pub key: Secret,
}

/// Makes a certificate for these hosts, names or addresses. It signs no other certificate, so that whoever trusts it
/// trusts this one server.
pub fn self_signed(hosts: &[String], now: Duration) -> Result<SelfSigned, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts)?;
    let today = DateTime::from_timestamp_secs(i64::try_from(now.as_secs()).unwrap_or_default()).unwrap_or_default();
    let today = today.date_naive();
    let midnight = |day: NaiveDate| {
        let byte = |number: u32| u8::try_from(number).expect("months and days are below 32");
        date_time_ymd(day.year(), byte(day.month()), byte(day.day()))
    };
    // From yesterday, for a client whose clock is late.
    params.not_before = midnight(today.checked_sub_days(Days::new(1)).unwrap_or(today));
    params.not_after = midnight(today.checked_add_days(Days::new(LIFE_DAYS)).unwrap_or(today));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "securemcp");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok(SelfSigned { certificate: certificate.pem(), key: Secret::new(key.serialize_pem()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Certificate, chain, key};

    #[test]
    fn it_is_good_for_its_hosts_for_a_year() {
        let now = Duration::from_hours(500_000);
        let hosts = ["127.0.0.1", "localhost", "::1"].map(str::to_owned);
        let made = self_signed(&hosts, now).unwrap();
        let certificate = Certificate::new(chain(&made.certificate).unwrap(), key(made.key.expose()).unwrap()).unwrap();
        assert!(hosts.iter().all(|host| certificate.is_for(host)));
        assert!(!certificate.is_for("mcp.example"));
        let day = Duration::from_hours(24);
        let validity = certificate.validity();
        assert!(validity.begins + day <= now && now < validity.begins + 2 * day);
        assert!(now + 364 * day < validity.ends && validity.ends <= now + 365 * day);
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }
}
