//! A login in a browser anywhere, for a device without one: RFC 8628.

use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;
use url::Url;

use super::{Abandoned, DeviceCode, LoginError, Wanted, error::DEVICE_REQUEST, who::LoginClient};
use crate::{
    client::{Client, ClientError, error::said, grant::ask},
    net::NetError,
    oauth::{
        ErrorCode, TokenResponse,
        device::{DEVICE_CODE, DeviceAuthorization},
        pkce::{S256, Verifier},
    },
};

/// RFC 8628 section 3.2: where the issuer does not say.
const INTERVAL: Duration = Duration::from_secs(5);
/// RFC 8628 section 3.5: what `slow_down` adds for good.
const SLOWER: Duration = Duration::from_secs(5);
/// Nobody is asked more often, whatever he says; nor is a person kept waiting for longer than this after he is done.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Longest code that a person can be asked to type, in characters.
const MAX_CODE: usize = 40;

/// How often the token endpoint is asked.
#[derive(Debug, PartialEq, Eq)]
struct Pace {
    interval: Duration,
}

impl Pace {
    fn of(authorization: &DeviceAuthorization) -> Self {
        let told = authorization.interval.map_or(INTERVAL, Duration::from_secs);
        Self { interval: told.clamp(BOUNDS.0, BOUNDS.1) }
    }

    /// Whether the answer means that the person has not decided yet: then the pace is that of the next question.
    fn goes_on(&mut self, error: &ClientError) -> bool {
        match error {
            ClientError::Refused { code: ErrorCode::AuthorizationPending, .. } => true,
            ClientError::Refused { code: ErrorCode::SlowDown, .. } => {
                self.interval = (self.interval + SLOWER).min(BOUNDS.1);
                true
            }
            // RFC 8628 section 3.5: a connection that fails is tried again, less often each time.
            ClientError::Net(NetError::TimedOut { .. } | NetError::Unreachable { .. } | NetError::Broken { .. }) => {
                self.interval = (self.interval * 2).min(BOUNDS.1);
                true
            }
            _ => false,
        }
    }
}

impl Client {
    /// Shows a code, and asks until the person has typed it somewhere.
    pub(super) async fn log_in_by_device(
        &self,
        wanted: &Wanted<'_>,
        client: &LoginClient,
    ) -> Result<TokenResponse, ClientError> {
        // Keycloak 26.7 wants PKCE here too, of clients that need it; others take no notice.
        let verifier = Verifier::random();
        let authorization = self.device_authorization(wanted, client, &verifier).await?;
        let code = self.shown(wanted, &authorization)?;
        wanted.person.show_code(&code);
        let limit = self.settings.login_timeout;
        let form = [
            ("grant_type", DEVICE_CODE.to_owned()),
            ("device_code", authorization.device_code.expose().to_owned()),
            ("code_verifier", verifier.secret().expose().to_owned()),
            ("resource", wanted.resource.to_string()),
        ];
        let asking = self.poll(wanted, client, &form, Pace::of(&authorization), code.lifetime);
        let answer = tokio::time::timeout(limit, asking).await;
        wanted.person.done();
        answer.map_err(|_| LoginError::Abandoned(Abandoned::TimedOut(limit)))?
    }

    async fn device_authorization(
        &self,
        wanted: &Wanted<'_>,
        client: &LoginClient,
        verifier: &Verifier,
    ) -> Result<DeviceAuthorization, ClientError> {
        let issuer = wanted.issuer;
        let endpoint = issuer.device_authorization_endpoint.as_ref();
        let url = self.endpoint(&issuer.issuer, "device authorization", endpoint)?;
        let mut form = vec![
            ("resource", wanted.resource.to_string()),
            ("code_challenge", verifier.challenge().as_str().to_owned()),
            ("code_challenge_method", S256.to_owned()),
        ];
        form.extend(wanted.scopes.as_ref().map(|scopes| ("scope", scopes.to_string())));
        let http = self.web.at(&url)?;
        let request = http.request(Method::POST, &url).header("accept", "application/json");
        let request = client.identity.prove(request, form, issuer, self.settings.clock.since_epoch())?;
        let document = ask(http, DEVICE_REQUEST, &url, request).await?;
        let problem =
            "it has no `device_code`, `user_code`, `verification_uri` and `expires_in` (RFC 8628 section 3.2)";
        // The parser's words would quote the answer, and with it perhaps the code.
        document.json().map_err(|_| bad(&url, problem.to_owned()))
    }

