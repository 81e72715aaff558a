//! The limit of bytes in flight: what a server that does not answer may cost.
//!
//! A command counts from the time it is queued until its reply comes, also if its caller is
//! dropped. At the limit a call waits or fails, as the configuration says.

use super::{BACKGROUNDS, SHORT, config};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use slotcar::config::WhenFull;
use slotcar::prelude::*;
use slotcar::{Client, Delivery, ErrorDetail, ErrorKind, Value, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::polling::{poll_once, run};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Script, script};
use slotcar_tests::{ExpectedError, Watched};
use std::sync::{Arc, Condvar, Mutex};

/// The limit of the tests, in bytes.
const BUDGET: usize = 64 << 10;
/// Bytes of one value.
const VALUE: usize = 1 << 10;
/// How many calls there are: more than fit within the limit.
const CALLS: usize = 200;

/// A server that does not answer until its gate opens.
struct Silent {
    /// The server.
    script: Script,
    /// Whether it answers.
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Silent {
    fn start() -> Silent {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let waits = Arc::clone(&gate);
        let script = Script::start(move |peer| {
            while let Some(command) = peer.command() {
                let open = waits.0.lock().expect("no thread panics");
                drop(waits.1.wait_while(open, |open| !*open));
                let answer = script::handshake_answer(&command);
                peer.send(&answer.unwrap_or_else(|| b"+OK\r\n".to_vec()));
            }
        });
        Silent { script, gate }
    }

    fn open(&self) {
        *self.gate.0.lock().expect("no thread panics") = true;
        self.gate.1.notify_all();
    }

    fn client(&self, when_full: WhenFull, background: bool) -> (Client, Watched) {
        let watched = Watched::new(Smol::new());
        let watched = if background { watched } else { watched.without_background() };
        let config = config(&self.script.url()).node_bytes_max(BUDGET).when_full(when_full);
        (Client::connect_lazy(watched.clone(), config).expect("good"), watched)
    }
}

impl Silent {
    /// It does not answer any more.
    fn close(&self) {
        *self.gate.0.lock().expect("no thread panics") = false;
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.open();
    }
}

fn value() -> String {
    "v".repeat(VALUE)
}

/// Polls a call a number of times, woken or not, and drops it.
async fn leave(mut call: impl Future + Unpin, polls: usize) {
    for _ in 0..polls {
        if poll_once(&mut call).is_some() {
            return;
        }
        smol::future::yield_now().await;
    }
}

fn limit() -> ErrorDetail {
    ErrorDetail::Limit { name: "node_bytes_max", max: BUDGET as u64 }
}

#[test]
fn at_the_limit_a_call_fails_if_so_configured() {
    for background in [true, false] {
        let silent = Silent::start();
        let (client, watched) = silent.client(WhenFull::Fail, background);
        let mut calls: FuturesUnordered<_> = (0..CALLS).map(|i| client.set(i, value())).collect();
        let told =
            ExpectedError::new(ErrorKind::Limit, Delivery::NotSent).command("SET").attempts(0..=1);
        let told = told.at(silent.script.address()).says("65536 bytes");
        run(async {
            for _ in 0..CALLS - BUDGET / VALUE {
                let error = calls.next().await.expect("many").expect_err("no reply comes");
                told.check(&error);
                assert_eq!(error.details(), Some(&limit()));
            }
            assert!(watched.written() <= BUDGET, "{} bytes", watched.written());
            silent.open();
            let mut answered = 0;
            while let Some(result) = calls.next().await {
                answered += usize::from(result.is_ok());
            }
            assert!((BUDGET / VALUE / 2..=BUDGET / VALUE).contains(&answered), "{answered}");
            // Nothing counts any more: one command may use all of it.
            client.set("all", "v".repeat(BUDGET - 1000)).await.expect("there is room");
        });
    }
}

#[test]
fn at_the_limit_a_call_waits_by_default() {
    for background in [true, false] {
        let silent = Silent::start();
        let (client, watched) = silent.client(WhenFull::Wait, background);
        let calls = futures::future::join_all((0..CALLS).map(|i| client.set(i, value())));
        let late = async {
            while watched.written() < BUDGET / 2 {
                smol::future::yield_now().await;
            }
            let brief = client.with_timeout(SHORT);
            let told = ExpectedError::new(ErrorKind::Timeout, Delivery::NotSent)
                .at(silent.script.address());
            let told = told.says("65536 bytes");
            let late = || async { brief.set("late", value()).await.expect_err("no reply comes") };
            let mut error = late().await;
            while error.delivery() != Delivery::NotSent {
                // There was still room.
                error = late().await;
            }
            told.clone().command("SET").attempts(0..=1).check(&error);
            assert_eq!(error.details(), Some(&limit()));
            let pipeline = brief.pipeline().add(cmd("SET").key("late").arg(value()));
            let error = pipeline.run::<()>().await.expect_err("no reply comes");
            told.command("SET").check(&error);
            assert!(watched.written() <= BUDGET, "{} bytes", watched.written());
            silent.open();
        };
        let (results, ()) = run(futures::future::join(calls, late));
        assert!(results.iter().all(Result::is_ok), "all of them waited");
        assert!(watched.written() > CALLS * VALUE);
    }
}

/// Callers that are dropped while the server is silent: what they sent still counts, and what was
/// not sent costs nothing.
#[test]
fn callers_that_left_are_charged_until_their_replies_come() {
    for background in BACKGROUNDS {
        for when_full in [WhenFull::Wait, WhenFull::Fail] {
            let silent = Silent::start();
            let (client, watched) = silent.client(when_full, background);
            run(async {
                for i in 0..2000 {
                    leave(client.set(i, value()), 1 + i % 3).await;
                }
                while watched.written() < BUDGET / 2 {
                    leave(client.set("more", value()), 3).await;
                }
                assert!(watched.written() <= BUDGET, "{} bytes", watched.written());
                silent.open();
                // It waits, or fails until there is room.
                while client.set("all", "v".repeat(BUDGET - 1000)).await.is_err() {
                    smol::future::yield_now().await;
                }
                let reply: String = client.send(cmd("ANY")).await.expect("good");
                assert_eq!(reply, "OK");
            });
        }
    }
}

/// What is larger than the limit goes alone: a command, and the commands of a pipeline. Beside
/// others it waits or fails, and so do others beside it.
#[test]
fn what_is_larger_than_the_budget_goes_alone() {
    for when_full in [WhenFull::Wait, WhenFull::Fail] {
        let silent = Silent::start();
        let (client, watched) = silent.client(when_full, true);
        let large = || client.set("large", "v".repeat(2 * BUDGET));
        let many = || {
            let set = || cmd("SET").key("k").arg(value());
            (0..2 * BUDGET / VALUE).fold(client.pipeline(), |p, _| p.add(set())).run::<Vec<()>>()
        };
        let small = || client.set("small", "v");
        let (mut first, mut second) =
            (Box::pin(small().into_future()), Box::pin(large().into_future()));
        until_true("the small one to be sent", || {
            assert!(poll_once(&mut first).is_none());
            watched.written() > 0
        });
        let told = ExpectedError::new(ErrorKind::Limit, Delivery::NotSent).command("SET");
        let told = told.attempts(0..=1).at(silent.script.address());
        let told = told.says("at most 65536 bytes, which node_bytes_max sets");
        let is_refused = |error: Option<Result<(), slotcar::Error>>| {
            let error = error.expect("it ends at once").expect_err("others are in flight");
            told.check(&error);
            assert_eq!(error.details(), Some(&limit()));
        };
        match when_full {
            WhenFull::Fail => is_refused(poll_once(&mut second)),
            _ => assert!(poll_once(&mut second).is_none()),
        }
        assert!(watched.written() < BUDGET, "it is not sent beside the other one");
        silent.open();
        run(first).expect("it is answered");
        if when_full == WhenFull::Wait {
            run(second).expect("it has waited");
        }
        run(large()).expect("it is alone");
        run(many()).expect("they are alone");
        assert!(watched.written() > 4 * BUDGET);
        // Nothing is sent beside it.
        silent.close();
        let mut first = Box::pin(large().into_future());
        assert!(poll_once(&mut first).is_none());
        let mut second = Box::pin(small().into_future());
        match when_full {
            WhenFull::Fail => is_refused(poll_once(&mut second)),
            _ => assert!(poll_once(&mut second).is_none()),
        }
        silent.open();
        run(first).expect("it is answered");
        if when_full == WhenFull::Wait {
            run(second).expect("it has waited");
        }
        run(small()).expect("there is room");
    }
}

/// A value of 100 MB, by default.
#[cfg(not(target_os = "wasi"))]
#[test]
fn a_value_larger_than_the_default_is_sent() {
    const LARGE: usize = 100_000_000;
    for server in super::servers() {
        let client = super::lazy(config(&server.url()));
        run(async {
            client.set("k", "v".repeat(LARGE)).await.expect("servers take up to 512 MB");
            assert_eq!(client.send::<usize>(cmd("STRLEN").key("k")).await.expect("good"), LARGE);
        });
    }
}

/// The limit is per node, however many connections lead to it.
#[test]
fn connections_share_the_limit() {
    let silent = Silent::start();
    let watched = Watched::new(Smol::new());
    let config = config(&silent.script.url()).node_bytes_max(BUDGET).when_full(WhenFull::Fail);
    let client =
        Client::connect_lazy(watched.clone(), config.connections_per_node(4)).expect("good");
    run(async {
        for i in 0..2000 {
            leave(client.set(i, value()), 3).await;
        }
        while watched.written() < BUDGET / 2 {
            leave(client.set("more", value()), 3).await;
        }
    });
    assert!(watched.written() <= BUDGET, "{} bytes", watched.written());
    silent.open();
    // What was left counts until its replies have come.
    until_true("room for one more", || {
        let answer = run(client.send::<Value>(cmd("ANY")));
        answer.is_ok_and(|value| value == Value::Text("OK".into()))
    });
}
