//! Configurations for calls that shall succeed.
//!
//! **Invariant**: each call has as long as a test waits. On a busy machine the default timeout of a
//! command can be too short.

use crate::real::wait::BOUND;
use slotcar::Config;

/// The configuration of a URL. Panics if it is not a good one.
#[must_use]
pub fn patient(url: &str) -> Config {
    let config = Config::from_url(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    config.command_timeout(BOUND)
}
