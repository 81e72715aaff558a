//! A stream whose other end is a script: it takes and gives bytes when a test says so.
//! It remembers one waker per direction, as real ones do.

use crate::driver::link::pending_reply::tests::COMMAND_BYTES;
use crate::lock::lock;
use crate::rng::Rng;
use futures::io::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// Foreign code that a stream runs whenever it is polled: with 0 to read, with 1 to write.
pub(in crate::driver) type Hook = Arc<dyn Fn(usize) + Send + Sync>;

/// Both ends of a stream.
pub(in crate::driver) struct Wire {
    /// On their way to the client.
    pub(in crate::driver) inbound: VecDeque<u8>,
    /// What the server received and has not answered.
    pub(in crate::driver) received: Vec<u8>,
    /// What the stream takes before it is full.
    pub(in crate::driver) room: usize,
    /// The server has closed the connection.
    pub(in crate::driver) closed: bool,
    /// Woken when there is something to read, and when there is room.
    pub(in crate::driver) wakers: [Option<Waker>; 2],
    /// Replies may come at any time, not only when the test says so.
    pub(in crate::driver) hasty: bool,
    /// Random numbers for all choices.
    pub(in crate::driver) rng: Rng,
    /// Run at each call of `poll_read` and `poll_write`, with nothing locked.
    pub(in crate::driver) hook: Option<Hook>,
    /// Calls of `poll_read` and `poll_write`.
    pub(in crate::driver) polls: [usize; 2],
}

impl Wire {
    pub(in crate::driver) fn new(seed: u64) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            inbound: VecDeque::new(),
            received: Vec::new(),
            room: usize::MAX,
            closed: false,
            wakers: [None, None],
            hasty: false,
            rng: Rng::new(seed),
            hook: None,
            polls: [0; 2],
        }))
    }

    pub(in crate::driver) fn below(&mut self, end: usize) -> usize {
        self.rng.below(end as u64) as usize
    }

    /// The server answers up to `commands` of what it has received.
    pub(in crate::driver) fn answer(&mut self, commands: usize) {
        let count = (self.received.len() / COMMAND_BYTES).min(commands);
        let answered: Vec<u8> = self.received.drain(..count * COMMAND_BYTES).collect();
        for command in answered.chunks(COMMAND_BYTES) {
            self.inbound.extend(b"+");
            self.inbound.extend(command);
            self.inbound.extend(b"\r\n");
        }
    }

    /// Sometimes returns `Pending` and wakes at once, as runtimes do that ration I/O.
    pub(in crate::driver) fn is_rationed(&mut self, cx: &Context<'_>) -> bool {
        let rationed = self.below(8) == 0;
        if rationed {
            cx.waker().wake_by_ref();
        }
        rationed
    }
}

/// The server answers, and the client's side of the stream becomes readable.
pub(in crate::driver) fn serve(wire: &Mutex<Wire>, commands: usize) {
    let waker = {
        let mut wire = lock(wire);
        wire.answer(commands);
        if wire.inbound.is_empty() { None } else { wire.wakers[0].take() }
    };
    waker.into_iter().for_each(Waker::wake);
}

/// The stream takes so many bytes from now on.
pub(in crate::driver) fn make_room(wire: &Mutex<Wire>, room: usize) {
    let waker = {
        let mut wire = lock(wire);
        wire.room = room;
        if room > 0 { wire.wakers[1].take() } else { None }
    };
    waker.into_iter().for_each(Waker::wake);
}

pub(in crate::driver) struct Stream(pub(in crate::driver) Arc<Mutex<Wire>>);

impl Stream {
    fn polled(&self, way: usize) -> MutexGuard<'_, Wire> {
        let hook = lock(&self.0).hook.clone();
        hook.into_iter().for_each(|hook| hook(way));
        let mut wire = lock(&self.0);
        wire.polls[way] += 1;
        wire
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.polled(0);
        if !wire.closed && wire.is_rationed(cx) {
            return Poll::Pending;
        }
        if wire.hasty && wire.below(4) == 0 {
            wire.answer(2);
        }
        if wire.inbound.is_empty() && !wire.closed {
            wire.wakers[0] = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = (1 + wire.below(40)).min(wire.inbound.len()).min(buf.len());
        wire.inbound.drain(..count).zip(buf).for_each(|(byte, place)| *place = byte);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.polled(1);
        if wire.room == 0 {
            wire.wakers[1] = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buf.len().min(wire.room);
        wire.room -= if wire.room == usize::MAX { 0 } else { count };
        wire.received.extend(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
