//! The transport on tokio's reactor, a type of its own.
//!
//! It holds the [`Handle`] of its runtime and enters the runtime where tokio needs that, so that
//! callers may await from any executor. Timers are those of `futures-timer`, and so are no part of
//! the runtime: a deadline passes whatever becomes of it.
//!
//! A runtime can end before the client does, have no I/O, or stand still. Then sockets and tasks
//! are on smol's reactor and executor instead, which have threads of their own: `tokio/home.rs`
//! knows when, `tokio/stream.rs` moves open sockets, `tokio/task.rs` moves tasks.
//!
//! Invariants: the runtime is entered for one poll at a time, never across an await; no call waits
//! for a runtime that does not run.

use crate::options::TcpOptions;
use crate::smol::Smol;
use crate::{clock, dial, resolve};
use ::tokio::net::TcpStream;
use ::tokio::runtime::{Handle, TryCurrentError};
use futures_timer::Delay;
use home::Home;
use slotcar_core::{AbortFlag, BoxFuture, ByteStream, DialNotes, Endpoint, Timestamp, Transport};
use socket2::SockRef;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use stream::Stream;

mod home;
mod stream;
mod task;

/// TCP and unix sockets on tokio's reactor; works in any executor.
///
/// While its runtime runs, sockets and background tasks are there. When it has ended, they are on
/// smol's reactor, which has a thread of its own: open connections move there and lose nothing. The
/// same holds for a current-thread runtime while nobody is in its `block_on`, since nothing runs in
/// it then. So a client may be kept in a static and be used from one runtime after the other.
#[derive(Clone, Debug)]
pub struct Tokio {
    /// The runtime of the sockets and background tasks.
    home: Arc<Home>,
    /// The options of each TCP socket.
    options: TcpOptions,
}

impl Tokio {
    /// A transport on the runtime of `handle`, with the default [`TcpOptions`].
    ///
    /// The runtime should have I/O enabled. Without it, all connections are on smol's reactor, and
    /// the first one prints tokio's panic message, which is caught. Time need not be enabled.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { home: Arc::new(Home::new(handle)), options: TcpOptions::default() }
    }

    /// A transport on the runtime that this code runs in.
    ///
    /// # Errors
    /// Outside of a tokio runtime.
    pub fn current() -> Result<Self, TryCurrentError> {
        Handle::try_current().map(Self::new)
    }

    /// Sets other options.
    #[must_use]
    pub fn with_options(mut self, options: TcpOptions) -> Self {
        self.options = options;
        self
    }

    /// Connects to one address and sets the options of the socket.
    async fn dial(
        &self,
        address: SocketAddr,
        abort: &AbortFlag,
    ) -> io::Result<Box<dyn ByteStream>> {
        let socket = TcpStream::connect(address).await?;
        self.options.apply(SockRef::from(&socket))?;
        Ok(Box::new(Stream::new(socket, &self.home, abort.clone())))
    }

    async fn connect_tcp(
        &self,
        host: &str,
        port: u16,
        notes: &DialNotes,
    ) -> io::Result<Box<dyn ByteStream>> {
        let abort = notes.abort_flag();
        if let Some(address) = resolve::literal(host, port) {
            // The error need not name the address: the caller has given it.
            return self.dial(address, &abort).await;
        }
        let began = clock::now();
        // Not tokio's lookup: that of an ended runtime fails like one of a name that is unknown.
        let found = ::smol::net::resolve((host, port)).await;
        notes.set_name_time(clock::now().since(began));
        let addresses = resolve::addresses(host, found)?;
        let delay = || async {
            Delay::new(self.options.attempt_delay).await;
        };
        let dial = |address| self.dial(address, &abort);
        dial::first_to_connect(addresses, dial, delay).await
    }

    async fn connect_unix(
        &self,
        path: &std::path::Path,
        notes: &DialNotes,
    ) -> io::Result<Box<dyn ByteStream>> {
        #[cfg(unix)]
        return match tokio::net::UnixStream::connect(path).await {
            Ok(socket) => Ok(Box::new(Stream::new(socket, &self.home, notes.abort_flag()))),
            Err(cause) => Err(resolve::at_path(path, &cause)),
        };
        #[cfg(not(unix))]
        Err(resolve::no_unix_sockets(path))
    }

    /// Connects in the runtime. `None` if that has ended, has no I/O, or does not run by itself and
    /// the caller is not in it any more.
    async fn connect_at_home(
        &self,
        endpoint: &Endpoint,
        notes: &DialNotes,
    ) -> Option<io::Result<Box<dyn ByteStream>>> {
        let mut connected = pin!(async {
            match endpoint {
                Endpoint::Tcp { host, port } => self.connect_tcp(host, *port, notes).await,
                Endpoint::Unix { path } => self.connect_unix(path, notes).await,
            }
        });
        poll_fn(|cx| {
            if !self.home.is_usable() {
                return Poll::Ready(None);
            }
            let _context = self.home.handle().enter();
            // tokio panics where the runtime has no I/O, and there is no other way to find out.
            let polled = catch_unwind(AssertUnwindSafe(|| connected.as_mut().poll(cx)));
            match polled {
                Ok(Poll::Ready(Err(error))) if self.home.has_ended(&error) => Poll::Ready(None),
                Ok(polled) => polled.map(Some),
                Err(_) => {
                    self.home.leave();
                    Poll::Ready(None)
                }
            }
        })
        .await
    }
}

impl Transport for Tokio {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move { self.connect_noting(endpoint, &DialNotes::default()).await })
    }

    fn connect_noting<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        notes: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            if let Some(connected) = self.connect_at_home(endpoint, notes).await {
                return connected;
            }
            Smol::with_options(self.options.clone()).connect_noting(endpoint, notes).await
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        task::spawn(&self.home, task);
        true
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let Some(instant) = clock::instant(deadline) else {
            return Box::pin(std::future::pending());
        };
        Box::pin(Delay::new(instant.saturating_duration_since(Instant::now())))
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn seed(&self) -> u64 {
        clock::seed()
    }
}
