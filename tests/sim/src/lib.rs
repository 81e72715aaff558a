//! slotcar-sim: a Redis or Valkey deployment in a box, deterministic, behind slotcar's `Transport`.
//!
//! Servers, network and clock are simulated in one thread from one seed.

pub mod check;
mod cluster;
mod env;
mod executor;
mod failure;
mod faults;
mod fleet;
mod ids;
mod journal;
mod network;
mod queue;
mod resp;
mod rng;
mod sentinel;
mod server;
mod sim;
mod trace;
mod transport;
mod world;

pub use cluster::PreferredEndpoint;
pub use failure::Failure;
pub use faults::{Fault, Faults};
pub use journal::TOKEN_PREFIX;
pub use rng::Rng;
pub use server::config::Version;
pub use server::refusal::Matching;
pub use server::script::{ScriptCall, ScriptValue};
pub use sim::{Executed, Sim, SimBuilder};
pub use transport::SimTransport;
