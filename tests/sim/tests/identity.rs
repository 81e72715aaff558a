//! Another server listens at a node's address: one of another cluster, another node of the same
//! cluster, or the same server with another id. It gets no command, and no caller gets a value of
//! it; the client tells it as an event and finds the node again.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod load;

use futures::FutureExt;
use futures::future::{join, join_all};
use load::{MS, SECOND, keys_of};
use slotcar::prelude::*;
use slotcar::{Client, Config, ErrorDetail, Event, ReadFrom, cmd};
use slotcar_sim::{Matching, Sim, SimBuilder};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Commands with keys or channels, as the servers count them.
const USER_COMMANDS: [&str; 8] =
    ["get", "set", "incr", "blpop", "subscribe", "ssubscribe", "publish", "spublish"];

/// The cluster of the client, and another one.
fn two_clusters(replicas: usize) -> SimBuilder {
    Sim::cluster(3, replicas).seed(17)
}

/// The configuration of a client of the first cluster. A name leads where its server was last.
fn config(sim: &Sim) -> Config {
    sim.config().endpoints(sim.endpoints_of(&["a", "b", "c"]))
}

fn client(sim: &Sim, background: bool, config: Config) -> Client {
    let transport = sim.transport();
    let transport = if background { transport } else { transport.without_background() };
    Client::connect_lazy(transport, config).unwrap()
}

fn ip(sim: &Sim, server: &str) -> IpAddr {
    let endpoint = sim.endpoint(server).to_string();
    endpoint.rsplit_once(':').unwrap().0.parse().unwrap()
}

thread_local! {
    /// How many of them x got from its own client.
    static FOREIGN_OWN: Cell<u64> = const { Cell::new(0) };
}

/// How many of them x got from the first cluster's client.
fn sent_to_x(sim: &Sim) -> u64 {
    user_commands(sim, "x") - FOREIGN_OWN.get()
}

/// How many of them a server has run.
fn user_commands(sim: &Sim, server: &str) -> u64 {
    USER_COMMANDS.iter().map(|name| sim.calls(server, name)).sum()
}

/// The second cluster, which has other values under the same keys.
async fn add_foreign_cluster(sim: &Sim, keys: &[String]) {
    sim.add_cluster(3, 1);
    let config = sim.config().endpoints(sim.endpoints_of(&["x", "y", "z"]));
    let client = Client::connect_lazy(sim.transport(), config).unwrap();
    for key in keys {
        client.set(key, "foreign").await.unwrap();
    }
    client.close();
    sim.kill("x");
    // What the other cluster's own client sent does not count.
    let own = user_commands(sim, "x");
    FOREIGN_OWN.set(own);
}

/// What callers got.
#[derive(Debug, Default)]
struct Seen {
    /// Values that are not those of the first cluster.
    wrong: usize,
    /// Calls that failed.
    failed: usize,
    /// Calls that failed and began within the last second.
    failed_late: usize,
    /// Calls that succeeded.
    done: usize,
}

/// Every key has a value of our own cluster.
async fn write_all(client: &Client, keys: &[String]) {
    for key in keys {
        client.set(key, "own").await.unwrap();
    }
}

/// One caller for each key reads and writes it for `span`.
async fn load(sim: &Sim, client: &Client, keys: &[String], span: Duration) -> Seen {
    let end = sim.now().after(span);
    let callers = keys.iter().map(|key| async move {
        let mut seen = Seen::default();
        while sim.now() < end {
            let began = sim.now();
            let written = client.set(key, "own").await;
            let read = client.get::<Option<String>>(key).await;
            seen.wrong += usize::from(matches!(&read, Ok(Some(value)) if value != "own"));
            let failed = usize::from(written.is_err()) + usize::from(read.is_err());
            seen.failed += failed;
            seen.done += 2 - failed;
            if end.since(began) < SECOND {
                seen.failed_late += failed;
            }
            sim.advance(MS * 5).await;
        }
        seen
    });
    join_all(callers).await.into_iter().fold(Seen::default(), |sum, seen| Seen {
        wrong: sum.wrong + seen.wrong,
        failed: sum.failed + seen.failed,
        failed_late: sum.failed_late + seen.failed_late,
        done: sum.done + seen.done,
    })
}

/// The events of a client, which ends by this.
async fn events_of(client: Client, mut events: slotcar::Events) -> Vec<Event> {
    client.close();
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(event);
    }
    all
}

fn wrong_nodes(events: &[Event]) -> Vec<(String, Option<String>, Option<String>)> {
    let text = |id: &Option<slotcar::NodeId>| id.as_ref().map(ToString::to_string);
    let wrong = events.iter().filter_map(|event| match event {
        Event::WrongNode { endpoint, expected, found } => {
            Some((endpoint.to_string(), text(expected), text(found)))
        }
        _ => None,
    });
    wrong.collect()
}

