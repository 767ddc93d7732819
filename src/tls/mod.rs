//! TLS as far as it needs no socket: certificates and keys, and what a server offers.
//!
//! One library, rustls with aws-lc-rs, for both ends of every connection.

mod certificate;
mod self_signed;

use std::sync::Arc;

use rustls::{ServerConfig, crypto::CryptoProvider, version};

pub use certificate::{Certificate, NotACertificate, NotPem, Validity, chain, key};
pub use self_signed::{SelfSigned, self_signed};

/// What a server offers: TLS 1.3, and TLS 1.2 with forward secrecy and authenticated encryption only, which is all that
/// rustls knows (Mozilla's "intermediate"). No renegotiation, no compression, no client certificates.
pub fn server_config(certificate: &Certificate) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .expect("the provider has suites of both versions")
        .with_no_client_auth()
        .with_cert_resolver(certificate.resolver());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}
