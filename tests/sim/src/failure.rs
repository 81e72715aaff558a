//! Why a run was ended, as a type.
//!
//! A simulation never hangs and never leaks in silence: what would be a test that runs for ever
//! elsewhere is a value here, at the virtual moment when it is certain.

use std::fmt;
use std::time::Duration;

/// A run that did not come to its end, or left something behind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No task can go on, and nothing is going to happen that would change that.
    Deadlock,
    /// Only the servers' own background work goes on; no task has done anything for `idle`, and
    /// none waits for a timer.
    Idle {
        /// Virtual time since a task was polled.
        idle: Duration,
    },
    /// Tasks wake themselves for ever without the clock moving.
    Livelock {
        /// Polls at one moment.
        polls: u64,
    },
    /// The run took more virtual time than it may.
    TimeLimit {
        /// What it may take.
        limit: Duration,
    },
    /// Everything that the run created was dropped, and yet something is left.
    Leak {
        /// Background tasks that did not end.
        tasks: usize,
        /// Timers that nobody will wait for again.
        timers: usize,
        /// Streams that are still open, with the servers that they lead to.
        streams: Vec<String>,
    },
    /// The checker found a promise broken.
    Broken {
        /// Which, and the facts that show it.
        findings: Vec<String>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock => f.write_str("deadlock: no task can go on and no timer is set"),
            Self::Idle { idle } => {
                write!(f, "stuck: no task has gone on for {idle:?} and none waits for a timer")
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
            Self::Broken { findings } => write!(f, "promises broken: {}", findings.join("; ")),
        }
    }
}

impl std::error::Error for Failure {}
