//! Rows of the matrix of faults that are about names and networks.

use std::{fs, time::Duration};

use crate::harness::{Account, Load, eventually, figure, free_port};

/// Keys of an issuer whose name is not to be found any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r29_a_name_that_is_not_found_costs_nobody_who_is_known() {
    let (home, account, port) = (Account::new(), Account::new(), free_port());
    let resource = format!("http://127.0.0.1:{port}/mcp");
    let issuer = home.serve_at(free_port(), &[("SECUREMCP_EMBEDDED_RESOURCES", &resource)], &[]);
    let arguments = ["token", "get", "--resource", &resource, "--issuer", &issuer.origin(), "--scope", "mcp:read"];
    let token = home.securemcp(&arguments).done().trim_end().to_owned();
    let flags = ["--issuer", &issuer.origin(), "--resource", &resource];
    let server = account.serve_at(port, &[], &flags);
    // A copy of the keys is written behind the backs of those who are served.
    let copies = account.home().join("state/securemcp/issuers");
    eventually("a copy of the keys", || {
        let names = fs::read_dir(&copies).ok()?.map(|file| file.expect("readable").file_name());
        names.into_iter().find(|name| name.to_string_lossy().starts_with("keys-"))
    });
    drop(server);
    let http = securemcp::net::plain_client(&securemcp::net::Options::with_timeout(Duration::from_secs(30)));
    let http = http.expect("a client");
    // Nobody may have this name (RFC 6761 section 6.4).
    let nowhere = [("SECUREMCP_ISSUER_BACKCHANNEL_URL", "http://issuer.invalid:8080")];
    let server = account.serve_until(port, &nowhere, &flags, 200);
    let load = Load::begin(http.clone(), &server.url(), &token);
    load.more(200).await;
    let good = load.end().await.all_good();
    drop(server);
    // The twin has nothing to go by: it says so, and throws nobody's token away.
    let stranger = Account::new();
    let server = stranger.serve_until(port, &nowhere, &flags, 503);
    let request = crate::harness::stateless(http.post(server.url()), &token).body(crate::harness::echo("hi"));
    let answer = request.send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true));
    figure(&format!(
        "R29, the issuer's name is not found: 0 of {good} calls failed with keys of before; 503 without any"
    ));
}
