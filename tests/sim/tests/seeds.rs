//! slotcar under random faults: two thousand fixed seeds, for every change.
//!
//! `cargo xtask sim` runs as many others as one likes.

#![allow(clippy::unwrap_used, reason = "a thread that panics has failed the test")]

use slotcar_sim::check::{Deployment, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Threads share the seeds: each run has a world of its own.
fn run_all(deployment: Deployment, seeds: u64) {
    let (next, broken) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let start = Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            if let Err(failure) = run(seed, deployment) {
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
    println!("{deployment:?}: {seeds} seeds in {:?}", start.elapsed());
    let broken = broken.into_inner().unwrap();
    if let Some(first) = broken.first() {
        println!("{}", first.trace);
        panic!("{} seeds are broken; the first: {first}", broken.len());
    }
}

#[test]
fn standalone() {
    run_all(Deployment::Standalone, 800);
}

#[test]
fn cluster() {
    run_all(Deployment::Cluster, 600);
}

#[test]
fn sentinel() {
    run_all(Deployment::Sentinel, 600);
}

#[test]
fn equal_seeds_give_equal_runs() {
    for seed in 0..20 {
        for deployment in Deployment::ALL {
            let hash = |()| run(seed, deployment).map(|report| report.hash).ok();
            assert_eq!(hash(()), hash(()), "seed {seed} of {deployment:?}");
        }
    }
}
