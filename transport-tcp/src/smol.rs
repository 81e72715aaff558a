//! The transport on smol: its reactor for sockets, its blocking pool for names, its global executor
//! for background work, or one that the user names.
//!
//! Timers are those of `futures-timer`, which have a thread of their own: each timer that the
//! reactor holds makes every turn of it dearer (some 600 instructions, and a timer in the kernel
//! armed anew), and a connection that carries commands always has one, which hardly ever ends.
//!
//! Nothing here needs the caller to run on smol: the reactor has a thread of its own and wakes
//! the tasks that wait. A caller inside `smol::block_on` polls the reactor itself and saves the
//! thread hand-over.

use crate::options::TcpOptions;
use crate::stream::Stream;
use crate::{clock, dial, resolve};
use futures_timer::Delay;
use slotcar_core::{BoxFuture, ByteStream, DialNotes, Endpoint, Timestamp, Transport};
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
    /// What each TCP socket is told.
    options: TcpOptions,
    /// Takes background tasks; smol's global executor if there is none.
    spawner: Option<Spawner>,
}

/// Takes a task and sees to it that it runs.
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

    /// A transport with options of one's own.
    #[must_use]
    pub fn with_options(options: TcpOptions) -> Self {
        Self { options, spawner: None }
    }

    /// The same transport with an executor of one's own for background tasks: `spawn` is called
    /// with each.
    ///
    /// By default they run on smol's global executor, which has a thread of its own. Where callers
    /// are tasks of another executor, a task beside them saves the way between threads whenever
    /// several callers wait. There are one task for each connection and a few for each client, and
    /// each ends with what it looks after. `spawn` must run what it is given: callers rely on it.
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

    /// One address: connected, and told the options.
    async fn dial(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        let socket = Async::<TcpStream>::connect(address).await?;
        self.options.apply(SockRef::from(socket.get_ref()))?;
        Ok(Box::new(Stream::new(socket)))
    }

    async fn connect_tcp(
        &self,
        host: &str,
        port: u16,
        notes: &DialNotes,
    ) -> io::Result<Box<dyn ByteStream>> {
        if let Some(address) = resolve::literal(host, port) {
            // The caller knows this address: it needs no name in the error.
            return self.dial(address).await;
        }
        let began = clock::now();
        let found = smol::net::resolve((host, port)).await;
        notes.set_name_time(clock::now().since(began));
        let addresses = resolve::judge(host, found)?;
        let delay = || async {
            Delay::new(self.options.attempt_delay).await;
        };
        dial::race(addresses, |address| self.dial(address), delay).await
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
                Endpoint::Unix { path } => connect_unix(path).await,
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
async fn connect_unix(path: &std::path::Path) -> io::Result<Box<dyn ByteStream>> {
    match Async::<std::os::unix::net::UnixStream>::connect(path).await {
        Ok(socket) => Ok(Box::new(Stream::new(socket))),
        Err(cause) => Err(resolve::at_path(path, &cause)),
    }
}

#[cfg(not(unix))]
async fn connect_unix(path: &std::path::Path) -> io::Result<Box<dyn ByteStream>> {
    Err(resolve::no_unix_sockets(path))
}
