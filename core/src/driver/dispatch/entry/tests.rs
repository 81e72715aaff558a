//! What is sent, and what is refused before anything is, against scripted nodes.

use super::*;
use crate::command::{cmd, get, mget};
use crate::config::Config;
use crate::driver::scripted_cluster::{Answer, ScriptedCluster};
use crate::resp::from_frame;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Two primaries, and a client that knows them.
fn start() -> (ScriptedCluster, Arc<LiveTopology>) {
    let script = ScriptedCluster::of_primaries(2);
    let topology = script.topology(Config::default());
    (script, topology)
}

#[test]
fn a_pipeline_with_a_command_that_cannot_be_in_it_is_not_sent() {
    let (script, topology) = start();
    let table = [
        (cmd("BLPOP").arg("k").arg(0), "blocking"),
        (cmd("SELECT").arg(1), "Config::database"),
        (cmd("RENAME").arg("k").arg("x"), "two slots"),
        (cmd("SCAN").arg(0), "cursor"),
    ];
    for (command, text) in table {
        let commands = [get("k"), command];
        let options = script.options(SECOND);
        let error = script.run(run_all(&topology, &commands, None, options)).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(script.sent(), [""; 0]);
}

#[test]
#[cfg_attr(not(feature = "fan-out"), ignore = "needs the feature fan-out")]
fn a_pipeline_may_have_commands_of_each_kind() {
    let (script, topology) = start();
    script.on("a", "DBSIZE", Answer::reply(":1")).on("b", "DBSIZE", Answer::reply(":2"));
    script.on("a", "MGET k", Answer::reply("*1\r\n:3")).on(
        "b",
        "MGET x",
        Answer::reply("*1\r\n:4"),
    );
    let commands = [get("k"), cmd("DBSIZE"), mget(["x", "k"]), cmd("FUTURE.COMMAND")];
    let options = script.options(SECOND);
    let results = script.run(run_all(&topology, &commands, None, options)).unwrap();
    let frames: Vec<Bytes> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(from_frame::<String>(&frames[0]).unwrap(), "a");
    assert_eq!(from_frame::<u64>(&frames[1]).unwrap(), 3);
    assert_eq!(from_frame::<Vec<u64>>(&frames[2]).unwrap(), [4, 3]);
    // The servers do not know it either: any primary gets it.
    assert!(["a", "b"].contains(&&*from_frame::<String>(&frames[3]).unwrap()));
    let sent = script.sent();
    assert_eq!(sent.len(), 7, "six items, and one question about a command: {sent:?}");
}

#[test]
#[cfg_attr(not(feature = "fan-out"), ignore = "needs the feature fan-out")]
fn a_command_that_the_table_lacks_is_asked_about_once() {
    let (script, topology) = start();
    // A write of the key at its first argument: name, arity, flags, first key, last key, step.
    let info = "*1\r\n*6\r\n+future.set\r\n:3\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1";
    for name in ["a", "b"] {
        script.on(name, "COMMAND INFO FUTURE.SET", Answer::reply(info));
    }
    for key in ["x", "k"] {
        let command = cmd("FUTURE.SET").arg(key).arg(1);
        let plan = plan(&command, true).unwrap();
        let (topology, options) = (Arc::clone(&topology), script.options(SECOND));
        script.run(run(topology, command, plan, None, options, ResumeFrom::Start)).unwrap();
    }
    let sent = script.sent();
    let asked = sent.iter().filter(|one| one.contains("COMMAND INFO")).count();
    assert_eq!(asked, 1, "{sent:?}");
    let expected = ["b: FUTURE.SET x 1", "a: FUTURE.SET k 1"];
    let sets: Vec<&String> = sent.iter().filter(|one| one.contains("FUTURE.SET ")).collect();
    assert_eq!(sets, expected, "{sent:?}");
}

/// A server may forbid the question, and may be replaced by one with other modules.
#[test]
#[cfg_attr(not(feature = "fan-out"), ignore = "needs the feature fan-out")]
fn a_command_is_asked_about_again_over_another_connection_only() {
    let (script, topology) = start();
    let asked = |frame: &str| {
        for name in ["a", "b"] {
            script.on(name, "COMMAND INFO FUTURE.GET", Answer::reply(frame));
        }
        for _ in 0..3 {
            let command = cmd("FUTURE.GET").arg("x");
            let plan = plan(&command, true).unwrap();
            let (topology, options) = (Arc::clone(&topology), script.options(SECOND));
            script.run(run(topology, command, plan, None, options, ResumeFrom::Start)).unwrap();
        }
        let sent = script.sent();
        let last = sent.last().unwrap().clone();
        (sent.iter().filter(|one| one.contains("COMMAND INFO")).count(), last)
    };
    assert_eq!(asked("-NOPERM no").0, 1, "an error teaches, too");
    for name in ["a", "b"] {
        script.change(|nodes| nodes.cut(name));
    }
    let info = "*1\r\n*6\r\n+future.get\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1";
    assert_eq!(asked(info), (1, "b: FUTURE.GET x".to_owned()));
}
