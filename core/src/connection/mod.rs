//! One connection without its I/O: the commands in flight, the cutting of bytes into frames, and
//! the handshake. Pure: no stream, clock or async.

pub(crate) mod budget;
pub(crate) mod courtesy;
pub(crate) mod due;
pub(crate) mod entry;
pub(crate) mod handshake;
pub(crate) mod outcome;
mod place;
mod push_readers;
pub(crate) mod queue;
pub(crate) mod reader;
pub(crate) mod reply_shape;
pub(crate) mod wakers;
