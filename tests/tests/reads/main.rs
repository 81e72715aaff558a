//! Reads off the primaries, against real servers: every policy does what its name says, and the
//! servers' own counts prove it.
//!
//! Figures that need a quiet machine are printed (`--nocapture`) and asserted with generous bounds.

#![expect(clippy::unwrap_used, reason = "a harness of tests: a surprise is a failure")]

mod faults;
mod load;
mod places;
mod policies;
mod staleness;
mod switch;
