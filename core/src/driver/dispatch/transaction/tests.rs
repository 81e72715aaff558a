//! Connections whose state is unknown after an odd reply, against scripted nodes: they are closed,
//! and nobody gets another's reply.

use super::*;
use crate::command::{cmd, get, incr};
use crate::config::Config;
use crate::connection::outcome::Lost;
use crate::driver::dispatch::pipeline;
use crate::driver::link::push_sink::PushSink;
use crate::driver::scripted_cluster::{Answer, ScriptedCluster};
use crate::resp::from_frame;
use crate::routing::destination::Destination;
use crate::routing::transaction::lead;
use crate::subscription::channel_table::UnknownState;
use crate::time::Timestamp;
use futures::future::join3;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn start() -> (ScriptedCluster, Arc<LiveTopology>) {
    let script = ScriptedCluster::of_primaries(2);
    let topology = script.topology(Config::default());
    (script, topology)
}

/// Answers to MULTI, to two commands and to EXEC.
fn answer(script: &ScriptedCluster, answers: &[&str]) {
    for (command, answer) in ["MULTI", "INCR {k}n", "INCR k", "EXEC"].into_iter().zip(answers) {
        script.on("a", command, Answer::reply(answer));
    }
}

/// The transaction, and a command of another caller before it and behind it.
fn run_all(script: &ScriptedCluster, topology: &Arc<LiveTopology>) -> [Result<Bytes, Error>; 3] {
    let options = script.options(SECOND);
    let send = |command: Command| {
        let request = Request::new(command, Destination::Key);
        let sent = dispatch(Arc::clone(topology), request, options, None);
        async move { sent.await.map(|(frame, _)| frame) }
    };
    let commands = vec![incr("{k}n"), incr("k")];
    let transaction = run(topology, lead(&commands, true).unwrap(), commands, options);
    let all = join3(send(get("n")), transaction, send(incr("c")));
    let (before, transaction, behind) = script.run(all);
    [before, transaction, behind]
}

/// Sends a command by itself: the name of the node that answered.
fn send(
    script: &ScriptedCluster,
    topology: &Arc<LiveTopology>,
    command: Command,
) -> Result<String, Error> {
    let request = Request::new(command, Destination::Key);
    let sent = dispatch(Arc::clone(topology), request, script.options(SECOND), None);
    let (frame, _) = script.run(sent)?;
    Ok(from_frame(&frame).unwrap())
}

#[test]
fn an_odd_reply_in_a_transaction_ends_the_connection() {
    let table: &[(&[&str], &str)] = &[
        (&["+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED"], "MULTI was answered by"),
        (&["$1\r\na"], "MULTI was answered by"),
        (&["+OK", "+OK", "+QUEUED", "*2\r\n:1\r\n:2"], "command 1 of a transaction"),
        (&["+OK", "+QUEUED", ":2", "*2\r\n:1\r\n:2"], "command 2 of a transaction"),
        (&["+OK", "+QUEUED", "$6\r\nQUEUED", "*2\r\n:1\r\n:2"], "command 2 of a transaction"),
        // One confirmation is missing, and one too many.
        (&["+OK", "+QUEUED", "*2\r\n:1\r\n:2"], "command 2 of a transaction"),
        (&["+OK", "+QUEUED", "+QUEUED\r\n+QUEUED", "*2\r\n:1\r\n:2"], "EXEC was answered by"),
        (&["+OK", "+QUEUED", "+QUEUED", "*1\r\n:1"], "EXEC was answered by 1 results"),
        (&["+OK", "+QUEUED", "+QUEUED", "*3\r\n:1\r\n:2\r\n:3"], "EXEC was answered by 3 results"),
        (&["+OK", "+QUEUED", "+QUEUED", "+OK"], "EXEC was answered by"),
        (&["+OK", "+QUEUED", "+QUEUED", ":2"], "EXEC was answered by"),
        (&["+OK", "+QUEUED", "+QUEUED", "%1\r\n:1\r\n:2"], "EXEC was answered by"),
        (&["+OK", "+QUEUED", "-ERR no", "*1\r\n:1"], "though a command was refused"),
        (&["-NOPERM no", ":1", ":2", "*2\r\n:1\r\n:2"], "though MULTI was refused"),
        (&["-NOPERM no", "+QUEUED", ":2", "-ERR EXEC without MULTI"], "QUEUED outside"),
    ];
    for (answers, text) in table {
        let (script, topology) = start();
        answer(&script, answers);
        let dials = script.dials("a");
        let [before, transaction, behind] = run_all(&script, &topology);
        assert_eq!(from_frame::<String>(&before.unwrap()).unwrap(), "a");
        let is_odd = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{answers:?}: {error}");
            assert_eq!(error.delivery(), Delivery::Unknown, "{answers:?}: {error}");
            assert!(error.to_string().contains(text), "{answers:?}: {error}");
        };
        is_odd(transaction.unwrap_err());
        // What was in flight may have run, and says so. What came later has a new connection.
        match behind {
            Ok(frame) => assert_eq!(from_frame::<String>(&frame).unwrap(), "a", "{answers:?}"),
            Err(error) => is_odd(error),
        }
        assert_eq!(script.sent().iter().filter(|one| *one == "a: EXEC").count(), 1);
        assert_eq!(send(&script, &topology, get("k")).unwrap(), "a");
        assert_eq!(script.dials("a"), dials + 1, "{answers:?}");
    }
}

