//! A certificate authority of the tests, and clients that trust it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SignatureAlgorithm, date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Signs certificates that are good from 2020 to 2100, whatever clock judges them.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate chain and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Files that a server and its clients are given.
pub(crate) struct Files {
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "tests");
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate") }
    }

    /// The root certificate, in PEM.
    pub(crate) fn root(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn issue(&self, hosts: &[&str]) -> Issued {
        self.issue_with(hosts, &KeyPair::generate().expect("a key"), (2020, 2100))
    }

    pub(crate) fn issue_for(&self, hosts: &[&str], algorithm: &'static SignatureAlgorithm) -> Issued {
        self.issue_with(hosts, &KeyPair::generate_for(algorithm).expect("a key"), (2020, 2100))
    }

    /// Good from the beginning of one year to that of another.
    pub(crate) fn issue_with(&self, hosts: &[&str], key: &KeyPair, years: (i32, i32)) -> Issued {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(key, &self.issuer).expect("a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// An HTTP client that trusts this authority and nobody else.
    pub(crate) fn client(&self) -> reqwest::Client {
        client_trusting(&self.root())
    }

    /// A TLS connection, with these versions and protocols on offer.
    pub(crate) async fn connect(
        &self,
        address: std::net::SocketAddr,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.root().as_bytes()).expect("PEM")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(address.ip().to_string()).expect("an address");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// An HTTP client that trusts these certificates and nobody else.
pub(crate) fn client_trusting(pem: &str) -> reqwest::Client {
    let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).expect("PEM");
    let options = securemcp::net::Options { timeout: Duration::from_secs(20), extra_roots: roots };
    securemcp::net::client(&options).expect("a client")
}

/// The same for HTTP/1.1 only, where `Host` may be another name than that of the URL.
pub(crate) fn http1_client_trusting(pem: &str) -> reqwest::Client {
    let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).expect("PEM");
    #[expect(clippy::disallowed_methods, reason = "a client that the product would not build")]
    let builder = reqwest::Client::builder();
    builder.http1_only().tls_certs_merge(roots).build().expect("a client")
}

impl Issued {
    /// The key as older programs write it: PKCS#1 for RSA, SEC1 for elliptic curves.
    pub(crate) fn with_old_key(&self, label: &str) -> Self {
        let pkcs8 = rustls::pki_types::PrivatePkcs8KeyDer::from_pem_slice(self.key.as_bytes()).expect("PKCS#8");
        let inner = inner_key(pkcs8.secret_pkcs8_der());
        let base64 = base64::engine::general_purpose::STANDARD.encode(inner);
        let lines = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII"));
        let key = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.collect::<Vec<_>>().join("\n"));
        Self { certificate: self.certificate.clone(), key }
    }
}

/// The octet string in a PKCS#8 structure: sequence of version, algorithm, key.
fn inner_key(der: &[u8]) -> &[u8] {
    fn value(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, start) = match der[1] {
            0x81 => (usize::from(der[2]), 3),
            0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
            short => (usize::from(short), 2),
        };
        der[start..].split_at(length)
    }
    let (structure, _) = value(der);
    let (_version, rest) = value(structure);
    let (_algorithm, rest) = value(rest);
    value(rest).0
}

impl Files {
    pub(crate) fn new(issued: &Issued) -> Self {
        let files = Self { folder: tempfile::tempdir().expect("a temporary directory") };
        files.replace(issued);
        files
    }

    /// Puts another certificate in the place of the first, as a program that renews it does.
    pub(crate) fn replace(&self, issued: &Issued) {
        self.write("cert.pem", &issued.certificate);
        self.write("key.pem", &issued.key);
    }

    /// A file for its owner only.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        path.to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn certificate(&self) -> String {
        self.path("cert.pem")
    }

    pub(crate) fn key(&self) -> String {
        self.path("key.pem")
    }
}
