//! Tests of real clusters: start, failovers, moves, uncovered slots, new addresses.
//!
//! Each version forms a cluster; the faults run against one Redis and one Valkey.

use std::io::ErrorKind;

use slotcar_tests::real::cluster::{key_in, slot_of};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Conn, Failover, Reply, Version};

use crate::versions;

/// Each slot has an owner, replicas follow their primaries, and keys are where their slots are.
fn check_whole(cluster: &Cluster) {
    for slot in (0..16384).step_by(1000) {
        let key = key_in(slot);
        let owner = cluster.primary_of(slot);
        assert_eq!(cluster.node(owner).call(&["SET", &key, "v"]).text(), "OK");
        let other = cluster.primaries().into_iter().find(|i| *i != owner).unwrap();
        let moved = cluster.node(other).call(&["GET", &key]);
        let expected = format!("MOVED {slot} {}", cluster.node(owner).address());
        assert_eq!(moved, Reply::Error(expected));
    }
}

// Each version forms a cluster, also the one without ADDSLOTSRANGE.
#[test]
fn all_versions_form_clusters() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).start();
        assert_eq!(cluster.primaries(), [0, 1, 2], "{version}");
        for primary in 0..3 {
            assert_eq!(cluster.replicas_of(primary), [primary + 3], "{version}");
        }
        assert_eq!((cluster.primary_of(0), cluster.primary_of(16383)), (0, 2));
        check_whole(&cluster);
        assert!(cluster.url().starts_with("redis-cluster://127."));
        assert_eq!(cluster.index_at(cluster.node(4).address()), Some(4));
        let keyslot = cluster.node(0).call(&["CLUSTER", "KEYSLOT", "a{b}c"]).integer().unwrap();
        assert_eq!(i64::from(slot_of("a{b}c")), keyslot);
    }
}

#[test]
fn a_killed_primary_is_replaced_and_returns_as_replica() {
    for version in versions() {
        let cluster = Cluster::of(&version).quick_failover().start();
        cluster.node(1).kill();
        let new = cluster.wait_for_new_primary(8000, 1);
        assert_eq!(new, 4, "{version}");
        cluster.wait_until_failed(1, true);
        cluster.wait_until_agreed();
        check_whole(&cluster);
        cluster.node(1).restart();
        cluster.wait_until_agreed();
        assert_eq!(cluster.replicas_of(4), [1]);
    }
}

#[test]
fn a_paused_primary_is_replaced_and_steps_down_when_it_wakes() {
    for version in versions() {
        let cluster = Cluster::of(&version).quick_failover().start();
        cluster.node(0).pause();
        let new = cluster.wait_for_new_primary(0, 0);
        cluster.node(0).resume();
        cluster.wait_until_agreed();
        assert_eq!((new, cluster.replicas_of(3)), (3, vec![0]), "{version}");
    }
}

#[test]
fn the_three_failovers() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        for (replica, how) in
            [(3, Failover::Graceful), (4, Failover::Force), (5, Failover::Takeover)]
        {
            cluster.failover(replica, how);
            cluster.wait_until_agreed();
            assert_eq!(cluster.replicas_of(replica), [replica - 3], "{version} {how:?}");
        }
        assert_eq!(cluster.primaries(), [3, 4, 5]);
        check_whole(&cluster);
    }
}

#[test]
fn a_slot_moves_with_its_keys() {
    for version in versions() {
        let cluster = Cluster::of(&version).password("secret").start();
        let keys: Vec<String> = (0..450).map(|n| format!("{}:{n}", key_in(100))).collect();
        let mut conn = cluster.node(0).conn().unwrap();
        for key in &keys {
            conn.call(&["SET", key, key]).unwrap().ok();
        }
        cluster.move_slot(100, 2);
        assert_eq!(cluster.primary_of(100), 2, "{version}");
        let mut conn = cluster.node(2).conn().unwrap();
        for key in &keys {
            assert_eq!(conn.call(&["GET", key]).unwrap().text(), *key);
        }
        cluster.wait_until_agreed();
    }
}

// Spec: cluster-spec, "ASK redirection" and "Multiple keys operations".
#[test]
fn half_a_move_gives_ask_and_tryagain() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        let key = key_in(5);
        let (here, there, none) = (format!("{key}a"), format!("{key}b"), format!("{key}c"));
        cluster.node(0).call(&["MSET", &here, "1", &there, "2"]).ok();
        cluster.begin_move(5, 1);
        cluster.migrate(&[&there], 0, 1);
        let ask = format!("ASK 5 {}", cluster.node(1).address());
        for key in [&there, &none] {
            assert_eq!(cluster.node(0).call(&["GET", key]), Reply::Error(ask.clone()), "{version}");
        }
        assert_eq!(cluster.node(0).call(&["GET", &here]).text(), "1");
        assert!(cluster.node(0).call(&["MGET", &here, &there]).is_error("TRYAGAIN"));
        let mut conn = cluster.node(1).conn().unwrap();
        assert!(conn.call(&["GET", &there]).unwrap().is_error("MOVED"));
        assert_eq!(conn.call(&["ASKING"]).unwrap().text(), "OK");
        assert_eq!(conn.call(&["GET", &there]).unwrap().text(), "2");
        while cluster.migrate_keys(5, 0, 1) > 0 {}
        cluster.finish_move(5, 0, 1);
        assert_eq!(cluster.node(1).call(&["GET", &here]).text(), "1");
    }
}

