//! The manifests of compose/kubernetes, by the schemas of Kubernetes.

use std::fs;

use serde_json::Value;

use super::strings;
use crate::harness::{Account, Tool, root};

const FOLDER: &str = "compose/kubernetes";

/// All manifests but the list of them.
fn manifests() -> Vec<String> {
    let names = fs::read_dir(root().join(FOLDER)).expect("it ships");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<_> = names.filter(|name| name != "kustomization.yaml").collect();
    names.sort();
    names
}

/// A manifest, as JSON.
fn read(name: &str) -> Value {
    let tool = Tool::installed("files/bin/python");
    tool.copy(&format!("{FOLDER}/{name}"));
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    tool.run(FOLDER, &["-c", script, name], &[]).json()
}

#[test]
fn kubernetes_takes_every_manifest() {
    let tool = Tool::installed("files/bin/kubernetes-validate");
    tool.copy(FOLDER);
    let names = manifests();
    assert_eq!(names.len(), 9);
    let mut listed: Vec<_> = strings(&read("kustomization.yaml")["resources"]).into_iter().map(str::to_owned).collect();
    listed.sort();
    assert_eq!(listed, names);
    for name in &names {
        let ended = tool.run(FOLDER, &["--strict", name], &[]);
        assert!(ended.code == Some(0) && format!("{ended:?}").contains("passed for resource"), "{ended:#?}");
    }
    tool.replace(&format!("{FOLDER}/deployment.yaml"), "readOnlyRootFilesystem", "readonlyRootFilesystem");
    let ended = tool.run(FOLDER, &["--strict", "deployment.yaml"], &[]);
    assert!(ended.code == Some(1) && format!("{ended:?}").contains("readonlyRootFilesystem"), "{ended:#?}");
}

#[test]
fn pods_may_do_nothing_that_they_need_not() {
    let deployment = read("deployment.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["securityContext"]["runAsNonRoot"], &pod["securityContext"]["runAsUser"]),
        (&true.into(), &65532.into())
    );
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0];
    let context = &container["securityContext"];
    assert_eq!(
        (&context["allowPrivilegeEscalation"], &context["readOnlyRootFilesystem"]),
        (&false.into(), &true.into())
    );
    assert_eq!(strings(&context["capabilities"]["drop"]), ["ALL"]);
    for limit in ["cpu", "memory"] {
        assert!(container["resources"]["limits"][limit].is_string(), "{limit}");
    }
    // The labels that everything else finds the pods by.
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&read("service.yaml")["spec"]["selector"], labels);
    for name in ["pod-disruption-budget.yaml", "network-policy.yaml"] {
        let spec = &read(name)["spec"];
        let selector = if spec["podSelector"].is_null() { &spec["selector"] } else { &spec["podSelector"] };
        assert_eq!(&selector["matchLabels"], labels, "{name}");
    }
}

#[test]
fn the_server_takes_the_settings_of_the_config_map() {
    let account = Account::new();
    let map = read("config-map.yaml");
    account.configure(map["data"]["securemcp.toml"].as_str().expect("a file"));
    let ended = account.securemcp(&["serve", "--check", "--config", "securemcp.toml"]);
    ended.done();
    assert!(ended.stderr.contains("the configuration is good"), "{ended:#?}");
    account.configure(&map["data"]["securemcp.toml"].as_str().expect("a file").replace("trusted_proxies", "proxies"));
    account.securemcp(&["serve", "--check", "--config", "securemcp.toml"]).failed(3, &["server.proxies"]);
}
