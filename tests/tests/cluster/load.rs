//! A closed loop over all shards in the background: what callers of an application see during a
//! fault.
//!
//! Each worker owns a slot and counts there with INCR and GET. Its record says when and how each
//! command ended. `INCR` is not idempotent, so the counters show whether a command ran twice.

#![expect(clippy::unwrap_used, reason = "a harness of tests: a surprise is a failure")]

use slotcar::prelude::*;
use slotcar::{Client, Config, Delivery};
use slotcar_tcp::Smol;
use slotcar_tests::background::{self, BackgroundWork};
use slotcar_tests::real::cluster::key_in;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How one command ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// Which slot it was for.
    pub(crate) slot: u16,
    /// When it began.
    pub(crate) began: Instant,
    /// When it ended.
    pub(crate) at: Instant,
    /// Its error, if it failed.
    pub(crate) error: Option<slotcar::Error>,
}

/// A load that runs until it is stopped.
pub(crate) struct Load {
    /// Whose load it is.
    pub(crate) client: Client,
    /// Set to end it.
    stop: Arc<AtomicBool>,
    /// What has ended so far.
    ended: Arc<Mutex<Vec<Ended>>>,
    /// Per slot: acknowledged and perhaps-run increments.
    counts: Arc<Mutex<Vec<(u16, i64, i64)>>>,
    /// The loop.
    work: BackgroundWork,
}

/// What a load saw.
pub(crate) struct Record {
    /// Every command, in the order of its end.
    pub(crate) ended: Vec<Ended>,
    /// Slot, acknowledged increments, increments whose outcome is unknown.
    pub(crate) counts: Vec<(u16, i64, i64)>,
}

/// The slots that the workers use: three in each third.
pub(crate) const SLOTS: [u16; 9] = [100, 2000, 5000, 6000, 8000, 10000, 11000, 14000, 16000];

impl Load {
    /// Starts the loop with a client of this configuration.
    pub(crate) fn start(config: Config) -> Load {
        let client = smol::block_on(Client::connect(Smol::new(), config));
        Load::of(client.expect("the cluster is up"))
    }

    /// Starts the loop with this client.
    pub(crate) fn of(client: Client) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let counts = Arc::new(Mutex::new(Vec::new()));
        let work = {
            let (stop, ended, counts) = (stop.clone(), ended.clone(), counts.clone());
            let client = client.clone();
            background::spawn(run(client, stop, ended, counts))
        };
        let load = Load { client, stop, ended, counts, work };
        slotcar_tests::real::wait::until_true("the load to run", || {
            let ended = load.ended.lock().unwrap();
            SLOTS.iter().all(|slot| ended.iter().any(|e| e.slot == *slot && e.error.is_none()))
        });
        load
    }

    /// Waits until every slot has had a success that began after `since`.
    pub(crate) fn wait_until_recovered(&self, since: Instant) {
        slotcar_tests::real::wait::until_true("every slot to answer again", || {
            let ended = self.ended.lock().unwrap();
            let good = |e: &Ended| e.error.is_none() && e.began >= since;
            SLOTS.iter().all(|slot| ended.iter().any(|e| e.slot == *slot && good(e)))
        });
    }

    /// Ends the loop.
    pub(crate) fn stop(self) -> Record {
        self.stop.store(true, Ordering::Relaxed);
        self.work.join();
        let ended = std::mem::take(&mut *self.ended.lock().unwrap());
        let counts = std::mem::take(&mut *self.counts.lock().unwrap());
        Record { ended, counts }
    }
}

impl Record {
    /// Asserts that no acknowledged increment was lost and that none ran twice.
    pub(crate) fn assert_counted_once(&self, client: &Client) {
        for (slot, acknowledged, unknown) in &self.counts {
            let value: i64 = smol::block_on(client.get(key_in(*slot))).unwrap();
            let most = acknowledged + unknown;
            assert!(
                (*acknowledged..=most).contains(&value),
                "slot {slot}: {value} is not within {acknowledged} and {most}"
            );
        }
    }

    /// Asserts that no command failed, except increments that may have run or not.
    pub(crate) fn assert_no_error(&self) {
        let wrong = |e: &&&slotcar::Error| {
            !(e.delivery() == Delivery::Unknown && e.command() == Some("INCR"))
        };
        let errors = self.errors(|_| true);
        if let Some(error) = errors.iter().find(wrong) {
            panic!("{} errors; one of them: {error:?}", errors.len());
        }
    }

    /// From `since` to the first success for `slot` that ended after it.
    pub(crate) fn first_success(&self, slot: u16, since: Instant) -> Duration {
        let good = |e: &&Ended| e.slot == slot && e.error.is_none() && e.at >= since;
        let first = self.ended.iter().find(good).expect("a success after the fault");
        first.at - since
    }

    /// The errors of the slots that `slots` accepts.
    pub(crate) fn errors(&self, slots: impl Fn(u16) -> bool) -> Vec<&slotcar::Error> {
        self.ended.iter().filter(|e| slots(e.slot)).filter_map(|e| e.error.as_ref()).collect()
    }

    /// The longest command of the slots that `slots` accepts.
    pub(crate) fn worst(&self, slots: impl Fn(u16) -> bool) -> Duration {
        let times = self.ended.iter().filter(|e| slots(e.slot)).map(|e| e.at - e.began);
        times.max().unwrap_or_default()
    }
}

async fn run(
    client: Client,
    stop: Arc<AtomicBool>,
    ended: Arc<Mutex<Vec<Ended>>>,
    counts: Arc<Mutex<Vec<(u16, i64, i64)>>>,
) {
    let worker = |slot: u16| {
        let (client, stop, ended) = (client.clone(), stop.clone(), ended.clone());
        async move {
            let key = key_in(slot);
            let (mut acknowledged, mut unknown) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                let error = match client.incr(&key).await {
                    Ok(_) => {
                        acknowledged += 1;
                        client.get::<Option<i64>>(&key).await.err()
                    }
                    Err(error) => {
                        unknown += i64::from(error.delivery() == Delivery::Unknown);
                        Some(error)
                    }
                };
                ended.lock().unwrap().push(Ended { slot, began, at: Instant::now(), error });
                smol::Timer::after(Duration::from_millis(1)).await;
            }
            (slot, acknowledged, unknown)
        }
    };
    let all = futures::future::join_all(SLOTS.map(worker)).await;
    *counts.lock().unwrap() = all;
}
