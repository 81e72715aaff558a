//! slotcar on the sockets of JavaScript hosts: `Js`, a transport for programs built for
//! `wasm32-unknown-unknown` with wasm-bindgen, in Node, Workers, Deno and Bun.
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
#[cfg(all(feature = "this-host", target_family = "wasm", target_os = "unknown"))]
mod this_host;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod timer;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use crate::js::Js;
