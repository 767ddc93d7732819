//! What is read of a body before anybody is let in, for fuzzers.

use super::envelope::Envelope;

/// What was read of a JSON-RPC message.
#[derive(Debug)]
pub struct Read {
    /// The request's id, as it is written.
    pub id: Option<String>,
    /// `None` for an answer.
    pub method: Option<String>,
    /// For `tools/call`.
    pub tool: Option<String>,
    /// Whether it carries its protocol version itself.
    pub is_stateless: bool,
}

/// Reads a body as `POST /mcp` does; `None` if it is refused.
pub fn read_envelope(body: &[u8]) -> Option<Read> {
    let Envelope { id, method, tool, is_stateless } = Envelope::parse(body).ok()?;
    let owned = |text: Option<std::borrow::Cow<'_, str>>| text.map(std::borrow::Cow::into_owned);
    Some(Read { id: id.map(|id| id.get().to_owned()), method: owned(method), tool: owned(tool), is_stateless })
}
