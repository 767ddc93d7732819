//! The identity of a workload, from the CI provider that runs it: GitHub Actions' OpenID Connect tokens.

use reqwest::Method;
use serde::Deserialize;
use url::Url;

use super::VoucherError;
use crate::{
    client::{Client, ClientError, grant::ask},
    oauth::{Issuer, is_https_or_loopback},
    secret::Secret,
};

/// What it is called in messages.
const ACTION: &str = "the request for the workload's identity";

/// Where a CI provider signs for the job that it runs.
#[derive(Clone, Debug)]
pub struct WorkloadIdentity {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`; the audience is added to its query.
    pub url: Url,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`: it goes there, and nowhere else.
    pub token: Secret,
}

/// The provider's answer.
#[derive(Deserialize)]
struct Signed {
    value: Secret,
}

impl Client {
    /// A fresh JWT about this workload, for this issuer only.
    pub(super) async fn workload_assertion(
        &self,
        provider: &WorkloadIdentity,
        issuer: &Issuer,
    ) -> Result<Secret, ClientError> {
        let shown = || {
            let mut url = provider.url.clone();
            url.set_query(None);
            url.to_string()
        };
        if !is_https_or_loopback(&provider.url) {
            return Err(VoucherError::PlainProvider { url: shown() }.into());
        }
        let mut url = provider.url.clone();
        url.query_pairs_mut().append_pair("audience", issuer.as_str());
        let http = self.web.at(&url)?;
        let request = http.request(Method::GET, &url).header("accept", "application/json");
        let document = ask(http, ACTION, &url, request.bearer_auth(provider.token.expose())).await?;
        let problem = "it is no JSON object with `value`".to_owned();
        let signed: Signed =
            document.json().map_err(|_| ClientError::BadAnswer { action: ACTION, url: shown(), problem })?;
        Ok(signed.value)
    }
}
