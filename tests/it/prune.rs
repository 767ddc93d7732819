//! `securemcp dcr prune` against an admin API that lies: what it lists, what it deletes, and when it does neither.

use securemcp::clock::SystemClock;
use serde_json::{Value, json};

use crate::harness::{
    cli::{Account, Ended},
    liar::{Liar, Lie, only},
};

const DAY: u64 = 86_400;
const METADATA: &str = "GET /.well-known/oauth-authorization-server/realms/mcp";
const LOGIN: &str = "POST /realms/master/protocol/openid-connect/token";
const CONFIG: &str = "GET /admin/realms/mcp/events/config";
const OLDEST: &str = "GET /admin/realms/mcp/events?direction=asc";
const CLIENTS: &str = "GET /admin/realms/mcp/clients?first=0&";
const DELETE: &str = "DELETE /admin/realms/mcp/clients/";

/// An id as Keycloak makes them, and what asks for the newest event of its client.
const STALE: (&str, &str) = (
    "00000000-0000-4000-8000-000000000001",
    "GET /admin/realms/mcp/events?client=00000000-0000-4000-8000-000000000001&",
);
const USED: (&str, &str) = (
    "00000000-0000-4000-8000-000000000002",
    "GET /admin/realms/mcp/events?client=00000000-0000-4000-8000-000000000002&",
);
/// The client of a metadata document: its id is another than what it is called.
const DOCUMENT: (&str, &str, &str) = (
    "00000000-0000-4000-8000-000000000003",
    "https://editor.example/client.json",
    "GET /admin/realms/mcp/events?client=https%3A%2F%2Feditor.example%2Fclient.json&",
);

/// A Keycloak of which two of three clients that registered themselves are stale, and an account that may look.
struct Desk {
    liar: Liar,
    account: Account,
}

fn days_ago(days: u64) -> u64 {
    SystemClock::shared().since_epoch().as_secs() - days * DAY
}

fn event(client: &str, days: u64) -> Value {
    json!([{"time": days_ago(days) * 1000, "type": "LOGIN", "clientId": client}])
}

fn kept(changes: &Value) -> Value {
    let kept = json!({"eventsEnabled": true, "eventsExpiration": 90 * DAY, "enabledEventTypes": ["CLIENT_REGISTER",
        "CLIENT_UPDATE", "CLIENT_LOGIN", "LOGIN", "CODE_TO_TOKEN", "REFRESH_TOKEN", "OAUTH2_DEVICE_CODE_TO_TOKEN"]});
    crate::harness::server::merged(kept, changes)
}

fn registered(id: &str) -> Value {
    json!({"id": id, "clientId": id, "name": "a\u{1b}[31mname"})
}

/// All clients of the realm; the last ones are nobody's to delete.
fn clients() -> Value {
    let document = json!({"cimd.cache.expiry.time.in.sec": "1"});
    json!([
        registered(STALE.0),
        registered(USED.0),
        {"id": DOCUMENT.0, "clientId": DOCUMENT.1, "name": "Editor", "attributes": document},
        {"id": "00000000-0000-4000-8000-000000000004", "clientId": "mcp-server", "name": "by hand"},
        {"id": "00000000-0000-4000-8000-000000000005", "clientId": "https://saml.example/metadata", "attributes": {}},
        {"id": "..", "clientId": ".."},
    ])
}

