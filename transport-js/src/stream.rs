//! An open socket of the host as a stream of bytes.
//!
//! Invariants:
//! - the promise of a read is kept here, and so is what it brought and was not read yet: a future
//!   that reads and is dropped loses nothing;
//! - at most one read and one write of the host are in progress. A write is taken over when it is
//!   handed to the host, and the next waits for it;
//! - dropping the stream closes the socket. If its `AbortFlag` is set, what the host has not sent
//!   is discarded, as far as it can: `abort` of the socket, which is not part of the standard, or
//!   else that of its writer.
//!
//! A byte stream of the host fills our buffer, which comes back with each chunk (a "BYOB" reader);
//! of any other we take the chunks that it has.
//!
//! Limits: 64 KiB for each read that fills our buffer, 256 KiB for each write; a host that gives a
//! hundred empty chunks in a row is broken, since it would keep everything else from running.

use crate::promise::{self, Waiter};
use crate::socket::{Opening, object};
use crate::{errors, host};
use futures::io::{AsyncRead, AsyncWrite};
use slotcar_core::AbortFlag;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wasm_bindgen::{JsCast, JsValue};

/// Bytes of the buffer that the host fills.
const READ_MAX: u32 = 64 * 1024;
/// Bytes that one write hands to the host.
const WRITE_MAX: usize = 256 * 1024;
/// Empty chunks in a row that are taken for a broken host.
const EMPTY_MAX: u32 = 100;

/// An open socket.
pub(crate) struct Stream {
    /// The incoming half.
    input: Input,
    /// Writes to the host.
    writer: host::Writer,
    /// Waits for the write, or the closing, that is in progress.
    writing: Waiter,
    /// Whether the outgoing half was closed.
    closing: bool,
    /// Says how the stream ends.
    abort: AbortFlag,
    /// The socket; dropped last, which closes it.
    socket: Opening,
}

/// The incoming half.
struct Input {
    /// Reads from the host.
    reader: host::Reader,
    /// Whether the reader fills our buffer.
    fills: bool,
    /// The buffer between two reads.
    spare: Option<JsValue>,
    /// Waits for the read that is in progress.
    reading: Waiter,
    /// What the host has brought, and how much of it was read.
    chunk: Option<Chunk>,
    /// Empty chunks in a row.
    empty: u32,
    /// How it has ended.
    ended: Ended,
    /// Whether the next error may be that of a server that refuses the client of a handshake.
    first_of_tls: bool,
}

/// Bytes from the host.
struct Chunk {
    /// The bytes.
    bytes: host::Bytes,
    /// How many of them were read.
    at: u32,
    /// How many there are.
    len: u32,
}

/// How the incoming half has ended.
enum Ended {
    /// It has not.
    No,
    /// The server has closed it.
    Closed,
    /// With an error, which was returned.
    Failed,
}

impl Stream {
    /// Takes both halves of the socket.
    pub(crate) fn new(socket: Opening, secure: bool, abort: AbortFlag) -> io::Result<Self> {
        Self::halves(&socket).map_err(|thrown| errors::of_stream(&thrown, false)).and_then(
            |(reader, fills, writer)| {
                if !reader.is_object() || !writer.is_object() {
                    let what = "the streams of the socket have no reader or no writer";
                    return Err(errors::broken_host(what));
                }
                promise::ignore_of(reader.as_ref(), &["closed"]);
                promise::ignore_of(writer.as_ref(), &["closed", "ready"]);
                let input = Input {
                    reader,
                    fills,
                    spare: None,
                    reading: Waiter::default(),
                    chunk: None,
                    empty: 0,
                    ended: Ended::No,
                    first_of_tls: secure,
                };
                let writing = Waiter::default();
                Ok(Self { input, writer, writing, closing: false, abort, socket })
            },
        )
    }

    fn halves(socket: &Opening) -> Result<(host::Reader, bool, host::Writer), JsValue> {
        let readable: host::Readable = socket.get().readable()?.unchecked_into();
        let writable: host::Writable = socket.get().writable()?.unchecked_into();
        let mode = object(&[("mode", "byob".into())])?;
        // It throws if the stream is none of bytes.
        let (reader, fills) = match readable.get_reader_with(&mode) {
            Ok(reader) => (reader, true),
            Err(_) => (readable.get_reader()?, false),
        };
        Ok((reader, fills, writable.get_writer()?))
    }

    /// The error of the outgoing half. A host may tell there first what a read would tell.
    fn failed(&self, thrown: &JsValue) -> io::Error {
        errors::of_stream(thrown, self.input.first_of_tls)
    }

    /// Waits until nothing is being written.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.writing.is_waiting() {
            return Poll::Ready(Ok(()));
        }
        let written = ready!(self.writing.poll_settled(cx));
        Poll::Ready(written.map(drop).map_err(|thrown| self.failed(&thrown)))
    }
}

