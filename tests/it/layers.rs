//! The layer rule of `src/lib.rs`, held by reading the imports.

use std::{collections::BTreeMap, fs, path::Path};

/// Each room and the rooms it may use besides itself.
fn map() -> BTreeMap<&'static str, Vec<&'static str>> {
    let pure = ["clock", "secret", "hint", "json", "said", "oauth", "jose", "tls"];
    let outside = ["config", "telemetry", "net", "store"];
    let with = |more: &[&'static str]| pure.iter().chain(more).copied().collect::<Vec<_>>();
    BTreeMap::from([
        ("clock", vec![]),
        ("secret", vec![]),
        ("hint", vec![]),
        ("json", vec![]),
        ("said", vec![]),
        ("oauth", vec!["secret", "hint", "json"]),
        ("jose", vec!["secret", "hint", "json", "oauth", "said"]),
        ("tls", vec!["secret", "hint"]),
        ("config", with(&[])),
        // Siblings by exception: the log format is a setting, and one type says it.
        ("telemetry", with(&["config"])),
        ("net", with(&[])),
        ("store", with(&[])),
        ("auth", with(&outside)),
        ("client", with(&outside)),
        ("call", with(&["config", "telemetry", "net", "store", "auth"])),
        // What is the same for all three is in `call`.
        ("tools", with(&["config", "telemetry", "net", "store", "auth", "call"])),
        ("resources", with(&["config", "telemetry", "net", "store", "auth", "call"])),
        ("prompts", with(&["config", "telemetry", "net", "store", "auth", "call"])),
        // A guarded server's tool is just another tool.
        ("gateway", with(&["config", "telemetry", "net", "call", "tools", "resources", "prompts"])),
        ("issuer", with(&outside)),
        (
            "server",
            with(&[
                "config",
                "telemetry",
                "net",
                "store",
                "auth",
                "call",
                "tools",
                "resources",
                "prompts",
                "gateway",
                "issuer",
            ]),
        ),
        ("cli", with(&["config", "telemetry", "net", "store", "auth", "client", "tools", "server"])),
    ])
}

fn rust_files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).expect("src is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every `crate::room` in a text, also within `use crate::{...}`.
fn rooms_used(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (start, _) in text.match_indices("crate::") {
        // `$crate::` in a macro, and `crate::` in the middle of another word, are something else.
        let rest = &text[start + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => rooms.push(std::mem::take(&mut word)),
                    other if depth == 0 => word.push(other),
                    _ => {}
                }
            }
            rooms.push(word);
        } else {
            rooms.push(rest.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect());
        }
    }
    let first = |path: String| path.trim().split("::").next().unwrap_or_default().trim().to_owned();
    rooms.into_iter().map(first).filter(|room| !room.is_empty()).collect()
}

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let map = map();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut imports = 0;
    for file in files {
        let inside = file.strip_prefix(&source).expect("within src");
        let room = inside.components().next().expect("a name").as_os_str().to_string_lossy().replace(".rs", "");
        if matches!(room.as_str(), "lib" | "main") {
            continue;
        }
        let allowed = map.get(room.as_str()).unwrap_or_else(|| panic!("`{room}` is not on the map of src/lib.rs"));
        let text = fs::read_to_string(&file).expect("readable");
        // What a room's own tests use is its own business.
        let text = text.split("#[cfg(test)]\nmod tests").next().expect("a first part");
        for used in rooms_used(text) {
            imports += 1;
            assert!(
                used == room || allowed.contains(&used.as_str()),
                "{}: `{room}` may not use `{used}`",
                inside.display()
            );
        }
    }
    assert!(imports > 50, "the imports were found: {imports}");
}

#[test]
fn imports_are_read_in_every_form() {
    let text = "use crate::{\n  auth::{A, B},\n  net,\n};\nuse crate::store::X; let y = crate::jose::sign();";
    assert_eq!(rooms_used(text), ["auth", "net", "store", "jose"]);
}

#[test]
fn only_cli_print_writes_results() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        // clippy refuses the macros.
        assert_eq!(text.contains("stdout()"), file.ends_with("cli/print.rs"), "{}", file.display());
    }
}
