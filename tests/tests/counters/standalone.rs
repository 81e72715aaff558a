//! Dials, their time, lost and found servers, and the state of a node, with one server.
//! **Invariant**: each test has servers of its own, and waits for states.

use super::{config, lazy, number, told, versions};
use futures::future::join_all;
use slotcar::command::get;
use slotcar::prelude::*;
use slotcar::{ErrorKind, Event, NodeState, cmd};
use slotcar_sim::Sim;
use slotcar_tests::polling::{poll_once, run};
use slotcar_tests::real::Server;
use slotcar_tests::real::wait::until_true;
use std::time::Duration;

/// Each connection that the server has accepted is one dial and one event: of commands, of a
/// blocking command, of a subscription.
#[test]
fn each_connection_is_one_dial() {
    for version in versions() {
        let server = Server::start(&version);
        let accepted = server.connections_received();
        let (client, events) = lazy(config(&server.url()));
        assert_eq!(client.metrics().dials, 0, "{version}: nothing was needed yet");
        run(async {
            client.set("k", 1).await.expect("it is there");
            assert_eq!(client.metrics().dials, 1);
            client.get::<u8>("k").await.expect("it is there");
            assert_eq!(client.metrics().dials, 1, "{version}: the connection is kept");
            client.rpush("list", 1).await.expect("it is there");
            client.send::<(String, u8)>(cmd("BLPOP").key("list").arg(0)).await.expect("a value");
            assert_eq!(client.metrics().dials, 2, "{version}: a connection of its own");
            let mut messages = client.subscribe(["news"]).await.expect("it is there");
            messages.ready().await.expect("it is there");
            drop(messages);
        });
        let metrics = client.metrics();
        assert_eq!((metrics.dials, metrics.dials_failed), (3, 0), "{version}");
        assert_eq!((metrics.retries, metrics.redirects, metrics.refreshes), (0, 0, 0), "{version}");
        let opened = |event: &Event| matches!(event, Event::Connected { .. });
        let events = told(client, events);
        assert_eq!((number(&events, opened), events.len()), (3, 3), "{version}: {events:?}");
        // The question itself comes over one connection more.
        assert_eq!(server.connections_received() - accepted, 3 + 1, "{version}");
    }
}

/// The times are those of the events. Only a name is looked up.
#[test]
fn the_time_of_dials_is_the_sum_of_what_events_tell() {
    let served = Sim::standalone().seed(1).serve().expect("a port of 127.0.0.1");
    let url = served.url();
    for url in [url.replace("127.0.0.1", "localhost"), url] {
        let (client, events) = lazy(config(&url));
        run(async {
            client.ping().await.expect("it is there");
            client.rpush("list", 1).await.expect("it is there");
            client.send::<(String, u8)>(cmd("BLPOP").key("list").arg(0)).await.expect("a value");
        });
        let metrics = client.metrics();
        let mut sum = (Duration::ZERO, Duration::ZERO);
        for event in told(client, events) {
            if let Event::Connected { took, name_took, .. } = event {
                assert_eq!(name_took.is_some(), url.contains("localhost"), "{url}");
                let name_took = name_took.unwrap_or_default();
                assert!(took > Duration::ZERO && name_took <= took, "{took:?} {name_took:?}");
                sum = (sum.0 + took, sum.1 + name_took);
            }
        }
        assert_eq!((metrics.dial_time, metrics.name_time), sum, "{url}");
        assert!(sum.0 > Duration::ZERO, "{url}");
        assert_eq!(sum.1 > Duration::ZERO, url.contains("localhost"), "{url}: {sum:?}");
    }
}

/// Dials fail at a port where nothing listens: the first is told, and the first that succeeds.
#[test]
fn a_lost_server_is_told_once_and_once_when_it_is_back() {
    for version in versions() {
        let server = Server::start(&version);
        let (client, events) = lazy(config(&server.url()));
        run(client.set("k", 1)).expect("it is there");
        server.kill();
        let quick = client.with_timeout(Duration::from_millis(50));
        until_true("several dials to fail", || {
            run(quick.get::<u8>("k")).expect_err("it is gone");
            client.metrics().dials_failed >= 3
        });
        assert_eq!(client.metrics().nodes[0].state, NodeState::Failing);
        server.restart();
        run(client.get::<Option<u8>>("k")).expect("it is back");
        let metrics = client.metrics();
        assert_eq!(metrics.nodes[0].state, NodeState::Connected);
        let events = told(client, events);
        let opened = number(&events, |event| matches!(event, Event::Connected { .. }));
        // A server that is starting accepts a connection and may end it: opened, and failed.
        let unopened = metrics.dials - opened as u64;
        assert!(unopened >= 2 && unopened <= metrics.dials_failed, "{metrics:?}: {events:?}");
        let at = events.iter().filter_map(|event| match event {
            Event::NodeLost { endpoint, error } => {
                assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
                Some((endpoint.to_string(), "lost"))
            }
            Event::NodeBack { endpoint } => Some((endpoint.to_string(), "back")),
            _ => None,
        });
        let address = server.address().to_string();
        let both = [(address.clone(), "lost"), (address, "back")];
        assert!(at.eq(both), "{version}: {events:?}");
    }
}

