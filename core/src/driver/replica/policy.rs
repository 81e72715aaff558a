//! Where reads go and how old their data may be: the settings, and the cell in which all clones of
//! a client share and switch them.
//!
//! Invariants: a client whose policy is `Primary` pays one test for each command; a switch is in
//! force for every call that begins after it.
//! Limits: a shard's nodes are checked every second; under a bound on staleness four times within
//! the bound, at least 25 ms apart.

use crate::config::{Among, Config, ReadFrom};
use crate::lock::{AtomicU8, Mutex, Ordering, lock};
use crate::time::Timestamp;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;

/// How often the nodes of a shard that is read from are checked.
pub(crate) const CHECK: Duration = Duration::from_secs(1);
/// The least time between two health checks, whatever the bound on staleness.
const CHECK_MIN: Duration = Duration::from_millis(25);
/// A node counts as silent when a read waits longer than this part of the progress timeout.
const SILENT_PART: u32 = 4;

/// Where reads go, and how old their data may be. A view of a client may have its own.
#[derive(Clone, Debug)]
pub(crate) struct ReadSettings {
    /// The read policy.
    pub(crate) policy: ReadFrom,
    /// See `Config::max_staleness`.
    pub(crate) max_staleness: Option<Duration>,
    /// See `Config::primary_fallback_percent_max`.
    pub(crate) fallback_percent: u32,
    /// A node that owes the reply to a timed read for longer counts as silent; in nanoseconds.
    pub(crate) silent: u64,
}

impl ReadSettings {
    /// The read settings of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let silent = Timestamp::from_duration(config.progress_timeout / SILENT_PART).nanos();
        Self {
            policy: config.read_from.clone(),
            max_staleness: config.max_staleness,
            fallback_percent: config.primary_fallback_percent_max,
            silent,
        }
    }

    /// Whether every read goes to the primary, so that there is nothing to select.
    pub(crate) fn is_primary(&self) -> bool {
        self.policy == ReadFrom::Primary
    }

    /// How a node is selected.
    #[inline]
    pub(crate) fn selection_mode(&self) -> SelectionMode {
        match self.policy {
            ReadFrom::Primary => SelectionMode::Primary,
            _ if self.max_staleness.is_some() => SelectionMode::Table,
            ReadFrom::Replica
            | ReadFrom::PreferReplica
            | ReadFrom::LeastLoaded(Among::Replicas) => SelectionMode::LessLoadedReplica,
            ReadFrom::LeastLoaded(Among::All) => SelectionMode::LessLoaded,
            _ => SelectionMode::Table,
        }
    }

    /// The time between two health checks of a shard.
    pub(crate) fn check_interval(&self) -> Duration {
        self.max_staleness.map_or(CHECK, |bound| (bound / 4).clamp(CHECK_MIN, CHECK))
    }

    /// Whether the policy compares latencies, so that each node's has to be known.
    pub(crate) fn uses_latency(&self) -> bool {
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

/// How a node is selected: all that nearly every call needs to know of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SelectionMode {
    /// Every read goes to the primary: there is nothing to select.
    Primary,
    /// The less loaded of two replicas; only health and load matter.
    LessLoadedReplica,
    /// The less loaded of two nodes, the primary among them.
    LessLoaded,
    /// Any other way: a table of the shard's nodes has to be made.
    Table,
}

impl SelectionMode {
    /// All modes, by number.
    const ALL: [Self; 4] = [Self::Primary, Self::LessLoadedReplica, Self::LessLoaded, Self::Table];
}

/// The read settings of all views that have none of their own.
#[derive(Debug)]
pub(crate) struct SharedReadSettings {
    /// The number of the settings' selection mode.
    selection_mode: AtomicU8,
    /// `ReadSettings::silent`, which is the same in all settings of a client.
    silent: u64,
    /// The settings.
    settings: ArcSwap<ReadSettings>,
    /// Held while mode and settings are changed.
    changing: Mutex<()>,
}

impl SharedReadSettings {
    /// How a node is selected.
    #[inline]
    pub(crate) fn selection_mode(&self) -> SelectionMode {
        let number = usize::from(self.selection_mode.load(Ordering::Acquire));
        SelectionMode::ALL.get(number).copied().unwrap_or(SelectionMode::Table)
    }

    /// See `ReadSettings::silent`.
    #[inline]
    pub(crate) fn silent(&self) -> u64 {
        self.silent
    }

    /// The settings.
    pub(crate) fn settings(&self) -> Arc<ReadSettings> {
        self.settings.load_full()
    }

    pub(crate) fn new(config: &Config) -> Self {
        let settings = ReadSettings::of(config);
        let selection_mode = AtomicU8::new(settings.selection_mode() as u8);
        let silent = settings.silent;
        let (settings, changing) = (ArcSwap::from_pointee(settings), Mutex::new(()));
        Self { selection_mode, silent, settings, changing }
    }

    /// Changes the settings, for every call that begins after this returns.
    pub(crate) fn set(&self, settings: ReadSettings) {
        // The settings are stored first: a call that reads the new mode then finds settings that
        // are at least as new. Settings that say `Primary` are right under either mode.
        let mode = settings.selection_mode();
        let _changing = lock(&self.changing);
        self.settings.store(Arc::new(settings));
        self.selection_mode.store(mode as u8, Ordering::Release);
    }
}