impl Input {
    /// Waits until there are bytes; `false` at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.chunk.is_none() {
            if !self.reading.is_waiting() {
                self.start().map_err(|thrown| errors::of_stream(&thrown, false))?;
            }
            let read = ready!(self.reading.poll_settled(cx));
            let Some(chunk) = self.taken(read)? else { return Poll::Ready(Ok(false)) };
            if chunk.len > 0 {
                (self.empty, self.first_of_tls) = (0, false);
                self.chunk = Some(chunk);
                break;
            }
            self.empty += 1;
            if self.empty > EMPTY_MAX {
                return Poll::Ready(Err(errors::broken_host("the socket gives only empty chunks")));
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Begins a read.
    fn start(&mut self) -> Result<(), JsValue> {
        if !self.fills {
            return self.reading.begin(&self.reader.read()?);
        }
        let spare = self.spare.take().and_then(|spare| host::Bytes::over(&spare).ok());
        let view = match spare {
            Some(view) if view.len().is_ok_and(|len| len == READ_MAX) => view,
            _ => host::Bytes::over(host::Buffer::of_size(READ_MAX)?.as_ref())?,
        };
        self.reading.begin(&self.reader.read_into(&view)?)
    }

    /// What a read has brought; `None` at the end.
    fn taken(&self, read: Result<JsValue, JsValue>) -> io::Result<Option<Chunk>> {
        let read = read.map_err(|thrown| errors::of_stream(&thrown, self.first_of_tls))?;
        let failed = |thrown| errors::of_stream(&thrown, false);
        let read: host::Chunk = read.unchecked_into();
        let Ok(value) = read.value() else {
            return Err(errors::broken_host("a read of the socket gave no chunk"));
        };
        let bytes = value.dyn_into::<host::Bytes>().ok();
        let len = bytes.as_ref().map_or(Ok(0), host::Bytes::len).map_err(failed)?;
        // Each look at the chunk costs as much as a small one's bytes: the end has none.
        if len == 0 && read.done().map_err(failed)?.is_truthy() {
            return Ok(None);
        }
        let what = "a read of the socket gave something that is no Uint8Array";
        let bytes = bytes.ok_or_else(|| errors::broken_host(what))?;
        Ok(Some(Chunk { bytes, at: 0, len }))
    }

    /// Moves bytes of the chunk into `buf`.
    fn take(&mut self, buf: &mut [u8]) -> Result<usize, JsValue> {
        let Some(chunk) = &mut self.chunk else { return Ok(0) };
        let room = u32::try_from(buf.len()).unwrap_or(u32::MAX);
        let end = chunk.len.min(chunk.at.saturating_add(room));
        let count = (end - chunk.at) as usize;
        if chunk.at == 0 && end == chunk.len {
            host::copy_in(&mut buf[..count], &chunk.bytes)?;
        } else {
            host::copy_in(&mut buf[..count], &chunk.bytes.subarray(chunk.at, end)?)?;
        }
        chunk.at = end;
        if end == chunk.len {
            self.spare = if self.fills { chunk.bytes.buffer().ok() } else { None };
            self.chunk = None;
        }
        Ok(count)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.ended {
            Ended::No => {}
            Ended::Closed => return Poll::Ready(Ok(0)),
            Ended::Failed => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
        let read = match ready!(self.poll_chunk(cx)) {
            Ok(false) => {
                self.ended = Ended::Closed;
                return Poll::Ready(Ok(0));
            }
            Ok(true) => self.take(buf).map_err(|thrown| errors::of_stream(&thrown, false)),
            Err(error) => Err(error),
        };
        if read.is_err() {
            self.ended = Ended::Failed;
        }
        Poll::Ready(read)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.input.poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(cx))?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let taken = &buf[..buf.len().min(WRITE_MAX)];
        let mut write = || {
            let written = self.writer.write(&host::copy_out(taken)?)?;
            // A writer that is no web stream's may have taken the bytes at once: nothing to wait
            // for.
            if written.is_undefined() { Ok(()) } else { self.writing.begin(&written) }
        };
        write().map_err(|thrown| self.failed(&thrown))?;
        Poll::Ready(Ok(taken.len()))
    }

    /// Waits until the host has taken everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(cx)
    }

    /// Closes the outgoing half; where the host has no half-open sockets, all of it.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(cx))?;
        if !std::mem::replace(&mut self.closing, true) {
            let mut close = || {
                let closing = self.writer.close_writer()?;
                self.writing.begin(&closing)
            };
            close().map_err(|thrown| self.failed(&thrown))?;
        }
        self.poll_written(cx)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.abort.is_set() {
            let socket = self.socket.get();
            if socket.abort_of().is_ok_and(|abort| abort.is_function()) {
                promise::ignore(socket.abort());
            } else {
                promise::ignore(self.writer.abort_writer());
            }
        }
        promise::ignore(self.input.reader.cancel());
    }
}
