//! The native suites, compiled for WASI from the same files: the client is inside of a component
//! and the servers are outside.
//!
//! The suites use three crates that no component can have: the harness, the native transport and
//! its executor. This crate has their names. What only talks to servers is the harness's own
//! source; what starts and kills processes sends requests to the suite `wasi` of `slotcar-tests`,
//! which runs this component and listens at `SLOTCAR_CONTROL`. Without it nothing runs.
//!
//! A test has one future, which the reactor runs as it does for a user's component. Suites with
//! background load, or with connections that live from one `block_on` to the next, are in `staged`;
//! their twins here do the same within one future: `failover`, `moves`, `replicas`,
//! `subscriptions`, `limits`. `tests/tests/wasi/native.rs` lists what runs where.

#![cfg(all(target_os = "wasi", target_env = "p2"))]

extern crate self as slotcar_tcp;
extern crate self as slotcar_tests;
extern crate self as smol;

pub mod background {
    //! A wait blocks the whole component here.
    pub use std::thread::sleep as nap;
}
mod cold;
mod failover;
mod limits;
mod load;
mod moves;
#[path = "../../../tests/src/patience.rs"]
pub mod patience;
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

pub use patience::patient;
pub use slotcar_wasi::Wasi as Smol;

use futures::future::{Either, select};
use slotcar::Transport;
use std::pin::pin;
use std::time::Duration;

/// The bound of one `block_on`: longer than a wait within it, which may take all of its own bound.
const BOUND: Duration = real::wait::BOUND.saturating_mul(2);

/// Replaces the executor for the suites: runs a future to its end within [`BOUND`].
pub fn block_on<F: Future>(future: F) -> F::Output {
    wstd::runtime::block_on(async {
        match select(pin!(future), pin!(pause(BOUND))).await {
            Either::Left((output, _)) => output,
            Either::Right(_) => panic!("no end after {BOUND:?}"),
        }
    })
}

/// Replaces the executor's timer for the suites.
pub struct Timer;

impl Timer {
    /// Ends after `duration`.
    pub fn after(duration: Duration) -> impl Future<Output = ()> {
        pause(duration)
    }
}

async fn pause(duration: Duration) {
    let transport = Smol::new();
    transport.sleep_until(transport.now().after(duration)).await;
}
