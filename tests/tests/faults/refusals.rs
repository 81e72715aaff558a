//! Errors of a server that cannot run a command now: the command is retried until its deadline,
//! also a write, because it cannot have run.
//!
//! BUSY, LOADING, MASTERDOWN and READONLY are real states of real servers here; each begins before
//! the command and ends while it waits. The other codes come from a scripted server.

use super::{LONG, SHORT, config, connect, lazy, servers, versions};
use slotcar::command::{get, incr};
use slotcar::prelude::*;
use slotcar::{Command, Delivery, Error, ErrorKind, Value, cmd};
use slotcar_tests::ExpectedError;
use slotcar_tests::polling::{poll_once, run, until_tried};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Script, Server, address};
use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A server answers `command`, named `name`, with `code` until `end`: a short call fails with it at
/// its deadline, a long one and a pipeline succeed.
#[track_caller]
fn is_outlasted(server: &Server, (name, command): (&str, Command), code: &str, end: impl FnOnce()) {
    let client = lazy(config(&server.url()).attempts_max(100_000));
    // At the deadline one more attempt may be in flight: the error before it is the cause.
    let refused = ExpectedError::new(ErrorKind::Server, Delivery::Refused).says(code).code(code);
    let on_its_way = ExpectedError::new(ErrorKind::Timeout, Delivery::Unknown);
    let on_its_way = on_its_way.or(Delivery::NotSent).because(code);
    let check = |error: Error| {
        let told = if error.kind() == ErrorKind::Timeout { &on_its_way } else { &refused };
        let told = told.clone().command(name).at(server.address()).attempts(2..=100_000);
        told.check(&error);
    };
    let waits = client.send::<Option<i64>>(command.clone());
    let pipeline = client.pipeline().add(command.clone()).add(command.clone());
    let late = Cell::new(0);
    let ends = async {
        let (began, before) = (Instant::now(), Cell::new(Duration::ZERO));
        let alone = |timeout| {
            before.set(began.elapsed());
            late.set(late.get() + 1);
            let brief = client.with_timeout(timeout);
            let command = command.clone();
            async move { brief.send::<Option<i64>>(command).await.expect_err("it lasts") }
        };
        let (timeout, error) = until_tried(2, SHORT, alone).await;
        check(error);
        // It ends when there is no time for another answer: at most an eighth and a pause earlier.
        assert!(began.elapsed() - before.get() >= timeout * 3 / 4);
        let piped = |timeout| {
            late.set(late.get() + 1);
            let brief = client.with_timeout(timeout);
            let command = command.clone();
            async move {
                let piped = brief.pipeline().add(command);
                piped.run::<(Option<i64>,)>().await.expect_err("it lasts")
            }
        };
        check(until_tried(2, SHORT, piped).await.1);
        end();
    };
    let both = pipeline.run::<(Option<i64>, Option<i64>)>();
    let (waited, both, ()) = run(futures::future::join3(waits, both, ends));
    let (waited, (first, second)) = (waited.expect("it ran later"), both.expect("both ran later"));
    if name == "INCR" {
        let mut counts = [waited, first, second].map(Option::unwrap_or_default);
        counts.sort_unstable();
        // Those that timed out in flight may have arrived first.
        let before = counts[0] - 1;
        assert!((0..=late.get()).contains(&before), "{counts:?}");
        assert_eq!(counts, [1, 2, 3].map(|n| n + before), "each ran once");
    }
}

#[test]
fn busy() {
    for server in servers() {
        server.set_config("lua-time-limit", "20");
        let mut busy = server.conn().expect("it answers");
        busy.send(&["EVAL", "while true do end", "0"]).expect("it listens");
        until_true("the script to be slow", || server.call(&["GET", "k"]).is_error("BUSY"));
        is_outlasted(&server, ("INCR", incr("n")), "BUSY", || {
            server.call(&["SCRIPT", "KILL"]).ok();
        });
    }
}

