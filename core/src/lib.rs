//! slotcar: a Redis and Valkey client that follows the slots.

pub mod bounds;
mod client;
pub mod command;
pub mod config;
mod connection;
mod driver;
mod endpoint;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz_api;
mod resp;
mod rng;
mod routing;
mod sync;
mod time;
mod topology;
pub mod transport;

pub use bounds::{BoxFuture, MaybeSend, MaybeSync};
pub use client::{Call, Client, Pipeline, Reply};
pub use command::{Command, ToArg, ToArgs, cmd};
pub use config::{Config, ReadFrom};
pub use endpoint::Endpoint;
pub use error::{Delivery, Error, ErrorDetail, ErrorKind};
pub use resp::{Blob, ServerError, Value};
pub use time::Timestamp;
pub use topology::slot::{SLOT_COUNT, Slot};
pub use transport::{ByteStream, Transport};
