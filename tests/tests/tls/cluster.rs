//! Clusters that announce their TLS ports: the slot map, redirects, moves, sharded channels and
//! failovers, all encrypted and on the right ports.

use super::{SHARED, carriers, config, tls, versions};
use crate::reader::next_words;
use slotcar::prelude::*;
use slotcar::{Client, Endpoint};
use slotcar_tests::polling::run;
use slotcar_tests::real::certificates::TLS_PORT;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::{Cluster, Version};

/// A cluster of three primaries.
fn cluster(version: &Version, replicas: usize) -> Cluster {
    let options = Cluster::of(version).replicas(replicas).quick_failover();
    options.config(&SHARED.addresses.clustered()).start()
}

fn url(cluster: &Cluster) -> String {
    format!("rediss-cluster://{}", cluster.node(0).tls_address())
}

/// Every endpoint that the client knows is a TLS port.
#[track_caller]
fn check_ports(client: &Client, nodes: usize) {
    let topology = client.topology();
    let shards = topology.shards.iter();
    let all: Vec<Endpoint> = shards
        .flat_map(|shard| std::iter::once(&shard.primary).chain(&shard.replicas))
        .filter_map(|node| node.endpoint.clone())
        .collect();
    assert_eq!(all.len(), nodes, "{all:?}");
    let secure = |e: &Endpoint| matches!(e, Endpoint::Tcp { port, .. } if *port == TLS_PORT);
    assert!(all.iter().all(secure), "{all:?}");
}

#[test]
fn three_shards_are_reached_on_their_tls_ports() {
    for version in Version::all().iter().filter(|version| version.since_7()) {
        let cluster = cluster(version, 0);
        for carrier in carriers() {
            let client = run(Client::connect(tls(carrier), config(&url(&cluster)))).expect("up");
            check_ports(&client, 3);
            run(async {
                for slot in (0..16384).step_by(1000) {
                    let key = key_in(slot);
                    client.set(&key, slot).await.unwrap_or_else(|e| panic!("{version}: {e:?}"));
                    assert_eq!(client.get::<u16>(&key).await.expect("GET"), slot);
                }
                assert_eq!(client.dbsize().await.expect("all nodes are asked"), 17);
            });
        }
    }
}

/// A slot moves: first its keys give ASK, then MOVED, and both name TLS ports.
#[test]
fn redirects_lead_to_tls_ports() {
    for version in versions() {
        let cluster = cluster(&version, 0);
        for carrier in carriers() {
            let client = run(Client::connect(tls(carrier), config(&url(&cluster)))).expect("up");
            let key = key_in(100);
            run(client.set(&key, "here")).expect("SET");
            let from = cluster.primary_of(100);
            let to = (from + 1) % 3;
            cluster.begin_move(100, to);
            let other = format!("{key}new");
            run(client.set(&other, "asked")).expect("behind an ASK");
            assert!(client.metrics().redirects > 0, "{version}");
            cluster.node(to).call(&["CLUSTER", "SETSLOT", "100", "STABLE"]).ok();
            cluster.node(from).call(&["CLUSTER", "SETSLOT", "100", "STABLE"]).ok();
            cluster.node(from).call(&["FLUSHALL"]).ok();
            cluster.node(to).call(&["FLUSHALL"]).ok();
            let before = client.metrics().redirects;
            cluster.move_slot(100, to);
            run(client.set(&key, "there")).expect("behind a MOVED");
            assert!(client.metrics().redirects > before, "{version}");
            check_ports(&client, 3);
        }
    }
}

#[test]
fn sharded_channels_follow_their_slots() {
    let Some(version) = Version::named("valkey-9.1") else { return };
    let cluster = cluster(&version, 0);
    for carrier in carriers() {
        let client = run(Client::connect(tls(carrier), config(&url(&cluster)))).expect("up");
        let channel = key_in(300);
        let subscribed = run(client.ssubscribe([channel.as_str()]).into_future());
        let mut messages = subscribed.expect("subscribed");
        assert_eq!(next_words(&mut messages, 1), [format!("+{channel}")]);
        run(client.spublish(&channel, "one")).expect("SPUBLISH");
        assert_eq!(next_words(&mut messages, 1), [format!("{channel}=one")]);
        cluster.move_slot(300, (cluster.primary_of(300) + 1) % 3);
        // Published until the subscription is at the new owner of the slot.
        let heard = loop {
            run(client.spublish(&channel, "two")).expect("SPUBLISH");
            let heard = next_words(&mut messages, 1);
            if heard == [format!("{channel}=two")] {
                break heard;
            }
        };
        assert_eq!(heard, [format!("{channel}=two")]);
    }
}

/// A primary dies; its replica takes over, on its own TLS port.
#[test]
fn a_failover_is_followed() {
    let Some(version) = Version::named("redis-7.0") else { return };
    let cluster = cluster(&version, 1);
    for carrier in carriers() {
        // The kill may fall between a write and its reply.
        let config = config(&url(&cluster)).retry_unknown(true);
        let client = run(Client::connect(tls(carrier), config)).expect("up");
        check_ports(&client, 6);
        let key = key_in(0);
        run(client.set(&key, "before")).expect("SET");
        let old = cluster.primary_of(0);
        cluster.node(old).kill();
        run(client.set(&key, "after")).expect("the replica takes over in time");
        cluster.wait_for_new_primary(0, old);
        cluster.node(old).restart();
        cluster.wait_until_agreed();
    }
}
