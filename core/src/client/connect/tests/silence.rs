//! Courtesies that have no answer: what follows them does not wait for it, whichever timer ends
//! first.
//!
//! Invariant: virtual time, in which a look at the clock takes time where a test says so: real
//! timers that are set one after the other do not end together.

use super::*;

/// Longer than any two timers of a host are apart that are set in one turn.
const TICK: Duration = Duration::from_micros(50);

/// Whichever is noticed first: that the connection is silent, or that PING is not answered. The
/// commands go over another connection.
#[test]
fn silence_after_ping_keeps_no_command() {
    for progress in [500, 1999, 2000, 2001, 4000].map(Duration::from_millis) {
        for config in configs(Kind::Standalone) {
            let what = format!("{progress:?} {config:?}");
            let script = refusing(&["PING"], How::Silence);
            let took = check(&script, config.progress_timeout(progress), &what);
            assert!(took <= Duration::from_secs(6), "{what}: {took:?}");
        }
    }
}

/// The dial, the questions, the refresh and the call that waits for it have one timeout, and each
/// begins a little later than the one around it.
#[test]
fn a_silent_server_is_asked_without_while_the_clock_runs() {
    for kind in KINDS {
        for courtesy in courtesies(kind) {
            for progress in [1000, 2000, 4000].map(Duration::from_millis) {
                for config in configs(kind).into_iter().map(|c| c.progress_timeout(progress)) {
                    let what = format!("{kind:?} {courtesy} {progress:?} {config:?}");
                    let script = refusing(std::slice::from_ref(courtesy), How::Silence);
                    script.set_tick(TICK);
                    let took = check(&script, config, &what);
                    assert!(took <= Duration::from_secs(6), "{what}: {took:?}");
                }
            }
        }
    }
}
