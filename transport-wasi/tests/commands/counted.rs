//! A transport that records what the client does with it.
//!
//! It wraps the transport under test, so it counts what the host sees: each sleep is one timer of
//! the host, each write one call.

use futures::io::{AsyncRead, AsyncWrite};
use slotcar::{BoxFuture, ByteStream, Endpoint, Timestamp, Transport};
use slotcar_wasi::Wasi;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// What was recorded.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Timers.
    pub(crate) sleeps: usize,
    /// Connections.
    pub(crate) dials: usize,
    /// What each write held.
    pub(crate) writes: Vec<Vec<u8>>,
}

/// A transport that records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    /// The transport under test.
    inner: Wasi,
    /// The record, shared with the streams.
    record: Arc<Mutex<Record>>,
}

impl Counted {
    /// What was recorded since the last call of this.
    pub(crate) fn take(&self) -> Record {
        std::mem::take(&mut *self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Transport for Counted {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        self.note(|record| record.dials += 1);
        Box::pin(async move {
            let inner = self.inner.connect(endpoint).await?;
            Ok(Box::new(Stream { inner, counted: self.clone() }) as Box<dyn ByteStream>)
        })
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        self.note(|record| record.sleeps += usize::from(deadline != Timestamp::FAR_FUTURE));
        self.inner.sleep_until(deadline)
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn seed(&self) -> u64 {
        self.inner.seed()
    }
}

/// A stream whose writes are recorded.
struct Stream {
    /// The stream of the transport under test.
    inner: Box<dyn ByteStream>,
    /// Where writes are recorded.
    counted: Counted,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut *self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(taken)) = outcome {
            self.counted.note(|record| record.writes.push(buf[..taken].to_vec()));
        }
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_close(cx)
    }
}
