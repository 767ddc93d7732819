//! Something that a person is typing, to be completed.

use std::collections::HashMap;

/// An argument of a prompt or a variable of a template, as far as it has been typed (`completion/complete`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Its name.
    pub name: String,
    /// What has been typed of it.
    pub value: String,
    /// The arguments or variables that are filled in already.
    pub others: HashMap<String, String>,
}
