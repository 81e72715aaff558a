//! Configurations for calls that shall succeed.
//!
//! **Invariant**: each call has as long as a test waits. On a busy machine the default timeout of a
//! command can be too short.

use crate::real::wait::BOUND;
use slotcar::Config;
use std::time::Duration;

/// The configuration of a URL. Panics if it is not a good one.
#[must_use]
pub fn patient(url: &str) -> Config {
    let config = Config::from_url(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    config.command_timeout(BOUND)
}

/// The configuration of a URL with all timeouts as long as a test waits: what ends early is ended
/// by the test. Panics if the URL is not a good one.
#[must_use]
pub fn unhurried(url: &str) -> Config {
    patient(url).connect_timeout(BOUND).progress_timeout(BOUND)
}

/// The same with short back-off.
#[must_use]
pub fn retrying(url: &str) -> Config {
    unhurried(url)
        .backoff_base(Duration::from_millis(1))
        .backoff_cap(Duration::from_millis(20))
        .dials_per_second(1000)
}
