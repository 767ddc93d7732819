//! The proxy in front: what it lets in, what it says of callers, and what it keeps for administrators.

use crate::harness::{NOBODY, Stack};

/// Redirects, names, versions of TLS, paths of Keycloak, and headers.
pub(crate) fn it_is_closed_to_others(stack: &Stack) {
    let plain = format!("http://127.0.0.1:{}", stack.http_port);
    let status = "$CURL -o /dev/null -w '%{http_code} %{redirect_url}'";
    let issuer = "$AUTH/realms/mcp-realm";
    for (line, printed, code) in [
        (
            format!("{status} -X POST -H 'Host: mcp.localhost' {plain}/mcp?a=b"),
            format!("308 {}?a=b", stack.resource()),
            0,
        ),
        // Nothing is said to names that are not ours.
        (format!("{status} -H 'Host: other.localhost' {plain}/"), "000 ".to_owned(), 52),
        (
            format!(
                "{status} -k --resolve other.localhost:${{MCP##*:}}:127.0.0.1 https://other.localhost:${{MCP##*:}}/"
            ),
            "000 ".to_owned(),
            35,
        ),
        // curl itself would not, unless it is told to.
        (format!("{status} --ciphers DEFAULT@SECLEVEL=0 --tls-max 1.1 $MCP/health"), "000 ".to_owned(), 35),
        (format!("{status} --tls-max 1.2 $MCP/health"), "200 ".to_owned(), 0),
        (format!("{status} --tlsv1.3 $MCP/health"), "200 ".to_owned(), 0),
        // The realm is for everybody, its administration is not.
        (format!("{status} {issuer}/.well-known/openid-configuration"), "200 ".to_owned(), 0),
        (format!("{status} $AUTH/admin/realms"), "403 ".to_owned(), 0),
        (
            format!("{status} -d grant_type=password $AUTH/realms/master/protocol/openid-connect/token"),
            "403 ".to_owned(),
            0,
        ),
        (format!("{status} \"{issuer};x\""), "400 ".to_owned(), 0),
        (format!("{status} --path-as-is {issuer}/../master"), "400 ".to_owned(), 0),
        (format!("{status} {issuer}/%2E%2e/master"), "400 ".to_owned(), 0),
        (format!("{status} {issuer}%2fmaster"), "400 ".to_owned(), 0),
        (format!("{status} $AUTH/metrics"), "404 ".to_owned(), 0),
    ] {
        let ended = stack.shell(&line, &[]);
        assert_eq!((ended.stdout.as_str(), ended.code), (printed.as_str(), Some(code)), "{line}: {ended:#?}");
    }
    let log = stack.edge_log();
    let disguised: Vec<_> = log.lines().filter(|line| line.contains("\"status\":400")).collect();
    let asked_nobody = disguised.iter().all(|line| line.contains("\"upstream\":\"\""));
    assert!(disguised.len() == 4 && asked_nobody, "{disguised:#?}");
    for url in ["$MCP/health", "$AUTH/realms/mcp-realm"] {
        let headers = stack.shell(&format!("$CURL -o /dev/null -D - {url}"), &[]);
        let headers = headers.done().to_lowercase();
        let hardened = ["strict-transport-security: max-age=", "x-content-type-options: nosniff"];
        assert!(hardened.iter().all(|header| headers.contains(header)), "{url}: {headers}");
    }
}

/// Who says where it comes from is believed by the replicas if it is the proxy, and the proxy believes nobody: neither
/// in the log, nor where addresses are counted.
pub(crate) fn nobody_chooses_an_address(stack: &mut Stack) {
    for replica in 0..2 {
        stack.start_replica(replica, &[("SECUREMCP_LIMITS_PER_ADDRESS", "1/s")], 200);
    }
    // A refused token counts as ten more requests: after each, an address has nothing left for a while.
    let forty = |url: &str| {
        let line = format!(
            "for i in {{1..40}}; do $CURL -o /dev/null -w '%{{http_code}}\\n' -H \"Host: ${{MCP#https://}}\" \
             -H \"X-Forwarded-For: 203.0.113.$i\" -H \"Forwarded: for=203.0.113.$i\" \
             -H 'Authorization: Bearer bad' {url}/api/v1/me; done"
        );
        let statuses = stack.shell(&line, &[]).done().to_owned();
        let seen = stack.replicas.iter().flatten().map(|(server, _)| server.log().matches("\"203.0.113.").count());
        (statuses.matches("401\n").count(), statuses.matches("429\n").count(), seen.sum::<usize>())
    };
    let (let_in, held, seen) = forty("$MCP");
    assert_eq!((let_in + held, seen), (40, 0));
    assert!(held > let_in, "one address: {held} of 40 are held back");
    let inside = format!("http://127.0.0.1:{}", stack.replica_ports[0]);
    assert_eq!(forty(&inside), (40, 0, 40), "the twin, from the proxy itself: forty addresses");
    // What they counted is in Redis.
    stack.replicas = [None, None];
    assert_eq!(stack.redis.cli("FLUSHALL").trim(), "OK");
    for replica in 0..2 {
        stack.begin_replica(replica);
    }
}

/// The same requests, from inside their network and from outside.
pub(crate) fn administrators_have_a_network(stack: &mut Stack) {
    for (network, expected) in [("127.0.0.1", ["200", "302"]), (NOBODY, ["403", "403"])] {
        stack.begin_nginx(network);
        let status = "$CURL -o /dev/null -w '%{http_code}'";
        let asked = ["$AUTH/realms/master/.well-known/openid-configuration", "$AUTH/admin/"]
            .map(|url| stack.shell(&format!("{status} {url}"), &[]).done().to_owned());
        assert_eq!(asked, expected, "{network}");
    }
}
