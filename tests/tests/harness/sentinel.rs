//! Tests of sentinel groups: start, failovers, old views.
//!
//! Each version forms a group; the faults run against one Redis and one Valkey.

use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Conn, Reply, Sentinels, Version};

use crate::versions;

/// A group that fails over only by order, whatever the load of the machine.
fn patient(version: &Version) -> Sentinels {
    Sentinels::of(version).down_after_ms(20_000).start()
}

#[test]
fn all_versions_form_groups() {
    for version in Version::all() {
        let group = Sentinels::of(&version).start();
        assert_eq!(group.primary(), Some(0), "{version}");
        for (at, sentinel) in group.sentinels().iter().enumerate() {
            assert_eq!(group.opinion_of(at), Some(group.server(0).address()));
            assert_eq!(sentinel.role(), "sentinel");
        }
        let roles: Vec<String> = group.servers().iter().map(|s| s.role()).collect();
        assert_eq!(roles, ["master", "slave", "slave"]);
        let words = ["SENTINEL", "REPLICAS", group.service()];
        let replicas = group.sentinel(0).call(&words).ok();
        let mut seen: Vec<String> =
            replicas.items().iter().map(|r| r.field("ip").unwrap().text()).collect();
        let mut real: Vec<String> =
            group.servers()[1..].iter().map(|s| s.address().ip().to_string()).collect();
        seen.sort();
        real.sort();
        assert_eq!(seen, real, "each has its own address");
        assert!(group.url().ends_with("/0?service=mymaster"));
    }
}

#[test]
fn a_killed_primary_is_replaced_and_returns_as_replica() {
    for version in versions() {
        let group = Sentinels::of(&version).start();
        let before = group.epoch_of(0).unwrap();
        group.server(0).kill();
        let new = group.wait_for_new_primary(0);
        assert_ne!(new, 0, "{version}");
        group.server(0).restart();
        let settled = group.wait_until_settled();
        for (at, server) in group.servers().iter().enumerate() {
            assert_eq!(server.role() == "master", at == settled);
        }
        assert!(group.epoch_of(0).unwrap() > before);
    }
}

#[test]
fn a_paused_primary_is_replaced() {
    for version in versions() {
        let group = Sentinels::of(&version).replicas(1).down_after_ms(500).start();
        group.server(0).pause();
        let new = group.wait_for_new_primary(0);
        assert_eq!(new, 1, "{version}");
        group.server(0).resume();
        group.wait_until_settled();
    }
}

#[test]
fn an_ordered_failover_leaves_the_old_primary_alive() {
    for version in versions() {
        let group = patient(&version);
        let new = group.failover();
        assert_ne!(new, 0, "{version}");
        // The old primary is not yet a replica: what it accepts now will be lost.
        assert_eq!(group.server(0).call(&["SET", "k", "lost"]).text(), "OK");
        assert_eq!(group.server(new).call(&["SET", "k", "kept"]).text(), "OK");
        assert_eq!(group.wait_until_settled(), new);
        assert!(group.server(0).call(&["SET", "k", "v"]).is_error("READONLY"));
        assert_eq!(group.server(0).call(&["GET", "k"]).text(), "kept");
    }
}

#[test]
fn passwords_of_servers_and_sentinels_differ() {
    for version in versions() {
        let group = Sentinels::of(&version)
            .service("svc")
            .password("data")
            .sentinel_password("watch")
            .start();
        let mut plain = Conn::open(group.sentinel(0).address()).unwrap();
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "svc"];
        assert!(plain.call(&words).unwrap().is_error("NOAUTH"), "{version}");
        let mut plain = Conn::open(group.server(0).address()).unwrap();
        assert!(plain.call(&["PING"]).unwrap().is_error("NOAUTH"));
        group.server(0).kill();
        group.wait_for_new_primary(0);
    }
}

// Two of three sentinels return with the view from before the failover.
#[test]
fn sentinels_return_with_an_old_view() {
    for version in versions() {
        let group = patient(&version);
        let old = group.server(0).address();
        let memories = [group.remember(1), group.remember(2)];
        let new = group.failover();
        let epoch = group.epoch_of(0).unwrap();
        // Without the third sentinel they get no newer view.
        group.sentinel(0).pause();
        for (at, memory) in (1..).zip(&memories) {
            group.restart_with(at, memory);
        }
        assert_eq!(group.opinion_of(1), Some(old), "{version}");
        assert!(group.epoch_of(1).unwrap() < epoch);
        group.sentinel(0).resume();
        // The third one sends the newer view, or they notice by themselves that server 0 is a
        // replica.
        until_true("the newer view to win", || {
            (0..3).all(|i| group.opinion_of(i) == Some(group.server(new).address()))
        });
    }
}

#[test]
fn the_switch_is_announced() {
    for version in versions() {
        let group = patient(&version);
        let mut watcher = group.sentinel(2).conn().unwrap();
        watcher.set_timeout(BOUND).unwrap();
        watcher.call(&["SUBSCRIBE", "+switch-master"]).unwrap().ok();
        let new = group.failover();
        let message = watcher.receive().unwrap();
        let text = message.items().last().map(Reply::text).unwrap();
        let at = |i: usize| {
            let address = group.server(i).address();
            format!("{} {}", address.ip(), address.port())
        };
        assert_eq!(text, format!("mymaster {} {}", at(0), at(new)), "{version}");
    }
}
