//! Tokio's runtimes as the modes of a peer, each with its defaults.
//!
//! It is a crate of its own, because the harness depends on no runtime.

use harness::BoxFuture;
use harness::args::Mode;
use tokio::runtime::Builder;

/// The modes of a client that is for tokio alone.
pub const MODES: &[Mode] = &[Mode::Ct, Mode::Mt];

/// Runs a future on a fresh runtime: [`Mode::Mt`] on the one with many threads.
pub fn block_on<T>(mode: Mode, future: impl Future<Output = T>) -> T {
    let mut builder =
        if mode == Mode::Mt { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = builder.enable_all().build().expect("the system grants a few threads");
    runtime.block_on(future)
}

/// Starts a task on the current runtime.
pub fn spawn(task: BoxFuture<()>) {
    tokio::spawn(task);
}
