//! Refreshes, their waiters and redirects, against scripted servers in virtual time.

use super::*;
use crate::config::Config;
use crate::driver::discovery::background_refresh;
use crate::driver::discovery::refresh_wait::RefreshState;
use crate::driver::node::script::{Reply, Script, Server};
use crate::transport::Transport;
use futures::future::join_all;
use std::error::Error as _;
use std::fmt::Write as _;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(10);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(host: &str) -> Endpoint {
    Endpoint::tcp(host, 1)
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

fn list(words: &[&str]) -> String {
    words.iter().fold(format!("*{}\r\n", words.len()), |mut text, word| {
        let _ = write!(text, "${}\r\n{word}\r\n", word.len());
        text
    })
}

/// What all servers of a cluster answer. Each of `shards` is the last slot, the primary and its
/// replicas. Servers older than Redis 7, whose NODES and MYID an ACL forbids: views without epochs.
fn cluster(shards: &'static [(u16, &[&str])]) -> impl Fn(&[String]) -> String + Clone {
    move |args: &[String]| match args.get(1).map(String::as_str) {
        Some("SHARDS") => "-ERR unknown subcommand\r\n".to_owned(),
        Some("NODES" | "MYID") => "-NOPERM no\r\n".to_owned(),
        Some("SLOTS") => {
            let (mut text, mut first) = (format!("*{}\r\n", shards.len()), 0);
            for (last, nodes) in shards {
                let _ = write!(text, "*{}\r\n:{first}\r\n:{last}\r\n", nodes.len() + 2);
                for node in *nodes {
                    let _ = write!(text, "*3\r\n+{node}\r\n:1\r\n+id-{node}\r\n");
                }
                first = last + 1;
            }
            text
        }
        _ => "+OK\r\n".to_owned(),
    }
}

const HALVES: &[(u16, &[&str])] = &[(8191, &["a", "c"]), (16383, &["b"])];

/// A client of a cluster of a, b and the replica c; a is the seed. Nothing was refreshed yet.
fn unstarted(script: &Script) -> Arc<LiveTopology> {
    for host in ["a", "b", "c"] {
        script.set(&at(host), Server::replying(cluster(HALVES)));
    }
    let config = Config::default().endpoints([at("a")]).deployment(Deployment::Cluster);
    LiveTopology::start(script.env(config), None)
}

/// The same after its first refresh.
fn started(script: &Script) -> Arc<LiveTopology> {
    let topology = unstarted(script);
    script.run(topology.wait_for_refresh(Timestamp::FAR_FUTURE));
    assert_eq!(owner(&topology, 16383), "b");
    topology
}

fn refreshes(topology: &LiveTopology) -> u64 {
    topology.env().telemetry().refreshes.load(Ordering::Relaxed)
}

fn owner(topology: &LiveTopology, number: u16) -> String {
    let routes = topology.routes();
    match routes.owner(slot(number)).map(|node| node.endpoint()) {
        Some(Endpoint::Tcp { host, .. }) => host.to_string(),
        _ => "nobody".to_owned(),
    }
}

/// What a command does that waits for so long.
fn wait(script: &Script, topology: &Arc<LiveTopology>, time: Duration) {
    script.run(topology.while_refreshing(script.sleep(time)));
}

#[test]
fn requests_are_merged_into_one_refresh() {
    let script = Script::default();
    let topology = unstarted(&script);
    for reason in [RefreshReason::Uncovered, RefreshReason::NodeLost, RefreshReason::Requested] {
        topology.request_refresh(reason);
    }
    let waits = (0..10).map(|_| topology.wait_for_refresh(Timestamp::FAR_FUTURE));
    script.run(join_all(waits));
    assert_eq!((refreshes(&topology), script.received(&["CLUSTER", "SLOTS"])), (1, 1));
    assert_eq!((owner(&topology, 0), owner(&topology, 8192)), ("a".into(), "b".into()));
    wait(&script, &topology, ms(10_000));
    assert_eq!(refreshes(&topology), 1, "and no other one follows");
    script.run(topology.wait_for_refresh(Timestamp::FAR_FUTURE));
    assert_eq!(refreshes(&topology), 1, "none was requested");
}

#[test]
fn refreshes_follow_each_other_while_a_caller_waits_for_a_repair() {
    let script = Script::default();
    let topology = started(&script);
    let a = topology.known_node_at(&at("a")).unwrap();
    let waiter = topology.register_waiter(Some(&a));
    topology.request_refresh_about(&a, RefreshReason::NodeLost);
    wait(&script, &topology, ms(4000));
    let meanwhile = refreshes(&topology) - 1;
    assert!((6..=20).contains(&meanwhile), "{meanwhile} refreshes in 4 s");
    drop(waiter);
    let before = refreshes(&topology);
    wait(&script, &topology, ms(4000));
    assert_eq!(refreshes(&topology), before, "the caller is satisfied");
}

/// b has no replica: only time brings it back. a has one, which may have taken over.
#[test]
fn a_node_without_a_replica_is_refreshed_for_half_as_often() {
    let count = |host: &str| {
        let script = Script::default();
        let topology = started(&script);
        let node = topology.known_node_at(&at(host)).unwrap();
        let _waiter = topology.register_waiter(Some(&node));
        topology.request_refresh_about(&node, RefreshReason::NodeLost);
        wait(&script, &topology, ms(10_000));
        refreshes(&topology)
    };
    let (with, without) = (count("a"), count("b"));
    assert!(without * 3 < with * 2, "{with} with a replica, {without} without");
}

#[test]
fn a_refresh_that_began_before_a_redirect_does_not_undo_it() {
    let script = Script::default();
    let topology = started(&script);
    for host in ["a", "b", "c"] {
        let server = Server::replying(cluster(HALVES));
        script.set(&at(host), Server { reply_time: ms(100), ..server });
    }
    topology.request_refresh(RefreshReason::Requested);
    let mut refresh = pin!(topology.wait_for_refresh(Timestamp::FAR_FUTURE));
    while script.received(&["CLUSTER", "SLOTS"]) < 2 {
        assert!(script.poll_once(refresh.as_mut()).is_pending());
        script.jump(ms(10));
    }
    let node = topology.handle_moved(slot(0), &at("b"), false);
    assert_eq!((node.endpoint(), owner(&topology, 0)), (&at("b"), "b".to_owned()));
    script.run(refresh);
    assert_eq!((owner(&topology, 0), owner(&topology, 1)), ("b".into(), "a".into()));
    // The redirect has requested another one, which began later and is believed.
    let before = refreshes(&topology);
    wait(&script, &topology, ms(3000));
    assert!(refreshes(&topology) > before);
    assert_eq!(owner(&topology, 0), "a");
}

#[test]
fn a_redirect_that_says_what_the_map_says_requests_nothing() {
    let script = Script::default();
    let topology = started(&script);
    let node = topology.handle_moved(slot(0), &at("a"), false);
    assert!(Arc::ptr_eq(&node, &topology.known_node_at(&at("a")).unwrap()));
    wait(&script, &topology, ms(3000));
    assert_eq!(refreshes(&topology), 1);
}

/// The caller that began the refresh is never polled again.
#[test]
fn a_parked_caller_does_not_hold_up_the_others() {
    let script = Script::default();
    let topology = unstarted(&script);
    script.set(&at("a"), Server { reply_time: ms(20), ..Server::replying(cluster(HALVES)) });
    let mut parked = pin!(topology.wait_for_refresh(Timestamp::FAR_FUTURE));
    assert!(script.poll_once(parked.as_mut()).is_pending());
    let mut command = pin!(topology.while_refreshing(std::future::pending::<()>()));
    assert!(script.poll_once(command.as_mut()).is_pending());
    assert_eq!(refreshes(&topology), 1, "it is under way");
    script.run(topology.while_refreshing(topology.wait_for_newer_map(0)));
    assert_eq!((owner(&topology, 0), refreshes(&topology)), ("a".into(), 1));
    assert_eq!(script.poll_once(parked.as_mut()), Poll::Ready(()));
}

#[test]
fn a_refresh_that_fails_wakes_its_waiters_and_says_why() {
    let script = Script::default();
    let topology = unstarted(&script);
    script.set(&at("a"), Server::refusing(ms(20)));
    let waits = (0..3).map(|_| topology.wait_for_refresh(Timestamp::FAR_FUTURE));
    script.run(join_all(waits));
    assert_eq!(script.now(), Timestamp::ZERO.after(ms(20)));
    let error = topology.no_node_error();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::NotSent));
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(error.source().is_some() && topology.refreshed_at().is_none());
    // With the next good refresh the failure is history.
    script.set(&at("a"), Server::replying(cluster(HALVES)));
    topology.request_refresh(RefreshReason::Uncovered);
    wait(&script, &topology, ms(3000));
    assert!(topology.refresh_failure().is_none());
    assert_eq!(owner(&topology, 0), "a");
}

