//! The texts with which real servers refuse a script before it runs, and those that they raise
//! inside of one.
//!
//! **Invariant**: what is provoked here stands in `core/src/resp/server_text/recorded.txt`, by
//! which the client's own table is tested. A server with other texts fails here.

use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Conn, Reply, Server, Version};
use std::collections::BTreeSet;
use std::fs;

/// Lines `before TEXT` and `inside TEXT`.
const RECORDED: &str = include_str!("../../../core/src/resp/server_text/recorded.txt");
/// Does nothing, to one key.
const EVAL: [&str; 5] = ["EVAL", "return 1", "1", "k", "x"];
/// Writes, and returns the error of that.
const WRITES: [&str; 4] = ["EVAL", "return redis.pcall('SET', KEYS[1], 1)", "1", "k"];

/// Checks that a text is recorded.
#[track_caller]
fn is_recorded(when: &str, said: &Reply, code: &str) {
    assert!(said.is_error(code), "{code}: {said:?}");
    let line = format!("{when} {}", said.text());
    assert!(RECORDED.lines().any(|recorded| recorded == line), "not recorded: {line}");
}

#[test]
fn busy() {
    for version in Version::all() {
        let server = Server::start(&version);
        server.set_config("lua-time-limit", "20");
        let mut busy = server.conn().expect("it answers");
        busy.send(&["EVAL", "while true do end", "0"]).expect("it listens");
        until_true("the script to be slow", || server.call(&EVAL).is_error("BUSY"));
        is_recorded("before", &server.call(&EVAL), "BUSY");
        server.call(&["SCRIPT", "KILL"]).ok();
        until_true("the script to end", || !server.call(&EVAL).is_error("BUSY"));
        if version.since_7() {
            let library = "#!lua name=slow\nredis.register_function('slow', function() while true \
                           do end end)";
            server.call(&["FUNCTION", "LOAD", library]).ok();
            let mut busy = server.conn().expect("it answers");
            busy.send(&["FCALL", "slow", "0"]).expect("it listens");
            until_true("the function to be slow", || server.call(&EVAL).is_error("BUSY"));
            is_recorded("before", &server.call(&EVAL), "BUSY");
            server.call(&["FUNCTION", "KILL"]).ok();
        }
    }
}

/// Redis 6.0 cannot be told to load slowly.
#[test]
fn loading() {
    for version in Version::all().into_iter().filter(Version::since_7) {
        let server = Server::start(&version);
        server.call(&["DEBUG", "POPULATE", "300", "key", "1024"]).ok();
        server.set_config("rdbcompression", "no");
        server.call(&["SAVE"]).ok();
        server
            .config_at_restart("key-load-delay 20000\nloading-process-events-interval-bytes 1024");
        server.relaunch_on(server.address());
        let loads = || server.try_call(&EVAL).is_ok_and(|said| said.is_error("LOADING"));
        until_true("it to load", loads);
        is_recorded("before", &server.call(&EVAL), "LOADING");
        server.call(&["CONFIG", "SET", "key-load-delay", "0"]).ok();
    }
}

#[test]
fn roles_and_rights_and_memory() {
    for version in Version::all() {
        let server = Server::start(&version);
        is_recorded("before", &server.call(&["EVALSHA", "abc", "0"]), "NOSCRIPT");
        server.set_config("maxmemory", "1");
        is_recorded("before", &server.call(&["SET", "k", "1"]), "OOM");
        let inside = |code: &str, said: Reply| {
            // Redis 6.0 returns such an error as a string.
            if version.since_7() {
                is_recorded("inside", &said, code);
            }
        };
        inside("OOM", server.call(&WRITES));
        server.set_config("maxmemory", "0");
        server.set_config("min-replicas-to-write", "1");
        is_recorded("before", &server.call(&["SET", "k", "1"]), "NOREPLICAS");
        inside("NOREPLICAS", server.call(&WRITES));
        server.set_config("min-replicas-to-write", "0");
        server.call(&["ACL", "SETUSER", "poor", "on", ">p", "+get", "~*"]).ok();
        let mut poor = server.conn().expect("it answers");
        poor.call(&["AUTH", "poor", "p"]).expect("it answers").ok();
        is_recorded("before", &poor.call(&EVAL).expect("it answers"), "NOPERM");
        server.call(&["REPLICAOF", "127.0.0.1", "1"]).ok();
        is_recorded("before", &server.call(&["SET", "k", "1"]), "READONLY");
        inside("READONLY", server.call(&WRITES));
        server.set_config("replica-serve-stale-data", "no");
        is_recorded("before", &server.call(&EVAL), "MASTERDOWN");
        let stale =
            ["EVAL", "#!lua flags=allow-stale,no-writes\nreturn redis.pcall('GET', KEYS[1])"];
        inside("ERR", server.call(&[stale[0], stale[1], "1", "k"]));
        server.call(&["REPLICAOF", "NO", "ONE"]).ok();
        server.set_password(Some("p"));
        let mut stranger = Conn::open(server.address()).expect("it listens");
        is_recorded("before", &stranger.call(&EVAL).expect("it answers"), "NOAUTH");
    }
}

