//! Redirects, refreshes and the state of nodes, with a cluster.
//! **Invariant**: each test has servers of its own, and waits for states.

use super::{config, lazy, number, told, versions};
use slotcar::prelude::*;
use slotcar::{Client, Event, NodeState, RefreshReason};
use slotcar_tests::polling::run;
use slotcar_tests::real::Cluster;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::wait::until_true;
use std::time::Duration;

const SLOT: u16 = 100;

/// Waits for the end of the first refresh: the first command does not wait for it if its seed
/// happens to serve it.
fn until_known(client: &Client) {
    until_true("the first refresh to end", || {
        let metrics = client.metrics();
        (metrics.refreshes, metrics.nodes.is_empty()) == (1, false)
    });
}

/// The first redirect of a slot is counted and told; later commands go to the new owner.
#[test]
fn a_moved_slot_is_one_redirect_and_one_event() {
    for version in versions() {
        let cluster = Cluster::of(&version).replicas(0).start();
        let (client, events) = lazy(config(&cluster.url()).refresh_interval(None));
        run(client.set(key_in(SLOT), 1)).expect("it is served");
        assert_eq!(client.metrics().redirects, 0, "{version}");
        let to = (cluster.primary_of(SLOT) + 1) % 3;
        cluster.move_slot(SLOT, to);
        for _ in 0..3 {
            assert_eq!(run(client.get::<u8>(key_in(SLOT))).expect("it is served"), 1);
        }
        let metrics = client.metrics();
        assert_eq!((metrics.redirects, metrics.retries), (1, 0), "{version}");
        let moved: Vec<_> = told(client, events)
            .into_iter()
            .filter_map(|event| match event {
                Event::SlotMoved { slot, to } => Some((slot, to.to_string())),
                _ => None,
            })
            .collect();
        assert_eq!(moved, [(SLOT, cluster.node(to).address().to_string())], "{version}");
    }
}

/// Each refresh is counted once and told once, and says why it was made.
#[test]
fn a_refresh_that_is_asked_for_is_one_refresh() {
    for version in versions() {
        let cluster = Cluster::of(&version).replicas(0).start();
        let (client, events) = lazy(config(&cluster.url()).refresh_interval(None));
        run(client.set(key_in(SLOT), 1)).expect("it is served");
        until_known(&client);
        run(client.refresh()).expect("it is answered");
        let metrics = client.metrics();
        assert_eq!((metrics.refreshes, metrics.refreshes_failed), (2, 0), "{version}");
        assert!(metrics.refresh_failure.is_none() && metrics.entries_left_out == 0, "{metrics:?}");
        let refreshed: Vec<_> = told(client, events)
            .into_iter()
            .filter_map(|event| match event {
                Event::Refreshed { reason, nodes_before, nodes_after, changed, took, .. } => {
                    assert!(took > Duration::ZERO);
                    Some((reason, nodes_before, nodes_after, changed))
                }
                _ => None,
            })
            .collect();
        let first = (RefreshReason::Start, 0, 3, true);
        assert_eq!(refreshed, [first, (RefreshReason::Requested, 3, 3, false)], "{version}");
    }
}

/// Nobody answers: each refresh fails, is told as failed, and not as ended.
#[test]
fn a_refresh_that_nobody_answers_is_counted_as_failed() {
    for version in versions() {
        let cluster = Cluster::of(&version).primaries(3).replicas(0).start();
        let (client, events) = lazy(config(&cluster.url()).refresh_interval(None));
        run(client.set(key_in(SLOT), 1)).expect("it is served");
        let before = client.metrics();
        cluster.nodes().iter().for_each(|node| node.pause());
        let quick = client.with_timeout(Duration::from_millis(20));
        drop(run(quick.refresh()));
        cluster.nodes().iter().for_each(|node| {
            node.resume();
            node.kill();
        });
        until_true("a refresh to fail", || {
            run(quick.refresh()).is_err() && client.metrics().refreshes_failed > 0
        });
        let failure = client.metrics().refresh_failure.expect("it is kept");
        assert!(failure.1.is_some(), "{version}: {failure:?}");
        cluster.restart_all();
        until_true("a refresh to be answered", || run(client.refresh()).is_ok());
        let metrics = client.metrics();
        let events = told(client, events);
        let failed = number(&events, |event| matches!(event, Event::RefreshFailed { .. }));
        let ended = number(&events, |event| matches!(event, Event::Refreshed { .. }));
        assert_eq!(before.refreshes_failed, 0, "{version}");
        assert_eq!(metrics.refreshes_failed, failed as u64, "{version}");
        let begun = metrics.refreshes as usize;
        assert!((begun - 1..=begun).contains(&(failed + ended)), "{version}: {metrics:?}");
    }
}

/// Slots without an owner are told, and that they have one again.
#[test]
fn uncovered_slots_are_told_and_when_they_are_served_again() {
    for version in versions() {
        let cluster = Cluster::of(&version).config("cluster-require-full-coverage no");
        let cluster = cluster.replicas(0).start();
        let (client, events) = lazy(config(&cluster.url()).refresh_interval(None));
        run(client.set(key_in(SLOT), 1)).expect("it is served");
        let owner = cluster.primary_of(SLOT);
        let quick = client.with_timeout(Duration::from_millis(200));
        cluster.open_hole(90..=110);
        run(quick.get::<u8>(key_in(SLOT))).expect_err("nobody serves it");
        run(client.refresh()).expect("they answer");
        cluster.fill_hole(90..=110, owner);
        run(client.get::<Option<u8>>(key_in(SLOT))).expect("it is served again");
        run(client.refresh()).expect("they answer");
        let coverage: Vec<_> = told(client, events)
            .into_iter()
            .filter_map(|event| match event {
                Event::CoverageComplete => Some(16384),
                Event::CoverageIncomplete { covered } => Some(covered),
                _ => None,
            })
            .collect();
        let (first, last) = (coverage.first(), coverage.last());
        assert_eq!((first, last), (Some(&16384), Some(&16384)), "{version}: {coverage:?}");
        assert!(coverage.contains(&(16384 - 21)), "{version}: {coverage:?}");
        assert!(coverage.windows(2).all(|pair| pair[0] != pair[1]), "{version}: {coverage:?}");
    }
}

/// Ids, addresses and roles are those of the cluster; a node that no command needed is idle.
#[test]
fn nodes_are_those_of_the_cluster() {
    for version in versions() {
        let cluster = Cluster::of(&version).start();
        let (client, _events) = lazy(config(&cluster.url()).refresh_interval(None));
        assert!(client.metrics().nodes.is_empty(), "{version}: nothing is known yet");
        run(client.set(key_in(SLOT), 1)).expect("it is served");
        until_known(&client);
        run(client.set(key_in(SLOT), 2)).expect("it is served by the owner");
        let owner = cluster.primary_of(SLOT);
        let nodes = client.metrics().nodes;
        assert_eq!(nodes.len(), cluster.nodes().len(), "{version}");
        for node in &nodes {
            let at = cluster.index_of(&node.id.to_string()).expect("it is of the cluster");
            assert_eq!(node.endpoint.to_string(), cluster.node(at).address().to_string());
            assert_eq!(node.primary, cluster.primaries().contains(&at), "{version}: {node:?}");
            if at == owner {
                assert_eq!(node.state, NodeState::Connected, "{version}");
            }
        }
        let idle = nodes.iter().filter(|node| node.state == NodeState::Idle).count();
        assert!(idle >= 3, "{version}: no command needed a replica: {nodes:?}");
    }
}
