//! slotcar-sim: a simulated Redis or Valkey deployment, deterministic, behind slotcar's
//! `Transport`.
//!
//! Servers, network and clock are simulated in one thread. All chance comes from one number, the
//! seed. A test of what an application does in a failover takes milliseconds, needs no server, and
//! gives the same result each time. The simulation works on bytes, not on replies: everything
//! between the application and the wire is the code that runs in production.
//!
//! ```
//! use slotcar::prelude::*;
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
//! - **Deployments**: [`Sim::standalone`], [`Sim::replicated`], [`Sim::sentinel`],
//!   [`Sim::cluster`]; [`SimBuilder`] configures them.
//! - **Actions of a test**: kill, hang, unplug, restart (also at another address), partition, slow
//!   down, reset, refuse, fail over, move slots, give sentinels old state: the methods of [`Sim`].
//! - **Time** is virtual: it passes while tasks wait, and jumps to the next event. [`Sim::advance`]
//!   lets it pass.
//! - **A run that cannot end** ends with a [`Failure`]; it never hangs. A panic prints the last
//!   trace lines and the seed that replays the run.
//! - **Many runs with faults drawn from a seed**: [`check::run`], with [`Faults`].
//! - **Other clients**: [`SimBuilder::serve`] puts the same servers on real loopback sockets; so
//!   does the program `slotcar-sim serve`.
//!
//! Replies are those of redis 8.0.2, byte for byte, in what the simulator knows:
//! `docs/simulator.md` in the repository lists that, what is refused, and the differences that are
//! meant. Data survives a restart but there is no other persistence, there is no Lua (a closure
//! replaces each script, see [`Sim::script`]), and there are no ACL rules. Other versions are
//! compared with real ones by `tests/conformance`.

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
mod usage;
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
pub use usage::Usage;
