//! A server that does not answer: the limit of bytes in flight, deadlines and cancelled calls.
//!
//! The process is frozen, so its kernel accepts what its buffers hold and no more.

use crate::real::{Server, Version};
use crate::{block_on, pause};
use futures::future::{Either, join_all, select};
use slotcar::config::WhenFull;
use slotcar::prelude::*;
use slotcar::{Client, Config, Delivery, ErrorKind};
use std::pin::pin;
use std::time::{Duration, Instant};

/// Bytes that may be in flight.
const BUDGET: usize = 64 << 10;
/// Bytes of one value.
const VALUE: usize = 1 << 10;
/// How many calls there are: more than fit.
const CALLS: usize = 200;

async fn connect(server: &Server, when_full: WhenFull) -> Client {
    let config = Config::from_url(&server.url()).expect("a good URL");
    // A server that is frozen for longer is taken for dead.
    let config = config.progress_timeout(Duration::from_secs(60));
    let config = config.command_timeout(Duration::from_secs(60));
    let config = config.node_bytes_max(BUDGET).when_full(when_full);
    let client = slotcar::connect_with(config).await.expect("connect");
    client.ping().await.expect("ping");
    client
}

fn sets(client: &Client) -> impl Iterator<Item = slotcar::Call<'_, ()>> {
    (0..CALLS).map(|n| client.set(n, "v".repeat(VALUE)))
}

#[test]
fn at_the_limit_a_call_fails_if_so_configured() {
    let server = Server::start(&Version::any());
    block_on(async {
        let client = connect(&server, WhenFull::Fail).await;
        server.pause();
        let thaw = async {
            pause(Duration::from_millis(200)).await;
            server.resume();
        };
        let (results, ()) = futures::future::join(join_all(sets(&client)), thaw).await;
        let fit = results.iter().filter(|result| result.is_ok()).count();
        assert!((BUDGET / VALUE / 2..=BUDGET / VALUE).contains(&fit), "{fit} fit");
        for error in results.into_iter().filter_map(Result::err) {
            assert_eq!((error.kind(), error.delivery()), (ErrorKind::Limit, Delivery::NotSent));
        }
        client.set("all", "v".repeat(BUDGET - 1000)).await.expect("nothing is charged any more");
    });
}

#[test]
fn at_the_limit_a_call_waits_by_default() {
    let server = Server::start(&Version::any());
    block_on(async {
        let client = connect(&server, WhenFull::Wait).await;
        server.pause();
        let calls = pin!(join_all(sets(&client)));
        let Either::Right(((), calls)) =
            select(calls, pin!(pause(Duration::from_millis(200)))).await
        else {
            panic!("a frozen server answered");
        };
        server.resume();
        assert!(calls.await.iter().all(Result::is_ok), "all of them waited");
    });
}

#[test]
fn every_call_ends_at_its_own_deadline() {
    let server = Server::start(&Version::any());
    block_on(async {
        let client = connect(&server, WhenFull::Wait).await;
        server.pause();
        let calls = (1..=10_u32).map(|n| {
            let deadline = Duration::from_millis(50) * n;
            let client = client.with_timeout(deadline);
            async move {
                let began = Instant::now();
                let error = client.get::<()>("key").await.expect_err("no reply comes");
                (deadline, began.elapsed(), error.kind())
            }
        });
        for (deadline, took, kind) in join_all(calls).await {
            assert_eq!(kind, ErrorKind::Timeout);
            assert!(took >= deadline && took < deadline + Duration::from_secs(2), "{took:?}");
        }
        server.resume();
        for n in 0..20 {
            assert_eq!(client.echo::<u32>(n).await.expect("echo"), n, "a late reply is discarded");
        }
    });
}

#[test]
fn calls_that_are_dropped_while_the_server_is_frozen_cost_their_bytes_and_no_more() {
    let server = Server::start(&Version::any());
    block_on(async {
        let client = connect(&server, WhenFull::Wait).await;
        server.pause();
        for _ in 0..10 {
            let calls = pin!(join_all(sets(&client)));
            let Either::Right(_) = select(calls, pin!(pause(Duration::from_millis(10)))).await
            else {
                panic!("a frozen server answered");
            };
        }
        server.resume();
        client.set("all", "v".repeat(BUDGET - 1000)).await.expect("it waits its turn");
        for n in 0..20 {
            assert_eq!(client.echo::<u32>(n).await.expect("echo"), n);
        }
    });
}