/// Its disk refuses a snapshot.
#[test]
fn a_disk_that_refuses() {
    for version in Version::all() {
        let server = Server::start(&version);
        server.set_config("save", "3600 1");
        fs::remove_dir_all(server.folder()).expect("it exists");
        server.call(&["SET", "k", "1"]);
        server.call(&["BGSAVE"]);
        until_true("a write to be refused", || server.call(&["SET", "k", "1"]).is_error("MISCONF"));
        is_recorded("before", &server.call(&["SET", "k", "1"]), "MISCONF");
        if version.since_7() {
            is_recorded("inside", &server.call(&WRITES), "MISCONF");
        }
    }
}

/// A slot that moves, and EXISTS of the same keys, by which the client asks whose words they are.
#[test]
fn clusters() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        let (slot, tag) = (100, key_in(100));
        let keys = [format!("{tag}:1"), format!("{tag}:2")];
        let [first, second] = [&*keys[0], &*keys[1]];
        let both = |node: usize, wanted: &str| {
            let script = ["EVAL", "return 1", "2", first, second];
            let said = [script.as_slice(), &["EXISTS", first, second]]
                .map(|command| cluster.node(node).call(command));
            assert!(said[0].is_error(wanted), "{version:?}: {wanted}: {said:?}");
            assert_eq!(said[0], said[1], "EXISTS is refused as a script is");
            said[0].clone()
        };
        let moved = both(1, "MOVED").text();
        assert_eq!(moved, format!("MOVED {slot} {}", cluster.node(0).address()));
        cluster.begin_move(slot, 1);
        let asked = both(0, "ASK").text();
        assert_eq!(asked, format!("ASK {slot} {}", cluster.node(1).address()));
        // Before 7.0 a command that finds one of two keys missing is redirected.
        cluster.node(0).call(&["SET", first, "1"]);
        if version.since_7() && cluster.node(0).call(&["EXISTS", first]).integer() == Some(1) {
            is_recorded("before", &both(0, "TRYAGAIN"), "TRYAGAIN");
        }
        cluster.abandon_move(slot, 0, 1);
        cluster.open_hole(slot..=slot);
        is_recorded("before", &both(0, "CLUSTERDOWN"), "CLUSTERDOWN");
        let other = key_in(101);
        let said = cluster.node(0).call(&["EVAL", "return 1", "1", &other]);
        if said.is_error("CLUSTERDOWN") {
            is_recorded("before", &said, "CLUSTERDOWN");
        }
        let inside = ["EVAL", "return redis.pcall('GET', ARGV[1])", "0", first];
        let said = cluster.node(0).call(&inside);
        assert!(!said.is_error("CLUSTERDOWN"), "inside a script the code is another: {said:?}");
        let said =
            cluster.node(1).call(&["EVAL", "return redis.pcall('GET', ARGV[1])", "0", &other]);
        assert!(!said.is_error("MOVED"), "inside a script the code is another: {said:?}");
    }
}

#[test]
fn each_line_is_there_once() {
    let lines: Vec<&str> = RECORDED.lines().collect();
    let set: BTreeSet<&&str> = lines.iter().collect();
    assert_eq!(set.len(), lines.len());
    let known = |line: &&str| line.starts_with("before ") || line.starts_with("inside ");
    assert!(lines.iter().all(known), "{lines:?}");
}
