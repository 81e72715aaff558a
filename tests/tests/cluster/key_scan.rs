//! Scans of one key's elements, while its server restarts, fails over, loses connections, or gives
//! the key away: over real servers of every version.
//!
//! **Invariant**: an element that is in it during the whole scan is returned at least once.

use futures::TryStreamExt;
use slotcar::command::ScanOptions;
use slotcar::prelude::*;
use slotcar::{Client, KeyScan, Slot, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::real::{Cluster, Failover, Server, Version};
use std::collections::BTreeSet;

/// More than fits into a few pages.
const ELEMENTS: usize = 30_000;
/// Elements of a page.
const PAGE: u64 = 100;

fn members() -> impl Iterator<Item = String> + Clone {
    (0..ELEMENTS).map(|n| format!("member:{n}"))
}

fn all() -> BTreeSet<String> {
    members().collect()
}

async fn connect(url: &str) -> Client {
    Client::connect(Smol::new(), slotcar_tests::patient(url)).await.expect("a cluster")
}

/// Fills a hash, a set and a sorted set.
async fn fill(client: &Client, keys: [&str; 3]) {
    let members: Vec<String> = members().collect();
    for some in members.chunks(5000) {
        let [hash, set, sorted] = keys;
        let pairs = some.iter().flat_map(|member| [member.as_str(), "1"]);
        let _: () = client.send(cmd("HSET").key(hash).args(pairs)).await.expect("a write");
        let _: () = client.send(cmd("SADD").key(set).args(some)).await.expect("a write");
        let pairs = some.iter().flat_map(|member| ["1", member.as_str()]);
        let _: () = client.send(cmd("ZADD").key(sorted).args(pairs)).await.expect("a write");
    }
}

/// Scans to the end, and calls `disturb` each time that another so many elements were returned.
async fn scan<T: serde::de::DeserializeOwned>(
    mut scan: KeyScan<T>,
    name: impl Fn(T) -> String,
    every: usize,
    mut disturb: impl FnMut(usize),
) -> (BTreeSet<String>, usize) {
    let (mut found, mut taken) = (BTreeSet::new(), 0);
    while let Some(element) = scan.try_next().await.expect("a page") {
        found.insert(name(element));
        taken += 1;
        if taken % every == 0 {
            disturb(taken / every);
        }
    }
    (found, taken)
}

fn options() -> ScanOptions<'static> {
    ScanOptions::new().count(PAGE)
}

/// The same address, the same elements, another process: its cursors are others.
#[test]
fn a_restart_in_the_middle_costs_no_element() {
    for version in Version::all() {
        let server = Server::of(&version).config("appendonly yes\nappendfsync always").start();
        smol::block_on(async {
            let client = connect(&server.url()).await;
            fill(&client, ["h", "s", "z"]).await;
            let restart = |turn: usize| {
                if turn == 1 {
                    server.restart();
                }
            };
            let hash = client.hscan_all::<String, String>("h", options());
            let (found, taken) = scan(hash, |(field, _)| field, 10_000, restart).await;
            assert_eq!(found.len(), ELEMENTS, "{version}: HSCAN, {taken} taken");
            let set = client.sscan_all::<String>("s", options());
            let (found, taken) = scan(set, |member| member, 10_000, restart).await;
            assert_eq!(found, all(), "{version}: SSCAN, {taken} taken");
            let sorted = client.zscan_all::<String>("z", options());
            let (found, taken) = scan(sorted, |(member, _)| member, 10_000, restart).await;
            assert_eq!(found, all(), "{version}: ZSCAN, {taken} taken");
        });
    }
}

/// The process stays, its connections do not: the scan comes to its end, however often they are
/// cut.
#[test]
fn lost_connections_cost_no_element_and_do_not_keep_a_scan_from_its_end() {
    let server = Server::start(&Version::any());
    smol::block_on(async {
        let client = connect(&server.url()).await;
        fill(&client, ["h", "s", "z"]).await;
        let cut = |_| {
            server.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        };
        let set = client.sscan_all::<String>("s", options());
        let (found, taken) = scan(set, |member| member, 3000, cut).await;
        assert_eq!(found, all());
        assert!(taken < 2 * ELEMENTS, "it begins anew once at most: {taken} elements were taken");
    });
}

/// A page may travel over any of several connections to the process.
#[test]
fn several_connections_lead_to_one_process() {
    let server = Server::start(&Version::any());
    smol::block_on(async {
        let config = slotcar_tests::patient(&server.url()).connections_per_node(4);
        let client = Client::connect(Smol::new(), config).await.unwrap();
        fill(&client, ["h", "s", "z"]).await;
        for _ in 0..50 {
            client.set("other", 1).await.unwrap();
        }
        let set = client.sscan_all::<String>("s", options());
        let mut others = Vec::new();
        let (found, taken) = scan(
            set,
            |member| member,
            100,
            |_| {
                let client = client.clone();
                others
                    .push(smol::spawn(async move { client.get::<String>("other").await.unwrap() }));
            },
        )
        .await;
        for other in others {
            other.await;
        }
        assert_eq!(found, all());
        assert!(taken < ELEMENTS + ELEMENTS / 10, "{taken} elements were taken");
        assert_eq!(info_calls(&server), 0, "one connection brought all pages: nothing was asked");
    });
}

