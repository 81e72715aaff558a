//! Commands that name a slot by its number go to its owner: another node has none of its keys, and
//! would say 0 without an error.

use slotcar::command::cmd;
use slotcar::prelude::*;
use slotcar::{Client, Config, Error};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::{Cluster, Version};

/// Slots at both ends of each of three shards.
const SLOTS: [u16; 6] = [0, 5460, 5461, 10922, 10923, 16383];

async fn connect(cluster: &Cluster) -> Client {
    let config = Config::from_url(&cluster.url()).expect("a cluster has a good URL");
    Client::connect(Smol::new(), config).await.expect("the cluster is up")
}

/// Two keys of a slot.
fn keys_of(slot: u16) -> [String; 2] {
    let key = key_in(slot);
    [format!("{key}a"), format!("{key}b")]
}

async fn count(client: &Client, slot: u16) -> Result<u64, Error> {
    client.send(cmd("CLUSTER COUNTKEYSINSLOT").arg(slot)).await
}

#[test]
fn the_owner_of_a_slot_is_asked_for_its_keys() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).start();
        smol::block_on(async {
            let client = connect(&cluster).await;
            for slot in SLOTS {
                let [a, b] = keys_of(slot);
                client.mset([(&a, 1), (&b, 2)]).await.unwrap();
            }
            // Often enough that a node by turns would be found out.
            for slot in SLOTS.into_iter().cycle().take(24) {
                assert_eq!(count(&client, slot).await.unwrap(), 2, "{version}: {slot}");
                let keys = cmd("CLUSTER").arg("getkeysinslot").arg(slot).arg(10);
                let mut keys: Vec<String> = client.send(keys).await.unwrap();
                keys.sort();
                assert_eq!(keys, keys_of(slot), "{version}: {slot}");
            }
            // In one pipeline, each goes to its own node.
            let mut pipeline = client.pipeline();
            for slot in SLOTS {
                pipeline.push(cmd("CLUSTER COUNTKEYSINSLOT").arg(slot));
            }
            let counts: Vec<u64> = pipeline.run().await.unwrap();
            assert_eq!(counts, [2; 6], "{version}");
            // A transaction goes to the slot's owner, too.
            for slot in SLOTS {
                let mut transaction = client.transaction();
                transaction.push(cmd("CLUSTER COUNTKEYSINSLOT").arg(slot));
                let counts: Vec<u64> = transaction.run().await.unwrap();
                assert_eq!(counts, [2], "{version}: {slot}");
            }
            // The slot moves: the new owner is asked.
            let to = cluster.primary_of(16383);
            cluster.move_slot(0, to);
            client.refresh().await.unwrap();
            assert_eq!(count(&client, 0).await.unwrap(), 2, "{version}");
        });
    }
}

#[test]
fn what_is_no_slot_is_for_the_server_to_refuse() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        smol::block_on(async {
            let client = connect(&cluster).await;
            for wrong in ["16384", "-1", "foo", ""] {
                for command in ["COUNTKEYSINSLOT", "GETKEYSINSLOT"] {
                    let mut words = vec!["CLUSTER", command, wrong];
                    words.extend((command == "GETKEYSINSLOT").then_some("10"));
                    let own = cluster.node(0).call(&words);
                    let sent =
                        words.iter().skip(1).fold(cmd("CLUSTER"), |sent, word| sent.arg(word));
                    let error = client.send::<()>(sent).await.unwrap_err();
                    let text = error.to_string();
                    let own = own.text();
                    assert!(text.contains(own.trim()), "{version}: {words:?}: {text}, not {own}");
                }
            }
        });
    }
}

/// Valkey 9 empties a slot at its owner; at another node it would do nothing, and say OK.
#[test]
fn a_slot_is_emptied_at_its_owner() {
    const NO_REDIS: (u32, u32) = (u32::MAX, 0);
    for version in Version::all().into_iter().filter(|version| version.since(NO_REDIS, (9, 1))) {
        let cluster = Cluster::of(&version).replicas(0).start();
        smol::block_on(async {
            let client = connect(&cluster).await;
            for slot in SLOTS {
                let [a, b] = keys_of(slot);
                client.mset([(&a, 1), (&b, 2)]).await.unwrap();
                client.send::<()>(cmd("CLUSTER FLUSHSLOT").arg(slot).arg("SYNC")).await.unwrap();
                assert_eq!(client.exists([&a, &b]).await.unwrap(), 0, "{version}: {slot}");
            }
        });
    }
}
