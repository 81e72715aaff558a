//! One connection without its I/O: what is in flight, how bytes become frames, what is said first.
//! Pure. Levels: `outcome`, `entry`, `budget`, `slot`, then `queue`, `reader`, `handshake`.

pub(crate) mod budget;
pub(crate) mod entry;
pub(crate) mod handshake;
mod listeners;
pub(crate) mod outcome;
mod place;
pub(crate) mod queue;
pub(crate) mod reader;
pub(crate) mod wakers;