#[test]
fn a_lost_connection_requests_a_refresh() {
    let script = Script::with_background();
    let topology = unstarted(&script);
    background_refresh::start(&topology);
    script.run(script.sleep(ms(100)));
    assert_eq!(refreshes(&topology), 1);
    script.cut(&at("a"));
    // At a random moment, since no caller waits.
    script.run(script.sleep(ms(5000)));
    assert_eq!(refreshes(&topology), 2);
}

#[test]
fn close_ends_every_wait() {
    let script = Script::default();
    let topology = started(&script);
    for host in ["a", "b", "c"] {
        script.set(&at(host), Server::replying(|_| String::new()));
    }
    let version = topology.routes().map.version();
    topology.request_refresh(RefreshReason::Requested);
    let mut refresh = pin!(topology.wait_for_refresh(Timestamp::FAR_FUTURE));
    while refreshes(&topology) < 2 {
        assert!(script.poll_once(refresh.as_mut()).is_pending());
        script.jump(ms(10));
    }
    let env = Arc::clone(topology.env());
    let mut newer = pin!(env.while_open(topology.wait_for_newer_map(version)));
    assert!(script.poll_once(newer.as_mut()).is_pending());
    let began = script.now();
    topology.close();
    script.run(refresh);
    assert_eq!(script.run(newer), None);
    assert_eq!(script.now(), began, "nothing had to time out");
    topology.request_refresh(RefreshReason::Requested);
    assert!(matches!(topology.advance_refresh(), RefreshState::Idle));
    for host in ["a", "new"] {
        let dial = topology.node_at(&at(host));
        let result = script.run(dial.connect(&env, Timestamp::FAR_FUTURE));
        assert_eq!(result.expect_err("it is closed").kind(), ErrorKind::Closed, "{host}");
    }
}

