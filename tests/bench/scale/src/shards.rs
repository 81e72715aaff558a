//! A cluster of many shards: commands, redirects and refreshes.
//!
//! Each shard has one node. Keys name their slot, so that the servers need not compute it.

use crate::host::Host;
use crate::section::{counted, section};
use crate::server::{SLOTS, Servers};
use crate::subscriptions::client;
use slotcar::prelude::*;
use slotcar_core::config::Deployment;
use slotcar_core::{Blob, Client, NodeId, Slot, Target, cmd, command};
use std::time::Duration;

/// Operations of sections that do the same again and again.
const ROUNDS: usize = 300;

/// Commands of a pipeline for each shard.
const PIPELINED: usize = 10;

/// For each shard, one of its slots and a name in it.
pub(crate) fn names_by_shard(host: &Host, shards: u16) -> Vec<(u16, String)> {
    let mut found: Vec<Option<(u16, String)>> = vec![None; usize::from(shards)];
    let mut left = usize::from(shards);
    for n in 0_u32.. {
        if left == 0 {
            break;
        }
        let name = format!("t{n}");
        let slot = Slot::of(name.as_bytes()).number();
        let owner = host.servers(|servers| servers.owner(slot));
        let place = &mut found[usize::from(owner)];
        left -= usize::from(place.is_none());
        place.get_or_insert((slot, name));
    }
    found.into_iter().flatten().collect()
}

/// The key by which the servers know its slot.
fn key(slot: u16, tag: &str) -> String {
    format!("k:{slot}:{{{tag}}}")
}

fn get(host: &Host, client: &Client, key: &str) {
    let value: Option<Blob> = host.finish(client.get(key)).expect("GET succeeds");
    assert!(value.is_some(), "the servers have every key");
}

/// Moves a slot to the next shard, and lets a GET find that out.
pub(crate) fn moved(host: &Host, client: &Client, slot: u16, tag: &str) {
    let before = host.servers(|servers| {
        let at = servers.place(slot);
        servers.move_slot(slot, (at + 1) % servers.shards());
        servers.redirects
    });
    get(host, client, &key(slot, tag));
    assert!(host.servers(|servers| servers.redirects) > before, "it was somewhere else before");
}

/// A cluster of so many shards.
pub(crate) fn run(size: usize) {
    let shards = u16::try_from(size).expect("a cluster has no more");
    let host = Host::new(Servers::cluster(shards));
    let client = client(&host, Deployment::Cluster);
    let names = names_by_shard(&host, shards);
    let of = |n: usize| &names[n * 7 % names.len()];
    // One node is connected: a command without a key goes there.
    section("keyless-one-connected", ROUNDS as u64, || {
        for _ in 0..ROUNDS {
            let echo = cmd("ECHO").arg("x");
            let reply: String = host.finish(client.send(echo)).expect("ECHO succeeds");
            assert_eq!(reply, "OK", "as these servers say to anything");
        }
    });
    section("dial", size as u64, || {
        names.iter().for_each(|(slot, tag)| get(&host, &client, &key(*slot, tag)));
    });
    section("get", ROUNDS as u64, || {
        for n in 0..ROUNDS {
            let (slot, tag) = of(n);
            get(&host, &client, &key(*slot, tag));
        }
    });
    let (pipelines, pipelined) = (ROUNDS.div_ceil(size), PIPELINED * size);
    section("pipeline", (pipelines * pipelined) as u64, || {
        for _ in 0..pipelines {
            let mut pipeline = client.pipeline();
            for n in 0..pipelined {
                let (slot, tag) = of(n);
                pipeline.push(command::get(key(*slot, tag)));
            }
            let values: Vec<Blob> = host.finish(pipeline.run()).expect("the pipeline succeeds");
            assert_eq!(values.len(), pipelined);
        }
    });
    let nodes: Vec<NodeId> =
        client.topology().shards.into_iter().map(|shard| shard.primary.id).collect();
    assert_eq!(nodes.len(), size, "each shard has a primary");
    section("to-node", ROUNDS as u64, || {
        for n in 0..ROUNDS {
            let target = Target::Node(nodes[n * 7 % nodes.len()].clone());
            let echo = cmd("ECHO").arg("x");
            let reply: String = host.finish(client.send_to(target, echo)).expect("it is known");
            assert_eq!(reply, "OK", "as these servers say to anything");
        }
    });
    // All slots are looked at once, which costs little for each: as much as so many shards.
    let (pictures, slots) = (ROUNDS.div_ceil(size), usize::from(SLOTS) / 32);
    section("topology", (pictures * (slots + size)) as u64, || {
        for _ in 0..pictures {
            let shards = counted(|| client.topology()).shards;
            assert_eq!(shards.len(), size);
        }
    });
    section("ask", ROUNDS as u64, || {
        for n in 0..ROUNDS {
            let (slot, tag) = of(n);
            host.servers(|servers| {
                let next = (servers.place(*slot) + 1) % servers.shards();
                servers.ask_for(*slot, next);
            });
            get(&host, &client, &key(*slot, tag));
            host.servers(|servers| servers.ask_no_more(*slot));
        }
    });
    section("moved", ROUNDS as u64, || {
        for n in 0..ROUNDS {
            let (slot, tag) = of(n);
            moved(&host, &client, *slot, tag);
        }
    });
    let rounds = ROUNDS.div_ceil(size);
    // Of each shard: what the refresh reads, and what follows from it.
    section("refresh", (rounds * size) as u64, || {
        for n in 0..rounds {
            let (slot, _) = of(n);
            host.servers(|servers| servers.move_slot(*slot, (n % size) as u16));
            host.finish(client.refresh()).expect("a node answers");
            host.advance(Duration::from_secs(2));
        }
    });
    assert!(usize::from(SLOTS) >= size, "each shard has a slot");
}
