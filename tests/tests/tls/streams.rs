//! The encrypted stream under load and under faults: big values, tiny pieces, resets, and callers
//! that cancel.

use super::{Carrier, SHARED, carriers, lazy};
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use slotcar::prelude::*;
use slotcar::{Client, Delivery, ErrorKind, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::Watched;
use slotcar_tests::polling::{DroppedAfter, run};
use slotcar_tests::real::{Fault, Proxy, Server, Version};
use std::time::Duration;

fn server() -> Server {
    Server::of(&Version::any()).config(&SHARED.addresses.listening()).start()
}

/// A megabyte that is different for each `number`.
fn big(number: usize) -> Vec<u8> {
    (0..1 << 20).map(|at| (at * 31 + number * 7 + (at >> 8)) as u8).collect()
}

/// 64 tasks write and read a megabyte each through one connection, both ways at once.
#[test]
fn big_values_pass_both_ways_at_once() {
    let server = server();
    for carrier in carriers() {
        let client = lazy(carrier, server.tls_address());
        run(async {
            let tasks = (0..64_usize).map(|number| {
                let client = client.clone();
                async move {
                    let (key, value) = (format!("big{number}"), big(number));
                    client.set(&key, &value).await.expect("SET");
                    let pipeline = client.pipeline().add(slotcar::command::get(&key));
                    let pipeline = pipeline.add(cmd("STRLEN").key(&key));
                    let (read, len): (slotcar::Blob, usize) = pipeline.run().await.expect("GET");
                    assert_eq!(len, 1 << 20);
                    assert!(read.as_ref() == value.as_slice(), "value {number} is another");
                }
            });
            join_all(tasks).await;
        });
        assert_eq!(server.client_count(), 1, "one connection for all");
    }
}

/// Reads and writes of a few bytes, which end in the middle of records.
#[test]
fn records_may_come_and_go_in_pieces() {
    let server = server();
    for seed in 1..=8 {
        let watched = Watched::new(Smol::new()).shredding(seed);
        let client = lazy(Carrier::over(watched), server.tls_address());
        run(async {
            for number in 0..20_u32 {
                client.set("k", number).await.expect("SET");
                assert_eq!(client.get::<u32>("k").await.expect("GET"), number);
            }
            let value = "x".repeat(40_000);
            client.set("long", &value).await.expect("SET");
            assert_eq!(client.get::<String>("long").await.expect("GET"), value);
        });
    }
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let server = server();
    let proxy = Proxy::to(server.tls_address());
    proxy.set(Fault::OneByte);
    for carrier in carriers() {
        let client = lazy(carrier, proxy.address());
        run(async {
            client.set("k", "v".repeat(500)).await.expect("SET");
            assert_eq!(client.get::<String>("k").await.expect("GET"), "v".repeat(500));
        });
    }
}

/// A connection that is cut under load: reads are retried, no reply is wrong, and the error of a
/// command that may have run says so.
#[test]
fn a_stream_that_is_cut_is_a_lost_connection() {
    let server = server();
    let proxy = Proxy::to(server.tls_address());
    for carrier in carriers() {
        let client = lazy(carrier, proxy.address());
        run(async {
            client.set("k", "v".repeat(2000)).await.expect("SET");
            for after in [1, 10, 50, 500, 1500] {
                proxy.set(Fault::CutRepliesAfter(after));
                let write = client.send::<u64>(cmd("INCR").key("count")).await;
                if let Err(error) = write {
                    assert_ne!(error.kind(), ErrorKind::Protocol, "{error:?}");
                    assert_ne!(error.delivery(), Delivery::Answered, "{error:?}");
                }
                proxy.set(Fault::Pass);
                let read = client.get::<String>("k").await.expect("a read is sent again");
                assert_eq!(read.len(), 2000);
            }
        });
    }
}

/// Callers that cancel at any time take no reply of another caller, and end no dial.
#[test]
fn calls_that_are_dropped_leave_the_others_alone() {
    let server = server();
    for carrier in carriers() {
        for polls in 0..6 {
            // A client of its own, so that the first polls are within the handshake.
            let client: Client = lazy(carrier.clone(), server.tls_address());
            run(async {
                let dropped = (0..20_u32).map(|number| {
                    let call = Box::pin(client.send::<u32>(cmd("ECHO").arg(1000 + number)));
                    DroppedAfter::new(call, polls)
                });
                let mut dropped: FuturesUnordered<_> = dropped.collect();
                let others = join_all((0..20_u32).map(|n| client.send::<u32>(cmd("ECHO").arg(n))));
                let gone = async { while dropped.next().await.is_some() {} };
                let (others, ()) = futures::future::join(others, gone).await;
                assert!(others.into_iter().zip(0..).all(|(r, n)| r.is_ok_and(|r| r == n)));
            });
        }
    }
}

/// An idle connection costs nothing: nothing is polled without a wake.
#[test]
fn an_idle_connection_is_left_alone() {
    let server = server();
    let watched = Watched::new(Smol::new());
    let client = lazy(Carrier::over(watched.clone()), server.tls_address());
    run(client.ping()).expect("PING");
    let before = watched.written();
    run(async {
        let brief = client.with_timeout(Duration::from_millis(300));
        brief.send::<()>(cmd("BLPOP").key("none").arg(0)).await.expect_err("the list stays empty");
    });
    // The blocking call has an exclusive connection; nothing went over the first one.
    assert_eq!(watched.writes()[0].iter().map(Vec::len).sum::<usize>(), before);
}
