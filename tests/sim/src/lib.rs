//! slotcar-sim: a simulated Redis or Valkey cluster.

mod env;
mod executor;
mod failure;
mod fleet;
mod ids;
mod network;
mod queue;
mod rng;
mod trace;
mod transport;
mod world;

pub use failure::Failure;
pub use rng::Rng;
pub use transport::SimTransport;