const MANY: &[(u16, &[&str])] = &[
    (999, &["m0"]),
    (1999, &["m1"]),
    (2999, &["m2"]),
    (3999, &["m3"]),
    (4999, &["m4"]),
    (5999, &["m5"]),
    (6999, &["m6"]),
    (7999, &["m7"]),
    (8999, &["m8"]),
    (9999, &["m9"]),
    (10999, &["m10"]),
    (11999, &["m11"]),
    (12999, &["m12"]),
    (16383, &["m13"]),
];

/// Every node of the map takes connections and answers nothing, or refuses them. Another cluster
/// listens behind the configured endpoint.
#[test]
fn a_map_of_dead_nodes_leads_back_to_the_configured_endpoint() {
    for silent in [true, false] {
        let script = Script::default();
        for host in MANY.iter().flat_map(|(_, nodes)| *nodes).chain(&["a"]) {
            script.set(&at(host), Server::replying(cluster(MANY)));
        }
        let config = Config::default().endpoints([at("a")]).deployment(Deployment::Cluster);
        let topology = LiveTopology::start(script.env(config), None);
        script.run(topology.wait_for_refresh(Timestamp::FAR_FUTURE));
        assert_eq!(owner(&topology, 16383), "m13");
        for host in MANY.iter().flat_map(|(_, nodes)| *nodes) {
            let silence = Server::replying(|_: &[String]| Reply::Silence);
            let dead = if silent { silence } else { Server::refusing(ms(1)) };
            script.set(&at(host), dead);
            script.cut(&at(host));
        }
        for host in ["a", "b", "c"] {
            script.set(&at(host), Server::replying(cluster(HALVES)));
            script.cut(&at(host));
        }
        let began = script.now();
        let waiter = topology.register_waiter(None);
        topology.request_refresh(RefreshReason::NodeLost);
        while owner(&topology, 16383) != "b" {
            wait(&script, &topology, ms(50));
            let took = script.now().since(began);
            assert!(took < ms(6000), "silent: {silent}, nothing after {took:?}");
        }
        drop(waiter);
        println!("silent: {silent}, {:?}", script.now().since(began));
    }
}

