//! Slots move and nodes die: the subscription is back soon and reports the gap.
//!
//! Times are printed; the bounds are for a busy machine.

use super::reader::{next, words};
use slotcar::prelude::*;
use slotcar::{Client, Config, Subscription, Update};
use slotcar_tcp::Smol;
use slotcar_tests::background::{self, BackgroundWork};
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Fault, Proxy, Server, Version};
use smol::block_on;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn client(cluster: &Cluster) -> Client {
    block_on(Client::connect(Smol::new(), slotcar_tests::patient(&cluster.url()))).unwrap()
}

/// Reads until each channel reported a gap; returns the updates as text.
fn until_gaps(subscription: &mut Subscription, gaps: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.iter().filter(|w: &&String| w.starts_with("gap")).count() < gaps {
        seen.push(words(&next(subscription)));
    }
    seen
}

/// Callers that read keys of one slot on the same connection; each value is its key, so a reply of
/// another caller is seen.
struct Gets {
    /// Set to end it.
    stop: Arc<AtomicBool>,
    /// Replies of other callers.
    wrong: Arc<AtomicU64>,
    /// Replies.
    all: Arc<AtomicU64>,
    /// The callers.
    work: BackgroundWork,
}

impl Gets {
    fn start(client: &Client, callers: usize, tag: &str) -> Self {
        let keys: Vec<String> = (0..callers).map(|n| format!("{tag}:{n}")).collect();
        for key in &keys {
            block_on(client.set(key, key)).unwrap();
        }
        let (stop, wrong, all) = (Arc::default(), Arc::default(), Arc::default());
        let shared: (Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>) =
            (Arc::clone(&stop), Arc::clone(&wrong), Arc::clone(&all));
        let client = client.clone();
        let work = background::spawn(async move {
            let one = |key: String| {
                let (client, (stop, wrong, all)) = (&client, &shared);
                async move {
                    while !stop.load(Ordering::Relaxed) {
                        let value: Option<String> = client.get(&key).await.unwrap();
                        wrong.fetch_add(u64::from(value.as_ref() != Some(&key)), Ordering::Relaxed);
                        all.fetch_add(1, Ordering::Relaxed);
                    }
                }
            };
            futures::future::join_all(keys.into_iter().map(one)).await;
        });
        Self { stop, wrong, all, work }
    }

    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.work.join();
        (self.all.load(Ordering::Relaxed), self.wrong.load(Ordering::Relaxed))
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// 1000 GETs are in flight on the connection of a slot with three channels, which moves between two
/// shards 20 times.
#[test]
fn a_moved_slot_takes_its_channels_along_and_no_reply_is_wrong() {
    let cluster = Cluster::of(&Version::any()).start();
    let client = client(&cluster);
    let slot = 100;
    let names = ["a", "b", "c"].map(|name| format!("{}{name}", key_in(slot)));
    let mut all = block_on(client.ssubscribe(&names).into_future()).unwrap();
    (0..3).for_each(|_| drop(next(&mut all)));
    // Slots 101 and 6001 are neighbours of the moving one at both of its owners.
    let gets = [101, 6001].map(|slot| Gets::start(&client, 1000, &key_in(slot)));
    let (zero, one) = (cluster.primary_of(101), cluster.primary_of(6001));
    let mut times = Vec::new();
    for round in 0..20 {
        let (from, to) = if round % 2 == 0 { (zero, one) } else { (one, zero) };
        cluster.begin_move(slot, to);
        let id = cluster.id(to).to_owned();
        let number = slot.to_string();
        let words = ["CLUSTER", "SETSLOT", &number, "NODE", &id];
        cluster.node(to).call(&words).ok();
        let moved = Instant::now();
        cluster.node(from).call(&words).ok();
        let seen = until_gaps(&mut all, 3);
        times.push(moved.elapsed());
        let count = |word: &str| seen.iter().filter(|w| w.starts_with(word)).count();
        assert_eq!((count("moved"), count("gap"), seen.len()), (3, 3, 6), "{seen:?}");
        for name in &names {
            assert_eq!(block_on(client.spublish(name, round)).unwrap(), 1);
            assert_eq!(words_of(&mut all), format!("{name}={round}"));
        }
        // The other nodes, too; not these two again: SETSLOT at an owner drops its channels.
        for other in (0..6).filter(|node| ![from, to].contains(node)) {
            let _ = cluster.node(other).try_call(&words);
        }
        cluster.wait_until_owner(slot, to);
    }
    for gets in gets {
        let (replies, wrong) = gets.stop();
        println!("{replies} replies beside, {wrong} of them wrong");
        assert_eq!(wrong, 0);
    }
    println!("resubscribed after {:?} (median of 20), {times:?}", median(times.clone()));
    assert!(median(times) < Duration::from_millis(500));
}

fn words_of(subscription: &mut Subscription) -> String {
    words(&next(subscription))
}

/// An idle client: only the subscription can notice the move.
#[test]
fn an_idle_client_follows_a_moved_slot() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    let client = client(&cluster);
    let name = key_in(100);
    let mut all = block_on(client.ssubscribe(&name).into_future()).unwrap();
    assert_eq!(words_of(&mut all), format!("+{name}"));
    let to = cluster.primary_of(6000);
    cluster.move_slot(100, to);
    assert_eq!(until_gaps(&mut all, 1), [format!("moved {name}"), format!("gap {name}")]);
    assert_eq!(block_on(client.spublish(&name, "hi")).unwrap(), 1);
    assert_eq!(words_of(&mut all), format!("{name}=hi"));
}