impl Desk {
    /// With these lies before the others.
    fn lying(lies: &[(&'static str, Value)]) -> Self {
        let liar = Liar::start();
        let origin = &liar.origin;
        for (what, answer) in lies {
            liar.lie(what, Lie::Answer(200, answer.clone()));
        }
        let metadata = json!({"issuer": format!("{origin}/realms/mcp"), "token_endpoint": format!("{origin}/token")});
        for (what, answer) in [
            (METADATA, metadata),
            (LOGIN, json!({"access_token": "admins-token", "token_type": "Bearer", "expires_in": 60})),
            (CONFIG, kept(&json!({}))),
            (OLDEST, event("x", 80)),
            (CLIENTS, clients()),
            (STALE.1, event(STALE.0, 31)),
            (USED.1, event(USED.0, 29)),
            (DOCUMENT.2, json!([])),
            (DELETE, json!({})),
        ] {
            liar.lie(what, Lie::Answer(200, answer));
        }
        let issuer = format!("{origin}/realms/mcp");
        let account =
            Account::new().with("KEYCLOAK_ADMIN_PASSWORD", "admin-password").with("SECUREMCP_ISSUER", &issuer);
        Self { liar, account }
    }

    fn prune(&self, more: &[&str]) -> Ended {
        self.account.run(&[&["dcr", "prune", "--keycloak-admin", "admin"], more].concat())
    }

    /// What was deleted since the last time.
    fn deleted(&self) -> Vec<String> {
        let hits = self.liar.hits();
        only(&hits, "DELETE").into_iter().map(|hit| hit.what.trim_start_matches(DELETE).to_owned()).collect()
    }
}

#[test]
fn stale_clients_are_listed_and_only_deleted_when_told_to() {
    let desk = Desk::lying(&[]);
    let listed = desk.prune(&[]);
    let rows: Vec<_> = listed.done().lines().collect();
    assert_eq!(rows.len(), 2, "{listed:#?}");
    assert!(rows[0].contains(DOCUMENT.1) && rows[0].contains("before all events"), "{listed:#?}");
    assert!(rows[1].contains(STALE.0) && !listed.stdout.contains('\u{1b}'), "{listed:#?}");
    assert!(listed.stderr.contains("2 of them; `--delete` deletes them"), "{listed:#?}");
    assert!(!format!("{listed:?}").contains("admin-password"), "{listed:#?}");
    let hits = desk.liar.hits();
    assert!(only(&hits, "DELETE").is_empty(), "{hits:?}");
    let of_realm: Vec<_> = hits.iter().filter(|hit| hit.what.contains("/admin/")).collect();
    assert_eq!(of_realm.len(), 6, "settings, oldest event, clients, and an event for each of three: {of_realm:?}");
    assert!(of_realm.iter().all(|hit| hit.authorization.as_deref() == Some("Bearer admins-token")), "{of_realm:?}");

    let pruned = desk.prune(&["--delete", "--output", "json"]);
    let expected = json!([
        {"client_id": DOCUMENT.1, "client_name": "Editor", "last_seen": null, "deleted": true},
        {"client_id": STALE.0, "client_name": "a\\u{1b}[31mname", "last_seen": pruned.json()[1]["last_seen"],
            "deleted": true},
    ]);
    assert_eq!(pruned.json(), expected);
    assert_eq!(desk.deleted(), [DOCUMENT.0, STALE.0], "by its own id, and nothing else");
}

#[test]
fn who_was_used_within_the_time_that_is_asked_for_stays() {
    let desk = Desk::lying(&[]);
    desk.prune(&["--delete", "--unused-days", "28"]).done();
    assert_eq!(desk.deleted(), [DOCUMENT.0, STALE.0, USED.0]);
    desk.prune(&["--delete", "--unused-days", "32"]).done();
    assert_eq!(desk.deleted(), [DOCUMENT.0]);
    desk.prune(&["--unused-days", "0"]).failed(2, &["--unused-days"]);
}

#[test]
fn a_realm_that_cannot_tell_loses_no_client() {
    let types = kept(&json!({}))["enabledEventTypes"].clone();
    let without_refresh: Vec<_> =
        types.as_array().expect("a list").iter().filter(|kind| *kind != "REFRESH_TOKEN").collect();
    for (what, answer, words) in [
        (CONFIG, kept(&json!({"eventsEnabled": false})), "the realm keeps no events"),
        (CONFIG, kept(&json!({"enabledEventTypes": without_refresh})), "no events of type `REFRESH_TOKEN`"),
        (CONFIG, kept(&json!({"eventsExpiration": 29 * DAY})), "keeps events for 29 days only"),
        (OLDEST, event("x", 29), "the oldest event of the realm is of 20"),
        (OLDEST, json!([]), "the realm has no events yet"),
        (STALE.1, event(USED.0, 31), "it tells of `00000000-0000-4000-8000-000000000002`"),
    ] {
        let desk = Desk::lying(&[(what, answer)]);
        desk.prune(&["--delete"]).failed(1, &["cannot tell which clients are used", words, "hint: "]);
        assert!(desk.deleted().is_empty(), "{words}");
    }
    for twin in [kept(&json!({"eventsExpiration": 30 * DAY})), kept(&json!({"eventsExpiration": 0}))] {
        let desk = Desk::lying(&[(CONFIG, twin)]);
        desk.prune(&["--delete"]).done();
        assert_eq!(desk.deleted().len(), 2);
    }
}

#[test]
fn what_is_no_answer_of_keycloak_loses_no_client() {
    for (what, answer) in [
        (CONFIG, json!("no")),
        (OLDEST, json!({})),
        (CLIENTS, json!({"error": "unknown_error"})),
        (CLIENTS, json!([{"clientId": STALE.0}])),
        (USED.1, json!([{"time": "yesterday", "clientId": USED.0}])),
    ] {
        let desk = Desk::lying(&[(what, answer)]);
        desk.prune(&["--delete"]).failed(4, &["it is not what Keycloak's admin API says"]);
        assert!(desk.deleted().is_empty(), "{what}");
    }
    let desk = Desk::lying(&[]);
    desk.liar.repent();
    desk.prune(&["--delete"]).failed(4, &["publishes no metadata"]);
    assert!(desk.deleted().is_empty());
}

#[test]
fn every_page_of_clients_is_read() {
    let name = |number: usize| format!("00000000-0000-4000-8000-{number:012}");
    let page = |from: usize, count: usize| (from..from + count).map(|number| registered(&name(number))).collect();
    // The last one of the first page is also the first of the second: somebody registered meanwhile.
    let (first, second): (Vec<Value>, Vec<Value>) = (page(1000, 100), page(1099, 3));
    let desk = Desk::lying(&[
        (CLIENTS, json!(first)),
        ("GET /admin/realms/mcp/clients?first=100&", json!(second)),
        ("GET /admin/realms/mcp/events?client=", json!([])),
    ]);
    desk.prune(&["--delete"]).done();
    let expected: Vec<_> = (1000..1102).map(name).collect();
    assert_eq!(desk.deleted(), expected);
}

#[test]
fn a_login_that_ends_before_the_work_is_made_again() {
    let short = json!({"access_token": "admins-token", "token_type": "Bearer", "expires_in": 0});
    for (desk, logins) in [(Desk::lying(&[]), 1), (Desk::lying(&[(LOGIN, short)]), 6)] {
        desk.prune(&["--delete"]).done();
        let hits = desk.liar.hits();
        assert_eq!(only(&hits, LOGIN).len(), logins, "the first, and one for each of three looks and two deletions");
        assert_eq!(only(&hits, DELETE).len(), 2);
    }
}

#[test]
fn an_administrator_who_may_not_is_told() {
    let desk = Desk::lying(&[]);
    desk.liar.repent();
    let origin = desk.liar.origin.clone();
    let metadata = json!({"issuer": format!("{origin}/realms/mcp"), "token_endpoint": format!("{origin}/token")});
    desk.liar.lie(METADATA, Lie::Answer(200, metadata));
    desk.liar.lie(LOGIN, Lie::Answer(200, json!({"access_token": "viewers-token", "token_type": "Bearer"})));
    desk.liar.lie(CONFIG, Lie::Answer(403, json!({"error": "HTTP 403 Forbidden"})));
    desk.prune(&["--delete"])
        .failed(4, &["Keycloak's admin API", "HTTP 403 Forbidden", "the administrator needs the right"]);
    assert!(desk.deleted().is_empty());
}
