//! slotcar over TCP and unix sockets: [`Smol`] on smol, and `Tokio` on tokio's reactor behind the
//! feature `tokio`.
//!
//! A transport gives the core connections, time, random numbers and background tasks. Callers may
//! await from any executor: smol's reactor has a thread of its own, and `Tokio` holds the handle of
//! its runtime and goes on on smol's reactor when that one ends. Both share what does not depend on
//! the reactor: the options of sockets (`options`), the order of addresses (`dial`) and the texts
//! of errors (`resolve`).
//!
//! Names are resolved at every dial, and every address of a name is tried. If all fail, the error
//! is that of the last address and names it.
//!
//! `slotcar-tls` adds TLS to these transports. Programs depend on `slotcar`, whose `connect`
//! chooses one of them.

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
