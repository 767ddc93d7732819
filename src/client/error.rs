//! Everything that can go wrong for a client, in words for the person who runs it.

use std::time::Duration;

use super::{
    InitialTokenProblem, SkillError, TokenSourceKind, discover::DiscoverError, elicitation::Unanswered,
    login::LoginError, quirks, voucher::VoucherError,
};
pub(super) use crate::said::said;
use crate::{
    hint::Hint,
    net::NetError,
    oauth::{ErrorCode, Scopes},
    store::{RedisError, StoreError},
};

/// What Keycloak's admin is asked for, in messages.
pub(super) const ADMIN_LOGIN: &str = "the login as Keycloak's admin";
pub(super) const ADMIN_REQUEST: &str = "the request to Keycloak's admin API";
/// What a registration is called in messages.
pub(super) const REGISTRATION: &str = "the registration";

/// What a server of 2026-07-28 answers if it needs something that was not offered to it.
pub(crate) const LACKS_CAPABILITY: i32 = -32021;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, no time, no TLS.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Our own files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What replicas share.
    #[error("nobody can tell whether another replica has registered")]
    NotShared(#[from] RedisError),
    /// A registration in Redis that is none of this deployment's, or that somebody has changed.
    #[error("the client in Redis was not sealed for this deployment with this `client.registration_key`")]
    SealedByOther,
    /// The way from the server to its issuer is broken, or leads where it must not.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// Nothing to prove ourselves with.
    #[error("no client for the issuer `{issuer}`")]
    NoIdentity {
        /// Who would have to know us.
        issuer: String,
    },
    /// A client without secret and key cannot get a token for itself.
    #[error("client `{client_id}` has nothing to prove itself with")]
    NoProof {
        /// Which client.
        client_id: String,
    },
    /// Nobody is logged in.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// Nobody vouches for us, or not to this issuer.
    #[error(transparent)]
    Voucher(#[from] VoucherError),
    /// A skill is not what the server says that it is.
    #[error(transparent)]
    Skill(#[from] SkillError),
    /// The issuer's metadata does not list what is needed.
    #[error("issuer `{issuer}` does not offer {what}")]
    NotOffered {
        /// Who.
        issuer: String,
        /// The end of the sentence.
        what: String,
    },
    /// An OAuth error answer.
    #[error("{action} was refused by `{url}`: {answer}")]
    Refused {
        /// What was asked: `the token request`, ..
        action: &'static str,
        /// The endpoint.
        url: String,
        /// The registered code.
        code: ErrorCode,
        /// Code and description, escaped and capped.
        answer: String,
        /// When to come back, as the issuer says it.
        retry_after: Option<RetryAfter>,
    },
    /// A grant that the issuer did not register, and does not list.
    #[error("issuer `{issuer}` does not offer the `{grant}` grant, and refused to register a client for it: {answer}")]
    GrantNotOffered {
        /// Who.
        issuer: String,
        /// The grant.
        grant: String,
        /// Those that its metadata lists.
        offered: Vec<String>,
        /// Code and description, escaped and capped.
        answer: String,
    },
    /// A secret that was brought along would go to whom a server names.
    #[error("{secret} goes only to an issuer that you name, and `{issuer}` was named by the server")]
    IssuerNotNamed {
        /// The beginning of the sentence.
        secret: &'static str,
        /// The issuer.
        issuer: String,
    },
    /// An issuer whose URL is not that of a realm.
    #[error("`{issuer}` is not a realm of a Keycloak")]
    NotKeycloak {
        /// The issuer.
        issuer: String,
    },
    /// A realm whose events do not tell which clients are used.
    #[error("cannot tell which clients are used: {problem}")]
    CannotTell {
        /// What is missing.
        problem: String,
    },
    /// The registration endpoint did not take the initial access token.
    #[error("the registration was refused by `{url}`: {answer}")]
    InitialTokenRefused {
        /// The endpoint.
        url: String,
        /// Code and description, escaped and capped.
        answer: String,
        /// What can be seen of the token.
        problem: InitialTokenProblem,
    },
    /// An answer that is not what the RFC says.
    #[error("the answer of `{url}` to {action} is no good: {problem}")]
    BadAnswer {
        /// What was asked.
        action: &'static str,
        /// The endpoint.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A token that anybody could use, where one was asked for that nobody else can.
    #[error("issuer `{issuer}` did not bind the token to the key of the DPoP proof: {problem}")]
    NotBound {
        /// Who.
        issuer: String,
        /// What it answered.
        problem: String,
    },
    /// A token from elsewhere is bound to a key elsewhere, or to none.
    #[error("a token that was brought along cannot be proved to be ours (`client.dpop`)")]
    NoKeyOfToken,
    /// The server takes only tokens that are bound to a key.
    #[error("`{server}` takes only access tokens that are bound to a key (DPoP)")]
    ProofNeeded {
        /// Who.
        server: String,
    },
    /// 401, and nothing is left to try.
    #[error("`{server}` refused the {}{}", .source_kind.words(), because(.reason.as_deref()))]
    TokenRefused {
        /// Who refused.
        server: String,
        /// Where the token came from.
        source_kind: TokenSourceKind,
        /// Scopes that its issuer has left out.
        withheld: Scopes,
        /// The server's words, escaped and capped.
        reason: Option<String>,
    },
    /// 403, and nothing is left to try.
    #[error("`{server}` does not permit this{}{}", needs(.needed.as_ref()), because(.reason.as_deref()))]
    NotPermitted {
        /// Who refused.
        server: String,
        /// The scopes that were named for this run; they are all that was asked for.
        named: Option<Scopes>,
        /// All scopes that the operation needs, if the server said.
        needed: Option<Scopes>,
        /// Scopes that the token's issuer has left out.
        withheld: Scopes,
        /// The server's words, escaped and capped.
        reason: Option<String>,
    },
    /// There is no saved registration to show.
    #[error("no registration is kept for the issuer `{issuer}`")]
    NoRegistration {
        /// At which issuer one was looked for.
        issuer: String,
    },
    /// An HTTP status that is no MCP answer.
    #[error("`{server}` answered with HTTP {status}{}", because(.body.as_deref()))]
    Status {
        /// Who.
        server: String,
        /// The status.
        status: u16,
        /// The beginning of the answer, escaped and capped.
        body: Option<String>,
        /// When to come back, as the server says it.
        retry_after: Option<RetryAfter>,
    },
    /// A JSON-RPC error: the server or the tool said no.
    #[error("{message} (JSON-RPC {code})")]
    Rpc {
        /// The JSON-RPC code.
        code: i32,
        /// The server's words, escaped and capped.
        message: String,
    },
    /// The server asked something on its way to the answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The server guards another one, and cannot say what that has.
    #[error("{message}")]
    UpstreamDown {
        /// The server's words, escaped and capped.
        message: String,
    },
    /// The server has nothing of the kind.
    #[error("`{server}` has no {what}")]
    HasNone {
        /// Where.
        server: String,
        /// In the plural.
        what: &'static str,
    },
    /// The server did not answer a call in time.
    #[error("`{server}` did not answer within {} s", .timeout.as_secs_f64())]
    TimedOut {
        /// Who.
        server: String,
        /// The bound that was set.
        timeout: Duration,
    },
    /// The connection ended, or what came over it is no MCP.
    #[error("`{server}` does not speak MCP here: {problem}")]
    NotMcp {
        /// Who.
        server: String,
        /// What came instead, escaped and capped.
        problem: String,
    },
}

/// The header of this name (RFC 9110 section 10.2.3): seconds or a date, escaped and capped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAfter(String);

impl RetryAfter {
    pub(super) fn of(text: &str) -> Self {
        Self(said(text))
    }

    fn hint(&self) -> String {
        let is_seconds = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_digit());
        let when = if is_seconds { format!("in {} s", self.0) } else { format!("after {}", self.0) };
        format!("try again {when}: so it says itself (`Retry-After`)")
    }
}

/// What kind of failure it is: one for each exit code of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tool or the server answered with an error.
    Server,
    /// A setting that cannot work.
    Usage,
    /// Our own disk.
    Local,
    /// No usable way to get a token, or the token was refused.
    NotAuthenticated,
    /// No connection, no answer in time.
    Unreachable,
    /// The token is good, its scopes are not enough.
    NotPermitted,
}

impl ClientError {
    /// Whether it must not be tried again unasked: a password that is wrong too often closes the account.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { action: ADMIN_LOGIN, code, .. } if !may_pass(code))
    }

    /// Which exit code it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Net(NetError::Setup(_)) | Self::IssuerNotNamed { .. } | Self::NoKeyOfToken | Self::SealedByOther => {
                Kind::Usage
            }
            Self::Net(NetError::TooLarge { .. }) => Kind::Server,
            Self::Net(_)
            | Self::TimedOut { .. }
            | Self::UpstreamDown { .. }
            | Self::NotShared(_)
            | Self::Status { status: 502..=504, .. } => Kind::Unreachable,
            Self::Refused { code, .. } if may_pass(code) => Kind::Unreachable,
            Self::Store(_) => Kind::Local,
            Self::Login(error) => error.kind(),
            Self::Discover(error) => error.kind(),
            Self::Unanswered(unanswered) => unanswered.kind,
            Self::NotPermitted { .. }
            | Self::Refused { code: ErrorCode::InvalidScope | ErrorCode::AccessDenied, .. } => Kind::NotPermitted,
            Self::Refused { code: ErrorCode::Other(code), action: REGISTRATION, .. }
                if code == "insufficient_scope" =>
            {
                Kind::NotPermitted
            }
            Self::GrantNotOffered { .. }
            | Self::Refused { code: ErrorCode::InvalidClientMetadata | ErrorCode::InvalidRedirectUri, .. } => {
                Kind::Server
            }
            Self::NoIdentity { .. }
            | Self::NoProof { .. }
            | Self::Voucher(_)
            | Self::NotOffered { .. }
            | Self::Refused { .. }
            | Self::InitialTokenRefused { .. }
            | Self::NotKeycloak { .. }
            | Self::BadAnswer { .. }
            | Self::NotBound { .. }
            | Self::ProofNeeded { .. }
            | Self::TokenRefused { .. }
            | Self::NoRegistration { .. } => Kind::NotAuthenticated,
            Self::Status { .. }
            | Self::Rpc { .. }
            | Self::Skill(_)
            | Self::NotMcp { .. }
            | Self::HasNone { .. }
            | Self::CannotTell { .. } => Kind::Server,
        }
    }
}

