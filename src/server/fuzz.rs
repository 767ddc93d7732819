//! What is read of a body before anybody is let in, for fuzzers.

use super::envelope::{Envelope, Target};

/// What was read of a JSON-RPC message.
#[derive(Debug)]
pub struct Read {
    /// The request's id, as it is written.
    pub id: Option<String>,
    /// `None` for an answer.
    pub method: Option<String>,
    /// The tool, prompt or resources that it wants to use, by name or URI.
    pub uses: Vec<String>,
    /// Whether it carries its protocol version itself.
    pub is_stateless: bool,
}

/// Reads a body as `POST /mcp` does; `None` if it is refused.
pub fn read_envelope(body: &[u8]) -> Option<Read> {
    let Envelope { id, method, target, is_stateless } = Envelope::parse(body).ok()?;
    let uses = match target {
        Target::None => Vec::new(),
        Target::Tool(name)
        | Target::Task(name)
        | Target::Prompt(name)
        | Target::Template(name)
        | Target::Skill(name)
        | Target::Folder(name) => vec![name.into_owned()],
        Target::Resources(uris) => uris.into_iter().map(std::borrow::Cow::into_owned).collect(),
    };
    let (id, method) = (id.map(|id| id.get().to_owned()), method.map(std::borrow::Cow::into_owned));
    Some(Read { id, method, uses, is_stateless })
}
