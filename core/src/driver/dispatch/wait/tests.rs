//! Waits behind writes, against scripted nodes: what is sent where, and what is told of it.

use super::*;
use crate::command::{cmd, get, incr, set};
use crate::config::{Config, ReadFrom};
use crate::driver::scripted_cluster::{Answer, ScriptedCluster};
use crate::routing::transaction::lead;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// How long the servers wait.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The slot of the key `k`, which node a owns, as it owns `n`. Node b owns `x`.
const SLOT: u16 = 7629;
/// The command that is sent for one replica.
const WAIT: &str = "WAIT 1 500";

/// Two primaries, and a client that knows them.
fn start(config: Config) -> (ScriptedCluster, Arc<LiveTopology>) {
    let script = ScriptedCluster::of_primaries(2);
    let topology = script.topology(config);
    (script, topology)
}

/// One replica, in a call whose commands have a second.
fn wait(script: &ScriptedCluster) -> (CallOptions, Wait) {
    let options = script.options(SECOND);
    let wanted = Wanted { local: None, replicas: 1, timeout: TIMEOUT };
    (options, Wait::new(wanted, options.deadline.after(TIMEOUT)).unwrap())
}

/// What a pipeline ended with: whether each command has a reply, and for each primary its commands
/// and the number of replicas.
type Ended = (Vec<bool>, Vec<(String, Vec<usize>, Option<u32>)>);

fn run(script: &ScriptedCluster, topology: &Arc<LiveTopology>, commands: &[Command]) -> Ended {
    let (options, wait) = wait(script);
    let ran = script.run(run_all(topology, commands, None, options, wait)).unwrap();
    (ran.0.iter().map(Result::is_ok).collect(), shown(&ran.1))
}

fn shown(shards: &[ShardAcknowledgement]) -> Vec<(String, Vec<usize>, Option<u32>)> {
    let one = |shard: &ShardAcknowledgement| {
        let replicas = shard.result.as_ref().ok().map(|by| by.replicas);
        assert_eq!(shard.is_reached, replicas.is_some_and(|replicas| replicas > 0));
        if let Err(error) = &shard.result {
            assert!(error.delivery().may_have_run(), "{error}");
            assert_eq!(error.command(), Some("WAIT"));
        }
        (shard.endpoint.to_string().replace(":7000", ""), shard.commands.clone(), replicas)
    };
    let mut all: Vec<_> = shards.iter().map(one).collect();
    all.sort();
    all
}

fn of(node: &str, commands: &[usize], replicas: Option<u32>) -> (String, Vec<usize>, Option<u32>) {
    (node.to_owned(), commands.to_vec(), replicas)
}

/// What was sent to one node.
fn sent_to(script: &ScriptedCluster, node: &str) -> Vec<String> {
    let all = script.sent();
    let own = all.iter().filter_map(|line| line.strip_prefix(node)?.strip_prefix(": "));
    own.map(str::to_owned).collect()
}

