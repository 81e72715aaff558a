//! slotcar over TCP and unix sockets: [`Smol`] on smol, and `Tokio` on tokio's reactor behind the
//! feature `tokio`.
//!
//! A transport carries bytes, time, chance and background work for the core, and decides nothing.
//! Callers may await from any executor: smol's reactor runs wherever it is polled, and `Tokio`
//! carries the handle of its runtime with it. Both share what does not depend on the reactor:
//! options (`options`), the order of addresses (`dial`) and the errors that name them (`resolve`).
//!
//! Names are resolved at every dial, every address of a name is tried, and the last cause is kept
//! with the address that it came from.
//!
//! TLS is a transport around one of these (`slotcar-tls`).
//!
//! Programs depend on `slotcar`, whose `connect` takes one of these transports by itself.

mod clock;
mod dial;
mod options;
mod resolve;
mod smol;
mod stream;
#[cfg(feature = "tokio")]
mod tokio;

pub use crate::smol::Smol;
#[cfg(feature = "tokio")]
pub use crate::tokio::Tokio;
pub use options::{Keepalive, TcpOptions};