/// The primary of three channels dies, with an idle client and with a busy one.
#[test]
fn a_dead_primary_is_followed() {
    for busy in [false, true] {
        let cluster = Cluster::of(&Version::any()).config("cluster-require-full-coverage no");
        let cluster = cluster.quick_failover().start();
        let client = client(&cluster);
        let names = ["a", "b", "c"].map(|name| format!("{}{name}", key_in(100)));
        let mut all = block_on(client.ssubscribe(&names).into_future()).unwrap();
        (0..3).for_each(|_| drop(next(&mut all)));
        let gets = busy.then(|| Gets::start(&client, 50, &key_in(6001)));
        let old = cluster.primary_of(100);
        let new = cluster.replica_of(old);
        cluster.node(old).kill();
        // Polled often: this measures when the promotion was.
        let promoted = loop {
            let role = cluster.node(new).call(&["ROLE"]);
            if role.items()[0].text() == "master" {
                break Instant::now();
            }
            background::nap(Duration::from_micros(100));
        };
        let seen = until_gaps(&mut all, 3);
        let took = promoted.elapsed();
        assert_eq!(seen.len(), 6, "{seen:?}");
        println!("busy: {busy}; {took:?} after the promotion");
        assert!(took < Duration::from_secs(3), "{took:?}");
        until_true("the message to arrive", || {
            block_on(client.spublish(&names[0], "hi")).is_ok_and(|count| count == 1)
        });
        assert_eq!(words_of(&mut all), format!("{}=hi", names[0]));
        if let Some(gets) = gets {
            assert_eq!(gets.stop().1, 0);
        }
    }
}

/// A planned failover: the old primary drops the channel and becomes a replica, where the client
/// may subscribe again until it knows the new primary; then it moves without another gap.
#[test]
fn a_planned_failover_is_one_gap() {
    let cluster = Cluster::of(&Version::any()).start();
    let client = client(&cluster);
    let name = key_in(100);
    let mut all = block_on(client.ssubscribe(&name).into_future()).unwrap();
    assert_eq!(words_of(&mut all), format!("+{name}"));
    let old = cluster.primary_of(100);
    let new = cluster.replica_of(old);
    cluster.failover(new, slotcar_tests::real::Failover::Graceful);
    cluster.wait_until_agreed();
    block_on(client.refresh()).unwrap();
    let mut seen = [words_of(&mut all), words_of(&mut all)];
    seen.sort();
    assert_eq!(seen, [format!("gap {name}"), format!("moved {name}")]);
    block_on(client.spublish(&name, "hi")).unwrap();
    assert_eq!(words_of(&mut all), format!("{name}=hi"));
    until_true("the old one to be left", || {
        cluster.node(old).call(&["PUBSUB", "SHARDCHANNELS"]).items().is_empty()
    });
}

