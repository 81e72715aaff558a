//! A simulated cluster, as a client sees it on the wire.
//!
//! Slots of three shards: a 0-5460, b 5461-10921, c 10922-16383. `foo` is in 12182, `bar` in 5061,
//! `hello` in 866.

mod raw;

use futures::join;
use raw::Raw;
use slotcar_sim::{PreferredEndpoint, Sim};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn requests_are_redirected_to_the_owner() {
    Sim::cluster(3, 1).run(|sim| async move {
        let mut a = Raw::connect(&sim, "a").await;
        let mut replica = Raw::connect(&sim, "a1").await;
        let mut c = Raw::connect(&sim, "c").await;
        a.expect(&[
            ("CLUSTER KEYSLOT foo", "12182"),
            ("SET bar v", "OK"),
            ("GET foo", "! MOVED 12182 10.0.2.1:6379"),
            ("MGET bar hello", "! CROSSSLOT Keys in request don't hash to the same slot"),
            ("MGET {x}1 {x}2", "! MOVED 16287 10.0.2.1:6379"),
            ("SELECT 1", "! ERR SELECT is not allowed in cluster mode"),
            ("MULTI", "OK"),
            ("GET bar", "QUEUED"),
            ("GET foo", "! MOVED 12182 10.0.2.1:6379"),
            ("EXEC", "! EXECABORT Transaction discarded because of previous errors."),
        ])
        .await;
        c.expect(&[("SET foo v", "OK"), ("DBSIZE", "1")]).await;
        sim.advance(MS * 5).await;
        replica
            .expect(&[
                ("GET bar", "! MOVED 5061 10.0.0.1:6379"),
                ("READONLY", "OK"),
                ("GET bar", "\"v\""),
                ("SET bar w", "! MOVED 5061 10.0.0.1:6379"),
                ("GET foo", "! MOVED 12182 10.0.2.1:6379"),
                ("READWRITE", "OK"),
                ("GET bar", "! MOVED 5061 10.0.0.1:6379"),
            ])
            .await;
    });
}

#[test]
fn the_slot_map_has_every_format() {
    Sim::cluster(2, 1).run(|sim| async move {
        let mut a = Raw::connect(&sim, "a").await;
        let ids: Vec<String> = ["a", "a1", "b", "b1"].iter().map(|n| sim.node_id(n)).collect();
        let slots = a.ask("CLUSTER SLOTS").await;
        assert_eq!(
            slots,
            format!(
                concat!(
                    r#"[[0 8191 ["10.0.0.1" 6379 "{}" []] ["10.0.0.2" 6379 "{}" []]] "#,
                    r#"[8192 16383 ["10.0.1.1" 6379 "{}" []] ["10.0.1.2" 6379 "{}" []]]]"#
                ),
                ids[0], ids[1], ids[2], ids[3]
            )
        );
        let shards = a.ask("CLUSTER SHARDS").await;
        assert!(shards.contains(&format!(
            concat!(
                r#"["slots" [0 8191] "nodes" [["id" "{}" "port" 6379 "ip" "10.0.0.1" "#,
                r#""endpoint" "10.0.0.1" "role" "master" "replication-offset" 0 "health" "online"]"#
            ),
            ids[0]
        )), "{shards}");
        let nodes = a.ask("CLUSTER NODES").await;
        let own = format!("{} 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-8191", ids[0]);
        let replica = format!("{} 10.0.0.2:6379@16379 slave {} 0", ids[1], ids[0]);
        assert!(nodes.contains(&own) && nodes.contains(&replica), "{nodes}");
        let info = a.ask("CLUSTER INFO").await;
        assert!(info.contains(r"cluster_state:ok\r\ncluster_slots_assigned:16384"), "{info}");
        assert_eq!(a.ask("CLUSTER MYID").await, format!("\"{}\"", ids[0]));
    });
}

