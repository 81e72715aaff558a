//! The three kinds of subscriptions without a background task: waiting for an update does all the
//! I/O, also dials and moves to other nodes.
//!
//! The twin of the native suite `pubsub`, whose tests use a subscription in several executors; here
//! a connection lives no longer than the one future that a program runs.

use crate::block_on;
use crate::reader::words;
use crate::real::cluster::key_in;
use crate::real::wait::BOUND;
use crate::real::{Cluster, Server, Version};
use futures::future::{Either, join, select};
use slotcar::config::{Protocol, WhenLagging};
use slotcar::prelude::*;
use slotcar::{Client, Config, Subscription, Update};
use std::cell::Cell;
use std::pin::pin;
use std::time::{Duration, Instant};

async fn connect(url: &str, protocol: Protocol) -> Client {
    let config = Config::from_url(url).expect("a good URL").protocol(protocol);
    slotcar::connect_with(config).await.expect("connect")
}

/// The next update, as a text.
async fn next(subscription: &mut Subscription) -> String {
    let update = subscription.next_within(BOUND).await.expect("an update in time");
    words(&update.expect("the stream goes on"))
}

/// The next `count` updates, as sorted texts.
async fn next_sorted(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push(next(subscription).await);
    }
    seen.sort();
    seen
}

#[test]
fn what_is_published_comes_on_every_version_in_both_protocols() {
    for version in Version::all() {
        let server = Server::start(&version);
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            block_on(async {
                let client = connect(&server.url(), protocol).await;
                let mut names = client.subscribe(["a", "b"]).await.expect("subscribe");
                let mut pattern = client.psubscribe("a*").await.expect("psubscribe");
                assert_eq!(next_sorted(&mut names, 2).await, ["+a", "+b"], "{version}");
                assert_eq!(next(&mut pattern).await, "+a*");
                for number in 0..100_u32 {
                    client.publish("a", number).await.expect("publish");
                    assert_eq!(client.echo::<u32>(number).await.expect("echo"), number);
                }
                for number in 0..100_u32 {
                    assert_eq!(next(&mut names).await, format!("a={number}"));
                    assert_eq!(next(&mut pattern).await, format!("a={number}"));
                }
                names.unsubscribe("a");
                assert_eq!(next(&mut names).await, "-a");
                if version.since_7() {
                    let mut sharded = client.ssubscribe("s").await.expect("ssubscribe");
                    assert_eq!(client.spublish("s", "hi").await.expect("spublish"), 1);
                    assert_eq!(next(&mut sharded).await, "+s");
                    assert_eq!(next(&mut sharded).await, "s=hi");
                }
            });
        }
    }
}

#[test]
fn a_cluster_is_one_publisher_of_every_version() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        block_on(async {
            let client = connect(&cluster.url(), Protocol::Resp3).await;
            let mut all = client.subscribe(["x", "y"]).await.expect("subscribe");
            all.psubscribe("x*");
            all.ready().await.expect("psubscribe");
            assert_eq!(next_sorted(&mut all, 3).await, ["+x", "+x*", "+y"]);
            client.publish("x", 1).await.expect("publish");
            assert_eq!(next_sorted(&mut all, 2).await, ["x=1", "x=1"]);
            if !version.since_7() {
                return;
            }
            let names = [100, 6000, 11000, 16000].map(key_in);
            all.ssubscribe(&names);
            all.ready().await.expect("ssubscribe");
            next_sorted(&mut all, 4).await;
            for name in &names {
                assert_eq!(client.spublish(name, "hi").await.expect("spublish"), 1);
                assert_eq!(next(&mut all).await, format!("{name}=hi"));
            }
        });
    }
}

#[test]
fn each_interruption_is_told_once() {
    let server = Server::start(&Version::any());
    for protocol in [Protocol::Resp3, Protocol::Resp2] {
        block_on(async {
            let client = connect(&server.url(), protocol).await;
            let mut all = client.subscribe(["a", "b"]).await.expect("subscribe");
            next_sorted(&mut all, 2).await;
            for round in 0..3_u32 {
                server.call(&["CLIENT", "KILL", "TYPE", "pubsub"]).ok();
                assert_eq!(next_sorted(&mut all, 2).await, ["gap a", "gap b"], "round {round}");
                client.publish("a", round).await.expect("publish");
                assert_eq!(next(&mut all).await, format!("a={round}"));
            }
        });
    }
}

