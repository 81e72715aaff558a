//! The transport on smol: its reactor for sockets, its blocking pool for name lookups, its global
//! executor (or one that the user names) for background tasks.
//!
//! Timers are those of `futures-timer`, which has a thread of its own. A timer of smol's reactor
//! makes every turn of the reactor slower (some 600 instructions, and a kernel timer is set again),
//! and a connection with commands in flight always has a timer, which hardly ever expires.
//!
//! The caller need not run on smol: the reactor has a thread of its own, which wakes the caller's
//! task. A caller inside of `smol::block_on` polls the reactor itself, which saves a thread switch.

use crate::options::TcpOptions;
use crate::stream::Stream;
use crate::{clock, dial, resolve};
use futures_timer::Delay;
use slotcar_core::{AbortFlag, BoxFuture, ByteStream, DialNotes, Endpoint, Timestamp, Transport};
use smol::Async;
use socket2::SockRef;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

/// TCP and unix sockets on smol's reactor; works in any executor.
#[derive(Clone, Debug, Default)]
pub struct Smol {
    /// The options of each TCP socket.
    options: TcpOptions,
    /// Runs background tasks; `None` for smol's global executor.
    spawner: Option<Spawner>,
}

/// A function that runs a task.
#[derive(Clone)]
struct Spawner(Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>);

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawner")
    }
}

impl Smol {
    /// A transport with the default [`TcpOptions`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A transport with other options.
    #[must_use]
    pub fn with_options(options: TcpOptions) -> Self {
        Self { options, spawner: None }
    }

    /// Runs background tasks on another executor: `spawn` is called with each task and must run it.
    ///
    /// By default they run on smol's global executor, which has a thread of its own. If the callers
    /// are tasks of another executor, running the background tasks there saves thread switches when
    /// several callers wait. There is one task for each connection, which ends with it, and a few
    /// for each client, which end with it.
    ///
    /// ```no_run
    /// # use slotcar_tcp::Smol;
    /// static EXECUTOR: smol::Executor<'static> = smol::Executor::new();
    /// let transport = Smol::new().spawning(|task| EXECUTOR.spawn(task).detach());
    /// ```
    #[must_use]
    pub fn spawning(
        mut self,
        spawn: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static,
    ) -> Self {
        self.spawner = Some(Spawner(Arc::new(spawn)));
        self
    }

    /// Connects to one address and sets the options of the socket.
    async fn dial(
        &self,
        address: SocketAddr,
        abort: &AbortFlag,
    ) -> io::Result<Box<dyn ByteStream>> {
        let socket = Async::<TcpStream>::connect(address).await?;
        self.options.apply(SockRef::from(socket.get_ref()))?;
        Ok(Box::new(Stream::new(socket, abort.clone())))
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
        let found = smol::net::resolve((host, port)).await;
        notes.set_name_time(clock::now().since(began));
        let addresses = resolve::addresses(host, found)?;
        let delay = || async {
            Delay::new(self.options.attempt_delay).await;
        };
        let dial = |address| self.dial(address, &abort);
        dial::first_to_connect(addresses, dial, delay).await
    }
}

impl Transport for Smol {
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
            match endpoint {
                Endpoint::Tcp { host, port } => self.connect_tcp(host, *port, notes).await,
                Endpoint::Unix { path } => connect_unix(path, notes.abort_flag()).await,
            }
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        match &self.spawner {
            Some(Spawner(spawn)) => spawn(task),
            None => smol::spawn(task).detach(),
        }
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

#[cfg(unix)]
async fn connect_unix(path: &std::path::Path, abort: AbortFlag) -> io::Result<Box<dyn ByteStream>> {
    match Async::<std::os::unix::net::UnixStream>::connect(path).await {
        Ok(socket) => Ok(Box::new(Stream::new(socket, abort))),
        Err(cause) => Err(resolve::at_path(path, &cause)),
    }
}

#[cfg(not(unix))]
async fn connect_unix(
    path: &std::path::Path,
    _abort: AbortFlag,
) -> io::Result<Box<dyn ByteStream>> {
    Err(resolve::no_unix_sockets(path))
}
