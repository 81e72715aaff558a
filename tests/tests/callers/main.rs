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

use slotcar::{Client, Config};
use slotcar_tcp::Smol;
use slotcar_tests::Watched;
use slotcar_tests::polling::run;
use slotcar_tests::real::{Server, Version};
use std::time::Duration;

/// Hosts with a background task and without one.
const BACKGROUNDS: [bool; 2] = [true, false];

/// A server of the newest version that is there.
fn server() -> Server {
    let version = ["valkey-9.1", "redis-8.0", "redis-7.0"].into_iter().find_map(Version::named);
    Server::start(&version.expect("`cargo xtask servers` fetches them"))
}

/// The configuration of `url`, with long timeouts for a busy machine.
fn config(url: &str) -> Config {
    let config = Config::from_url(url).expect("the test writes a good URL");
    let long = Duration::from_secs(20);
    config.command_timeout(long).connect_timeout(long).progress_timeout(long)
}

/// A connected client on a host with or without a background.
fn client(server: &Server, background: bool) -> (Client, Watched) {
    let watched = Watched::new(Smol::new());
    let watched = if background { watched } else { watched.without_background() };
    let client = run(Client::connect(watched.clone(), config(&server.url())));
    (client.expect("the server is there"), watched)
}