/// A pod dies, and its address goes to a node of another cluster.
#[test]
fn an_address_that_goes_to_a_node_of_another_cluster_gets_no_command() {
    for background in [true, false] {
        two_clusters(1).run(|sim| async move {
            let keys = keys_of(0..=16383, 30);
            add_foreign_cluster(&sim, &keys).await;
            let client = client(&sim, background, config(&sim));
            write_all(&client, &keys).await;
            let events = client.events();
            let (expected, found) = (sim.node_id("a"), sim.node_id("x"));
            let address = ip(&sim, "a");
            let endpoint = sim.endpoint("a").to_string();
            sim.later(SECOND, |sim| sim.kill("a"));
            sim.later(MS * 1050, move |sim| sim.restart_at("x", address));
            let seen = load(&sim, &client, &keys, SECOND * 10).await;
            let told = wrong_nodes(&events_of(client, events).await);
            println!("background {background}: {seen:?}, told {told:?}");
            assert_eq!((sent_to_x(&sim), seen.wrong), (0, 0));
            assert_eq!(told, [(endpoint, Some(expected), Some(found))], "told once");
            assert_eq!(seen.failed_late, 0, "the replica took over");
            assert!(seen.done > 5000);
        });
    }
}

/// The same while all callers write to that shard's replica or read from it.
#[test]
fn reads_from_replicas_go_to_no_other_server() {
    for policy in
        [ReadFrom::Replica, ReadFrom::PreferReplica, ReadFrom::Nearest(slotcar::config::Among::All)]
    {
        two_clusters(2).run(|sim| async move {
            let keys = keys_of(0..=5000, 20);
            add_foreign_cluster(&sim, &keys).await;
            let client = client(&sim, true, config(&sim).read_from(policy.clone()));
            write_all(&client, &keys).await;
            sim.advance(MS * 50).await;
            let events = client.events();
            sim.kill("x");
            let address = ip(&sim, "a1");
            sim.later(SECOND, |sim| sim.kill("a1"));
            sim.later(MS * 1050, move |sim| sim.restart_at("x", address));
            let seen = load(&sim, &client, &keys, SECOND * 5).await;
            let told = wrong_nodes(&events_of(client, events).await);
            println!("{policy:?}: {seen:?}, told {}", told.len());
            assert_eq!((sent_to_x(&sim), seen.wrong, seen.failed), (0, 0, 0));
            assert_eq!(told.len(), 1);
        });
    }
}

/// A node joins another cluster and keeps its id: only its own view of the topology shows it.
#[test]
fn a_node_that_joins_another_cluster_is_told_and_gets_no_command() {
    for background in [true, false] {
        two_clusters(2).run(|sim| async move {
            let keys = keys_of(0..=5000, 20);
            add_foreign_cluster(&sim, &keys).await;
            let client = client(&sim, background, config(&sim).read_from(ReadFrom::PreferReplica));
            write_all(&client, &keys).await;
            let seen = load(&sim, &client, &keys, SECOND).await;
            assert_eq!((seen.wrong, seen.failed), (0, 0));
            let mut events = client.events();
            for other in ["a", "a2", "b", "b1", "b2", "c", "c1", "c2"] {
                sim.partition("a1", other);
            }
            sim.join_other_cluster("a1", "y");
            let endpoint = sim.endpoint("a1");
            let is_told = |event| match event {
                Event::ForeignNode { endpoint: at } => at == endpoint,
                _ => false,
            };
            // Each refresh asks a node.
            let mut told = 0;
            for _ in 0..100 {
                client.refresh().await.unwrap();
                while let Some(Some(event)) = events.next().now_or_never() {
                    told += u32::from(is_told(event));
                }
            }
            assert_eq!(told, 1, "of a hundred refreshes, some asked it, and the first is told");
            let before = user_commands(&sim, "a1");
            let seen = load(&sim, &client, &keys, SECOND * 3).await;
            assert_eq!((seen.wrong, seen.failed), (0, 0));
            assert_eq!(user_commands(&sim, "a1"), before, "it gets no command");
        });
    }
}

/// Blocking commands have connections of their own.
#[test]
fn blocking_commands_go_to_no_other_server() {
    two_clusters(1).run(|sim| async move {
        let keys = keys_of(0..=5000, 4);
        add_foreign_cluster(&sim, &[]).await;
        let client = client(&sim, true, config(&sim));
        let events = client.events();
        sim.kill("x");
        let address = ip(&sim, "a");
        sim.later(SECOND, |sim| sim.kill("a"));
        sim.later(MS * 1050, move |sim| sim.restart_at("x", address));
        let end = sim.now().after(SECOND * 8);
        let sim = &sim;
        let callers = keys.iter().map(|key| {
            let client = &client;
            async move {
                let mut taken = 0;
                while sim.now() < end {
                    let hasty = client.with_timeout(SECOND);
                    let list = cmd("BLPOP").arg(key).arg("0.2");
                    let popped = hasty.send::<Option<(String, String)>>(list).await;
                    taken += usize::from(popped.is_ok());
                }
                taken
            }
        });
        let taken: usize = join_all(callers).await.into_iter().sum();
        let told = wrong_nodes(&events_of(client, events).await);
        println!("{taken} polls, told {told:?}");
        assert_eq!(sent_to_x(sim), 0);
        assert!(taken > 60 && told.len() == 1);
    });
}

