//! What JSON from strangers may look like before anything parses it.

use serde::{Deserialize, Deserializer};

/// Whether brackets outside strings are nested deeper than this.
///
/// Parsers recurse; a body of brackets alone must not reach one.
pub(crate) fn is_deeper_than(bound: usize, json: &[u8]) -> bool {
    // What has no more opening brackets than that cannot be: counting them is much quicker than following them.
    let opening = json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    opening > bound && depth(json) > bound
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
}