#[test]
fn each_primary_is_asked_behind_its_own_writes() {
    let (script, topology) = start(Config::default());
    script.on("a", WAIT, Answer::reply(":1")).on("b", WAIT, Answer::reply(":0"));
    let commands = [set("k", 1), set("x", 1), set("k", 2), get("x")];
    let (ok, shards) = run(&script, &topology, &commands);
    assert_eq!(ok, [true; 4]);
    assert_eq!(shards, [of("a", &[0, 2], Some(1)), of("b", &[1], Some(0))]);
    let sent = script.sent();
    let to = |name: char| sent.iter().filter(|s| s.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!(to('a'), ["a: SET k 1", "a: SET k 2", "a: WAIT 1 500"]);
    assert_eq!(to('b'), ["b: SET x 1", "b: GET x", "b: WAIT 1 500"]);
}

#[test]
fn nobody_is_asked_about_reads() {
    let (script, topology) = start(Config::default());
    script.on("b", WAIT, Answer::reply(":2"));
    let (ok, shards) = run(&script, &topology, &[get("k"), set("x", 1)]);
    assert_eq!((ok, shards), (vec![true; 2], vec![of("b", &[1], Some(2))]));
    assert_eq!(sent_to(&script, "a"), ["GET k"]);
}

/// Reads under a policy go to replicas, on shared connections.
#[test]
#[cfg_attr(not(feature = "read-policies"), ignore = "needs the feature read-policies")]
fn reads_under_a_policy_stay_where_they_are() {
    let script = ScriptedCluster::of_primaries(1).with_replica("c", "a");
    let config = Config::default().read_from(ReadFrom::Replica);
    let topology = script.topology(config.clone());
    let reads = Arc::new(ReadSettings::of(&config));
    script.on("a", WAIT, Answer::reply(":1"));
    let (options, wait) = wait(&script);
    let commands = [set("k", 1), get("k")];
    let ran = run_all(&topology, &commands, Some(&reads), options, wait);
    let (results, shards) = script.run(ran).unwrap();
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(shown(&shards), [of("a", &[0], Some(1))]);
    assert_eq!(sent_to(&script, "a"), ["SET k 1", WAIT]);
}

/// Goal: what is redirected is waited for where it ran, and only there.
// spec: cluster-spec, "MOVED Redirection", "ASK redirection".
#[test]
fn a_redirected_write_gets_a_wait_where_it_ran() {
    let (script, topology) = start(Config::default());
    script.on("a", "SET k 1", Answer::moved(SLOT, "b").after(|c| c.move_slots(SLOT, SLOT, "b")));
    script.on("a", WAIT, Answer::reply(":2")).on("b", WAIT, Answer::reply(":0"));
    let (ok, shards) = run(&script, &topology, &[set("k", 1), incr("n")]);
    assert_eq!(ok, [true; 2]);
    assert_eq!(shards, [of("a", &[1], Some(2)), of("b", &[0], Some(0))]);
    let expected = ["a: SET k 1", "a: INCR n", "a: WAIT 1 500", "b: SET k 1", "b: WAIT 1 500"];
    assert_eq!(script.sent(), expected);
    // Behind an ASKING. What the slot's old owner says is of no use, and not waited for.
    let (script, topology) = start(Config::default());
    script.on("a", "SET k 1", Answer::ask(SLOT, "b")).on("a", WAIT, Answer::Silence);
    script.on("b", WAIT, Answer::reply(":1"));
    let began = script.elapsed();
    let (ok, shards) = run(&script, &topology, &[set("k", 1)]);
    assert_eq!((ok, shards), (vec![true], vec![of("b", &[0], Some(1))]));
    assert!(script.elapsed() - began < TIMEOUT);
    assert_eq!(script.sent()[2..], ["b: ASKING", "b: SET k 1", "b: WAIT 1 500"]);
}

/// Goal: a write that is refused and runs later is acknowledged by the WAIT behind its last
/// attempt.
#[test]
fn a_write_that_is_tried_again_gets_another_wait() {
    let (script, topology) = start(Config::default());
    script.on("a", "INCR n", Answer::reply("-LOADING later"));
    script.on("a", WAIT, Answer::reply(":3")).on("a", WAIT, Answer::reply(":0"));
    let (ok, shards) = run(&script, &topology, &[set("k", 1), incr("n")]);
    assert_eq!((ok, shards), (vec![true; 2], vec![of("a", &[0, 1], Some(0))]));
    let expected = ["SET k 1", "INCR n", "WAIT 1 500", "INCR n", "WAIT 1 500"];
    assert_eq!(sent_to(&script, "a"), expected);
}

/// Goal: when the end of a wait is not known, the replies of the commands are kept.
#[test]
fn an_unknown_end_is_told_as_unknown() {
    let unknown = || vec![of("a", &[0], None)];
    let (script, topology) = start(Config::default());
    script.on("a", WAIT, Answer::Cut);
    assert_eq!(run(&script, &topology, &[incr("n")]), (vec![true], unknown()));
    assert_eq!(sent_to(&script, "a"), ["INCR n", WAIT], "nothing is sent again");
    script.on("a", WAIT, Answer::reply("-ERR unknown command 'WAIT'"));
    assert_eq!(run(&script, &topology, &[incr("n")]), (vec![true], unknown()));
    script.on("a", WAIT, Answer::reply("+OK"));
    assert_eq!(run(&script, &topology, &[incr("n")]), (vec![true], unknown()));
    // A server that is silent: until the deadline of the commands and the timeout have passed.
    script.on("a", WAIT, Answer::Silence);
    let began = script.elapsed();
    assert_eq!(run(&script, &topology, &[incr("n")]), (vec![true], unknown()));
    assert_eq!(script.elapsed() - began, SECOND + TIMEOUT);
    // The write itself may have run.
    script.on("a", "INCR n", Answer::Cut);
    assert_eq!(run(&script, &topology, &[incr("n")]), (vec![false], unknown()));
    // It did not run: nothing was written that could be acknowledged.
    script.on("a", "INCR n", Answer::reply("-OOM no memory")).on("a", WAIT, Answer::reply(":1"));
    assert_eq!(run(&script, &topology, &[incr("n")]), (vec![false], vec![]));
    // A script may have written before it failed.
    let script_text = "EVAL s 1 n";
    script.on("a", script_text, Answer::reply("-ERR late")).on("a", WAIT, Answer::reply(":1"));
    let eval = cmd("EVAL").arg("s").arg(1).key("n");
    assert_eq!(run(&script, &topology, &[eval]), (vec![false], vec![of("a", &[0], Some(1))]));
}

#[cfg(feature = "fan-out")]
#[test]
fn a_command_that_is_split_is_acknowledged_by_each_shard() {
    let (script, topology) = start(Config::default());
    script.on("a", "MSET k 1", Answer::reply("+OK")).on("b", "MSET x 2", Answer::reply("+OK"));
    script.on("a", WAIT, Answer::reply(":1")).on("b", WAIT, Answer::reply(":1"));
    let commands = [incr("n"), crate::command::mset([("k", 1), ("x", 2)])];
    let (ok, shards) = run(&script, &topology, &commands);
    assert_eq!(ok, [true; 2]);
    assert_eq!(shards, [of("a", &[0, 1], Some(1)), of("b", &[1], Some(1))]);
}

/// Goal: a transaction is redirected as ever, and waited for where it ran.
#[test]
fn a_transaction_is_waited_for_on_the_connection_on_which_it_ran() {
    let (script, topology) = start(Config::default());
    let commands = vec![set("k", 1)];
    let lead = lead(&commands, true).unwrap();
    script.on("a", "MULTI", Answer::reply("+OK")).on("b", "MULTI", Answer::reply("+OK"));
    script.on("a", "SET k 1", Answer::moved(SLOT, "b").after(|c| c.move_slots(SLOT, SLOT, "b")));
    script.on("a", "EXEC", Answer::reply("-EXECABORT"));
    script.on("b", "SET k 1", Answer::reply("+QUEUED"));
    script.on("b", "EXEC", Answer::reply("*1\r\n+OK")).on("b", WAIT, Answer::reply(":1"));
    let (options, wait) = wait(&script);
    let ran = run_transaction(&topology, lead, commands, options, wait);
    let (frame, shards) = script.run(ran).unwrap();
    assert_eq!((&frame[..], shown(&shards)), (&b"*1\r\n+OK\r\n"[..], vec![of("b", &[0], Some(1))]));
    let expected = ["MULTI", "SET k 1", "EXEC", WAIT];
    assert_eq!(sent_to(&script, "b"), expected);
}

/// Goal: what is refused is refused before a byte is sent.
#[test]
fn what_cannot_be_part_of_it_is_refused() {
    let (script, topology) = start(Config::default());
    for command in [cmd("WAIT 1 0"), cmd("BLPOP").arg("k").arg(0), cmd("MULTI")] {
        let (options, wait) = wait(&script);
        let commands = [incr("n"), command];
        let error = script.run(run_all(&topology, &commands, None, options, wait)).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
    }
    assert_eq!(script.sent(), [""; 0]);
}

/// Goal: a connection that was closed while it was idle costs no write, without a background task
/// that would have noticed.
#[test]
fn an_idle_connection_that_was_closed_is_not_written_to() {
    let (script, topology) = start(Config::default());
    for _ in 0..2 {
        script.on("a", WAIT, Answer::reply(":1"));
        assert_eq!(
            run(&script, &topology, &[incr("n")]),
            (vec![true], vec![of("a", &[0], Some(1))])
        );
        script.change(|nodes| nodes.cut("a"));
    }
}