    /// What of the answer a person may be shown.
    fn shown(&self, wanted: &Wanted<'_>, authorization: &DeviceAuthorization) -> Result<DeviceCode, ClientError> {
        let issuer = wanted.issuer;
        self.page_for_people(issuer, "verification URI", &authorization.verification_uri)?;
        if let Some(complete) = &authorization.verification_uri_complete {
            self.page_for_people(issuer, "verification URI", complete)?;
        }
        let user_code = said(&authorization.user_code);
        if user_code.is_empty() || user_code.chars().count() > MAX_CODE {
            let url = authorization.verification_uri.clone();
            return Err(bad(&url, "its `user_code` is none that a person could type".to_owned()));
        }
        Ok(DeviceCode {
            user_code,
            page: authorization.verification_uri.clone(),
            complete: authorization.verification_uri_complete.clone(),
            lifetime: Duration::from_secs(authorization.expires_in),
        })
    }

    async fn poll(
        &self,
        wanted: &Wanted<'_>,
        client: &LoginClient,
        form: &[(&'static str, String)],
        mut pace: Pace,
        lifetime: Duration,
    ) -> Result<TokenResponse, ClientError> {
        let begun = Instant::now();
        loop {
            tokio::time::sleep(pace.interval).await;
            let error = match self.request_token(wanted.issuer, &client.identity, form.to_vec()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if pace.goes_on(&error) {
                if begun.elapsed() >= lifetime {
                    return Err(LoginError::Abandoned(Abandoned::Expired).into());
                }
                continue;
            }
            return Err(match error {
                ClientError::Refused { code: ErrorCode::AccessDenied, answer, .. } => {
                    LoginError::Abandoned(Abandoned::Denied(answer)).into()
                }
                ClientError::Refused { code: ErrorCode::ExpiredToken, .. } => {
                    LoginError::Abandoned(Abandoned::Expired).into()
                }
                error => error,
            });
        }
    }
}

fn bad(url: &Url, problem: String) -> ClientError {
    ClientError::BadAnswer { action: DEVICE_REQUEST, url: url.to_string(), problem }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pace(interval: Option<u64>) -> Pace {
        let authorization = json!({
            "device_code": "d", "user_code": "c", "verification_uri": "https://auth.example/device",
            "expires_in": 600, "interval": interval,
        });
        Pace::of(&serde_json::from_value(authorization).unwrap())
    }

    fn refused(code: &str) -> ClientError {
        ClientError::Refused {
            action: "the token request",
            url: "https://auth.example/token".to_owned(),
            code: serde_json::from_value(code.into()).unwrap(),
            answer: code.to_owned(),
            retry_after: None,
        }
    }

    #[test]
    fn the_issuer_is_asked_as_often_as_it_says() {
        for (told, seconds) in [(None, 5), (Some(7), 7), (Some(0), 1), (Some(100_000), 60)] {
            assert_eq!(pace(told).interval, Duration::from_secs(seconds), "{told:?}");
        }
    }

    #[test]
    fn who_asks_too_often_asks_less_often_from_then_on() {
        let mut pace = pace(Some(5));
        assert!(pace.goes_on(&refused("authorization_pending")));
        assert_eq!(pace.interval.as_secs(), 5);
        for seconds in [10, 15, 20] {
            assert!(pace.goes_on(&refused("slow_down")));
            assert_eq!(pace.interval.as_secs(), seconds);
        }
        let timed_out = || NetError::TimedOut { url: String::new(), timeout: Duration::ZERO }.into();
        assert!(pace.goes_on(&timed_out()));
        assert_eq!(pace.interval.as_secs(), 40);
        assert!(pace.goes_on(&timed_out()) && pace.goes_on(&timed_out()));
        assert_eq!(pace.interval.as_secs(), 60, "and no less");
        for code in ["access_denied", "expired_token", "invalid_grant", "invalid_client"] {
            assert!(!pace.goes_on(&refused(code)), "{code}");
        }
    }
}
