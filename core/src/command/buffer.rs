//! The bytes of a command while it is built: in place as long as they are few, then on the heap.
//!
//! Nearly every command is small and is built once per call, so this is written for few
//! instructions: one bounds check and three copies per argument, lengths from a table. A general
//! small vector (smallvec was tried) checks its capacity at each of those copies and costs about
//! four times as much.
//! Before them stands the head of an array of a single digit, which whoever writes the command
//! fills in: so nearly every command is written by one copy.
//! Invariant: the first `len` bytes in place, or all bytes on the heap, are `HEAD` and whole bulk
//! strings.
//! Limits: `INLINE_BYTES` in place.
//! Called by `Command`.

use super::head::Head;
use super::inline::{HEAD, Inline};
use crate::resp::{bulk_bytes, put_bulk};

/// Room left after an argument for what may follow, such as an expiry.
const SLACK_BYTES: usize = 64;

/// Bulk strings, one after another.
#[derive(Clone)]
pub(super) enum Buffer {
    /// In place.
    Inline(Inline),
    /// On the heap, because they are many.
    Heap(Vec<u8>),
}

impl Buffer {
    /// Empty.
    #[inline]
    pub(super) fn new() -> Self {
        const EMPTY: Inline = Inline::empty();
        Self::Inline(EMPTY)
    }

    /// A known command's name.
    #[inline]
    pub(super) fn starting(head: &Head) -> Self {
        Self::Inline(*head.inline())
    }

    /// Appends one bulk string. Returns how many bytes there are now, `HEAD` included.
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

    /// The general case: on the heap, after a move there.
    #[cold]
    fn push_bulk_on_heap(&mut self, bytes: &[u8]) {
        let room = bulk_bytes(bytes.len());
        if let Self::Inline(inline) = self {
            let mut heap = Vec::with_capacity(inline.whole().len() + room + SLACK_BYTES);
            heap.extend_from_slice(inline.whole());
            *self = Self::Heap(heap);
        }
        if let Self::Heap(heap) = self {
            // Doubling would waste as much again as a single large argument takes. Among many of
            // a size it is right: growing for each alone would copy them over and over.
            if bytes.len() > heap.len() {
                heap.reserve_exact(room + SLACK_BYTES);
            } else {
                heap.reserve(room);
            }
            put_bulk(heap, bytes);
        }
    }

    /// All bulks.
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.whole()[HEAD.len()..]
    }

    /// `HEAD` and all bulks.
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

    /// In place, on the heap and across the border, the bytes are those of the plain encoder.
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

    /// Ordinary commands stay in place; a large value does not double its room.
    #[test]
    fn the_heap_is_for_the_large() {
        let mut buffer = Buffer::starting(&const { Head::of("SET") });
        buffer.push_bulk(&[b'k'; 16]);
        buffer.push_bulk(&[b'v'; 100]);
        buffer.push_bulk(b"EX");
        buffer.push_bulk(b"60");
        assert!(matches!(buffer, Buffer::Inline(_)));
        let mut buffer = Buffer::starting(&const { Head::of("SET") });
        buffer.push_bulk(&[b'k'; 16]);
        buffer.push_bulk(&vec![b'v'; 1 << 20]);
        buffer.push_bulk(b"EX");
        buffer.push_bulk(b"60");
        let Buffer::Heap(heap) = buffer else { panic!("a megabyte in place") };
        assert!(heap.capacity() < (1 << 20) + 4096, "{}", heap.capacity());
    }
}
