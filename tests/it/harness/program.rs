//! The program under test.

use std::sync::LazyLock;

/// What cargo built with the tests; `./tests/run` names the release artefact instead, in `ARTEFACT`.
static PATH: LazyLock<String> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "it is said to the tests, not to the product")]
    std::env::var("ARTEFACT").unwrap_or_else(|_| env!("CARGO_BIN_EXE_securemcp").to_owned())
});

/// Where it is.
pub(crate) fn path() -> &'static str {
    &PATH
}
