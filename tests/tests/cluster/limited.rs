//! Fewer connections than nodes: all is served, one after the other, also when a slot moves.
//! `tests/sim/tests/connection_limit.rs` has faults and the order.

use futures::future::{join, join_all};
use slotcar::prelude::*;
use slotcar::{Client, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::{Cluster, Version};
use slotcar_tests::{Watched, patient};
use std::time::Duration;

/// A key of each primary.
fn keys() -> [String; 6] {
    [100, 3000, 6000, 9000, 12000, 15000].map(key_in)
}

#[test]
fn a_cluster_is_served_over_few_connections() {
    let cluster = Cluster::of(&Version::any()).primaries(6).replicas(0).start();
    for max in [1, 2] {
        for background in [true, false] {
            let smol = Watched::new(Smol::new());
            let host = if background { smol } else { smol.without_background() };
            let config = patient(&cluster.url()).connections_max(max);
            slotcar_tests::polling::run(async {
                let client = Client::connect(host.clone(), config).await.expect("it is there");
                let keys = keys();
                let write = keys.iter().map(|key| client.set(key, 1).into_future());
                join_all(write).await.into_iter().for_each(|set| set.expect("in turn"));
                let all: Vec<u32> = client.mget(&keys).await.expect("in turn");
                assert_eq!(all, [1; 6]);
                let mut transaction = client.transaction();
                transaction.push(cmd("INCR").key(&keys[0]));
                assert_eq!(transaction.run::<(u32,)>().await.expect("in turn"), (2,));
                cluster.move_slot(100, 3);
                assert_eq!(client.get::<u32>(&keys[0]).await.expect("it follows"), 2);
                cluster.move_slot(100, 0);
                if max > 1 {
                    let list = key_in(101);
                    let pop = client.blpop::<(String, u32)>(&list, Duration::from_secs(30));
                    let others = async {
                        let all: Vec<u32> = client.mget(&keys).await.expect("beside it");
                        assert_eq!(all, [2, 1, 1, 1, 1, 1]);
                        client.rpush(&list, 7).await.expect("beside it");
                    };
                    let (popped, ()) = join(pop, others).await;
                    assert_eq!(popped.expect("it was pushed").1, 7);
                }
                client.del(&keys).await.expect("in turn");
                assert!(host.sockets_max() <= max as usize, "{}", host.sockets_max());
            });
        }
    }
}
