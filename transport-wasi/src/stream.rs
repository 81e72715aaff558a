//! A connected socket of the host as a stream of bytes.
//!
//! Each call of the host costs microseconds, so the stream makes few:
//! - after a short or empty read the socket is assumed to be empty, and the next read waits for
//!   readiness; the wait stays registered between reads;
//! - a write asks the host how many bytes it accepts and then writes them; it waits only if the
//!   host accepts none.
//!
//! Invariants: `drained` and `full` only skip a call that would most likely return nothing; if the
//! assumption is wrong, it costs one call, and no bytes are lost. A write is never longer than the
//! host permits, or the host would trap. Fields are dropped in their order: the socket last.
//!
//! Limits: 64 KiB per read and per write, which is what hosts move at once.

use crate::errors;
use crate::interest::Interest;
use futures::io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};

/// Bytes that one call of the host moves at most.
const BYTES_PER_CALL: usize = 64 * 1024;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Waits until there is something to read, or the end.
    readable: Interest,
    /// Waits until the host accepts bytes; made when it first accepted none.
    writable: Option<Interest>,
    /// A read would most likely return nothing.
    drained: bool,
    /// A read has returned Pending, and the host has reported nothing since. If it is polled again,
    /// the host is asked: the reactor runs only while the program waits.
    asked: bool,
    /// A write would most likely not be accepted.
    full: bool,
    /// A write has returned Pending; as `asked` for reads.
    pressed: bool,
    /// The receiving half.
    input: InputStream,
    /// The sending half.
    output: OutputStream,
    /// The socket of both halves.
    socket: TcpSocket,
}

impl Stream {
    pub(crate) fn new(socket: TcpSocket, input: InputStream, output: OutputStream) -> Self {
        let readable = Interest::new(input.subscribe());
        let (drained, asked, full, pressed) = (false, false, false, false);
        Self { readable, writable: None, drained, asked, full, pressed, input, output, socket }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let wanted = buf.len().min(BYTES_PER_CALL);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        loop {
            let mut waits = false;
            if self.drained {
                waits = self.readable.poll(cx).is_pending();
                if waits && !std::mem::replace(&mut self.asked, true) {
                    return Poll::Pending;
                }
            }
            match self.input.read(wanted as u64) {
                // Not the end: there is nothing to read yet.
                Ok(bytes) if bytes.is_empty() => {
                    self.drained = true;
                    self.asked = waits;
                    if waits {
                        return Poll::Pending;
                    }
                }
                Ok(bytes) => {
                    self.drained = bytes.len() < wanted;
                    self.asked = false;
                    buf[..bytes.len()].copy_from_slice(&bytes);
                    return Poll::Ready(Ok(bytes.len()));
                }
                Err(StreamError::Closed) => {
                    self.readable.release();
                    return Poll::Ready(Ok(0));
                }
                Err(StreamError::LastOperationFailed(cause)) => {
                    self.readable.release();
                    return Poll::Ready(Err(errors::broken("read", &cause)));
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let this = &mut *self;
        loop {
            let mut waits = false;
            if this.full {
                let output = &this.output;
                let writable =
                    this.writable.get_or_insert_with(|| Interest::new(output.subscribe()));
                waits = writable.poll(cx).is_pending();
                if waits && !std::mem::replace(&mut this.pressed, true) {
                    return Poll::Pending;
                }
            }
            let permit = match this.output.check_write() {
                Ok(permit) => usize::try_from(permit).unwrap_or(usize::MAX),
                Err(cause) => return Poll::Ready(Err(errors::unwritten(cause))),
            };
            if permit == 0 {
                this.full = true;
                this.pressed = waits;
                if waits {
                    return Poll::Pending;
                }
                continue;
            }
            (this.full, this.pressed) = (false, false);
            if let Some(writable) = &this.writable {
                writable.release();
            }
            let taken = buf.len().min(permit).min(BYTES_PER_CALL);
            let written = this.output.write(&buf[..taken]);
            return Poll::Ready(written.map(|()| taken).map_err(errors::unwritten));
        }
    }

    /// Copies all buffers into one write: without `TCP_NODELAY`, each separate write may wait for
    /// the acknowledgement of the one before.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        let first: &[u8] = filled.next().map_or(&[], |buf| buf);
        if filled.next().is_none() || first.len() >= BYTES_PER_CALL {
            return self.poll_write(cx, first);
        }
        let len = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(BYTES_PER_CALL);
        let mut whole = Vec::with_capacity(len);
        for buf in bufs {
            let room = len - whole.len();
            whole.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        self.poll_write(cx, &whole)
    }

    /// Asks the host to send everything; does not wait for it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.output.flush().map_err(errors::unwritten))
    }

    /// Closes the sending half; what the server still sends can be read.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        use wasip2::sockets::network::ErrorCode;
        Poll::Ready(match self.socket.shutdown(ShutdownType::Send) {
            // The server has closed it already.
            Ok(()) | Err(ErrorCode::InvalidState) => Ok(()),
            Err(code) => Err(errors::from_code(code)),
        })
    }
}
