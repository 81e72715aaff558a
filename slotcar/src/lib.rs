//! A client for Redis and Valkey: one server, a cluster, or servers behind sentinels; natively and
//! in WebAssembly.
//!
//! [`connect`] takes a URL and returns a [`Client`]. One client is enough for a program: clones
//! share its connections, and any task or thread may use it, on any executor.
//!
//! ```no_run
//! # async fn example() -> Result<(), slotcar::Error> {
//! use slotcar::prelude::*;
//! let client = slotcar::connect("redis://127.0.0.1:6379").await?;
//! client.set("user:1", "Ada").await?;
//! let name: Option<String> = client.get("user:1").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # On tokio
//!
//! ```toml
//! [dependencies]
//! slotcar = { version = "0.1", features = ["tokio"] }
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! ```
//!
//! ```no_run
//! use slotcar::prelude::*;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), slotcar::Error> {
//!     let client = slotcar::connect("redis://127.0.0.1:6379").await?;
//!     let hits: i64 = client.incr("hits").await?;
//!     println!("{hits} hits");
//!     Ok(())
//! }
//! ```
//!
//! With the feature, [`connect`] uses the runtime that it is called in, as long as that runs. When
//! the runtime has ended, the client's connections and tasks go on on smol's reactor, which has a
//! thread of its own; no call is lost. The same happens to a current-thread runtime while nobody is
//! in its `block_on`, and where I/O is not enabled. So a client may be kept in a static, and be
//! used from any runtime and outside of any. Outside of a runtime, and without the feature,
//! [`connect`] uses smol's reactor from the start.
//!
//! # URLs
//!
//! | URL | deployment |
//! |---|---|
//! | `redis://host:6379/0` | one server, database 0 |
//! | `unix:///path/of/socket` | one server, through a unix socket |
//! | `redis-cluster://host1,host2` | a cluster; some of its nodes are enough |
//! | `redis-sentinel://host1,host2/0?service=name` | a primary behind sentinels |
//! | `rediss://`, `rediss-cluster://`, `rediss-sentinel://` | the same through TLS (feature `tls`) |
//!
//! `valkey` and `valkeys` stand for `redis` and `rediss`. Credentials are written
//! `redis://user:password@host`, and every setting of [`Config`] is a key of the query:
//! `redis://host?command_timeout=1s`. [`Config::from_url`] says more.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `smol` | on | [`connect`] natively, over TCP and unix sockets, on smol's reactor |
//! | `tokio` | off | [`connect`] uses the reactor of the tokio runtime that it is called in |
//! | `js` | off | [`connect`] on wasm32-unknown-unknown, in JavaScript hosts; they have TLS |
//! | `tls` | off | `rediss://` URLs, and the module `tls` |
//! | `cluster`, `fan-out`, `pubsub` | on | parts that a small program may leave out |
//! | `read-policies`, `sentinel` | on | the same |
//! | `background` | off | background tasks; the transports for smol and tokio turn it on |
//!
//! # Targets
//!
//! [`connect`] works natively, on wasm32-wasip2 and, with the feature `js`, on
//! wasm32-unknown-unknown in Node, Workers, Deno and Bun. Without that feature, and natively
//! without the feature `smol`, the `connect` functions do not exist; everything else does.
//!
//! This crate only chooses the transport. The client is `slotcar-core`, which does no I/O; the
//! transports are `slotcar-tcp`, `slotcar-wasi`, `slotcar-js` and `slotcar-tls`. For other socket
//! options, other certificate authorities or a transport of your own, give a [`Transport`] to
//! [`Client::connect`].

pub use slotcar_core::{
    AbortFlag, Acknowledged, AcknowledgedBy, Backlog, Batch, Blob, BoxFuture, ByteStream, Call,
    Channel, ChannelKind, Client, Collects, Command, Config, ConnectTls, Delivery, DialNotes,
    Endpoint, Error, ErrorDetail, ErrorKind, Event, Events, Explanation, GapCause, KeyScan,
    MaybeSend, MaybeSync, Message, Metrics, NodeExplanation, NodeId, NodeMetrics, NodeReply,
    NodeState, PartFailure, Pipeline, ReadFrom, RefreshReason, Replies, Reply, ReportedHealth,
    SLOT_COUNT, Scan, ScanCursor, Script, ServerError, ShardAcknowledgement, Slot, SlotRange,
    StreamConsumer, StreamEntry, Subscribe, Subscription, Target, Timestamp, ToArg, ToArgs,
    TooManyReplies, Topology, TopologyNode, TopologyShard, Transaction, Transport, Update, Value,
    Waited, Watch, bounds, cmd, command, commands, config, prelude, transport,
};

#[cfg(all(target_family = "wasm", target_os = "unknown", feature = "js"))]
pub use slotcar_js::Js;
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
    all(target_os = "wasi", target_env = "p2"),
    all(target_family = "wasm", target_os = "unknown", feature = "js")
))]
mod this_host;
#[cfg(any(
    all(not(target_family = "wasm"), feature = "smol"),
    all(target_os = "wasi", target_env = "p2"),
    all(target_family = "wasm", target_os = "unknown", feature = "js")
))]
pub use this_host::{connect, connect_lazy, connect_with, connect_with_topology};

/// The README's code compiles, or the tests fail.
#[cfg(all(doctest, feature = "tls", feature = "tokio"))]
#[doc = include_str!("../../README.md")]
struct Readme;