/// An EXEC without an answer of its own takes the next command's, which is none for it.
#[test]
fn replies_that_are_missing_are_noticed_at_the_next() {
    let (script, topology) = start();
    answer(&script, &["+OK", "+QUEUED", "+QUEUED"]);
    script.on("a", "EXEC", Answer::Nothing);
    let [_, transaction, behind] = run_all(&script, &topology);
    for error in [transaction.unwrap_err(), behind.unwrap_err()] {
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Unknown));
    }
}

#[test]
fn a_right_end_of_a_transaction_keeps_the_connection() {
    let abort = "-EXECABORT Transaction discarded because of previous errors.";
    for answers in [
        ["+OK", "+QUEUED", "+QUEUED", "*2\r\n:1\r\n+QUEUED"],
        ["+OK", "+QUEUED", "+QUEUED", "*2\r\n:1\r\n-WRONGTYPE no"],
        ["+OK", "+QUEUED", "+QUEUED", "_"],
        ["+OK", "+QUEUED", "+QUEUED", abort],
        ["+OK", "+QUEUED", "-ERR unknown command", abort],
        ["-NOPERM no", ":1", ":2", "-ERR EXEC without MULTI"],
    ] {
        let (script, topology) = start();
        answer(&script, &answers);
        let dials = script.dials("a");
        let [before, transaction, behind] = run_all(&script, &topology);
        assert!(before.is_ok() && behind.is_ok(), "{answers:?}");
        assert!(transaction.is_ok() || transaction.is_err_and(|e| e.kind() == ErrorKind::Server));
        assert_eq!(send(&script, &topology, get("k")).unwrap(), "a");
        assert_eq!(script.dials("a"), dials, "{answers:?}");
    }
}

/// Redis before 6.0.6 stays in the transaction then: what is in flight gets its reply, if it is
/// one, and the connection takes nothing more.
#[test]
fn an_exec_that_is_refused_may_leave_the_transaction_open() {
    for (behind_it, ok) in [("+fine", true), ("+QUEUED", false)] {
        let (script, topology) = start();
        answer(&script, &["+OK", "+QUEUED", "+QUEUED", "-NOPERM exec"]);
        script.on("a", "INCR c", Answer::reply(behind_it));
        let dials = script.dials("a");
        let [_, transaction, behind] = run_all(&script, &topology);
        let error = transaction.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, Delivery::Refused));
        assert_eq!(behind.is_ok(), ok);
        assert!(behind.is_ok() || behind.is_err_and(|e| e.kind() == ErrorKind::Protocol));
        assert_eq!(send(&script, &topology, get("k")).unwrap(), "a");
        assert!(script.dials("a") > dials);
    }
}

