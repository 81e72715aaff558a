//! One simulated server, as a client sees it on the wire.
//!
//! `conformance` tests the replies of single commands; this file tests time, order and faults.

mod raw;

use futures::join;
use raw::Raw;
use slotcar_sim::{Matching, Sim, Version};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn greetings_in_both_protocols() {
    Sim::standalone().run(|sim| async move {
        let mut c = Raw::connect(&sim, "a").await;
        c.expect(&[
            ("PING", "PONG"),
            ("HELLO 4", "! NOPROTO unsupported protocol version"),
            (
                "HELLO 3",
                concat!(
                    r#"{"server": "redis" "version": "8.0.2" "proto": 3 "id": 1 "#,
                    r#""mode": "standalone" "role": "master" "modules": []}"#
                ),
            ),
            ("GET k", "nil"),
            ("CLIENT SETNAME me", "OK"),
            ("CLIENT GETNAME", "\"me\""),
            ("SELECT 1", "OK"),
            ("SELECT 16", "! ERR DB index is out of range"),
            (
                "HELLO 2",
                concat!(
                    r#"["server" "redis" "version" "8.0.2" "proto" 2 "id" 1 "#,
                    r#""mode" "standalone" "role" "master" "modules" []]"#
                ),
            ),
        ])
        .await;
    });
}

#[test]
fn passwords_are_required() {
    Sim::standalone().password("secret").run(|sim| async move {
        let mut c = Raw::connect(&sim, "a").await;
        c.expect(&[
            ("PING", "! NOAUTH Authentication required."),
            ("NOSUCH", "! ERR unknown command 'NOSUCH', with args beginning with: "),
            ("AUTH wrong", "! WRONGPASS invalid username-password pair or user is disabled."),
            ("AUTH secret", "OK"),
            ("PING", "PONG"),
        ])
        .await;
        let mut c = Raw::connect(&sim, "a").await;
        assert!(c.ask("HELLO 3").await.starts_with("! NOAUTH HELLO must be called"));
        assert!(c.ask("HELLO 3 AUTH default secret SETNAME x").await.starts_with('{'));
        assert_eq!(c.ask("CLIENT GETNAME").await, "\"x\"");
    });
}

#[test]
fn keys_expire_on_the_virtual_clock() {
    Sim::standalone().run(|sim| async move {
        let mut c = Raw::connect(&sim, "a").await;
        c.expect(&[("SET k v PX 100", "OK"), ("PTTL k", "99"), ("GET k", "\"v\"")]).await;
        sim.advance(MS * 100).await;
        c.expect(&[("GET k", "nil"), ("DBSIZE", "0")]).await;
    });
}