/// A subscription that lost its node is made again where the slot is served, and hears nothing of
/// the other cluster.
#[test]
fn subscriptions_go_to_no_other_server() {
    for own_connection in [false, true] {
        two_clusters(1).run(|sim| async move {
            sim.add_cluster(3, 1);
            let protocol = if own_connection {
                slotcar::config::Protocol::Resp2
            } else {
                slotcar::config::Protocol::Resp3
            };
            let client = client(&sim, true, config(&sim).protocol(protocol));
            let channel = keys_of(0..=5000, 1).remove(0);
            let mut subscription = client.ssubscribe([&channel]).await.unwrap();
            subscription.ready().await.unwrap();
            let events = client.events();
            sim.kill("x");
            let address = ip(&sim, "a");
            sim.later(SECOND, |sim| sim.kill("a"));
            sim.later(MS * 1050, move |sim| sim.restart_at("x", address));
            sim.advance(SECOND * 8).await;
            assert!(sim.shard_channels("x").is_empty());
            let publisher = async {
                client.spublish(&channel, "own").await.unwrap();
            };
            let hears = async {
                loop {
                    let update = subscription.next_within(SECOND * 30).await.unwrap().unwrap();
                    if let slotcar::Update::Message(message) = update {
                        return message.payload().to_vec();
                    }
                }
            };
            let ((), heard) = join(publisher, hears).await;
            assert_eq!(heard, b"own");
            drop(subscription);
            let told = wrong_nodes(&events_of(client, events).await);
            assert_eq!((user_commands(&sim, "x"), told.len()), (0, 1));
        });
    }
}

/// Two nodes of the cluster come back at each other's addresses.
#[test]
fn nodes_that_swap_their_addresses_are_found_again() {
    for background in [true, false] {
        Sim::cluster(3, 0).full_coverage(false).seed(18).run(|sim| async move {
            let keys = keys_of(0..=16383, 30);
            let client = client(&sim, background, config(&sim));
            write_all(&client, &keys).await;
            let events = client.events();
            let (at_a, at_b) = (ip(&sim, "a"), ip(&sim, "b"));
            let (was_a, was_b) = (sim.node_id("a"), sim.node_id("b"));
            let redirects = client.metrics().redirects;
            sim.later(SECOND, move |sim| {
                sim.kill("a");
                sim.kill("b");
                sim.restart_at("a", at_b);
                sim.restart_at("b", at_a);
            });
            let seen = load(&sim, &client, &keys, SECOND * 6).await;
            let redirects = client.metrics().redirects - redirects;
            let told = wrong_nodes(&events_of(client, events).await);
            println!("background {background}: {seen:?}, {redirects} redirects, told {told:?}");
            assert_eq!((seen.wrong, seen.failed_late), (0, 0));
            let a_meant = told.iter().any(|(_, expected, found)| {
                expected.as_ref() == Some(&was_a) && found.as_ref() == Some(&was_b)
            });
            assert!(a_meant, "{told:?}");
            assert_eq!(redirects, 0, "no command went to the other node");
        });
    }
}

/// Every address leads to another cluster: it was set up anew. That is believed after a second.
#[test]
fn a_cluster_that_was_set_up_anew_at_the_same_addresses_is_accepted() {
    for background in [true, false] {
        Sim::cluster(3, 0).seed(20).run(|sim| async move {
            let keys = keys_of(0..=16383, 12);
            sim.add_cluster(3, 0);
            let client = client(&sim, background, config(&sim));
            client.set("k", "own").await.unwrap();
            let events = client.events();
            for (old, new) in [("a", "x"), ("b", "y"), ("c", "z")] {
                let address = ip(&sim, old);
                sim.kill(old);
                sim.restart_at(new, address);
            }
            // They all moved, so that they have to be introduced to each other.
            for node in ["x", "z"] {
                let plain = Config::default().endpoints([sim.endpoint(node)]);
                let plain = Client::connect_lazy(sim.transport(), plain).unwrap();
                let meet = cmd("CLUSTER").arg("MEET").arg(ip(&sim, "y").to_string()).arg("6379");
                plain.send::<()>(meet).await.unwrap();
            }
            let began = sim.now();
            let patient = client.with_timeout(SECOND * 20);
            for key in &keys {
                assert_eq!(patient.get::<Option<String>>(key).await.unwrap(), None);
            }
            let took = sim.now().since(began);
            let events = events_of(client, events).await;
            println!("background {background}: replaced after {took:?}");
            assert!(took >= SECOND && took < SECOND * 10, "{took:?}");
            let replaced = events.iter().filter(|event| matches!(event, Event::ClusterReplaced));
            assert_eq!(replaced.count(), 1);
            assert!(!wrong_nodes(&events).is_empty());
        });
    }
}

