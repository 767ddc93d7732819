//! The TLS scanner sslyze on the listener: Mozilla's "intermediate" configuration.

use crate::harness::{Account, Foreign, Issued};

#[test]
fn p01_the_listener_is_what_mozilla_calls_intermediate() {
    let (account, foreign) = (Account::new(), Foreign::new());
    let issued = Issued::write_to(account.home());
    let server = account.serve_tls(&["--tls-cert", &issued.certificate, "--tls-key", &issued.key]);
    let target = format!("localhost:{}", server.port);
    let root = format!("--certinfo_ca_file={}", issued.root);
    let ended = foreign.sslyze(&["--mozilla_config=intermediate", &root, &target]);
    assert!(ended.done().contains(&format!("{target}: OK - Compliant.")), "{ended:#?}");
}

#[test]
fn p01_the_own_certificate_lacks_nothing_but_an_authority() {
    let account = Account::new();
    let server = account.serve_tls(&["--tls-self-signed"]);
    let target = format!("localhost:{}", server.port);
    let ended = Foreign::new().sslyze(&["--mozilla_config=intermediate", &target]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let (_, problems) = ended.stdout.split_once("FAILED - Not compliant.").expect("a verdict");
    let problems: Vec<_> = problems.lines().filter(|line| line.trim_start().starts_with("* ")).collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("certificate_path_validation"), "{problems:?}");
}
