//! A call that is polled once and never again blocks no other call: neither those in flight nor
//! later ones, with a background task and without one.

use super::{BACKGROUNDS, client, server};
use futures::future::join_all;
use slotcar::{Client, cmd};
use slotcar_tests::polling::{poll_once, run};

/// Calls that run next to those that are no longer polled.
const OTHERS: usize = 100;

/// A hundred calls, all at once and then one after the other: each gets its own reply.
async fn go_on(client: &Client, round: usize) {
    let token = |i: usize| format!("{round}.{i}");
    let echo = |i| client.send::<String>(cmd("ECHO").arg(token(i)));
    let all = join_all((0..OTHERS).map(echo)).await;
    for (i, reply) in all.into_iter().enumerate() {
        assert_eq!(reply.expect("no other call blocks it"), token(i));
    }
    for i in 0..OTHERS {
        assert_eq!(echo(i).await.expect("no other call blocks it"), token(i));
    }
}

/// The first call on an idle connection writes and would read; it is no longer polled.
#[test]
fn a_call_that_is_never_polled_again_blocks_no_other() {
    let server = server();
    for background in BACKGROUNDS {
        let (client, _) = client(&server, background);
        let mut parked = Vec::new();
        for round in 0..20 {
            let mut call = client.send::<String>(cmd("ECHO").arg(format!("parked {round}")));
            assert!(poll_once(&mut call).is_none(), "a reply takes longer than a poll");
            parked.push(call);
            run(go_on(&client, round));
        }
        // A call that is polled again finds its reply, however many calls came later.
        for (round, call) in parked.into_iter().enumerate() {
            assert_eq!(run(call).expect("it waits here"), format!("parked {round}"));
        }
    }
}

/// Many calls are in flight when one call and a pipeline are no longer polled and then dropped.
#[test]
fn parked_among_others_and_dropped() {
    let server = server();
    for background in BACKGROUNDS {
        let (client, _) = client(&server, background);
        for round in 0..20 {
            let mut calls: Vec<_> =
                (0..30).map(|i| client.send::<String>(cmd("ECHO").arg(i))).collect();
            let mut pipeline = Box::pin(
                (0..10).fold(client.pipeline(), |p, i| p.add(cmd("ECHO").arg(i))).run::<Vec<u8>>(),
            );
            calls.iter_mut().for_each(|call| assert!(poll_once(call).is_none()));
            // It may find its replies at once: it reads everything that has arrived.
            let _ = poll_once(&mut pipeline);
            run(go_on(&client, round));
            let kept = calls.split_off(15);
            drop(calls);
            run(go_on(&client, round));
            for (i, call) in kept.into_iter().enumerate() {
                assert_eq!(run(call).expect("it waits here"), (15 + i).to_string());
            }
        }
    }
}
