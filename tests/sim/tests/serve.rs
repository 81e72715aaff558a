//! Simulated servers on real sockets: any client can talk to them.
//!
//! slotcar over TCP always runs. `redis-cli` is the one that `cargo xtask servers` fetched, and
//! redis-py the one that `python3` finds; a test prints a message when its client is missing.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use slotcar::prelude::*;
use slotcar::{Client, Config};
use slotcar_sim::{Served, Sim};
use slotcar_tcp::Smol;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Not by `slotcar::connect`: components run this file too, on a transport of their own.
async fn connect(served: &Served) -> Client {
    let config = Config::from_url(&served.url()).unwrap();
    Client::connect(Smol::new(), config).await.unwrap()
}

#[test]
fn slotcar_over_tcp_survives_a_failover_and_a_move() {
    let served = Sim::cluster(3, 1).seed(1).serve().unwrap();
    smol::block_on(async {
        let client = connect(&served).await.with_timeout(PATIENCE);
        for key in ["foo", "bar", "hi"] {
            client.set(key, key).await.unwrap();
        }
        let owner = served.sim().owner_of(Sim::slot_of("bar"));
        served.sim().kill(&owner);
        assert_eq!(client.get::<String>("bar").await.unwrap(), "bar");
        served.sim().move_slot(Sim::slot_of("foo"), "b");
        assert_eq!(client.get::<String>("foo").await.unwrap(), "foo");
    });
}

#[test]
fn slotcar_over_tcp_finds_the_primary_through_sentinels() {
    let served = Sim::sentinel(2, 3).seed(1).serve().unwrap();
    smol::block_on(async {
        let client = connect(&served).await.with_timeout(PATIENCE);
        let written = client.set("k", "v").wait_replicas(1, Duration::from_secs(1)).await.unwrap();
        assert!(written.is_reached(), "{written:?}");
        served.sim().kill("a");
        assert_eq!(client.get::<String>("k").await.unwrap(), "v");
        assert_ne!(served.sim().agreed_primary().unwrap(), "a");
    });
}

/// A program of the fetched servers.
fn fetched(name: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("SLOTCAR_SERVERS") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.servers"),
    };
    let versions = std::fs::read_dir(folder).ok()?;
    let mut programs: Vec<PathBuf> =
        versions.filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name))).collect();
    programs.sort();
    programs.into_iter().rfind(|program| program.is_file())
}

fn cli(served: &Served, program: &Path, server: &str, words: &[&str]) -> String {
    let address = served.addresses()[server];
    let output = Command::new(program)
        .args(["-c", "-h", &address.ip().to_string(), "-p", &address.port().to_string()])
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn redis_cli_follows_redirects() {
    let Some(program) = fetched("redis-cli") else {
        eprintln!("SKIPPED: no redis-cli: `cargo xtask servers` fetches one");
        return;
    };
    let served = Sim::cluster(3, 1).seed(2).serve().unwrap();
    let run = |server: &str, words: &[&str]| cli(&served, &program, server, words);
    for (key, server) in [("foo", "a"), ("bar", "b"), ("hi", "c")] {
        assert_eq!(run(server, &["SET", key, key]), "OK");
        assert_eq!(run("b", &["GET", key]), key);
    }
    assert_eq!(run("a", &["CLUSTER", "KEYSLOT", "foo"]), "12182");
    assert!(run("a", &["CLUSTER", "INFO"]).starts_with("cluster_state:ok"));
    assert_eq!(run("a", &["EVAL", "return redis.call('GET', KEYS[1])", "1", "foo"]), "foo");
    served.sim().move_slot(12182, "a");
    assert_eq!(run("c", &["GET", "foo"]), "foo");
    // It checks what a real cluster has to fulfil: every slot has an owner, and all nodes agree.
    let address = served.addresses()["a"].to_string();
    let agreed = || {
        let output = Command::new(&program).args(["--cluster", "check", &address]).output();
        let text = String::from_utf8_lossy(&output.unwrap().stdout).into_owned();
        (text.contains("All nodes agree") && text.contains("All 16384 slots covered"), text)
    };
    let tries = (0..50).map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        agreed()
    });
    let (mut fine, mut last) = (false, String::new());
    for (agreed, text) in tries {
        (fine, last) = (agreed, text);
        if fine {
            break;
        }
    }
    assert!(fine, "{last}");
}

#[test]
fn redis_cli_asks_sentinels() {
    let Some(program) = fetched("redis-cli") else {
        eprintln!("SKIPPED: no redis-cli: `cargo xtask servers` fetches one");
        return;
    };
    let served = Sim::sentinel(1, 3).seed(3).serve().unwrap();
    let run = |words: &[&str]| cli(&served, &program, "s1", words);
    let address = served.addresses()["a"];
    let reply = run(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"]);
    assert_eq!(reply, format!("{}\n{}", address.ip(), address.port()));
    let usable = run(&["SENTINEL", "CKQUORUM", "mymaster"]);
    assert!(usable.starts_with("OK 3 usable Sentinels."), "{usable}");
}

/// redis-py with a cluster: it finds the nodes, follows redirects, and survives a failover.
const PYTHON: &str = r#"
import sys, time
from redis.cluster import RedisCluster, ClusterNode
host, port = sys.argv[1].rsplit(":", 1)
client = RedisCluster(startup_nodes=[ClusterNode(host, int(port))])
for key in ("foo", "bar", "hi"):
    client.set(key, key)
    assert client.get(key) == key.encode()
pipe = client.pipeline()
for key in ("foo", "bar", "hi"):
    pipe.get(key)
assert pipe.execute() == [b"foo", b"bar", b"hi"]
client.hset("user", mapping={"name": "Ada", "visits": 42})
assert client.hgetall("user") == {b"name": b"Ada", b"visits": b"42"}
print("fine")
"#;

#[test]
fn redis_py_works() {
    let found = Command::new("python3").args(["-c", "import redis"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no redis-py: `pip install redis` brings it");
        return;
    }
    let served = Sim::cluster(3, 1).seed(4).serve().unwrap();
    let address = served.addresses()["a"].to_string();
    let output = Command::new("python3").args(["-c", PYTHON, &address]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("fine"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
