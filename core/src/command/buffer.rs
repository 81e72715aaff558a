//! The bytes of a command while it is built: inline while they are few, then on the heap.
//!
//! Nearly every command is small and is built once per call, so this code needs few instructions:
//! one bounds check and three copies per argument, and headers from a table. A general small vector
//! (smallvec was tried) checks its capacity at each copy and costs about four times as much.
//! The buffer begins with the header of an array of one digit, which `Command::write_to` fills in.
//! So nearly every command is written with one copy.
//! Invariant: the buffer holds `HEADER` and complete bulk strings.
//! Limits: `INLINE_BYTES` inline.

use super::head::EncodedName;
use super::inline::{HEADER, InlineBytes};
use crate::resp::{bulk_bytes, put_bulk};

/// Space that is reserved behind an argument for small ones, such as an expiry.
const SLACK_BYTES: usize = 64;

/// `HEADER` and bulk strings.
#[derive(Clone)]
pub(super) enum Buffer {
    /// Inline, while the bytes are few.
    Inline(InlineBytes),
    /// On the heap.
    Heap(Vec<u8>),
}

impl Buffer {
    /// Without arguments.
    #[inline]
    pub(super) fn new() -> Self {
        const EMPTY: InlineBytes = InlineBytes::empty();
        Self::Inline(EMPTY)
    }

    /// With the name of a known command.
    #[inline]
    pub(super) fn starting(head: &EncodedName) -> Self {
        Self::Inline(*head.inline())
    }

    /// Appends one bulk string. Returns the length in bytes, `HEADER` included.
    #[inline]
    pub(super) fn push_bulk(&mut self, bytes: &[u8]) -> usize {
        if let Self::Inline(inline) = self
            && let Some(len) = inline.push_bulk(bytes)
        {
            return len;
        }
        self.push_bulk_on_heap(bytes);
        self.whole().len()
    }

    /// The general case: on the heap; moves inline bytes there.
    #[cold]
    fn push_bulk_on_heap(&mut self, bytes: &[u8]) {
        let room = bulk_bytes(bytes.len());
        if let Self::Inline(inline) = self {
            let mut heap = Vec::with_capacity(inline.whole().len() + room + SLACK_BYTES);
            heap.extend_from_slice(inline.whole());
            *self = Self::Heap(heap);
        }
        if let Self::Heap(heap) = self {
            // For a single large argument, doubling would waste as much memory again. For many
            // arguments of one size it is right: growing for each one would copy them again and
            // again.
            if bytes.len() > heap.len() {
                heap.reserve_exact(room + SLACK_BYTES);
            } else {
                heap.reserve(room);
            }
            put_bulk(heap, bytes);
        }
    }

    /// The bulk strings.
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.whole()[HEADER.len()..]
    }

    /// `HEADER` and the bulk strings.
    #[inline]
    pub(super) fn whole(&self) -> &[u8] {
        match self {
            Self::Inline(inline) => inline.whole(),
            Self::Heap(heap) => heap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inline, on the heap and across the border, the bytes are those of the plain encoder.
    #[test]
    fn every_size_is_encoded_alike() {
        for first in 0..200 {
            for second in [0, 1, 9, 10, 99, 100, 150, 1000, 10_000] {
                let (one, other) = (vec![b'a'; first], vec![b'b'; second]);
                let mut buffer = Buffer::new();
                let mut plain = Vec::new();
                for bytes in [&one, &other, &one] {
                    buffer.push_bulk(bytes);
                    put_bulk(&mut plain, bytes);
                    assert!(buffer.as_slice() == plain, "{first} {second}");
                }
            }
        }
    }

    /// Ordinary commands stay inline; a large value does not double the capacity.
    #[test]
    fn the_heap_is_for_the_large() {
        let mut buffer = Buffer::starting(&const { EncodedName::of("SET") });
        buffer.push_bulk(&[b'k'; 16]);
        buffer.push_bulk(&[b'v'; 100]);
        buffer.push_bulk(b"EX");
        buffer.push_bulk(b"60");
        assert!(matches!(buffer, Buffer::Inline(_)));
        let mut buffer = Buffer::starting(&const { EncodedName::of("SET") });
        buffer.push_bulk(&[b'k'; 16]);
        buffer.push_bulk(&vec![b'v'; 1 << 20]);
        buffer.push_bulk(b"EX");
        buffer.push_bulk(b"60");
        let Buffer::Heap(heap) = buffer else { panic!("a megabyte inline") };
        assert!(heap.capacity() < (1 << 20) + 4096, "{}", heap.capacity());
    }
}
