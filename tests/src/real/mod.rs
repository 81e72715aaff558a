//! Real servers, and everything that can go wrong with them.
//!
//! A test asks for a [`Version`], starts a [`Server`], [`Cluster`] or [`Sentinels`], breaks it, and
//! drops it: processes are always reaped, even when the test process is killed.
//!
//! ```no_run
//! use slotcar_tests::real::{Cluster, Version};
//!
//! for version in Version::all() {
//!     let cluster = Cluster::of(&version).start(); // 3 primaries, a replica each
//!     let old = cluster.primary_of(0);
//!     cluster.node(old).kill();
//!     let new = cluster.wait_for_new_primary(0, old);
//!     assert_ne!(old, new);
//! }
//! ```
//!
//! Everything panics on failure, with the end of the server's log. Linux only: each server has a
//! loopback address of its own. `SLOTCAR_SERVERS` names the folder of the
//! servers, `SLOTCAR_VERSIONS` (comma separated) restricts which of them the tests use.

pub mod address;
pub mod certificates;
pub mod cluster;
pub mod process;
pub mod proxy;
pub mod relay;
pub mod scratch;
pub mod script;
pub mod sentinel;
pub mod socket;
pub mod version;
pub mod wait;
pub mod wire;

pub use certificates::{Authority, Pem};
pub use cluster::{Cluster, Failover};
pub use process::Server;
pub use proxy::{Fault, Proxy};
pub use relay::Relay;
pub use script::{Peer, Script};
pub use sentinel::Sentinels;
pub use version::Version;
pub use wait::until;
pub use wire::{Conn, Reply};
