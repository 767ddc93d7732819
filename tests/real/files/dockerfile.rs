//! The steps of the Dockerfiles as plain commands, and their result as the account that it will be.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::{Ended, Service, Tool, free_port, program, root};

/// The account of the image.
const ACCOUNT: &str = "65532";

/// In place of a build that takes minutes: the manifest and the lock must be whole where they were copied, and the
/// artefact of these tests is the result.
const CARGO: &str = r#"#!/bin/sh
set -eu
test "$*" = "build --profile dist --locked --bin securemcp"
"$REAL_CARGO" metadata --locked --offline --format-version 1 >/dev/null
mkdir -p target/dist
cp "$ARTEFACT" target/dist/securemcp
"#;

/// Instructions with their arguments, in order, without comments.
fn instructions(file: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(file)).expect("it ships").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').expect("an instruction has arguments"))
        .map(|(name, arguments)| (name.to_owned(), arguments.to_owned()))
        .collect()
}

/// What is copied from the sources, and where to.
fn copied(file: &str) -> Vec<(Vec<String>, String)> {
    let copies = instructions(file).into_iter().filter(|(name, words)| name == "COPY" && !words.contains("--from="));
    copies
        .map(|(_, words)| {
            let mut words: Vec<_> =
                words.split_whitespace().filter(|word| !word.starts_with("--")).map(str::to_owned).collect();
            let to = words.pop().expect("a target");
            (words, to)
        })
        .collect()
}

/// The arguments of the only instruction of this name.
fn only(name: &str) -> String {
    let found: Vec<_> = instructions("Dockerfile").into_iter().filter(|(instruction, _)| instruction == name).collect();
    assert_eq!(found.len(), 1, "{name}");
    found[0].1.clone()
}

/// The words of an instruction in exec form.
fn words(arguments: &str) -> Vec<String> {
    let list = &arguments[arguments.find('[').expect("exec form")..];
    serde_json::from_str(list).expect("a list in JSON")
}

#[test]
fn what_is_copied_is_there_and_gets_through_the_list_of_the_ignored() {
    let ignore = fs::read_to_string(root().join(".dockerignore")).expect("it ships");
    let through: Vec<_> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignore.lines().any(|line| line == "*"), "everything else stays outside");
    let mut used = Vec::new();
    for file in ["Dockerfile", "compose/keycloak/Dockerfile"] {
        for source in copied(file).into_iter().flat_map(|(sources, _)| sources) {
            assert!(root().join(&source).exists(), "{file}: {source}");
            assert!(through.contains(&source.as_str()), "{file}: {source}");
            used.push(source);
        }
    }
    assert_eq!(through.iter().filter(|path| !used.iter().any(|used| used == *path)).count(), 0, "{through:?}");
}

/// What the compiler noted of the library when it last compiled it for the artefact: its sources.
fn notes_of_the_compiler() -> String {
    let folder = Path::new(program::path()).parent().expect("a directory").join("deps");
    let entries = fs::read_dir(folder).expect("cargo keeps them there").map(|entry| entry.expect("an entry").path());
    let notes = entries.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("securemcp-") && path.extension().is_some_and(|extension| extension == "d")
    });
    let read = notes.map(|path| (fs::metadata(&path).and_then(|data| data.modified()).expect("a time"), path));
    let of_library = read.filter_map(|(time, path)| {
        let text = fs::read_to_string(path).expect("text");
        Some((time, text.lines().find(|line| line.contains(".rlib: "))?.to_owned()))
    });
    of_library.max_by_key(|(time, _)| *time).expect("the library was compiled").1
}

#[test]
fn the_binary_is_made_of_what_is_copied() {
    let notes = notes_of_the_compiler();
    let (_, sources) = notes.split_once(": ").expect("sources");
    let sources: Vec<_> = sources
        .split_whitespace()
        .map(|path| path.strip_prefix(root().to_str().expect("UTF-8")).unwrap_or(path))
        .collect();
    assert!(sources.len() > 100, "{}", sources.len());
    let copied: Vec<_> = copied("Dockerfile").into_iter().flat_map(|(sources, _)| sources).collect();
    for source in sources {
        let source = source.trim_start_matches('/');
        assert!(copied.iter().any(|copied| source.starts_with(&format!("{copied}/"))), "{source} is not copied");
    }
}

