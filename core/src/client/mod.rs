//! What programs hold: the client, and what its methods return.
//!
//! This file only declares and re-exports. [`Client`] and what its clones share are in `client.rs`;
//! each other file adds the methods of one area, beside the type that they return.

mod acknowledged;
mod auto_traits;
mod batch;
mod call;
mod client;
pub mod commands;
mod connect;
mod consumer;
#[cfg(test)]
mod counted;
#[cfg(test)]
mod decoding_table;
mod execute;
mod explain;
mod per_key;
mod pipeline;
mod pubsub_calls;
mod read_views;
mod scan;
mod script;
mod subscription;
mod targets;
mod transaction;
mod waited;

pub use acknowledged::{Acknowledged, AcknowledgedBy, ShardAcknowledgement};
pub use batch::{Batch, Collects, Replies, TooManyReplies};
pub use call::Call;
pub use client::Client;
pub use consumer::{StreamConsumer, StreamEntry};
pub use explain::{Explanation, NodeExplanation};
pub use pipeline::{Pipeline, Reply};
pub use scan::{KeyScan, Scan};
pub use script::Script;
pub use subscription::{Subscribe, Subscription};
pub use targets::{NodeReply, Target};
pub use transaction::{Transaction, Watch};
pub use waited::Waited;
