//! Tests of the harness of the real servers, without slotcar: each fault does what its name says.
//!
//! A test of the client is only as good as the fault that it uses. Each helper runs here against a
//! Redis and a Valkey, through the harness's own minimal client.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cluster;
mod proxy;
mod script;
mod sentinel;
mod server;

use slotcar_tests::real::Version;

/// The versions that test a helper: the oldest with all features, and the newest.
fn versions() -> Vec<Version> {
    ["redis-7.0", "valkey-9.1"].into_iter().filter_map(Version::named).collect()
}
