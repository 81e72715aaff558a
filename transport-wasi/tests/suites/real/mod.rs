//! The harness, as far as the suites that run here use it.
//!
//! `wire`, `wait`, `cluster` and `sentinel` are the native harness's own files; `version`,
//! `address` and `process` have its names and ask the outside.

pub mod address;
#[path = "../../../../tests/src/real/cluster/mod.rs"]
pub mod cluster;
pub mod process;
pub mod proxy;
#[path = "../../../../tests/src/real/sentinel.rs"]
pub mod sentinel;
pub mod version;
#[path = "../../../../tests/src/real/wait.rs"]
pub mod wait;
#[path = "../../../../tests/src/real/wire.rs"]
pub mod wire;

pub use cluster::{Cluster, Failover};
pub use process::Server;
pub use proxy::{Fault, Proxy};
pub use sentinel::Sentinels;
pub use version::Version;
pub use wait::until;
pub use wire::{Conn, Reply};
