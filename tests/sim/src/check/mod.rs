//! Runs slotcar's client under a mix of faults, and judges it by what the servers executed.
//!
//! A run is a number: deployment, faults and workload are drawn from its seed. It passes when no
//! promise was broken:
//!
//! - every call ends, once, and not later than its deadline allows;
//! - a reply belongs to its request;
//! - no write and no script ran twice, and none ran whose error said that it had not run;
//! - once a promoted primary has answered, no later write goes to the primary of an earlier
//!   failover;
//! - after everything has healed, every slot is served again, and with sentinels by the primary
//!   that they agree on;
//! - with a limit of connections, there are never more sockets, open or being opened;
//! - when the last handle is dropped, no task, timer or stream is left.
//!
//! A run that fails reports how to replay it, and shows the last traffic, decisions and faults.

mod history;
mod order;
mod scripts;
mod workload;

use crate::failure::Failure;
use crate::faults::{Fault, Faults};
use crate::rng::Rng;
use crate::sim::{Sim, SimBuilder};
use history::History;
use std::fmt;
use std::time::Duration;

/// Calls of a run.
const CALLS: usize = 200;
/// Virtual time in which everything must work again after the faults.
const RECOVERY: Duration = Duration::from_secs(60);
/// Virtual time of a whole run.
const RUN_LIMIT: Duration = Duration::from_secs(600);

/// Lines of the trace that a failure shows, in addition to older decisions and faults.
const TRACE_LINES: usize = 1000;

/// The deployments to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deployment {
    /// One server.
    Standalone,
    /// Three shards of a primary and a replica.
    Cluster,
    /// A primary, two replicas and three sentinels.
    Sentinel,
}

impl Deployment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Standalone, Self::Cluster, Self::Sentinel];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Cluster => "cluster",
            Self::Sentinel => "sentinel",
        }
    }
}

/// What the callers of a run do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Workload {
    /// Reads, writes, pipelines and blocking commands.
    Mixed,
    /// Scripts that count and then answer with errors, under the codes and with the texts of
    /// servers. The servers themselves refuse nothing at random: a refusal that says by chance
    /// what a script has just made up would confirm it.
    Scripts,
    /// The same as `Mixed`, and subscriptions, with a limit of connections that is below what they
    /// need: there are never more.
    Limited,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mixed, Self::Scripts, Self::Limited];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Scripts => "scripts",
            Self::Limited => "limited",
        }
    }
}

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Calls that were made.
    pub calls: usize,
    /// Calls that failed.
    pub failed: usize,
    /// Virtual time.
    pub time: Duration,
    /// The hash of the trace: the same for every run of this seed.
    pub hash: u64,
}

/// A run that broke a promise, with the facts to investigate it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Broken {
    /// The seed.
    pub seed: u64,
    /// The deployment.
    pub deployment: Deployment,
    /// The workload.
    pub workload: Workload,
    /// The broken promise.
    pub failure: Failure,
    /// The end of the trace.
    pub trace: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.deployment.name();
        writeln!(f, "seed {} of {name}: {}", self.seed, self.failure)?;
        let (seed, workload) = (self.seed, self.workload.name());
        write!(
            f,
            "replay it: cargo xtask sim --deployment {name} --workload {workload} --seeds 1 \
             --from {seed}"
        )
    }
}

impl std::error::Error for Broken {}

/// Runs one seed of a workload.
///
/// # Errors
/// The promise that was broken.
///
/// # Panics
/// When the client panics.
pub fn run(seed: u64, deployment: Deployment, workload: Workload) -> Result<Report, Box<Broken>> {
    let mut rng = Rng::new(seed);
    let sim = build(deployment, &mut rng).seed(seed).time_limit(RUN_LIMIT).start();
    let mut faults = Faults::draw(rng.next_u64(), deployment);
    if workload == Workload::Scripts {
        faults.kinds.retain(|kind| *kind != Fault::Refuse);
    }
    let history = History::default();
    let outcome = sim.try_run(|sim| workload::run(sim, rng, faults, history.clone(), workload));
    let judged = outcome.and_then(|()| history.judge(&sim, deployment));
    judged.map_err(|failure| {
        Box::new(Broken { seed, deployment, workload, failure, trace: sim.trace(TRACE_LINES) })
    })
}

fn build(deployment: Deployment, rng: &mut Rng) -> SimBuilder {
    let jitter = Duration::from_micros(rng.below(1500));
    let builder = match deployment {
        Deployment::Standalone => Sim::standalone(),
        Deployment::Cluster => Sim::cluster(3, 1).full_coverage(rng.chance(500)),
        Deployment::Sentinel => Sim::sentinel(2, 3),
    };
    let loading = Duration::from_millis(if rng.chance(300) { rng.below(300) } else { 0 });
    builder.jitter(jitter).loading(loading)
}
