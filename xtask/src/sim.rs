//! `cargo xtask sim diff [REQUEST]`: what the simulator answers in another way than redis 8.0.2,
//! for all requests of `tests/sim/tests/beside`, or for those that start with these words.
//!
//! `cargo xtask sim [--deployment NAME] [--workload NAME] [--seeds N] [--from S]`: any number of
//! simulated runs.
//!
//! It builds the runner with the profile `sim` and passes the arguments on; see `slotcar-sim run
//! --help`.

use crate::Outcome;
use std::process::Command;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some((first, rest)) = arguments.split_first()
        && first == "diff"
    {
        return diff(&rest.join(" "));
    }
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

fn diff(start: &str) -> Outcome {
    crate::servers::run(&["--only".to_owned(), "redis-8.0".to_owned()])?;
    let mut test = crate::cargo();
    test.args(["test", "--quiet", "--package", "slotcar-sim", "--test", "beside_redis"])
        .args(["--", "--nocapture", "--exact", "the_simulator_answers_as_redis_8_does"])
        .env("SLOTCAR_SIM_DIFF", start);
    crate::process::run_to_end(&mut test)
}
