//! Where reads go and how old their data may be, as a value that calls share, and the switch by
//! which it is changed while they run.
//!
//! Invariants: a client whose policy is `Primary` pays one test for each command; a switch is in
//! force for every call that begins after it. Called by `client` (views, the switch) and by
//! everything that reads.

use crate::config::{Among, Config, ReadFrom};
use crate::lock::{AtomicU8, Mutex, Ordering, lock};
use crate::time::Timestamp;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;

/// How often the nodes of a shard that is read from are asked who they are.
pub(crate) const CHECK: Duration = Duration::from_secs(1);
/// The least time between two check-ups, whatever the bound on staleness.
const CHECK_MIN: Duration = Duration::from_millis(25);
/// A node is silent when a read is out for this part of the progress time-out.
const SILENT_PART: u32 = 4;

/// Where reads go, and how old their data may be: what a view of a client may set for itself.
#[derive(Clone, Debug)]
pub(crate) struct ReadSettings {
    /// The policy.
    pub(crate) policy: ReadFrom,
    /// See `Config`.
    pub(crate) max_staleness: Option<Duration>,
    /// See `Config::primary_fallback_percent_max`.
    pub(crate) fallback_percent: u32,
    /// A timed read that is out for longer, in nanoseconds, means that the node hangs.
    pub(crate) silent: u64,
}

impl ReadSettings {
    /// The rule of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let silent = Timestamp::from_duration(config.progress_timeout / SILENT_PART).nanos();
        Self {
            policy: config.read_from.clone(),
            max_staleness: config.max_staleness,
            fallback_percent: config.primary_fallback_percent_max,
            silent,
        }
    }

    /// Whether every read goes to the primary, so that there is nothing to choose.
    pub(crate) fn is_primary(&self) -> bool {
        self.policy == ReadFrom::Primary
    }

    /// How it chooses.
    #[inline]
    pub(crate) fn manner(&self) -> Manner {
        match self.policy {
            ReadFrom::Primary => Manner::Plain,
            _ if self.max_staleness.is_some() => Manner::Table,
            ReadFrom::Replica
            | ReadFrom::PreferReplica
            | ReadFrom::LeastLoaded(Among::Replicas) => Manner::LighterReplica,
            ReadFrom::LeastLoaded(Among::All) => Manner::Lighter,
            _ => Manner::Table,
        }
    }

    /// How often a shard is checked up on.
    pub(crate) fn check_interval(&self) -> Duration {
        self.max_staleness.map_or(CHECK, |bound| (bound / 4).clamp(CHECK_MIN, CHECK))
    }

    /// Whether it reckons with latency, so that a node's has to be known.
    pub(crate) fn reckons(&self) -> bool {
        !matches!(self.policy, ReadFrom::RoundRobin(_) | ReadFrom::Random(_) | ReadFrom::Custom(_))
    }

    /// Whether zones have to be known.
    pub(crate) fn needs_zones(&self) -> bool {
        matches!(self.policy, ReadFrom::Zone(_) | ReadFrom::Custom(_))
    }

    /// Whether the policy may ever give a read to the primary.
    pub(crate) fn may_use_primary(&self) -> bool {
        !matches!(
            self.policy,
            ReadFrom::Replica
                | ReadFrom::RoundRobin(Among::Replicas)
                | ReadFrom::Random(Among::Replicas)
                | ReadFrom::Nearest(Among::Replicas)
                | ReadFrom::LeastLoaded(Among::Replicas)
        )
    }
}

/// How a rule chooses: what nearly all calls need to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Manner {
    /// Every read goes to the primary: there is nothing to look up.
    Plain,
    /// The less loaded of two replicas, of which only health and load matter.
    LighterReplica,
    /// The same with the primary among them.
    Lighter,
    /// Any other way: a table has to be made.
    Table,
}

impl Manner {
    /// All of them, by number.
    const ALL: [Self; 4] = [Self::Plain, Self::LighterReplica, Self::Lighter, Self::Table];
}

/// What all views share.
#[derive(Debug)]
pub(crate) struct Reads {
    /// The number of the rule's manner.
    manner: AtomicU8,
    /// Every rule's, of this client.
    silent: u64,
    /// The rule.
    rule: ArcSwap<ReadSettings>,
    /// Held while both are changed.
    setting: Mutex<()>,
}

impl Reads {
    /// How the rule chooses.
    #[inline]
    pub(crate) fn manner(&self) -> Manner {
        let number = usize::from(self.manner.load(Ordering::Acquire));
        Manner::ALL.get(number).copied().unwrap_or(Manner::Table)
    }

    /// A timed read that is out for longer, in nanoseconds, means that the node hangs.
    #[inline]
    pub(crate) fn silent(&self) -> u64 {
        self.silent
    }

    /// The rule.
    pub(crate) fn rule(&self) -> Arc<ReadSettings> {
        self.rule.load_full()
    }

    pub(crate) fn new(config: &Config) -> Self {
        let rule = ReadSettings::of(config);
        let (manner, silent) = (AtomicU8::new(rule.manner() as u8), rule.silent);
        Self { manner, silent, rule: ArcSwap::from_pointee(rule), setting: Mutex::new(()) }
    }

    /// Changes the rule: in force for every call that begins after this returns.
    pub(crate) fn set(&self, rule: ReadSettings) {
        // Whoever is sent to the rule finds one that is no older than the manner; one that says
        // `Primary` is good under either.
        let manner = rule.manner();
        let _setting = lock(&self.setting);
        self.rule.store(Arc::new(rule));
        self.manner.store(manner as u8, Ordering::Release);
    }
}
