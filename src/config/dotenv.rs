//! Env files: `NAME=value` lines, read and changed.

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

/// What the text sets a variable to: the last line that does counts.
pub fn assigned<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let set = parse(text).flatten().filter(|(_, name, _)| *name == wanted);
    set.last().map(|(_, _, value)| value)
}

/// A value that no line of an env file can hold.
#[derive(Debug, thiserror::Error)]
#[error("a value with line breaks or with both kinds of quotes cannot be written into an env file")]
pub struct Unwritable;

/// The text with a variable set, or without it; every other line stays as it is, byte by byte.
///
/// `names` are the names that it goes by: each line that sets one of them is replaced. When there is none, one is
/// added for the first name.
pub fn assign(text: &str, names: &[&str], value: Option<&str>) -> Result<String, Unwritable> {
    let value = value.map(quote).transpose()?;
    let mut changed = String::with_capacity(text.len());
    let mut found = false;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        let bare = content.trim_start_matches('\u{feff}').trim_start();
        let name = if bare.starts_with('#') { None } else { set_by(bare) };
        match name.filter(|name| names.contains(name)) {
            None => changed.push_str(line),
            Some(name) => {
                found = true;
                if let Some(value) = &value {
                    // Whatever stands before the name stays: a mark, spaces, `export`.
                    let start = content.find(name).unwrap_or_default();
                    changed.extend([&line[..start], name, "=", value, &line[content.len()..]]);
                }
            }
        }
    }
    if let (Some(value), false, Some(name)) = (&value, found, names.first()) {
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push_str(end);
        }
        changed.extend([name, "=", value, end]);
    }
    Ok(changed)
}

/// The name that a line sets, whatever the value looks like.
fn set_by(line: &str) -> Option<&str> {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    line.split_once('=').map(|(name, _)| name.trim_end())
}

fn quote(value: &str) -> Result<String, Unwritable> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+/:@%=".contains(&byte);
    match value {
        _ if value.contains(char::is_control) => Err(Unwritable),
        _ if value.bytes().all(is_plain) => Ok(value.to_owned()),
        _ if !value.contains('\'') => Ok(format!("'{value}'")),
        // A shell that reads the file would take these for its own.
        _ if !value.contains(['"', '$', '`', '\\']) => Ok(format!("\"{value}\"")),
        _ => Err(Unwritable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_variable_changes_and_nothing_else() {
        let names = ["ID", "OLD_ID"];
        for (before, after) in [
            ("", "ID=n\n"),
            ("A=1", "A=1\nID=n\n"),
            ("A=1\r\n", "A=1\r\nID=n\r\n"),
            ("# ID=x\nIDX=1\nX_ID=2\n", "# ID=x\nIDX=1\nX_ID=2\nID=n\n"),
            ("A=1\n\n  ID = 'x y' # why\nB=\"\n", "A=1\n\n  ID=n\nB=\"\n"),
            ("\u{feff}export ID=\r\nB=2", "\u{feff}export ID=n\r\nB=2"),
            ("OLD_ID=x\nA=1\nID=y", "OLD_ID=n\nA=1\nID=n"),
        ] {
            assert_eq!(assign(before, &names, Some("n")).unwrap(), after, "{before:?}");
        }
        assert_eq!(assign("A=1\nID=x\nB=2\n", &names, None).unwrap(), "A=1\nB=2\n");
    }

    #[test]
    fn what_is_written_is_read() {
        for value in ["plain-1_~", "", "two words", "a#b #c", "$X \\", "it's", "say \"hi\"", "=", "\u{e9}"] {
            let text = assign("", &["A"], Some(value)).unwrap();
            assert_eq!(parse(&text).collect::<Vec<_>>(), [Ok((1, "A", value))], "{text}");
        }
        for value in ["a\nb", "'\"", "\0", "'$(reboot)", "'`reboot`", "'\\"] {
            assert!(assign("", &["A"], Some(value)).is_err(), "{value:?}");
        }
    }

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
