//! The harness, as far as the suites inside of components use it.
//!
//! Most of it is the native harness's own source. `version`, `address`, `process`, `proxy` and
//! `simulated` are twins of native files and send requests to the outside, through `remote`;
//! `socket` waits without blocking. A crate that includes this has a module `background`, whose
//! `nap` is the pause of each wait.

pub mod address;
#[path = "../../../tests/src/real/cluster/mod.rs"]
pub mod cluster;
pub mod process;
pub mod proxy;
pub mod remote;
#[path = "../../../tests/src/real/script.rs"]
pub mod script;
#[path = "../../../tests/src/real/sentinel.rs"]
pub mod sentinel;
pub mod simulated;
pub mod socket;
pub mod version;
#[path = "../../../tests/src/real/wait.rs"]
pub mod wait;
#[path = "../../../tests/src/real/wire.rs"]
pub mod wire;

pub use cluster::{Cluster, Failover};
pub use process::Server;
pub use proxy::{Fault, Proxy};
pub use script::{Peer, Script};
pub use sentinel::Sentinels;
pub use version::Version;
pub use wait::until;
pub use wire::{Conn, Reply};
