//! What one of several reads may do for a node (`core/src/driver/node/health.rs`): one trial,
//! probe, check or timing at a time.
//!
//! Changes that make these models fail: a claim reads and then stores, instead of exchanging; a
//! count is changed by a load and a store.

use crate::driver::health::NodeHealth;
use crate::explore;
use crate::time::Timestamp;
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_duration(Duration::from_millis(millis))
}

/// How many of two threads that try at the same time succeed.
fn winners(claim: fn(&NodeHealth) -> bool) {
    explore(move || {
        let health = Arc::new(NodeHealth::default());
        health.record_failure(at(1000), "gone");
        let other = Arc::clone(&health);
        let other = thread::spawn(move || claim(&other));
        let first = claim(&health);
        let second = other.join().expect("no model panics");
        assert!(first != second, "{first} and {second}");
    });
}

/// Of two reads, one tries a quarantined node.
pub fn one_trial_at_a_time() {
    winners(|health| health.claim_trial(at(2000)));
}

/// Of two reads, one finds out how fast a node is.
pub fn one_probe_at_a_time() {
    winners(|health| health.claim_probe(at(2000)));
}

/// Of two reads, one checks the shard.
pub fn one_check_at_a_time() {
    winners(|health| health.claim_check(at(2000), Duration::from_secs(1), true));
}

/// The second trial may begin when the first has failed, not before.
pub fn a_trial_that_fails_quarantines_the_node_again() {
    explore(|| {
        let health = Arc::new(NodeHealth::default());
        health.record_failure(at(1000), "gone");
        let attempt = |health: &NodeHealth| {
            let claimed = health.claim_trial(at(2000));
            if claimed {
                health.record_failure(at(2000), "gone again");
            }
            claimed
        };
        let other = Arc::clone(&health);
        let other = thread::spawn(move || attempt(&other));
        let first = attempt(&health);
        assert!(first != other.join().expect("no model panics"));
        assert_eq!(health.quarantine(at(2000)), Some(false), "not at the same time");
    });
}

/// Commands that begin and end on several threads leave no count behind.
pub fn counts_return_to_zero() {
    explore(|| {
        let health = Arc::new(NodeHealth::default());
        let run = |health: &NodeHealth| {
            health.begin(2);
            health.end(2);
        };
        let threads = [(); 2].map(|()| {
            let health = Arc::clone(&health);
            thread::spawn(move || run(&health))
        });
        run(&health);
        threads.into_iter().for_each(|thread| thread.join().expect("no model panics"));
        assert_eq!(health.in_flight(), 0);
    });
}
