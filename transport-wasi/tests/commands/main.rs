//! The client inside of a component, against real servers outside of it.
//!
//! `SLOTCAR_SERVERS_AT` names the servers, as in `redis-7.0=6379,valkey-8.1=6380`: they listen on
//! those ports of 127.0.0.1 and, where the machine has it, of ::1. The suite `wasi` of
//! `slotcar-tests` starts them and sets it; without it the tests are skipped. The servers are
//! shared, so each test has its own keys. The transport's own timer bounds each test, so a lost
//! wake is a failure and not a hang.

#![cfg(all(target_os = "wasi", target_env = "p2"))]

mod calls;
mod counted;
mod ending;
mod failures;
mod typed;

use futures::future::{Either, select};
use slotcar::{Client, Error, Transport};
use slotcar_wasi::Wasi;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// The bound of each test.
const BOUND: Duration = Duration::from_secs(30);

/// The servers, by name and port; without servers prints that the test is skipped.
fn servers() -> Vec<(String, u16)> {
    let Ok(listed) = std::env::var("SLOTCAR_SERVERS_AT") else {
        println!("SKIPPED: SLOTCAR_SERVERS_AT is not set");
        return Vec::new();
    };
    let parse = |entry: &str| {
        let (name, port) = entry.split_once('=')?;
        Some((name.to_owned(), port.parse().ok()?))
    };
    listed.split(',').map(|entry| parse(entry).expect("NAME=PORT")).collect()
}

/// Runs a test against every server, which it gets as a URL.
fn on_servers(test: impl AsyncFn(&str) -> Result<(), Error>) {
    for (name, port) in servers() {
        let url = format!("redis://127.0.0.1:{port}");
        wstd::runtime::block_on(bounded(async {
            test(&url).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }));
    }
}

/// Runs a test against every server, with a client of its own.
fn on_clients(test: impl AsyncFn(&Client) -> Result<(), Error>) {
    on_servers(async |url| test(&slotcar::connect(url).await?).await);
}

async fn bounded(test: impl Future<Output = ()>) {
    let transport = Wasi::new();
    let limit = transport.sleep_until(transport.now().after(BOUND));
    if let Either::Right(_) = select(pin!(test), limit).await {
        panic!("no end after {BOUND:?}");
    }
}

/// Polls once, with the waker of the task.
async fn poll_now<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

async fn pause(duration: Duration) {
    let transport = Wasi::new();
    transport.sleep_until(transport.now().after(duration)).await;
}
