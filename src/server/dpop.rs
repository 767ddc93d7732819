//! Which requests need a proof of possession (RFC 9449), as the configuration says.

use super::StartError;
use crate::{config, oauth::Scopes};

/// The policy on proofs. Whoever sends one is held to it anyway.
#[derive(Debug)]
pub(super) struct DpopPolicy {
    /// What needs one of these scopes takes only bound tokens.
    needed_for: Scopes,
    /// Whether that is everything that this server does: then it takes no others at all.
    pub(super) is_always_needed: bool,
    /// Whether proofs must have a nonce of this server.
    pub(super) needs_nonce: bool,
}

impl DpopPolicy {
    /// The policy of a server with these scopes.
    pub(super) fn new(settings: &config::Dpop, supported: &Scopes) -> Self {
        let needed_for = settings.required_for.clone();
        let is_always_needed = !needed_for.is_empty() && needed_for.covers(supported);
        Self { needed_for, is_always_needed, needs_nonce: settings.nonce }
    }

    /// Whether what needs these scopes takes only bound tokens.
    pub(super) fn is_needed_for(&self, scopes: &Scopes) -> bool {
        scopes.iter().any(|scope| self.needed_for.contains(scope))
    }
}

/// A policy for a scope that nothing has protects nothing, and looks as if it did.
///
/// # Errors
/// [`StartError::UnknownScope`].
pub(super) fn check_scopes(settings: &config::Dpop, supported: &Scopes) -> Result<(), StartError> {
    let unknown = settings.required_for.iter().find(|scope| !supported.contains(scope));
    unknown.map_or(Ok(()), |scope| {
        Err(StartError::UnknownScope { scope: scope.to_owned(), supported: supported.to_string() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(required_for: &str) -> config::Dpop {
        config::Dpop { required_for: Scopes::parse(required_for).unwrap(), nonce: false }
    }

    #[test]
    fn a_scope_needs_a_proof_and_all_of_them_make_it_the_rule() {
        let supported = Scopes::parse("read write").unwrap();
        let policy = |required_for| DpopPolicy::new(&settings(required_for), &supported);
        let [none, some, all] = ["", "write", "write read"].map(policy);
        assert_eq!([&none, &some, &all].map(|policy| policy.is_always_needed), [false, false, true]);
        for (scopes, expected) in [("read", false), ("write", true), ("read write", true), ("", false)] {
            assert_eq!(some.is_needed_for(&Scopes::parse(scopes).unwrap()), expected, "{scopes}");
        }
    }

    #[test]
    fn a_scope_that_nothing_has_is_named() {
        let supported = Scopes::parse("read write").unwrap();
        assert!(check_scopes(&settings("read write"), &supported).is_ok());
        let error = check_scopes(&settings("read wrote"), &supported).unwrap_err();
        assert_eq!(error.to_string(), "`scopes.require_dpop` names `wrote`, which is no scope of this server");
    }
}