/// How often INFO was called, but for the harness's own call.
fn info_calls(server: &Server) -> u64 {
    let stats = server.call(&["INFO", "commandstats"]).text().to_owned();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_info:calls="));
    let count = line.and_then(|line| line.split(',').next()).and_then(|count| count.parse().ok());
    count.unwrap_or_default()
}

/// A user who may not ask for the process, and a restart: the scan begins anew and ends.
#[test]
fn a_server_that_does_not_tell_its_process_is_scanned_whole() {
    let version = Version::any();
    let lines = "appendonly yes\nappendfsync always\nuser app on >secret ~* +@all -info";
    let server = Server::of(&version).config(lines).start();
    smol::block_on(async {
        let url = server.url().replace("redis://", "redis://app:secret@");
        let client = connect(&url).await;
        fill(&client, ["h", "s", "z"]).await;
        let disturb = |turn: usize| match turn {
            1 => server.restart(),
            2 => {
                server.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            }
            _ => {}
        };
        let set = client.sscan_all::<String>("s", options());
        let (found, _) = scan(set, |member| member, 10_000, disturb).await;
        assert_eq!(found, all());
        // The same for all keys.
        let keys: BTreeSet<String> = (0..3000).map(|n| format!("key:{n}")).collect();
        client.mset(keys.iter().map(|key| (key, 1))).await.unwrap();
        let mut scan = client.scan_all::<String>(options().matching("key:*"));
        let (mut found, mut taken) = (BTreeSet::new(), 0);
        while let Some(key) = scan.try_next().await.unwrap() {
            found.insert(key);
            taken += 1;
            if taken == 1000 {
                server.restart();
            }
        }
        assert_eq!(found, keys, "{taken} were taken");
    });
}

/// Primary and replica of a cluster swap their roles, and then the new primary dies.
#[test]
fn a_failover_in_the_middle_costs_no_element() {
    let cluster = Cluster::of(&Version::any()).quick_failover().start();
    smol::block_on(async {
        let client = connect(&cluster.url()).await;
        let keys = ["{k}h", "{k}s", "{k}z"];
        fill(&client, keys).await;
        let slot = Slot::of(b"k").number();
        cluster.wait_until_agreed();
        let swap = |turn: usize| {
            let primary = cluster.primary_of(slot);
            if turn == 1 {
                cluster.failover(cluster.replica_of(primary), Failover::Graceful);
                cluster.wait_for_new_primary(slot, primary);
            } else if turn == 2 {
                cluster.wait_until_agreed();
                cluster.node(primary).kill();
                cluster.wait_for_new_primary(slot, primary);
            }
        };
        let sorted = client.zscan_all::<String>(keys[2], options());
        let (found, taken) = scan(sorted, |(member, _)| member, 10_000, swap).await;
        assert_eq!(found, all(), "{taken} were taken");
    });
}

/// The key goes to another node, whose cursors are its own.
#[test]
fn a_key_that_moves_is_scanned_where_it_is() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        smol::block_on(async {
            let client = connect(&cluster.url()).await;
            let slot = Slot::of(b"k").number();
            fill(&client, ["{k}h", "{k}s", "{k}z"]).await;
            let go = |turn: usize| {
                let owner = cluster.primary_of(slot);
                match turn {
                    1 => cluster.move_slot(slot, (owner + 1) % 3),
                    // The keys are there, the slot is not yet: ASK.
                    2 => {
                        let to = (owner + 1) % 3;
                        cluster.begin_move(slot, to);
                        cluster.migrate_keys(slot, owner, to);
                    }
                    _ => {}
                }
            };
            let scanned = client.sscan_all::<String>("{k}s", options());
            let (found, taken) = scan(scanned, |member| member, 10_000, go).await;
            assert_eq!(found, all(), "{version}: {taken} were taken");
        });
    }
}

/// Small values are returned as a whole, with cursor 0.
#[test]
fn small_values_come_in_one_page() {
    for version in Version::all() {
        let server = Server::start(&version);
        smol::block_on(async {
            let client = connect(&server.url()).await;
            let _: () = client.send(cmd("SADD").key("s").args(1..=3)).await.unwrap();
            let _: () = client.send(cmd("HSET").key("h").args(["a", "1"])).await.unwrap();
            let numbers: Vec<u32> =
                client.sscan_all::<u32>("s", ScanOptions::new()).try_collect().await.unwrap();
            assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([1, 2, 3]));
            let pairs: Vec<(String, u32)> = client
                .hscan_all::<String, u32>("h", ScanOptions::new())
                .try_collect()
                .await
                .unwrap();
            assert_eq!(pairs, [("a".to_owned(), 1)], "{version}");
            let none: Vec<String> =
                client.sscan_all::<String>("none", ScanOptions::new()).try_collect().await.unwrap();
            assert!(none.is_empty(), "{version}");
        });
    }
}
