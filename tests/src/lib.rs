//! The test harness: what the integration suites of slotcar use.
//!
//! - `real` starts Redis and Valkey servers, clusters and sentinel groups, breaks them on purpose,
//!   and puts proxies and scripted servers in between.
//! - `background` runs the load of a test. `polling` polls futures by hand.
//! - `watched` records what the client does with its transport.
//! - `forward` forwards methods of a transport. `expected_error` checks errors.
//!
//! **Invariant**: `real` is plain blocking code and shares none with slotcar, so a bug of the
//! client cannot hide in its own tests.

pub mod background;
pub mod expected_error;
pub mod forward;
pub mod polling;
pub mod real;
pub mod watched;

pub use expected_error::ExpectedError;
pub use watched::Watched;

/// The configuration of a URL, for calls that shall succeed: each has as long as a test waits,
/// since on a busy machine the default may be too short. Panics if the URL is not a good one.
#[must_use]
pub fn patient(url: &str) -> slotcar::Config {
    let config = slotcar::Config::from_url(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    config.command_timeout(real::wait::BOUND)
}
