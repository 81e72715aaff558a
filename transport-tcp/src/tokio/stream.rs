//! A socket with the I/O traits of `futures`: on tokio's reactor, and on smol's from the moment at
//! which that one cannot be relied on.
//!
//! Tokio itself already waits after a short read instead of reading again. A socket moves when its
//! runtime has ended, and when it is polled outside of its current-thread runtime. No byte is lost:
//! the socket is the same, another reactor waits for it.
//!
//! Invariant: a task that waited at the old reactor is woken when the socket moves.

use super::home::Home;
use crate::stream::{self, HalfClose};
use ::tokio::io::ReadBuf;
use futures::io::{AsyncRead, AsyncWrite};
use slotcar_core::AbortFlag;
use smol::Async;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A socket of tokio that can leave its runtime.
pub(super) trait Socket: ::tokio::io::AsyncRead + ::tokio::io::AsyncWrite + Unpin {
    /// The same socket without a reactor.
    type Plain: HalfClose;

    /// Takes the socket from its reactor.
    fn into_plain(self) -> io::Result<Self::Plain>;

    /// Gives the socket to smol's reactor.
    fn on_smol(plain: Self::Plain) -> io::Result<Async<Self::Plain>>;

    /// Makes the end of the connection a reset, if it can be one.
    fn reset_at_end(&self);
}

impl Socket for ::tokio::net::TcpStream {
    type Plain = std::net::TcpStream;

    fn into_plain(self) -> io::Result<Self::Plain> {
        self.into_std()
    }

    fn on_smol(plain: Self::Plain) -> io::Result<Async<Self::Plain>> {
        Async::new(plain)
    }

    fn reset_at_end(&self) {
        stream::reset_at_end(self.into());
    }
}

#[cfg(unix)]
impl Socket for ::tokio::net::UnixStream {
    type Plain = std::os::unix::net::UnixStream;

    fn into_plain(self) -> io::Result<Self::Plain> {
        self.into_std()
    }

    fn on_smol(plain: Self::Plain) -> io::Result<Async<Self::Plain>> {
        Async::new(plain)
    }

    /// The other side has the bytes already.
    fn reset_at_end(&self) {}
}

/// See the head of this file.
pub(super) struct Stream<T: Socket> {
    /// The socket, and where it is registered.
    place: Place<T>,
    /// The runtime.
    home: Arc<Home>,
    /// Set when the connection is to end with a reset.
    abort: AbortFlag,
}

/// Where a socket is registered.
enum Place<T: Socket> {
    /// With tokio's reactor.
    Tokio(T),
    /// With smol's.
    Smol(stream::Stream<T::Plain>),
    /// With none: the move has failed.
    Nowhere,
}

impl<T: Socket> Stream<T> {
    pub(super) fn new(socket: T, home: &Arc<Home>, abort: AbortFlag) -> Self {
        Self { place: Place::Tokio(socket), home: Arc::clone(home), abort }
    }

    /// Polls the socket where it is, or where it then is.
    fn poll_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut on_tokio: impl FnMut(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<R>>,
        mut on_smol: impl FnMut(
            Pin<&mut stream::Stream<T::Plain>>,
            &mut Context<'_>,
        ) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        loop {
            match &mut self.place {
                Place::Tokio(socket) if self.home.is_usable() => {
                    match ready!(on_tokio(Pin::new(socket), cx)) {
                        Err(error) if self.home.has_ended(&error) => {}
                        done => return Poll::Ready(done),
                    }
                }
                Place::Tokio(_) => {}
                Place::Smol(socket) => return on_smol(Pin::new(socket), cx),
                Place::Nowhere => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
            self.move_to_smol()?;
            cx.waker().wake_by_ref();
        }
    }

    fn move_to_smol(&mut self) -> io::Result<()> {
        if let Place::Tokio(socket) = mem::replace(&mut self.place, Place::Nowhere) {
            let socket = T::on_smol(socket.into_plain()?)?;
            self.place = Place::Smol(stream::Stream::new(socket, self.abort.clone()));
        }
        Ok(())
    }
}

impl<T: Socket> Drop for Stream<T> {
    fn drop(&mut self) {
        if let Place::Tokio(socket) = &self.place
            && self.abort.is_set()
        {
            socket.reset_at_end();
        }
    }
}

impl<T: Socket> AsyncRead for Stream<T>
where
    stream::Stream<T::Plain>: AsyncRead + Unpin,
    Self: Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let cell = std::cell::Cell::new(buf);
        self.poll_with(
            cx,
            |socket, cx| {
                let taken = cell.take();
                let mut buf = ReadBuf::new(taken);
                let polled = socket.poll_read(cx, &mut buf).map_ok(|()| buf.filled().len());
                cell.set(taken);
                polled
            },
            |socket, cx| {
                let taken = cell.take();
                let polled = socket.poll_read(cx, taken);
                cell.set(taken);
                polled
            },
        )
    }
}

impl<T: Socket> AsyncWrite for Stream<T>
where
    stream::Stream<T::Plain>: AsyncWrite + Unpin,
    Self: Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(
            cx,
            |socket, cx| socket.poll_write(cx, buf),
            |socket, cx| socket.poll_write(cx, buf),
        )
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(
            cx,
            |socket, cx| socket.poll_write_vectored(cx, bufs),
            |socket, cx| socket.poll_write_vectored(cx, bufs),
        )
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_with(cx, |socket, cx| socket.poll_flush(cx), |socket, cx| socket.poll_flush(cx))
    }

    /// Closes the sending half; what the server still sends can be read.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = self.poll_with(
            cx,
            |socket, cx| socket.poll_shutdown(cx),
            |socket, cx| socket.poll_close(cx),
        );
        match ready!(closed) {
            // The server has closed it already.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            closed => Poll::Ready(closed),
        }
    }
}
