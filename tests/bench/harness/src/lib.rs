//! What every peer of the benchmark shares: arguments, accounting, data and the workload drivers.
//!
//! A peer brings a client and a runtime: it implements [`Client`] and [`Peer`], and its `main` is
//! [`entry::main`]. This crate depends on no async runtime, so that none is favoured. An operation
//! that fails ends the process, and the runner shows a gap in the table.
//!
//! The runner uses only the workload table and the raw connection.

mod alloc;
pub mod args;
pub mod data;
mod drive;
pub mod entry;
mod latch;
pub mod measure;
pub mod publish;
pub mod rng;
pub mod wire;
pub mod workload;

use args::{Addr, Args, Mode};
use measure::Measure;
use std::pin::Pin;
use workload::{Place, Workload};

/// A task as a peer spawns it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a connection must reach.
#[derive(Clone, Debug)]
pub struct Target {
    /// A standalone server's address, or a cluster's: primaries in slot order, then their replicas.
    pub addrs: Vec<Addr>,
    /// Whether they form a cluster.
    pub cluster: bool,
    /// Whether reads go to replicas.
    pub replica_reads: bool,
}

impl Target {
    /// What the workload of these arguments needs.
    pub fn of(args: &Args) -> Self {
        let place = args.workload.place;
        Self {
            addrs: args.addrs.clone(),
            cluster: place != Place::One,
            replica_reads: place == Place::Replicas,
        }
    }
}

/// The operations measured, on a cloneable handle.
///
/// Each returns a size, so that nothing is optimised away and the driver can check the answer. The
/// values come back owned, in the type that the peer decodes most cheaply.
pub trait Client: Clone + Send + Sync + 'static {
    /// GET: the value's length.
    fn get(&mut self, key: &str) -> impl Future<Output = usize> + Send;
    /// SET.
    fn set(&mut self, key: &str, value: &str) -> impl Future<Output = ()> + Send;
    /// One explicit pipeline of GETs: the sum of the lengths.
    fn pipeline_get(&mut self, keys: &[String]) -> impl Future<Output = usize> + Send;
    /// MGET: the sum of the lengths.
    fn mget(&mut self, keys: &[String]) -> impl Future<Output = usize> + Send;
    /// HGETALL into a `HashMap<String, _>`: the number of fields.
    fn hgetall(&mut self, key: &str) -> impl Future<Output = usize> + Send;
}

/// What a subscriber saw.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Messages that came.
    pub received: u64,
    /// Messages that the client says it dropped.
    pub lost: u64,
}

/// A client library on its runtimes.
pub trait Peer: 'static {
    /// Its handle.
    type Client: Client;
    /// How the tables call it.
    const NAME: &'static str;
    /// The modes that it has, in the order of the tables.
    const MODES: &'static [Mode];

    /// Runs a future to its end on a fresh runtime of the given mode.
    fn block_on<T>(mode: Mode, future: impl Future<Output = T>) -> T;

    /// Starts a task on the current runtime.
    fn spawn(task: BoxFuture<()>);

    /// Connects.
    fn connect(target: Target) -> impl Future<Output = Self::Client> + Send;

    /// Subscribes (SSUBSCRIBE on a cluster), calls `ready` once that is confirmed, and counts
    /// until `count` messages came or are known to be lost.
    fn subscribe(
        target: Target,
        channel: &str,
        count: u64,
        ready: impl FnOnce() + Send,
    ) -> impl Future<Output = Counted> + Send;

    /// Whether the client can do this workload in this mode.
    fn supports(_workload: &Workload, _mode: Mode) -> bool {
        true
    }

    /// The blocking interface, where there is one ([`Mode::Sync`]); false when it cannot do the
    /// workload.
    fn run_sync(_args: &Args, _measure: &mut Measure) -> bool {
        false
    }
}
