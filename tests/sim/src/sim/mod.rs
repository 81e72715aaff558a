//! The handle of a simulation for a test: start it, act on it, run code in it.
//!
//! The other files of this folder hold the actions by kind; this one holds the handle and the ways
//! to run.

mod actions;
mod builder;
mod client;
mod cluster;
mod clusters;
mod inspect;
mod sentinel;

pub use builder::SimBuilder;
pub use inspect::Executed;

use crate::executor::{RunLimits, Shared};
use crate::failure::Failure;
use crate::ids::HostId;
use crate::transport::SimTransport;
use slotcar::{Endpoint, Timestamp};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How long tasks and streams may take to end after the test's end, in virtual time.
const SETTLE: Duration = Duration::from_secs(5);
/// Trace lines that a failure shows.
const TAIL_LINES: usize = 200;

/// A running simulation. Clones are the same simulation.
/// Every action takes effect at once, at the present virtual time. Time passes while tasks wait.
/// passes while tasks wait.
#[derive(Clone, Debug)]
pub struct Sim {
    /// World, tasks, clock.
    pub(super) shared: Arc<Shared>,
    /// The seed, which replays the run.
    seed: u64,
    /// Bounds of a run.
    limits: RunLimits,
}

impl Sim {
    pub(super) fn new(shared: Arc<Shared>, seed: u64, limits: RunLimits) -> Self {
        Self { shared, seed, limits }
    }

    /// One server named `a`.
    pub fn standalone() -> SimBuilder {
        SimBuilder::standalone(0)
    }

    /// A primary named `a` with replicas named `a1`, `a2` and so on, without automatic failover.
    pub fn replicated(replicas: usize) -> SimBuilder {
        SimBuilder::standalone(replicas)
    }

    /// A service: a primary named `a` with replicas named `a1`, `a2` and so on. Sentinels named
    /// `s1`, `s2` and so on monitor it and fail over.
    ///
    /// ```
    /// use slotcar::prelude::*;
    /// use slotcar_sim::Sim;
    /// use std::time::Duration;
    ///
    /// Sim::sentinel(2, 3).seed(7).run(|sim| async move {
    ///     let client = sim.client(sim.config()).await.unwrap();
    ///     client.set("user:1", "Ada").await.unwrap();
    ///     sim.advance(Duration::from_millis(10)).await;
    ///     sim.kill("a");
    ///     let patient = client.with_timeout(Duration::from_secs(20));
    ///     assert_eq!(patient.get::<String>("user:1").await.unwrap(), "Ada");
    /// });
    /// ```
    pub fn sentinel(replicas: usize, sentinels: usize) -> SimBuilder {
        SimBuilder::sentinel(replicas, sentinels)
    }

    /// A cluster: primaries `a`, `b`, `c` and so on, each with replicas `a1`, `a2` and so on.
    pub fn cluster(shards: usize, replicas: usize) -> SimBuilder {
        SimBuilder::cluster(shards, replicas)
    }

    /// The seed of this run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The transport of a client on the host named `client`.
    #[must_use]
    pub fn transport(&self) -> SimTransport {
        self.transport_of(builder::CLIENT)
    }

    /// The transport of a client on a host of its own, so that a partition can affect this client
    /// alone.
    #[must_use]
    pub fn transport_of(&self, host: &str) -> SimTransport {
        let (id, seed) = self.shared.with_world(|world| {
            let known = world.network.find_host(host);
            let id = known.unwrap_or_else(|| world.add_host(host, None));
            (id, world.rng.fork(u64::from(id.0)).next_u64())
        });
        SimTransport::new(Arc::clone(&self.shared), id, seed)
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Lets `time` pass. Other tasks and all servers go on meanwhile.
    pub async fn advance(&self, time: Duration) {
        crate::transport::Sleep::new(Arc::clone(&self.shared), self.now().after(time)).await;
    }

    /// Where a server listens now.
    ///
    /// # Panics
    /// When no server has that name.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Endpoint {
        let host = self.host(name);
        let address = self.shared.with_world(|world| world.network.host(host).address);
        let address = address.expect("a server has an address");
        Endpoint::tcp(&address.ip().to_string(), address.port())
    }

    /// Runs a future, and all other tasks, until the future is done.
    ///
    /// # Panics
    /// When the run cannot end. The text has the last trace lines and the way to replay the run.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _note = self.note_on_panic();
        self.shared.block_on(future, &self.limits).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Runs a test to its end and checks that no task, timer or stream is left.
    ///
    /// # Panics
    /// When the run cannot end or leaks. The text has the last trace lines and the way to replay
    /// the run.
    pub fn run<F: Future>(&self, test: impl FnOnce(Self) -> F) -> F::Output {
        let _note = self.note_on_panic();
        self.try_run(test).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Like [`Sim::run`], with the failure as a value.
    ///
    /// # Errors
    /// The reason why the run was ended.
    pub fn try_run<F: Future>(&self, test: impl FnOnce(Self) -> F) -> Result<F::Output, Failure> {
        let output = self.shared.block_on(test(self.clone()), &self.limits)?;
        self.check_leaks()?;
        Ok(output)
    }

    /// Gives tasks a little time to end, then counts what is left.
    ///
    /// # Errors
    /// [`Failure::Leak`] when a task, a timer or a stream is left although every client was
    /// dropped.
    pub fn check_leaks(&self) -> Result<(), Failure> {
        self.shared.block_on(self.advance(SETTLE), &self.limits)?;
        let (timers, streams) =
            self.shared.with_world(|world| (world.sleepers(), world.network.open_streams()));
        let tasks = self.shared.tasks();
        if tasks + timers + streams.len() == 0 {
            Ok(())
        } else {
            Err(Failure::Leak { tasks, timers, streams })
        }
    }

    fn host(&self, name: &str) -> HostId {
        let found = self.shared.with_world(|world| world.network.find_host(name));
        found.unwrap_or_else(|| panic!("no host in this simulation is named {name}"))
    }

    fn note_on_panic(&self) -> NoteOnPanic<'_> {
        NoteOnPanic(self)
    }
}

/// Prints the way to replay a run, and the last trace lines, when the run panics.
struct NoteOnPanic<'a>(&'a Sim);

impl Drop for NoteOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- the last of {:?} in this simulation, seed {} ---",
                self.0.now(),
                self.0.seed
            );
            eprint!("{}", self.0.trace(TAIL_LINES));
            eprintln!("--- replay it with .seed({}) ---", self.0.seed);
        }
    }
}
