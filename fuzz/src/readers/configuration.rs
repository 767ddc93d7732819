//! `securemcp.toml`, as `serve` and as the commands read it.

use std::{cell::RefCell, io::Seek as _, io::Write as _};

use securemcp::{
    config::{Environment, Inputs, Purpose, load},
    hint::Hint as _,
};
use tempfile::NamedTempFile;

thread_local! {
    /// Written anew for each input: a directory of its own would take a hundred times as long.
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().expect("there is room for a file"));
}

pub(super) fn read(bytes: &[u8]) {
    FILE.with_borrow_mut(|file| {
        let handle = file.as_file_mut();
        handle.set_len(0).expect("the file is ours");
        handle.rewind().expect("the file is ours");
        handle.write_all(bytes).expect("there is room for it");
        let folder = file.path().parent().expect("it is in a folder").to_owned();
        for purpose in [Purpose::Serve, Purpose::Client] {
            let inputs = Inputs {
                config_file: Some(file.path().to_owned()),
                environment: Environment::new(&folder, Some(folder.clone())),
                ..Inputs::default()
            };
            match (load(purpose, &inputs), load(purpose, &inputs)) {
                (Ok(_), Ok(_)) => {}
                (Err(first), Err(second)) => {
                    assert!(!first.problems().is_empty());
                    assert_eq!(first.to_string(), second.to_string());
                    // What the file says is said without what could draw on a terminal, or turn its text round.
                    let is_plain = |character: char| !character.is_control() && character != '\u{202e}';
                    for problem in first.problems() {
                        let words = format!("{problem}{}", problem.hint().unwrap_or_default());
                        assert!(words.chars().all(is_plain), "{words:?}");
                    }
                }
                _ => panic!("the same configuration was good once and bad once"),
            }
        }
    });
}
