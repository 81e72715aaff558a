//! The rounds of a pipeline against scripted nodes.

use super::*;
use crate::command::{cmd, get, incr, set};
use crate::config::{Config, ReadFrom};
use crate::driver::scripted_cluster::{Answer, ScriptedCluster};
use crate::resp::from_frame;

const SECOND: Duration = Duration::from_secs(1);
/// The slot of the key `k`, which node a owns, as it owns `n` and `c`. Node b owns `x`.
const SLOT: u16 = 7629;

/// Two primaries, and a client that knows them.
fn start(config: Config) -> (ScriptedCluster, Arc<LiveTopology>) {
    let script = ScriptedCluster::of_primaries(2);
    let topology = script.topology(config);
    (script, topology)
}

/// Runs a pipeline: the name of the node that answered each command, or its error.
fn run_pipeline(
    script: &ScriptedCluster,
    topology: &Arc<LiveTopology>,
    commands: &[Command],
) -> Vec<Result<String, Error>> {
    let results = script.run(run(topology, commands, None, script.options(SECOND), None));
    results.into_iter().map(|frame| Ok(from_frame(&frame?).unwrap())).collect()
}

fn names(results: Vec<Result<String, Error>>) -> Vec<String> {
    results.into_iter().map(Result::unwrap).collect()
}

#[test]
fn each_node_gets_its_commands_in_order_and_results_keep_the_callers() {
    let (script, topology) = start(Config::default());
    let commands = [set("k", 1), set("x", 1), set("k", 2), set("x", 2)];
    assert_eq!(names(run_pipeline(&script, &topology, &commands)), ["a", "b", "a", "b"]);
    let (to_a, to_b): (Vec<_>, Vec<_>) =
        script.sent().into_iter().partition(|s| s.starts_with('a'));
    assert_eq!(to_a, ["a: SET k 1", "a: SET k 2"]);
    assert_eq!(to_b, ["b: SET x 1", "b: SET x 2"]);
}

#[test]
fn a_moved_in_the_middle_keeps_the_order_of_its_key() {
    let (script, topology) = start(Config::default());
    script.on("a", "SET k 1", Answer::moved(SLOT, "b").after(|c| c.move_slots(SLOT, SLOT, "b")));
    script.on("a", "SET k 2", Answer::moved(SLOT, "b"));
    let commands = [set("k", 1), get("n"), set("k", 2)];
    assert_eq!(names(run_pipeline(&script, &topology, &commands)), ["b", "a", "b"]);
    let expected = ["a: SET k 1", "a: GET n", "a: SET k 2", "b: SET k 1", "b: SET k 2"];
    assert_eq!(script.sent(), expected);
}

#[test]
fn each_command_has_an_asking_of_its_own() {
    let (script, topology) = start(Config::default());
    script.on("a", "SET k 1", Answer::ask(SLOT, "b")).on("a", "SET k 2", Answer::ask(SLOT, "b"));
    let commands = [set("k", 1), get("n"), set("k", 2)];
    assert_eq!(names(run_pipeline(&script, &topology, &commands)), ["b", "a", "b"]);
    let expected = ["b: ASKING", "b: SET k 1", "b: ASKING", "b: SET k 2"];
    assert_eq!(script.sent().get(3..), Some(&expected.map(str::to_owned)[..]));
}

#[test]
fn a_lost_link_repeats_the_reads_alone() {
    let (script, topology) = start(Config::default());
    script.on("a", "INCR n", Answer::Cut);
    let commands = [get("k"), incr("n"), get("c"), incr("c"), get("x")];
    let results = run_pipeline(&script, &topology, &commands);
    let delivery = |at: usize| results[at].as_ref().unwrap_err().delivery();
    assert_eq!(results[0].as_ref().unwrap(), "a");
    assert_eq!((delivery(1), delivery(3)), (Delivery::Unknown, Delivery::Unknown));
    assert_eq!(results[2].as_ref().unwrap(), "a");
    assert_eq!(results[4].as_ref().unwrap(), "b");
    let sent = script.sent();
    assert_eq!(sent.iter().filter(|one| *one == "a: GET k").count(), 1, "{sent:?}");
    assert_eq!(sent.iter().filter(|one| *one == "a: INCR c").count(), 0, "{sent:?}");
}

