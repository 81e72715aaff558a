//! How calls are awaited: on each executor, over each kind of socket, many at once, with calls that
//! are no longer polled and calls that are dropped.
//!
//! **Invariant**: a call that is polled does the I/O, and no other call's reply depends on it. Real
//! servers where the host matters; a scripted server in memory where each order of events matters.

mod cancel;
#[cfg(not(target_os = "wasi"))]
mod dropped;
mod exclusive;
#[cfg(not(target_os = "wasi"))]
mod executors;
#[cfg(not(target_os = "wasi"))]
#[path = "../../fuzz/src/connection.rs"]
mod fuzzed;
#[cfg_attr(target_os = "wasi", allow(dead_code, reason = "what uses it all stays outside"))]
mod memory;
mod parked;
#[cfg(not(target_os = "wasi"))]
mod runtimes;
#[cfg(not(target_os = "wasi"))]
mod sockets;
mod writes;

use slotcar::Client;
use slotcar_tcp::Smol;
use slotcar_tests::Watched;
use slotcar_tests::patience::unhurried as config;
use slotcar_tests::polling::run;
use slotcar_tests::real::{Server, Version};

/// Hosts with a background task and without one.
const BACKGROUNDS: [bool; 2] = [true, false];

/// A server of the newest version that all have, or of one that is covered.
fn server() -> Server {
    let version = ["valkey-9.1", "redis-8.0", "redis-7.0"].into_iter().find_map(Version::named);
    Server::start(&version.unwrap_or_else(Version::any))
}

/// A connected client on a host with or without a background.
fn client(server: &Server, background: bool) -> (Client, Watched) {
    let watched = Watched::new(Smol::new());
    let watched = if background { watched } else { watched.without_background() };
    let client = run(Client::connect(watched.clone(), config(&server.url())));
    (client.expect("the server is there"), watched)
}
