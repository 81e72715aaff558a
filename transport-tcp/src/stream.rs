//! A socket on smol's reactor that asks the OS no more than it must.
//!
//! async-io arms its interest anew for each wait, which costs several system calls: a sequence of
//! small commands is ruled by their number. Three habits of this stream save some:
//! - after a *short* read the socket is taken to be drained: the next read waits for readiness at
//!   once instead of asking once more to see `EAGAIN`;
//! - the same after a short write: the rest waits for room at once;
//! - otherwise a read or write is tried first, and only `EAGAIN` leads to a wait;
//! - a second read without a readiness event in between asks the socket: events are seen only while
//!   some task runs the reactor, and none may have done so since.
//!
//! Invariants: `drained` and `full` only skip a call that would most likely fail, so a wrong guess
//! costs a wait that ends at once (the reactor's interest is level-triggered), never a lost event.
//! A readiness event clears the guess, and the end of the stream and errors are such events.
//!
//! The reactor keeps one waker per direction and wakes the one it replaces: poll a stream with one
//! waker at a time, or two pollers wake each other without end.

use futures::io::{AsyncRead, AsyncWrite};
use smol::Async;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Stream<T> {
    /// The socket, registered with the reactor and set to non-blocking.
    io: Async<T>,
    /// The last read was short and no readiness came since: a read now would most likely block.
    drained: bool,
    /// A read was told to wait, and no readiness came since.
    asked: bool,
    /// The last write was short and no readiness came since: a write now would most likely block.
    full: bool,
}

/// Sockets whose sending half can be closed alone.
pub(crate) trait HalfClose {
    /// Tells the other side that no more bytes will come.
    fn close_write(&self) -> io::Result<()>;
}

impl HalfClose for TcpStream {
    fn close_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

#[cfg(unix)]
impl HalfClose for std::os::unix::net::UnixStream {
    fn close_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl<T> Stream<T> {
    pub(crate) fn new(io: Async<T>) -> Self {
        Self { io, drained: false, asked: false, full: false }
    }
}

impl<T> Stream<T>
where
    for<'a> &'a T: Write,
{
    /// Writes with `write`, which reports what it took of `wanted` bytes.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
        mut write: impl FnMut(&mut &T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.full {
                ready!(self.io.poll_writable(cx))?;
                self.full = false;
            }
            match write(&mut self.io.get_ref()) {
                Ok(taken) => {
                    self.full = taken < wanted;
                    return Poll::Ready(Ok(taken));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.full = true,
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl<T> AsyncRead for Stream<T>
where
    Self: Unpin,
    for<'a> &'a T: Read,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            // The interest stays registered when the socket is asked all the same.
            let mut registered = false;
            if this.drained {
                registered = this.io.poll_readable(cx)?.is_pending();
                if registered && !std::mem::replace(&mut this.asked, true) {
                    return Poll::Pending;
                }
            }
            let mut socket = this.io.get_ref();
            match socket.read(buf) {
                Ok(filled) => {
                    // Zero bytes are the end, which stays readable: there is nothing to wait for.
                    this.drained = filled > 0 && filled < buf.len();
                    this.asked = false;
                    return Poll::Ready(Ok(filled));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    this.drained = true;
                    this.asked = registered;
                    if registered {
                        return Poll::Pending;
                    }
                }
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl<T> AsyncWrite for Stream<T>
where
    Self: Unpin,
    T: HalfClose,
    for<'a> &'a T: Write,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, buf.len(), |socket| socket.write(buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = bufs.iter().map(|b| b.len()).sum();
        self.poll_write_with(cx, wanted, |socket| socket.write_vectored(bufs))
    }

    /// Nothing is held back here.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes the sending half; the other side's last bytes can still be read.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.io.get_ref().close_write() {
            // The other side was faster: closed is what was asked for.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
            closed => closed,
        })
    }
}

#[cfg(all(test, unix))]
mod tests;
