//! A socket on smol's reactor that makes few system calls.
//!
//! async-io registers with the OS again for each wait, which costs several system calls, and these
//! determine how long a sequence of small commands takes. This stream saves some of them:
//! - after a *short* read the socket is assumed to be empty: the next read waits for readiness and
//!   does not read first to see `EAGAIN`;
//! - after a short write the socket is assumed to be full, likewise;
//! - otherwise a read or write is tried first, and only `EAGAIN` leads to a wait;
//! - if a read that is waiting is polled again without a readiness event, the socket is read:
//!   events are noticed only while the reactor runs, and it may not have run since.
//!
//! If its `AbortFlag` is set when it is dropped, a TCP connection is reset, and what was written
//! but not sent is discarded.
//!
//! Invariants: `drained` and `full` only skip a call that would most likely fail. If the assumption
//! is wrong, the wait ends at once (readiness is level-triggered), and no event is lost. A
//! readiness event ends the assumption; the end of the stream and errors are such events.
//!
//! The reactor keeps one waker per direction and wakes the one that it replaces. So poll a stream
//! with one waker at a time, or two tasks wake each other without end.

use futures::io::{AsyncRead, AsyncWrite};
use slotcar_core::AbortFlag;
use smol::Async;
use socket2::SockRef;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Stream<T: HalfClose> {
    /// The socket, registered with the reactor and set to non-blocking.
    io: Async<T>,
    /// The last read was short and there was no readiness event since: a read would probably block.
    drained: bool,
    /// A read has returned Pending, and there was no readiness event since.
    asked: bool,
    /// The last write was short and there was no readiness event since: a write would probably
    /// block.
    full: bool,
    /// Set when the connection is to end with a reset.
    abort: AbortFlag,
}

/// How a connection ends.
pub(crate) trait HalfClose {
    /// Tells the other side that no more bytes will come.
    fn close_write(&self) -> io::Result<()>;

    /// Makes the end of the connection a reset, if it can be one: what was written and not sent is
    /// discarded.
    fn reset_at_end(&self);
}

/// Makes the end of a TCP connection a reset.
// spec: socket(7), SO_LINGER; RFC 9293, section 3.10.5 ("ABORT Call")
pub(crate) fn reset_at_end(socket: SockRef<'_>) {
    // If it fails, the connection is closed as any other is.
    let _ = socket.set_linger(Some(Duration::ZERO));
}

impl HalfClose for TcpStream {
    fn close_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn reset_at_end(&self) {
        reset_at_end(self.into());
    }
}

#[cfg(unix)]
impl HalfClose for std::os::unix::net::UnixStream {
    fn close_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// The other side has the bytes already.
    fn reset_at_end(&self) {}
}

impl<T: HalfClose> Stream<T> {
    pub(crate) fn new(io: Async<T>, abort: AbortFlag) -> Self {
        Self { io, drained: false, asked: false, full: false, abort }
    }
}

impl<T: HalfClose> Drop for Stream<T> {
    fn drop(&mut self) {
        if self.abort.is_set() {
            self.io.get_ref().reset_at_end();
        }
    }
}

impl<T: HalfClose> Stream<T>
where
    for<'a> &'a T: Write,
{
    /// Writes with `write`, which returns how many of `wanted` bytes were written.
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

impl<T: HalfClose> AsyncRead for Stream<T>
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
            // If the socket is read although it waits, the waker stays registered.
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
                    // Zero bytes are the end of the stream: nothing more to wait for.
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

impl<T: HalfClose> AsyncWrite for Stream<T>
where
    Self: Unpin,
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

    /// Nothing is buffered here.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes the sending half; what the server still sends can be read.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.io.get_ref().close_write() {
            // The server has closed it already.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
            closed => closed,
        })
    }
}

#[cfg(all(test, unix))]
mod tests;