/// What a sentinel answers that takes `primary` for the primary, with this config epoch.
fn sentinel(primary: &'static str, epoch: &'static str) -> impl Fn(&[String]) -> String + Clone {
    move |args: &[String]| match (args[0].as_str(), args.get(1).map(String::as_str)) {
        ("HELLO", _) => "%1\r\n+proto\r\n:3\r\n".to_owned(),
        ("SENTINEL", Some("MASTER")) => {
            let fields = ["name", "svc", "ip", primary, "port", "1", "flags", "master"];
            list(&[fields.as_slice(), &["config-epoch", epoch]].concat())
        }
        ("SENTINEL", Some("GET-MASTER-ADDR-BY-NAME")) => list(&[primary, "1"]),
        ("SENTINEL", _) => "*0\r\n".to_owned(),
        ("SUBSCRIBE", _) => String::new(),
        _ => "+OK\r\n".to_owned(),
    }
}

fn behind_a_sentinel(script: &Script) -> Arc<LiveTopology> {
    script.set(&at("s"), Server::replying(sentinel("a", "1")));
    let deployment =
        Deployment::Sentinel { service: "svc".into(), username: None, password: None, tls: None };
    let config = Config::default().endpoints([at("s")]).deployment(deployment);
    let topology = LiveTopology::start(script.env(config.sentinel_interval(INTERVAL)), None);
    background_refresh::start(&topology);
    topology
}

fn primary(topology: &LiveTopology) -> Option<Endpoint> {
    topology.routes().primaries().next().map(|node| node.endpoint().clone())
}

#[test]
fn sentinels_tell_of_the_primary_and_announce_another_one() {
    let script = Script::with_background();
    let topology = behind_a_sentinel(&script);
    assert_eq!(primary(&topology), None);
    script.run(script.sleep(ms(100)));
    assert_eq!((primary(&topology), refreshes(&topology)), (Some(at("a")), 1));
    assert_eq!(script.received(&["SUBSCRIBE"]), 1);
    script.set(&at("s"), Server::replying(sentinel("b", "2")));
    script.push(&at("s"), &list(&["message", "+odown", "master other 1"]).replacen('*', ">", 1));
    script.run(script.sleep(ms(1000)));
    assert_eq!(
        (primary(&topology), refreshes(&topology)),
        (Some(at("a")), 1),
        "of another service"
    );
    script
        .push(&at("s"), &list(&["message", "+switch-master", "svc a 1 b 1"]).replacen('*', ">", 1));
    script.run(script.sleep(ms(1000)));
    assert_eq!((primary(&topology), refreshes(&topology)), (Some(at("b")), 2));
    assert_eq!(script.received(&["SUBSCRIBE"]), 1, "once for each connection");
    assert_eq!(script.dials(&at("s")), 1);
}

#[test]
fn without_a_background_commands_keep_the_interval_of_sentinels() {
    let script = Script::default();
    let topology = behind_a_sentinel(&script);
    script.run(topology.wait_for_refresh(Timestamp::FAR_FUTURE));
    assert_eq!((primary(&topology), refreshes(&topology)), (Some(at("a")), 1));
    assert!(!topology.is_poll_due());
    wait(&script, &topology, ms(1));
    assert_eq!(refreshes(&topology), 1, "it is not time yet");
    script.jump(INTERVAL * 2);
    assert!(topology.is_poll_due());
    // The sentinel takes longer to answer than the command does: the command waits a little.
    let server = Server::replying(sentinel("b", "2"));
    script.set(&at("s"), Server { reply_time: ms(50), ..server });
    let deadline = script.now().after(ms(1000));
    let command = async {
        let done = topology.while_refreshing(script.sleep(ms(1))).await;
        topology.wait_briefly_for_own_refresh(done, deadline).await;
    };
    script.run(command);
    assert_eq!((primary(&topology), refreshes(&topology)), (Some(at("b")), 2));
    assert!(!topology.is_poll_due() && topology.next_poll() == script.now().after(INTERVAL));
    // A sentinel that hangs delays it by `OWN_REFRESH_WAIT` and no more.
    script.jump(INTERVAL * 2);
    script.set(&at("s"), Server::replying(|_| String::new()));
    let began = script.now();
    let command = async {
        let done = topology.while_refreshing(script.sleep(ms(1))).await;
        topology.wait_briefly_for_own_refresh(done, deadline.after(INTERVAL * 4)).await;
    };
    script.run(command);
    assert_eq!(script.now().since(began), ms(101));
}

