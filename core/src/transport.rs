//! The seam to the host: bytes, time, chance and, where the host has it, background.
//!
//! The core owns no socket, clock, executor or entropy. Everything it needs from the outside goes
//! through [`Transport`], an object-safe trait that the transport crates and the simulator
//! implement.
//!
//! Invariants that an implementation keeps:
//! - `connect` takes a *name*: it resolves it anew at each call and tries every address that the
//!   name has;
//! - `now` never goes backwards, and `sleep_until` ends at or after its deadline on that same
//!   clock;
//! - a dropped future or stream lets go of everything that it held in the host.

use crate::bounds::{BoxFuture, MaybeSend, MaybeSync};
use crate::endpoint::Endpoint;
use crate::time::Timestamp;
use futures::io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the core asks of its host: four effects in five methods.
///
/// Implementations are shared by every connection of a client, so they take `&self`.
pub trait Transport: fmt::Debug + MaybeSend + MaybeSync + 'static {
    /// Opens a byte stream to `endpoint`, with small writes sent at once (`TCP_NODELAY`) where the
    /// host can say so.
    ///
    /// The caller bounds it with a deadline and drops it when that passes; a dropped future leaves
    /// no socket behind.
    ///
    /// # Errors
    /// The last address's cause. Kinds that the core tells apart: `NotFound` (the name does not
    /// resolve), `ConnectionRefused`, `TimedOut`, `PermissionDenied` (the host forbids it),
    /// `Unsupported` (this transport cannot dial such an endpoint).
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>>;

    /// The same, and notes what only the host can tell. The default notes nothing.
    ///
    /// # Errors
    /// As [`Transport::connect`].
    fn connect_noting<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        notes: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        let _ = notes;
        self.connect(endpoint)
    }

    /// Runs `task` in the background and returns true, or drops it and returns false where the host
    /// has no background.
    ///
    /// Nothing depends on it: a task only notices sooner what a caller would notice when it next
    /// awaits. Every task ends by itself soon after the last `Client` is dropped.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        drop(task);
        false
    }

    /// Ends at or after `deadline` on the clock of [`Transport::now`].
    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()>;

    /// The current time since an epoch of the transport's choice; never goes backwards.
    fn now(&self) -> Timestamp;

    /// A number that differs from client to client; read once per client.
    fn seed(&self) -> u64;
}

/// What a host tells of a dial besides its result.
#[derive(Debug, Default)]
pub struct DialNotes {
    /// How long the name took, in nanoseconds, and 1; 0 if nobody told.
    name: AtomicU64,
}

impl DialNotes {
    /// The name was looked up in this time.
    pub fn set_name_time(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1);
        self.name.store(nanos.saturating_add(1), Ordering::Relaxed);
    }

    /// How long the name took, if that was told.
    #[must_use]
    pub fn name_time(&self) -> Option<Duration> {
        self.name.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_nanos)
    }
}

/// A connected stream of bytes.
///
/// Implemented for everything that has the `futures` I/O traits. `poll_read` returning 0 bytes
/// means that the other side closed.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + MaybeSend + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + MaybeSend + 'static> ByteStream for T {}
