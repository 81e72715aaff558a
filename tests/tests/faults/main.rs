//! Bad input and faults, with one server: each test ends with the error that describes the fault,
//! or with none.
//!
//! **Invariant**: no panic, no hang, no wrong reply. Each test checks the whole error: kind,
//! delivery, command, node, attempts and text. Real servers where possible, scripted servers
//! otherwise.

#[cfg(not(target_os = "wasi"))]
mod aborts;
mod bad_bytes;
mod budget;
mod connections;
mod cuts;
mod deadlines;
mod demoted;
mod dialling;
mod handshake;
mod patience;
mod refusals;
#[cfg(not(target_os = "wasi"))]
mod relays;
mod rights;
mod server_state;

use slotcar::{Client, Config, Error};
use slotcar_tcp::Smol;
use slotcar_tests::patience::retrying as config;
use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Server, Version};
use std::time::Duration;

/// Long enough for what happens at once, short enough to wait for it.
const SHORT: Duration = Duration::from_millis(200);
/// Hosts with a background task and without one.
const BACKGROUNDS: [bool; 2] = [true, false];
/// Long enough for everything that a test waits for.
const LONG: Duration = BOUND;

/// The versions that show a fault: the oldest with all features, and the newest.
fn versions() -> Vec<Version> {
    ["redis-7.0", "valkey-9.1"].into_iter().filter_map(Version::named).collect()
}

/// A fresh server of each of those.
fn servers() -> impl Iterator<Item = Server> {
    versions().into_iter().map(|version| Server::start(&version))
}

/// Connects over sockets.
async fn connect(config: Config) -> Result<Client, Error> {
    Client::connect(Smol::new(), config).await
}

/// A client that dials with its first command.
fn lazy(config: Config) -> Client {
    Client::connect_lazy(Smol::new(), config).expect("the test writes a good configuration")
}

/// Waits until the server has no client left.
#[track_caller]
fn gone(server: &Server) {
    until_true("all to leave", || server.client_count() == 0);
}
