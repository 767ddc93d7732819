//! Who vouches for us, where we have neither a proof of our own nor a login: the JWT bearer grant, RFC 7523 section 2.1.

mod enterprise;
mod error;
mod workload;

use std::time::Duration;

pub use enterprise::IdentityProvider;
pub(super) use error::VoucherError;
pub use workload::WorkloadIdentity;

use super::{
    Client, ClientError,
    error::said,
    identity::{Identity, Proof},
};
use crate::{
    jose::Jws,
    oauth::{
        Issuer, Resource, Scopes, ServerMetadata, TokenResponse,
        assertion::{AssertionSays, JWT_BEARER_GRANT},
    },
    secret::{Secret, sha256_base64url},
};

/// How far clocks may disagree before an assertion is too old to be sent.
const LEEWAY: Duration = Duration::from_mins(1);

/// Who says to an issuer who we are.
#[derive(Clone, Debug)]
pub enum Voucher {
    /// Whoever signed this JWT: a cluster or a CI provider for its workload. It goes to the issuer that its `aud` names.
    Assertion(Secret),
    /// A CI provider, which signs such a JWT for one issuer when it is asked.
    Workload(WorkloadIdentity),
    /// The identity provider that a person of an enterprise is logged in at.
    IdentityProvider(IdentityProvider),
}

impl Voucher {
    /// Tells tokens apart that were got on different words; gives nothing away.
    pub(super) fn fingerprint(&self) -> String {
        match self {
            Self::Assertion(assertion) => assertion.sha256(),
            Self::Workload(provider) => sha256_base64url(provider.url.as_str().as_bytes()),
            Self::IdentityProvider(provider) => provider.id_token.sha256(),
        }
    }

    /// For a message: `.. goes only to an issuer that you name`.
    const fn words(&self) -> &'static str {
        match self {
            Self::Assertion(_) => "an assertion",
            Self::Workload(_) => "the identity of a workload",
            Self::IdentityProvider(_) => "the word of an identity provider",
        }
    }
}

impl Client {
    /// Gets a token on the word of whoever vouches for us. The issuer's no is the answer: it is asked once, and no other
    /// grant is tried.
    ///
    /// The word goes only to the issuer that it is for, and that somebody has named.
    pub(super) async fn token_by_voucher(
        &self,
        voucher: &Voucher,
        issuer: &ServerMetadata,
        identity: &Identity,
        resource: &Resource,
        scopes: Option<&Scopes>,
    ) -> Result<TokenResponse, ClientError> {
        self.may_show(voucher.words(), &issuer.issuer)?;
        if !issuer.supports_grant(JWT_BEARER_GRANT) {
            let what = format!("the `{JWT_BEARER_GRANT}` grant");
            return Err(ClientError::NotOffered { issuer: issuer.issuer.to_string(), what });
        }
        let assertion = match voucher {
            Voucher::Assertion(assertion) => assertion.clone(),
            Voucher::Workload(provider) => self.workload_assertion(provider, &issuer.issuer).await?,
            Voucher::IdentityProvider(provider) => {
                self.enterprise_assertion(provider, &issuer.issuer, resource, scopes).await?
            }
        };
        self.check_assertion(&assertion, issuer)?;
        let mut form = vec![
            ("grant_type", JWT_BEARER_GRANT.to_owned()),
            ("assertion", assertion.expose().to_owned()),
            ("resource", resource.to_string()),
        ];
        form.extend(scopes.map(|scopes| ("scope", scopes.to_string())));
        self.request_token(issuer, identity, form).await
    }

    /// As which client: the one that was named, else none but whom the assertion speaks of (RFC 7523 section 3.1).
    pub(super) async fn vouched_identity(&self, issuer: &Issuer) -> Result<Identity, ClientError> {
        match &self.settings.client_id {
            Some(named) => self.identity_as(issuer, Some(named.clone())).await,
            None => Ok(Identity {
                client_id: String::new(),
                registered_method: None,
                registered_scopes: None,
                proof: Proof::Nothing,
            }),
        }
    }

    /// Whether it is for this issuer, and still good. What is for one issuer is good there for whoever holds it.
    fn check_assertion(&self, assertion: &Secret, issuer: &ServerMetadata) -> Result<(), VoucherError> {
        let says = read(assertion)?;
        let names = [Some(issuer.issuer.as_str()), issuer.token_endpoint.as_ref().map(url::Url::as_str)];
        if !says.aud.iter().any(|audience| names.contains(&Some(audience))) {
            let found = says.aud.iter().map(|audience| format!("`{}`", said(audience))).collect::<Vec<_>>().join(", ");
            return Err(VoucherError::OtherAudience { found, expected: issuer.issuer.to_string() });
        }
        self.check_life(&says)
    }

    fn check_life(&self, says: &AssertionSays) -> Result<(), VoucherError> {
        let now = self.settings.clock.since_epoch();
        if says.exp + LEEWAY.as_secs_f64() <= now.as_secs_f64() { Err(VoucherError::Expired) } else { Ok(()) }
    }
}

fn read(assertion: &Secret) -> Result<AssertionSays, VoucherError> {
    // What is wrong with it could quote it.
    let parsed = Jws::parse(assertion.expose()).and_then(|jws| jws.claims());
    parsed.map_err(|_| VoucherError::NotAnAssertion)
}

#[cfg(test)]
mod tests;
