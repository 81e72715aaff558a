//! The test harness: what the integration suites of slotcar use.
//!
//! - `real` starts Redis and Valkey servers, clusters and sentinel groups, breaks them on purpose,
//!   and puts proxies and scripted servers in between.
//! - `background` runs the load of a test. `polling` polls futures by hand.
//! - `watched` records what the client does with its transport. `patience` gives calls time.
//! - `forward` forwards methods of a transport. `expected_error` checks errors.
//!
//! **Invariant**: `real` is plain blocking code and shares none with slotcar, so a bug of the
//! client cannot hide in its own tests.

pub mod background;
pub mod expected_error;
pub mod forward;
pub mod patience;
pub mod polling;
pub mod real;
pub mod watched;

pub use expected_error::ExpectedError;
pub use patience::patient;
pub use watched::Watched;
