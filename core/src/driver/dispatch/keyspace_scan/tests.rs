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
    let (mut cursor, mut origin) = (ScanCursor::new(), CursorOrigin::default());
    let (mut keys, mut pages) = (BTreeSet::new(), 0);
    loop {
        let options = script.options(Duration::from_secs(1));
        let page = script.run(next_page(topology, &mut cursor, &mut origin, &[], options))?;
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

/// Servers that refuse what the scan asks beside SCAN, in their own words or by hanging up.
#[test]
fn a_node_that_hides_itself_is_taken_for_what_the_map_says() {
    let refusals = [
        || Answer::reply("-NOPERM no"),
        || Answer::reply("-ERR unknown command 'INFO'"),
        || Answer::reply("-ERR section not supported"),
        || Answer::reply("$0\r\n"),
        || Answer::reply("_"),
        || Answer::reply(":1"),
    ];
    for refusal in refusals {
        let (script, topology) = start();
        script.on("a", "INFO server", refusal());
        for _ in 0..2 {
            script.on("a", "CLUSTER NODES", Answer::reply("-NOPERM no"));
        }
        script.on("a", "SCAN 0", page_of(7, &["n"])).on("a", "SCAN 7", page_of(0, &["k"]));
        script.on("b", "SCAN 0", page_of(0, &["x"]));
        assert_eq!(scan(&script, &topology).unwrap().0, set_of(&["k", "n", "x"]));
        let info = script.sent().iter().filter(|sent| sent.contains("INFO")).count();
        assert_eq!(info, 1, "asked once, and not at all where one page is all");
    }
}

/// A server that hangs up on the question loses the connection, and with it the proof: its pass
/// begins anew, and after the second time it is not asked again.
#[test]
fn a_node_that_hangs_up_on_a_question_is_scanned_all_the_same() {
    let (script, topology) = start();
    script.on("a", "INFO server", Answer::Cut).on("a", "INFO server", Answer::Cut);
    for _ in 0..3 {
        script.on("a", "SCAN 0", page_of(7, &["n"]));
    }
    for _ in 0..3 {
        script.on("a", "SCAN 7", page_of(0, &["k"]));
    }
    script.on("b", "SCAN 0", page_of(0, &["x"]));
    assert_eq!(scan(&script, &topology).unwrap().0, set_of(&["k", "n", "x"]));
    let sent = script.sent();
    let asked = |what: &str| sent.iter().filter(|sent| *sent == what).count();
    assert_eq!((asked("a: INFO server"), asked("a: SCAN 0")), (2, 3), "{sent:?}");
}

/// The connection is lost between two pages: the cursor is used if the process is the same.
#[test]
fn a_cursor_goes_on_over_another_connection_to_the_same_process() {
    for (process, first_pages) in [("a", 1), ("other", 2)] {
        let (script, topology) = start();
        let mut cursor = ScanCursor::new();
        let mut origin = CursorOrigin::default();
        // One more than are answered: the one that is sent as the connection breaks is lost.
        for _ in 0..3 {
            script.on("a", "SCAN 0", page_of(7, &["n"])).on("a", "SCAN 7", page_of(0, &["k"]));
        }
        script.on("b", "SCAN 0", page_of(0, &["x"]));
        let options = script.options(Duration::from_secs(1));
        let mut next =
            || script.run(next_page(&topology, &mut cursor, &mut origin, &[], options)).unwrap();
        assert!(next().is_some());
        script.on("a", "INFO server", Answer::reply(&format!("+run_id:{process}")));
        script.change(|nodes| nodes.cut("a"));
        let mut rest = Vec::new();
        while let Some(page) = next() {
            rest.extend(page.iter().map(|key| from_frame::<String>(key).unwrap()));
        }
        assert!(rest.contains(&"k".to_owned()));
        let pages = script.sent().iter().filter(|sent| *sent == "a: SCAN 0").count();
        assert_eq!(pages, first_pages, "{process}");
    }
}

#[test]
fn a_reply_that_is_no_page_is_an_error() {
    let (script, topology) = start();
    script.on("a", "SCAN 0", Answer::reply("+OK"));
    let error = scan(&script, &topology).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Answered));
}
