//! slotcar on the sockets of JavaScript hosts: `Js`, a transport for programs that are built for
//! `wasm32-unknown-unknown` with wasm-bindgen and run in Node, Workers, Deno or Bun.
//!
//! It gives the core connections through a function `connect` of the [WinterTC sockets API][api],
//! TLS, timers, the clock, random numbers and background tasks of the host. Programs depend on
//! `slotcar` with its feature `js`, whose `connect` chooses the host's sockets. `Js::new` takes any
//! other `connect`: one that adds options, or one of a test.
//!
//! [api]: https://sockets-api.proposal.wintertc.org
//!
//! # What the host does
//!
//! - **Names.** The host resolves a name at every dial and chooses among its addresses.
//! - **TLS.** The host encrypts (`secureTransport: "on"`), trusts the authorities that it is
//!   configured with, and verifies the dialled name or address. So `rediss://` needs no other
//!   feature, and `slotcar-tls` is not used. Node takes `ca`, `cert` and `key` of
//!   `tls.connect` through the options of `js/node.js`, Deno `caCerts`, `cert` and `key`; Workers
//!   trust what their configuration says.
//! - **Errors** have the host's text, and the kinds that `slotcar_core::transport` names. Workers
//!   say the same of a refused port, an unknown name and a certificate that is not trusted; the
//!   error then says so, and its kind is `ConnectionRefused`.
//! - **Background tasks** run where the host calls a function of this crate, and in its microtasks.
//!   In Workers they end with the request.
//!
//! # What is not promised
//!
//! - A connection that is given up is reset only in Node and Bun, whose sockets have a method
//!   `abort`. Elsewhere the writer of the socket is aborted, which discards what the host has not
//!   handed to its kernel; the rest is still sent. So after a black hole a command that was
//!   reported as `Unknown` may run behind later ones.
//! - How long a name lookup took, and whether a TLS handshake has begun, is not known.
//! - In Workers a socket belongs to the request that opened it. Another request that uses it gets
//!   an error with the host's text, of the kind `PermissionDenied`. The clock stands still between
//!   two inputs, so latencies are 0 there; deadlines hold. At the global scope nothing works.
//! - A promise of the host that never settles keeps some hundred bytes, also after its dial was
//!   dropped.
//!
//! Nothing that is done when something is dropped throws, and no rejection is left unhandled, also
//! where the host refuses what is asked of it, as Workers do in a finalizer.
//!
//! **On every other target this crate is empty**, so that a workspace that holds it builds
//! anywhere.

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod dial;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod errors;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod host;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod js;
#[cfg(any(test, all(target_family = "wasm", target_os = "unknown")))]
mod kinds;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod promise;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod socket;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod stream;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod tasks;
#[cfg(all(feature = "this-host", target_family = "wasm", target_os = "unknown"))]
mod this_host;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod timer;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use crate::js::Js;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use crate::tasks::{spawn, start};
