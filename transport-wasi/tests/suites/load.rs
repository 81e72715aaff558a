//! A load that runs beside the faults, in one future: components have no threads.
//!
//! Each worker counts with INCR at a key of its own and reads the counter back. `INCR` is not
//! idempotent, so the counters tell whether anything ran twice.

use crate::pause;
use crate::real::wait::BOUND;
use futures::future::{join, join_all};
use slotcar::{Client, Delivery, Error};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two looks at the servers: each look holds the whole component up.
const LOOK: Duration = Duration::from_millis(50);

/// What one worker saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Increments that were acknowledged.
    pub(crate) acknowledged: i64,
    /// Increments of which nobody knows whether they ran.
    pub(crate) unknown: i64,
    /// When the last good pair of commands began.
    well: Option<Instant>,
    /// Every failure.
    pub(crate) errors: Vec<Error>,
}

/// See the head of this file.
#[derive(Default)]
pub(crate) struct Load {
    /// By key.
    seen: RefCell<BTreeMap<String, Seen>>,
    /// Set to end it.
    stopped: Cell<bool>,
}

impl Load {
    /// Runs workers for these keys beside `faults`, and returns what they saw.
    pub(crate) async fn beside(
        client: &Client,
        keys: &[String],
        faults: impl AsyncFnOnce(&Self),
    ) -> BTreeMap<String, Seen> {
        let load = Self::default();
        load.seen.borrow_mut().extend(keys.iter().map(|key| (key.clone(), Seen::default())));
        let workers = join_all(keys.iter().map(|key| load.work(client, key)));
        let faults = async {
            load.until_well().await;
            faults(&load).await;
            load.stopped.set(true);
        };
        join(workers, faults).await;
        let seen = load.seen.take();
        for (key, seen) in &seen {
            let count: i64 = client.get(key).await.expect("the load ended well");
            let most = seen.acknowledged + seen.unknown;
            assert!(count <= most, "{key}: {count}, with {most} at most: one ran twice");
        }
        seen
    }

    async fn work(&self, client: &Client, key: &str) {
        while !self.stopped.get() {
            let began = Instant::now();
            let outcome = client.incr(key).await;
            let read = client.get::<Option<i64>>(key).await;
            self.note(key, began, outcome, read.err());
            pause(Duration::from_millis(2)).await;
        }
    }

    /// Takes down how a pair of commands ended.
    fn note(&self, key: &str, began: Instant, counted: Result<i64, Error>, read: Option<Error>) {
        let mut seen = self.seen.borrow_mut();
        let seen = seen.get_mut(key).expect("a worker's key");
        match &counted {
            Ok(_) => seen.acknowledged += 1,
            Err(error) => seen.unknown += i64::from(error.delivery() == Delivery::Unknown),
        }
        if counted.is_ok() && read.is_none() {
            seen.well = Some(began);
        }
        seen.errors.extend(counted.err());
        seen.errors.extend(read);
    }

    /// Waits until every worker has had a good pair of commands that began after this.
    pub(crate) async fn until_well(&self) {
        let since = Instant::now();
        self.until("every key to answer", || {
            let seen = self.seen.borrow();
            seen.values().all(|seen| seen.well.is_some_and(|at| at >= since)).then_some(())
        })
        .await;
    }

    /// Waits for something outside, while the load goes on.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < BOUND, "this did not happen within {BOUND:?}: {what}");
            pause(LOOK).await;
        }
    }
}
