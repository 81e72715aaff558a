//! The workloads: one table, read by the peers (what to do) and by the runner (where, how often).
//!
//! An operation is one command, or, where a call carries a hundred, one key, field or message: so
//! that numbers compare across workloads.

use Place::{Cluster, One, Replicas};
use Shape::{Big, Cold, Hgetall, Messages, Mget, Mixed, Pipeline, Reads, Sequential};

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One GET after the other.
    Sequential,
    /// So many tasks at once over clones of one client, GET and SET in turn.
    Mixed(usize),
    /// So many tasks at once, GET only.
    Reads(usize),
    /// One explicit pipeline of [`crate::data::BATCH`] GETs after the other.
    Pipeline,
    /// One MGET of [`crate::data::BATCH`] keys after the other.
    Mget,
    /// One HGETALL of [`crate::data::BATCH`] fields after the other.
    Hgetall,
    /// One GET of [`crate::data::BIG_LEN`] bytes after the other.
    Big,
    /// A subscriber's messages.
    Messages,
    /// From nothing to the first reply.
    Cold,
}

/// Where it does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One server.
    One,
    /// Three primaries with a replica each.
    Cluster,
    /// The replicas of such a cluster.
    Replicas,
}

/// One row of the table.
#[derive(Debug)]
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// A line for people.
    pub summary: &'static str,
    /// What an operation is.
    pub unit: &'static str,
    /// What the client does.
    pub shape: Shape,
    /// Where it does it.
    pub place: Place,
    /// Operations of a timed run.
    pub ops: u64,
    /// The most CPU that slotcar may use per operation, as a part of the best
    /// peer's: see the tables.
    pub goal: Option<f64>,
}

/// All workloads, in the order of the tables.
#[rustfmt::skip]
pub const ALL: &[Workload] = &[
    row("a", One, Sequential, 8_000, "GET", "sequential GET, 100 bytes", Some(1.15)),
    row("b", One, Mixed(64), 200_000, "command", "64 tasks, GET and SET", Some(0.70)),
    row("c", One, Mixed(1024), 250_000, "command", "1024 tasks, GET and SET", Some(0.60)),
    row("d", One, Pipeline, 250_000, "GET", "pipeline of 100 GETs", Some(0.80)),
    row("e", One, Big, 500, "GET", "GET of 1 MiB", Some(1.05)),
    row("f1", One, Mget, 250_000, "value", "MGET of 100 keys", Some(1.05)),
    row("f2", One, Hgetall, 250_000, "field", "HGETALL of 100 fields, a HashMap", Some(1.0)),
    row("g", Cluster, Mixed(64), 100_000, "command", "cluster: 64 tasks, GET and SET", Some(0.75)),
    row("h", Replicas, Reads(64), 100_000, "GET", "cluster: 64 tasks, GET, replicas", Some(0.75)),
    row("i1", Cluster, Pipeline, 100_000, "GET", "cluster: pipeline of 100 GETs", Some(0.55)),
    row("i2", Cluster, Mget, 100_000, "value", "cluster: MGET of 100 keys", Some(0.35)),
    row("j", One, Messages, 250_000, "message", "SUBSCRIBE, 16 bytes", Some(0.50)),
    row("js", Cluster, Messages, 200_000, "message", "cluster: SSUBSCRIBE, 16 bytes", Some(0.50)),
    row("k", Cluster, Cold, 1, "start", "cold start against the cluster", None),
];

/// The workload of this name.
pub fn named(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.name == name)
}

impl Workload {
    /// How many tasks run at once.
    pub fn tasks(&self) -> usize {
        match self.shape {
            Mixed(tasks) | Reads(tasks) => tasks,
            _ => 1,
        }
    }

    /// How many operations one call carries.
    pub fn ops_per_call(&self) -> u64 {
        match self.shape {
            Pipeline | Mget | Hgetall => crate::data::BATCH as u64,
            _ => 1,
        }
    }
}

const fn row(
    name: &'static str,
    place: Place,
    shape: Shape,
    ops: u64,
    unit: &'static str,
    summary: &'static str,
    goal: Option<f64>,
) -> Workload {
    Workload { name, summary, unit, shape, place, ops, goal }
}
