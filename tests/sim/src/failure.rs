//! The reasons why a run is ended, as a type.
//!
//! **Invariants**: a simulation never hangs, and never leaks without a failure. A run without an
//! end becomes a value here, at the virtual time when that is certain.

use std::fmt;
use std::time::Duration;

/// A run that did not come to its end, or left something behind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No task can run, and no event will change that.
    Deadlock,
    /// Only the servers' own background work goes on: no task has run for `idle`, and none waits
    /// for a timer.
    Idle {
        /// Virtual time since a task was polled.
        idle: Duration,
    },
    /// Tasks wake themselves in a loop while the clock stands still.
    Livelock {
        /// Polls at one virtual time.
        polls: u64,
    },
    /// The run took more virtual time than its bound.
    TimeLimit {
        /// The bound.
        limit: Duration,
    },
    /// Everything that the run created was dropped, but something is left.
    Leak {
        /// Background tasks that did not end.
        tasks: usize,
        /// Timers without a task.
        timers: usize,
        /// Streams that are still open, with the servers that they are connected to.
        streams: Vec<String>,
    },
    /// The checker found a broken promise.
    Broken {
        /// Which promise, and the facts that prove it.
        findings: Vec<String>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock => f.write_str("deadlock: no task can run and no event is due"),
            Self::Idle { idle } => {
                write!(f, "stuck: no task has run for {idle:?} and none waits for a timer")
            }
            Self::Livelock { polls } => {
                write!(f, "livelock: {polls} polls without the clock moving")
            }
            Self::TimeLimit { limit } => {
                write!(f, "the run took more than {limit:?} of virtual time")
            }
            Self::Leak { tasks, timers, streams } => write!(
                f,
                "leak: {tasks} tasks, {timers} timers and {} streams are left after the end: {}",
                streams.len(),
                streams.join(", ")
            ),
            Self::Broken { findings } => write!(f, "broken promises: {}", findings.join("; ")),
        }
    }
}

impl std::error::Error for Failure {}
