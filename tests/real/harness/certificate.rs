//! A certificate for a server of the tests, and the authority above it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Paths of PEM files: certificate and key of the server `localhost`, and the root above it.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) root: String,
}

impl Issued {
    /// As an authority that follows the rules of browsers would issue it.
    pub(crate) fn write_to(directory: &Path) -> Self {
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
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).expect("the directory is writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
            path.to_str().expect("UTF-8").to_owned()
        };
        Self {
            certificate: write("cert.pem", certificate.pem()),
            key: write("key.pem", key.serialize_pem()),
            root: write("root.pem", root.pem()),
        }
    }
}
