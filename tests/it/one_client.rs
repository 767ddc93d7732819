//! One client for all replicas, whose state directories are their own: they find it in Redis, sealed.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    deployment::{INITIAL_TOKEN, KEPT, NOT_YET, REGISTERED, client, end, event, known, registrations},
    harness::{
        cli::Account,
        liar::{Liar, Lie, only},
        process::Serve,
        redis::{FakeRedis, Mood},
        until::block_until,
    },
};

const KEY: &str = "a-key-of-32-characters-and-more..";
const FOREIGN: &str = "was not sealed for this deployment with this `client.registration_key`";
/// What Redis keeps it as.
const PLACE: &str = ":client";

/// A deployment: where its replicas register, and where they tell each other.
struct World {
    runtime: Runtime,
    liar: Liar,
    redis: Option<FakeRedis>,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let redis = runtime.block_on(async { FakeRedis::start() });
        let liar = Liar::start();
        liar.lie("GET /register/registered", known(&liar));
        Self { runtime, liar, redis: Some(redis) }
    }

    fn redis(&self) -> &FakeRedis {
        self.redis.as_ref().expect("it is there")
    }

    /// A replica with a state directory of its own.
    fn replica(&self) -> Account {
        self.replica_of("http://127.0.0.1:9/mcp", KEY)
    }

    fn replica_of(&self, resource: &str, key: &str) -> Account {
        let account = Account::new().with("USE_DCR", "true").with("OAUTH_ISSUER", &self.liar.origin);
        let account = account.with("DCR_INITIAL_ACCESS_TOKEN", INITIAL_TOKEN).with("SECUREMCP_REGISTRATION_KEY", key);
        account.with("SECUREMCP_RESOURCE", resource).with("SECUREMCP_REDIS_URL", &self.redis().url())
    }

    /// Starts this replica, and ends it when it has said this.
    fn says(replica: &Account, words: &str) -> Value {
        let mut serve = replica.start(&[]);
        let said = event(&mut serve, words);
        end(serve);
        said
    }

    fn registrations(&self) -> usize {
        registrations(&self.liar.hits()).len()
    }

    /// What Redis has of the client.
    fn sealed(&self) -> String {
        let kept = self.redis().kept();
        kept.into_iter().find(|(key, _)| key.ends_with(PLACE)).expect("it was told").1
    }

    fn wait_until(&self, command: &str, part: &str, times: usize) {
        self.runtime.block_on(self.redis().until_asked(command, part, times));
    }

    fn wait_for_a_registration(&self) {
        block_until("a registration", || self.registrations() > 0);
    }
}

/// The registrations that are kept on this replica's disk. What begins with a dot is a lock, or not in its place yet.
fn all_on_disk(replica: &Account) -> Vec<Value> {
    let folder = fs::read_dir(replica.state().join("clients")).expect("a directory");
    let paths = folder.map(|entry| entry.expect("an entry").path());
    let kept = paths.filter(|path| !path.file_name().expect("a name").as_encoded_bytes().starts_with(b"."));
    kept.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect()
}

fn wait_until_it_is_on_the_disk(replica: &Account) {
    block_until("it is on the disk", || !all_on_disk(replica).is_empty());
}

/// The only one.
fn on_disk(replica: &Account) -> Value {
    let mut kept = all_on_disk(replica);
    assert_eq!(kept.len(), 1, "{kept:#?}");
    kept.remove(0)
}

#[test]
fn replicas_with_state_directories_of_their_own_register_once() {
    let world = World::new();
    let gate = world.liar.hold("POST /register");
    let replicas: Vec<_> = (0..4).map(|_| world.replica()).collect();
    let mut serving: Vec<Serve> = std::thread::scope(|scope| {
        let started: Vec<_> = replicas.iter().map(|replica| scope.spawn(|| replica.start(&[]))).collect();
        started.into_iter().map(|replica| replica.join().expect("it starts")).collect()
    });
    // All of them have asked whose turn it is before the first is answered.
    world.wait_until("SET", "registering", 8);
    gate.send(true).expect("the issuer waits for it");
    for serve in &mut serving {
        assert_eq!(event(serve, "client of this deployment")["client_id"], "registered");
    }
    assert_eq!(world.registrations(), 1);
    for replica in &replicas {
        assert_eq!(on_disk(replica)["client"]["client_secret"], "secret-of-the-registered");
        assert!(on_disk(replica).get("is_untold").is_none());
    }
    for serve in serving {
        end(serve);
    }

    // In Redis it can be read by nobody else.
    let kept = format!("{:?}", world.redis().kept());
    for secret in ["secret-of", "registration-access-token", "next-token", "\"client_id", INITIAL_TOKEN, KEY] {
        assert!(!kept.contains(secret), "{secret}: {kept}");
    }
    assert_eq!(world.redis().kept_for_ever(), Vec::<Vec<String>>::new());

    // Neither does a new replica, nor a Redis that was emptied, nor both after one another.
    world.liar.lie("POST /register", Lie::Answer(401, json!({"error": "invalid_token"})));
    World::says(&world.replica(), KEPT);
    world.redis().empty();
    World::says(&replicas[2], KEPT);
    World::says(&world.replica(), KEPT);
    assert_eq!(world.registrations(), 0);
}