#[test]
fn nothing_polls_a_cluster_without_a_background_nor_a_standalone_server() {
    let script = Script::default();
    let topology = started(&script);
    background_refresh::start(&topology);
    script.jump(INTERVAL * 1000);
    assert!(!topology.is_poll_due());
    wait(&script, &topology, ms(1000));
    assert_eq!(refreshes(&topology), 1);

    let config = Config::default().endpoints([at("a")]);
    let standalone = LiveTopology::start(script.env(config), None);
    background_refresh::start(&standalone);
    standalone.request_refresh(RefreshReason::Requested);
    script.run(standalone.wait_for_refresh(Timestamp::FAR_FUTURE));
    assert_eq!((refreshes(&standalone), primary(&standalone)), (0, Some(at("a"))));
}

/// Only redirects have named these nodes: the oldest ones are retired, seeds never.
#[test]
fn nodes_that_only_redirects_name_are_bounded() {
    let script = Script::default();
    let topology = started(&script);
    (0..200).for_each(|n| drop(topology.node_at(&at(&format!("n{n}")))));
    assert_eq!(lock(&topology.state).unlisted.len(), 64 + 1, "and the seed");
    let newest = topology.node_at(&at("n199"));
    assert!(Arc::ptr_eq(&newest, &topology.node_at(&at("n199"))));
}

/// A redirect to a primary that owns slots shares the nodes of the routes before. A primary that
/// has lost its last slot by redirects is treated as one that has left; so it was when all was made
/// anew.
#[test]
fn a_redirect_between_known_primaries_makes_no_nodes_anew() {
    let script = Script::default();
    let topology = started(&script);
    let before = Arc::clone(&topology.routes());
    let b = Arc::clone(before.owner(slot(16383)).unwrap());
    drop(script.run(b.connect(topology.env(), Timestamp::FAR_FUTURE)).unwrap());
    for number in 8192..16383 {
        topology.handle_moved(slot(number), &at("a"), false);
        assert_eq!(owner(&topology, number), "a");
    }
    let after = Arc::clone(&topology.routes());
    assert!(Arc::ptr_eq(before.members(), after.members()));
    assert_eq!(after.map.version(), before.map.version() + 8191);
    assert!(b.is_live(), "it owns a slot");
    topology.handle_moved(slot(16383), &at("a"), false);
    assert!(!b.is_live(), "it owns none");
    topology.handle_moved(slot(0), &at("c"), false);
    let promoted = Arc::clone(&topology.routes());
    assert!(!Arc::ptr_eq(after.members(), promoted.members()), "a replica is a primary now");
    assert_eq!(owner(&topology, 0), "c");
}

/// A thousand connections that are lost at once wake who waits for a reason once; the next loss
/// after that was seen wakes again.
#[test]
fn losses_are_told_once_until_they_are_seen() {
    let script = Script::default();
    let topology = started(&script);
    let triggers = topology.env().triggers();
    let woken = |listener: &mut event_listener::EventListener| {
        script.poll_once(Pin::new(listener)).is_ready()
    };
    let mut first = triggers.listen();
    triggers.report_connection_lost();
    assert!(woken(&mut first));
    let mut second = triggers.listen();
    (0..1000).for_each(|_| triggers.report_connection_lost());
    assert!(!woken(&mut second), "who listens from now on looks first");
    topology.take_triggers();
    triggers.report_connection_lost();
    assert!(woken(&mut second));
}
