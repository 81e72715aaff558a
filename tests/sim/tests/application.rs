//! An example of testing an application with the simulator: a small service, and what its users see
//! while a primary dies.
//!
//! Only slotcar's public API is used, as in an application.

use slotcar::prelude::*;
use slotcar::{Client, Error};
use slotcar_sim::Sim;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// The application: a shop whose stock must never be sold twice.
struct Shop {
    /// Its connection to the servers.
    client: Client,
}

/// The result of an order.
#[derive(Debug, PartialEq)]
enum Order {
    /// The customer has the item.
    Sold,
    /// Sold out.
    SoldOut,
    /// Not known yet: the shop checks its books later, and charges nothing before.
    Unclear,
}

impl Shop {
    async fn stock(&self, item: &str, count: u32) -> Result<(), Error> {
        self.client.set(format!("stock:{item}"), count).await?;
        Ok(())
    }

    async fn order(&self, item: &str) -> Result<Order, Error> {
        match self.client.decr(format!("stock:{item}")).await {
            Ok(left) if left >= 0 => Ok(Order::Sold),
            Ok(_) => Ok(Order::SoldOut),
            // It was sent, and the connection broke before the reply came.
            Err(error) if error.delivery().may_have_run() => Ok(Order::Unclear),
            Err(error) => Err(error),
        }
    }
}

/// Customers wait a few seconds at most, no order is sent twice, and the shop knows of each order
/// whether it is unclear.
#[test]
fn orders_go_on_while_a_primary_dies() {
    for seed in 0..20 {
        Sim::cluster(3, 1).seed(seed).run(|sim| async move {
            let client = sim.client(sim.config()).await.unwrap();
            let shop = Shop { client: client.with_timeout(Duration::from_secs(10)) };
            shop.stock("book", 30).await.unwrap();
            let owner = sim.owner_of(Sim::slot_of("stock:book"));
            let victim = owner.clone();
            sim.later(MS * 40, move |sim| sim.kill(&victim));
            let (mut sold, mut unclear) = (0, 0);
            for _ in 0..60 {
                match shop.order("book").await.unwrap() {
                    Order::Sold => sold += 1,
                    Order::Unclear => unclear += 1,
                    Order::SoldOut => {}
                }
                sim.advance(MS * 2).await;
            }
            // One order may have been in flight when the primary died. A sale that had not reached
            // the replica is not recorded anywhere: replication is asynchronous.
            assert!(unclear <= 1, "seed {seed}: {unclear} orders are unclear");
            assert!((29..=32).contains(&(sold + unclear)), "seed {seed}: {sold} were sold");
            assert!(!sim.is_primary(&owner) || sim.owner_of(Sim::slot_of("stock:book")) != owner);
        });
    }
}

/// Without a replica no server takes over: customers of that shard get an error in time, and those
/// of the other shards are not affected.
#[test]
fn a_dead_shard_does_not_stop_the_shop() {
    Sim::cluster(3, 0).full_coverage(false).seed(3).run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        let shop = Shop { client: client.with_timeout(MS * 500) };
        // `foo` is in the last shard, `bar` in the first.
        for item in ["{foo}book", "{bar}book"] {
            shop.stock(item, 10).await.unwrap();
        }
        let slot = Sim::slot_of("stock:{bar}book");
        let dead = sim.owner_of(slot);
        assert_ne!(dead, sim.owner_of(Sim::slot_of("stock:{foo}book")));
        sim.kill(&dead);
        for _ in 0..10 {
            let start = sim.now();
            assert_eq!(shop.order("{foo}book").await.unwrap(), Order::Sold);
            assert!(sim.now().since(start) < MS * 5);
            let start = sim.now();
            let outcome = shop.order("{bar}book").await;
            assert!(matches!(outcome, Err(_) | Ok(Order::Unclear)), "{outcome:?}");
            assert!(sim.now().since(start) <= MS * 505);
        }
    });
}