#[test]
fn a_replica_that_is_killed_while_it_registers_is_waited_for() {
    let world = World::new();
    let gate = world.liar.hold("POST /register");
    let first = world.replica().start(&[]);
    world.wait_for_a_registration();
    let second = world.replica();
    let mut waiting = second.start(&[]);
    world.wait_until("SET", "registering", 4);
    assert_eq!(world.registrations(), 0, "it is not its turn");
    first.process.kill();
    gate.send(true).expect("the issuer waits for it");
    assert_eq!(event(&mut waiting, REGISTERED)["client_id"], "registered");
    // The one that was not answered is what nobody can know of.
    assert_eq!(world.registrations(), 1);
    end(waiting);
}

#[test]
fn what_a_killed_replica_could_not_tell_is_ended_when_others_did_not_wait() {
    let world = World::new();
    let gate = world.liar.hold("POST /register");
    let first = world.replica();
    let serve = first.start(&[]);
    world.wait_for_a_registration();
    world.redis().set(Mood::Refuses("OOM command not allowed when used memory > 'maxmemory'."));
    gate.send(true).expect("the issuer waits for it");
    wait_until_it_is_on_the_disk(&first);
    serve.process.kill();
    assert_eq!(on_disk(&first)["is_untold"], true);
    // It has one that would do, and its turn is over: nobody was told.
    world.redis().set(Mood::Well);
    world.liar.lie("POST /register", Lie::Answer(201, client(&world.liar, "second")));
    world.liar.lie("GET /register/second", Lie::Answer(200, client(&world.liar, "second")));
    assert_eq!(World::says(&world.replica(), REGISTERED)["client_id"], "second");
    world.liar.hits();
    world.liar.lie("DELETE /register/registered", Lie::Answer(204, Value::Null));
    assert_eq!(World::says(&first, KEPT)["client_id"], "second");
    let hits = world.liar.hits();
    let ended = only(&hits, "DELETE ");
    assert_eq!(ended.iter().map(|hit| hit.what.as_str()).collect::<Vec<_>>(), ["DELETE /register/registered"]);
    assert_eq!((registrations(&hits).len(), &on_disk(&first)["client"]["client_id"]), (0, &json!("second")));
}

#[test]
fn what_was_registered_and_not_told_is_told_at_the_next_start() {
    let world = World::new();
    let gate = world.liar.hold("POST /register");
    let first = world.replica();
    let serve = first.start(&[]);
    world.wait_for_a_registration();
    world.redis().set(Mood::Refuses("READONLY You can't write against a read only replica."));
    gate.send(true).expect("the issuer waits for it");
    wait_until_it_is_on_the_disk(&first);
    serve.process.kill();
    world.redis().set(Mood::Well);
    World::says(&first, KEPT);
    World::says(&world.replica(), KEPT);
    assert_eq!(world.registrations(), 0);
}

