//! Many concurrent calls, calls that end early, and their cost in writes and timers.
//!
//! There is no background task: whichever call is polled moves the bytes of all.

use crate::counted::Counted;
use crate::{on_clients, on_servers, poll_now};
use futures::future::{join_all, try_join_all};
use slotcar::prelude::*;
use slotcar::{Client, Config, ErrorKind, cmd};
use std::pin::pin;
use std::time::Duration;

/// A hundred calls go out in few writes, each of complete commands: WASI cannot turn Nagle's
/// algorithm off, so a small write too early would wait.
#[test]
fn a_hundred_calls_at_once_leave_together() {
    on_servers(async |url| {
        let transport = Counted::default();
        let client = Client::connect(transport.clone(), Config::from_url(url)?).await?;
        try_join_all((0..100).map(|n| client.set(format!("calls:{n}"), n))).await?;
        let connected = transport.take();
        assert_eq!(connected.dials, 1);
        let calls = (0..100).map(|n| client.get::<u32>(format!("calls:{n}")));
        for (n, reply) in try_join_all(calls).await?.into_iter().enumerate() {
            assert_eq!(reply as usize, n);
        }
        let record = transport.take();
        let sizes: Vec<usize> = record.writes.iter().map(Vec::len).collect();
        assert!(record.writes.len() <= 2, "writes of {sizes:?} bytes");
        for write in connected.writes.iter().chain(&record.writes) {
            assert!(write.starts_with(b"*") && write.ends_with(b"\r\n"), "a command is split");
        }
        Ok(())
    });
}

/// One timer for the earliest deadline of a connection, whatever the number of calls.
#[test]
fn timers_do_not_grow_with_calls() {
    on_servers(async |url| {
        let transport = Counted::default();
        let client = Client::connect(transport.clone(), Config::from_url(url)?).await?;
        client.ping().await?;
        transport.take();
        for _ in 0..200 {
            client.ping().await?;
        }
        try_join_all((0..200).map(|_| client.ping())).await?;
        let sleeps = transport.take().sleeps;
        assert!(sleeps <= 2, "{sleeps} timers for 400 calls");
        Ok(())
    });
}

#[test]
fn a_deadline_ends_the_call_and_nothing_else() {
    on_clients(async |client| {
        let waiting = client.with_timeout(Duration::from_millis(50));
        client.set("calls:here", 1).await?;
        client.send::<()>(cmd("CLIENT").arg("PAUSE").arg(300).arg("WRITE")).await.ok();
        let call = waiting.send::<()>(cmd("BLPOP").arg("calls:none").arg(0));
        let error = call.await.expect_err("the list stays empty");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        // The late reply, if one comes, reaches no other call.
        for _ in 0..20 {
            assert_eq!(client.get::<u32>("calls:here").await?, 1);
        }
        Ok(())
    });
}

/// The reply of a call that was dropped reaches no other call.
#[test]
fn cancelled_calls_misalign_nothing() {
    on_clients(async |client| {
        client.set("calls:a", "a").await?;
        client.set("calls:b", "b").await?;
        for _ in 0..50 {
            let mut given_up = Box::pin(client.get::<String>("calls:a"));
            assert!(poll_now(given_up.as_mut()).await.is_pending());
            drop(given_up);
            assert_eq!(client.get::<String>("calls:b").await?, "b");
        }
        let many: Vec<_> = (0..50).map(|_| Box::pin(client.get::<String>("calls:a"))).collect();
        let mut many = many.into_iter();
        for mut call in many.by_ref().take(25) {
            assert!(poll_now(call.as_mut()).await.is_pending());
        }
        for reply in join_all(many).await {
            assert_eq!(reply?, "a");
        }
        assert_eq!(client.get::<String>("calls:b").await?, "b");
        Ok(())
    });
}

/// A call that was polled once and never again blocks no other call.
#[test]
fn a_call_that_is_never_polled_again_blocks_no_other() {
    on_clients(async |client| {
        client.set("calls:parked", "yes").await?;
        let mut parked = pin!(client.get::<String>("calls:parked"));
        assert!(poll_now(parked.as_mut()).await.is_pending());
        for _ in 0..20 {
            client.ping().await?;
        }
        try_join_all((0..20).map(|_| client.ping())).await?;
        assert_eq!(parked.await?, "yes");
        Ok(())
    });
}
