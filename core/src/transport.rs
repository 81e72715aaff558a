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
//! - a dropped future or stream lets go of everything that it held in the host;
//! - what is to be encrypted is dialled through [`Transport::tls`] and in no other way, so that a
//!   transport that knows nothing of TLS cannot carry in clear what was to be secret.

use crate::bounds::{BoxFuture, MaybeSend, MaybeSync};
use crate::endpoint::Endpoint;
use crate::time::Timestamp;
use futures::io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What the core asks of its host: four effects. Only `connect`, `sleep_until`, `now` and `seed`
/// have to be written.
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

    /// Who opens encrypted streams, or `None` where this transport has no TLS, which is the
    /// default: a client that is to speak TLS is then refused before it dials anything.
    ///
    /// `slotcar-tls` puts TLS around any other transport.
    fn tls(&self) -> Option<&dyn ConnectTls> {
        None
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

/// A transport's TLS.
pub trait ConnectTls: MaybeSend + MaybeSync {
    /// Opens an encrypted stream to `endpoint`, whose other side has proven that it is the server
    /// of that name.
    ///
    /// Like [`Transport::connect_noting`], it is bounded by its caller, and a dropped future leaves
    /// nothing behind.
    ///
    /// A stream whose `poll_read` fails with `ConnectionRefused` says that the other side never
    /// accepted it, and so looked at nothing that was written: TLS 1.3 tells a refused client only
    /// after the client may write.
    ///
    /// # Errors
    /// As [`Transport::connect`], and one more kind: `InvalidData` if the two sides do not trust or
    /// do not understand each other, which no second dial would change.
    fn connect_tls<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        notes: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>>;
}

/// What a host tells of a dial besides its result.
#[derive(Debug, Default)]
pub struct DialNotes {
    /// How long the name took, in nanoseconds, and 1; 0 if nobody told.
    name: AtomicU64,
    /// The bytes can pass, and a TLS handshake has begun.
    tls_began: AtomicBool,
}

impl DialNotes {
    /// The name was looked up in this time.
    pub fn set_name_time(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1);
        self.name.store(nanos.saturating_add(1), Ordering::Relaxed);
    }

    /// The stream is there, and its TLS handshake begins: a server that is silent from here on may
    /// not speak TLS at all.
    pub fn set_tls_began(&self) {
        self.tls_began.store(true, Ordering::Relaxed);
    }

    /// Whether a TLS handshake has begun.
    #[must_use]
    pub fn tls_began(&self) -> bool {
        self.tls_began.load(Ordering::Relaxed)
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
