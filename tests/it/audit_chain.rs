//! An audit log whose lines vouch for each other, as servers write it and `securemcp audit verify` reads it.

use std::{fs, path::PathBuf};

use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::{
    files::limited,
    harness::{
        cli::{Account, Ended},
        process::{Serve, free_port},
        until::block_until,
    },
};

const KEY: &str = "the key of an audit log";
const HEAD: &str = "audit.log.head";

/// An account with a key, and a log at `audit.log`.
struct Log(Account);

impl Log {
    fn new() -> Self {
        Self(Account::new().with("SECUREMCP_AUDIT_KEY", KEY))
    }

    /// A server that was started on it.
    fn start(&self) -> Serve {
        self.0.start(&["--audit-file", "audit.log"])
    }

    /// A whole run of a server: two lines more than there are events.
    async fn run(&self, count: usize) {
        let serve = self.start();
        events(&serve, count).await;
        stop(serve);
    }

    fn verify(&self, arguments: &[&str]) -> Ended {
        self.0.run(&[&["audit", "verify"], arguments].concat())
    }

    /// Asserts that it is intact, with so many lines, chains, and those that are open.
    #[track_caller]
    fn holds(&self, arguments: &[&str], lines: usize, chains: usize, open: usize) {
        let ended = self.verify(&[arguments, &["--output", "json"]].concat());
        ended.done();
        let found = ended.json();
        let found = ["lines", "chains", "open"].map(|name| found[name].as_u64().expect("a number"));
        assert_eq!(found, [lines, chains, open].map(|number| number as u64), "{ended:?}");
        assert_eq!(ended.stderr.contains("a chain without an end"), open > 0, "{ended:?}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.home().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("it was written")
    }

    fn lines(&self, name: &str) -> Vec<String> {
        self.read(name).split_inclusive('\n').map(str::to_owned).collect()
    }

    /// Writes over a file, which stays the same one.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("it is ours");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("it is ours");
    }

    /// Moves the log away as a program does that rotates logs, and waits until the server goes on in a new one.
    fn rotate(&self, serve: &mut Serve, to: &str) {
        self.rename("audit.log", to);
        serve.process.signal(Signal::HUP);
        serve.process.said("reloaded");
    }

    /// Waits until the head says this.
    fn head_says(&self, words: &str) {
        block_until(words, || self.read(HEAD).contains(words));
    }
}

/// Has so many events audited, one after the other.
async fn events(serve: &Serve, count: usize) {
    for _ in 0..count {
        assert_eq!(serve.post("/mcp").send().await.expect("an answer").status(), 401);
    }
}

fn stop(serve: Serve) -> Ended {
    serve.process.signal(Signal::TERM);
    let ended = serve.process.ended();
    ended.done();
    ended
}

/// What is said of the log, a text for people and one for programs.
#[tokio::test]
async fn what_servers_wrote_is_intact() {
    let log = Log::new();
    log.run(2).await;
    log.run(3).await;
    let ended = log.verify(&["audit.log"]);
    assert_eq!(ended.done(), "intact; lines: 9, chains: 2, open: 0, torn: 0, lost: 0\n");
    assert_eq!(ended.stderr, "");
    let expected = serde_json::json!({"lines": 9, "chains": 2, "open": 0, "torn": 0, "lost": 0, "earlier": []});
    assert_eq!(log.verify(&["audit.log", "--output", "json"]).json(), expected);
    let serve = log.start();
    events(&serve, 1).await;
    log.holds(&["audit.log"], 11, 3, 1);
    stop(serve);
    log.holds(&["audit.log"], 12, 3, 0);
}

