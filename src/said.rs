//! The words of other parties, made safe for messages, logs and terminals.

use serde_json::Value;

/// The longest quotation, in characters.
const MAX_SAID: usize = 2_000;

/// The words of another party in one line: no control or direction-changing characters, not endless.
pub(crate) fn said(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars().take(MAX_SAID) {
        if is_deceptive(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    if text.chars().nth(MAX_SAID).is_some() {
        safe.push_str(" ..");
    }
    safe
}

/// A text of another party that is passed on: line breaks and tabs stay, what could draw on a terminal or hide goes.
pub(crate) fn without_deception(text: &str) -> String {
    text.chars().filter(|character| matches!(character, '\n' | '\t') || !is_deceptive(*character)).collect()
}

/// The same of every text in a value; the names of members stay.
pub(crate) fn without_deception_in(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_deception(text),
        Value::Array(items) => items.iter_mut().for_each(without_deception_in),
        Value::Object(members) => members.values_mut().for_each(without_deception_in),
        _ => {}
    }
}

/// Control characters, characters that change the direction of a text or break its line, and invisible ones that carry
/// hidden text.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{2064}')
        || matches!(character, '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_cannot_draw_on_a_terminal_and_end() {
        assert_eq!(said("plain \u{fc}mlaut"), "plain \u{fc}mlaut");
        assert_eq!(said("a\u{1b}]8;;x\u{7}b\r\n"), "a\\u{1b}]8;;x\\u{7}b\\r\\n");
        assert_eq!(said("\u{202e}gnp"), "\\u{202e}gnp");
        assert_eq!(said(&"x".repeat(MAX_SAID)).len(), MAX_SAID);
        assert_eq!(said(&"x".repeat(MAX_SAID + 1)).len(), MAX_SAID + 3);
    }

    #[test]
    fn a_text_that_is_passed_on_keeps_its_lines_and_loses_what_hides() {
        assert_eq!(without_deception("Reads.\n\tA \u{fc}mlaut 🦀"), "Reads.\n\tA \u{fc}mlaut 🦀");
        assert_eq!(without_deception("a\u{1b}[31mb\u{e0041}c\u{202e}d\r\0"), "a[31mbcd");
        assert_eq!(without_deception("in\u{61c}ternal\u{2028}on\u{202e}ly\u{2029}"), "internalonly");
    }
}
