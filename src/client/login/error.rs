//! Why nobody is logged in.

use std::{io, time::Duration};

use crate::{
    client::{ClientError, Kind},
    hint::Hint,
};

/// What a login is called in messages.
pub(super) const LOGIN: &str = "the login";
pub(super) const DEVICE_REQUEST: &str = "the request for a code to type";

/// What went wrong with a login.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A person has to log in, and nobody is there.
    #[error("somebody has to log in at `{issuer}`, and nobody is at a terminal here")]
    NobodyThere {
        /// Where.
        issuer: String,
    },
    /// Somebody began to log in, and it came to nothing.
    #[error("the login was abandoned: {0}")]
    Abandoned(Abandoned),
    /// What came back is not the answer to the login that was begun: it is not used, and not shown.
    #[error("what came back from the login is not used: {problem}")]
    NotOurs {
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody can come back from a login.
    #[error("cannot listen on this machine for the end of the login")]
    NoListener(#[source] io::Error),
    /// The client was registered with redirect URIs elsewhere.
    #[error("client `{client_id}` sends people somewhere else after a login: its redirect URIs are {uris:?}")]
    NoPlace {
        /// Which client.
        client_id: String,
        /// What was registered.
        uris: Vec<String>,
    },
    /// Nobody may register a client for logins without being asked.
    #[error("issuer `{issuer}` registers no client for logins from here")]
    NotRegistered {
        /// Who.
        issuer: String,
        /// Its own words.
        source: Box<ClientError>,
    },
    /// Of a client that registered by itself less is taken than of one that is known.
    #[error("issuer `{issuer}` does not give the grant `{grant}` to a client that nobody vouches for")]
    NotForStrangers {
        /// Who.
        issuer: String,
        /// What was asked for.
        grant: &'static str,
    },
}

/// How a login came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Abandoned {
    /// Nobody came back.
    #[error("nobody finished it within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The code was not typed while it was good.
    #[error("the code was not typed in time")]
    Expired,
    /// The person, or a policy for persons, said no: the issuer's words, escaped and capped.
    #[error("the issuer says {0}")]
    Denied(String),
}

impl LoginError {
    /// Which exit code it is.
    pub(in crate::client) fn kind(&self) -> Kind {
        match self {
            Self::NoListener(_) => Kind::Local,
            Self::NoPlace { .. } => Kind::Usage,
            Self::NotRegistered { source, .. } if source.kind() == Kind::Unreachable => Kind::Unreachable,
            _ => Kind::NotAuthenticated,
        }
    }
}

impl Hint for LoginError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NobodyThere { .. } => {
                "log in once at a terminal with `securemcp token get`; without one `--no-browser` prints the address \
                 to go to, and `--grant device_code` a code to type elsewhere; a machine sets `SECUREMCP_CLIENT_ID` \
                 and `SECUREMCP_CLIENT_SECRET`, or `SECUREMCP_TOKEN`"
            }
            Self::Abandoned(Abandoned::TimedOut(_)) => {
                "start again, and give it longer with `--login-timeout` if that was too short; if the issuer's page \
                 did not know the client, drop it with `securemcp dcr delete --forget`"
            }
            Self::Abandoned(Abandoned::Expired) => "start again: there is a new code each time",
            Self::Abandoned(Abandoned::Denied(_)) => {
                "start again and agree to it, or ask whoever runs the issuer what this account may do"
            }
            Self::NotOurs { .. } => {
                "start again, and use only the page that the command opens; if it happens again, the issuer is not the \
                 one that it says it is"
            }
            Self::NoListener(_) => "let this process listen on 127.0.0.1, or log in with `--grant device_code`",
            Self::NoPlace { .. } => {
                "register one that comes back here: `securemcp dcr register --grant authorization_code --redirect-uri \
                 http://127.0.0.1/callback`"
            }
            Self::NotForStrangers { .. } => {
                "register a client for it with an initial access token: `securemcp dcr register --grant device_code \
                 --grant refresh_token --auth-method none --initial-access-token-file FILE`; or log in with `--grant authorization_code`"
            }
            Self::NotRegistered { .. } => {
                "name a public client with `--client-id`, or register one with `securemcp dcr register --grant \
                 authorization_code` and an initial access token"
            }
        };
        Some(hint.to_owned())
    }
}
