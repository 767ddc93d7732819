//! People who log in with the real binary: in a browser, by hand, on another device; and what is kept of it.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use url::Url;

use crate::{
    crash::files,
    harness::{
        cli::Account,
        liar::{Hit, ISSUER, Liar, Lie, field, only},
        process::{Running, Seeded},
        terminal::Terminal,
        visitor::{Opener, back_from, blocking, log_in},
    },
};

/// An account with a browser, and an issuer that takes logins.
fn world() -> (Liar, Account, Opener) {
    let liar = Liar::start();
    liar.takes_logins();
    let account = Account::new().with("SECUREMCP_SERVER", &liar.url);
    let (browser, command) = Opener::of(&account);
    (liar, account.with("BROWSER", &command), browser)
}

/// The page that a command prints for people without a browser here.
#[track_caller]
fn printed(running: &mut Running) -> String {
    running.said("/authorize?").trim().to_owned()
}

/// Logs in once, by hand.
#[track_caller]
fn login(account: &Account, more: &[&str]) -> String {
    let mut running = Running::start(account.command(&[&["token", "get", "--no-browser"], more].concat()));
    let end = log_in(&printed(&mut running));
    assert_eq!(end.status, 200, "{end:?}");
    running.ended().done().trim_end().to_owned()
}

fn forms(hits: &[Hit], grant: &str) -> usize {
    only(hits, "POST /token").iter().filter(|hit| field(&hit.body, "grant_type").as_deref() == Some(grant)).count()
}

#[test]
fn a_person_at_a_terminal_logs_in_with_a_browser_and_calls() {
    let (liar, account, browser) = world();
    let mut terminal = Terminal::start(account.command(&["call", "echo", "Hello!"]));
    let page = browser.page();
    // For whom none opens, before somebody has logged in.
    terminal.shows("/authorize?");
    let end = log_in(&page);
    assert!(end.status == 200 && end.html.contains("go back to the terminal"), "{end:?}");
    let (code, screen) = terminal.ended();
    assert!(code == Some(0) && screen.contains("Hello!"), "{screen}");
    assert!(screen.contains("opening a browser to log in"), "{screen}");
    // Whoever calls next, at a terminal or not, needs nobody.
    liar.hits();
    assert_eq!(account.run(&["call", "echo", "again"]).done(), "again\n");
    assert!(only(&liar.hits(), "POST /token").is_empty() && browser.is_closed());
    let token = account.run(&["token", "get"]);
    assert_eq!(
        token.done().trim_end(),
        fs::read_to_string(&files_of(&account, "tokens")[0])
            .map(|text| {
                let kept: Value = serde_json::from_str(&text).expect("JSON");
                kept["access_token"].as_str().expect("a text").to_owned()
            })
            .expect("it is there")
    );
}

