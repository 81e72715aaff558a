//! One direction of a connection: bytes at the sender, bytes on the wire, bytes that the receiver
//! has not read.
//!
//! **Invariants**:
//! - bytes arrive in the order in which they were sent, once, or not at all;
//! - wire and receiver together hold at most [`WINDOW_BYTES`]; the rest waits at the sender (flow
//!   control);
//! - at most one event is in the queue for a pipe: the arrival of the next piece.

use bytes::{Buf as _, Bytes};
use slotcar::Timestamp;
use std::collections::VecDeque;
use std::task::Waker;

/// The most that may be in flight or unread in one direction before the sender has to wait.
pub(crate) const WINDOW_BYTES: usize = 256 * 1024;

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order: all bytes sent before have arrived.
    Closed,
    /// With a reset: bytes may be missing.
    Reset,
}

/// One piece on the wire.
#[derive(Debug)]
enum Piece {
    /// Some bytes, at least one.
    Data(Bytes),
    /// Nothing comes after this.
    End(End),
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// Not yet on the wire, because the window is full.
    backlog: VecDeque<Bytes>,
    /// On the wire, with the time of arrival, which never decreases.
    flight: VecDeque<(Timestamp, Piece)>,
    /// Arrived and unread.
    arrived: VecDeque<Bytes>,
    /// Bytes in `backlog`.
    backlog_bytes: usize,
    /// Bytes in `flight` and `arrived` together.
    window_bytes: usize,
    /// The end that arrived.
    end: Option<End>,
    /// The sender has shut down; the end follows the backlog onto the wire.
    ending: Option<End>,
    /// When the last piece put on the wire arrives.
    last_due: Timestamp,
    /// The queue holds an event for the front of `flight`.
    pub(crate) scheduled: bool,
    /// The task that waits for input.
    pub(crate) reader: Option<Waker>,
    /// The task that waits for the window.
    pub(crate) writer: Option<Waker>,
}

impl Pipe {
    /// How many more bytes a sender may hand over that respects the window.
    pub(crate) fn room(&self) -> usize {
        WINDOW_BYTES.saturating_sub(self.window_bytes + self.backlog_bytes)
    }

    /// Bytes that the sender holds because the receiver does not read.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.backlog_bytes
    }

    /// Whether the sender may still send.
    pub(crate) fn is_open(&self) -> bool {
        self.ending.is_none()
    }

    /// Takes bytes from the sender, whether they fit the window or not.
    pub(crate) fn hold(&mut self, bytes: Bytes) {
        if !bytes.is_empty() && self.is_open() {
            self.backlog_bytes += bytes.len();
            self.backlog.push_back(bytes);
        }
    }

    /// Whether something waits for the wire and the window has room for some of it.
    pub(crate) fn is_sendable(&self) -> bool {
        !self.backlog.is_empty() && self.window_bytes < WINDOW_BYTES
    }

    /// The end as far as the receiver knows, whether or not it has read what came before.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// Takes the next piece that fits the window, at most `limit` bytes, out of the backlog.
    pub(crate) fn next_to_send(&mut self, limit: usize) -> Option<Bytes> {
        let free = WINDOW_BYTES.saturating_sub(self.window_bytes).min(limit);
        if free == 0 {
            return None;
        }
        let front = self.backlog.front_mut()?;
        let piece = if front.len() <= free {
            self.backlog.pop_front().unwrap_or_default()
        } else {
            front.split_to(free)
        };
        self.backlog_bytes -= piece.len();
        Some(piece)
    }

    /// Puts bytes on the wire. They arrive at `due`, or with what was sent before if that is later.
    /// Returns the time of arrival.
    pub(crate) fn put_on_wire(&mut self, due: Timestamp, bytes: Bytes) -> Timestamp {
        self.last_due = self.last_due.max(due);
        self.window_bytes += bytes.len();
        self.flight.push_back((self.last_due, Piece::Data(bytes)));
        self.last_due
    }

    /// The sender shuts down: what it holds is still sent, then the end.
    pub(crate) fn finish(&mut self, due: Timestamp) {
        if self.is_open() {
            self.ending = Some(End::Closed);
            self.put_end_on_wire(due);
        }
    }

    /// Puts the end on the wire once the backlog is empty.
    pub(crate) fn put_end_on_wire(&mut self, due: Timestamp) {
        if self.backlog.is_empty()
            && let Some(end) = self.ending
            && self.end.is_none()
            && !matches!(self.flight.back(), Some((_, Piece::End(_))))
        {
            self.last_due = self.last_due.max(due);
            self.flight.push_back((self.last_due, Piece::End(end)));
        }
    }

    /// The connection is reset: bytes in flight are lost, the receiver gets the reset at `due`.
    pub(crate) fn reset(&mut self, due: Timestamp) {
        self.backlog.clear();
        self.backlog_bytes = 0;
        let lost: usize = self.flight.iter().map(|(_, piece)| piece.len()).sum();
        self.window_bytes -= lost;
        self.flight.clear();
        self.last_due = due;
        self.ending = Some(End::Reset);
        if self.end.is_none() {
            self.flight.push_back((due, Piece::End(End::Reset)));
        }
    }

    /// When the next piece arrives.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.flight.front().map(|(due, _)| *due)
    }

    /// Delivers every piece that is due. A reset replaces what was unread.
    pub(crate) fn arrive(&mut self, now: Timestamp) {
        while self.next_due().is_some_and(|due| due <= now) {
            match self.flight.pop_front() {
                Some((_, Piece::Data(bytes))) if self.end.is_none() => {
                    self.arrived.push_back(bytes);
                }
                Some((_, Piece::Data(bytes))) => self.window_bytes -= bytes.len(),
                Some((_, Piece::End(end))) => {
                    self.end = Some(end);
                    if end == End::Reset {
                        self.discard_arrived();
                    }
                }
                None => {}
            }
        }
    }

    /// Everything on the wire arrives `later` than it would have, as after a retransmission.
    pub(crate) fn postpone(&mut self, due: Timestamp) {
        self.last_due = self.last_due.max(due);
        for (at, _) in &mut self.flight {
            *at = (*at).max(due);
        }
    }

    /// How the direction ended, once everything before the end is read.
    pub(crate) fn ended(&self) -> Option<End> {
        if self.arrived.is_empty() { self.end } else { None }
    }

    /// Takes everything that has arrived, in one piece.
    pub(crate) fn read_piece(&mut self) -> Option<Bytes> {
        let piece = self.arrived.pop_front()?;
        self.window_bytes -= piece.len();
        Some(piece)
    }

    /// Copies what has arrived into `to`, as much as fits.
    pub(crate) fn read_into(&mut self, to: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(front) = self.arrived.front_mut() {
            let count = front.len().min(to.len() - done);
            if count == 0 {
                break;
            }
            to[done..done + count].copy_from_slice(&front[..count]);
            front.advance(count);
            done += count;
            if front.is_empty() {
                self.arrived.pop_front();
            }
        }
        self.window_bytes -= done;
        done
    }

    /// Drops what has arrived and was not read.
    pub(crate) fn discard_arrived(&mut self) {
        let lost: usize = self.arrived.iter().map(Bytes::len).sum();
        self.window_bytes -= lost;
        self.arrived.clear();
    }
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Data(bytes) => bytes.len(),
            Self::End(_) => 0,
        }
    }
}
