//! The certificate that the listener shows, and the first words of a TLS connection.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{StartError, names::Names};
use crate::{
    config,
    secret::Secret,
    store::PrivateDir,
    tls::{Certificate, chain, key, self_signed, server_config},
};

/// How long a client may take for its part of the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// With less left of its life, the server's own certificate is made anew.
const MIN_LIFE_LEFT: Duration = Duration::from_hours(30 * 24);

const FOLDER: &str = "tls";
const CERTIFICATE: &str = "self-signed.pem";
const KEY: &str = "self-signed-key.pem";

/// TLS of the listener.
pub(super) struct Tls {
    config: RwLock<Arc<ServerConfig>>,
    /// The certificate that clients have to be told to trust, if it is the server's own.
    own_certificate: Option<PathBuf>,
}

impl Tls {
    /// Reads or makes the server's own certificate, if that is wanted.
    pub(super) fn open(
        settings: &config::Tls,
        names: &Names,
        state: &PrivateDir,
        now: Duration,
    ) -> Result<Self, StartError> {
        let own_certificate = match settings {
            config::Tls::Files(_) => None,
            config::Tls::SelfSigned => Some(state.child(FOLDER)?.path().join(CERTIFICATE)),
        };
        let certificate = certificate(settings, names, state, now)?;
        Ok(Self { config: RwLock::new(server_config(&certificate)), own_certificate })
    }

    /// Shows another certificate from the next connection on.
    pub(super) fn renew(
        &self,
        settings: &config::Tls,
        names: &Names,
        state: &PrivateDir,
        now: Duration,
    ) -> Result<(), StartError> {
        let config = server_config(&certificate(settings, names, state, now)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// The file with the server's own certificate.
    pub(super) fn own_certificate(&self) -> Option<&Path> {
        self.own_certificate.as_deref()
    }

    /// Does the server's part of the handshake.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await?
    }
}

fn certificate(
    settings: &config::Tls,
    names: &Names,
    state: &PrivateDir,
    now: Duration,
) -> Result<Certificate, StartError> {
    match settings {
        config::Tls::Files(certificate) => Ok(certificate.clone()),
        config::Tls::SelfSigned => own(&state.child(FOLDER)?, &names.certified_hosts(), now),
    }
}

/// The certificate that was made before, while it is good for long enough and for all of these hosts; else a new one.
fn own(folder: &PrivateDir, hosts: &[String], now: Duration) -> Result<Certificate, StartError> {
    let _lock = folder.lock(CERTIFICATE)?;
    let is_good = |certificate: &Certificate| {
        let validity = certificate.validity();
        validity.begins <= now
            && now.saturating_add(MIN_LIFE_LEFT) < validity.ends
            && hosts.iter().all(|host| certificate.is_for(host))
    };
    if let (Some(pem), Some(private)) = (folder.read(CERTIFICATE)?, folder.read(KEY)?)
        && let Some(kept) = parse(&pem, &private).filter(is_good)
    {
        return Ok(kept);
    }
    let made =
        self_signed(hosts, now).map_err(|source| StartError::SelfSigned { hosts: hosts.join("`, `"), source })?;
    // The key first: between the two writes they do not fit, and are made again.
    folder.write(KEY, made.key.expose().as_bytes())?;
    folder.write(CERTIFICATE, made.certificate.as_bytes())?;
    Ok(parse(made.certificate.as_bytes(), made.key.expose().as_bytes()).expect("it was made for each other"))
}

/// What cannot be used is as good as absent.
fn parse(certificate: &[u8], private: &[u8]) -> Option<Certificate> {
    let private = Secret::new(std::str::from_utf8(private).ok()?);
    let chain = chain(std::str::from_utf8(certificate).ok()?).ok()?;
    Certificate::new(chain, key(private.expose()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_hours(500_000);

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_own_certificate_is_kept_until_it_is_nearly_over_or_not_for_every_host() {
        let root = tempfile::tempdir().unwrap();
        let folder = PrivateDir::open(&root.path().join("tls")).unwrap();
        let pem = || String::from_utf8(folder.read(CERTIFICATE).unwrap().unwrap()).unwrap();
        let all = hosts(&["127.0.0.1", "localhost", "::1"]);
        own(&folder, &all, NOW).unwrap();
        let first = pem();
        own(&folder, &all[..1], NOW + Duration::from_hours(24 * 300)).unwrap();
        assert_eq!(pem(), first);
        let renewed = own(&folder, &all, NOW + Duration::from_hours(24 * 340)).unwrap();
        assert!(renewed.validity().ends > NOW + Duration::from_hours(24 * 700));
        let second = pem();
        assert_ne!(second, first);
        assert!(own(&folder, &hosts(&["mcp.example"]), NOW).unwrap().is_for("mcp.example"));
        assert_ne!(pem(), second);
        assert_eq!(folder.names().unwrap(), [KEY, CERTIFICATE]);
    }

    #[test]
    fn what_is_left_of_a_killed_start_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let folder = PrivateDir::open(&root.path().join("tls")).unwrap();
        own(&folder, &hosts(&["localhost"]), NOW).unwrap();
        let stranger = self_signed(&hosts(&["localhost"]), NOW).unwrap();
        for damaged in [stranger.key.expose(), "", "nonsense"] {
            folder.write(KEY, damaged.as_bytes()).unwrap();
            assert!(own(&folder, &hosts(&["localhost"]), NOW).unwrap().is_for("localhost"));
        }
    }
}
