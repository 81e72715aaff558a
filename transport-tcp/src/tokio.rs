//! The transport on tokio's reactor, a type of its own.
//!
//! It holds the [`Handle`] of its runtime and enters the runtime where tokio needs that, so that
//! callers may await from any executor.
//! Invariant: the runtime is entered for one poll at a time, never across an await.
//!
//! Limits: the runtime must have I/O and time enabled and must be running, or no task is woken. A
//! multi-thread runtime always runs; a current-thread runtime only inside of its `block_on`.

use crate::options::TcpOptions;
use crate::{clock, dial, resolve};
use ::tokio::io::ReadBuf;
use ::tokio::net::TcpStream;
use ::tokio::runtime::{Handle, TryCurrentError};
use futures::io::{AsyncRead, AsyncWrite};
use slotcar_core::{BoxFuture, ByteStream, DialNotes, Endpoint, Timestamp, Transport};
use socket2::SockRef;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

/// TCP and unix sockets on tokio's reactor; works in any executor while its runtime runs.
#[derive(Clone, Debug)]
pub struct Tokio {
    /// The runtime of the sockets, timers and background tasks.
    handle: Handle,
    /// The options of each TCP socket.
    options: TcpOptions,
}

impl Tokio {
    /// A transport on the runtime of `handle`, with the default [`TcpOptions`].
    ///
    /// The runtime needs I/O and time: without them tokio panics at the first use.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { handle, options: TcpOptions::default() }
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
    async fn dial(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        let socket = TcpStream::connect(address).await?;
        self.options.apply(SockRef::from(&socket))?;
        Ok(Box::new(Stream { socket }))
    }

    async fn connect_tcp(
        &self,
        host: &str,
        port: u16,
        notes: &DialNotes,
    ) -> io::Result<Box<dyn ByteStream>> {
        if let Some(address) = resolve::literal(host, port) {
            // The error need not name the address: the caller has given it.
            return self.dial(address).await;
        }
        let began = clock::now();
        let found = ::tokio::net::lookup_host((host, port)).await;
        notes.set_name_time(clock::now().since(began));
        let addresses = resolve::addresses(host, found)?;
        let delay = || tokio::time::sleep(self.options.attempt_delay);
        dial::first_to_connect(addresses, |address| self.dial(address), delay).await
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
            let mut connected = pin!(async {
                match endpoint {
                    Endpoint::Tcp { host, port } => self.connect_tcp(host, *port, notes).await,
                    Endpoint::Unix { path } => connect_unix(path).await,
                }
            });
            poll_fn(|cx| {
                let _context = self.handle.enter();
                connected.as_mut().poll(cx)
            })
            .await
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        drop(self.handle.spawn(task));
        true
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        match clock::instant(deadline) {
            Some(instant) => {
                // A sleep needs the context only when it is made.
                let _context = self.handle.enter();
                Box::pin(tokio::time::sleep_until(instant.into()))
            }
            None => Box::pin(std::future::pending()),
        }
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
    match tokio::net::UnixStream::connect(path).await {
        Ok(socket) => Ok(Box::new(Stream { socket })),
        Err(cause) => Err(resolve::at_path(path, &cause)),
    }
}

#[cfg(not(unix))]
async fn connect_unix(path: &std::path::Path) -> io::Result<Box<dyn ByteStream>> {
    Err(resolve::no_unix_sockets(path))
}

/// A tokio socket with the I/O traits of `futures`.
///
/// Tokio itself already waits after a short read instead of reading again.
#[derive(Debug)]
struct Stream<T> {
    /// The socket, registered with its runtime for as long as it lives.
    socket: T,
}

impl<T: tokio::io::AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl<T: tokio::io::AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Closes the sending half; what the server still sends can be read.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.socket).poll_shutdown(cx)) {
            // The server has closed it already.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            closed => Poll::Ready(closed),
        }
    }
}