#[test]
fn an_abandoned_move_leaves_the_slot_where_it_was() {
    for version in versions() {
        let cluster = Cluster::of(&version).replicas(0).start();
        cluster.begin_move(5, 1);
        assert!(cluster.node(0).call(&["GET", &key_in(5)]).is_error("ASK"));
        cluster.abandon_move(5, 0, 1);
        assert_eq!(cluster.node(0).call(&["GET", &key_in(5)]), Reply::Null, "{version}");
    }
}

#[test]
fn valkey_moves_slots_by_itself() {
    let Some(version) = Version::named("valkey-9.1") else { return };
    let cluster = Cluster::of(&version).start();
    cluster.node(0).call(&["SET", &key_in(7), "v"]).ok();
    cluster.move_slots_atomically(5..=9, 1);
    assert_eq!(cluster.node(1).call(&["GET", &key_in(7)]).text(), "v");
    cluster.wait_until_agreed();
}

#[test]
fn a_hole_opens_and_is_filled() {
    for version in versions() {
        let lines = "cluster-require-full-coverage no";
        let cluster = Cluster::of(&version).config(lines).start();
        cluster.open_hole(4000..=4100);
        for node in cluster.nodes() {
            let reply = node.call(&["GET", &key_in(4050)]);
            assert!(reply.is_error("CLUSTERDOWN Hash slot not served"), "{version} {reply:?}");
        }
        assert_eq!(cluster.node(0).call(&["GET", &key_in(0)]), Reply::Null);
        cluster.fill_hole(4000..=4100, 2);
        assert_eq!(cluster.primary_of(4050), 2);
        check_whole(&cluster);
    }
}

#[test]
fn all_nodes_return_on_new_addresses_with_old_ids() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        let (old, primary) = (cluster.addresses(), cluster.primary_of(0));
        cluster.restart_all_elsewhere();
        let new = cluster.addresses();
        assert!(old.iter().all(|at| !new.contains(at)), "{version}");
        for at in old {
            assert_eq!(Conn::open(at).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        for (at, node) in cluster.nodes().iter().enumerate() {
            assert_eq!(node.call(&["CLUSTER", "MYID"]).text(), cluster.id(at));
        }
        assert_eq!(cluster.primary_of(0), primary);
        check_whole(&cluster);
    }
}

#[test]
fn all_nodes_return_where_they_were_and_one_moves() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        let old = cluster.addresses();
        cluster.restart_all();
        assert_eq!(cluster.addresses(), old, "{version}");
        check_whole(&cluster);
        cluster.restart_elsewhere(4);
        assert_eq!(cluster.index_at(old[4]), None);
        check_whole(&cluster);
    }
}

#[test]
fn host_names_are_announced() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        cluster.announce("hostname", |at| format!("node-{at}.test"));
        let moved = cluster.node(0).call(&["GET", &key_in(16383)]);
        assert_eq!(moved, Reply::Error("MOVED 16383 node-2.test:7000".to_owned()), "{version}");
        cluster.announce("unknown-endpoint", |at| format!("node-{at}.test"));
        let moved = cluster.node(0).call(&["GET", &key_in(16383)]);
        assert_eq!(moved, Reply::Error("MOVED 16383 :7000".to_owned()), "{version}");
    }
}

#[test]
fn the_password_of_all_nodes_changes() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        cluster.set_password(Some("new"));
        for node in cluster.nodes() {
            let mut plain = Conn::open(node.address()).unwrap();
            assert!(plain.call(&["PING"]).unwrap().is_error("NOAUTH"), "{version}");
        }
        assert!(cluster.url().starts_with("redis-cluster://:new@127."));
        // Replication works with the new password also after a restart.
        cluster.node(3).restart();
        cluster.wait_until_agreed();
    }
}

#[test]
fn reads_are_counted_where_they_went() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        let (key, primary, replica) = (key_in(0), cluster.node(0), cluster.node(3));
        primary.call(&["SET", &key, "v"]).ok();
        until_true("the write to arrive", || {
            let mut conn = replica.conn().unwrap();
            conn.call(&["READONLY"]).unwrap().ok();
            conn.call(&["GET", &key]).unwrap().text() == "v"
        });
        cluster.nodes().iter().for_each(|node| node.reset_command_calls());
        let mut conn = replica.conn().unwrap();
        conn.call(&["READONLY"]).unwrap().ok();
        for _ in 0..7 {
            conn.call(&["GET", &key]).unwrap().ok();
        }
        let reads = |at: usize| cluster.node(at).command_calls().get("get").copied().unwrap_or(0);
        assert_eq!((0..6).map(reads).collect::<Vec<_>>(), [0, 0, 0, 7, 0, 0], "{version}");
    }
}
