//! Enterprise-managed authorization (SEP-990): an identity provider turns the ID token of a person into its word to an
//! authorization server, an identity assertion (ID-JAG), by token exchange (RFC 8693).

use reqwest::Method;

use super::{VoucherError, read};
use crate::{
    client::{
        Client, ClientError,
        error::said,
        grant::ask,
        identity::{Identity, Proof},
    },
    jose::Jws,
    oauth::{
        Issuer, Resource, Scopes,
        assertion::{Exchanged, ID_JAG, ID_JAG_TYP, ID_TOKEN, TOKEN_EXCHANGE},
    },
    secret::Secret,
};

/// What it is called in messages.
const ACTION: &str = "the exchange of the ID token";

/// Where a person is logged in, and as which client we ask there.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    /// Its name, as its tokens carry it.
    pub issuer: Issuer,
    /// The client that the person has logged in with.
    pub client_id: String,
    /// That client's secret; a public client has none.
    pub client_secret: Option<Secret>,
    /// What the person got for logging in. It goes to nobody but its issuer.
    pub id_token: Secret,
}

impl Client {
    /// The identity provider's word to this issuer: who the person is that wants this resource.
    pub(super) async fn enterprise_assertion(
        &self,
        provider: &IdentityProvider,
        issuer: &Issuer,
        resource: &Resource,
        scopes: Option<&Scopes>,
    ) -> Result<Secret, ClientError> {
        let says = read(&provider.id_token)?;
        if says.iss != provider.issuer.as_str() {
            let (found, expected) = (said(&says.iss), provider.issuer.to_string());
            return Err(VoucherError::OtherProvider { found, expected }.into());
        }
        self.check_life(&says)?;
        let metadata = self.metadata_at(&provider.issuer, &provider.issuer.url()).await?;
        let url = self.endpoint(&provider.issuer, "token", metadata.token_endpoint.as_ref())?;
        let mut form = vec![
            ("grant_type", TOKEN_EXCHANGE.to_owned()),
            ("requested_token_type", ID_JAG.to_owned()),
            ("audience", issuer.to_string()),
            ("resource", resource.to_string()),
            ("subject_token", provider.id_token.expose().to_owned()),
            ("subject_token_type", ID_TOKEN.to_owned()),
        ];
        form.extend(scopes.map(|scopes| ("scope", scopes.to_string())));
        let identity = Identity {
            client_id: provider.client_id.clone(),
            registered_method: None,
            registered_scopes: None,
            proof: provider.client_secret.clone().map_or(Proof::Nothing, Proof::Secret),
        };
        let http = self.web.at(&url)?;
        let request = http.request(Method::POST, &url).header("accept", "application/json");
        let request = identity.prove(request, form, &metadata, self.settings.clock.since_epoch())?;
        let document = ask(http, ACTION, &url, request).await?;
        let problem = "it is no JSON object with `access_token` and `issued_token_type`".to_owned();
        let exchanged: Exchanged =
            document.json().map_err(|_| ClientError::BadAnswer { action: ACTION, url: url.to_string(), problem })?;
        check_exchanged(&exchanged, &provider.issuer)?;
        Ok(exchanged.access_token)
    }
}

/// Whether it is what was asked for: another token of the person's would be good elsewhere.
fn check_exchanged(exchanged: &Exchanged, provider: &Issuer) -> Result<(), VoucherError> {
    let other = |problem: String| VoucherError::NoIdentityAssertion { issuer: provider.to_string(), problem };
    if exchanged.issued_token_type != ID_JAG {
        return Err(other(format!("`issued_token_type` is `{}`", said(&exchanged.issued_token_type))));
    }
    let jws = Jws::parse(exchanged.access_token.expose()).map_err(|_| other("it is no signed JWT".to_owned()))?;
    match jws.typ().map(|typ| typ.strip_prefix("application/").unwrap_or(typ)) {
        Some(ID_JAG_TYP) => {}
        typ => return Err(other(format!("its `typ` is `{}`, expected `{ID_JAG_TYP}`", said(typ.unwrap_or_default())))),
    }
    let says = read(&exchanged.access_token)?;
    if says.iss != provider.as_str() {
        return Err(other(format!("its `iss` is `{}`", said(&says.iss))));
    }
    Ok(())
}
