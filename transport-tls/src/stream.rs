//! An encrypted stream: rustls over the bytes of another.
//!
//! Reading, writing and flushing are those of `futures-rustls`: what a write took may wait in a
//! record until it is flushed, and a read that found nothing has asked the stream below to wake.
//!
//! Invariants:
//! - a refusal that comes only after the handshake, as TLS 1.3 has it for client certificates, is
//!   told as one (`ConnectionRefused`) as long as the server has said nothing else;
//! - a server that closes without a goodbye has closed: replies say how long they are, so nothing
//!   can be cut off unseen;
//! - a dropped stream says goodbye if that takes no waiting and nothing else is unsent.

use crate::error;
use futures::io::{AsyncRead, AsyncWrite};
use futures_rustls::client::TlsStream;
use slotcar_core::ByteStream;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// See the head of this file.
pub(crate) struct Stream {
    /// The records, over what carries them.
    inner: TlsStream<Box<dyn ByteStream>>,
    /// Whom they are exchanged with, until the first of them is read.
    unheard: Option<String>,
}

impl Stream {
    pub(crate) fn new(inner: TlsStream<Box<dyn ByteStream>>, name: String) -> Self {
        Self { inner, unheard: Some(name) }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        let unheard = self.unheard.take();
        Poll::Ready(match (read, unheard) {
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
        // What is unsent belongs to commands that were given up: it must not leave now.
        if session.wants_write() || session.is_handshaking() {
            return;
        }
        session.send_close_notify();
        let mut goodbye = Vec::new();
        if session.write_tls(&mut goodbye).is_ok() {
            // Taken or not: nobody waits for it.
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(io).poll_write(&mut cx, &goodbye);
        }
    }
}

#[cfg(test)]
mod tests;
