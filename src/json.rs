//! What JSON from strangers may look like before anything parses it.

use serde::{Deserialize, Deserializer};

/// Whether brackets outside strings are nested deeper than this.
///
/// Parsers recurse; a body of brackets alone must not reach one.
pub(crate) fn is_deeper_than(bound: usize, json: &[u8]) -> bool {
    // What has no more opening brackets than that cannot be: counting them is much quicker than following them.
    opening(json) > bound && depth(json) > bound
}

/// How many brackets open, in strings too.
fn opening(json: &[u8]) -> usize {
    // In pieces whose count fits a byte: then sixteen bytes are looked at in one step. The two differ in one bit.
    let in_piece = |piece: &[u8]| piece.iter().fold(0_u8, |count, byte| count + u8::from(byte | 0x20 == b'{'));
    json.chunks(usize::from(u8::MAX)).map(|piece| usize::from(in_piece(piece))).sum()
}

fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// For `#[serde(default, deserialize_with = "present")]`: a member that may be absent, but not null or of another type.
/// `"kid":null` is then an error, not "no kid".
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert_eq!(depth(br#"{"a":[1,{"b":"[[[[\"[["}]}"#), 3);
        assert_eq!(depth(&[b'['; 10_000]), 10_000);
        assert_eq!(depth(b"]]]]"), 0);
    }

    #[test]
    fn every_opening_bracket_is_counted() {
        let every_byte: Vec<u8> = (0..=255).collect();
        assert_eq!(opening(&every_byte), 2);
        assert_eq!(opening(&[b'['; 10_001]), 10_001);
        assert!(is_deeper_than(64, &[b'['; 65]) && !is_deeper_than(64, &[b'['; 64]));
    }
}
