//! slotcar: a Redis and Valkey client that follows the slots.
//!
//! This crate decides and never touches the outside: bytes, time, chance and background work come
//! through a [`Transport`], which another crate brings (`slotcar-tcp` for sockets). One [`Client`]
//! serves every caller of a program, from any executor; a [`Command`] is a value; a reply becomes
//! whatever type implements serde's `Deserialize`.
//!
//! ```no_run
//! # extern crate slotcar_core as slotcar;
//! # async fn example(transport: impl slotcar::Transport) -> Result<(), slotcar::Error> {
//! use slotcar::{Client, Config};
//! let client = Client::connect(transport, Config::from_url("redis://127.0.0.1:6379")?).await?;
//! client.set("user:1", "Ada").await?;
//! let name: Option<String> = client.get("user:1").await?;
//! # Ok(())
//! # }
//! ```
//!
//! The order in which the modules may use each other is that of `xtask/src/tidy/levels.txt`.

pub mod bounds;
mod client;
pub mod command;
pub mod config;
mod connection;
mod driver;
mod endpoint;
mod error;
mod features;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz_api;
mod lock;
mod resp;
mod rng;
mod routing;
mod sorted;
mod subscription;
mod time;
mod topology;
pub mod transport;

pub use bounds::{BoxFuture, MaybeSend, MaybeSync};
pub use client::{
    Call, Client, Explanation, KeyScan, NodeExplanation, NodeReply, Pipeline, Reply, Scan, Script,
    StreamConsumer, StreamEntry, Subscribe, Subscription, Target, Transaction, Watch,
};
pub use command::{Command, ToArg, ToArgs, cmd};
pub use config::{Config, ReadFrom};
pub use driver::environment::events::{Event, Events};
pub use driver::environment::metrics::{Metrics, NodeMetrics, NodeState};
pub use endpoint::Endpoint;
pub use error::{Delivery, Error, ErrorDetail, ErrorKind, PartFailure};
pub use resp::{Blob, ServerError, Value};
pub use routing::sweep::ScanCursor;
pub use subscription::backlog::Backlog;
pub use subscription::kind::{Channel, ChannelKind};
pub use subscription::message::Message;
pub use subscription::update::{GapCause, Update};
pub use time::Timestamp;
pub use topology::node_id::NodeId;
pub use topology::refresh::RefreshReason;
pub use topology::slot::{SLOT_COUNT, Slot};
pub use topology::slot_range::SlotRange;
pub use topology::snapshot::{Topology, TopologyNode, TopologyShard};
pub use topology::view::ReportedHealth;
pub use transport::{ByteStream, ConnectTls, DialNotes, Transport};
