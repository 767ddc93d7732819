//! What a client run is told: which server, as whom, with what, and where its state lives.

use std::{path::PathBuf, sync::Arc, time::Duration};

use url::Url;

use super::{
    Voucher,
    login::{Grant, Person},
};
use crate::{
    clock::{SharedClock, SystemClock},
    jose::PrivateKey,
    oauth::{Issuer, Resource, Scopes},
    secret::Secret,
};

/// Everything a [`Client`](super::Client) needs to know. Nothing is read from the environment here.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The URL that is called.
    pub server: Resource,
    /// If set, the only issuer that may be used, also where it is on this machine or in a private network.
    pub issuer: Option<Issuer>,
    /// Where the issuer is reached, when that is not its own name.
    pub issuer_backchannel_url: Option<Url>,
    /// A client that somebody registered before.
    pub client_id: Option<String>,
    /// The secret of [`client_id`](Self::client_id).
    pub client_secret: Option<Secret>,
    /// The private key of [`client_id`](Self::client_id), whose public half its issuer knows (RFC 7523 section 2.2).
    pub private_key: Option<Arc<PrivateKey>>,
    /// Who vouches for us; a [`grant`](Self::grant) that is named goes before.
    pub voucher: Option<Voucher>,
    /// Where a document describes this client (CIMD), for issuers that read such documents.
    pub client_metadata_url: Option<Url>,
    /// How tokens are got; `None`: by a machine's proof where there is one, else by a login.
    pub grant: Option<Grant>,
    /// Who may log in; `None`: nobody is there.
    pub person: Option<Arc<dyn Person>>,
    /// Bounds a login, from the page that is shown to the answer that comes back.
    pub login_timeout: Duration,
    /// Whether tokens are bound to a key of this account, so that nobody else can use them (RFC 9449).
    pub dpop: bool,
    /// A token from elsewhere: used as it is, never stored, never renewed.
    pub token: Option<Secret>,
    /// Scopes to ask for, instead of those that the server names.
    pub scopes: Option<Scopes>,
    /// What tokens are asked for, when that is not the server's URL.
    pub resource: Option<Resource>,
    /// Where tokens and registrations are kept.
    pub state_dir: PathBuf,
    /// Whether tokens and what is known of servers may be kept on disk. Registrations always are.
    pub persist: bool,
    /// Asks for a new token, or registers anew, although a good one is kept.
    pub force_new: bool,
    /// Bounds one HTTP request, from connecting to the last byte.
    pub timeout: Duration,
    /// PEM certificates to trust beside the system's.
    pub extra_roots: Vec<reqwest::Certificate>,
    /// Tells when a token has expired.
    pub clock: SharedClock,
}

impl Settings {
    /// For this server, as nobody in particular: it finds the server's issuer, and keeps what it gets under `state_dir`.
    pub fn new(server: Resource, state_dir: PathBuf) -> Self {
        Self {
            server,
            issuer: None,
            issuer_backchannel_url: None,
            client_id: None,
            client_secret: None,
            private_key: None,
            voucher: None,
            client_metadata_url: None,
            grant: None,
            person: None,
            login_timeout: Duration::from_mins(5),
            dpop: false,
            token: None,
            scopes: None,
            resource: None,
            state_dir,
            persist: true,
            force_new: false,
            timeout: Duration::from_secs(30),
            extra_roots: Vec::new(),
            clock: SystemClock::shared(),
        }
    }

    /// What tokens are asked for, as far as it is known without asking the server.
    pub(crate) fn resource(&self) -> &Resource {
        self.resource.as_ref().unwrap_or(&self.server)
    }

    /// Whether tokens for this resource are what a run with these settings would ask for.
    pub(super) fn may_ask_for(&self, resource: &Resource) -> bool {
        match &self.resource {
            Some(named) => named == resource,
            None => *resource == self.server || *resource == self.server.origin(),
        }
    }

    /// Whether the named client can prove itself without anything that is kept here.
    pub(super) fn has_proof(&self) -> bool {
        self.client_id.is_some() && (self.client_secret.is_some() || self.private_key.is_some())
    }

    /// Who vouches for us, unless another way was named.
    pub(super) fn voucher(&self) -> Option<&Voucher> {
        self.voucher.as_ref().filter(|_| self.grant.is_none())
    }

    /// Whether tokens and what is known of servers go to the disk. A token from elsewhere leaves no trace.
    pub(super) fn keeps(&self) -> bool {
        self.persist && self.token.is_none()
    }
}
