//! A scan over scripted nodes, while slots move and nodes leave.

use super::*;
use crate::config::Config;
use crate::driver::scripted_cluster::{Answer, ScriptedCluster};
use std::collections::BTreeSet;

/// The slot of the key `k`, which node a owns at first, as it owns `n`. Node b owns `x`.
const SLOT: u16 = 7629;

/// Two primaries, and a client that knows them.
fn start() -> (ScriptedCluster, Arc<LiveTopology>) {
    let script = ScriptedCluster::of_primaries(2);
    let topology = script.topology(Config::default());
    (script, topology)
}

fn page_of(cursor: u64, keys: &[&str]) -> Answer {
    let keys: String = keys.iter().map(|key| format!("\r\n+{key}")).collect();
    let count = keys.matches('+').count();
    Answer::Reply(format!("*2\r\n+{cursor}\r\n*{count}{keys}"))
}

/// Scans to the end: the keys, and how many pages had keys.
fn scan(
    script: &ScriptedCluster,
    topology: &Arc<LiveTopology>,
) -> Result<(BTreeSet<String>, usize), Error> {
    let mut cursor = ScanCursor::new();
    let (mut keys, mut pages) = (BTreeSet::new(), 0);
    loop {
        let options = script.options(Duration::from_secs(1));
        let page = script.run(next_page(topology, &mut cursor, &[], options))?;
        let Some(page) = page else { break };
        pages += 1;
        keys.extend(page.iter().map(|key| from_frame::<String>(key).unwrap()));
    }
    assert!(cursor.is_finished());
    Ok((keys, pages))
}

fn set_of(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn every_primary_is_scanned_page_by_page() {
    let (script, topology) = start();
    script.on("a", "SCAN 0", page_of(7, &["n"])).on("a", "SCAN 7", page_of(0, &["k"]));
    script.on("b", "SCAN 0", page_of(0, &["x"]));
    assert_eq!(scan(&script, &topology).unwrap(), (set_of(&["k", "n", "x"]), 3));
    assert_eq!(script.sent(), ["a: SCAN 0", "a: SCAN 7", "b: SCAN 0"]);
}

/// Goal: a key whose slot moves away while its node is scanned is returned by the new owner.
#[test]
fn a_slot_that_moves_is_scanned_at_its_new_owner() {
    let (script, topology) = start();
    let moved = |c: &mut crate::driver::scripted_cluster::Nodes| c.move_slots(SLOT, SLOT, "b");
    script.on("a", "SCAN 0", page_of(0, &["n"]).after(moved));
    script.on("b", "SCAN 0", page_of(0, &["x", "k"]));
    assert_eq!(scan(&script, &topology).unwrap().0, set_of(&["k", "n", "x"]));
    assert_eq!(script.sent(), ["a: SCAN 0", "b: SCAN 0"]);
}

#[test]
fn the_slots_of_a_node_that_leaves_are_scanned_at_their_new_owner() {
    let (script, topology) = start();
    let left = |c: &mut crate::driver::scripted_cluster::Nodes| {
        c.stop("a");
        c.forget("a", "b");
    };
    script.on("a", "SCAN 0", page_of(7, &["n"]).after(left));
    script.on("b", "SCAN 0", page_of(0, &["k", "n", "x"]));
    assert_eq!(scan(&script, &topology).unwrap().0, set_of(&["k", "n", "x"]));
}

#[test]
fn a_node_that_hides_itself_is_taken_for_what_the_map_says() {
    let (script, topology) = start();
    for _ in 0..2 {
        script.on("a", "INFO server", Answer::reply("-NOPERM no"));
        script.on("a", "CLUSTER NODES", Answer::reply("-NOPERM no"));
    }
    script.on("a", "SCAN 0", page_of(0, &["n"])).on("b", "SCAN 0", page_of(0, &["x"]));
    assert_eq!(scan(&script, &topology).unwrap().0, set_of(&["n", "x"]));
}

#[test]
fn a_reply_that_is_no_page_is_an_error() {
    let (script, topology) = start();
    script.on("a", "SCAN 0", Answer::reply("+OK"));
    let error = scan(&script, &topology).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Answered));
}