/// Where the registry's packages are, as cargo finds them.
#[expect(clippy::disallowed_methods, reason = "cargo is configured by the environment")]
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("cargo needs it too")).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Runs the build stage, and puts the last stage together in a directory.
fn image() -> Tool {
    let tool = Tool::system("sh");
    let (context, image) = (tool.home().join("context"), tool.home().join("image"));
    for (sources, to) in copied("Dockerfile") {
        for source in sources {
            tool.copy(&source);
            let place = if to.ends_with('/') { context.join(&to).join(&source) } else { context.join(&to) };
            fs::create_dir_all(place.parent().expect("a parent")).expect("the home is writable");
            fs::rename(tool.home().join(&source), place).expect("it was copied");
        }
    }
    fs::create_dir(tool.home().join("shims")).expect("the home is writable");
    let shim = tool.home().join("shims/cargo");
    fs::write(&shim, CARGO).expect("the home is writable");
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).expect("it is ours");
    // The compiler is beside cargo.
    let toolchain = Path::new(env!("CARGO")).parent().expect("a directory");
    let shims = tool.home().join("shims");
    let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", shims.display(), toolchain.display());
    let cargo_home = cargo_home();
    let variables = [
        ("PATH", path.as_str()),
        ("REAL_CARGO", env!("CARGO")),
        ("CARGO_HOME", cargo_home.to_str().expect("UTF-8")),
        ("ARTEFACT", program::path()),
    ];
    let runs: Vec<_> = instructions("Dockerfile").into_iter().filter(|(name, _)| name == "RUN").collect();
    assert_eq!(runs.len(), 1);
    for (_, command) in runs {
        tool.run("context", &["-euc", &command], &variables).done();
    }
    let from_build = instructions("Dockerfile").into_iter().filter(|(_, words)| words.starts_with("--from=build "));
    for (_, words) in from_build {
        let [_, source, target] = words.split(' ').collect::<Vec<_>>()[..] else { panic!("{words}") };
        let source = source.strip_prefix("/src/").expect("below the working directory");
        let target = image.join(target.trim_start_matches('/'));
        fs::create_dir_all(target.parent().expect("a parent")).expect("the home is writable");
        fs::copy(context.join(source), target).expect("the build has made it");
    }
    assert!(image.join("usr/local/bin/securemcp").exists());
    tool
}

/// Everything below a directory, but for what is below `home`.
fn files(directory: &Path, home: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path != home {
            found.extend(files(&path, home));
        }
        found.push(path);
    }
    found.sort();
    found
}

#[test]
fn the_image_runs_as_nobody_special_and_writes_in_its_home_only() {
    let tool = image();
    let image = tool.home().join("image");
    let inside = |path: &str| path.replace("/home/nonroot", image.join("home/nonroot").to_str().expect("UTF-8"));
    let home = PathBuf::from(inside("/home/nonroot"));
    assert!(instructions("Dockerfile").contains(&("WORKDIR".to_owned(), "/home/nonroot".to_owned())));
    fs::create_dir_all(&home).expect("the home is writable");
    assert_eq!(only("USER"), format!("{ACCOUNT}:{ACCOUNT}"));
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        let account = format!("{ACCOUNT}:{ACCOUNT}");
        let owned = Command::new("chown").args([&account, home.to_str().expect("UTF-8")]).status().expect("chown");
        assert!(owned.success());
    }
    let before = files(&image, &home);
    // Others may enter, and nobody may write.
    for (path, mode) in [
        (tool.home().to_owned(), 0o711),
        (image.clone(), 0o555),
        (image.join("usr"), 0o555),
        (image.join("home"), 0o555),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }
    let port = free_port();
    let start = |words: &[String]| {
        let program = image.join(words[0].trim_start_matches('/'));
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            command
                .args([&format!("--reuid={ACCOUNT}"), &format!("--regid={ACCOUNT}"), "--clear-groups", "--"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        let (name, value) =
            only("ENV").split_once('=').map(|(name, value)| (name.to_owned(), inside(value))).expect("one variable");
        command
            .args(&words[1..])
            .current_dir(&home)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env(name, value)
            .env("SECUREMCP_LISTEN", format!("127.0.0.1:{port}"))
            .env("SECUREMCP_SERVER", format!("http://127.0.0.1:{port}/mcp"));
        command
    };
    let serve = [words(&only("ENTRYPOINT")), words(&only("CMD"))].concat();
    let service = Service::start(start(&serve), tool.home(), port).ready(port, "/health/ready", 200);
    let health = words(&only("HEALTHCHECK"));
    Ended::of(start(&health), tool.home()).done();
    assert!(fs::read_dir(&home).expect("root and the account may look").count() == 1, "its state");
    assert_eq!(files(&image, &home), before, "nothing was written beside the home");
    drop(service);
    assert_eq!(Ended::of(start(&health), tool.home()).code, Some(5));
    // So that the directory can be removed.
    for path in [image.clone(), image.join("usr"), image.join("home")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
}
