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
//!   clock, and calls its waker no earlier;
//! - dropping a future or stream releases everything that it holds in the host;
//! - a stream that is dropped while its [`AbortFlag`] is set sends nothing more, if the host can do
//!   that;
//! - connections with TLS are opened through [`Transport::tls`] and in no other way, so that a
//!   transport without TLS cannot send in clear text what must be encrypted.

use crate::bounds::{BoxFuture, MaybeSend, MaybeSync};
use crate::endpoint::Endpoint;
use crate::time::Timestamp;
use futures::io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io;
use std::sync::Arc;
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

    /// Like [`Transport::connect`], and records in `notes` what only the transport knows. The
    /// stream keeps the [`AbortFlag`] of `notes`, if the host can abort a connection. By default
    /// nothing is recorded and nothing kept.
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

    /// Completes at or after `deadline` on the clock of [`Transport::now`]. Its waker is not called
    /// before: a timer of the host that fires too early is set again, without a wake.
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

/// What a transport and the core tell each other about a dial, in addition to the result.
#[derive(Debug, Default)]
pub struct DialNotes {
    /// Set when the core gives the connection up.
    abort: AbortFlag,
    /// The time of the name lookup in nanoseconds, plus 1; 0 if it was not reported.
    name: AtomicU64,
    /// Whether the connection is open and a TLS handshake has begun.
    tls_began: AtomicBool,
}

impl DialNotes {
    /// The flag by which the core says that it gives this connection up. The stream keeps it.
    #[must_use]
    pub fn abort_flag(&self) -> AbortFlag {
        self.abort.clone()
    }

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

/// Says how the stream of one connection ends. Clones share one value.
///
/// The core sets it before it drops a stream on which commands were written whose replies it does
/// not wait for any more. Their callers were told that the commands may or may not have run, and
/// later commands go over another connection. A host that closes a connection the usual way goes on
/// sending what was written, for minutes: once the network works again, the old commands would run
/// after the later ones. So a stream that is dropped while the flag is set discards what it has not
/// sent, and resets the connection (for TCP: `SO_LINGER` with a time of 0).
///
/// A reset does not call back what has left this host. A server that is suspended still runs what
/// it had received before, and a proxy may pass on what it holds.
#[derive(Clone, Debug, Default)]
pub struct AbortFlag(Arc<AtomicBool>);

impl AbortFlag {
    /// From now on, dropping the stream resets its connection.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether dropping the stream resets its connection.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A connected stream of bytes.
///
/// Implemented for every type with the I/O traits of `futures`. If `poll_read` returns 0 bytes, the
/// server has closed the connection.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + MaybeSend + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + MaybeSend + 'static> ByteStream for T {}
