//! A node of a cluster is who it says: a server that takes over a node's address gets no user data,
//! and its values reach no caller.

use slotcar::prelude::*;
use slotcar::{Client, Config, Endpoint, Event, NodeId};
use slotcar_tcp::Smol;
use slotcar_tests::Watched;
use slotcar_tests::polling::run;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Server, Version};
use std::time::Duration;

/// A slot of the first shard of every cluster.
const SLOT: u16 = 100;

/// The versions that show it: the oldest with all features, and the newest.
fn versions() -> impl Iterator<Item = Version> {
    ["redis-7.0", "valkey-9.1"].into_iter().filter_map(Version::named)
}

/// A cluster whose replicas take over quickly.
fn cluster(version: &Version) -> Cluster {
    let cluster = Cluster::of(version).config("cluster-require-full-coverage no");
    cluster.quick_failover().start()
}

/// Nothing of it runs between two calls: it does not learn of a failover.
fn client(cluster: &Cluster) -> Client {
    let config = Config::from_url(&cluster.url()).expect("a cluster has a good URL");
    let transport = Watched::new(Smol::new()).without_background();
    run(Client::connect(transport, config.command_timeout(Duration::from_secs(5)))).expect("up")
}

fn endpoint_of(server: &Server) -> Endpoint {
    let at = server.address();
    Endpoint::tcp(&at.ip().to_string(), at.port())
}

/// How many commands with keys the server has run or refused.
fn user_commands(server: &Server) -> u64 {
    let stats = server.call(&["INFO", "commandstats"]).text();
    let is_of_users = |line: &&str| {
        ["get", "set", "incr", "eval", "exists", "asking"]
            .iter()
            .any(|name| line.starts_with(&format!("cmdstat_{name}:")))
    };
    stats.lines().filter(is_of_users).count() as u64
}

/// Reads and writes until the calls succeed again; no value is that of another cluster.
#[track_caller]
fn until_served(client: &Client, key: &str) {
    until_true("the shard to be served again", || {
        let (read, written) = run(async {
            let read = client.get::<Option<String>>(key).await;
            (read, client.set(key, "ours").await)
        });
        if let Ok(value) = &read {
            assert_ne!(value.as_deref(), Some("theirs"), "a value of another server");
        }
        read.is_ok_and(|value| value.as_deref() == Some("ours")) && written.is_ok()
    });
}

/// The ids of the first event that tells of a wrong node at this address.
fn wrong_node(events: &mut slotcar::Events, at: &Endpoint) -> (Option<NodeId>, Option<NodeId>) {
    run(async {
        loop {
            match events.next().await {
                Some(Event::WrongNode { endpoint, expected, found }) if endpoint == *at => {
                    return (expected, found);
                }
                Some(_) => {}
                None => panic!("the client lives"),
            }
        }
    })
}

/// A pod dies, and its address goes to the node of another cluster that owns the same slots.
#[test]
fn a_node_of_another_cluster_at_the_address_gets_nothing() {
    for version in versions() {
        let (ours, theirs) = (cluster(&version), Cluster::of(&version).replicas(0).start());
        let (client, key) = (client(&ours), key_in(SLOT));
        let mut events = client.events();
        run(client.set(&key, "ours")).expect("it is served");
        let (lost, foreign) = (ours.primary_of(SLOT), theirs.primary_of(SLOT));
        let foreign_node = theirs.node(foreign);
        foreign_node.call(&["SET", &key, "theirs"]).ok();
        let at = endpoint_of(ours.node(lost));
        let address = ours.node(lost).address();
        ours.node(lost).kill();
        // A cluster does not replace a node whose address answers as another one.
        ours.wait_for_new_primary(SLOT, lost);
        foreign_node.relaunch_on(address);
        foreign_node.wait_until_ready();
        until_served(&client, &key);
        let (expected, found) = wrong_node(&mut events, &at);
        assert_eq!(expected.map(|id| id.to_string()).as_deref(), Some(ours.id(lost)));
        assert_eq!(found.map(|id| id.to_string()).as_deref(), Some(theirs.id(foreign)));
        assert_eq!(user_commands(foreign_node), 0, "{version}");
    }
}

/// A node loses its configuration and comes back at its address as a new, empty one. A component
/// cannot reach its files.
#[cfg(not(target_os = "wasi"))]
#[test]
fn a_node_that_comes_back_as_another_one_gets_nothing() {
    for version in versions() {
        let ours = cluster(&version);
        let (client, key) = (client(&ours), key_in(SLOT));
        let mut events = client.events();
        run(client.set(&key, "ours")).expect("it is served");
        let lost = ours.primary_of(SLOT);
        let node = ours.node(lost);
        let (at, address, old) = (endpoint_of(node), node.address(), ours.id(lost).to_owned());
        until_true("the replica to have it", || {
            let replica = ours.node(ours.replica_of(lost));
            replica
                .info("replication")
                .get("master_link_status")
                .is_some_and(|status| status == "up")
        });
        node.kill();
        ours.wait_for_new_primary(SLOT, lost);
        for entry in std::fs::read_dir(node.folder()).expect("its folder").flatten() {
            if entry.file_name().to_string_lossy().starts_with("nodes") {
                std::fs::remove_file(entry.path()).expect("its configuration");
            }
        }
        node.relaunch_on(address);
        node.wait_until_ready();
        until_served(&client, &key);
        let (expected, found) = wrong_node(&mut events, &at);
        assert_eq!(expected.map(|id| id.to_string()), Some(old.clone()));
        assert!(found.is_some_and(|id| id.to_string() != old));
        assert_eq!(user_commands(node), 0, "{version}");
    }
}
