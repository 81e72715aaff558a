//! slotcar-sim: a Redis or Valkey deployment in a box, deterministic, behind slotcar's `Transport`.
//!
//! Servers, network and clock are simulated in one thread from one number, the seed. A test of what
//! an application does in a failover takes milliseconds, needs no server, and does the same again
//! when it is run again. Bytes are simulated, not replies: everything between the application and
//! the wire is what runs in production.
//!
//! ```
//! use slotcar_sim::Sim;
//! use std::time::Duration;
//!
//! // Three shards of a primary and a replica: a, a1, b, b1, c, c1.
//! Sim::cluster(3, 1).seed(7).run(|sim| async move {
//!     let client = sim.client(sim.config()).await.unwrap();
//!     client.set("user:1", "Ada").await.unwrap();
//!     sim.advance(Duration::from_millis(10)).await; // until the replica has it
//!
//!     sim.kill(&sim.owner_of(Sim::slot_of("user:1")));
//!     let patient = client.with_timeout(Duration::from_secs(10));
//!     assert_eq!(patient.get::<String>("user:1").await.unwrap(), "Ada");
//! });
//! ```
//!
//! - **What there is**: [`Sim::standalone`], [`Sim::replicated`], [`Sim::sentinel`],
//!   [`Sim::cluster`]; [`SimBuilder`] says how it is set up.
//! - **What can be done to it**: kill, hang, unplug, restart (also elsewhere), partition, slow
//!   down, reset, refuse, fail over, move slots, mislead sentinels: the methods of [`Sim`].
//! - **Time** is virtual: it passes while tasks wait, and jumps to whatever is next.
//!   [`Sim::advance`] lets it pass.
//! - **A run that cannot end** is ended with a [`Failure`], never by hanging. A panic shows the
//!   trace of what happened last, and the seed that replays it.
//! - **Many runs under faults by seed**: [`check::run`], with [`Faults`].
//! - **Other clients**: [`SimBuilder::serve`] puts the same servers on real loopback sockets; so
//!   does `slotcar-sim serve` at a command line.
//!
//! What differs from real servers: no persistence beyond "what was there is there after a restart",
//! no Lua (a closure stands for each script, see [`Sim::script`]), no ACL rules, and the commands
//! that `tests/conformance` compares with six real versions.

pub mod check;
mod cluster;
mod env;
mod executor;
mod failure;
mod faults;
mod fleet;
mod ids;
mod journal;
mod network;
mod queue;
mod resp;
mod rng;
mod sentinel;
mod serve;
mod server;
mod sim;
mod trace;
mod transport;
mod world;

pub use cluster::PreferredEndpoint;
pub use failure::Failure;
pub use faults::{Fault, Faults};
pub use journal::TOKEN_PREFIX;
pub use rng::Rng;
pub use serve::Served;
pub use server::config::Version;
pub use server::refusal::Matching;
pub use server::script::{ScriptCall, ScriptValue};
pub use sim::{Executed, Sim, SimBuilder};
pub use transport::SimTransport;
