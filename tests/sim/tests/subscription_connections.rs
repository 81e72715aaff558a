//! The connections of subscriptions: how many there are, when they are closed, and how soon one
//! that went silent is replaced. With and without background tasks.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use slotcar::config::{Protocol, SubscriptionConnection};
use slotcar::prelude::*;
use slotcar_sim::Sim;
use std::time::Duration;
use updates::{MS, both, client, next, next_sorted};

mod updates;

/// With the default configuration. Nothing but the open connections has failed.
#[test]
fn a_link_that_goes_silent_is_replaced_within_eight_seconds() {
    for protocol in [Protocol::Resp3, Protocol::Resp2] {
        both(Sim::standalone, |sim, background| async move {
            let client = client(&sim, background, sim.config().protocol(protocol));
            let mut all = client.subscribe("a").await.unwrap();
            assert_eq!(next(&mut all).await, "+a");
            // A minute without a message, in which the reader waits.
            let (began, accepted) = (sim.now(), sim.accepted("a"));
            let pings = sim.calls("a", "ping");
            all.next_within(Duration::from_secs(60)).await.expect_err("nothing is published");
            let pings = sim.calls("a", "ping") - pings;
            println!("{protocol:?}, background: {background}; {pings} probes in a minute");
            assert!((15..=20).contains(&pings), "{pings} probes");
            assert!(sim.now().since(began) >= Duration::from_secs(60));
            assert_eq!(sim.accepted("a"), accepted, "it was not silent");
            // In the middle of the wait for a probe's reply, and right after a message.
            for round in 0..2 {
                sim.silence_connections("a");
                let silent_since = sim.now();
                assert_eq!(next(&mut all).await, "gap a");
                let publisher = sim.client(sim.config()).await.unwrap();
                publisher.publish("a", round).await.unwrap();
                assert_eq!(next(&mut all).await, format!("a={round}"));
                let took = sim.now().since(silent_since);
                println!("back after {took:?}");
                assert!(took < Duration::from_secs(8), "{took:?}");
            }
        });
    }
}

/// One connection carries the commands and one the subscriptions, however many there are and
/// however often they come and go; where the configuration says so, one carries both.
#[test]
fn subscriptions_of_a_client_share_one_connection() {
    for shared in [false, true] {
        both(Sim::standalone, |sim, background| async move {
            let mut config = sim.config();
            if shared {
                config = config.subscription_connection(SubscriptionConnection::Shared);
            }
            let client = client(&sim, background, config);
            client.set("k", "v").await.unwrap();
            let expected = if shared { 1 } else { 2 };
            let mut kept = client.subscribe("kept").await.unwrap();
            for round in 0..50 {
                let mut one = client.subscribe(format!("c{round}")).await.unwrap();
                assert_eq!(next(&mut one).await, format!("+c{round}"));
                client.publish(format!("c{round}"), round).await.unwrap();
                assert_eq!(next(&mut one).await, format!("c{round}={round}"));
                client.get::<String>("k").await.unwrap();
            }
            assert_eq!(sim.connections("a"), expected);
            assert_eq!(sim.accepted("a"), expected as u64);
            drop(kept.next_within(MS * 10).await);
            drop(kept);
            // Kept for a while, or closed at once where nothing would close it later.
            sim.advance(Duration::from_secs(if background { 10 } else { 1 })).await;
            assert_eq!(sim.connections("a"), 1, "background: {background}");
            let mut again = client.subscribe("again").await.unwrap();
            assert_eq!(next(&mut again).await, "+again");
            assert_eq!(sim.connections("a"), expected);
            client.close();
            sim.advance(MS * 100).await;
            assert_eq!(sim.connections("a"), 0, "also those without a reader that is polled");
        });
    }
}

/// Each subscription connection is to a node that owns a wanted channel, and closed after it.
#[test]
fn a_connection_without_channels_is_closed() {
    both(
        || Sim::cluster(3, 0),
        |sim, background| async move {
            let client = client(&sim, background, sim.config());
            let mut all = client.ssubscribe(["foo", "bar", "hi"]).await.unwrap();
            next_sorted(&mut all, 3).await;
            let owner = |name| sim.owner_of(Sim::slot_of(name));
            let (left, stays) = (owner("foo"), owner("bar"));
            assert_ne!(left, stays);
            let at = |sim: &Sim| (sim.connections(&left), sim.connections(&stays));
            let before = at(&sim);
            all.sunsubscribe("foo");
            assert_eq!(next(&mut all).await, "-foo");
            let gone: Vec<_> = ["foo", "hi"].into_iter().filter(|n| owner(n) == left).collect();
            all.sunsubscribe(&gone);
            let _ = all.next_within(Duration::from_secs(10)).await;
            let _ = all.next_within(Duration::from_secs(10)).await;
            assert_eq!(at(&sim), (before.0 - 1, before.1));
        },
    );
}
