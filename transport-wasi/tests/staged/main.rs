//! The native suites, compiled for WASI from the same files, on a stage (`stage`): an executor that
//! replaces threads and executors, which a component does not have.
//!
//! As in `suites`, which runs on the reactor alone, this crate has the names of crates that no
//! component can have. The suite `wasi` of `slotcar-tests` starts, breaks and reaps servers, at
//! `SLOTCAR_CONTROL`; without it nothing runs. Each test of the files below runs, except those that
//! `tests/tests/wasi/native.rs` lists with a reason.

#![cfg(all(target_os = "wasi", target_env = "p2"))]

extern crate self as slotcar_sim;
extern crate self as slotcar_tcp;
extern crate self as slotcar_tests;
extern crate self as smol;
#[macro_use]
extern crate slotcar_stage;

pub mod background;
mod executor;
#[path = "../../../tests/src/expected_error.rs"]
pub mod expected_error;
#[path = "../../../tests/src/forward.rs"]
pub mod forward;
#[path = "../../../tests/src/patience.rs"]
pub mod patience;
#[path = "../../../tests/src/polling.rs"]
pub mod polling;
#[path = "../real/mod.rs"]
pub mod real;
mod stage;
mod transport;
#[path = "../../../tests/src/watched.rs"]
pub mod watched;

#[path = "../../../tests/tests/callers/main.rs"]
mod callers;
#[path = "../../../tests/tests/cluster/main.rs"]
mod cluster;
#[path = "../../../tests/tests/faults/main.rs"]
mod faults;
#[path = "../../../tests/tests/pubsub/main.rs"]
mod pubsub;
#[path = "../../../tests/tests/reads/main.rs"]
mod reads;
#[path = "../../../tests/tests/sentinel/main.rs"]
mod sentinel;
#[path = "../../../tests/sim/tests/serve.rs"]
mod simulated;
#[path = "../../../tests/tests/transactions/main.rs"]
mod transactions;

pub use executor::{Task, Timer, future, spawn, unblock};
pub use expected_error::ExpectedError;
pub use patience::patient;
pub use real::simulated::{Served, Sim};
pub use stage::block_on;
pub use transport::Smol;
pub use watched::Watched;
