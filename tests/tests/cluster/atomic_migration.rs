//! Slots that the servers move by themselves, all at once: CLUSTER MIGRATESLOTS of Valkey 9,
//! CLUSTER MIGRATION of Redis 8.4.
//!
//! There is no ASK: the old owner answers until the slots are the new one's, holds writes back for
//! that moment, and redirects from then on.

use slotcar::command::{get, incr};
use slotcar::prelude::*;
use slotcar::{Client, Config, Slot, SlotRange, Target, TopologyNode, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::{Cluster, Version};
use std::time::Duration;

/// The slots that move.
const LAST: u16 = 1999;
/// The node that they belong to, and the one that gets them.
const FROM: usize = 0;
const TO: usize = 2;

fn is_valkey(version: &Version) -> bool {
    version.since((u32::MAX, 0), (0, 0))
}

/// Begins the move. It is asked of the client, whichever node it has to reach for that.
async fn begin(client: &Client, cluster: &Cluster, version: &Version) {
    if is_valkey(version) {
        let command = cmd("CLUSTER MIGRATESLOTS").arg("SLOTSRANGE").arg(0).arg(LAST);
        client
            .send::<()>(command.arg("NODE").arg(cluster.id(TO)))
            .await
            .expect("the owner takes it");
        let calls = |node: usize| cluster.node(node).command_calls();
        for node in 0..3 {
            let own = calls(node).get("cluster|migrateslots").copied().unwrap_or_default();
            assert_eq!(own, u64::from(node == FROM), "{version}: only the owner is asked");
        }
        return;
    }
    // The new owner is asked, which no argument names.
    let topology = client.topology();
    let is_new = |node: &&TopologyNode| node.id.as_str() == cluster.id(TO);
    let node =
        topology.shards.iter().map(|shard| &shard.primary).find(is_new).expect("it is there");
    let command = cmd("CLUSTER MIGRATION").arg("IMPORT").arg(0).arg(LAST);
    let task: String =
        client.send_to(Target::Node(node.id.clone()), command).await.expect("the owner takes it");
    assert!(!task.is_empty(), "{version}");
}

#[test]
fn slots_move_at_once_and_no_reply_is_wrong() {
    let knows = |version: &Version| version.since((8, 4), (9, 0));
    for version in Version::all().into_iter().filter(knows) {
        let cluster = Cluster::of(&version).replicas(0).start();
        smol::block_on(async {
            let config: Config = slotcar_tests::patient(&cluster.url());
            let client = Client::connect(Smol::new(), config).await.unwrap();
            let keys: Vec<String> = (0..=LAST).step_by(7).map(key_in).collect();
            let counters: Vec<String> = keys.iter().map(|key| format!("{key}n")).collect();
            let filling = "x".repeat(4000);
            for (n, key) in keys.iter().enumerate() {
                client.set(key, n).await.unwrap();
                client.set(format!("{key}f"), &filling).await.unwrap();
            }
            let list = format!("{}l", key_in(5));
            let popper = client.clone();
            let popped = {
                let list = list.clone();
                smol::spawn(async move {
                    popper.blpop::<Option<(String, u64)>>(&list, Duration::ZERO).await
                })
            };
            begin(&client, &cluster, &version).await;
            let (mut rounds, mut behind) = (0, 0);
            while behind < 2 {
                behind += u32::from(cluster.primary_of(LAST) == TO);
                rounds += 1;
                let mut pipeline = client.pipeline();
                keys.iter().for_each(|key| pipeline.push(get(key)));
                let values: Vec<usize> = pipeline.run().await.unwrap();
                assert!(values.into_iter().eq(0..keys.len()), "{version}: round {rounds}");
                let mut pipeline = client.pipeline();
                counters.iter().for_each(|key| pipeline.push(incr(key)));
                let values: Vec<u64> = pipeline.run().await.unwrap();
                assert!(values.iter().all(|value| *value == rounds), "{version}: {values:?}");
                assert_eq!(client.get::<usize>(&keys[1]).await.unwrap(), 1, "{version}");
            }
            // The caller that waited since before the move gets what comes after it.
            client.rpush(&list, [rounds]).await.unwrap();
            assert_eq!(popped.await.unwrap(), Some((list, rounds)), "{version}");
            client.refresh().await.unwrap();
            let topology = client.topology();
            let owner = |number| {
                let slot = Slot::new(number).unwrap();
                let owns = |range: &SlotRange| range.contains(slot);
                let shard = topology.shards.iter().find(|shard| shard.slots.iter().any(owns));
                shard.unwrap().primary.id.as_str().to_owned()
            };
            assert_eq!((&*owner(0), &*owner(LAST)), (cluster.id(TO), cluster.id(TO)), "{version}");
            assert_eq!(owner(LAST + 1), cluster.id(FROM), "{version}");
            let before = client.metrics().redirects;
            for (n, key) in keys.iter().enumerate() {
                assert_eq!(client.get::<usize>(key).await.unwrap(), n, "{version}");
            }
            assert_eq!(client.metrics().redirects, before, "{version}: the map has followed");
        });
    }
}
