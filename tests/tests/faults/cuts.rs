//! Connections that are cut at any byte.
//!
//! **Invariants**: a command that may run once runs at most once; reads are retried; each reply
//! reaches its own caller.

use super::{config, connect, servers};
use futures::future::{Either, join_all, select};
use slotcar::prelude::*;
use slotcar::{Client, Delivery, Error, ErrorKind, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::Watched;
use slotcar_tests::polling::run;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Fault, Proxy, Server};
use slotcar_tests::watched::next;
use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

/// Connections cut in each test and version.
const CUTS: u64 = 60;
/// Concurrent callers.
const CALLERS: usize = 8;
/// Concurrent reads: their replies are about as long as a connection lasts.
const READS: usize = 50;

/// The results of many INCR of one counter.
#[derive(Default)]
struct Tally {
    /// Replies: each value comes once.
    counted: BTreeSet<i64>,
    /// How many may have run.
    unknown: usize,
}

impl Tally {
    fn note(&mut self, result: Result<i64, Error>) {
        match result {
            Ok(n) => assert!(self.counted.insert(n), "{n} was counted twice"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
                assert_eq!(
                    error.delivery(),
                    Delivery::Unknown,
                    "NotSent is tried again: {error:?}"
                );
                self.unknown += 1;
            }
        }
    }

    #[track_caller]
    fn check(&self, server: &Server) {
        let count = server.call(&["GET", "n"]).integer().unwrap_or(0);
        let sure = self.counted.len();
        let most = sure + self.unknown;
        let count = usize::try_from(count).expect("it only grows");
        assert!((sure..=most).contains(&count), "{count} ran, {sure} counted, {most} at most");
        assert!(self.unknown > 0 && sure > 0, "the cuts fell beside: {sure} of {most}");
    }
}

/// Runs `calls` while each connection is cut after a random number of bytes, of requests or of
/// replies; some are too few for a handshake.
async fn while_cutting<T>(proxy: &Proxy, random: &mut u64, calls: impl Future<Output = T>) -> T {
    let cuts = async {
        loop {
            *random = next(*random);
            let bytes = *random >> 32 & 0x3ff;
            proxy.set(match *random & 1 {
                0 => Fault::CutRequestsAfter(bytes),
                _ => Fault::CutRepliesAfter(bytes),
            });
            smol::Timer::after(Duration::from_millis(5)).await;
        }
    };
    match select(pin!(calls), pin!(cuts)).await {
        Either::Left((output, _)) => output,
        Either::Right(((), _)) => unreachable!("the cuts have no end"),
    }
}

#[test]
fn incr_never_runs_twice() {
    for server in servers() {
        let proxy = Proxy::to(server.address());
        let config = config(&proxy.url()).attempts_max(100_000);
        let client = run(connect(config)).expect("good");
        let mut random = 0x9e37_79b9;
        let mut tally = Tally::default();
        let before = proxy.accepted();
        while proxy.accepted() < before + CUTS {
            let calls = join_all((0..CALLERS).map(|_| client.incr("n")));
            let results = run(while_cutting(&proxy, &mut random, calls));
            results.into_iter().for_each(|result| tally.note(result));
            let each = (0..CALLERS).fold(client.pipeline(), |p, _| p.add(cmd("INCR").key("n")));
            let results = run(while_cutting(&proxy, &mut random, each.run_each()));
            for result in results.expect("each has its own") {
                tally.note(result.and_then(|reply| reply.decode()));
            }
        }
        proxy.clear();
        tally.check(&server);
        // With `retry_unknown` the count is a lower bound, and no call fails.
        let sure = tally.counted.len();
        assert!(run(client.get::<usize>("n")).expect("good") >= sure);
    }
}

#[test]
fn reads_are_read_again() {
    for server in servers() {
        let proxy = Proxy::to(server.address());
        let config = config(&proxy.url()).attempts_max(100_000);
        let client = run(connect(config)).expect("good");
        for i in 0..100 {
            run(client.set(i, format!("value {i}"))).expect("good");
        }
        let mut random = 0x1234_5678;
        let before = proxy.accepted();
        while proxy.accepted() < before + CUTS {
            let calls = join_all((0..READS).map(|i| client.get::<String>(i)));
            let values = run(while_cutting(&proxy, &mut random, calls));
            for (i, value) in values.into_iter().enumerate() {
                assert_eq!(value.expect("reads survive"), format!("value {i}"));
            }
            let each = (0..READS).fold(client.pipeline(), |p, i| p.add(cmd("GET").key(i)));
            let values = while_cutting(&proxy, &mut random, each.run::<Vec<String>>());
            let values = run(values).expect("reads survive");
            for (i, value) in values.into_iter().enumerate() {
                assert_eq!(value, format!("value {i}"));
            }
        }
    }
}

/// The stream fails on the client's side after any number of bytes: commands that were not written
/// completely are sent again, the others are not.
#[test]
fn a_stream_that_breaks_while_writing() {
    for server in servers() {
        let watched = Watched::new(Smol::new());
        let config = config(&server.url()).attempts_max(100_000);
        let client = Client::connect_lazy(watched.clone(), config.clone()).expect("good");
        let mut tally = Tally::default();
        let mut random = 77;
        for _ in 0..CUTS {
            random = next(random);
            watched.break_after(200 + (random >> 32 & 0x1ff));
            let calls = join_all((0..CALLERS).map(|_| client.incr("n")));
            run(calls).into_iter().for_each(|r| tally.note(r));
        }
        tally.check(&server);
        // With one attempt, each command says whether it was sent.
        let once = Client::connect_lazy(watched.clone(), config.attempts_max(1)).expect("good");
        watched.break_after(0);
        run(once.set("n", 0)).expect("good");
        let head = watched.writes().last().expect("a stream")[0].len();
        server.kill_clients("normal");
        until_true("the ends to be noticed", || watched.streams() == 0);
        let incr = "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n".len();
        // The bytes of the handshake, and then three and a half commands.
        let set = "*3\r\n$3\r\nSET\r\n$1\r\nn\r\n$1\r\n0\r\n".len();
        watched.break_after((head - set + incr * 3 + incr / 2) as u64);
        let each = (0..6).fold(once.pipeline(), |p, _| p.add(cmd("INCR").key("n")));
        let each = each.run_each();
        let each = run(each).expect("each has its own");
        let told: Vec<Option<Delivery>> =
            each.iter().map(|r| r.as_ref().err().map(Error::delivery)).collect();
        let (unknown, not_sent) = (Some(Delivery::Unknown), Some(Delivery::NotSent));
        let lost = told.iter().take(3).all(|d| *d == unknown || d.is_none());
        assert!(lost && told[3..].iter().all(|d| *d == not_sent), "{told:?}");
    }
}