#[test]
fn loading() {
    for version in versions() {
        let server = Server::start(&version);
        server.call(&["DEBUG", "POPULATE", "300", "key", "1024"]).ok();
        server.set_config("rdbcompression", "no");
        server.call(&["SAVE"]).ok();
        // Twenty milliseconds for each key.
        server
            .config_at_restart("key-load-delay 20000\nloading-process-events-interval-bytes 1024");
        server.relaunch_on(server.address());
        until_true("it to load", || {
            server.try_call(&["GET", "k"]).is_ok_and(|reply| reply.is_error("LOADING"))
        });
        is_outlasted(&server, ("INCR", incr("n")), "LOADING", || {
            server.call(&["CONFIG", "SET", "key-load-delay", "0"]).ok();
        });
    }
}

#[test]
fn readonly() {
    for server in servers() {
        let refused = address::refused();
        let (ip, port) = (refused.ip().to_string(), refused.port().to_string());
        server.call(&["REPLICAOF", &ip, &port]).ok();
        is_outlasted(&server, ("INCR", incr("n")), "READONLY", || {
            server.call(&["REPLICAOF", "NO", "ONE"]).ok();
        });
    }
}

#[test]
fn masterdown() {
    for server in servers() {
        let refused = address::refused();
        let (ip, port) = (refused.ip().to_string(), refused.port().to_string());
        server.set_config("replica-serve-stale-data", "no");
        server.call(&["REPLICAOF", &ip, &port]).ok();
        is_outlasted(&server, ("GET", get("n")), "MASTERDOWN", || {
            server.call(&["REPLICAOF", "NO", "ONE"]).ok();
        });
    }
}

/// Each code: how many attempts there are, and the delivery in the error.
#[test]
fn what_each_code_means() {
    let (again, never) = (Delivery::Refused, Delivery::Answered);
    let table = [
        ("BUSY Redis is busy running a script.", 3, again),
        ("CLUSTERDOWN Hash slot not served", 3, again),
        ("LOADING Redis is loading the dataset in memory", 3, again),
        ("MASTERDOWN Link with MASTER is down", 3, again),
        ("READONLY You can't write against a read only replica.", 3, again),
        ("TRYAGAIN Multiple keys request during rehashing of slot", 3, again),
        ("MISCONF Errors writing to the AOF file", 1, again),
        ("NOAUTH Authentication required.", 1, again),
        ("NOPERM this user has no permissions", 1, again),
        ("NOREPLICAS Not enough good replicas to write.", 1, again),
        ("OOM command not allowed", 1, again),
        ("ERR unknown command 'INCR', with args beginning with: 'n'", 1, again),
        ("ERR value is not an integer or out of range", 1, never),
        ("WRONGTYPE Operation against a key", 1, never),
        ("CUSTOM said by a script", 1, never),
    ];
    for (line, attempts, delivery) in table {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let script = Script::answering(move |command| match command[0].as_slice() {
            b"PING" => Some(b"+PONG\r\n".to_vec()),
            _ => {
                counted.fetch_add(1, Ordering::SeqCst);
                Some(format!("-{line}\r\n").into_bytes())
            }
        });
        let client = run(connect(config(&script.url()).attempts_max(3))).expect("good");
        let code = line.split(' ').next().expect("a first word");
        let told = ExpectedError::new(ErrorKind::Server, delivery).command("INCR").code(code);
        let told = told.at(script.address()).attempts(attempts..=attempts);
        let said = line.split(", with args").next().expect("a first part");
        let told = told.says(said);
        told.check_err(run(client.incr("n")));
        told.check_err(run(client.pipeline().add(incr("n")).run::<(i64,)>()));
        assert_eq!(count.load(Ordering::SeqCst), 2 * attempts as usize, "{line}");
        // A connection to a server that takes no writes ends, once it is not a young one.
        let dials = if code == "READONLY" { 1..=2 * attempts as usize } else { 1..=1 };
        assert!(dials.contains(&script.accepted()), "{line}: {}", script.accepted());
    }
}

