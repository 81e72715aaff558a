//! The interface to the host: connections, time, random numbers and, if the host has them,
//! background tasks.
//!
//! The core has no sockets, no clock, no executor and no source of entropy. It uses those of the
//! host through [`Transport`], an object-safe trait that the transport crates and the simulator
//! implement.
//!
//! Invariants that an implementation must keep:
//! - `connect` takes a *name*: it resolves the name at each call and tries every address that the
//!   name has;
//! - `now` never goes backwards, and `sleep_until` ends at or after its deadline on that same
//!   clock;
//! - dropping a future or stream releases everything that it holds in the host;
//! - connections with TLS are opened through [`Transport::tls`] and in no other way, so that a
//!   transport without TLS cannot send in clear text what must be encrypted.

use crate::bounds::{BoxFuture, MaybeSend, MaybeSync};
use crate::endpoint::Endpoint;
use crate::time::Timestamp;
use futures::io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What the core needs from its host. Only `connect`, `sleep_until`, `now` and `seed` are required.
///
/// Implementations are shared by every connection of a client, so they take `&self`.
pub trait Transport: fmt::Debug + MaybeSend + MaybeSync + 'static {
    /// Opens a byte stream to `endpoint`. Small writes are sent at once (`TCP_NODELAY`), if the
    /// host can do that.
    ///
    /// The caller has a deadline and drops the future when it has passed; dropping it closes its
    /// sockets.
    ///
    /// # Errors
    /// The error of the last address. The core distinguishes these kinds: `NotFound` (the name does
    /// not resolve), `ConnectionRefused`, `TimedOut`, `PermissionDenied` (the host forbids it),
    /// `Unsupported` (this transport cannot dial such an endpoint).
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>>;

    /// Like [`Transport::connect`], and records in `notes` what only the transport knows. By
    /// default it records nothing.
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

    /// Opens streams with TLS. `None`, the default, if this transport has no TLS: then a client
    /// whose configuration asks for TLS cannot be made.
    ///
    /// `slotcar-tls` adds TLS to any other transport.
    fn tls(&self) -> Option<&dyn ConnectTls> {
        None
    }

    /// Runs `task` in the background and returns true; or drops it and returns false, if the host
    /// has no background tasks.
    ///
    /// Everything works without: a task only notices sooner what a caller would notice at its next
    /// await. Every task ends soon after the last `Client` is dropped.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        drop(task);
        false
    }

    /// Completes at or after `deadline` on the clock of [`Transport::now`].
    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()>;

    /// The current time since an epoch that the transport chooses; never goes backwards.
    fn now(&self) -> Timestamp;

    /// A number that differs from client to client; read once per client.
    fn seed(&self) -> u64;
}

/// The TLS of a transport.
pub trait ConnectTls: MaybeSend + MaybeSync {
    /// Opens an encrypted stream to `endpoint`, after the server has proven that it has that name.
    ///
    /// As with [`Transport::connect_noting`], the caller has a deadline, and dropping the future
    /// closes its sockets.
    ///
    /// If `poll_read` of the stream fails with `ConnectionRefused`, the server has not accepted the
    /// client and has processed nothing that was written: with TLS 1.3 a client that is refused
    /// learns it only after it may write.
    ///
    /// # Errors
    /// As [`Transport::connect`], and one more kind: `InvalidData` if one side does not trust the
    /// other or the two do not understand each other, so that another dial would fail as well.
    fn connect_tls<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        notes: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>>;
}

/// What a transport reports about a dial, in addition to the result.
#[derive(Debug, Default)]
pub struct DialNotes {
    /// The time of the name lookup in nanoseconds, plus 1; 0 if it was not reported.
    name: AtomicU64,
    /// Whether the connection is open and a TLS handshake has begun.
    tls_began: AtomicBool,
}

impl DialNotes {
    /// Reports how long the name lookup took.
    pub fn set_name_time(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1);
        self.name.store(nanos.saturating_add(1), Ordering::Relaxed);
    }

    /// Reports that the connection is open and the TLS handshake begins: a server that is silent
    /// from now on may not speak TLS at all.
    pub fn set_tls_began(&self) {
        self.tls_began.store(true, Ordering::Relaxed);
    }

    /// Whether a TLS handshake has begun.
    #[must_use]
    pub fn tls_began(&self) -> bool {
        self.tls_began.load(Ordering::Relaxed)
    }

    /// How long the name lookup took, if it was reported.
    #[must_use]
    pub fn name_time(&self) -> Option<Duration> {
        self.name.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_nanos)
    }
}

/// A connected stream of bytes.
///
/// Implemented for every type with the I/O traits of `futures`. If `poll_read` returns 0 bytes, the
/// server has closed the connection.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + MaybeSend + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + MaybeSend + 'static> ByteStream for T {}