#[test]
fn blocked_commands_wake_in_order_and_give_up_in_time() {
    Sim::standalone().run(|sim| async move {
        let mut first = Raw::connect(&sim, "a").await;
        let mut second = Raw::connect(&sim, "a").await;
        let mut pusher = Raw::connect(&sim, "a").await;
        let pushes = async {
            sim.advance(MS * 20).await;
            assert_eq!(pusher.ask("RPUSH l x y").await, "2");
        };
        first.send("BLPOP l 0").await;
        sim.advance(MS * 5).await;
        let (a, b, ()) = join!(first.next(), second.ask("BLPOP l 0"), pushes);
        assert_eq!((a.as_str(), b.as_str()), (r#"["l" "x"]"#, r#"["l" "y"]"#));
        let start = sim.now();
        assert_eq!(first.ask("BLPOP l 0.25").await, "nil");
        assert_eq!(sim.now().since(start), MS * 251);
        // What was sent while it was blocked is answered afterwards, and in order.
        first.send("BLMOVE l m LEFT RIGHT 0.01").await;
        first.send("PING").await;
        assert_eq!((first.next().await.as_str(), first.next().await.as_str()), ("nil", "PONG"));
    });
}

#[test]
fn transactions_watch_and_abort() {
    Sim::standalone().run(|sim| async move {
        let mut c = Raw::connect(&sim, "a").await;
        let mut other = Raw::connect(&sim, "a").await;
        c.expect(&[
            ("MULTI", "OK"),
            ("SET a 1", "QUEUED"),
            ("INCR a", "QUEUED"),
            ("LPUSH a x", "QUEUED"),
            ("EXEC", "[OK 2 ! WRONGTYPE Operation against a key holding the wrong kind of value]"),
            ("MULTI", "OK"),
            ("NOSUCH", "! ERR unknown command 'NOSUCH', with args beginning with: "),
            ("EXEC", "! EXECABORT Transaction discarded because of previous errors."),
            ("EXEC", "! ERR EXEC without MULTI"),
            ("WATCH a", "OK"),
        ])
        .await;
        other.expect(&[("SET a 5", "OK")]).await;
        c.expect(&[("MULTI", "OK"), ("GET a", "QUEUED"), ("EXEC", "nil")]).await;
        c.expect(&[("MULTI", "OK"), ("BLPOP none 0", "QUEUED"), ("EXEC", "[nil]")]).await;
    });
}

#[test]
fn messages_reach_subscribers_in_both_protocols() {
    Sim::standalone().run(|sim| async move {
        let mut old = Raw::connect(&sim, "a").await;
        let mut new = Raw::connect(&sim, "a").await;
        let mut publisher = Raw::connect(&sim, "a").await;
        old.expect(&[("SUBSCRIBE news", r#"["subscribe" "news" 1]"#)]).await;
        assert!(
            old.ask("GET k").await.starts_with("! ERR Can't execute 'get': only (P|S)SUBSCRIBE")
        );
        new.ask("HELLO 3").await;
        new.expect(&[
            ("PSUBSCRIBE n*", r#"push["psubscribe" "n*" 1]"#),
            ("SSUBSCRIBE shard", r#"push["ssubscribe" "shard" 1]"#),
            ("GET k", "nil"),
        ])
        .await;
        publisher.expect(&[("PUBLISH news hi", "2"), ("SPUBLISH shard yo", "1")]).await;
        assert_eq!(old.next().await, r#"["message" "news" "hi"]"#);
        assert_eq!(new.next().await, r#"push["pmessage" "n*" "news" "hi"]"#);
        assert_eq!(new.next().await, r#"push["smessage" "shard" "yo"]"#);
        publisher.expect(&[("PUBSUB NUMSUB news x", r#"["news" 1 "x" 0]"#)]).await;
        old.expect(&[("UNSUBSCRIBE", r#"["unsubscribe" "news" 0]"#), ("GET k", "nil")]).await;
        old.expect(&[("UNSUBSCRIBE", r#"["unsubscribe" nil 0]"#)]).await;
    });
}

#[test]
fn caches_get_invalidations() {
    Sim::standalone().run(|sim| async move {
        let mut cache = Raw::connect(&sim, "a").await;
        let mut writer = Raw::connect(&sim, "a").await;
        cache.ask("HELLO 3").await;
        cache.expect(&[("CLIENT TRACKING ON", "OK"), ("GET k", "nil")]).await;
        writer.expect(&[("SET k 1", "OK"), ("SET k 2", "OK")]).await;
        assert_eq!(cache.next().await, r#"push["invalidate" ["k"]]"#);
        // The invalidation of its own change comes after the reply, and only once per read.
        cache.expect(&[("GET k", "\"2\""), ("SET k 3", "OK")]).await;
        assert_eq!(cache.next().await, r#"push["invalidate" ["k"]]"#);
        writer.expect(&[("FLUSHALL", "OK")]).await;
        assert_eq!(cache.next().await, r#"push["invalidate" nil]"#);
        cache
            .expect(&[
                ("GET e", "nil"),
                ("SET e 1 PX 10", "OK"),
                ("GET e", r#"push["invalidate" ["e"]]"#),
            ])
            .await;
        assert_eq!(cache.next().await, "\"1\"");
        sim.advance(MS * 20).await;
        assert_eq!(cache.next().await, r#"push["invalidate" ["e"]]"#);
    });
}

#[test]
fn scripts_stand_for_their_text() {
    Sim::standalone().run(|sim| async move {
        let mut c = Raw::connect(&sim, "a").await;
        let digest = "\"e0e1f9fabfc9d4800c877a703b823ac0578ff8db\"";
        c.expect(&[
            (
                "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
                "! NOSCRIPT No matching script. Please use EVAL.",
            ),
            ("SCRIPT LOAD \"return 1\"", digest),
            ("EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0", "1"),
            ("EVAL \"return redis.call('incr', KEYS[1])\" 1 k", "1"),
            ("GET k", "\"1\""),
            ("EVAL \"return 1\" 2 k", "! ERR Number of keys can't be greater than number of args"),
        ])
        .await;
    });
}

#[test]
fn injected_faults_are_error_replies_of_servers() {
    Sim::standalone().run(|sim| async move {
        let mut c = Raw::connect(&sim, "a").await;
        sim.loading("a", MS * 50);
        c.expect(&[("GET k", "! LOADING Redis is loading the dataset in memory")]).await;
        sim.advance(MS * 50).await;
        sim.out_of_memory("a", true);
        c.expect(&[
            ("SET k v", "! OOM command not allowed when used memory > 'maxmemory'."),
            ("GET k", "nil"),
        ])
        .await;
        sim.heal();
        sim.refuse(
            "a",
            Matching::Writes,
            "READONLY You can't write against a read only replica.",
            1,
        );
        c.expect(&[
            ("GET k", "nil"),
            ("SET k v", "! READONLY You can't write against a read only replica."),
            ("SET k v", "OK"),
        ])
        .await;
        sim.busy("a", MS * 1000);
        assert!(c.ask("GET k").await.starts_with("! BUSY"));
        c.expect(&[("SCRIPT KILL", "OK"), ("GET k", "\"v\"")]).await;
        sim.set_clients_max("a", 1);
        let mut extra = Raw::connect(&sim, "a").await;
        assert_eq!(extra.next().await, "! ERR max number of clients reached");
        assert_eq!(extra.next().await, "closed");
    });
}

#[test]
fn pauses_and_sleeps_hold_requests_back() {
    Sim::standalone().run(|sim| async move {
        let mut c = Raw::connect(&sim, "a").await;
        c.expect(&[("CLIENT PAUSE 100 WRITE", "OK"), ("GET k", "nil")]).await;
        let start = sim.now();
        c.expect(&[("SET k v", "OK")]).await;
        assert!(sim.now().since(start) >= MS * 99);
        let mut other = Raw::connect(&sim, "a").await;
        c.send("DEBUG SLEEP 0.5").await;
        let start = sim.now();
        other.expect(&[("GET k", "\"v\"")]).await;
        assert!(sim.now().since(start) >= MS * 490);
        assert_eq!(c.next().await, "OK");
    });
}

#[test]
fn replicas_follow_lag_and_resynchronise() {
    Sim::replicated(2).run(|sim| async move {
        sim.advance(MS * 2000).await;
        let mut primary = Raw::connect(&sim, "a").await;
        let mut replica = Raw::connect(&sim, "a1").await;
        primary.expect(&[("SET k v", "OK"), ("WAIT 2 0", "2")]).await;
        replica
            .expect(&[
                ("GET k", "\"v\""),
                ("SET k w", "! READONLY You can't write against a read only replica."),
            ])
            .await;
        sim.lag("a1", MS * 300);
        primary.expect(&[("INCR n", "1"), ("WAIT 2 100", "1")]).await;
        // It speaks about its own connection, which has written nothing.
        let mut other = Raw::connect(&sim, "a").await;
        other.expect(&[("WAIT 2 100", "2")]).await;
        // No simulated server has an append-only file.
        let refused =
            "! ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
        let asked =
            [("WAITAOF 0 0 0", "[0 0]"), ("WAITAOF 0 1 50", "[0 0]"), ("WAITAOF 1 0 0", refused)];
        primary.expect(&asked).await;
        replica.expect(&[("GET n", "nil")]).await;
        sim.advance(MS * 300).await;
        replica.expect(&[("GET n", "\"1\"")]).await;
        // While it is cut off it misses changes; it gets them after the partition ends.
        sim.heal();
        sim.partition("a", "a1");
        primary.expect(&[("INCR n", "2"), ("SPOP s", "nil"), ("SADD s a b c d e", "5")]).await;
        let popped = primary.ask("SPOP s").await;
        replica.expect(&[("GET n", "\"1\"")]).await;
        sim.mend("a", "a1");
        sim.advance(MS * 3000).await;
        replica.expect(&[("GET n", "\"2\""), ("SCARD s", "4")]).await;
        assert_eq!(replica.ask(&format!("SISMEMBER s {popped}")).await, "0");
        // A dead primary is noticed at once, and found again after its restart.
        sim.serve_stale("a1", false);
        sim.kill("a");
        assert!(replica.ask("GET n").await.starts_with("! MASTERDOWN"));
        sim.restart("a");
        sim.advance(MS * 2000).await;
        replica.expect(&[("GET n", "\"2\"")]).await;
        assert!(replica.ask("ROLE").await.starts_with(r#"["slave" "10.0.0.1" 6379 "connected""#));
    });
}

#[test]
fn replicaof_changes_roles() {
    Sim::replicated(1).run(|sim| async move {
        sim.advance(MS * 2000).await;
        let mut old = Raw::connect(&sim, "a").await;
        let mut new = Raw::connect(&sim, "a1").await;
        old.expect(&[("SET k v", "OK"), ("WAIT 1 0", "1")]).await;
        new.expect(&[("REPLICAOF NO ONE", "OK"), ("SET k w", "OK")]).await;
        old.expect(&[("SET k lost", "OK"), ("REPLICAOF 10.0.0.2 6379", "OK")]).await;
        sim.advance(MS * 2000).await;
        old.expect(&[("GET k", "\"w\"")]).await;
        assert!(sim.is_primary("a1") && !sim.is_primary("a"));
    });
}

#[test]
fn an_old_server_knows_less() {
    Sim::standalone().version(Version::redis(5, 0, 14)).run(|sim| async move {
        let mut c = Raw::connect(&sim, "a").await;
        assert!(c.ask("HELLO 3").await.starts_with("! ERR unknown command 'HELLO'"));
        assert!(c.ask("CLIENT SETINFO LIB-NAME x").await.starts_with("! ERR unknown subcommand"));
        assert!(c.ask("INFO server").await.contains("redis_version:5.0.14"));
    });
}

#[test]
fn equal_seeds_give_equal_traces() {
    let run = |seed| {
        let sim = Sim::replicated(1).seed(seed).jitter(MS).start();
        sim.run(|sim| async move {
            let clients = (0..4).map(|i| {
                let sim = sim.clone();
                async move {
                    let mut c = Raw::connect(&sim, "a").await;
                    for n in 0..20 {
                        c.ask(&format!("RPUSH list {i}:{n}")).await;
                    }
                }
            });
            futures::future::join_all(clients).await;
        });
        (sim.trace_hash(), sim.now())
    };
    let runs: Vec<_> = (0..20).map(run).collect();
    assert_eq!(runs, (0..20).map(run).collect::<Vec<_>>());
    assert!(runs.windows(2).all(|pair| pair[0].0 != pair[1].0));
}
