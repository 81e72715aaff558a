//! Commands reach the owners of their keys, with a correct slot map and with an old one.
//!
//! Runs on every version of the servers: their topology replies differ.

use slotcar::command::{get, incr, set};
use slotcar::prelude::*;
use slotcar::{Client, Config};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::{Cluster, Version};

fn config(cluster: &Cluster) -> Config {
    slotcar_tests::patient(&cluster.url())
}

#[test]
fn commands_and_pipelines_reach_every_shard_of_every_version() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        smol::block_on(async {
            let client = Client::connect(Smol::new(), config(&cluster)).await.unwrap();
            let keys: Vec<_> = (0..16384).step_by(331).map(key_in).collect();
            for key in &keys {
                client.set(key, key).await.unwrap();
            }
            let mut pipeline = client.pipeline();
            keys.iter().for_each(|key| pipeline.push(get(key)));
            let values: Vec<String> = pipeline.run().await.unwrap();
            assert_eq!(values, keys, "{version}");
        });
    }
}

#[test]
fn a_moved_slot_is_followed_without_an_error() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    smol::block_on(async {
        let client = Client::connect(Smol::new(), config(&cluster)).await.unwrap();
        let key = key_in(100);
        client.set(&key, 1).await.unwrap();
        cluster.move_slot(100, 2);
        assert_eq!(client.incr(&key).await.unwrap(), 2);
        // Half-way: the key has moved, the slot has not. The old owner replies ASK.
        cluster.begin_move(100, 1);
        cluster.migrate_keys(100, 2, 1);
        assert_eq!(client.incr(&key).await.unwrap(), 3);
        let (a, b): (i64, i64) =
            client.pipeline().add(incr(&key)).add(incr(&key)).run().await.unwrap();
        assert_eq!((a, b), (4, 5));
        cluster.finish_move(100, 2, 1);
        client.pipeline().add(set(&key, 9)).run::<((),)>().await.unwrap();
        assert_eq!(client.get::<i64>(&key).await.unwrap(), 9);
    });
}
