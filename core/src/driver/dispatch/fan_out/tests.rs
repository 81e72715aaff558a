//! Commands for several scripted nodes.

use super::*;
use crate::command::{cmd, mget};
use crate::config::Config;
use crate::driver::dispatch::entry;
use crate::driver::scripted_cluster::{Answer, ScriptedCluster, id};
use crate::error::{Delivery, ErrorDetail, ErrorKind};
use crate::resp::from_frame;
use crate::routing::plan::plan;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Three primaries, of which a has the replica d, and a client that knows them.
fn start() -> (ScriptedCluster, Arc<LiveTopology>) {
    let script = ScriptedCluster::of_primaries(3).with_replica("d", "a");
    let topology = script.topology(Config::default());
    (script, topology)
}

#[test]
fn each_node_of_a_target_is_asked_once() {
    let (script, topology) = start();
    let table = [
        (Target::AllPrimaries, &["a", "b", "c"][..]),
        (Target::AllNodes, &["a", "b", "c", "d"]),
        (Target::Shard(Slot::FIRST), &["a", "d"]),
        (Target::Slot(Slot::FIRST), &["a"]),
        (Target::Endpoint(Endpoint::tcp("d", 7000)), &["d"]),
    ];
    for (target, expected) in table {
        let command = cmd("DBSIZE");
        let options = script.options(SECOND);
        let answers = script.run(run_at_each(&topology, &target, command, options)).unwrap();
        let mut names: Vec<String> =
            answers.iter().map(|a| from_frame(a.result.as_ref().unwrap()).unwrap()).collect();
        names.sort();
        assert_eq!(names, expected, "{target:?}");
        let ids: Vec<String> = answers.iter().map(|answer| answer.node.to_string()).collect();
        assert!(names.iter().all(|name| ids.contains(&id(name))), "{target:?}: {ids:?}");
        assert_eq!(script.sent().len(), expected.len(), "{target:?}");
    }
}

#[test]
fn a_partial_failure_names_the_nodes_that_failed() {
    let (script, topology) = start();
    for _ in 0..2 {
        script.on("a", "DBSIZE", Answer::reply(":4")).on("c", "DBSIZE", Answer::reply(":4"));
        script.on("b", "DBSIZE", Answer::reply("-NOPERM dbsize"));
    }
    let target = Target::AllPrimaries;
    let options = script.options(SECOND);
    let error = script.run(run_at(&topology, &target, cmd("DBSIZE"), options)).unwrap_err();
    let Some(ErrorDetail::Partial { succeeded: 2, failed }) = error.details() else {
        panic!("{error:?}")
    };
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].endpoint, Some(Endpoint::tcp("b", 7000)));
    let answers = script.run(run_at_each(&topology, &target, cmd("DBSIZE"), options)).unwrap();
    let failed: Vec<_> = answers.iter().filter(|answer| answer.result.is_err()).collect();
    assert_eq!((answers.len(), failed.len()), (3, 1));
    assert_eq!(failed[0].node.to_string(), id("b"));
}

/// Any value will do, but not always that of the same node.
#[test]
#[cfg_attr(not(feature = "fan-out"), ignore = "needs the feature fan-out")]
fn a_random_key_may_be_of_any_node() {
    let (script, topology) = start();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let command = cmd("RANDOMKEY");
        let (plan, options) = (plan(&command, true).unwrap(), script.options(SECOND));
        let frame = script.run(run(Arc::clone(&topology), command, plan, None, options)).unwrap();
        seen.insert(from_frame::<String>(&frame).unwrap());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
#[cfg_attr(not(feature = "fan-out"), ignore = "needs the feature fan-out")]
fn replies_of_all_nodes_become_one() {
    let (script, topology) = start();
    for (name, size) in [("a", ":1"), ("b", ":2"), ("c", ":40")] {
        script.on(name, "DBSIZE", Answer::reply(size));
    }
    let command = cmd("DBSIZE");
    let (plan, options) = (plan(&command, true).unwrap(), script.options(SECOND));
    let frame = script.run(run(Arc::clone(&topology), command, plan, None, options)).unwrap();
    assert_eq!(from_frame::<u64>(&frame).unwrap(), 43);
}

#[test]
#[cfg_attr(not(feature = "fan-out"), ignore = "needs the feature fan-out")]
fn a_split_command_has_one_reply_in_the_order_of_its_keys() {
    let (script, topology) = start();
    // Of three primaries, a owns `n` and `b`, b owns `k`, c owns `x`.
    script.on("b", "MGET k", Answer::reply("*1\r\n+3"));
    script.on("c", "MGET x", Answer::reply("*1\r\n+4"));
    let commands = [mget(["x", "n", "k", "b"])];
    let options = script.options(SECOND);
    // By slot, n and b are two parts.
    script.on("a", "MGET n", Answer::reply("*1\r\n+1"));
    script.on("a", "MGET b", Answer::reply("*1\r\n+2"));
    let results = script.run(entry::run_all(&topology, &commands, None, options)).unwrap();
    let values: Vec<u64> = from_frame(results[0].as_ref().unwrap()).unwrap();
    assert_eq!(values, [4, 1, 3, 2]);
}

#[test]
fn a_key_whose_node_is_down_fails_alone() {
    let (script, topology) = start();
    script.on("a", "MGET n", Answer::reply("*1\r\n+1"));
    script.on("c", "MGET x", Answer::reply("*1\r\n+4"));
    script.change(|cluster| cluster.stop("b"));
    let options = script.options(SECOND);
    let results = script.run(run_per_key(&topology, mget(["x", "k", "n"]), None, options));
    let values: Vec<Option<u64>> =
        results.iter().map(|r| Some(from_frame(r.as_ref().ok()?).unwrap())).collect();
    assert_eq!(values, [Some(4), None, Some(1)]);
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotSent, "{error}");
    assert_eq!(error.endpoint(), Some(&Endpoint::tcp("b", 7000)));
    let none: [&str; 0] = [];
    assert!(script.run(run_per_key(&topology, mget(none), None, options)).is_empty());
}

#[test]
fn a_target_that_is_not_there_is_an_error_and_nothing_is_sent() {
    let (script, topology) = start();
    let nobody = NodeId::told(&id("z")).unwrap();
    let target = Target::Node(nobody.clone());
    let options = script.options(SECOND);
    let error = script.run(run_at_each(&topology, &target, cmd("DBSIZE"), options)).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Topology, Delivery::NotSent));
    assert!(error.to_string().contains(nobody.as_str()), "{error}");
    let error = script.run(run_at(&topology, &target, cmd("SELECT").arg(1), options)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(script.sent(), [""; 0]);
}
