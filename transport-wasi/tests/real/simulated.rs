//! Simulated servers on real sockets, seen from a component: they run outside.
//!
//! The names are those of `slotcar-sim`.

use super::cluster;
use super::remote::{ask, ask_one};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

/// A deployment to serve.
#[derive(Clone, Debug)]
pub struct Builder {
    /// `cluster` or `sentinel`.
    kind: &'static str,
    /// Shards, or replicas.
    first: usize,
    /// Replicas of each shard, or sentinels.
    second: usize,
    /// Seed of the simulation.
    seed: u64,
}

impl Builder {
    /// Sets the seed of the simulation.
    pub fn seed(mut self, seed: u64) -> Builder {
        self.seed = seed;
        self
    }

    /// Serves them until the result is dropped.
    pub fn serve(self) -> io::Result<Served> {
        let numbers = [self.first.to_string(), self.second.to_string(), self.seed.to_string()];
        let answer = ask(&["simulated", self.kind, &numbers[0], &numbers[1], &numbers[2]]);
        let [id, url] = answer.as_slice() else { panic!("{answer:?}: an id, a URL") };
        let (sim, url) = (Sim { id: id.clone() }, url.clone());
        Ok(Served { sim, url, addresses: BTreeMap::new() })
    }
}

/// Controls simulated servers.
#[derive(Clone, Debug)]
pub struct Sim {
    /// Their id outside.
    id: String,
}

impl Sim {
    /// A cluster.
    pub fn cluster(shards: usize, replicas: usize) -> Builder {
        Builder { kind: "cluster", first: shards, second: replicas, seed: 0 }
    }

    /// A service behind sentinels.
    pub fn sentinel(replicas: usize, sentinels: usize) -> Builder {
        Builder { kind: "sentinel", first: replicas, second: sentinels, seed: 0 }
    }

    /// A key's slot.
    pub fn slot_of(key: &str) -> u16 {
        cluster::slot_of(key)
    }

    /// The server that serves a slot.
    pub fn owner_of(&self, slot: u16) -> String {
        ask_one(&["sim_owner", &self.id, &slot.to_string()])
    }

    /// Ends a server.
    pub fn kill(&self, name: &str) {
        ask(&["sim_kill", &self.id, name]);
    }

    /// Moves a slot with its keys.
    pub fn move_slot(&self, slot: u16, to: &str) {
        ask(&["sim_move", &self.id, &slot.to_string(), to]);
    }

    /// The primary that most sentinels name.
    pub fn agreed_primary(&self) -> Option<String> {
        let name = ask_one(&["sim_primary", &self.id]);
        (!name.is_empty()).then_some(name)
    }
}

/// Simulated servers on sockets; they end when this is dropped.
#[derive(Debug)]
pub struct Served {
    /// Controls the servers.
    sim: Sim,
    /// A URL that slotcar connects with.
    url: String,
    /// For the tests of native programs, which do not run here.
    addresses: BTreeMap<String, SocketAddr>,
}

impl Served {
    /// Controls the servers.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// A URL that slotcar connects with.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// For the tests of native programs, which do not run here.
    pub fn addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        ask(&["drop", &self.sim.id]);
    }
}
