//! A load that runs during the faults, in one future: components have no threads.
//!
//! Each worker counts with INCR at a key of its own and reads the counter back. `INCR` is not
//! idempotent, so the counters show whether a command ran twice.

use crate::pause;
use crate::real::wait::BOUND;
use futures::future::{join, join_all};
use slotcar::prelude::*;
use slotcar::{Client, Delivery, Error};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The pause between two reads of a server's state: each read blocks the whole component.
const PAUSE: Duration = Duration::from_millis(50);

/// What one worker recorded.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Increments that were acknowledged.
    pub(crate) acknowledged: i64,
    /// Increments that may have run or not.
    pub(crate) unknown: i64,
    /// When the last successful pair of commands began.
    well: Option<Instant>,
    /// Each error.
    pub(crate) errors: Vec<Error>,
}

/// The load.
#[derive(Default)]
pub(crate) struct Load {
    /// By key.
    seen: RefCell<BTreeMap<String, Seen>>,
    /// Set to end it.
    stopped: Cell<bool>,
}

impl Load {
    /// Runs workers for these keys during `faults`, and returns their records.
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

    /// Records how a pair of commands ended.
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

    /// Waits until each worker had a successful pair of commands that began after this.
    pub(crate) async fn until_well(&self) {
        let since = Instant::now();
        self.until("every key to answer", || {
            let seen = self.seen.borrow();
            seen.values().all(|seen| seen.well.is_some_and(|at| at >= since)).then_some(())
        })
        .await;
    }

    /// Waits for a state of the servers, while the load runs.
    pub(crate) async fn until<T>(&self, what: &str, mut read: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = read() {
                return found;
            }
            assert!(began.elapsed() < BOUND, "this did not happen within {BOUND:?}: {what}");
            pause(PAUSE).await;
        }
    }
}
