//! Commands about connections on real servers: those about their own, which are refused; waits for
//! replicas, which go with their writes; and those that end what keeps a connection busy.
//!
//! **Invariant**: each test has servers of its own, and compares with what one plain connection
//! says where that matters.

mod kill;
mod refused;
mod wait;

use slotcar::{Client, Config};
use slotcar_tcp::Smol;
// A test that holds a server up needs calls that do not end by themselves.
use slotcar_tests::patience::unhurried as patient;
use slotcar_tests::real::Version;

/// The versions that differ: the oldest with all features, the newest of each family.
fn versions() -> impl Iterator<Item = Version> {
    ["redis-7.0", "redis-8.0", "valkey-9.1"].into_iter().filter_map(Version::named)
}

/// Connects over sockets.
async fn connect(config: Config) -> Client {
    Client::connect(Smol::new(), config).await.expect("it connects")
}
