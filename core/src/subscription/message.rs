//! A message as a slice of the memory that it was read into: no copy, no allocation.
//!
//! Limit: of the messages that wait for a slow reader, only the first few share that memory. The
//! others are copied (`backlog.rs`), so that a waiting message never keeps a chunk of other replies
//! alive.

use super::kind::{Channel, ChannelKind};
use crate::resp::Blob;
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Bytes that a message counts for in the backlog in addition to its own.
const OVERHEAD: usize = 96;

/// A message that was published.
///
/// It keeps the memory alive that it was read into: up to 64 KiB, or its own size if that is
/// larger. To keep a small part for a long time, copy it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The bytes that the positions below are in.
    frame: Bytes,
    /// The kind of the subscription that it came for.
    kind: ChannelKind,
    /// Start and end of the pattern; empty if there is none.
    pattern: (usize, usize),
    /// Start and end of the channel's name.
    channel: (usize, usize),
    /// Start and end of the payload.
    payload: (usize, usize),
}

impl Message {
    /// The ranges are positions in the frame, in ascending order.
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

    /// The name of the channel that it was published to.
    #[must_use]
    pub fn channel(&self) -> &[u8] {
        &self.frame[self.channel.0..self.channel.1]
    }

    /// The channel's name as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn channel_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.channel())
    }

    /// The published bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.frame[self.payload.0..self.payload.1]
    }

    /// The payload as text.
    ///
    /// # Errors
    /// The payload is not UTF-8.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(self.payload())
    }

    /// The payload, without a copy: it keeps the same memory alive.
    #[must_use]
    pub fn into_payload(self) -> Blob {
        self.frame.slice(self.payload.0..self.payload.1).into()
    }

    /// The pattern that it matched, if it came for a pattern.
    #[must_use]
    pub fn pattern(&self) -> Option<&[u8]> {
        (self.kind == ChannelKind::Pattern).then(|| &self.frame[self.pattern.0..self.pattern.1])
    }

    /// The kind of the subscription that it came for.
    ///
    /// A channel that is subscribed to by its name and by a pattern gives two messages.
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

    /// The name of the channel, or the pattern, of the subscription that it came for.
    #[inline]
    pub(crate) fn source_name(&self) -> &[u8] {
        self.pattern().unwrap_or_else(|| self.channel())
    }

    /// Bytes that it counts for in the backlog.
    #[inline]
    pub(crate) fn cost(&self) -> usize {
        self.payload.1 - self.first() + OVERHEAD
    }

    /// A copy in memory that only other copies share. Copies are made in `arena`; when that is
    /// full, a new one of `arena_size` bytes replaces it.
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

    /// The start of its first part.
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
