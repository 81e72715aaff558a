//! The simulated implementation of slotcar's `Transport`: dial, sleep, now, spawn, seed.
//!
//! A transport belongs to one host on the network, so that a partition can affect one client and
//! not another. Each transport has background tasks or not, because both kinds of environment exist
//! and a client must work in either.
//!
//! **Cancellation**: a dropped dial or timer leaves nothing behind; a dropped stream closes its
//! connection.

use crate::executor::Shared;
use crate::ids::{ConnId, HostId};
use crate::network::Dial;
use crate::network::pipe::End;
use crate::queue::Key;
use crate::usage::{Counts, One, Usage};
use futures::io::{AsyncRead, AsyncWrite};
use slotcar::{AbortFlag, BoxFuture, ByteStream, DialNotes, Endpoint, Timestamp, Transport};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a connection attempt waits without an answer until TCP sends its first packet again.
const FIRST_DIAL_RETRY: Duration = Duration::from_secs(1);
/// When a connection attempt without an answer fails, as in Linux by default.
const DIAL_TIMEOUT: Duration = Duration::from_secs(127);

/// The transport of one host in a simulation.
#[derive(Clone, Debug)]
pub struct SimTransport {
    /// The simulation.
    shared: Arc<Shared>,
    /// The host.
    host: HostId,
    /// `spawn` takes tasks.
    background: bool,
    /// The generator behind [`Transport::seed`].
    seeds: Arc<AtomicU64>,
    /// What its clients hold.
    counts: Arc<Counts>,
}

impl SimTransport {
    pub(crate) fn new(shared: Arc<Shared>, host: HostId, seed: u64) -> Self {
        Self {
            shared,
            host,
            background: true,
            seeds: Arc::new(AtomicU64::new(seed)),
            counts: Arc::default(),
        }
    }

    /// What clients hold of this transport and its clones.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.counts.usage()
    }

    /// The same host without background tasks, as in an edge function.
    #[must_use]
    pub fn without_background(mut self) -> Self {
        self.background = false;
        self
    }
}

impl Transport for SimTransport {
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
            let Endpoint::Tcp { host, port } = endpoint else {
                let text = format!("the simulated network has no unix sockets: {endpoint}");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            };
            let mut socket = Some(self.counts.sockets.add());
            let addresses = self.resolve(host, *port).await?;
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in addresses {
                match self.dial(address, notes.abort_flag()).await {
                    Ok(mut stream) => {
                        stream.counted = socket.take();
                        return Ok(Box::new(stream) as Box<dyn ByteStream>);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        if self.background {
            let counted = self.counts.tasks.add();
            self.shared.spawn(Box::pin(async move {
                task.await;
                drop(counted);
            }));
        }
        self.background
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let counted = (deadline != Timestamp::FAR_FUTURE).then(|| self.counts.timers.add());
        let sleep = self.sleep(deadline);
        Box::pin(async move {
            sleep.await;
            drop(counted);
        })
    }

    fn now(&self) -> Timestamp {
        self.shared.now()
    }

    fn seed(&self) -> u64 {
        crate::rng::mix(self.seeds.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed))
    }
}

impl SimTransport {
    pub(crate) fn sleep(&self, deadline: Timestamp) -> Sleep {
        Sleep::new(Arc::clone(&self.shared), deadline)
    }

