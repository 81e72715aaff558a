//! A connected socket of the host as a stream of bytes.
//!
//! Each call of the host costs microseconds, so the stream makes few:
//! - after a short or empty read the socket is taken to be drained, and the next read waits for the
//!   host to say otherwise, on a wait that stays registered between reads;
//! - a write is one question (how much?) and one answer, and only a host that takes nothing makes
//!   it wait.
//!
//! Invariants: `drained` and `full` only skip a call that would most likely come back empty; a
//! wrong guess costs one question and never loses bytes. A write never exceeds what the host
//! permitted, or the host would trap. Fields are dropped in their order: what hangs on the socket
//! before it.
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

/// Bytes moved by one call of the host.
const BYTES_PER_CALL: usize = 64 * 1024;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Bytes have come, or the end.
    readable: Interest,
    /// There is room to write; made when there first was none.
    writable: Option<Interest>,
    /// A read now would most likely find nothing.
    drained: bool,
    /// A read was told to wait, and the host has not called since. A second read asks the
    /// host: the reactor runs only while the program waits.
    asked: bool,
    /// A write now would most likely find no room.
    full: bool,
    /// A write was told to wait, as `asked` is for reads.
    pressed: bool,
    /// The receiving half.
    input: InputStream,
    /// The sending half.
    output: OutputStream,
    /// What both belong to.
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
                // Not the end: nothing has come yet.
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

    /// One write for all of them, copied together: without `TCP_NODELAY` each write of its own may
    /// wait for an acknowledgement of the one before.
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

    /// Asks the host to hold nothing back; it goes on by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.output.flush().map_err(errors::unwritten))
    }

    /// Closes the sending half; the other side's last bytes can still be read.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        use wasip2::sockets::network::ErrorCode;
        Poll::Ready(match self.socket.shutdown(ShutdownType::Send) {
            // The other side was faster: closed is what was asked for.
            Ok(()) | Err(ErrorCode::InvalidState) => Ok(()),
            Err(code) => Err(errors::from_code(code)),
        })
    }
}
