//! A server's certificate with its key, from PEM files, and what is wrong with them.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, ServerName, UnixTime,
        pem::{PemObject as _, SectionKind},
    },
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};

use crate::hint::Hint;

/// A chain of certificates, the server's own first, and the key that belongs to it.
#[derive(Clone)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    validity: Validity,
}

/// When a certificate is good, since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before this.
    pub begins: Duration,
    /// Not after this.
    pub ends: Duration,
}

/// Why a text is not the PEM file that it should be; `Display` follows the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPem {
    /// Nothing is in it.
    #[error("is empty, expected {expected}")]
    Empty {
        /// What belongs in it.
        expected: &'static str,
    },
    /// It has PEM sections, but none of the right kind.
    #[error("holds {found}, expected {expected}")]
    OtherKind {
        /// What is in it.
        found: &'static str,
        /// What belongs in it.
        expected: &'static str,
    },
    /// The key is locked with a passphrase.
    #[error("holds an encrypted private key, expected one without a passphrase")]
    Encrypted,
    /// Which of them is meant nobody can tell.
    #[error("holds {0} private keys, expected one")]
    SeveralKeys(usize),
    /// A section breaks off, or is not base64.
    #[error("is damaged PEM: {0}")]
    Damaged(String),
}

/// Why certificate and key cannot be used together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotACertificate {
    /// The key is another's.
    #[error("the private key does not belong to the certificate")]
    OtherKey,
    /// Too small, or of an algorithm that nobody offers in TLS.
    #[error("the private key cannot be used for TLS")]
    UnusableKey,
    /// The first certificate of the chain makes no sense.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
}

impl Hint for NotPem {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty { .. } => "see what should have written it".to_owned(),
            Self::OtherKind { .. } => {
                "`server.tls_cert` takes the certificate chain, `server.tls_key` its private key, both in PEM"
                    .to_owned()
            }
            Self::Encrypted => {
                "decrypt it into a file that only this account may read: `openssl pkey -in KEY -out NEW`".to_owned()
            }
            Self::SeveralKeys(_) => "leave only the key that belongs to the certificate in it".to_owned(),
            Self::Damaged(_) => {
                "copy the whole file again, from `-----BEGIN` to the end of the `-----END` line".to_owned()
            }
        })
    }
}

impl Hint for NotACertificate {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::OtherKey => {
                "name the key that the certificate was requested with; the server's own certificate comes first in the chain"
                    .to_owned()
            }
            Self::UnusableKey => "use RSA of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519".to_owned(),
            Self::Unreadable(_) => "see what `openssl x509 -text -in FILE` says of it".to_owned(),
        })
    }
}

const A_CHAIN: &str = "a certificate chain in PEM";
const A_KEY: &str = "a private key in PEM (PKCS#8, PKCS#1 or SEC1)";

/// Reads the certificates of a PEM file; other sections are passed over.
pub fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, NotPem> {
    let sections = sections(pem, A_CHAIN)?;
    let chain: Vec<_> =
        sections.into_iter().filter(|(kind, _)| *kind == SectionKind::Certificate).map(|(_, der)| der.into()).collect();
    if chain.is_empty() { Err(other_kind(pem, A_CHAIN)) } else { Ok(chain) }
}

/// Reads the private key of a PEM file; other sections are passed over.
pub fn key(pem: &str) -> Result<PrivateKeyDer<'static>, NotPem> {
    let keys = sections(pem, A_KEY)?.into_iter().filter_map(|(kind, der)| match kind {
        SectionKind::PrivateKey => Some(PrivatePkcs8KeyDer::from(der).into()),
        SectionKind::RsaPrivateKey => Some(PrivatePkcs1KeyDer::from(der).into()),
        SectionKind::EcPrivateKey => Some(PrivateSec1KeyDer::from(der).into()),
        _ => None,
    });
    let mut keys: Vec<PrivateKeyDer<'static>> = keys.collect();
    if keys.len() > 1 {
        return Err(NotPem::SeveralKeys(keys.len()));
    }
    keys.pop().ok_or_else(|| other_kind(pem, A_KEY))
}

fn sections(pem: &str, expected: &'static str) -> Result<Vec<(SectionKind, Vec<u8>)>, NotPem> {
    if pem.trim().is_empty() {
        return Err(NotPem::Empty { expected });
    }
    if pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(NotPem::Encrypted);
    }
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    // Its words quote a line at most: the marker that is missing.
    sections.map_err(|error| NotPem::Damaged(error.to_string()))
}

fn other_kind(pem: &str, expected: &'static str) -> NotPem {
    let has = |kind: &str| pem.contains(&format!("-----BEGIN {kind}"));
    let found = if expected == A_KEY && has("ENCRYPTED PRIVATE KEY") {
        return NotPem::Encrypted;
    } else if has("CERTIFICATE REQUEST") || has("NEW CERTIFICATE REQUEST") {
        "a certificate request"
    } else if has("CERTIFICATE") {
        "certificates only"
    } else if pem.contains("PRIVATE KEY-----") {
        "a private key only"
    } else if has("PUBLIC KEY") {
        "a public key"
    } else {
        "no PEM section that is known here"
    };
    NotPem::OtherKind { found, expected }
}