#[tokio::test]
async fn what_was_done_to_a_log_shows() {
    let (log, other) = (Log::new(), Log::new());
    log.run(2).await;
    log.run(3).await;
    other.run(1).await;
    let (good, foreign) = (log.lines("audit.log"), other.read("audit.log"));
    assert_eq!(good.len(), 9);
    let edited = |edit: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.clone();
        edit(&mut lines);
        lines.concat()
    };
    let stranger = Account::new().with("SECUREMCP_AUDIT_KEY", "the key of somebody else");
    let serve = stranger.start(&["--audit-file", "audit.log"]);
    events(&serve, 2).await;
    stop(serve);
    let forged = fs::read_to_string(stranger.home().join("audit.log")).expect("it was written");
    for (what, text, problem) in [
        ("changed", edited(&|lines| lines[1] = lines[1].replace("INFO", "WARN")), "line 2 was changed"),
        ("longer", edited(&|lines| lines[1] = lines[1].replace("\"}\n", "\",\"a\":1}\n")), "line 2 is in no chain"),
        ("first removed", edited(&|lines| drop(lines.remove(0))), "line 1 is not the first of its chain"),
        ("removed", edited(&|lines| drop(lines.remove(1))), "line 2 does not follow"),
        (
            "end of a chain removed",
            edited(&|lines| drop(lines.remove(3))),
            "line 4 begins a chain after a line that is",
        ),
        ("moved", edited(&|lines| lines.swap(5, 6)), "line 6 does not follow"),
        ("doubled", edited(&|lines| lines.insert(2, lines[1].clone())), "line 3 does not follow"),
        ("added", edited(&|lines| lines.insert(2, "{\"a\":1}\n".to_owned())), "line 3 is in no chain"),
        ("added last", edited(&|lines| lines.push("{\"a\":1}\n".to_owned())), "line 10 is in no chain"),
        ("empty line", edited(&|lines| lines.insert(2, "\n".to_owned())), "line 3 is in no chain"),
        ("last cut", edited(&|lines| lines.truncate(8)), "line 4 of chain"),
        ("more cut", edited(&|lines| lines.truncate(5)), "line 4 of chain"),
        ("half a line cut", good.concat()[..good.concat().len() - 20].to_owned(), "line 9 is torn"),
        ("emptied", String::new(), "line 4 of chain"),
        ("last chain removed", edited(&|lines| lines.truncate(4)), "line 4 of chain"),
        ("first chain removed", edited(&|lines| drop(lines.drain(..4))), "line 1 begins a chain after a line that is"),
        ("chain put in first", format!("{foreign}{}", good.concat()), "line 4 begins a chain that does not know"),
        ("chain put in between", edited(&|lines| lines.insert(4, foreign.clone())), "line 5 begins a chain that does"),
        ("chain put in last", format!("{}{foreign}", good.concat()), "line 10 begins a chain that does not know"),
        ("written anew", forged, "line 1 was changed, or written with another key"),
        ("another log", foreign.clone(), "line 4 of chain"),
    ] {
        log.write("audit.log", &text);
        let ended = log.verify(&["audit.log"]);
        assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
        assert!(ended.stderr.contains("`audit.log` is not intact") && ended.stderr.contains("hint: "), "{ended:?}");
        assert!(ended.stderr.contains(problem), "{what}: {ended:?}");
        log.write("audit.log", &good.concat());
        log.holds(&["audit.log"], 9, 2, 0);
    }
}

