//! Many clients of one cluster that lose connections at the same moment: how they ask for the
//! topology. `SLOTCAR_CLIENTS` and `SLOTCAR_SHARDS` make the fleet larger.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod load;

use futures::future::join_all;
use load::{MS, SECOND, keys_of};
use slotcar::Client;
use slotcar::prelude::*;
use slotcar_sim::Sim;
use std::time::Duration;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How often each server was asked for the topology.
fn asked(sim: &Sim) -> Vec<u64> {
    let calls = |server: &String| sim.calls(server, "cluster|shards");
    sim.servers().iter().map(calls).collect()
}

/// Each client reads a few keys, one after the other, for `span`. Returns how many calls failed.
async fn read(sim: &Sim, clients: &[Client], keys: &[String], span: Duration) -> usize {
    let end = sim.now().after(span);
    let callers = clients.iter().enumerate().map(|(at, client)| async move {
        let mut failed = 0;
        let client = client.with_timeout(SECOND * 10);
        for key in keys.iter().cycle().skip(at * 7) {
            if sim.now() >= end {
                break;
            }
            failed += usize::from(client.get::<Option<String>>(key).await.is_err());
            sim.advance(MS * 40).await;
        }
        failed
    });
    join_all(callers).await.into_iter().sum()
}

async fn fleet(sim: &Sim, clients: usize) -> Vec<Client> {
    let connect = (0..clients).map(|_| Client::connect(sim.transport(), sim.config()));
    join_all(connect).await.into_iter().map(Result::unwrap).collect()
}

/// Half of the nodes reset all their connections, as a network device does that restarts.
#[test]
fn a_reset_of_half_of_the_nodes_is_asked_about_over_seconds() {
    let (clients, shards) = (number("SLOTCAR_CLIENTS", 200), number("SLOTCAR_SHARDS", 20));
    Sim::cluster(shards, 0).seed(16).run(|sim| async move {
        let fleet = fleet(&sim, clients).await;
        let keys = keys_of(0..=16383, shards * 4);
        read(&sim, &fleet, &keys, SECOND * 3).await;
        let before = asked(&sim);
        for server in sim.servers().iter().step_by(2) {
            sim.reset_connections(server);
        }
        let (mut failed, mut seconds) = (0, Vec::new());
        let mut seen = before.iter().sum::<u64>();
        for _ in 0..10 {
            failed += read(&sim, &fleet, &keys, SECOND).await;
            let now = asked(&sim).iter().sum();
            seconds.push(now - seen);
            seen = now;
        }
        let each: Vec<u64> =
            asked(&sim).iter().zip(&before).map(|(now, then)| now - then).collect();
        let (all, most) = (each.iter().sum::<u64>(), each.iter().copied().max().unwrap());
        let mean = all as f64 / each.len() as f64;
        println!("{clients} clients, {shards} nodes: {all} queries, by second {seconds:?};");
        println!("{most} at one node, {mean:.1} on average; {failed} calls failed");
        assert_eq!(failed, 0);
        assert!(all > 0 && (most as f64) <= 2.0 * mean, "{most} at one node of {mean:.1}");
        let peak = seconds.iter().max().unwrap();
        assert!(*peak * 3 <= all, "{peak} of {all} within one second");
    });
}

/// Half of the primaries die, and their replicas take over at various moments.
#[test]
fn the_death_of_half_of_the_primaries_costs_each_client_few_refreshes() {
    // Most of the primaries have to agree on each failover, so that fewer than half of them die.
    let (clients, shards) = (number("SLOTCAR_CLIENTS", 200) / 4, number("SLOTCAR_SHARDS", 20) | 1);
    Sim::cluster(shards, 1).seed(16).run(|sim| async move {
        let fleet = fleet(&sim, clients).await;
        let keys = keys_of(0..=16383, shards * 4);
        read(&sim, &fleet, &keys, SECOND * 3).await;
        let count = |client: &Client| client.metrics().refreshes;
        let before: Vec<u64> = fleet.iter().map(count).collect();
        for server in sim.servers().iter().step_by(4).take(shards / 2) {
            sim.kill(server);
        }
        let failed = read(&sim, &fleet, &keys, SECOND * 10).await;
        let each: Vec<u64> = fleet.iter().zip(&before).map(|(c, then)| count(c) - then).collect();
        let (most, all) = (each.iter().max().unwrap(), each.iter().sum::<u64>());
        println!("{clients} clients, {} nodes: {most} refreshes at most", shards * 2);
        println!("{:.1} on average, {failed} calls failed", all as f64 / clients as f64);
        assert_eq!(failed, 0);
        assert!(*most < 33, "{most} refreshes of one client in 10 s");
    });
}