/// The error says which node answers and which one was meant.
#[test]
fn the_error_names_both_nodes() {
    two_clusters(0).full_coverage(false).run(|sim| async move {
        sim.add_cluster(1, 0);
        let client = client(&sim, true, config(&sim));
        client.set("k", "own").await.unwrap();
        let key = keys_of(0..=5000, 1).remove(0);
        client.set(&key, "own").await.unwrap();
        let (address, x, a) = (ip(&sim, "a"), sim.node_id("x"), sim.node_id("a"));
        sim.kill("a");
        sim.restart_at("x", address);
        sim.advance(MS * 10).await;
        let error = client.with_timeout(SECOND).get::<Option<String>>(&key).await.unwrap_err();
        let text = error.to_string();
        println!("{text}");
        assert!(text.contains(&x) && text.contains(&a) && text.contains("10.0.0.1"), "{text}");
        assert_eq!(error.details(), Some(&ErrorDetail::WrongNode));
        assert_eq!(error.delivery(), slotcar::Delivery::NotSent);
    });
}

/// A server that does not know CLUSTER MYID, or forbids it, is taken as it is; one that is busy
/// gets nothing until it has said who it is.
#[test]
fn a_server_that_cannot_say_who_it_is() {
    let refusals = [
        "NOPERM this user has no permissions to run the 'cluster|myid' command",
        "ERR unknown subcommand 'MYID'. Try CLUSTER HELP.",
        "ERR unknown command 'CLUSTER', with args beginning with: 'MYID' ",
    ];
    for refusal in refusals {
        Sim::cluster(3, 0).seed(21).run(|sim| async move {
            for server in ["a", "b", "c"] {
                let matching = Matching::Command("CLUSTER|MYID".to_owned());
                sim.refuse(server, matching, refusal, u64::MAX);
            }
            let client = client(&sim, true, config(&sim));
            for key in keys_of(0..=16383, 12) {
                client.set(&key, "v").await.unwrap();
            }
        });
    }
    Sim::cluster(3, 0).seed(22).run(|sim| async move {
        let client = client(&sim, true, config(&sim));
        let key = keys_of(0..=5000, 1).remove(0);
        client.set(&key, 1).await.unwrap();
        sim.busy("a", SECOND * 2);
        sim.reset_connections("a");
        sim.advance(MS * 10).await;
        let error = client.with_timeout(SECOND).incr(&key).await.unwrap_err();
        assert!(error.to_string().contains("BUSY"), "{error}");
        assert_eq!(client.with_timeout(SECOND * 5).incr(&key).await.unwrap(), 2);
    });
}

/// What the proof costs: one round trip when a connection is made again, and none more for the
/// first one of a client.
#[test]
fn a_new_connection_to_a_known_node_costs_one_round_trip_more() {
    Sim::cluster(3, 0).latency(MS / 2).seed(23).run(|sim| async move {
        sim.lookup_delay(Duration::ZERO);
        let client = client(&sim, true, config(&sim));
        let key = keys_of(0..=5000, 1).remove(0);
        client.set(&key, 1).await.unwrap();
        sim.advance(SECOND * 3).await;
        sim.reset_connections("a");
        sim.advance(MS * 100).await;
        // The background has asked another node meanwhile.
        let began = sim.now();
        client.get::<i64>(&key).await.unwrap();
        let took = sim.now().since(began);
        println!("a dial, the handshake and a command: {took:?}");
        assert!(took <= MS * 3, "{took:?}");
    });
}

/// The address that names that no server has.
const UNUSED: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 99, 1));

/// A node that is away comes back at an address of its own: nothing is told.
#[test]
fn a_node_that_moves_is_no_wrong_node() {
    Sim::cluster(3, 1).seed(24).run(|sim| async move {
        let keys = keys_of(0..=16383, 12);
        let client = client(&sim, true, config(&sim));
        write_all(&client, &keys).await;
        let events = client.events();
        sim.restart_at("b", UNUSED);
        let seen = load(&sim, &client, &keys, SECOND * 5).await;
        assert_eq!((seen.wrong, seen.failed_late), (0, 0));
        assert_eq!(wrong_nodes(&events_of(client, events).await), []);
    });
}