#[test]
fn names_and_empty_endpoints() {
    Sim::cluster(2, 0).endpoints(PreferredEndpoint::Hostname).run(|sim| async move {
        let mut a = Raw::connect(&sim, "a").await;
        assert_eq!(a.ask("GET foo").await, "! MOVED 12182 b.sim:6379");
        let slots = a.ask("CLUSTER SLOTS").await;
        assert!(slots.contains(r#"["a.sim" 6379 "#) && slots.contains(r#"["ip" "10.0.0.1"]"#));
        sim.set_hostname("b", None);
        assert_eq!(a.ask("GET foo").await, "! MOVED 12182 ?:6379");
    });
    Sim::cluster(2, 0).endpoints(PreferredEndpoint::Unknown).hostnames(true).run(
        |sim| async move {
            let mut a = Raw::connect(&sim, "a").await;
            assert_eq!(a.ask("GET foo").await, "! MOVED 12182 :6379");
            let slots = a.ask("CLUSTER SLOTS").await;
            assert!(slots.contains(r"[nil 6379 "), "{slots}");
            assert!(slots.contains(r#"["ip" "10.0.0.1" "hostname" "a.sim"]"#), "{slots}");
        },
    );
    Sim::cluster(2, 0).run(|sim| async move {
        sim.announce("b", "192.168.7.7:7777".parse().unwrap());
        let mut a = Raw::connect(&sim, "a").await;
        assert_eq!(a.ask("GET foo").await, "! MOVED 12182 192.168.7.7:7777");
    });
}

/// The documented steps: SETSLOT on both sides, keys with MIGRATE, SETSLOT NODE.
#[test]
fn a_slot_moves_by_command() {
    Sim::cluster(2, 1).run(|sim| async move {
        let mut a = Raw::connect(&sim, "a").await;
        let mut b = Raw::connect(&sim, "b").await;
        let (id_a, id_b) = (sim.node_id("a"), sim.node_id("b"));
        a.expect(&[("MSET {hello}1 x {hello}2 y", "OK"), ("CLUSTER COUNTKEYSINSLOT 866", "2")])
            .await;
        b.expect(&[(&format!("CLUSTER SETSLOT 866 IMPORTING {id_a}"), "OK")]).await;
        a.expect(&[(&format!("CLUSTER SETSLOT 866 MIGRATING {id_b}"), "OK")]).await;
        a.expect(&[
            ("GET {hello}1", "\"x\""),
            ("GET {hello}3", "! ASK 866 10.0.1.1:6379"),
            ("MGET {hello}1 {hello}3", "! TRYAGAIN Multiple keys request during rehashing of slot"),
            (r#"MIGRATE 10.0.1.1 6379 "" 0 1000 KEYS {hello}1"#, "OK"),
            ("GET {hello}1", "! ASK 866 10.0.1.1:6379"),
            (r#"MIGRATE 10.0.1.1 6379 {hello}1 0 1000"#, "NOKEY"),
        ])
        .await;
        b.expect(&[
            ("GET {hello}1", "! MOVED 866 10.0.0.1:6379"),
            ("ASKING", "OK"),
            ("GET {hello}1", "\"x\""),
            ("GET {hello}1", "! MOVED 866 10.0.0.1:6379"),
            ("ASKING", "OK"),
            ("MGET {hello}1 {hello}2", "! TRYAGAIN Multiple keys request during rehashing of slot"),
        ])
        .await;
        let node = format!("CLUSTER SETSLOT 866 NODE {id_b}");
        assert!(a.ask(&node).await.starts_with("! ERR Can't assign hashslot 866"));
        a.expect(&[("MIGRATE 10.0.1.1 6379 {hello}2 0 1000", "OK")]).await;
        b.expect(&[(&node, "OK"), ("MGET {hello}1 {hello}2", r#"["x" "y"]"#)]).await;
        a.expect(&[(&node, "OK"), ("GET {hello}1", "! MOVED 866 10.0.1.1:6379")]).await;
        // All nodes learn of it, and the new owner's replica has the keys.
        sim.advance(MS * 1500).await;
        let mut replica = Raw::connect(&sim, "b1").await;
        replica.expect(&[("READONLY", "OK"), ("GET {hello}1", "\"x\"")]).await;
        let mut other = Raw::connect(&sim, "a1").await;
        other.expect(&[("GET {hello}1", "! MOVED 866 10.0.1.1:6379")]).await;
    });
}

#[test]
fn sharded_subscribers_get_a_push_when_their_slot_moves() {
    Sim::cluster(2, 1).run(|sim| async move {
        let mut subscriber = Raw::connect(&sim, "a").await;
        let mut replica = Raw::connect(&sim, "a1").await;
        let mut publisher = Raw::connect(&sim, "a").await;
        subscriber.ask("HELLO 3").await;
        replica.ask("HELLO 3").await;
        subscriber
            .expect(&[
                ("SSUBSCRIBE hello", r#"push["ssubscribe" "hello" 1]"#),
                ("SSUBSCRIBE foo", "! MOVED 12182 10.0.1.1:6379"),
            ])
            .await;
        replica.expect(&[("SSUBSCRIBE hello", r#"push["ssubscribe" "hello" 1]"#)]).await;
        publisher.expect(&[("SPUBLISH hello one", "1"), ("PUBLISH any two", "0")]).await;
        assert_eq!(subscriber.next().await, r#"push["smessage" "hello" "one"]"#);
        assert_eq!(replica.next().await, r#"push["smessage" "hello" "one"]"#);
        sim.move_slot(866, "b");
        assert_eq!(subscriber.next().await, r#"push["sunsubscribe" "hello" 0]"#);
        assert_eq!(replica.next().await, r#"push["sunsubscribe" "hello" 0]"#);
        publisher.expect(&[("SPUBLISH hello three", "! MOVED 866 10.0.1.1:6379")]).await;
    });
}

#[test]
fn a_dead_primary_is_replaced_and_comes_back_as_a_replica() {
    Sim::cluster(3, 1).run(|sim| async move {
        let mut a = Raw::connect(&sim, "a").await;
        a.expect(&[("SET bar v", "OK"), ("WAIT 1 0", "1")]).await;
        sim.kill("a");
        let start = sim.now();
        while !sim.is_primary("a1") {
            sim.advance(MS * 10).await;
        }
        let took = sim.now().since(start);
        assert!(took > MS * 1000 && took < MS * 4000, "{took:?}");
        sim.advance(MS * 200).await;
        let mut new = Raw::connect(&sim, "a1").await;
        new.expect(&[("GET bar", "\"v\""), ("SET bar w", "OK")]).await;
        let mut b = Raw::connect(&sim, "b").await;
        b.expect(&[("GET bar", "! MOVED 5061 10.0.0.2:6379")]).await;
        sim.restart("a");
        sim.advance(MS * 3000).await;
        let mut old = Raw::connect(&sim, "a").await;
        old.expect(&[("READONLY", "OK"), ("GET bar", "\"w\"")]).await;
        assert!(!sim.is_primary("a"));
        assert_eq!(sim.primary_of("a"), "a1");
        assert!(b.ask("CLUSTER INFO").await.contains("cluster_state:ok"));
    });
}

#[test]
fn a_hung_primary_is_replaced_and_demoted_when_it_wakes() {
    Sim::cluster(3, 1).run(|sim| async move {
        sim.hang("a");
        sim.advance(MS * 4000).await;
        assert!(sim.is_primary("a1"));
        sim.restart("a");
        sim.advance(MS * 2000).await;
        assert!(!sim.is_primary("a"));
    });
}

#[test]
fn a_manual_failover_loses_nothing_and_holds_writes_back() {
    Sim::cluster(3, 1).run(|sim| async move {
        let mut a = Raw::connect(&sim, "a").await;
        let mut admin = Raw::connect(&sim, "a1").await;
        let mut waiting = Raw::connect(&sim, "a").await;
        a.expect(&[("SET bar 1", "OK")]).await;
        assert!(
            a.ask("CLUSTER FAILOVER")
                .await
                .starts_with("! ERR You should send CLUSTER FAILOVER to a replica")
        );
        waiting.send("BLPOP {bar}list 0").await;
        sim.advance(MS * 10).await;
        assert_eq!(admin.ask("CLUSTER FAILOVER").await, "OK");
        sim.advance(MS * 2).await;
        let held = a.ask("SET bar 2");
        let moved = waiting.next();
        let (held, moved) = join!(held, moved);
        assert_eq!(held, "! MOVED 5061 10.0.0.2:6379");
        assert!(moved.starts_with("! UNBLOCKED force unblock"), "{moved}");
        assert_eq!(waiting.next().await, "closed");
        admin.expect(&[("GET bar", "\"1\"")]).await;
        assert!(sim.is_primary("a1") && !sim.is_primary("a"));
    });
    Sim::cluster(3, 1).run(|sim| async move {
        let mut admin = Raw::connect(&sim, "a1").await;
        admin.expect(&[("CLUSTER FAILOVER TAKEOVER", "OK")]).await;
        assert!(sim.is_primary("a1"));
        sim.advance(MS * 1000).await;
        assert!(!sim.is_primary("a"));
        let mut admin = Raw::connect(&sim, "b1").await;
        admin.expect(&[("CLUSTER FAILOVER FORCE", "OK")]).await;
        sim.advance(MS * 1000).await;
        assert!(sim.is_primary("b1") && !sim.is_primary("b"));
    });
}

#[test]
fn a_minority_stops_serving() {
    Sim::cluster(3, 1).run(|sim| async move {
        let mut a = Raw::connect(&sim, "a").await;
        for other in ["a1", "b", "b1", "c", "c1"] {
            sim.partition("a", other);
        }
        a.expect(&[("SET bar old", "OK")]).await;
        sim.advance(MS * 3500).await;
        a.expect(&[("SET bar lost", "! CLUSTERDOWN The cluster is down")]).await;
        assert!(sim.is_primary("a1") && sim.is_primary("a"));
        let mut new = Raw::connect(&sim, "a1").await;
        new.expect(&[("SET bar new", "OK")]).await;
        sim.heal();
        sim.advance(MS * 4000).await;
        assert!(!sim.is_primary("a"));
        a.expect(&[
            ("GET bar", "! MOVED 5061 10.0.0.2:6379"),
            ("READONLY", "OK"),
            ("GET bar", "\"new\""),
        ])
        .await;
    });
}

#[test]
fn a_hole_in_the_map_takes_the_cluster_down_or_not() {
    for full in [true, false] {
        Sim::cluster(3, 0).full_coverage(full).run(|sim| async move {
            let mut a = Raw::connect(&sim, "a").await;
            sim.uncover_slot(12182);
            let other = if full { "! CLUSTERDOWN The cluster is down" } else { "nil" };
            a.expect(&[("GET foo", "! CLUSTERDOWN Hash slot not served"), ("GET bar", other)])
                .await;
            sim.cover_slot(12182, "a");
            sim.advance(MS * 1000).await;
            a.expect(&[("GET foo", "nil"), ("GET bar", "nil")]).await;
        });
    }
}

#[test]
fn nodes_that_move_are_found_again() {
    Sim::cluster(3, 1).run(|sim| async move {
        sim.restart_at("b", [10, 9, 9, 1].into());
        sim.advance(MS * 4000).await;
        let mut a = Raw::connect(&sim, "a").await;
        let owner = sim.owner_of(6000);
        assert!(["b", "b1"].contains(&&*owner));
        assert!(a.ask("CLUSTER NODES").await.contains("10.9.9.1:6379@16379"));
        sim.readdress_all([10, 8, 8]);
        sim.advance(MS * 6000).await;
        let mut a = Raw::connect(&sim, "a").await;
        assert!(a.ask("CLUSTER INFO").await.contains("cluster_state:ok"));
        assert!(a.ask("CLUSTER SLOTS").await.contains("10.8.8."));
    });
}

#[test]
fn forgotten_nodes_are_gone_for_a_while() {
    Sim::cluster(3, 1).run(|sim| async move {
        sim.forget("a", "c1");
        let mut a = Raw::connect(&sim, "a").await;
        assert!(a.ask("CLUSTER INFO").await.contains("cluster_known_nodes:5"));
        sim.advance(MS * 2000).await;
        assert!(a.ask("CLUSTER INFO").await.contains("cluster_known_nodes:5"));
        sim.advance(MS * 65_000).await;
        assert!(a.ask("CLUSTER INFO").await.contains("cluster_known_nodes:6"));
    });
}

#[test]
fn whole_runs_replay() {
    let run = |seed| {
        let sim = Sim::cluster(3, 1).seed(seed).jitter(MS).start();
        sim.run(|sim| async move {
            let mut b = Raw::connect(&sim, "b").await;
            sim.kill("a");
            sim.advance(MS * 3000).await;
            sim.restart("a");
            sim.move_slot(6000, "c");
            sim.advance(MS * 3000).await;
            b.ask("CLUSTER NODES").await;
        });
        sim.trace_hash()
    };
    let hashes: Vec<u64> = (0..10).map(run).collect();
    assert_eq!(hashes, (0..10).map(run).collect::<Vec<_>>());
}
