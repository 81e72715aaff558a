//! The transport: the host's sockets through a function `connect`, its timers, clock and random
//! numbers.
//!
//! Invariant: all transports of a program have one epoch, that of the host's `performance.now`.

use crate::dial::dial;
use crate::tasks;
use crate::timer::{self, Sleep};
use js_sys::Function;
use slotcar_core::{BoxFuture, ByteStream, ConnectTls, DialNotes, Endpoint, Timestamp, Transport};
use std::io;

/// The sockets of a JavaScript host.
///
/// Clones use the same function `connect`.
#[derive(Clone, Debug)]
pub struct Js {
    /// Opens a socket.
    connect: Function,
}

impl Js {
    /// A transport whose sockets come from `connect`, a function as the [WinterTC sockets API][api]
    /// describes it: `connect` of `cloudflare:sockets` is one, and `js/` of this crate has others.
    ///
    /// It is called with `{hostname, port}` and `{secureTransport: "off" | "on", allowHalfOpen:
    /// false}`, and returns a socket with `readable`, `writable`, `opened`, `closed` and `close()`,
    /// or a promise of one. With `secureTransport: "on"` it must not open a socket before the
    /// server has proven the name. To add options, for instance an authority to trust, give a
    /// function that adds them and calls the host's.
    ///
    /// A method `abort()` of the socket is called instead of `close()` when the connection must
    /// send nothing more; it is not part of the standard.
    ///
    /// [api]: https://sockets-api.proposal.wintertc.org
    #[must_use]
    pub fn new(connect: Function) -> Self {
        Self { connect }
    }

    async fn open(
        &self,
        endpoint: &Endpoint,
        secure: bool,
        notes: &DialNotes,
    ) -> io::Result<Box<dyn ByteStream>> {
        let stream = dial(&self.connect, endpoint, secure, notes).await?;
        Ok(Box::new(stream))
    }
}

impl Transport for Js {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move { self.open(endpoint, false, &DialNotes::default()).await })
    }

    fn connect_noting<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        notes: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(self.open(endpoint, false, notes))
    }

    fn tls(&self) -> Option<&dyn ConnectTls> {
        Some(self)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        tasks::spawn(task);
        true
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(Sleep::until(deadline))
    }

    fn now(&self) -> Timestamp {
        timer::now()
    }

    fn seed(&self) -> u64 {
        timer::seed()
    }
}

impl ConnectTls for Js {
    fn connect_tls<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        notes: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(self.open(endpoint, true, notes))
    }
}
