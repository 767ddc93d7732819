//! The keys that our tokens are bound to, and the proofs that are made with them (RFC 9449).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Method;
use url::Url;

use super::{Client, ClientError, tokens::Held};
use crate::{
    jose::{SigningKey, dpop},
    net::Http,
    oauth::{Issuer, Scheme, ServerMetadata},
    secret::{Secret, sha256_base64url},
    store::{PrivateDir, StoreError},
};

pub(super) const PROOF: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const FOLDER: &str = "dpop-keys";
/// Longest nonce that is sent back, in bytes.
const MAX_NONCE: usize = 1024;

/// What one run knows of proofs.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// By the name of their file; where nothing is kept on the disk, this is all there is.
    keys: Mutex<HashMap<String, Arc<SigningKey>>>,
    /// What each URL wants in the next proof. An issuer and a server at one origin have their own.
    nonces: Mutex<HashMap<String, String>>,
}

impl Proofs {
    fn nonce_for(&self, url: &Url) -> Option<String> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner).get(url.as_str()).cloned()
    }

    /// Remembers what an answer of this URL wants in the next proof; whether it wants something new.
    pub(super) fn learn(&self, url: &Url, headers: &HeaderMap) -> bool {
        let told = headers.get(NONCE).and_then(|nonce| nonce.to_str().ok());
        let Some(nonce) = told.filter(|nonce| !nonce.is_empty() && nonce.len() <= MAX_NONCE) else { return false };
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.insert(url.as_str().to_owned(), nonce.to_owned()).is_none_or(|before| before != nonce)
    }

    /// A proof for one request, with what its URL wants in it.
    pub(super) fn proof(&self, key: &SigningKey, request: dpop::Request<'_>, now: Duration) -> HeaderValue {
        let proof = dpop::prove(key, request, self.nonce_for(request.url).as_deref(), now);
        sensitive(proof.expose())
    }
}

fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("base64url, dots, and what a header of ours was checked for");
    value.set_sensitive(true);
    value
}

/// The name of the file with a client's key at an issuer.
fn file_name(issuer: &Issuer, client_id: &str) -> String {
    sha256_base64url(format!("{issuer}\n{client_id}").as_bytes())
}

/// The kept key, or a new one that is kept from now on. Blocks on the disk.
fn kept_key(state: &PrivateDir, name: &str) -> Result<SigningKey, StoreError> {
    let folder = state.child(FOLDER)?;
    let _lock = folder.lock(name)?;
    let kept = folder.read(name)?.and_then(|pem| String::from_utf8(pem).ok());
    // A damaged one is no key, and what was bound to it is lost anyway.
    if let Some(key) = kept.and_then(|pem| SigningKey::from_pem(&pem).ok()) {
        return Ok(key);
    }
    let key = SigningKey::generate();
    folder.write(name, key.to_pem().expose().as_bytes())?;
    Ok(key)
}

impl Client {
    /// The key that this client's tokens of this issuer are bound to; `None` if they are to be bearer tokens.
    pub(super) async fn key_at(
        &self,
        issuer: &Issuer,
        client_id: &str,
    ) -> Result<Option<Arc<SigningKey>>, ClientError> {
        if !self.settings.dpop {
            return Ok(None);
        }
        let name = file_name(issuer, client_id);
        let keys = || self.proofs.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys().get(&name) {
            return Ok(Some(Arc::clone(key)));
        }
        let key = if self.settings.keeps() {
            let name = name.clone();
            self.on_disk(move |state| kept_key(state, &name)).await?
        } else {
            SigningKey::generate()
        };
        Ok(Some(Arc::clone(keys().entry(name).or_insert_with(|| Arc::new(key)))))
    }

    /// Whether the issuer can bind tokens to keys of ours. One that does not say is tried.
    pub(super) fn check_binds(&self, issuer: &ServerMetadata) -> Result<(), ClientError> {
        let listed = &issuer.dpop_signing_alg_values_supported;
        if !self.settings.dpop || listed.is_empty() || listed.iter().any(|name| name == "ES256") {
            return Ok(());
        }
        let what = "access tokens that are bound to a key of ES256 (`dpop_signing_alg_values_supported`)".to_owned();
        Err(ClientError::NotOffered { issuer: issuer.issuer.to_string(), what })
    }

    /// How a token is sent to the server: by itself, or as headers that name and prove its key.
    pub(super) fn presented(
        &self,
        held: &Held,
        method: &Method,
        headers: &mut HashMap<HeaderName, HeaderValue>,
    ) -> Option<String> {
        let token = held.token.secret.expose();
        let Some(key) = &held.key else { return Some(token.to_owned()) };
        let url = self.settings.server.url();
        let request = dpop::Request { method: method.as_str(), url: &url, access_token: Some(token) };
        let authorization = Secret::new(format!("{} {token}", Scheme::Dpop.as_str()));
        headers.insert(header::AUTHORIZATION, sensitive(authorization.expose()));
        headers.insert(PROOF, self.proofs.proof(key, request, self.settings.clock.since_epoch()));
        None
    }

    /// Asks the server what it wants in proofs; whether it wants something new.
    ///
    /// The transport below does not show the headers of a refusal, so this is a request of its own: an empty message, which a
    /// server that takes the proof as it is answers with an error and does nothing about.
    pub(super) async fn learn_nonce(&self, held: &Held) -> Result<bool, ClientError> {
        let url = self.settings.server.url();
        let mut headers = HashMap::new();
        if self.presented(held, &Method::POST, &mut headers).is_some() {
            return Ok(false);
        }
        let http: &Http = self.web.at(&url)?;
        let request = http.request(Method::POST, &url).header(header::ACCEPT, "application/json, text/event-stream");
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = http.send(request.json(&serde_json::json!({}))).await?;
        Ok(self.proofs.learn(&url, &answer.headers))
    }
}
