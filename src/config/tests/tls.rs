use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

/// 2027-01-15.
const NOW: Duration = Duration::from_hours(500_000);

struct Pair {
    certificate: String,
    key: String,
}

fn pair(host: &str, from: i32, to: i32) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    Pair { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// With these two files, named in the configuration file.
fn desk(certificate: &str, key: &str) -> Desk {
    let mut desk = Desk::serve().file("cert.pem", certificate).file("key.pem", key);
    desk.inputs.environment = desk.inputs.environment.at(NOW);
    desk.toml("server.tls_cert = 'cert.pem'\nserver.tls_key = 'key.pem'")
}

const CERTIFICATE: &str = "`securemcp.toml` line 1: certificate file `cert.pem`";
const KEY: &str = "`securemcp.toml` line 2: key file `key.pem`";

#[test]
fn a_certificate_and_its_key_are_read() {
    let good = pair("localhost", 2020, 2100);
    let config = desk(&good.certificate, &good.key).config();
    let Some(Tls::Files(certificate)) = config.server.tls else { panic!("files") };
    assert!(certificate.is_for("localhost"));
    assert!(config.warnings.is_empty() && config.server.hsts_max_age.is_none());
    assert!(!format!("{certificate:?}").contains("KEY"));
}

#[test]
fn each_way_to_get_the_files_wrong_is_one_problem_with_a_hint() {
    let (good, other) = (pair("localhost", 2020, 2100), pair("localhost", 2020, 2100));
    let late = pair("localhost", 2020, 2021);
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (certificate, key, problem, hint) in [
        ("", &*good.key, format!("{CERTIFICATE} is empty, expected a certificate chain in PEM"), "see what"),
        (&good.key, &good.key, format!("{CERTIFICATE} holds a private key only, expected"), "`server.tls_cert` takes"),
        (
            &good.certificate,
            &good.certificate,
            format!("{KEY} holds certificates only, expected"),
            "`server.tls_cert` takes",
        ),
        (&good.certificate, "", format!("{KEY} is empty, expected a private key"), "see what"),
        (&good.certificate, "hunter2", format!("{KEY} holds no PEM section"), "`server.tls_cert` takes"),
        (
            &good.certificate,
            &other.key,
            format!("{CERTIFICATE} with {KEY}: the private key does not belong to the certificate"),
            "name the key that",
        ),
        (nonsense, &good.key, format!("{CERTIFICATE} with {KEY}: the certificate cannot be read"), "see what `openssl"),
        (&late.certificate, &late.key, format!("{CERTIFICATE} expired on 2021-01-01 00:00 UTC"), "renew it"),
    ] {
        let (found, found_hint) = desk(certificate, key).problem();
        assert!(found.starts_with(&problem), "{found}\nexpected: {problem}");
        assert!(found_hint.starts_with(hint), "{found_hint}\nexpected: {hint}");
        assert!(!found.contains("hunter2"), "{found}");
    }
    let both = desk("", "").problems();
    assert_eq!(both.len(), 2, "both files are judged: {both:?}");
    let (problem, _) = Desk::serve().toml("server.tls_cert = 'cert.pem'\nserver.tls_key = ''").problem();
    assert_eq!(problem, "`securemcp.toml` line 2: `server.tls_key` is empty");
    let missing = Desk::serve().toml("server.tls_cert = 'cert.pem'\nserver.tls_key = 'key.pem'");
    assert_eq!(missing.problems(), [format!("{CERTIFICATE} does not exist"), format!("{KEY} does not exist")]);
}

#[test]
fn what_clients_will_not_take_is_a_warning() {
    let early = pair("localhost", 2030, 2100);
    let warnings = desk(&early.certificate, &early.key).warnings();
    assert_eq!(warnings, [format!("{CERTIFICATE} is good from 2030-01-01 00:00 UTC on: no client takes it yet")]);
    let good = pair("mcp.example", 2020, 2100);
    let named = |name: &str| {
        let desk = desk(&good.certificate, &good.key).variables(&[ISSUER, ("SECUREMCP_RESOURCE", name)]);
        desk.warnings()
    };
    assert!(named("https://mcp.example/mcp").is_empty());
    let expected = format!("{CERTIFICATE} is not for `other.example`, the host of `server.resource`");
    assert_eq!(named("https://other.example/mcp"), [expected]);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let good = pair("localhost", 2020, 2100);
    let of = |toml: &str| {
        let desk = Desk::serve().file("cert.pem", &good.certificate).file("key.pem", &good.key);
        desk.toml(toml).problem()
    };
    let (problem, hint) = of("server.tls_cert = 'cert.pem'");
    assert_eq!(problem, "`securemcp.toml` line 1: `server.tls_cert` is set without `server.tls_key`, expected both");
    assert_eq!(hint, "set `server.tls_key` too, or use `--tls-self-signed`");
    assert!(
        of("server.tls_key = 'key.pem'")
            .0
            .ends_with("`server.tls_key` is set without `server.tls_cert`, expected both")
    );
    let (problem, hint) = of("[server]\ntls_key = 'key.pem'\ntls_cert = 'cert.pem'\ntls_self_signed = true");
    assert_eq!(
        problem,
        "`securemcp.toml` line 4: `server.tls_self_signed` is set beside `server.tls_cert`, expected one of them"
    );
    assert_eq!(hint, "leave out one of the two");
    let (problem, _) = of("server.tls_self_signed = true\nserver.resource = 'http://127.0.0.1:8000/mcp'");
    assert_eq!(problem, "`server.resource` is `http://127.0.0.1:8000/mcp`, but the server speaks TLS");
    assert!(matches!(Desk::serve().toml("server.tls_self_signed = true").config().server.tls, Some(Tls::SelfSigned)));
}

#[test]
fn https_can_be_required_on_loopback_too() {
    let (problem, hint) = Desk::serve().toml("server.require_https = true").problem();
    assert_eq!(problem, "`securemcp.toml` line 1: `server.require_https` is `true`, but there is no TLS");
    assert!(hint.starts_with("set `server.tls_cert` and `server.tls_key`, or declare"), "{hint}");
    Desk::serve().variable("REQUIRE_HTTPS", "false").config();
    Desk::serve().variables(&[("REQUIRE_HTTPS", "true"), ("SECUREMCP_TRUSTED_PROXIES", "127.0.0.1")]).config();
    let own = Desk::serve().variables(&[("REQUIRE_HTTPS", "true"), ("SECUREMCP_TLS_SELF_SIGNED", "true")]);
    assert_eq!(own.config().server.hsts_max_age, Some(Duration::from_hours(365 * 24)));
    assert_eq!(own.variable("HSTS_MAX_AGE", "60").config().server.hsts_max_age, Some(Duration::from_mins(1)));
}

#[test]
fn beyond_loopback_tls_is_enough() {
    let exposed = Desk::serve().variables(&[
        ISSUER,
        ("SECUREMCP_LISTEN", "0.0.0.0:8443"),
        ("SECUREMCP_RESOURCE", "https://mcp.example/mcp"),
    ]);
    assert!(exposed.problem().0.ends_with("beyond loopback, expected TLS, here or in front of it"));
    let config = exposed.variable("SECUREMCP_TLS_SELF_SIGNED", "true").config();
    assert_eq!(config.server.hsts_max_age, Some(Duration::from_hours(365 * 24)));
}
