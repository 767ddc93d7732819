//! What can be read: one type for each resource or template, and one way to read it.
//!
//! A resource is a type that implements [`Resource`]; [`Resources`] is the list that the server shows and reads from.
//! [`Skills`] are resources too, out of a folder.
//! `docs/TOOLS.md` shows how to add one.

mod error;
mod offered;
mod registry;
mod skills;
mod template;

use std::time::Duration;

pub use self::{
    error::ResourceError,
    registry::{Definition, Described, Read, Resources},
    skills::{Skills, SkillsError},
    template::Requested,
};
pub(crate) use self::{
    offered::{Offered, SkillDefinition},
    registry::{Entry, Readable},
};
use crate::call::{Begun, CallContext};

/// A resource, or all resources of one template.
pub trait Resource: Send + Sync + 'static {
    /// Its URI, or a template of URIs (RFC 6570 level 1): in `notes://{folder}/{id}` each variable stands for one or
    /// more characters without `/`; `{+path}` also takes `/`, as level 2 has it.
    const URI: &'static str;
    /// What a program calls it.
    const NAME: &'static str;
    /// A name for people.
    const TITLE: Option<&'static str> = None;
    /// What is in it, for the person or the model that chooses among resources.
    const DESCRIPTION: &'static str;
    /// The media type of its contents.
    const MIME_TYPE: &'static str;
    /// What a caller's token must allow: all of them. With none, every authenticated caller may read.
    const SCOPES: &'static [&'static str];
    /// Whether it uses [`CallContext::ask`]: only then there is somebody to ask, and 5 minutes instead of 30 seconds.
    const ASKS: bool = false;
    /// Whether it uses [`CallContext::log`]: a server that has such resources says that it logs.
    const LOGS: bool = false;
    /// Whether it uses [`complete`](Self::complete).
    const COMPLETES: bool = false;
    /// How long a client may keep what it has read (`ttlMs`).
    const TTL: Duration = Duration::ZERO;
    /// Whether every caller reads the same (`cacheScope`).
    const IS_PUBLIC: bool = false;

    /// Reads it.
    ///
    /// The variables of a template have been decoded: they may hold any text, `../` too.
    ///
    /// # Errors
    /// [`ResourceError`] says whether there is no such resource, or what went wrong.
    fn read(
        &self,
        requested: &Requested<'_>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Read, ResourceError>> + Send;

    /// What a variable of the template may be that begins like this: at most 100 values are told.
    fn complete(&self, _begun: &Begun, _context: &CallContext) -> impl Future<Output = Vec<String>> + Send {
        std::future::ready(Vec::new())
    }
}
