//! `cargo xtask sim`: many simulated runs, by seed.
//! There is no simulator to run yet, and it says so.

use crate::Outcome;

/// Runs the command.
pub(crate) fn run(_arguments: &[String]) -> Outcome {
    Err("not built yet".to_owned())
}
