//! Transactions in a cluster: all keys in one slot, wherever it goes.
//! Moves of slots are tested on every version of the servers: their replies differ.

use super::connect;
use slotcar::command::{get, incr, set};
use slotcar::prelude::*;
use slotcar::{Delivery, ErrorDetail, ErrorKind, Target};
use slotcar_tests::real::cluster::{key_in, slot_of};
use slotcar_tests::real::{Cluster, Version};
use std::sync::Arc;
use std::thread;

#[test]
fn keys_in_two_slots_are_refused_unsent() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    smol::block_on(async {
        let client = connect(&cluster.url()).await;
        let (a, b) = (key_in(1), key_in(2));
        let error = client.transaction().add(set(&a, 1)).add(set(&b, 2)).run::<((), ())>().await;
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
        assert_eq!(error.details(), Some(&ErrorDetail::CrossSlot { first: 1, second: 2 }));
        assert!(client.watch([&a, &b]).await.is_err());
        assert_eq!(client.get::<Option<i64>>(&a).await.unwrap(), None);
    });
}

/// MOVED while the commands are queued: nothing ran, and all of it goes to the new owner. Half-way
/// through a move, ASKING goes before MULTI.
#[test]
fn a_slot_that_moves_is_followed_by_all_of_it() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        smol::block_on(async {
            let client = connect(&cluster.url()).await;
            let key = key_in(100);
            let make = || client.transaction().add(incr(&key)).add(get(&key));
            assert_eq!(make().run::<(i64, i64)>().await.unwrap(), (1, 1), "{version}");
            cluster.move_slot(100, 2);
            assert_eq!(make().run::<(i64, i64)>().await.unwrap(), (2, 2), "{version}: MOVED");
            cluster.begin_move(100, 1);
            cluster.migrate_keys(100, 2, 1);
            assert_eq!(make().run::<(i64, i64)>().await.unwrap(), (3, 3), "{version}: ASK");
            let watch = client.watch([&key]).await.unwrap();
            let done = watch.commit::<(i64, i64)>(make()).await;
            // WATCH was sent behind ASKING; EXEC is sent without it and gets ASK.
            let error = done.unwrap_err();
            assert_eq!(error.delivery(), Delivery::Refused, "{version}: {error}");
            cluster.finish_move(100, 2, 1);
            let watch = client.watch([&key]).await.unwrap();
            assert_eq!(watch.send::<i64>(get(&key)).await.unwrap(), 3);
            assert_eq!(watch.commit::<(i64, i64)>(make()).await.unwrap(), Some((4, 4)));
        });
    }
}

/// One of its keys has moved and the other has not: the server says TRYAGAIN until both have.
#[test]
fn a_slot_that_is_torn_is_waited_for() {
    let cluster = Arc::new(Cluster::of(&Version::any()).replicas(0).start());
    smol::block_on(async {
        let client = connect(&cluster.url()).await;
        let (a, b) = (format!("{}a", key_in(100)), format!("{}b", key_in(100)));
        assert_eq!((slot_of(&a), slot_of(&b)), (100, 100));
        let from = cluster.primary_of(100);
        let to = (from + 1) % 3;
        client.transaction().add(set(&a, 1)).add(set(&b, 1)).run::<((), ())>().await.unwrap();
        cluster.begin_move(100, to);
        cluster.migrate(&[&a], from, to);
        let mover = {
            let (cluster, b) = (Arc::clone(&cluster), b.clone());
            let retries = client.clone();
            thread::spawn(move || {
                // Not before the client got its first TRYAGAIN.
                super::until_true("a retry", || retries.metrics().retries > 0);
                cluster.migrate(&[&b], from, to);
                cluster.finish_move(100, from, to);
            })
        };
        let both = client.transaction().add(incr(&a)).add(incr(&b));
        assert_eq!(both.run::<(i64, i64)>().await.unwrap(), (2, 2));
        mover.join().unwrap();
        let sizes =
            client.send_each(Target::AllPrimaries, slotcar::command::dbsize()).await.unwrap();
        let total: i64 = sizes.iter().map(|reply| reply.decode::<i64>().unwrap()).sum();
        assert_eq!(total, 2, "no key was left behind");
    });
}