    /// Resolves a name, which takes time unless it is an address literal.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let (delay, fails) = self.shared.with_world(|world| {
            let chances = &world.network.fault_rates;
            let mut delay = world.names.delay;
            if crate::network::names::literal(host).is_some() {
                return (Duration::ZERO, false);
            }
            if world.rng.chance(chances.lookup_slow) {
                delay = delay.saturating_add(world.rng.duration(chances.lookup_slow_max));
            }
            (delay, world.rng.chance(chances.lookup_fails))
        });
        if !delay.is_zero() {
            self.sleep(self.shared.now().after(delay)).await;
        }
        let found = self.shared.with_world(|world| world.names.resolve(host));
        match found {
            Some(addresses) if !fails => {
                Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
            }
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("unknown name: {host}"))),
        }
    }

    /// Dials one address until there is an answer or TCP gives up.
    async fn dial(&self, address: SocketAddr, abort: AbortFlag) -> io::Result<SimStream> {
        let give_up = self.shared.now().after(DIAL_TIMEOUT);
        let mut retry_after = FIRST_DIAL_RETRY;
        loop {
            let delay = self.shared.with_world(|w| w.network.links.delay(&mut w.rng));
            self.sleep(self.shared.now().after(delay)).await;
            let dial = self.shared.with_world(|world| {
                let (mut env, network, _) = world.split();
                network.dial(&mut env, self.host, address)
            });
            match dial {
                Dial::Connected(conn) => {
                    let stream =
                        SimStream { shared: Arc::clone(&self.shared), conn, abort, counted: None };
                    self.sleep(self.shared.now().after(delay)).await;
                    self.shared.with_world(|world| world.pump(conn));
                    return Ok(stream);
                }
                Dial::Refused => {
                    self.sleep(self.shared.now().after(delay)).await;
                    let text = format!("{address} refuses connections");
                    return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
                }
                Dial::Ignored => {
                    self.sleep(self.shared.now().after(retry_after).min(give_up)).await;
                    retry_after = retry_after.saturating_mul(2);
                    if self.shared.now() >= give_up {
                        let text = format!("{address} does not answer");
                        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                    }
                }
            }
        }
    }
}

/// Ends at its deadline on the virtual clock; never, when that is [`Timestamp::FAR_FUTURE`].
#[derive(Debug)]
pub(crate) struct Sleep {
    /// The simulation.
    shared: Arc<Shared>,
    /// When it ends.
    deadline: Timestamp,
    /// Its entry in the queue.
    key: Option<Key>,
}

impl Sleep {
    pub(crate) fn new(shared: Arc<Shared>, deadline: Timestamp) -> Self {
        Self { shared, deadline, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.shared.now() >= self.deadline {
            return Poll::Ready(());
        }
        if self.deadline == Timestamp::FAR_FUTURE {
            return Poll::Pending;
        }
        let waker = context.waker().clone();
        let (old, deadline) = (self.key, self.deadline);
        let key = self.shared.with_world(|world| world.sleep_again(old, deadline, waker));
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.with_world(|world| world.cancel_sleep(key));
        }
    }
}

/// A client's end of a simulated connection.
#[derive(Debug)]
pub(crate) struct SimStream {
    /// The simulation.
    shared: Arc<Shared>,
    /// The connection.
    conn: ConnId,
    /// Whether its end discards what has not arrived.
    abort: AbortFlag,
    /// Counts it for as long as it is open.
    counted: Option<One>,
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.shared.with_world(|world| {
            let (mut env, network, _) = world.split();
            if let Some(outcome) = network.client_read(&mut env, self.conn, buffer) {
                return Poll::Ready(outcome.map_err(|end| io_error(end, false)));
            }
            if let Some(conn) = network.conn(self.conn) {
                keep_waker(&mut conn.down.reader, context);
            }
            Poll::Pending
        })
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.shared.with_world(|world| {
            let (mut env, network, _) = world.split();
            if let Some(outcome) = network.client_write(&mut env, self.conn, buffer) {
                return Poll::Ready(outcome.map_err(|end| io_error(end, true)));
            }
            if let Some(conn) = network.conn(self.conn) {
                keep_waker(&mut conn.up.writer, context);
            }
            Poll::Pending
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.with_world(|world| {
            let (mut env, network, _) = world.split();
            network.client_finish(&mut env, self.conn);
        });
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.shared.with_world(|world| {
            let (mut env, network, _) = world.split();
            network.client_drop(&mut env, self.conn, self.abort.is_set());
        });
    }
}

fn keep_waker(slot: &mut Option<std::task::Waker>, context: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(context.waker()),
        None => *slot = Some(context.waker().clone()),
    }
}

fn io_error(end: End, writing: bool) -> io::Error {
    match end {
        End::Closed => io::ErrorKind::BrokenPipe.into(),
        End::Reset if writing => io::ErrorKind::BrokenPipe.into(),
        End::Reset => io::ErrorKind::ConnectionReset.into(),
    }
}
