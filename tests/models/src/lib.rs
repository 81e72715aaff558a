//! The client's hand-overs between threads, run in every order of their steps.
//!
//! The files of the client that hand work from one thread to another are compiled here as they are,
//! with `loom`'s locks and atomics in place of the standard ones (`lock`). `loom` then runs each
//! model in every order of its threads' steps and with every value that the memory model lets an
//! atomic load see. A wake-up that is lost ends as a deadlock, which `loom` reports; it then may
//! abort the program instead of failing the test.
//!
//! Limit: `PREEMPTIONS` per run, so that all models end within seconds. Each file names the changes
//! to the client's code that make its models fail; they were tried by hand.
//!
//! Run by `tests/models/tests/models.rs`.

#![allow(dead_code, reason = "a model uses a part of each file")]
#![allow(unreachable_pub, reason = "the files have the visibility that they have in the client")]

pub mod budget;
pub mod hand_over;
pub mod health;
pub mod policy;
pub mod shared_future;

/// How often threads may be interrupted in the middle of their work, in one run of a model. Nearly
/// all mistakes show with two; each further one multiplies the time.
const PREEMPTIONS: usize = 2;

/// Runs a model in every order of its steps.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

/// What the client's files import as `crate::lock`.
mod lock {
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    };
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("no model panics under a lock")
    }
}

#[path = "../../../core/src/time.rs"]
mod time;

#[path = "../../../core/src/connection"]
mod connection {
    pub(crate) mod budget;
    pub(crate) mod entry;
    pub(crate) mod outcome;
    pub(crate) mod wakers;

    /// Stands in for what an entry says of its replies, which no model has.
    pub(crate) mod reply_shape {
        /// See above.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Expected<'a> {
            /// See the client.
            #[expect(dead_code, reason = "it holds the lifetime")]
            ValuesBut(&'a [u32]),
            /// See the client.
            Values,
        }
    }
}

/// As the client has it natively.
mod bounds {
    /// A boxed future.
    pub(crate) type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
}

#[path = "../../../core/src/driver"]
mod driver {
    pub(crate) mod environment {
        pub(crate) mod shared_future;
    }
    #[path = "node/health.rs"]
    pub(crate) mod health;
    #[path = "replica/policy.rs"]
    pub(crate) mod policy;
    #[path = "link/turns.rs"]
    pub(crate) mod turns;
}

/// Stands in for what `health` keeps of a primary and no model uses.
mod topology {
    pub(crate) mod replication {
        /// See above.
        #[derive(Debug, Default)]
        pub(crate) struct PrimaryOffsets;
    }
}

/// Stands in for the parts of the configuration that `policy` reads.
mod config {
    use std::time::Duration;

    /// The nodes that a policy chooses among.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Among {
        /// Replicas and the primary.
        All,
        /// Replicas.
        Replicas,
    }

    /// Where reads go.
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) enum ReadFrom {
        /// An application's own.
        Custom(u8),
        /// The least loaded node.
        LeastLoaded(Among),
        /// The node with the lowest latency.
        Nearest(Among),
        /// A replica or, if there is none, the primary.
        PreferReplica,
        /// The primary.
        Primary,
        /// Any node.
        Random(Among),
        /// A replica.
        Replica,
        /// Each node in turn.
        RoundRobin(Among),
        /// A node in this zone first.
        Zone(u8),
    }

    /// A client's configuration.
    #[derive(Clone, Debug)]
    pub(crate) struct Config {
        /// See the client.
        pub(crate) max_staleness: Option<Duration>,
        /// See the client.
        pub(crate) primary_fallback_percent_max: u32,
        /// See the client.
        pub(crate) progress_timeout: Duration,
        /// See the client.
        pub(crate) read_from: ReadFrom,
    }
}
