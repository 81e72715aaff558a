//! A message as a slice of what was read: no copy, no allocation.
//!
//! It shares the memory of the chunk that it came in. Of the messages that wait for a slow reader,
//! only the first few do so; the others are copied into memory of the subscription's own
//! (`backlog.rs`), so that a waiting message never keeps a chunk of others' replies alive.
//! Made by `driver/hub.rs`, read by users.

use super::kind::{Channel, ChannelKind};
use crate::resp::Blob;
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::ops::Range;

/// What a message costs in the backlog besides its bytes.
const OVERHEAD: usize = 96;

/// Something that was published.
///
/// A message keeps the memory alive that it was read into (up to 64 KiB, or its own size if that is
/// larger). To keep a small part for long, copy it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Everything below lies in here.
    frame: Bytes,
    /// The kind of the subscription that it came for.
    kind: ChannelKind,
    /// Where the pattern is; empty if there is none.
    pattern: (usize, usize),
    /// Where the channel's name is.
    channel: (usize, usize),
    /// Where the payload is.
    payload: (usize, usize),
}

impl Message {
    /// The ranges are those of the frame, in ascending order.
    #[inline]
    pub(crate) fn new(
        frame: Bytes,
        kind: ChannelKind,
        pattern: Option<Range<usize>>,
        channel: Range<usize>,
        payload: Range<usize>,
    ) -> Self {
        let pattern = pattern.map_or((0, 0), |p| (p.start, p.end));
        let (channel, payload) = ((channel.start, channel.end), (payload.start, payload.end));
        Self { frame, kind, pattern, channel, payload }
    }

    /// Where it was published.
    #[must_use]
    pub fn channel(&self) -> &[u8] {
        &self.frame[self.channel.0..self.channel.1]
    }

    /// What was published.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.frame[self.payload.0..self.payload.1]
    }

    /// The payload as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(self.payload())
    }

    /// The payload alone, in the memory that it came in.
    #[must_use]
    pub fn into_payload(self) -> Blob {
        self.frame.slice(self.payload.0..self.payload.1).into()
    }

    /// The pattern that it came for, if it came for one.
    #[must_use]
    pub fn pattern(&self) -> Option<&[u8]> {
        (self.kind == ChannelKind::Pattern).then(|| &self.frame[self.pattern.0..self.pattern.1])
    }

    /// Whether it came for a name, a pattern or a sharded channel.
    #[must_use]
    pub fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// The channel, or the pattern, of the subscription that it came for.
    #[must_use]
    pub fn source(&self) -> Channel {
        let (start, end) =
            if self.kind == ChannelKind::Pattern { self.pattern } else { self.channel };
        Channel { kind: self.kind, name: self.frame.slice(start..end) }
    }

    /// The name by which the subscription is found.
    #[inline]
    pub(crate) fn source_name(&self) -> &[u8] {
        self.pattern().unwrap_or_else(|| self.channel())
    }

    /// Bytes that it counts for in a backlog.
    #[inline]
    pub(crate) fn cost(&self) -> usize {
        self.payload.1 - self.first() + OVERHEAD
    }

    /// The same in memory that is shared with other copies alone. `arena` is where copies are made;
    /// a new one of `arena_size` is taken when it is full.
    pub(crate) fn copied(&self, arena: &mut BytesMut, arena_size: usize) -> Self {
        let first = self.first();
        let bytes = &self.frame[first..self.payload.1];
        if arena.capacity() < bytes.len() {
            *arena = BytesMut::with_capacity(arena_size.max(bytes.len()));
        }
        arena.extend_from_slice(bytes);
        let shift =
            |(start, end): (usize, usize)| (start.saturating_sub(first), end.saturating_sub(first));
        Self {
            frame: arena.split().freeze(),
            kind: self.kind,
            pattern: shift(self.pattern),
            channel: shift(self.channel),
            payload: shift(self.payload),
        }
    }

    /// Where the first of its parts begins.
    #[inline]
    fn first(&self) -> usize {
        if self.kind == ChannelKind::Pattern { self.pattern.0 } else { self.channel.0 }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        f.debug_struct("Message")
            .field("kind", &self.kind)
            .field("channel", &text(self.channel()))
            .field("payload", &text(self.payload()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscription::push::Push;

    #[test]
    fn a_copy_says_the_same_and_shares_nothing() {
        let text = b">4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$2\r\ncc\r\n$2\r\nhi\r\n";
        let frame = Bytes::from_static(text);
        let Push::Message { kind, pattern, channel, payload } = Push::parse(&frame) else {
            panic!("it is a message")
        };
        let message = Message::new(frame, kind, pattern, channel, payload);
        let mut arena = BytesMut::new();
        for _ in 0..3 {
            let copy = message.copied(&mut arena, 64);
            assert_eq!(copy.pattern(), Some(&b"c*"[..]));
            assert_eq!((copy.channel(), copy.payload()), (&b"cc"[..], &b"hi"[..]));
            assert_eq!(copy.source(), message.source());
            assert_eq!(copy.cost(), message.cost());
            assert!(copy.frame.len() < text.len());
        }
        assert_eq!(message.into_payload(), "hi");
    }
}
