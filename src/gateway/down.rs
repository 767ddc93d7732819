//! Why a guarded server does not answer, in words for its operator and in words for callers.

use rmcp::{
    service::{ClientInitializeError, ServiceError},
    transport::streamable_http_client::StreamableHttpError,
};

use crate::{hint::chain, net::status_in, said::said};

/// Why a guarded server does not answer.
///
/// `Display` is for callers too: no URL, no path, nothing that the server said. That is in [`Down::detail`], for our log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Down {
    #[error("it has not answered yet")]
    Starting,
    #[error("this server stops")]
    Stopped,
    #[error("it cannot be reached")]
    Unreachable(String),
    #[error("it does not answer")]
    Silent,
    #[error("it refuses this server's own credential (HTTP {0})")]
    Refused(u16),
    #[error("it redirects (HTTP {0}), and redirects are not followed")]
    Redirects(u16),
    #[error("it answered with HTTP {0}")]
    Status(u16, String),
    #[error("its answer is larger than 16 MiB")]
    TooLarge,
    #[error("its answer is not MCP")]
    NotMcp(String),
    #[error("it cannot be started")]
    NotStarted(String),
    #[error("the connection to it broke off")]
    Closed,
    #[error("it has ended ({0})")]
    Ended(String),
}

impl Down {
    /// What happened exactly, for our own log.
    pub(super) fn detail(&self) -> &str {
        match self {
            Self::Unreachable(text) | Self::Status(_, text) | Self::NotMcp(text) | Self::NotStarted(text) => text,
            _ => "",
        }
    }

    /// For a caller whose call was not sent at all.
    pub(super) fn before_a_call(&self, name: &str) -> String {
        format!("the guarded server `{name}` takes no calls: {self}; {}", self.advice())
    }

    /// For a caller whose call was on its way.
    pub(super) fn during_a_call(&self, name: &str) -> String {
        match self {
            Self::Refused(_) | Self::Redirects(_) | Self::Unreachable(_) => self.before_a_call(name),
            _ => format!(
                "the guarded server `{name}` did not answer this call: {self}; the call may have had effects, check \
                 before you repeat it"
            ),
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Refused(_) => "your token is not the reason: whoever runs this server has to set `upstream.token`",
            Self::Redirects(_) | Self::NotMcp(_) => "whoever runs this server has to correct `upstream.url`",
            Self::NotStarted(_) => "whoever runs this server has to correct `upstream.command`",
            _ => "it is tried again; if this lasts, tell whoever runs this server",
        }
    }

    /// Whether the server may speak another generation of the protocol.
    pub(super) const fn may_be_other_era(&self) -> bool {
        matches!(self, Self::Status(..) | Self::NotMcp(_) | Self::Silent | Self::Closed)
    }

    pub(super) fn of_service(error: ServiceError) -> Self {
        match error {
            ServiceError::TransportSend(error) => Self::of_transport(error.error),
            ServiceError::TransportClosed => Self::Closed,
            ServiceError::Timeout { .. } => Self::Silent,
            other => Self::NotMcp(said(&other.to_string())),
        }
    }

    pub(super) fn of_initialize(error: ClientInitializeError) -> Self {
        match error {
            ClientInitializeError::TransportError { error, .. } => Self::of_transport(error.error),
            ClientInitializeError::ConnectionClosed(_) => Self::Closed,
            ClientInitializeError::LegacyFallbackFailed { fallback, .. } => Self::of_initialize(*fallback),
            other => Self::NotMcp(said(&other.to_string())),
        }
    }

    fn of_transport(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        match error.downcast::<StreamableHttpError<reqwest::Error>>() {
            Ok(error) => Self::of_http(*error),
            // The pipe of a child process.
            Err(_) => Self::Closed,
        }
    }

    fn of_http(error: StreamableHttpError<reqwest::Error>) -> Self {
        match error {
            StreamableHttpError::AuthRequired(_) => Self::Refused(401),
            StreamableHttpError::InsufficientScope(_) => Self::Refused(403),
            StreamableHttpError::Client(error) if error.is_timeout() => Self::Silent,
            StreamableHttpError::Client(error) => Self::Unreachable(said(&chain(&error.without_url()))),
            StreamableHttpError::HttpStatus(error) => Self::of_status(error.status, ""),
            StreamableHttpError::SessionExpired => Self::of_status(404, ""),
            StreamableHttpError::ResponseBodyTooLarge { .. } => Self::TooLarge,
            StreamableHttpError::TransportChannelClosed => Self::Closed,
            StreamableHttpError::UnexpectedServerResponse(text) => match status_in(&text) {
                Some((status, body)) => Self::of_status(status, body),
                None => Self::NotMcp(said(&text)),
            },
            other => Self::NotMcp(said(&other.to_string())),
        }
    }

    fn of_status(status: u16, body: &str) -> Self {
        match status {
            401 | 403 => Self::Refused(status),
            300..=399 => Self::Redirects(status),
            _ => Self::Status(status, said(body)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_learn_what_to_do_and_not_where_the_server_is() {
        let down = Down::Unreachable("http://10.0.0.1:9000 refused".to_owned());
        assert_eq!(
            down.before_a_call("files"),
            "the guarded server `files` takes no calls: it cannot be reached; it is tried again; if this lasts, tell \
             whoever runs this server"
        );
        let refused = Down::of_status(401, "Bearer realm=x").during_a_call("files");
        assert!(refused.contains("(HTTP 401)") && refused.contains("`upstream.token`"), "{refused}");
        let ended = Down::Ended("exit status: 1".to_owned()).during_a_call("files");
        assert!(ended.contains("it has ended (exit status: 1); the call may have had effects"), "{ended}");
    }

    #[test]
    fn a_redirect_is_no_other_generation_and_no_credential_is_one() {
        assert!(!Down::of_status(307, "").may_be_other_era());
        assert!(!Down::of_status(401, "").may_be_other_era());
        assert!(Down::of_status(400, "").may_be_other_era());
    }
}