/// The node of the classic channels dies: they move to another node at once.
#[test]
fn classic_channels_leave_a_dead_node() {
    let cluster = Cluster::of(&Version::any()).config("cluster-require-full-coverage no").start();
    let client = client(&cluster);
    let names = ["a", "b"].map(|name| format!("{}{name}", key_in(100)));
    let mut all = block_on(client.subscribe(&names).into_future()).unwrap();
    all.psubscribe(format!("{}*", key_in(101)));
    block_on(all.ready()).unwrap();
    (0..3).for_each(|_| drop(next(&mut all)));
    let home = cluster.primary_of(100);
    cluster.node(home).kill();
    let killed = Instant::now();
    let seen = until_gaps(&mut all, 3);
    let took = killed.elapsed();
    println!("{took:?} after the kill: {seen:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let other = cluster.primary_of(6000);
    cluster.node(other).call(&["PUBLISH", &names[0], "hi"]).ok();
    assert_eq!(words_of(&mut all), format!("{}=hi", names[0]));
}

/// The node restarts on a new address with its old id.
#[test]
fn subscriptions_follow_new_addresses() {
    let cluster = Cluster::of(&Version::any()).start();
    let client = client(&cluster);
    let name = key_in(100);
    let mut all = block_on(client.ssubscribe(&name).into_future()).unwrap();
    assert_eq!(words_of(&mut all), format!("+{name}"));
    let node = cluster.replica_of(cluster.primary_of(100));
    cluster.failover(node, slotcar_tests::real::Failover::Graceful);
    cluster.wait_until_agreed();
    block_on(client.refresh()).unwrap();
    until_true("the new primary to be found", || {
        cluster.node(node).call(&["PUBSUB", "SHARDCHANNELS"]).items().len() == 1
    });
    let moved_and_gap = [words_of(&mut all), words_of(&mut all)];
    println!("{moved_and_gap:?}");
    cluster.restart_elsewhere(node);
    let seen = until_gaps(&mut all, 1);
    println!("{seen:?}");
    until_true("a message to arrive", || {
        block_on(client.spublish(&name, "hi")).is_ok_and(|count| count == 1)
    });
    let mut last = words_of(&mut all);
    while last.starts_with("moved") || last.starts_with("gap") {
        last = words_of(&mut all);
    }
    assert_eq!(last, format!("{name}=hi"));
}

/// One server: the connection is cut again and again; each cut is one gap for each channel.
#[test]
fn each_interruption_is_told_once() {
    for protocol in [slotcar::config::Protocol::Resp3, slotcar::config::Protocol::Resp2] {
        let server = Server::start(&Version::any());
        let config = slotcar_tests::patient(&server.url()).protocol(protocol);
        let client = block_on(Client::connect(Smol::new(), config)).unwrap();
        let mut all = block_on(client.subscribe(["a", "b"]).into_future()).unwrap();
        (0..2).for_each(|_| drop(next(&mut all)));
        for round in 0..5 {
            server.call(&["CLIENT", "KILL", "TYPE", "pubsub"]).ok();
            let mut seen = until_gaps(&mut all, 2);
            seen.sort();
            assert_eq!(seen, ["gap a", "gap b"], "round {round}");
            block_on(client.publish("a", round)).unwrap();
            assert_eq!(words_of(&mut all), format!("a={round}"));
        }
    }
}

/// Channels are removed and added while the connection is down: the server sees only the final set.
#[test]
fn what_was_removed_while_disconnected_does_not_come_back() {
    let server = Server::start(&Version::any());
    let config = slotcar_tests::patient(&server.url());
    let client = block_on(Client::connect(Smol::new(), config)).unwrap();
    let mut all = block_on(client.ssubscribe(["a", "b"]).into_future()).unwrap();
    (0..2).for_each(|_| drop(next(&mut all)));
    server.kill();
    until_true("the loss to be noticed", || !all.is_live());
    all.sunsubscribe(["a", "b"]);
    all.ssubscribe(["b", "c"]);
    server.restart();
    block_on(all.ready()).unwrap();
    assert_eq!(block_on(client.pubsub_shardchannels([""; 0])).unwrap(), ["b", "c"]);
    let mut seen: Vec<_> = (0..4).map(|_| words_of(&mut all)).collect();
    seen.sort();
    assert_eq!(seen, ["+b", "+c", "-a", "-b"]);
    all.sunsubscribe("b");
    all.ssubscribe("b");
    block_on(all.ready()).unwrap();
    assert_eq!(block_on(client.pubsub_shardchannels([""; 0])).unwrap(), ["b", "c"]);
    assert_eq!([words_of(&mut all), words_of(&mut all)], ["-b", "+b"]);
}

/// A server that hangs is noticed by an idle subscriber, with the cause `Silent`.
#[test]
fn a_silent_server_is_noticed() {
    let server = Server::start(&Version::any());
    let config = Config::from_url(&server.url())
        .unwrap()
        .probe_interval(Duration::from_millis(200))
        .progress_timeout(Duration::from_millis(300));
    let client = block_on(Client::connect(Smol::new(), config)).unwrap();
    let mut all = block_on(client.subscribe("a").into_future()).unwrap();
    assert_eq!(words_of(&mut all), "+a");
    server.pause();
    until_true("the silence to be noticed", || !all.is_live());
    server.resume();
    let Update::Gap { cause, duration, .. } = next(&mut all) else { panic!("a gap") };
    assert_eq!(cause, slotcar::GapCause::Silent);
    assert!(duration >= Duration::from_millis(300), "since its last frame: {duration:?}");
}

/// The path to the server swallows everything for a while: with the default configuration, the
/// subscription notices, connects again, and says what it may have missed.
#[test]
fn a_black_hole_below_an_idle_subscriber_is_noticed() {
    for protocol in [slotcar::config::Protocol::Resp3, slotcar::config::Protocol::Resp2] {
        let server = Server::start(&Version::any());
        let proxy = Proxy::to(server.address());
        let config = slotcar_tests::patient(&proxy.url()).protocol(protocol);
        let client = block_on(Client::connect(Smol::new(), config)).unwrap();
        let mut all = block_on(client.subscribe("a").into_future()).unwrap();
        assert_eq!(words_of(&mut all), "+a");
        proxy.set(Fault::BlackHole);
        let began = Instant::now();
        until_true("the silence to be noticed", || !all.is_live());
        let noticed = began.elapsed();
        proxy.clear();
        let Update::Gap { cause, .. } = next(&mut all) else { panic!("a gap") };
        assert_eq!(cause, slotcar::GapCause::Silent);
        println!("{protocol:?}: noticed after {noticed:?}, back after {:?}", began.elapsed());
        server.call(&["PUBLISH", "a", "hi"]).ok();
        assert_eq!(words_of(&mut all), "a=hi");
    }
}

/// With a policy that reads from replicas, a channel is subscribed at one replica and nowhere else.
#[test]
fn a_replica_serves_channels_where_the_policy_says_so() {
    let cluster = Cluster::of(&Version::any()).start();
    let client = client(&cluster).with_read_from(slotcar::ReadFrom::Replica);
    let name = key_in(100);
    let primary = cluster.primary_of(100);
    let replica = cluster.replica_of(primary);
    let mut all = block_on(client.ssubscribe(&name).into_future()).unwrap();
    assert_eq!(words_of(&mut all), format!("+{name}"));
    let channels =
        |node: usize| cluster.node(node).call(&["PUBSUB", "SHARDCHANNELS"]).items().len();
    assert_eq!((channels(primary), channels(replica)), (0, 1));
    block_on(client.spublish(&name, "hi")).unwrap();
    assert_eq!(words_of(&mut all), format!("{name}=hi"));
    drop(all);
    until_true("the replica to be left", || channels(replica) == 0);
}
