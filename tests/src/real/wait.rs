//! Waiting for a state by reading it again and again, never by sleeping for a guessed time.
//!
//! **Invariant**: a test waits for the state that it needs, not for a time in which the state
//! usually comes. [`BOUND`] only ends a test that would hang.
//! **Limits**: [`BOUND`] for one wait, on a machine of two cores with a load of 20.

use crate::background::nap;
use std::time::{Duration, Instant};

/// No state that a test waits for takes longer, unless it never comes. All waits of the harness
/// and of the suites have this one bound.
pub const BOUND: Duration = Duration::from_secs(120);

/// The pause between two reads: short beside anything a server does, long beside a round trip.
const PAUSE: Duration = Duration::from_millis(10);

/// Calls `read` until it gives a value; panics with `what` after [`BOUND`].
#[track_caller]
pub fn until<T>(what: &str, mut read: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = read() {
            return value;
        }
        assert!(began.elapsed() < BOUND, "this did not happen within {BOUND:?}: {what}");
        nap(PAUSE);
    }
}

/// [`until`] for a condition that carries no value.
#[track_caller]
pub fn until_true(what: &str, mut read: impl FnMut() -> bool) {
    until(what, || read().then_some(()));
}
