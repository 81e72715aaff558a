//! The core of slotcar, a client for Redis and Valkey: everything but I/O.
//!
//! **Programs use the crate `slotcar`**, which re-exports all of this and connects on every host.
//! Depend on this crate directly to write a [`Transport`], or to use the client with a transport of
//! your own and nothing else.
//!
//! A [`Transport`] opens byte streams, tells the time, sleeps, gives a random seed and, where the
//! host can, runs background tasks. The core does the rest: protocol, routing by slots, retries,
//! topology, subscriptions. It opens no socket, reads no clock and starts no thread, so the same
//! code runs natively, in WASI components, in browsers and in simulated time.
//!
//! ```no_run
//! # extern crate slotcar_core as slotcar;
//! # async fn example(transport: impl slotcar::Transport) -> Result<(), slotcar::Error> {
//! use slotcar::prelude::*;
//! use slotcar::{Client, Config};
//! let client = Client::connect(transport, Config::from_url("redis://127.0.0.1:6379")?).await?;
//! client.set("user:1", "Ada").await?;
//! let name: Option<String> = client.get("user:1").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Start with [`Client`]; [`Config`] has every option and limit, [`Error`] says what a caller can
//! do about a failure, and [`transport`] what a transport has to guarantee.
//!
//! Invariant: all public types are `Send`, and most are `Sync`, on every target but
//! `wasm32-unknown-unknown` (`client/auto_traits.rs` checks it). The order in which the modules may
//! use each other is that of `xtask/src/tidy/levels.txt`.

// The same code is shared by threads on every other target.
#![cfg_attr(
    all(target_family = "wasm", target_os = "unknown"),
    allow(
        clippy::arc_with_non_send_sync,
        reason = "JavaScript values stay in their thread, and so does a client that has them"
    )
)]

#[cfg(test)]
extern crate self as slotcar_core;

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
#[cfg(all(test, not(fuzzing)))]
#[doc(hidden)]
pub mod fuzz_api;
mod lock;
pub mod prelude;
mod resp;
mod rng;
mod routing;
mod sorted;
mod subscription;
mod time;
mod topology;
pub mod transport;

pub use bounds::{BoxFuture, MaybeSend, MaybeSync};
pub use client::commands;
pub use client::{
    Acknowledged, AcknowledgedBy, Batch, Call, Client, Collects, Explanation, KeyScan,
    NodeExplanation, NodeReply, Pipeline, Replies, Reply, Scan, Script, ShardAcknowledgement,
    StreamConsumer, StreamEntry, Subscribe, Subscription, Target, TooManyReplies, Transaction,
    Waited, Watch,
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
pub use transport::{AbortFlag, ByteStream, ConnectTls, DialNotes, Transport};