fn files_of(account: &Account, folder: &str) -> Vec<String> {
    files(&account.state().join(folder)).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn c01_what_is_no_web_page_reaches_no_browser() {
    let (liar, account, browser) = world();
    let home = account.home().to_owned();
    for endpoint in [
        "javascript:alert(1)".to_owned(),
        "file:///bin/sh".to_owned(),
        format!("http://h/$(touch {}/p)", home.display()),
        "calc.exe".to_owned(),
        "--new-window".to_owned(),
        "\"; touch p".to_owned(),
    ] {
        liar.claim(ISSUER, "authorization_endpoint", endpoint.as_str());
        let (code, screen) = Terminal::start(account.command(&["token", "get"])).ended();
        assert_eq!(code, Some(4), "{endpoint}: {screen}");
        assert!(screen.contains("error:"), "{screen}");
        assert!(browser.is_closed(), "{endpoint}");
    }
    // A page may have in it what a shell would obey: there is none.
    let odd = format!("{}/authorize?a=$(touch${{IFS}}{}/p)&b=`id`;c='\"|d", liar.origin, home.display());
    liar.claim(ISSUER, "authorization_endpoint", odd.as_str());
    let terminal = Terminal::start(account.command(&["token", "get"]));
    let page = browser.page();
    assert!(page.contains("$(touch$") && page.contains("&code_challenge="), "{page}");
    log_in(&page);
    assert_eq!(terminal.ended().0, Some(0), "the twin");
    assert!(!home.join("p").exists());
}

#[test]
fn without_a_terminal_no_browser_opens_and_the_way_is_named() {
    let (liar, account, browser) = world();
    let words = ["SECUREMCP_CLIENT_ID", "SECUREMCP_TOKEN", "securemcp token get"];
    for command in [&["call", "echo", "hi"][..], &["tools"], &["token", "get"]] {
        account.run(command).failed(4, &words);
    }
    let named = account.run(&["token", "get", "--grant", "authorization_code"]);
    named.failed(4, &["--no-browser", "--grant device_code"]);
    // With `CI` set nobody looks at a terminal either.
    let mut command = account.command(&["call", "echo", "hi"]);
    command.env("CI", "true");
    let (code, screen) = Terminal::start(command).ended();
    assert!(code == Some(4) && screen.contains("SECUREMCP_TOKEN"), "{screen}");
    assert!(browser.is_closed() && only(&liar.hits(), "POST /register").is_empty());
}

#[test]
fn a_page_can_be_opened_by_hand() {
    let (liar, account, browser) = world();
    let token = login(&account, &[]);
    assert!(!token.is_empty() && browser.is_closed());
    let hits = liar.hits();
    let [registered] = only(&hits, "POST /register")[..] else { panic!("{hits:?}") };
    let registered: Value = serde_json::from_str(&registered.body).expect("JSON");
    assert_eq!(registered["redirect_uris"][0], "http://127.0.0.1/callback");
    assert_eq!(forms(&hits, "authorization_code"), 1);
    // Alone on its line, for whoever reads it with a program.
    let mut running = Running::start(account.command(&["token", "get", "--no-browser", "--new", "-q"]));
    let page = printed(&mut running);
    assert!(Url::parse(&page).is_ok(), "{page}");
    log_in(&page);
    running.ended().done();
}

#[test]
fn the_address_that_a_login_ends_at_can_be_pasted() {
    let (_liar, account, _) = world();
    let mut terminal = Terminal::start(account.command(&["token", "get", "--no-browser"]));
    terminal.shows("press Enter");
    let screen = terminal.screen();
    let page = screen.lines().find(|line| line.contains("/authorize?")).expect("it is shown").trim().to_owned();
    let back = back_from(&page);
    let code = field(back.split_once('?').expect("a query").1, "code").expect("a code");
    terminal.types(&format!("{code}\n"));
    terminal.shows("that is not it");
    terminal.types(&format!("{back}\n"));
    let (code, screen) = terminal.ended();
    assert_eq!(code, Some(0), "{screen}");
}

#[test]
fn c05_a_pasted_answer_to_another_login_is_not_used() {
    let (liar, account, _) = world();
    let mut terminal = Terminal::start(account.command(&["token", "get", "--no-browser"]));
    terminal.shows("press Enter");
    let screen = terminal.screen();
    let page = screen.lines().find(|line| line.contains("/authorize?")).expect("it is shown").trim().to_owned();
    let other = back_from(&page.replace("state=", "state=x"));
    terminal.types(&format!("{other}\n"));
    let (code, screen) = terminal.ended();
    assert!(code == Some(4) && screen.contains("`state`"), "{screen}");
    assert!(only(&liar.hits(), "POST /token").is_empty());
}

#[test]
fn a_code_is_shown_and_typed_elsewhere() {
    let (liar, account, browser) = world();
    liar.answer_polls(&["authorization_pending"]);
    let ended = account.run(&["token", "get", "--grant", "device_code"]);
    ended.done();
    let page = format!("{}/device", liar.origin);
    for words in [&format!("  {page}\n"), "|  WDJB-MJHT  |", &format!("{page}?user_code=WDJB-MJHT"), "10 minutes"] {
        assert!(ended.stderr.contains(words), "`{words}` in {ended:#?}");
    }
    assert!(browser.is_closed());
    // Refreshed like any other login.
    assert_eq!(account.run(&["call", "echo", "hi", "--grant", "device_code"]).done(), "hi\n");
    for (poll, words) in [("access_denied", "the login was abandoned"), ("expired_token", "not typed in time")] {
        liar.answer_polls(&[poll]);
        let ended = account.run(&["token", "get", "--grant", "device_code", "--new"]);
        ended.failed(4, &[words, "hint: start again"]);
    }
}

#[test]
fn an_abandoned_login_ends_with_4_and_says_so() {
    let (liar, account, _) = world();
    let ended = account.run(&["token", "get", "--no-browser", "--login-timeout", "50ms"]);
    ended.failed(4, &["the login was abandoned: nobody finished it within 0.05 s", "--login-timeout"]);
    let mut running = Running::start(account.command(&["call", "echo", "hi", "--no-browser", "--output", "json"]));
    let page = Url::parse(&printed(&mut running)).expect("a page");
    let asked = |name: &str| field(page.query().expect("a query"), name).expect("it is asked");
    let mut back = Url::parse(&asked("redirect_uri")).expect("a redirect URI");
    back.query_pairs_mut().extend_pairs([
        ("error", "access_denied"),
        ("error_description", "<b>no</b>"),
        ("state", &asked("state")),
        ("iss", &liar.origin),
    ]);
    let end = blocking(|http| http.get(back));
    // C11: what the issuer says is text.
    assert!(end.status == 400 && end.html.contains("&lt;b&gt;no&lt;/b&gt;") && !end.html.contains("<b>"), "{end:?}");
    let ended = running.ended();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert_eq!(ended.error()["code"], "not_authenticated");
    assert!(only(&liar.hits(), "POST /token").is_empty());
}

#[test]
fn c11_the_listener_takes_one_answer_at_one_place_of_this_machine() {
    let (_liar, account, _) = world();
    let mut running = Running::start(account.command(&["token", "get", "--no-browser"]));
    let page = printed(&mut running);
    let back = Url::parse(&back_from(&page)).expect("an address");
    let port = back.port().expect("a port");
    for elsewhere in ["127.0.0.2", "::1"] {
        assert!(TcpStream::connect((elsewhere, port)).is_err(), "{elsewhere}");
    }
    let good = back.as_str().to_owned();
    let query = back.query().expect("a query").to_owned();
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}?{query}");
    for (status, path) in
        [(404, "/"), (404, "/callback/"), (404, "/Callback"), (404, "/%63allback"), (404, "/favicon.ico")]
    {
        assert_eq!(blocking(|http| http.get(at(path))).status, status, "{path}");
    }
    for host in ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1"] {
        assert_eq!(blocking(|http| http.get(&good).header("host", host)).status, 421, "{host}");
    }
    assert_eq!(blocking(|http| http.post(&good)).status, 405);
    let end = blocking(|http| http.get(&good));
    assert_eq!(end.status, 200, "the twin: {end:?}");
    for (name, value) in
        [("cache-control", "no-store"), ("x-frame-options", "DENY"), ("referrer-policy", "no-referrer")]
    {
        assert_eq!(end.headers[name], value);
    }
    running.ended().done();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens any more");
}

