//! `cargo xtask test [ARGUMENTS]`: fetches what the tests need, then runs them all.
//!
//! `ARGUMENTS` go to `cargo test` as they are. Nothing is printed after its own summary. A server
//! version that could not be fetched fails the tests that ask for it; see `servers`. The tests that
//! run inside of components are built before, with their host; see `wasi`.

use crate::process::run_to_end;
use crate::{Outcome, servers, wasi};

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    servers::run(&[])?;
    let mut command = crate::cargo();
    command.args(["test", "--workspace", "--all-features", "--no-fail-fast"]).args(arguments);
    // Most tests wait for servers to notice a fault, not for the processor.
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", "8");
    }
    run_to_end(command.envs(wasi::environment()?))
}
