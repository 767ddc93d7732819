//! Nonces of DPoP proofs: RFC 9449 sections 8 and 9. A proof with one was made after the server gave it.
//!
//! Nothing is kept of a nonce: it is the MAC of the time in which it is given, so everybody who asks in that time gets the
//! same one, and whoever has the secret recognises it.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::secret::{Secret, constant_time_eq};

/// For how long the same nonce is given. One is good for that long, and at most twice as long.
const PERIOD: Duration = Duration::from_mins(2);

/// Gives nonces, and knows those that it gave.
#[derive(Debug)]
pub struct Nonces(hmac::Key);

impl Nonces {
    /// Those of whoever has this secret.
    pub fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()))
    }

    /// The one to put into proofs now.
    pub fn current(&self, now: Duration) -> String {
        self.of(period(now))
    }

    /// Whether this one was given in this period or in the last.
    pub fn is_good(&self, nonce: &str, now: Duration) -> bool {
        let period = period(now);
        [Some(period), period.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|period| constant_time_eq(self.of(period).as_bytes(), nonce.as_bytes()))
    }

    fn of(&self, period: u64) -> String {
        URL_SAFE_NO_PAD.encode(&hmac::sign(&self.0, &period.to_be_bytes()).as_ref()[..16])
    }
}

fn period(now: Duration) -> u64 {
    now.as_secs() / PERIOD.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_one_period_to_two() {
        let nonces = Nonces::new(&Secret::new("secret"));
        let at = |seconds: u64| Duration::from_secs(1_700_000_040 + seconds);
        let (first, last) = (nonces.current(at(0)), nonces.current(at(119)));
        assert_eq!(first, last);
        assert_ne!(nonces.current(at(120)), first);
        for (seconds, expected) in [(0, true), (119, true), (120, true), (239, true), (240, false)] {
            assert_eq!(nonces.is_good(&first, at(seconds)), expected, "{seconds}");
        }
        assert!(!nonces.is_good(&nonces.current(at(120)), at(0)), "not yet given");
        for odd in ["", "A", &first[1..]] {
            assert!(!nonces.is_good(odd, at(0)), "{odd}");
        }
    }

    #[test]
    fn another_secret_gives_others() {
        let [one, same, other] = ["a", "a", "b"].map(|secret| Nonces::new(&Secret::new(secret)));
        let now = Duration::from_secs(1_700_000_000);
        assert!(same.is_good(&one.current(now), now));
        assert!(!other.is_good(&one.current(now), now));
    }
}