impl Hint for ClientError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Net(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::NotShared(error) => return error.hint(),
            Self::SealedByOther => {
                "give every replica the same key; after a change of it start the one first that has the client in its \
                 `state_dir`, or remove it from Redis (docs/REDIS.md): then one is registered anew"
            }
            Self::Discover(error) => return error.hint(),
            Self::Login(error) => return error.hint(),
            Self::Unanswered(unanswered) => return Some(unanswered.hint.clone()),
            Self::Rpc { code: LACKS_CAPABILITY, .. } => {
                "it asks something on its way to the answer: run the command at a terminal, or give the answers with \
                 `--answer NAME=VALUE`; a tool that asks for a model gets one with `call --sampling-command CMD`"
            }
            Self::Voucher(error) => return error.hint(),
            Self::Skill(error) => return error.hint(),
            Self::NoIdentity { .. } => {
                "log in at a terminal with `securemcp token get`, or register a machine with `securemcp dcr register`, \
                 or set `SECUREMCP_CLIENT_ID` and `SECUREMCP_CLIENT_SECRET`, or give a token in `SECUREMCP_TOKEN`"
            }
            Self::NotBound { .. } => {
                "have the issuer bind tokens to keys (DPoP, RFC 9449); Keycloak 26.4 and later does unless it was switched off"
            }
            Self::NoKeyOfToken => {
                "leave `--dpop` (`client.dpop`) out, or the token: then one is got that is bound to a key of this account"
            }
            Self::ProofNeeded { .. } => {
                "add `--dpop`, or set `SECUREMCP_DPOP=true`: then tokens are bound to a key of this account"
            }
            Self::NoProof { .. } => {
                "give its secret in `SECUREMCP_CLIENT_SECRET`, or register with `securemcp dcr register`, or log in with it \
                 at a terminal"
            }
            Self::Refused { retry_after: Some(retry_after), .. }
            | Self::Status { retry_after: Some(retry_after), .. } => {
                return Some(retry_after.hint());
            }
            Self::GrantNotOffered { offered, .. } => {
                let offered = offered.iter().map(|grant| format!("`{}`", said(grant))).collect::<Vec<_>>().join(", ");
                return Some(format!("ask for one that it offers with `--grant`: {offered}; or name another issuer"));
            }
            Self::Refused { code, action, answer, .. } => {
                quirks::hint(action, answer).or_else(|| refused_hint(code, action))?
            }
            Self::InitialTokenRefused { problem, .. } => return Some(problem.hint()),
            Self::CannotTell { .. } => {
                "have the realm save events of logins, tokens and registrations for as long (keycloak/README.md), or \
                 look at fewer days with `--unused-days`"
            }
            Self::IssuerNotNamed { issuer, .. } => {
                return Some(format!(
                    "if that is whom it belongs to, add `--issuer {issuer}`, or set `SECUREMCP_ISSUER`"
                ));
            }
            Self::NotKeycloak { .. } => {
                "leave `--keycloak-admin` out, and bring an initial access token with `--initial-access-token-file`"
            }
            Self::NotPermitted { named: Some(named), needed: Some(needed), .. } if !named.covers(needed) => {
                let both = named.union(needed);
                return Some(format!("ask for them too with `--scope \"{both}\"`, or leave `--scope` out"));
            }
            Self::TokenRefused { withheld, .. } | Self::NotPermitted { withheld, .. } if !withheld.is_empty() => {
                return Some(withheld_hint(withheld));
            }
            Self::TokenRefused { source_kind: TokenSourceKind::Given, .. } => {
                "see what the server does not like about it with `securemcp token inspect`, unless it was revoked, and get a fresh one"
            }
            Self::TokenRefused { .. } => {
                "see what the server does not like about it with `securemcp token inspect`; server and issuer have to \
                 agree on audience, keys and the time, which `securemcp health` compares; the server's log says which it was"
            }
            Self::NotPermitted { .. } => {
                "ask whoever runs the issuer to allow this client the scopes that the operation needs"
            }
            Self::NoRegistration { .. } => "register with `securemcp dcr register`",
            Self::UpstreamDown { .. } => "wait until it is up with `securemcp health --wait 60s`",
            Self::HasNone { .. } => "see what it has with `securemcp tools`, or name another with `--server`",
            Self::TimedOut { .. } => "check that the server is healthy, or give it longer with `--timeout`",
            Self::Status { status: 300..=399, .. } => {
                "no redirect is followed, since it could carry a secret elsewhere: name the URL that answers itself, \
                 or have the issuer's metadata name it"
            }
            Self::Status { status: 403, server, .. } if server.contains("/realms/master/") => {
                "a proxy in front of Keycloak keeps its administration for a network of its own: go there, or name its \
                 inner address with `--issuer-backchannel-url`"
            }
            Self::Status { status: 429, .. } => "it was asked too often: wait a while, then try again",
            Self::Status { status: 500..=599, .. } => {
                "try again later; its log, or that of a proxy in front, says more"
            }
            Self::Status { status: 413, .. } => {
                "the server, or a proxy in front of it, takes no body of this size: send less at once"
            }
            Self::Status { status: 404 | 405, .. } | Self::NotMcp { .. } => {
                "check the path of the URL: MCP servers usually answer at `/mcp`"
            }
            Self::NotOffered { .. } | Self::BadAnswer { .. } | Self::Status { .. } | Self::Rpc { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// What to do about an issuer that grants less than it was asked for, and says nothing.
pub(crate) fn withheld_hint(withheld: &Scopes) -> String {
    format!(
        "the issuer left `{withheld}` out of the token: have this client, or its user, permitted these scopes there \
         (Keycloak: the roles that the client scopes are mapped to, for the client's service account)"
    )
}

/// Whether the issuer says that it is not well, and nothing of the request.
fn may_pass(code: &ErrorCode) -> bool {
    match code {
        ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable => true,
        ErrorCode::Other(code) => code == quirks::OWN_FAILURE,
        _ => false,
    }
}

/// What to do about an OAuth error, RFC 6749 section 5.2, RFC 8707 section 2, RFC 7591 section 3.2.2.
fn refused_hint(code: &ErrorCode, action: &str) -> Option<&'static str> {
    Some(match code {
        code if may_pass(code) => "try again later; the issuer's log says more",
        _ if action == ADMIN_LOGIN => {
            "check `--keycloak-admin` and `KEYCLOAK_ADMIN_PASSWORD`: it must be an administrator of the realm `master`"
        }
        _ if action == ADMIN_REQUEST => "the administrator needs the right to manage clients and users of this realm",
        ErrorCode::InvalidClient => {
            "check `SECUREMCP_CLIENT_ID` and its secret; a client that the issuer has forgotten is registered anew with \
             `securemcp dcr register --new`, and in an env file with `--env-file FILE --auto-update` too"
        }
        ErrorCode::InvalidScope => {
            "ask for scopes that this client may have with `--scope`, or have the missing ones assigned to it at the issuer"
        }
        ErrorCode::UnauthorizedClient => {
            "check the client's secret, and that the issuer allows this client the grant: `client_credentials` for a \
             machine (Keycloak: \"Service accounts roles\"), else that of the login"
        }
        ErrorCode::InvalidTarget => {
            "make the server's URL known to the issuer as a resource, or name the one that it knows with `--resource`"
        }
        ErrorCode::InvalidToken if action != REGISTRATION => {
            "the issuer does not know this registration any more, or not its token: drop it here with `securemcp dcr \
             delete --forget`, and register again with `securemcp dcr register`"
        }
        ErrorCode::InvalidToken => {
            "the registration endpoint needs a valid initial access token: `--initial-access-token-file`"
        }
        ErrorCode::Other(code) if code == "insufficient_scope" && action == REGISTRATION => {
            "the issuer's registration policy does not permit this: ask for other scopes with `--scope`, name other \
             addresses with `--redirect-uri`, or bring an initial access token with `--initial-access-token-file`"
        }
        ErrorCode::InvalidRedirectUri => "name addresses that the issuer allows with `--redirect-uri`",
        ErrorCode::InvalidClientMetadata => {
            "ask for what the issuer allows: `securemcp dcr register --help` and `securemcp dcr update --help` list \
             the flags"
        }
        _ => return None,
    })
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

fn needs(scopes: Option<&Scopes>) -> String {
    scopes.map(|scopes| format!(", it needs the scopes `{scopes}`")).unwrap_or_default()
}
