//! The TLS scanner sslyze on the listener: Mozilla's "intermediate" configuration.

use std::{fs, os::unix::fs::PermissionsExt as _};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::harness::{Account, Foreign};

/// Certificate and key of a server, and the root above it, in PEM.
struct Issued {
    certificate: String,
    key: String,
    root: String,
}

/// As an authority that follows the rules of browsers would issue it.
fn issued() -> Issued {
    let mut root = CertificateParams::new(Vec::new()).expect("no names");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    root.distinguished_name.push(DnType::CommonName, "tests");
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key")).expect("a certificate");
    let today = chrono::Utc::now().date_naive();
    let date = |day: chrono::NaiveDate| {
        use chrono::Datelike as _;
        let byte = |number: u32| u8::try_from(number).expect("months and days are below 32");
        rcgen::date_time_ymd(day.year(), byte(day.month()), byte(day.day()))
    };
    let mut own = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    own.not_before = date(today - chrono::Days::new(1));
    own.not_after = date(today + chrono::Days::new(89));
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().expect("a key");
    let certificate = own.signed_by(&key, &root).expect("a certificate");
    Issued { certificate: certificate.pem(), key: key.serialize_pem(), root: root.pem() }
}

#[test]
fn p01_the_listener_is_what_mozilla_calls_intermediate() {
    let (account, issued, foreign) = (Account::new(), issued(), Foreign::new());
    let path = |name: &str| account.home().join(name).to_str().expect("UTF-8").to_owned();
    for (name, text) in [("cert.pem", &issued.certificate), ("key.pem", &issued.key), ("root.pem", &issued.root)] {
        fs::write(path(name), text).expect("the home is writable");
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    let server = account.serve_tls(&["--tls-cert", &path("cert.pem"), "--tls-key", &path("key.pem")]);
    let target = format!("localhost:{}", server.port);
    let root = format!("--certinfo_ca_file={}", path("root.pem"));
    let ended = foreign.sslyze(&["--mozilla_config=intermediate", &root, &target]);
    assert!(ended.done().contains(&format!("{target}: OK - Compliant.")), "{ended:#?}");
}

#[test]
fn p01_the_own_certificate_lacks_nothing_but_an_authority() {
    let account = Account::new();
    let server = account.serve_tls(&["--tls-self-signed"]);
    let target = format!("localhost:{}", server.port);
    let ended = Foreign::new().sslyze(&["--mozilla_config=intermediate", &target]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let (_, problems) = ended.stdout.split_once("FAILED - Not compliant.").expect("a verdict");
    let problems: Vec<_> = problems.lines().filter(|line| line.trim_start().starts_with("* ")).collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("certificate_path_validation"), "{problems:?}");
}
