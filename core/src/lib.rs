//! slotcar: a Redis and Valkey client that follows the slots.

pub mod bounds;
mod endpoint;
mod rng;
mod time;
pub mod transport;

pub use bounds::{BoxFuture, MaybeSend, MaybeSync};
pub use endpoint::Endpoint;
pub use time::Timestamp;
pub use transport::{ByteStream, Transport};
