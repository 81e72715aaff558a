//! The edge function of `examples/edge` on a real cluster: each of its jobs, and that nothing is
//! left but the topology for the next cold start.
//!
//! Each request has an instance and a client of its own.

use crate::guest::{Guest, Serving};
use crate::http::{ask, chunk, head, open};
use crate::serving::instances;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Version, scratch};
use std::net::SocketAddr;

/// Starts the function and its cluster.
fn serve() -> Option<(Serving, Cluster, std::path::PathBuf)> {
    let guest = Guest::named("slotcar-edge")?;
    let cluster = Cluster::of(&Version::any()).start();
    let state = scratch::folder("edge");
    let guest = guest.env("SLOTCAR_URL", &cluster.url());
    let serving = guest.env("WASI_HOST_STATE", &state.display().to_string()).serve();
    Some((serving, cluster, state))
}

/// How often the nodes were queried for the topology, by their own counters.
fn topology_queries(cluster: &Cluster) -> u64 {
    let asks = |name: &str| name.starts_with("cluster|s") || name == "cluster";
    let nodes = cluster.nodes().iter().map(|node| {
        let calls = node.command_calls();
        calls.iter().filter(|(name, _)| asks(name)).map(|(_, count)| count).sum::<u64>()
    });
    nodes.sum()
}

fn connections(cluster: &Cluster) -> usize {
    cluster.nodes().iter().map(|node| node.client_count()).sum()
}

#[test]
fn rates_are_limited_and_sessions_kept() {
    let Some((host, cluster, state)) = serve() else { return };
    let at = host.address();
    let answers: Vec<_> = (0..12).map(|_| ask(at, "GET", "/limit/ada", "")).collect();
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    // A busy machine may see more than one window of a second.
    assert!(passed >= 10, "{answers:?}");
    let refused = answers.iter().filter(|answer| answer.status == 429);
    refused.for_each(|answer| assert!(answer.head.contains("retry-after: "), "{answer:?}"));
    assert_eq!(ask(at, "GET", "/limit/bob", "").status, 200, "each user has a limit of their own");

    assert_eq!(ask(at, "GET", "/session/7", "").status, 404);
    assert_eq!(ask(at, "PUT", "/session/7", "basket=3").status, 204);
    until_true("the replica to have the session", || {
        ask(at, "GET", "/session/7", "").body == "basket=3"
    });
    let reads = |range: std::ops::Range<usize>| -> u64 {
        let calls = range.map(|node| cluster.node(node).command_calls());
        calls.filter_map(|calls| calls.get("get").copied()).sum()
    };
    (0..10).for_each(|_| assert_eq!(ask(at, "GET", "/session/7", "").status, 200));
    let counts = (reads(0..3), reads(3..6));
    println!("reads of sessions at primaries and at replicas: {counts:?}");
    // Each is a cold start: a replica that is not dialled in time is no reason to fail.
    assert!(counts.1 >= 10, "they stay off the primary: {counts:?}");
    assert_eq!(ask(at, "DELETE", "/session/7", "").status, 204);
    assert_eq!(ask(at, "GET", "/nothing", "").status, 404);

    // The later starts got the topology of the first one.
    assert!(state.join("topology.json").is_file());
    let before = topology_queries(&cluster);
    for number in 0..20 {
        assert_eq!(ask(at, "PUT", &format!("/session/{number}"), "x").status, 204);
    }
    assert_eq!(topology_queries(&cluster), before, "twenty cold starts query no node");
    until_true("every instance to end", || instances(at) == 0);
    until_true("every connection to close", || connections(&cluster) == 0);
    assert_eq!(ask(at, "GET", "/wasi-host/failures", "").body, "0", "no request failed");
}

/// The redirects that an old snapshot leads to correct it.
#[test]
fn an_old_snapshot_is_mended() {
    let Some((host, cluster, _state)) = serve() else { return };
    let at = host.address();
    assert_eq!(ask(at, "PUT", "/session/moved", "1").status, 204);
    let slot = slotcar_tests::real::cluster::slot_of("session:moved");
    let owner = cluster.primary_of(slot);
    cluster.move_slot(slot, (owner + 1) % 3);
    assert_eq!(ask(at, "PUT", "/session/moved", "2").status, 204);
    assert_eq!(ask(at, "PUT", "/session/moved", "3").status, 204);
    let value = cluster.node((owner + 1) % 3).call(&["GET", "session:moved"]).ok();
    assert_eq!(value.text(), "3");
}

#[test]
fn events_are_streamed_until_the_reader_leaves() {
    let Some((host, cluster, _state)) = serve() else { return };
    let at: SocketAddr = host.address();
    let mut reader = open(at, "GET", "/events/news", "");
    let (status, lines) = head(&mut reader);
    assert_eq!(status, 200, "{lines}");
    assert!(lines.contains("content-type: text/event-stream"), "{lines}");
    assert_eq!(chunk(&mut reader).as_deref(), Some("event: ready\ndata\n\n"));
    for number in 0..5 {
        let told = ask(at, "POST", "/events/news", &format!("line {number}\nand another"));
        assert_eq!(told.body, "1\n", "one subscriber");
        let expected = format!("data: line {number}\ndata: and another\n\n");
        assert_eq!(chunk(&mut reader), Some(expected));
    }
    // The function notices that the reader has left when it writes to it.
    drop(reader);
    until_true("the subscription to end", || {
        ask(at, "POST", "/events/news", "is anybody there?").body == "0\n"
    });
    until_true("every instance to end", || instances(at) == 0);
    until_true("every connection to close", || connections(&cluster) == 0);
    assert_eq!(ask(at, "GET", "/wasi-host/failures", "").body, "0", "no request failed");
}