/// Pauses between attempts grow and are random: callers that were refused together do not return
/// together.
#[test]
fn pauses_grow_and_differ() {
    let seen: Arc<std::sync::Mutex<Vec<(String, Instant)>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let script = Script::answering(move |command| {
        if command[0] == b"GET" {
            let key = String::from_utf8_lossy(&command[1]).into_owned();
            noted.lock().expect("no thread panics").push((key, Instant::now()));
        }
        Some(b"-LOADING not yet\r\n".to_vec())
    });
    let config = config(&script.url())
        .backoff_base(Duration::from_millis(2))
        .backoff_cap(LONG)
        .attempts_max(8);
    let client = lazy(config);
    let calls = (0..20).map(|i| client.get::<Value>(i));
    for result in run(futures::future::join_all(calls)) {
        let told =
            ExpectedError::new(ErrorKind::Server, Delivery::Refused).command("GET").attempts(8..=8);
        told.at(script.address()).code("LOADING").check_err(result);
    }
    let seen = seen.lock().expect("no thread panics");
    let pauses = |key: String| -> Vec<Duration> {
        let times: Vec<_> = seen.iter().filter(|(k, _)| *k == key).map(|(_, at)| *at).collect();
        assert_eq!(times.len(), 8);
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    };
    let all: Vec<_> = (0..20).map(|i| pauses(i.to_string())).collect();
    let sum = |range: std::ops::Range<usize>| -> Duration {
        all.iter().flat_map(|pauses| &pauses[range.clone()]).sum()
    };
    // Caps of 4, 8, 16 ms against 64, 128, 256 ms: the means differ on any machine.
    assert!(sum(4..7) > sum(0..3) * 2, "{:?} then {:?}", sum(0..3), sum(4..7));
    let last: Vec<Duration> = all.iter().map(|pauses| pauses[6]).collect();
    let spread = *last.iter().max().expect("20") - *last.iter().min().expect("20");
    assert!(spread > Duration::from_millis(40), "{last:?}");
}

/// A refused command does not affect the other commands: they run once, and in order.
#[test]
fn neighbours_of_a_refused_command_run_once() {
    for server in servers() {
        let client = run(connect(config(&server.url()))).expect("good");
        let each = client
            .pipeline()
            .add(incr("n"))
            .add(cmd("NOSUCHCOMMAND"))
            .add(incr("n"))
            .add(cmd("LPUSH").key("n").arg("x"))
            .add(incr("n"));
        let each = run(each.run_each()).expect("it was sent");
        let number = |at: usize| each[at].clone().expect("it ran").decode::<i64>();
        assert!(matches!((number(0), number(2), number(4)), (Ok(1), Ok(2), Ok(3))));
        // The client does not know the command: the text may be its own, after it ran.
        let told = ExpectedError::new(ErrorKind::Server, Delivery::Answered);
        let told = told.command("NOSUCHCOMMAND");
        told.at(server.address()).code("ERR").check_err(each[1].clone());
        let told = ExpectedError::new(ErrorKind::Server, Delivery::Answered).command("LPUSH");
        told.at(server.address()).code("WRONGTYPE").check_err(each[3].clone());
    }
}

/// A server that runs a long script takes no connection into a database: connecting waits for it,
/// as a command of a lazy client does, and as long as it may.
#[test]
fn connecting_waits_for_a_server_that_is_busy() {
    for server in servers() {
        server.set_config("lua-time-limit", "20");
        for database in [0, 3] {
            // The attempts of a PING do not run out before the test looks.
            let config = || config(&server.url()).database(database).attempts_max(100_000);
            let mut busy = server.conn().expect("it answers");
            busy.send(&["EVAL", "while true do end", "0"]).expect("it listens");
            until_true("the script to be slow", || server.call(&["GET", "k"]).is_error("BUSY"));
            let late = run(connect(config().connect_timeout(SHORT))).expect_err("it lasts");
            let said = late.to_string();
            assert!(said.contains("BUSY") || late.kind() == ErrorKind::Timeout, "{said}");
            let mut connects = pin!(connect(config()));
            // It asks and is refused before the script ends.
            let began = Instant::now();
            while began.elapsed() < SHORT {
                assert!(poll_once(&mut connects).is_none(), "it waits");
                std::thread::yield_now();
            }
            server.call(&["SCRIPT", "KILL"]).ok();
            let client = run(connects);
            run(client.expect("it has waited").set("k", 1)).expect("it is ready");
        }
    }
}
