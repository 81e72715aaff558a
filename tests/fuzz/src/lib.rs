//! Targets that take any bytes and panic when the client, or the simulator, does something wrong.
//!
//! Each target is a file with one function, which knows nothing of the driver that calls it:
//! libFuzzer (`fuzz_targets/`), the mutator of this crate (`main.rs`), or an ordinary test that
//! runs the corpus. `corpus/NAME` holds a target's seeds, `dictionary/NAME` words that inputs are
//! made of. Run all of them with `cargo xtask fuzz`.

#![cfg(fuzzing)]

mod config;
mod connection;
mod decode;
#[path = "../../tests/callers/memory.rs"]
mod memory;
mod sentinel;
mod server;
mod snapshot;
mod subscription;
mod topology;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 8] = [
    Target { name: "config", run: config::run },
    Target { name: "connection", run: connection::run },
    Target { name: "decode", run: decode::run },
    Target { name: "sentinel", run: sentinel::run },
    Target { name: "server", run: server::run },
    Target { name: "snapshot", run: snapshot::run },
    Target { name: "subscription", run: subscription::run },
    Target { name: "topology", run: topology::run },
];