/// A slot moves with its channels, and concurrent commands get their own replies.
#[test]
fn a_moved_slot_takes_its_channels_along() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    block_on(async {
        let client = connect(&cluster.url(), Protocol::Resp3).await;
        let (name, key) = (key_in(100), key_in(101));
        client.set(&key, "right").await.expect("set");
        let mut all = client.ssubscribe(&name).await.expect("ssubscribe");
        assert_eq!(next(&mut all).await, format!("+{name}"));
        let done = Cell::new(false);
        let gets = async {
            while !done.get() {
                assert_eq!(client.get::<String>(&key).await.expect("get"), "right");
            }
        };
        let moves = async {
            for round in 0..4_u32 {
                cluster.move_slot(100, if round % 2 == 0 { 1 } else { 0 });
                let seen = [next(&mut all).await, next(&mut all).await];
                assert_eq!(seen, [format!("moved {name}"), format!("gap {name}")]);
                assert_eq!(client.spublish(&name, round).await.expect("spublish"), 1);
                assert_eq!(next(&mut all).await, format!("{name}={round}"));
            }
            done.set(true);
        };
        join(gets, moves).await;
    });
}

/// Only the subscription is polled: it notices the loss, refreshes the topology and follows.
#[test]
fn a_dead_primary_is_followed_by_an_idle_subscriber() {
    let options = Cluster::of(&Version::any()).config("cluster-require-full-coverage no");
    let cluster = options.quick_failover().start();
    block_on(async {
        let client = connect(&cluster.url(), Protocol::Resp3).await;
        let name = key_in(100);
        let mut all = client.ssubscribe(&name).await.expect("ssubscribe");
        assert_eq!(next(&mut all).await, format!("+{name}"));
        cluster.node(0).kill();
        let killed = Instant::now();
        let mut seen = Vec::new();
        while !seen.contains(&format!("gap {name}")) {
            seen.push(next(&mut all).await);
        }
        println!("{seen:?} {:?} after the kill", killed.elapsed());
        loop {
            match client.spublish(&name, "hi").await {
                Ok(1) => break,
                _ => assert!(killed.elapsed() < BOUND, "no subscriber got the message"),
            }
        }
        while next(&mut all).await != format!("{name}=hi") {}
    });
}

/// A slow reader loses the oldest messages, gets their number, and slows no other caller.
#[test]
fn a_slow_reader_is_told_what_it_lost() {
    const COUNT: u64 = 20_000;
    let server = Server::start(&Version::any());
    block_on(async {
        let client = connect(&server.url(), Protocol::Resp3).await;
        let slow = client.subscribe("a").messages_max(1000).when_lagging(WhenLagging::DropOldest);
        let mut slow = slow.await.expect("subscribe");
        assert_eq!(next(&mut slow).await, "+a");
        for part in 0..COUNT / 1000 {
            let mut pipeline = client.pipeline();
            for number in part * 1000..(part + 1) * 1000 {
                pipeline.push(slotcar::command::publish("a", number));
            }
            let _: Vec<u64> = pipeline.run().await.expect("publish");
        }
        let (mut delivered, mut lost) = (0, 0);
        while delivered + lost < COUNT {
            let update = slow.next_within(BOUND).await.expect("in time").expect("it goes on");
            match update {
                Update::Message(message) => {
                    let number: u64 = message.text().expect("text").parse().expect("a number");
                    assert_eq!(number, delivered + lost, "one is missing in silence");
                    delivered += 1;
                }
                Update::Lagged(count) => lost += count,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((delivered, lost), (1000, COUNT - 1000));
    });
}

/// Dropping a wait for an update loses no update.
#[test]
fn an_update_survives_the_wait_that_was_dropped() {
    let server = Server::start(&Version::any());
    block_on(async {
        let client = connect(&server.url(), Protocol::Resp3).await;
        let mut all = client.subscribe("a").await.expect("subscribe");
        assert_eq!(next(&mut all).await, "+a");
        for round in 0..20_u32 {
            {
                let wait = pin!(all.next());
                let brief = pin!(crate::pause(Duration::from_millis(1)));
                assert!(matches!(select(wait, brief).await, Either::Right(_)), "nothing was sent");
            }
            client.publish("a", round).await.expect("publish");
            assert_eq!(next(&mut all).await, format!("a={round}"));
        }
    });
}