#[tokio::test]
async fn what_was_cut_while_no_server_ran_shows_after_the_next_start() {
    let cut = |log: &Log, lines: usize| log.lines("audit.log")[..lines].concat();
    let nothing: fn(&Log) -> Option<String> = |_| None;
    for (what, text, anew, problem) in [
        ("nothing", nothing, false, None),
        ("copied", |log| Some(log.read("audit.log")), true, None),
        (
            "cut",
            |log| Some(log.lines("audit.log")[..2].concat()),
            false,
            Some("line 3 begins a chain after a line that"),
        ),
        (
            "a copy cut",
            |log| Some(log.lines("audit.log")[..2].concat()),
            true,
            Some("line 3 begins a chain after a line"),
        ),
        ("emptied", |_| Some(String::new()), false, Some("line 1 begins a chain after a line that is missing")),
        ("removed", |_| Some(String::new()), true, Some("begins after line 3 of chain")),
    ] {
        let log = Log::new();
        log.run(2).await;
        assert_eq!(cut(&log, 4), log.read("audit.log"));
        if let Some(text) = text(&log) {
            if anew {
                log.rename("audit.log", "kept");
            }
            log.write("audit.log", &text);
            fs::set_permissions(log.path("audit.log"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .expect("ours");
        }
        log.run(1).await;
        let ended = log.verify(&["audit.log"]);
        match problem {
            None => log.holds(&["audit.log"], 7, 2, 0),
            Some(problem) => {
                assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
                assert!(ended.stderr.contains(problem), "{what}: {ended:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_cut_while_its_server_ran_shows() {
    for is_cut in [false, true] {
        let log = Log::new();
        let serve = log.start();
        events(&serve, 3).await;
        if is_cut {
            log.write("audit.log", &log.lines("audit.log")[..3].concat());
        }
        events(&serve, 1).await;
        stop(serve);
        if is_cut {
            log.verify(&["audit.log"]).failed(1, &["line 4 does not follow the line before it in its chain"]);
        } else {
            log.holds(&["audit.log"], 6, 1, 0);
        }
    }
}

#[tokio::test]
async fn a_log_goes_on_in_a_new_file() {
    let log = Log::new();
    log.run(1).await;
    let mut serve = log.start();
    events(&serve, 2).await;
    log.rotate(&mut serve, "audit.log.1");
    events(&serve, 1).await;
    stop(serve);
    assert_eq!((log.lines("audit.log.1").len(), log.lines("audit.log").len()), (7, 3));
    let both = ["audit.log.1", "audit.log"];
    log.holds(&both, 10, 3, 0);
    log.holds(&["audit.log.1", "--closed"], 7, 2, 0);
    log.holds(&["audit.log", "--continued"], 3, 1, 0);
    let json = log.verify(&["audit.log", "--continued", "--output", "json"]).json();
    assert_eq!(json["earlier"][0]["seq"], 3, "{json}");
    log.verify(&["audit.log"]).failed(1, &["begins after line 3 of chain", "hint: ", "`--continued`"]);
    log.verify(&["audit.log.1"]).failed(1, &["`audit.log.1.head` is missing", "hint: ", "`--closed`"]);
    log.verify(&["audit.log", "--closed", "--continued"]).failed(1, &["does not say that the file was moved away"]);
    log.verify(&["audit.log", "audit.log.1"]).failed(1, &["`audit.log` is not intact"]);

    let (old, new) = (log.lines("audit.log.1"), log.read("audit.log"));
    for (kept, alone, before) in [
        // The last line; all of the second run; everything.
        (6, "has no end after its line 2", "line 1 begins a chain after a line that is missing"),
        (3, "does not say that the file was moved away", "line 1 begins a chain after a line that is missing"),
        (0, "does not say that the file was moved away", "line 1 begins a chain after a line that is missing"),
    ] {
        log.write("audit.log.1", &old[..kept].concat());
        log.verify(&["audit.log.1", "--closed"]).failed(1, &["`audit.log.1` is not intact", alone]);
        log.verify(&both).failed(1, &["`audit.log` is not intact", before]);
        log.verify(&["audit.log.1", "audit.log", "--continued"]).failed(1, &[before]);
    }
    log.write("audit.log.1", &old.concat());
    // The old file in place of the new one.
    log.write("audit.log", &old.concat());
    log.verify(&["audit.log"]).failed(1, &["line 2 of chain", "is missing, which `audit.log.head` names"]);
    log.write("audit.log", &new);
    log.holds(&both, 10, 3, 0);

    // Moved away between two runs.
    log.rename("audit.log", "audit.log.2");
    log.run(1).await;
    log.holds(&["audit.log.1", "audit.log.2", "audit.log"], 13, 4, 0);
    log.holds(&["audit.log.2", "audit.log", "--continued"], 6, 2, 0);
    log.verify(&["audit.log.1", "audit.log"]).failed(1, &["line 1 begins a chain after a line that is missing"]);
    log.write("joined", &["audit.log.1", "audit.log.2", "audit.log"].map(|name| log.read(name)).concat());
    fs::copy(log.path(HEAD), log.path("joined.head")).expect("it is there");
    log.holds(&["joined"], 13, 4, 0);
}

#[tokio::test]
async fn a_signal_without_a_move_leaves_the_chain_as_it_is() {
    let log = Log::new();
    let mut serve = log.start();
    events(&serve, 1).await;
    serve.process.signal(Signal::HUP);
    serve.process.said("reloaded");
    events(&serve, 1).await;
    stop(serve);
    log.holds(&["audit.log"], 4, 1, 0);
}

#[tokio::test]
async fn a_head_is_what_was_written_and_no_older() {
    let log = Log::new();
    log.run(1).await;
    let (old_log, old_head) = (log.read("audit.log"), log.read(HEAD));
    log.run(1).await;
    let (good, head) = (log.read("audit.log"), log.read(HEAD));
    log.holds(&["audit.log", "--expect", HEAD], 6, 2, 0);

    log.write(HEAD, &head.replace("\"seq\":2", "\"seq\":1"));
    log.verify(&["audit.log"]).failed(1, &["`audit.log.head` was changed, or written with another key"]);
    log.write(HEAD, "");
    log.verify(&["audit.log"]).failed(1, &["`audit.log.head` is missing"]);
    fs::remove_file(log.path(HEAD)).expect("it is there");
    log.verify(&["audit.log"]).failed(1, &["`audit.log.head` is missing", "hint: keep the head beside the log"]);
    log.write(HEAD, &old_head);
    log.verify(&["audit.log"]).failed(1, &["is not in `audit.log.head`: it was put in, or the head is an older one"]);
    log.write(HEAD, &head);
    log.holds(&["audit.log"], 6, 2, 0);

    // Older copies of both look like a log that is not longer: only a copy of the head from elsewhere tells.
    log.write("kept", &head);
    log.write("audit.log", &old_log);
    log.write(HEAD, &old_head);
    log.holds(&["audit.log"], 3, 1, 0);
    log.verify(&["audit.log", "--expect", "kept"]).failed(1, &["line 2 of chain", "is missing, which `kept` names"]);
    log.verify(&["audit.log", "--expect", "none"]).failed(1, &["`none` is missing"]);
    log.write("audit.log", &good);
    log.write(HEAD, &head);
    log.write("kept", &old_head);
    log.holds(&["audit.log", "--expect", "kept"], 6, 2, 0);

    // Whoever takes the head away with the end of the log is found after the next start too.
    fs::remove_file(log.path(HEAD)).expect("it is there");
    log.write("audit.log", &old_log);
    log.run(1).await;
    log.verify(&["audit.log"]).failed(1, &["line 4 was written where the head was missing"]);
}

#[tokio::test]
async fn processes_may_share_a_log() {
    let log = Log::new();
    let (mut one, neighbour) = (log.start(), Log::new());
    let path = log.path("audit.log").display().to_string();
    let mut other = neighbour.0.start(&["--audit-file", &path]);
    for _ in 0..3 {
        events(&one, 1).await;
        events(&other, 1).await;
    }
    log.rotate(&mut one, "audit.log.1");
    events(&one, 1).await;
    // It still writes to the old file.
    events(&other, 1).await;
    other.process.signal(Signal::HUP);
    other.process.said("reloaded");
    events(&other, 1).await;
    stop(one);
    stop(other);
    let both = ["audit.log.1", "audit.log"];
    log.holds(&both, 17, 4, 0);
    log.holds(&["audit.log", "--continued"], 6, 2, 0);
    log.holds(&["audit.log.1", "--closed"], 11, 2, 0);
    let (old, new) = (log.lines("audit.log.1"), log.lines("audit.log"));
    let id = |line: &String| line.split("\"chain\":\"").nth(1).expect("a chain")[..16].to_owned();
    for (name, lines) in [("audit.log.1", &old), ("audit.log", &new)] {
        let mut chains: Vec<_> = lines.iter().map(id).collect();
        chains.sort();
        chains.dedup();
        assert_eq!(chains.len(), 2);
        for gone in chains {
            let left: Vec<_> = lines.iter().filter(|line| id(line) != gone).cloned().collect();
            assert!(left.len() >= 3, "{left:?}");
            log.write(name, &left.concat());
            log.verify(&both).failed(1, &["is not intact", "missing"]);
        }
        log.write(name, &lines.concat());
        log.holds(&both, 17, 4, 0);
    }
}

#[tokio::test]
async fn a_log_outlives_a_server_that_was_killed() {
    for torn in [false, true] {
        let log = Log::new();
        let serve = log.start();
        events(&serve, 2).await;
        serve.process.kill();
        log.holds(&["audit.log"], 3, 1, 1);
        if torn {
            log.write("audit.log", &format!("{}{{\"timestamp\":\"20", log.read("audit.log")));
            let hint = "hint: start its server again";
            log.verify(&["audit.log"])
                .failed(1, &["line 4 is torn: its writer was ended meanwhile, or it was cut", hint]);
        }
        log.run(1).await;
        log.holds(&["audit.log"], 6, 2, 1);
        let json = log.verify(&["audit.log", "--output", "json"]).json();
        assert_eq!(json["torn"], u64::from(torn));
        // Nothing else may stand there, nor more.
        let mut lines = log.lines("audit.log");
        let second = lines.iter().rposition(|line| line.contains("log_opened")).expect("a second chain");
        lines.insert(second, "{}\n".to_owned());
        log.write("audit.log", &lines.concat());
        let problem = "line 4 is in no chain";
        log.verify(&["audit.log"]).failed(1, &[problem]);
    }
}

#[tokio::test]
async fn a_head_follows_its_log_while_the_server_runs() {
    let log = Log::new();
    let serve = log.start();
    events(&serve, 3).await;
    log.head_says("\"seq\":3");
    serve.process.kill();
    log.holds(&["audit.log"], 4, 1, 1);
    log.write("audit.log", &log.lines("audit.log")[..3].concat());
    log.verify(&["audit.log"]).failed(1, &["line 3 of chain", "is missing, which `audit.log.head` names"]);
    log.run(1).await;
    log.verify(&["audit.log"]).failed(1, &["line 4 begins a chain after a line that is missing"]);
}

#[tokio::test]
async fn a_full_disk_costs_a_log_its_events_and_nothing_else() {
    let log = Log::new();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--audit-file", "audit.log"];
    let mut serve = Serve::start(limited(&log.0, false, &arguments));
    events(&serve, 2).await;
    let limit = |current| {
        let limit = Rlimit { current, maximum: None };
        prlimit(Some(serve.process.pid()), Resource::Fsize, limit).expect("it is ours");
    };
    // Half a line still has room.
    limit(Some(log.read("audit.log").len() as u64 + 100));
    events(&serve, 2).await;
    assert!(!log.read("audit.log").ends_with('\n'));
    limit(None);
    serve.process.said("the audit log cannot be written");
    events(&serve, 1).await;
    serve.process.said("the audit log is written again");
    events(&serve, 1).await;
    stop(serve);
    let ended = log.verify(&["audit.log"]);
    assert_eq!(ended.done(), "intact; lines: 6, chains: 1, open: 0, torn: 1, lost: 2\n");
    assert!(ended.stderr.contains("lines that were written in part: 1, events that were not: 2"), "{ended:?}");
    let lines = log.lines("audit.log");
    assert_eq!((lines.len(), lines[3].len()), (7, 101), "{lines:#?}");
}

#[tokio::test]
async fn a_server_starts_on_a_full_disk_and_its_log_begins_when_there_is_room() {
    let log = Log::new();
    let listen = format!("127.0.0.1:{}", free_port());
    let arguments = |file| ["serve", "--listen", &listen, "--audit-file", file];
    // What it needs besides a log.
    stop(Serve::start(log.0.command(&arguments("other.log"))));
    let mut serve = Serve::start(limited(&log.0, true, &arguments("audit.log")));
    events(&serve, 2).await;
    serve.process.said("the audit log cannot be written");
    prlimit(Some(serve.process.pid()), Resource::Fsize, Rlimit { current: None, maximum: None }).expect("it is ours");
    serve.process.said("the audit log is written again");
    events(&serve, 1).await;
    stop(serve);
    assert_eq!(log.verify(&["audit.log"]).done(), "intact; lines: 3, chains: 1, open: 0, torn: 0, lost: 2\n");
}

#[tokio::test]
async fn an_audit_log_is_checked_with_its_key_only() {
    let log = Log::new();
    log.run(1).await;
    let others = |key: &str| Account::new().with("SECUREMCP_AUDIT_KEY", key);
    let path = log.path("audit.log").display().to_string();
    others(KEY).run(&["audit", "verify", &path]).done();
    others("the key of somebody else").run(&["audit", "verify", &path]).failed(1, &["was changed, or written"]);
    others("short").run(&["audit", "verify", &path]).failed(3, &["`audit.key`", "shorter than 16"]);
    Account::new().run(&["audit", "verify", &path]).failed(3, &["without the key", "SECUREMCP_AUDIT_KEY_FILE"]);
    log.verify(&["none"]).failed(1, &["No such file"]);
    log.verify(&[]).failed(2, &["<FILE>"]);
    log.0.run(&["serve", "--check"]).failed(3, &["`audit.key` is set without `audit.file`"]);
    assert!(!log.read("audit.log").contains(KEY) && !log.read(HEAD).contains(KEY));
}

#[test]
fn a_log_or_head_that_is_a_link_is_refused() {
    let log = Log::new();
    log.write("victim", "untouched\n");
    for name in [HEAD, "audit.log"] {
        let _ = fs::remove_file(log.path("audit.log"));
        std::os::unix::fs::symlink(log.path("victim"), log.path(name)).expect("nothing is there");
        log.0.run(&["serve", "--listen", "127.0.0.1:0", "--audit-file", "audit.log"]).failed(1, &[name, "hint: "]);
        fs::remove_file(log.path(name)).expect("it is ours");
    }
    assert_eq!(log.read("victim"), "untouched\n");
    stop(log.start());
    log.holds(&["audit.log"], 2, 1, 0);
}
