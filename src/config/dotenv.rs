//! Env files: `NAME=value` lines.

/// Reads the lines that set something, each with its line number; `Err` is the number of a line that makes no sense.
///
/// `export ` before the name is skipped. A value in single or double quotes is taken as it stands between them; without
/// quotes it ends at ` #`. Nothing is expanded: a secret may contain `$` and `\`.
pub(super) fn parse(text: &str) -> impl Iterator<Item = Result<(usize, &str, &str), usize>> {
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let (name, value) = assignment(line).ok_or(number)?;
            Ok((number, name, value))
        })
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((name, unquote(value.trim_start())?))
}

fn unquote(value: &str) -> Option<&str> {
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        let end = if value.starts_with('#') { 0 } else { value.find(" #").unwrap_or(value.len()) };
        return Some(value[..end].trim_end());
    };
    let (inside, after) = value[1..].split_once(quote)?;
    let after = after.trim_start();
    (after.is_empty() || after.starts_with('#')).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_comments_and_export_are_understood() {
        let text = "\u{feff}# a comment\n\nA=1\nexport B = two words \nC='single # \" $X'\nD=\"double ' \\n\" # why\nE=a#b #c\nF=\nG= # none\r\n";
        let read: Vec<_> = parse(text).map(Result::unwrap).collect();
        let expected = [
            (3, "A", "1"),
            (4, "B", "two words"),
            (5, "C", "single # \" $X"),
            (6, "D", "double ' \\n"),
            (7, "E", "a#b"),
            (8, "F", ""),
            (9, "G", ""),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_line_that_sets_nothing_is_named_by_its_number() {
        for bad in ["NAME", "=x", "A B=x", "1A=x", "A='x", "A=\"x\" y", "export"] {
            assert_eq!(parse(&format!("OK=1\n{bad}")).collect::<Vec<_>>(), [Ok((1, "OK", "1")), Err(2)], "{bad}");
        }
    }
}
