//! slotcar under random faults: two thousand fixed seeds, for every change.
//!
//! `cargo xtask sim` runs any number of other seeds.

#![allow(clippy::unwrap_used, reason = "a thread that panics has failed the test")]

use slotcar_sim::check::{Deployment, Workload, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Seeds of a service behind sentinels that once broke a promise, or seemed to. The causes: an old
/// primary that was promoted again without being told, sentinels that were asked under two names,
/// leaders of failovers that reported the old primary, sentinels that all forgot, replies that came
/// late.
const WERE_BROKEN: [u64; 30] = [
    1405, 1506, 2468, 2484, 3057, 3105, 3727, 3977, 4019, 4387, 4641, 4797, 4895, 5403, 5449, 5625,
    6017, 6111, 6695, 7159, 8002, 8138, 9508, 9749, 9977, 10115, 10604, 13938, 14541, 97203,
];

/// Threads share the seeds: each run has a simulation of its own.
fn run_all(deployment: Deployment, workload: Workload, seeds: impl IntoIterator<Item = u64>) {
    let seeds: Vec<u64> = seeds.into_iter().collect();
    let (next, broken) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let start = Instant::now();
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            if let Err(failure) = run(seed, deployment, workload) {
                println!("{failure}");
                broken.lock().unwrap().push(failure);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    println!("{deployment:?}, {workload:?}: {} seeds in {:?}", seeds.len(), start.elapsed());
    let broken = broken.into_inner().unwrap();
    if let Some(first) = broken.first() {
        println!("{}", first.trace);
        panic!("{} seeds are broken; the first: {first}", broken.len());
    }
}

#[test]
fn standalone() {
    run_all(Deployment::Standalone, Workload::Mixed, 0..800);
}

#[test]
fn cluster() {
    run_all(Deployment::Cluster, Workload::Mixed, 0..600);
}

#[test]
fn sentinel() {
    run_all(Deployment::Sentinel, Workload::Mixed, (0..600).chain(WERE_BROKEN));
}

/// Scripts that answer with every code and text that servers have: none runs twice.
#[test]
fn scripts() {
    for deployment in Deployment::ALL {
        run_all(deployment, Workload::Scripts, 0..200);
    }
}

/// Fewer connections than the callers, the nodes and the subscriptions need.
#[test]
fn limited() {
    for deployment in Deployment::ALL {
        run_all(deployment, Workload::Limited, 0..200);
    }
}

#[test]
fn equal_seeds_give_equal_runs() {
    for seed in 0..20 {
        for deployment in Deployment::ALL {
            for workload in Workload::ALL {
                let hash = |()| run(seed, deployment, workload).map(|report| report.hash).ok();
                assert_eq!(hash(()), hash(()), "seed {seed} of {deployment:?}, {workload:?}");
            }
        }
    }
}
