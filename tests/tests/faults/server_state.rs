//! Servers that die, freeze or fill up while commands are in flight.
//!
//! `patience.rs` has those that are only busy.

use super::{BACKGROUNDS, SHORT, config, connect, servers, versions};
use slotcar::command::incr;
use slotcar::prelude::*;
use slotcar::{Client, Delivery, ErrorKind, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::polling::{bounded, run};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Fault, Proxy, Server};
use slotcar_tests::{ExpectedError, Watched};
use std::time::Instant;

/// Bytes of a value that no socket buffer swallows whole.
const BIG: usize = 32 << 20;

/// Half of the reply has arrived when the process dies.
#[test]
fn killed_in_the_middle_of_a_reply() {
    for server in servers() {
        let proxy = Proxy::to(server.address());
        let config = config(&proxy.url()).attempts_max(2);
        let client = run(connect(config)).expect("good");
        run(client.setrange("big", BIG as u64 - 1, "x")).expect("good");
        let dump = cmd("EVAL").arg("redis.call('INCR', 'ran') return redis.call('GET', 'big')");
        let dump = dump.arg(0);
        let before = proxy.reply_bytes();
        // A script may write: it is not retried.
        let call = smol::spawn({
            let client = client.clone();
            async move { client.send::<Vec<u8>>(dump).await }
        });
        proxy.set(Fault::CutRepliesAfter(BIG as u64 / 2));
        until_true("half of the reply", || proxy.reply_bytes() > before + 1000);
        server.kill();
        let told = ExpectedError::new(ErrorKind::Connect, Delivery::Unknown).command("EVAL");
        told.at(proxy.address()).check_err(run(bounded(call)));
        server.restart();
        proxy.clear();
        assert_eq!(run(client.get::<Option<u64>>("ran")).expect("it is back"), None);
    }
}

/// When the process dies, all calls get an error that is true, and a read fails only at its
/// deadline.
#[test]
fn killed_with_many_in_flight() {
    for server in servers() {
        let client = run(connect(config(&server.url()))).expect("good");
        server.pause();
        let writes: Vec<_> = (0..50).map(|i| client.incr(i)).collect();
        let reads: Vec<_> = (50..100).map(|i| client.get::<Option<u64>>(i)).collect();
        let killed = async {
            // Each call is polled before this, and the first one is written.
            slotcar_tests::polling::yield_times(3).await;
            server.kill();
            server.restart();
        };
        let writes = futures::future::join_all(writes);
        let reads = futures::future::join_all(reads);
        let (writes, reads, ()) = run(futures::future::join3(writes, reads, killed));
        let told = ExpectedError::new(ErrorKind::Connect, Delivery::Unknown).command("INCR");
        let told = told.at(server.address());
        // What was not written yet is sent to the next server and counts there.
        assert!(writes.iter().any(Result::is_err), "the first was written");
        for write in writes {
            match write {
                Ok(count) => assert_eq!(count, 1),
                failed => told.check_err(failed),
            }
        }
        for read in reads {
            assert_eq!(read.expect("it is tried again"), None);
        }
    }
}

/// TCP reports no error. The writes end at their deadlines: the server may just be busy with them.
#[test]
fn frozen() {
    for server in servers() {
        let config = config(&server.url()).progress_timeout(SHORT).connect_timeout(SHORT);
        let client = run(connect(config)).expect("good");
        server.pause();
        let began = Instant::now();
        let told = ExpectedError::new(ErrorKind::Timeout, Delivery::Unknown).at(server.address());
        let told = told.says("no reply within 400ms");
        let brief = client.with_timeout(SHORT * 2);
        let all = futures::future::join_all((0..20).map(|i| brief.incr(i)));
        for result in run(all) {
            told.clone().command("INCR").check_err(result);
        }
        assert!(began.elapsed() >= SHORT * 2);
        // A read is retried until the server runs again.
        let read = smol::spawn({
            let client = client.clone();
            async move { client.get::<Option<u64>>(1).await }
        });
        std::thread::sleep(SHORT);
        server.resume();
        run(bounded(read)).expect("it thawed in time");
        run(client.incr("n")).expect("it thawed");
    }
}

/// Slow is not frozen: as long as bytes come, the connection stays.
#[test]
fn slow_is_not_frozen() {
    for server in servers() {
        let proxy = Proxy::to(server.address());
        let config = config(&proxy.url()).progress_timeout(SHORT);
        let client = run(connect(config)).expect("good");
        run(client.set("k", "v".repeat(20_000))).expect("good");
        proxy.set(Fault::OneByte);
        let began = Instant::now();
        let value: String = run(client.get("k")).expect("it keeps coming");
        assert_eq!(value.len(), 20_000);
        assert!(began.elapsed() > SHORT, "it took longer than the progress time-out");
        assert_eq!(proxy.accepted(), 1);
    }
}

#[test]
fn out_of_memory() {
    for server in servers() {
        let client = run(connect(config(&server.url()))).expect("good");
        run(client.set("k", "v")).expect("good");
        server.set_config("maxmemory", "1");
        let told = ExpectedError::new(ErrorKind::Server, Delivery::Refused).at(server.address());
        told.command("SET").code("OOM").says("OOM").check_err(run(client.set("k", "w")));
        assert_eq!(run(client.get::<String>("k")).expect("reads go on"), "v");
        server.set_config("maxmemory", "0");
        run(client.set("k", "w")).expect("there is room");
    }
}

/// A connection that the server closes while it is idle fails no command, with a background task
/// and without one.
#[test]
fn closed_while_idle() {
    for version in versions() {
        for background in BACKGROUNDS {
            let server = Server::start(&version);
            let watched = Watched::new(Smol::new());
            let watched = if background { watched } else { watched.without_background() };
            let config = config(&server.url());
            let client = run(Client::connect(watched.clone(), config)).expect("good");
            for round in 1..=5 {
                assert_eq!(server.kill_clients("normal"), 1, "{version}");
                if background {
                    until_true("the end to be noticed", || watched.streams() == 0);
                }
                assert_eq!(run(client.incr("n")).expect("on a new connection"), round);
            }
        }
    }
}

/// An earlier attempt may have run, though the last one found no connection: the delivery in the
/// error covers all attempts.
#[test]
fn delivery_is_that_of_all_attempts() {
    for server in servers() {
        let proxy = Proxy::to(server.address());
        // With a name, a connection carries nothing before its handshake was answered.
        let config = config(&proxy.url()).attempts_max(3).retry_unknown(true).client_name("me");
        let told = ExpectedError::new(ErrorKind::Connect, Delivery::Unknown).command("INCR");
        let told = told.attempts(3..=3).at(proxy.address()).says("no handshake");
        let client = run(connect(config)).expect("good");
        proxy.set(Fault::CutRepliesAfter(1));
        told.check_err(run(client.incr("n")));
        assert_eq!(server.call(&["GET", "n"]).text(), "1", "it ran");
        proxy.clear();
        run(client.get::<u64>("n")).expect("good");
        proxy.set(Fault::CutRepliesAfter(1));
        told.check_err(run(client.pipeline().add(incr("n")).run::<(i64,)>()));
        assert_eq!(server.call(&["GET", "n"]).text(), "2", "it ran");
    }
}
