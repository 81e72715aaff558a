//! slotcar: a Redis and Valkey client that follows the slots.

pub mod bounds;
pub mod command;
pub mod config;
mod endpoint;
mod error;
#[allow(dead_code, unused_imports, reason = "the levels above that call it are still to come")]
mod resp;
mod rng;
mod time;
pub mod transport;

pub use bounds::{BoxFuture, MaybeSend, MaybeSync};
pub use command::{Command, ToArg, cmd};
pub use config::{Config, ReadFrom};
pub use endpoint::Endpoint;
pub use error::{Delivery, Error, ErrorDetail, ErrorKind};
pub use resp::{Blob, ServerError, Value};
pub use time::Timestamp;
pub use transport::{ByteStream, Transport};
