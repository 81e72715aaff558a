//! An encrypted stream: rustls over another stream.
//!
//! Reading, writing and flushing are those of `futures-rustls`: what was written may wait in a
//! record until it is flushed; a read that returns Pending has registered its waker with the stream
//! below.
//!
//! Invariants:
//! - if the server refuses the client only after the handshake, as TLS 1.3 does for client
//!   certificates, the read fails with `ConnectionRefused`, unless the server has sent data before;
//! - a server that closes without close_notify counts as closed: replies contain their lengths, so
//!   a truncated reply is noticed;
//! - a dropped stream sends close_notify if that is possible without waiting and no data is unsent;
//!   not if its `AbortFlag` is set, which the stream below keeps as well.

use crate::error;
use futures::io::{AsyncRead, AsyncWrite};
use futures_rustls::client::TlsStream;
use slotcar_core::{AbortFlag, ByteStream};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// An encrypted stream.
pub(crate) struct Stream {
    /// The TLS session over the stream below.
    inner: TlsStream<Box<dyn ByteStream>>,
    /// The name of the server, until the first read.
    first_read_from: Option<String>,
    /// Set when the stream below resets the connection.
    abort: AbortFlag,
}

impl Stream {
    pub(crate) fn new(
        inner: TlsStream<Box<dyn ByteStream>>,
        name: String,
        abort: AbortFlag,
    ) -> Self {
        Self { inner, first_read_from: Some(name), abort }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        let first_read_from = self.first_read_from.take();
        Poll::Ready(match (read, first_read_from) {
            (Err(error), _) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            (Err(error), Some(name)) => Err(error::of_first_read(&name, error)),
            (read, _) => read,
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let (io, session) = self.inner.get_mut();
        // Unsent data belongs to commands that were cancelled: it must not be sent now.
        // And where the connection is reset, nothing is sent at all.
        if session.wants_write() || session.is_handshaking() || self.abort.is_set() {
            return;
        }
        session.send_close_notify();
        let mut alert = Vec::new();
        if session.write_tls(&mut alert).is_ok() {
            // It does not matter whether it is written.
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(io).poll_write(&mut cx, &alert);
        }
    }
}

#[cfg(test)]
mod tests;
