//! `cargo xtask tidy`.

use crate::Outcome;

/// Runs the command.
pub(crate) fn run(_arguments: &[String]) -> Outcome {
    Err("not built yet".to_owned())
}