#[test]
fn queued_outside_of_a_transaction_ends_the_connection() {
    let (script, topology) = start();
    let dials = script.dials("a");
    script.on("a", "INCR k", Answer::reply("+QUEUED"));
    let error = send(&script, &topology, incr("k")).unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Unknown));
    assert!(error.to_string().contains("QUEUED outside of a transaction"), "{error}");
    assert_eq!(send(&script, &topology, get("k")).unwrap(), "a");
    assert_eq!(script.dials("a"), dials + 1);
    // A string of that text is a value.
    script.on("a", "GET k", Answer::reply("$6\r\nQUEUED"));
    assert_eq!(send(&script, &topology, get("k")).unwrap(), "QUEUED");
    // So is what a script, a function or a module returns.
    for text in ["EVAL x 1 k", "EVALSHA_RO x 1 k", "FCALL f 1 k", "A.MODULE k"] {
        let command = match text.split_once(' ').unwrap() {
            (module @ "A.MODULE", key) => cmd(module).key(key),
            (script, args) => cmd(script).args(args.split(' ')),
        };
        script.on("a", text, Answer::reply("+QUEUED"));
        assert_eq!(send(&script, &topology, command).unwrap(), "QUEUED", "{text}");
    }
    assert_eq!(script.dials("a"), dials + 1);
}

#[test]
fn in_a_pipeline_each_command_has_its_own_right_to_say_queued() {
    let (script, topology) = start();
    let commands = [get("k"), cmd("EVAL").arg("x").arg(1).arg("k"), incr("k"), incr("n")];
    script.on("a", "EVAL x 1 k", Answer::reply("+QUEUED"));
    let dials = script.dials("a");
    let run =
        || script.run(pipeline::run(&topology, &commands, None, script.options(SECOND), None));
    assert!(run().iter().all(Result::is_ok));
    assert_eq!(script.dials("a"), dials);
    script.on("a", "EVAL x 1 k", Answer::reply("+QUEUED"));
    script.on("a", "INCR k", Answer::reply("+QUEUED"));
    let results = run();
    assert!(results[0].is_ok() && results[1].is_ok());
    for result in &results[2..] {
        let error = result.as_ref().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Unknown));
    }
    assert_eq!(send(&script, &topology, get("k")).unwrap(), "a");
    assert_eq!(script.dials("a"), dials + 1);
}

/// Keeps the pushes of a link.
#[derive(Debug, Default)]
struct Pushes(std::sync::Mutex<Vec<Bytes>>);

impl PushSink for Pushes {
    fn handle(&self, frames: &mut Vec<Bytes>, _: Timestamp) -> Result<(), UnknownState> {
        lock(&self.0).append(frames);
        Ok(())
    }

    fn handle_lost(&self, _: &Lost) {}
}

/// A message to an own channel, an invalidation, an event of a keyspace and a push of a kind to
/// come, at every place of a reply to EXEC and in front of every other reply; with and without
/// somebody who wants them.
#[test]
fn pushes_inside_of_replies_go_to_the_sink_and_to_nobody_else() {
    let pushes = [
        ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
        ">4\r\n+pmessage\r\n+_*\r\n+__keyevent@0__:set\r\n+k\r\n",
        ">1\r\n%1\r\n+kind\r\n>0\r\n+new\r\n",
    ];
    let expected = [pushes[0], pushes[1], pushes[2], ">0\r\n", ">1\r\n%1\r\n+kind\r\n+new\r\n"];
    for place in 0..7 {
        for wanted in [true, false] {
            let (script, topology) = start();
            assert_eq!(send(&script, &topology, get("k")).unwrap(), "a");
            let sink = Arc::new(Pushes::default());
            let link = topology.routes().node_for(&get("k")).unwrap().ready().unwrap();
            if wanted {
                let sink: Arc<dyn PushSink> = sink.clone();
                assert!(link.set_push_sink(sink));
            }
            let at = |number: usize| if number == place { pushes.concat() } else { String::new() };
            let exec =
                format!("{}*2\r\n{}:1\r\n{}*1\r\n{}:2\r\n{}", at(0), at(1), at(2), at(3), at(4));
            let exec = exec.trim_end().to_owned();
            let ok = format!("{}+OK", at(5));
            let queued = format!("{}+QUEUED", at(6));
            answer(&script, &[&ok, &queued, "+QUEUED", &exec]);
            let dials = script.dials("a");
            let [before, transaction, behind] = run_all(&script, &topology);
            for frame in [before, behind] {
                assert_eq!(from_frame::<String>(&frame.unwrap()).unwrap(), "a", "{place}");
            }
            let (first, second): (i64, [i64; 1]) = from_frame(&transaction.unwrap()).unwrap();
            assert_eq!((first, second), (1, [2]), "{place}");
            let seen = std::mem::take(&mut *lock(&sink.0));
            assert_eq!(seen, if wanted { &expected[..] } else { &[] }, "{place}");
            assert_eq!(script.dials("a"), dials);
        }
    }
}
