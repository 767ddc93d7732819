//! Why nobody vouches for us.

use crate::hint::Hint;

/// What is wrong with an assertion, before it is sent. Nothing of it is quoted but whom it is for and by.
#[derive(Debug, thiserror::Error)]
pub enum VoucherError {
    /// Something else.
    #[error("the assertion is no signed JWT with `iss`, `aud` and `exp` (RFC 7523 section 3)")]
    NotAnAssertion,
    /// It would be good at somebody else.
    #[error("the assertion is not for this issuer: its `aud` is {found}, expected `{expected}`")]
    OtherAudience {
        /// Whom it is for, escaped and capped.
        found: String,
        /// Who would have got it.
        expected: String,
    },
    /// It is too old.
    #[error("the assertion has expired")]
    Expired,
    /// An ID token of one identity provider is no business of another.
    #[error("the ID token is of another identity provider: its `iss` is `{found}`, expected `{expected}`")]
    OtherProvider {
        /// Who issued it, escaped and capped.
        found: String,
        /// Who would have got it.
        expected: String,
    },
    /// The identity provider answered with another kind of token.
    #[error("the identity provider `{issuer}` gave no identity assertion: {problem}")]
    NoIdentityAssertion {
        /// Who.
        issuer: String,
        /// What it gave, escaped and capped.
        problem: String,
    },
    /// The CI provider's address is no place for its token.
    #[error("`{url}` is plain http to another machine: no workload identity is fetched from there")]
    PlainProvider {
        /// Where, without query.
        url: String,
    },
}

impl Hint for VoucherError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotAnAssertion => {
                "name the file that holds the JWT alone, as the cluster or the CI provider wrote it".to_owned()
            }
            Self::OtherAudience { expected, .. } => {
                format!("have it made for the audience `{expected}`; the name is compared exactly")
            }
            Self::Expired => "get a fresh one: they live for minutes".to_owned(),
            Self::OtherProvider { found, .. } => {
                format!("if that is where you logged in, name it: `--identity-provider {found}`")
            }
            Self::NoIdentityAssertion { .. } => {
                "ask whoever runs the identity provider to allow this client the exchange of ID tokens for identity \
                 assertions (ID-JAG) for this issuer"
                    .to_owned()
            }
            Self::PlainProvider { .. } => {
                "check `ACTIONS_ID_TOKEN_REQUEST_URL`: the provider sets it, and it is https".to_owned()
            }
        })
    }
}
