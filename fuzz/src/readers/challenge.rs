//! A `WWW-Authenticate` header, as any server may send it.

use securemcp::oauth::Challenge;

pub(super) fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(challenge) = Challenge::parse(text) else { return };
    let written = challenge.to_string();
    assert_eq!(Challenge::parse(&written), Some(challenge), "{text:?} became {written:?}");
}
