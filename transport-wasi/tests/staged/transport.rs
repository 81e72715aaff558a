//! The transport under test, whose pending polls are repeated at every turn of the stage.
//!
//! Bytes, addresses and errors are those of the transport; a timer also reads the clock.

use crate::stage::remember;
use futures::io::{AsyncRead, AsyncWrite};
use slotcar::{BoxFuture, ByteStream, Endpoint, Timestamp, Transport};
use slotcar_wasi::Wasi;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The transport for the stage.
#[derive(Clone, Debug, Default)]
pub struct Smol(Wasi);

impl Smol {
    /// With default options.
    pub fn new() -> Smol {
        Smol::default()
    }
}

/// Has a pending poll repeated at the next turn.
fn noted<T>(poll: Poll<T>, cx: &Context<'_>) -> Poll<T> {
    if poll.is_pending() {
        remember(cx.waker());
    }
    poll
}

impl Transport for Smol {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            let mut dial = self.0.connect(endpoint);
            let stream = poll_fn(|cx| noted(dial.as_mut().poll(cx), cx)).await?;
            Ok(Box::new(Stream(stream)) as Box<dyn ByteStream>)
        })
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let (transport, mut sleep) = (self.clone(), self.0.sleep_until(deadline));
        Box::pin(poll_fn(move |cx| {
            if transport.now() >= deadline {
                return Poll::Ready(());
            }
            noted(sleep.as_mut().poll(cx), cx)
        }))
    }

    crate::forward_transport!(0: now, seed);
}

/// A stream of the transport under test.
struct Stream(Box<dyn ByteStream>);

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        noted(Pin::new(&mut *self.0).poll_read(cx, buf), cx)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        noted(Pin::new(&mut *self.0).poll_write(cx, buf), cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        noted(Pin::new(&mut *self.0).poll_flush(cx), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        noted(Pin::new(&mut *self.0).poll_close(cx), cx)
    }
}