/// A dial for one caller alone fails like any other: its stream was open, its handshake refused.
#[test]
fn a_refused_handshake_of_a_blocking_command_is_a_failed_dial() {
    for version in versions() {
        let server = Server::of(&version).password("old").start();
        let (client, events) = lazy(config(&server.url()));
        run(client.set("k", 1)).expect("the password is right");
        server.set_password(Some("new"));
        let pop = || client.send::<(String, u8)>(cmd("BLPOP").key("list").arg(0));
        for failed in 1..=2 {
            run(pop()).expect_err("a new connection is refused");
            let metrics = client.metrics();
            assert_eq!((metrics.dials, metrics.dials_failed), (1 + failed, failed), "{version}");
        }
        let opened = |event: &Event| matches!(event, Event::Connected { .. });
        assert_eq!(number(&told(client, events), opened), 3, "{version}: with the shared one");
    }
}

/// Commands in flight on several connections are added up, and nothing else is.
#[test]
fn commands_in_flight_are_counted_over_all_connections() {
    for version in versions() {
        let server = Server::start(&version);
        let (client, _events) = lazy(config(&server.url()).connections_per_node(2));
        let node = || client.metrics().nodes.remove(0);
        assert_eq!((node().state, node().in_flight), (NodeState::Idle, 0), "{version}");
        until_true("both connections to be there", || {
            run(client.set("k", "v")).expect("it is there");
            client.metrics().dials == 2 && server.client_count() == 2
        });
        // The first command of a connection may take its introduction along.
        (0..4).for_each(|_| run(client.set("k", "v")).expect("it is there"));
        assert_eq!((node().state, node().in_flight), (NodeState::Connected, 0), "{version}");
        server.pause();
        let mut calls: Vec<_> = (0..7).map(|_| Box::pin(client.send::<String>(get("k")))).collect();
        assert!(calls.iter_mut().all(|call| poll_once(call).is_none()));
        assert_eq!((node().state, node().in_flight), (NodeState::Connected, 7), "{version}");
        server.resume();
        run(join_all(calls)).into_iter().for_each(|call| assert_eq!(call.expect("served"), "v"));
        until_true("the last replies to be counted", || node().in_flight == 0);
    }
}

/// One of two connections ends: the other still reaches the node.
#[test]
fn a_node_with_one_of_two_connections_is_connected() {
    for version in versions() {
        let server = Server::start(&version);
        let (client, _events) = lazy(config(&server.url()).connections_per_node(2));
        until_true("both connections to be there", || {
            run(client.set("k", "v")).expect("it is there");
            client.metrics().dials == 2 && server.client_count() == 2
        });
        let id = run(client.send::<u64>(cmd("CLIENT ID"))).expect("it tells");
        server.call(&["CLIENT", "KILL", "ID", &id.to_string()]);
        // No command restores it meanwhile.
        until_true("the end to be noticed", || server.client_count() == 1);
        for _ in 0..100 {
            assert_eq!(client.metrics().nodes[0].state, NodeState::Connected, "{version}");
            std::thread::yield_now();
        }
    }
}

/// A connection that one caller has is busy, and then idle.
#[test]
fn exclusive_connections_are_busy_and_then_idle() {
    for version in versions() {
        let server = Server::start(&version);
        let (client, _events) = lazy(config(&server.url()));
        let count = || {
            let node = client.metrics().nodes.remove(0);
            (node.exclusive_busy, node.exclusive_idle)
        };
        assert_eq!(count(), (0, 0));
        let pop = |key| Box::pin(client.send::<(String, u8)>(cmd("BLPOP").key(key).arg(0)));
        let mut pops = [pop("one"), pop("two")];
        until_true("both to block", || {
            assert!(pops.iter_mut().all(|pop| poll_once(pop).is_none()));
            server.info("clients")["blocked_clients"] == "2"
        });
        assert_eq!(count(), (2, 0), "{version}");
        let [first, second] = pops;
        run(async {
            client.rpush("one", 1).await.expect("it is there");
            first.await.expect("it is served");
        });
        assert_eq!(count(), (1, 1), "{version}");
        drop(second);
        assert_eq!(count(), (0, 1), "{version}: one that is given up is closed");
    }
}