#[test]
fn a_client_in_redis_that_was_changed_or_is_anothers_is_refused() {
    let world = World::new();
    let first = world.replica();
    World::says(&first, REGISTERED);
    let good = world.sealed();
    World::says(&world.replica(), KEPT);
    let changed = format!("{}{}", if good.starts_with('A') { 'B' } else { 'A' }, &good[1..]);
    let plain = on_disk(&first).to_string();
    let of_other_key = world.replica_of("http://127.0.0.1:9/mcp", "another-key-of-32-characters-and.");
    let of_another = {
        // The same key, issuer and Redis, and another deployment.
        world.redis().empty();
        World::says(&world.replica_of("http://127.0.0.1:10/mcp", KEY), REGISTERED);
        let sealed = world.sealed();
        world.redis().empty();
        World::says(&first, KEPT);
        sealed
    };
    world.registrations();
    for bad in [changed, plain, good[..good.len() - 4].to_owned(), of_another, String::new()] {
        assert_eq!(world.redis().damage(PLACE, &bad), 1);
        let said = World::says(&world.replica(), NOT_YET);
        assert!(said["error"].as_str().expect("a reason").contains(FOREIGN), "{said}");
        assert!(said["hint"].as_str().expect("a hint").contains("the same key"), "{said}");
        assert_eq!(world.sealed(), bad, "nothing is made of it, and nothing put in its place");
    }
    assert_eq!(world.redis().damage(PLACE, &good), 1);
    World::says(&of_other_key, NOT_YET);
    World::says(&world.replica(), KEPT);
    assert_eq!(world.registrations(), 0);
    // Who has it on its disk tells it anew.
    world.redis().damage(PLACE, "nonsense");
    World::says(&first, KEPT);
    World::says(&world.replica(), KEPT);
    assert_eq!(world.registrations(), 0);
}

#[test]
fn what_was_told_once_and_is_brought_back_takes_nothing_away() {
    let world = World::new();
    let first = world.replica();
    World::says(&first, REGISTERED);
    let old = world.sealed();
    world.liar.repent();
    // The issuer forgot it: the next is another, made later.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.liar.lie("POST /register", Lie::Answer(201, client(&world.liar, "second")));
    assert_eq!(World::says(&first, REGISTERED)["client_id"], "second");
    world.liar.lie("GET /register/second", Lie::Answer(200, client(&world.liar, "second")));
    world.liar.lie("GET /register/registered", known(&world.liar));
    world.liar.hits();
    assert_eq!(world.redis().damage(PLACE, &old), 1);
    assert_eq!(World::says(&first, KEPT)["client_id"], "second");
    assert_eq!(World::says(&world.replica(), KEPT)["client_id"], "second");
    assert!(only(&world.liar.hits(), "DELETE ").is_empty());
}

#[test]
fn without_redis_nobody_registers_a_second_client() {
    let mut world = World::new();
    let replica = world.replica();
    let redis = world.redis.take().expect("it is there");
    let gone = world.runtime.block_on(redis.gone());
    let mut serve = replica.start(&[]);
    let said = event(&mut serve, NOT_YET);
    assert!(said["error"].as_str().expect("a reason").contains("whether another replica has registered"), "{said}");
    assert_eq!(world.registrations(), 0);
    world.redis = Some(world.runtime.block_on(async { gone.back() }));
    event(&mut serve, REGISTERED);
    assert_eq!(world.registrations(), 1);
    end(serve);
}

#[test]
fn a_server_ends_while_another_registers() {
    let world = World::new();
    let gate = world.liar.hold("POST /register");
    let first = world.replica().start(&[]);
    world.wait_for_a_registration();
    let second = world.replica().start(&[]);
    world.wait_until("SET", "registering", 3);
    let said = end(second);
    assert!(said.contains("stopped") && !said.contains("drain timeout"), "{said}");
    gate.send(true).expect("the issuer waits for it");
    first.process.signal(Signal::TERM);
    assert!(first.process.ended().stderr.contains(REGISTERED));
}

#[test]
fn a_key_that_could_be_guessed_or_is_of_no_use_is_named() {
    let account = Account::new().with("USE_DCR", "true").with("OAUTH_ISSUER", "http://127.0.0.1:1");
    let short = account.with("SECUREMCP_REGISTRATION_KEY", "a-key-of-31-characters-and-more");
    let refused = short.run(&["serve", "--check"]);
    refused.failed(3, &["is shorter than 32 characters"]);
    assert!(!refused.stderr.contains("a-key-of"), "{refused:?}");
    let good = || Account::new().with("SECUREMCP_REGISTRATION_KEY", KEY);
    for (account, is_useless) in [(good(), true), (good().with("SECUREMCP_REDIS_URL", "redis://127.0.0.1:1"), false)] {
        let checked = account.run(&["serve", "--check"]);
        checked.done();
        assert_eq!(checked.stderr.contains("has no effect without `redis.url`"), is_useless, "{checked:?}");
        let shown = account.run(&["config", "show"]);
        assert!(!shown.done().contains(KEY) && shown.stdout.contains("registration_key"), "{shown:?}");
    }
}