#[test]
fn c12_twenty_calls_at_once_refresh_once() {
    let (liar, account, _) = world();
    liar.live_for(10, 300);
    login(&account, &[]);
    liar.hits();
    let running: Vec<_> = (0..20).map(|_| Running::start(account.command(&["call", "echo", "hi"]))).collect();
    for running in running {
        assert_eq!(running.ended().done(), "hi\n");
    }
    let hits = liar.hits();
    assert_eq!((forms(&hits, "refresh_token"), only(&hits, "POST /token").len()), (1, 1));
    let [path] = &files_of(&account, "tokens")[..] else { panic!("one file") };
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).expect("it is there"));
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn c12_a_killed_refresh_leaves_a_good_login() {
    const ROUNDS: u64 = 60;
    let (liar, account, _) = world();
    // Every run has to refresh.
    liar.live_for(10, 10);
    login(&account, &[]);
    let get = || account.command(&["call", "echo", "hi"]);
    let started = Instant::now();
    Running::start(get()).ended().done();
    let mut whole = u64::try_from(started.elapsed().as_micros()).expect("short");
    let (mut seeded, mut killed) = (Seeded(3), 0);
    let mut kept = BTreeSet::new();
    for round in 0..3 * ROUNDS {
        let command = Running::start(get());
        std::thread::sleep(Duration::from_micros(seeded.below(whole)));
        if command.kill().code.is_none() {
            killed += 1;
            whole += whole / 50;
        } else {
            whole -= whole / 10;
        }
        for (path, text) in files(&account.state().join("tokens")) {
            let file: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{round} {path}: {error}: {text}"));
            kept.insert(file["refresh_token"].as_str().expect("a text").to_owned());
        }
        if killed == ROUNDS {
            break;
        }
    }
    assert_eq!(killed, ROUNDS);
    assert!(kept.len() > 1, "none was killed after its refresh");
    assert_eq!(Running::start(get()).ended().done(), "hi\n", "nobody had to log in again");
    assert_eq!(forms(&liar.hits(), "authorization_code"), 1);
}

