//! The files of a deployment, by other people's validators, where nothing here can run them. Each validator is seen to
//! find something in a copy that is broken in one place.

mod compose;
mod dockerfile;
mod kubernetes;
mod nginx;

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::harness::{Tool, root};

/// Every script for a shell that ships or that tests are run by.
fn scripts() -> Vec<String> {
    let folders = ["tests", ".ci", "benches", "examples", "compose/keycloak", "compose/redis"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).expect("it is there"));
    let paths = files.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    let is_script = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().next().is_some_and(|line| line.starts_with("#!") && line.ends_with("sh"))
    };
    let below = |path: PathBuf| path.strip_prefix(root()).expect("below").to_str().expect("UTF-8").to_owned();
    let mut scripts: Vec<_> = paths.filter(is_script).map(below).collect();
    scripts.sort();
    scripts
}

#[test]
fn shellcheck_finds_nothing_in_any_script() {
    let tool = Tool::installed("files/bin/shellcheck");
    let scripts = scripts();
    let expected =
        [".ci/run", "compose/keycloak/start.sh", "compose/redis/start.sh", "examples/ci.sh", "tests/fuzz", "tests/run"];
    assert_eq!(scripts, expected);
    for script in &scripts {
        tool.copy(script);
        tool.run("", &[script], &[]).done();
    }
    tool.replace("compose/redis/start.sh", "$(dirname \"$0\")", "$(dirname $0)");
    let ended = tool.run("", &["compose/redis/start.sh"], &[]);
    assert!(ended.code == Some(1) && ended.stdout.contains("SC2086"), "{ended:#?}");
}

#[test]
fn hadolint_finds_nothing_in_any_dockerfile() {
    let tool = Tool::installed("files/bin/hadolint");
    for file in ["Dockerfile", "compose/keycloak/Dockerfile"] {
        tool.copy(file);
        tool.run("", &[file], &[]).done();
    }
    tool.replace("Dockerfile", "gcr.io/distroless/cc-debian12:nonroot", "debian");
    let ended = tool.run("", &["Dockerfile"], &[]);
    assert!(ended.code == Some(1) && ended.stdout.contains("DL3006"), "{ended:#?}");
}

#[test]
fn the_workflow_to_copy_is_one() {
    let tool = Tool::installed("files/bin/python");
    tool.copy("examples/github-actions.yml");
    let script = "import json, sys, yaml; json.dump(yaml.load(sys.stdin, yaml.BaseLoader), sys.stdout)";
    let script = script.replace("sys.stdin", "open(sys.argv[1])");
    let read = || tool.run("", &["-c", &script, "examples/github-actions.yml"], &[]);
    let workflow = read().json();
    assert!(workflow["on"].as_object().is_some_and(|on| on.contains_key("push")), "{workflow:#}");
    let job = &workflow["jobs"]["call"];
    assert!(job["runs-on"].is_string() && job["env"]["SECUREMCP_CLIENT_SECRET"].is_string(), "{job:#}");
    let steps = job["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), 5);
    // What is installed is what was checked out, and not the repository that the workflow is copied to.
    let (source, install) = (&steps[0]["with"], steps[1]["run"].as_str().expect("a command"));
    assert_eq!(source["repository"], "${{ vars.SECUREMCP_REPOSITORY }}");
    assert_eq!(install, format!("cargo install --path {} --locked", source["path"].as_str().expect("a folder")));
    assert!(steps.iter().all(|step| step["uses"].is_string() != step["run"].is_string()), "{steps:#?}");
    tool.replace("examples/github-actions.yml", "    steps:", "   steps:");
    assert_eq!(read().code, Some(1));
}

/// What is at this place of a document.
fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn keycloak_gets_from_files_what_it_reads_from_variables_only() {
    let tool = Tool::system("bash");
    tool.copy("compose/keycloak/start.sh");
    let bin = tool.home().join("bin");
    fs::create_dir(&bin).expect("an empty home");
    fs::write(bin.join("kc.sh"), "env\nprintf '%s\\n' \"$@\"\n").expect("an empty directory");
    fs::write(tool.home().join("password"), "hunter2\n").expect("an empty home");
    let home = tool.home().to_str().expect("UTF-8");
    let start = |file: &str| {
        let variables = [
            ("KEYCLOAK_HOME", home),
            ("KC_DB_PASSWORD_FILE", file),
            ("MCP_RESOURCE_CLIENT_SECRET_FILE", "password"),
            ("KC_DB", "postgres"),
        ];
        tool.run("", &["compose/keycloak/start.sh", "start", "--optimized"], &variables)
    };
    let ended = start("password");
    let said: Vec<_> = ended.done().lines().collect();
    assert!(said.ends_with(&["start", "--optimized"]), "{said:?}");
    for line in ["KC_DB_PASSWORD=hunter2", "MCP_RESOURCE_CLIENT_SECRET=hunter2", "KC_DB=postgres"] {
        assert!(said.contains(&line), "{line}: {said:?}");
    }
    assert!(!said.iter().any(|line| line.contains("_FILE=")), "{said:?}");
    start("absent").failed(1, &["absent"]);
    fs::write(tool.home().join("empty"), "\n").expect("an empty home");
    start("empty").failed(1, &["the file of KC_DB_PASSWORD_FILE is empty"]);
}
