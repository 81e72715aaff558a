//! `cargo xtask sim [--deployment NAME] [--workload NAME] [--seeds N] [--from S]`: any number of
//! simulated runs.
//!
//! It builds the runner with the profile `sim` and passes the arguments on; see `slotcar-sim run
//! --help`.

use crate::Outcome;
use std::process::Command;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let status = Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--profile",
            "sim",
            "--package",
            "slotcar-sim",
            "--bin",
            "slotcar-sim",
        ])
        .args(["--", "run"])
        .args(arguments)
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err("a simulated run failed; its seed and the reason are above".to_owned())
    }
}