impl Certificate {
    /// Puts a chain and a key together.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, NotACertificate> {
        let first = chain.first().ok_or_else(|| NotACertificate::Unreadable("there is none".to_owned()))?;
        let validity = Validity::of(first)?;
        let signing = super::provider().key_provider.load_private_key(key);
        let signing = signing.map_err(|_| NotACertificate::UnusableKey)?;
        let certified = CertifiedKey::new(chain, signing);
        certified.keys_match().map_err(|_| NotACertificate::OtherKey)?;
        Ok(Self { certified: Arc::new(certified), validity })
    }

    /// When the server's own certificate is good.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether a client that calls this host, a name or an address, takes the certificate as the server's.
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let own = self.certified.cert.first().and_then(|first| EndEntityCert::try_from(first).ok());
        match (own, ServerName::try_from(host)) {
            (Some(own), Ok(name)) => own.verify_is_valid_for_subject_name(&name).is_ok(),
            _ => false,
        }
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.certified)))
    }
}

/// Without the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = self.certified.cert.len();
        formatter
            .debug_struct("Certificate")
            .field("chain", &chain)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

impl Validity {
    /// When this certificate, in DER, is good.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, NotACertificate> {
        let unreadable = |error: webpki::Error| NotACertificate::Unreadable(error.to_string());
        let certificate = EndEntityCert::try_from(certificate).map_err(unreadable)?;
        // The library tells the limits only to whoever asks outside of them.
        let ask = |at| {
            let (at, usage) = (UnixTime::since_unix_epoch(at), KeyUsage::server_auth());
            certificate.verify_for_usage(ALL_VERIFICATION_ALGS, &[], &[], at, usage, None, None).err()
        };
        let begins = match ask(Duration::ZERO) {
            Some(webpki::Error::CertNotValidYet { not_before, .. }) => not_before.as_secs(),
            Some(error @ (webpki::Error::BadDer | webpki::Error::InvalidCertValidity)) => {
                return Err(unreadable(error));
            }
            _ => 0,
        };
        let ends = match ask(Duration::from_secs(u64::MAX)) {
            Some(webpki::Error::CertExpired { not_after, .. }) => not_after.as_secs(),
            _ => u64::MAX,
        };
        Ok(Self { begins: Duration::from_secs(begins), ends: Duration::from_secs(ends) })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd};

    use super::*;

    fn issued(key: &KeyPair) -> (String, String) {
        let mut params =
            CertificateParams::new(["mcp.example".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2100, 1, 1);
        (params.self_signed(key).unwrap().pem(), key.serialize_pem())
    }

    fn read(certificate: &str, key_pem: &str) -> Result<Certificate, NotACertificate> {
        Certificate::new(chain(certificate).unwrap(), key(key_pem).unwrap())
    }

    #[test]
    fn a_certificate_says_when_and_for_whom_it_is_good() {
        let (certificate, key) = issued(&KeyPair::generate().unwrap());
        let certificate = read(&certificate, &key).unwrap();
        let (begins, ends) = (Duration::from_hours(438_288), Duration::from_hours(1_139_568));
        assert_eq!(certificate.validity(), Validity { begins, ends });
        for host in ["mcp.example", "MCP.EXAMPLE", "127.0.0.1", "[::1]", "::1"] {
            assert!(certificate.is_for(host), "{host}");
        }
        for host in ["other.example", "x.mcp.example", "127.0.0.2", "", "[::2]"] {
            assert!(!certificate.is_for(host), "{host}");
        }
    }

    #[test]
    fn a_key_belongs_to_its_certificate_whatever_its_kind() {
        let keys = [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519].map(|kind| KeyPair::generate_for(kind).unwrap());
        let (first, second) = (issued(&keys[0]), issued(&keys[1]));
        assert!(read(&first.0, &first.1).is_ok() && read(&second.0, &second.1).is_ok());
        assert_eq!(read(&first.0, &second.1).unwrap_err(), NotACertificate::OtherKey);
        let both = format!("{}{}", first.1, first.0);
        assert!(read(&both, &both).is_ok(), "one file may hold both");
    }

    #[test]
    fn what_is_not_the_right_pem_is_named() {
        let (certificate, own_key) = issued(&KeyPair::generate().unwrap());
        let said = |error: NotPem| {
            assert!(error.hint().is_some());
            error.to_string()
        };
        let of_chain = |text: &str| said(chain(text).unwrap_err());
        let of_key = |text: &str| said(key(text).unwrap_err());
        assert_eq!(of_chain(" \n"), "is empty, expected a certificate chain in PEM");
        assert_eq!(of_chain(&own_key), "holds a private key only, expected a certificate chain in PEM");
        let request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
        assert_eq!(of_chain(request), "holds a certificate request, expected a certificate chain in PEM");
        assert!(of_chain("hunter2").starts_with("holds no PEM section that is known here"));
        assert!(of_key("").starts_with("is empty, expected a private key"));
        assert!(of_key(&certificate).starts_with("holds certificates only, expected a private key"));
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(of_key(locked), "holds an encrypted private key, expected one without a passphrase");
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(of_key(old), "holds an encrypted private key, expected one without a passphrase");
        assert_eq!(of_key(&own_key.repeat(2)), "holds 2 private keys, expected one");
        let cut = &own_key[..own_key.len() - 20];
        assert!(of_key(cut).starts_with("is damaged PEM: "), "{}", of_key(cut));
        assert!(of_chain(&certificate.replacen("MII", "!!!", 1)).starts_with("is damaged PEM: "));
    }

    #[test]
    fn a_certificate_or_key_of_nonsense_is_refused() {
        let (certificate, own_key) = issued(&KeyPair::generate().unwrap());
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read(nonsense, &own_key), Err(NotACertificate::Unreadable(_))));
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(read(&certificate, key).unwrap_err(), NotACertificate::UnusableKey);
    }

    #[test]
    fn debug_shows_no_key() {
        let (certificate, key) = issued(&KeyPair::generate().unwrap());
        let shown = format!("{:?}", read(&certificate, &key).unwrap());
        assert!(shown.starts_with("Certificate { chain: 1, validity: ") && shown.len() < 200, "{shown}");
    }
}