#[test]
fn a_refused_command_is_repeated_alone() {
    let (script, topology) = start(Config::default());
    script.on("a", "INCR n", Answer::reply("-TRYAGAIN later"));
    script.on("a", "INCR c", Answer::reply("-WRONGTYPE it is a list"));
    let results = run_pipeline(&script, &topology, &[incr("k"), incr("n"), incr("c")]);
    assert_eq!(results[0].as_ref().unwrap(), "a");
    assert_eq!(results[1].as_ref().unwrap(), "a");
    let error = results[2].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Answered));
    assert_eq!(script.sent(), ["a: INCR k", "a: INCR n", "a: INCR c", "a: INCR n"]);
}

/// Goal: a pipeline ends at its deadline in each phase; what has a result keeps it.
#[test]
fn the_deadline_ends_each_phase() {
    // While replies are waited for.
    let (script, topology) = start(Config::default());
    script.on("a", "INCR n", Answer::Silence);
    let began = script.elapsed();
    let results = run_pipeline(&script, &topology, &[incr("k"), incr("n"), incr("x")]);
    assert_eq!(script.elapsed() - began, SECOND);
    assert_eq!(results[0].as_ref().unwrap(), "a");
    assert_eq!(results[2].as_ref().unwrap(), "b");
    let error = results[1].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Unknown));
    // While a connection is opened.
    let (script, topology) = start(Config::default());
    script.change(|cluster| cluster.hang("b"));
    let results = run_pipeline(&script, &topology, &[incr("k"), incr("x")]);
    assert_eq!(results[0].as_ref().unwrap(), "a");
    let error = results[1].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::NotSent));
    // Between two rounds.
    let (script, topology) = start(Config::default().attempts_max(1000));
    script.always("a", "INCR n", "-TRYAGAIN later");
    let began = script.elapsed();
    let results = run_pipeline(&script, &topology, &[incr("k"), incr("n")]);
    assert_eq!(script.elapsed() - began, SECOND);
    assert_eq!(results[1].as_ref().unwrap_err().delivery(), Delivery::Refused);
}

#[test]
fn rounds_have_a_limit() {
    let (script, topology) = start(Config::default().attempts_max(3));
    script.always("a", "INCR n", "-LOADING");
    let results = run_pipeline(&script, &topology, &[incr("n"), cmd("GET").key("k")]);
    assert_eq!(results[0].as_ref().unwrap_err().attempts(), 3);
    assert_eq!(script.sent().iter().filter(|one| *one == "a: INCR n").count(), 3);
}

#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn reads_under_a_policy_are_sent_in_one_batch_and_go_on_by_themselves() {
    let script = ScriptedCluster::of_primaries(1).with_replica("c", "a");
    let config = Config::default().read_from(ReadFrom::Replica);
    let topology = script.topology(config.clone());
    let reads = Arc::new(ReadSettings::of(&config));
    let commands = [get("k"), incr("n"), get("x")];
    let pipeline = || {
        let options = script.options(SECOND);
        let results = script.run(run(&topology, &commands, Some(&reads), options, None));
        results.into_iter().map(|frame| from_frame::<String>(&frame.unwrap()).unwrap()).collect()
    };
    let first: Vec<String> = pipeline();
    assert_eq!(first, ["c", "a", "c"]);
    script.sent();
    script.on("c", "GET x", Answer::Cut);
    let second: Vec<String> = pipeline();
    assert_eq!(second, ["c", "a", "c"]);
    let sent = script.sent();
    assert_eq!(sent.iter().filter(|one| *one == "c: GET x").count(), 2, "{sent:?}");
    assert_eq!(sent.iter().filter(|one| *one == "c: GET k").count(), 1, "{sent:?}");
}

/// Each command that is sent again counts, not each round.
#[test]
fn each_command_of_a_pipeline_is_counted_for_itself() {
    let commands = || [set("k", 1), get("n"), set("k", 2)];
    let (script, topology) = start(Config::default());
    script.on("a", "SET k 1", Answer::ask(SLOT, "b")).on("a", "SET k 2", Answer::ask(SLOT, "b"));
    names(run_pipeline(&script, &topology, &commands()));
    let metrics = topology.env().telemetry().metrics();
    assert_eq!((metrics.retries, metrics.redirects), (0, 2));
    for text in ["SET k 1", "GET n", "SET k 2"] {
        script.on("a", text, Answer::reply("-LOADING later"));
    }
    names(run_pipeline(&script, &topology, &commands()));
    let metrics = topology.env().telemetry().metrics();
    assert_eq!((metrics.retries, metrics.redirects), (3, 2));
}
