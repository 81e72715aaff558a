//! slotcar: a Redis and Valkey client that follows the slots.
//!
//! [`connect`] opens a client on every host: natively on smol, with the feature `tokio` on the
//! reactor of the tokio runtime that calls it, and in components for `wasm32-wasip2` on the sockets
//! of WASI. One [`Client`] serves all callers of a program, from any executor.
//!
//! ```no_run
//! # async fn example() -> Result<(), slotcar::Error> {
//! let client = slotcar::connect("redis://127.0.0.1:6379").await?;
//! client.set("user:1", "Ada").await?;
//! let name: Option<String> = client.get("user:1").await?;
//! # Ok(())
//! # }
//! ```
//!
//! | URL | deployment |
//! |---|---|
//! | `redis://host:6379` | one server |
//! | `redis-cluster://host1,host2` | a cluster; the hosts are seeds |
//! | `redis-sentinel://host1,host2/0?service=name` | a service behind sentinels |
//! | `rediss://`, `rediss-cluster://`, `rediss-sentinel://` | the same through TLS (feature `tls`) |
//!
//! This crate adds nothing but the choice of a transport. The client is `slotcar-core`, which does
//! no I/O; the transports are `slotcar-tcp`, `slotcar-wasi` and `slotcar-tls`. A program that wants
//! other socket options, other authorities or a transport of its own gives one to
//! [`Client::connect`].
//!
//! Invariant: on a target without a transport of ours (wasm32-unknown-unknown), and without the
//! feature `smol` natively, the `connect` functions do not exist; all else does.

pub use slotcar_core::{
    Backlog, Blob, BoxFuture, ByteStream, Call, Channel, ChannelKind, Client, Command, Config,
    ConnectTls, Delivery, DialNotes, Endpoint, Error, ErrorDetail, ErrorKind, Event, Events,
    Explanation, GapCause, KeyScan, MaybeSend, MaybeSync, Message, Metrics, NodeExplanation,
    NodeId, NodeMetrics, NodeReply, NodeState, PartFailure, Pipeline, ReadFrom, RefreshReason,
    Reply, ReportedHealth, SLOT_COUNT, Scan, ScanCursor, Script, ServerError, Slot, SlotRange,
    StreamConsumer, StreamEntry, Subscribe, Subscription, Target, Timestamp, ToArg, ToArgs,
    Topology, TopologyNode, TopologyShard, Transaction, Transport, Update, Value, Watch, bounds,
    cmd, command, config, transport,
};

#[cfg(all(not(target_family = "wasm"), feature = "tokio"))]
pub use slotcar_tcp::Tokio;
#[cfg(all(not(target_family = "wasm"), feature = "smol"))]
pub use slotcar_tcp::{Keepalive, Smol, TcpOptions};
#[cfg(all(target_os = "wasi", target_env = "p2"))]
pub use slotcar_wasi::Wasi;

/// TLS around any transport: authorities, client certificates, and why a handshake failed.
#[cfg(all(
    feature = "tls",
    any(not(target_family = "wasm"), all(target_os = "wasi", target_env = "p2"))
))]
pub use slotcar_tls as tls;

#[cfg(any(
    all(not(target_family = "wasm"), feature = "smol"),
    all(target_os = "wasi", target_env = "p2")
))]
mod connect;
#[cfg(any(
    all(not(target_family = "wasm"), feature = "smol"),
    all(target_os = "wasi", target_env = "p2")
))]
pub use connect::{connect, connect_lazy, connect_with, connect_with_topology};

/// The README's code compiles, or the tests fail.
#[cfg(all(doctest, feature = "tls", feature = "tokio"))]
#[doc = include_str!("../../README.md")]
struct Readme;