#[test]
fn a_login_is_revoked_or_forgotten_with_all_that_it_led_to() {
    let (liar, account, _) = world();
    let token = login(&account, &[]);
    liar.hits();
    account.run(&["token", "revoke"]).done();
    let hits = liar.hits();
    let revoked: Vec<_> = only(&hits, "POST /revoke")
        .into_iter()
        .map(|hit| (field(&hit.body, "token_type_hint").expect("a hint"), field(&hit.body, "token").expect("a token")))
        .collect();
    let [refresh_token] = &liar.refresh_tokens()[..] else { panic!("one") };
    assert_eq!(revoked, [("refresh_token".to_owned(), refresh_token.clone()), ("access_token".to_owned(), token)]);
    account.run(&["call", "echo", "hi"]).failed(4, &["nobody is at a terminal"]);
    login(&account, &[]);
    assert!(account.run(&["token", "forget"]).done().is_empty());
    assert!(files_of(&account, "tokens").is_empty());
    account.run(&["call", "echo", "hi"]).failed(4, &["nobody is at a terminal"]);
}

#[test]
fn c13_nothing_secret_of_a_login_is_told() {
    let (liar, account, _) = world();
    liar.live_for(10, 300);
    let mut running = Running::start(account.command(&["token", "get", "--no-browser", "-vv"]));
    let end = back_from(&printed(&mut running));
    blocking(|http| http.get(&end));
    let first = running.ended();
    let second = account.run(&["call", "echo", "hi", "-vv"]);
    first.done();
    assert_eq!(second.done(), "hi\n");
    let hits = liar.hits();
    let of_forms = |name: &str| hits.iter().filter_map(|hit| field(&hit.body, name)).collect::<Vec<_>>();
    let secrets =
        [of_forms("code"), of_forms("code_verifier"), of_forms("refresh_token"), liar.refresh_tokens()].concat();
    assert!(secrets.len() >= 5, "{secrets:?}");
    let token = first.stdout.trim_end();
    for secret in secrets.iter().map(String::as_str).chain([token]) {
        assert!(!first.stderr.contains(secret) && !second.stderr.contains(secret), "{secret}");
    }
}

#[test]
fn a_client_registered_for_logins_is_used_for_them() {
    let (liar, account, _) = world();
    let registered = account.run(&["dcr", "register", "--grant", "authorization_code", "--grant", "refresh_token"]);
    registered.done();
    let hits = liar.hits();
    let [asked] = only(&hits, "POST /register")[..] else { panic!("{hits:?}") };
    let asked: Value = serde_json::from_str(&asked.body).expect("JSON");
    assert_eq!(asked["redirect_uris"], json!(["http://127.0.0.1/callback"]));
    assert_eq!(asked["token_endpoint_auth_method"], "none");
    login(&account, &[]);
    assert!(only(&liar.hits(), "POST /register").is_empty());
    account.run(&["dcr", "register", "--redirect-uri", "javascript:alert(1)"]).failed(2, &["--redirect-uri"]);
    liar.lie("POST /register", Lie::Answer(403, json!({"error": "insufficient_scope", "error_description": "no"})));
    let stranger = Account::new().with("SECUREMCP_SERVER", &liar.url);
    let refused = stranger.run(&["token", "get", "--no-browser"]);
    refused.failed(4, &["registers no client for logins", "caused by: the registration was refused", "--client-id"]);
}
