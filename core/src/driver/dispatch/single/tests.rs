//! The loop of a single request against scripted nodes.

use super::*;
use crate::command::{cmd, get, incr};
use crate::config::Config;
use crate::driver::scripted_cluster::{Answer, ScriptedCluster, id};
use crate::resp::from_frame;
use crate::topology::node_id::NodeId;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// The slot of the key `k`, which node a owns.
const SLOT: u16 = 7629;

/// Two primaries, of which a owns `k`, and a client that knows them.
fn start(config: Config) -> (ScriptedCluster, Arc<LiveTopology>) {
    let script = ScriptedCluster::of_primaries(2);
    let topology = script.topology(config);
    (script, topology)
}

/// Sends a command; returns the name of the node that answered.
fn send(
    script: &ScriptedCluster,
    topology: &Arc<LiveTopology>,
    command: Command,
    destination: Destination,
    timeout: Duration,
) -> Result<String, Error> {
    let options = script.options(timeout);
    let request = Request::new(command, destination);
    let (frame, node) = script.run(dispatch(Arc::clone(topology), request, options, None))?;
    let name = from_frame::<String>(&frame).unwrap();
    assert_eq!(*node.endpoint(), crate::Endpoint::tcp(&name, 7000));
    Ok(name)
}

/// The same, to the owner of its key, within a second.
fn send_by_key(
    script: &ScriptedCluster,
    topology: &Arc<LiveTopology>,
    command: Command,
) -> Result<String, Error> {
    send(script, topology, command, Destination::Key, SECOND)
}

fn node(name: &str) -> Destination {
    Destination::Node(NodeId::told(&id(name)).unwrap())
}

// spec: cluster-spec, "MOVED Redirection".
#[test]
fn a_moved_is_followed_and_remembered() {
    let (script, topology) = start(Config::default());
    script.on("a", "GET k", Answer::moved(SLOT, "b").after(|c| c.move_slots(SLOT, SLOT, "b")));
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "b");
    assert_eq!(script.sent(), ["a: GET k", "b: GET k"]);
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "b");
    assert_eq!(script.sent(), ["b: GET k"]);
}

// spec: cluster-spec, "ASK redirection": the next command goes to the old node again.
#[test]
fn an_ask_is_followed_once_behind_an_asking() {
    let (script, topology) = start(Config::default());
    script.on("a", "GET k", Answer::ask(SLOT, "b"));
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "b");
    assert_eq!(script.sent(), ["a: GET k", "b: ASKING", "b: GET k"]);
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "a");
}

#[test]
fn a_lost_reply_is_asked_for_again_only_by_a_read() {
    let (script, topology) = start(Config::default());
    script.on("a", "GET k", Answer::Cut).on("a", "INCR k", Answer::Cut);
    assert_eq!(send_by_key(&script, &topology, get("k")).unwrap(), "a");
    assert_eq!(script.sent(), ["a: GET k", "a: GET k"]);
    let error = send_by_key(&script, &topology, incr("k")).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::Unknown));
    assert_eq!((error.attempts(), script.sent().len()), (1, 1), "{error}");
}

/// Goal: the deadline ends a call in each phase, and the error says whether the command may have
/// run.
#[test]
fn the_deadline_ends_each_phase() {
    // Before anything: no time at all.
    let (script, topology) = start(Config::default());
    let error = send(&script, &topology, get("k"), Destination::Key, Duration::ZERO).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::NotSent));
    assert_eq!(script.sent(), [""; 0]);
    // While a connection is opened.
    script.change(|cluster| cluster.hang("b"));
    let began = script.elapsed();
    let error = send_by_key(&script, &topology, get("x")).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::NotSent));
    assert_eq!(script.elapsed() - began, SECOND);
    // While the reply is waited for.
    script.on("a", "INCR k", Answer::Silence);
    let began = script.elapsed();
    let error = send_by_key(&script, &topology, incr("k")).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Unknown));
    assert_eq!(script.elapsed() - began, SECOND);
    // While the next attempt is waited for.
    let (script, topology) = start(Config::default().attempts_max(1000));
    script.always("a", "INCR k", "-TRYAGAIN later");
    let began = script.elapsed();
    let error = send_by_key(&script, &topology, incr("k")).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Refused));
    assert_eq!(script.elapsed() - began, SECOND);
}

// spec: cluster-spec, "Multi-keys operations".
#[test]
fn a_tryagain_is_tried_again_after_a_pause() {
    let (script, topology) = start(Config::default());
    script.on("a", "INCR k", Answer::reply("-TRYAGAIN later"));
    script.on("a", "INCR k", Answer::reply("-TRYAGAIN later"));
    let began = script.elapsed();
    assert_eq!(send_by_key(&script, &topology, incr("k")).unwrap(), "a");
    assert_eq!(script.sent(), ["a: INCR k"; 3]);
    assert!(script.elapsed() > began);
}

#[test]
fn attempts_and_redirects_have_a_limit() {
    let (script, topology) = start(Config::default().attempts_max(3).redirects_max(4));
    script.always("a", "INCR n", "-LOADING");
    let error = send_by_key(&script, &topology, incr("n")).unwrap_err();
    assert_eq!((error.attempts(), script.sent().len()), (3, 3), "{error}");
    for _ in 0..9 {
        script.on("a", "INCR k", Answer::moved(SLOT, "b"));
        script.on("b", "INCR k", Answer::moved(SLOT, "a"));
    }
    let error = send_by_key(&script, &topology, incr("k")).unwrap_err();
    assert!(matches!(error.details(), Some(ErrorDetail::Limit { name: "redirects_max", max: 4 })));
    assert_eq!(script.sent().len(), 5, "the first attempt and four redirects");
}

#[test]
fn a_command_for_one_node_goes_nowhere_else() {
    let (script, topology) = start(Config::default());
    script.on("b", "GET k", Answer::moved(SLOT, "a"));
    let error = send(&script, &topology, get("k"), node("b"), SECOND).unwrap_err();
    assert_eq!(error.server_error().unwrap().code(), "MOVED");
    assert_eq!(script.sent(), ["b: GET k"]);
    // It leaves the cluster: there is nothing to wait for.
    script.change(|cluster| {
        cluster.stop("b");
        cluster.forget("b", "a");
    });
    let error = send(&script, &topology, cmd("DBSIZE"), node("b"), SECOND * 9).unwrap_err();
    assert!(!error.delivery().may_have_run(), "{error:?}");
    let error = send(&script, &topology, cmd("DBSIZE"), node("b"), SECOND * 9).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Topology, Delivery::NotSent));
    assert!(error.to_string().contains(&id("b")), "{error}");
    assert!(script.elapsed() < SECOND * 9);
    assert_eq!(script.sent(), [""; 0]);
}

#[test]
fn after_a_failover_the_next_attempt_goes_to_the_new_owner() {
    let (script, topology) = start(Config::default());
    script.change(|cluster| {
        cluster.stop("a");
        cluster.forget("a", "b");
    });
    assert_eq!(send_by_key(&script, &topology, incr("k")).unwrap(), "b");
    assert_eq!(script.sent(), ["b: INCR k"]);
}
