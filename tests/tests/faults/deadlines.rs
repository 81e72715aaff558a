//! One deadline for queueing, connecting, all attempts and all pauses.
//!
//! **Invariants**: no call ends long after its deadline, and the error keeps the last cause.

use super::{LONG, SHORT, config, connect, lazy, servers};
use slotcar::prelude::*;
use slotcar::{Client, Delivery, Error, ErrorKind, Value, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::polling::{run, until_tried};
use slotcar_tests::real::{Fault, Proxy, Script, address};
use slotcar_tests::{ExpectedError, Watched};
use std::time::{Duration, Instant};

/// How long a call took, and its error.
fn timed<T>(future: impl Future<Output = Result<T, Error>>) -> (Duration, Error) {
    let began = Instant::now();
    match run(future) {
        Ok(_) => panic!("it cannot end well"),
        Err(error) => (began.elapsed(), error),
    }
}

/// Asserts that a call ended at its deadline, with 10 s for a busy machine.
#[track_caller]
fn ended_at(took: Duration, deadline: Duration) {
    assert!(took >= deadline, "{took:?}, before {deadline:?}");
    assert!(took < deadline + Duration::from_secs(10), "{took:?}, long after {deadline:?}");
}

#[test]
fn the_node_is_down_and_the_pause_longer_than_the_deadline() {
    let at = address::refused();
    let config =
        config(&format!("redis://{at}")).backoff_base(Duration::from_millis(250)).backoff_cap(LONG);
    let client = lazy(config).with_timeout(Duration::from_millis(100));
    let told = ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).at(at);
    let told = told.says("no connection in time").because("refused");
    // Later calls begin within a pause, which counts as well.
    for _ in 0..5 {
        let (took, error) = timed(client.get::<Value>("k"));
        ended_at(took, Duration::from_millis(100));
        told.clone().command("GET").attempts(1..=16).check(&error);
        let (took, error) = timed(client.pipeline().add(cmd("INCR").key("n")).run::<(i64,)>());
        ended_at(took, Duration::from_millis(100));
        told.clone().command("INCR").attempts(1..=16).check(&error);
    }
}

#[test]
fn the_server_does_not_answer() {
    for server in servers() {
        let client = run(connect(config(&server.url()))).expect("good");
        let brief = client.with_timeout(SHORT);
        server.pause();
        let told = ExpectedError::new(ErrorKind::Timeout, Delivery::Unknown).at(server.address());
        let told = told.says("no reply within 200ms");
        let (took, error) = timed(brief.get::<Value>("k"));
        ended_at(took, SHORT);
        // The deadline has passed: not even a read is retried.
        told.clone().command("GET").check(&error);
        let (took, error) = timed(brief.pipeline().add(cmd("INCR").key("n")).run::<(i64,)>());
        ended_at(took, SHORT);
        told.command("INCR").check(&error);
        // Many calls with different deadlines: each ends at its own.
        let calls = (1..=10).map(|i| {
            let client = client.with_timeout(SHORT * i / 2);
            async move {
                let began = Instant::now();
                let error = client.get::<Value>("k").await.expect_err("no reply comes");
                (i, began.elapsed(), error.kind())
            }
        });
        for (i, took, kind) in run(futures::future::join_all(calls)) {
            ended_at(took, SHORT * i / 2);
            assert_eq!(kind, ErrorKind::Timeout);
        }
        server.resume();
        // The late replies are discarded.
        for i in 0..10 {
            let token = format!("token {i}");
            assert_eq!(run(client.send::<String>(cmd("ECHO").arg(&*token))).expect("good"), token);
        }
    }
}

#[test]
fn the_deadline_has_passed() {
    for server in servers() {
        let watched = Watched::new(Smol::new());
        let config = config(&server.url());
        let client = Client::connect_lazy(watched.clone(), config).expect("good");
        for live in [false, true] {
            if live {
                run(client.set("n", 1)).expect("good");
            }
            let written = watched.written();
            let late = client.with_timeout(Duration::ZERO);
            let told = ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).command("INCR");
            let told = told.attempts(0..=1).at(server.address());
            told.check_err(run(late.incr("n")));
            let incr = || cmd("INCR").key("n");
            told.check_err(run(late.pipeline().add(incr()).add(incr()).run::<Value>()));
            let told = ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent).command("BLPOP");
            let told = told.attempts(0..=1).at(server.address());
            told.check_err(run(late.send::<Value>(cmd("BLPOP").key("list").arg(0))));
            assert_eq!(watched.written(), written, "not a byte was sent");
        }
        assert_eq!(run(client.get::<u64>("n")).expect("good"), 1);
    }
}

/// Lost connections and refusals on the way: one deadline for all attempts. A refused call keeps
/// at most an eighth of its time for the answer to its last attempt.
#[test]
fn attempts_share_the_deadline() {
    let closes = Script::answering(|command| (command[0] != b"GET").then(|| b"+OK\r\n".to_vec()));
    let loads = Script::answering(|_| Some(b"-LOADING not yet\r\n".to_vec()));
    for (script, kinds, spared) in [(closes, "closes", 0), (loads, "loads", 1)] {
        let client = lazy(config(&script.url()).attempts_max(100_000));
        let call = |timeout| {
            let client = client.with_timeout(timeout);
            async move {
                let began = Instant::now();
                let error = client.get::<Value>("k").await.expect_err("it does not end well");
                ended_at(began.elapsed(), timeout - timeout * spared / 8);
                error
            }
        };
        let (_, error) = run(until_tried(2, SHORT, call));
        assert!(error.attempts() > 1, "{kinds}: {error:?}");
        assert_eq!(error.command(), Some("GET"));
    }
}

/// The reply comes after the deadline: the connection stays and the reply is discarded.
#[test]
fn a_late_reply_is_discarded() {
    for server in servers() {
        let proxy = Proxy::to(server.address());
        let client = run(connect(config(&proxy.url()))).expect("good");
        proxy.set(Fault::HoldReplies);
        let brief = client.with_timeout(SHORT / 4);
        for i in 0..5 {
            run(brief.send::<String>(cmd("ECHO").arg(i))).expect_err("it is held back");
        }
        let waits = client.send::<String>(cmd("ECHO").arg("mine"));
        let frees = async {
            slotcar_tests::polling::yield_times(2).await;
            proxy.clear();
        };
        let (reply, ()) = run(futures::future::join(waits, frees));
        assert_eq!(reply.expect("good"), "mine");
        assert_eq!(proxy.accepted(), 1, "nothing was wrong with the connection");
    }
}

/// A blocking command waits as long as its own argument says, and no longer than a deadline that
/// the caller gave.
#[test]
fn blocking_commands_have_a_deadline_only_when_given_one() {
    for server in servers() {
        let client = run(connect(config(&server.url()).command_timeout(SHORT))).expect("good");
        let pop = |timeout: &str| cmd("BLPOP").key("list").arg(timeout);
        let began = Instant::now();
        let none: Option<(String, String)> = run(client.send(pop("0.5"))).expect("it waits");
        assert!(none.is_none() && began.elapsed() >= Duration::from_millis(500));
        let brief = client.with_timeout(SHORT);
        let (took, error) = timed(brief.send::<Value>(pop("0")));
        ended_at(took, SHORT);
        let told = ExpectedError::new(ErrorKind::Timeout, Delivery::Unknown).command("BLPOP");
        told.at(server.address()).says("no reply within 200ms").check(&error);
    }
}
