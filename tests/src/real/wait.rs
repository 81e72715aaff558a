//! Waiting for a condition by polling it, never by sleeping and hoping.
//! **Limit**: every wait has a bound, generous beside what it waits for; passing it is a failure.

use crate::beside::nap;
use std::time::{Duration, Instant};

/// The pause between two looks: short beside anything a server does, long beside a round trip.
const PAUSE: Duration = Duration::from_millis(10);

/// Polls `look` until it gives a value; panics with `what` after `bound`.
#[track_caller]
pub fn until<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(began.elapsed() < bound, "waited {bound:?} in vain for: {what}");
        nap(PAUSE);
    }
}

/// [`until`] for a condition that carries no value.
#[track_caller]
pub fn until_true(what: &str, bound: Duration, mut look: impl FnMut() -> bool) {
    until(what, bound, || look().then_some(()));
}
