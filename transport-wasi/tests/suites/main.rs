//! The native suites, compiled for WASI: the very same files, with the client inside of a component
//! and the servers outside of it.
//!
//! The suites name three crates that no component can have: the harness, the native transport and
//! its executor. Here this crate goes by those names, too. Of the harness, what only talks to
//! servers is the same source again; what starts and kills processes asks the suite `wasi` of
//! `slotcar-tests`, which runs this component and listens at `SLOTCAR_CONTROL`. Without it, nothing
//! is run.
//!
//! Here a test has one future, which the reactor runs as it runs a component's. Suites that have
//! load beside them, or keep connections from one `block_on` to the next, are in `staged`; their
//! twins here do the same within one future: `failover`, `moves`, `replicas`, `subscriptions`,
//! `limits`. `tests/tests/wasi/native.rs` lists what runs where.

#![cfg(all(target_os = "wasi", target_env = "p2"))]

extern crate self as slotcar_tcp;
extern crate self as slotcar_tests;
extern crate self as smol;

pub mod background {
    //! How a wait waits here: the whole component does.
    pub use std::thread::sleep as nap;
}
mod cold;
mod failover;
mod limits;
mod load;
mod moves;
#[path = "../real/mod.rs"]
pub mod real;
mod replicas;
mod subscriptions;

#[path = "../../../tests/tests/commands/main.rs"]
mod commands;
#[expect(dead_code, reason = "its words are used, its waits have an executor each")]
#[path = "../../../tests/tests/pubsub/reader.rs"]
mod reader;
#[path = "../../../tests/tests/cluster/routing.rs"]
mod routing;
#[path = "../../../tests/tests/cluster/spread.rs"]
mod spread;

pub use slotcar_wasi::Wasi as Smol;

use futures::future::{Either, select};
use slotcar::Transport;
use std::pin::pin;
use std::time::Duration;

/// No future of a suite takes longer, unless it hangs: a wait within it may have all of its bound.
const BOUND: Duration = real::wait::BOUND.saturating_mul(2);

/// What the suites take for their executor's: runs a future to its end, which must come.
pub fn block_on<F: Future>(future: F) -> F::Output {
    wstd::runtime::block_on(async {
        match select(pin!(future), pin!(pause(BOUND))).await {
            Either::Left((output, _)) => output,
            Either::Right(_) => panic!("no end after {BOUND:?}"),
        }
    })
}

/// What the suites take for their executor's timer.
pub struct Timer;

impl Timer {
    /// Ends after so long.
    pub fn after(duration: Duration) -> impl Future<Output = ()> {
        pause(duration)
    }
}

async fn pause(duration: Duration) {
    let transport = Smol::new();
    transport.sleep_until(transport.now().after(duration)).await;
}
