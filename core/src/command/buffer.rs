//! The bytes of a command while it is built: in place as long as they are few, then on the heap.
//!
//! Nearly every command is small and is built once per call, so this is written for few
//! instructions: one bounds check and three copies per argument, lengths from a table. A general
//! small vector (smallvec was tried) checks its capacity at each of those copies and costs about
//! four times as much.
//! Invariant: the first `len` bytes in place, or all bytes on the heap, are whole bulk strings.
//! Limits: `INLINE_BYTES` in place, less 4 because a head is written as 8 bytes.
//! Called by `Command`.

use super::head::Head;
use crate::resp::{bulk_bytes, put_bulk};

/// Bytes in place: SET with a 16-byte key, a 100-byte value and an expiry.
const INLINE_BYTES: usize = 167;

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

/// Bytes in place.
#[derive(Clone)]
pub(super) struct Inline {
    /// How many of `bytes` are used.
    len: u8,
    /// The first `len` count; what follows is left over from heads.
    bytes: [u8; INLINE_BYTES],
}

impl Buffer {
    /// Empty.
    #[inline]
    pub(super) fn new() -> Self {
        Self::Inline(Inline { len: 0, bytes: [0; INLINE_BYTES] })
    }

    /// A known command's name.
    #[inline]
    pub(super) fn starting(head: &Head) -> Self {
        let mut inline = Inline { len: 0, bytes: [0; INLINE_BYTES] };
        let name = head.encoded();
        inline.bytes[..name.len()].copy_from_slice(name);
        inline.len = name.len() as u8;
        Self::Inline(inline)
    }

    /// Appends one bulk string.
    #[inline]
    pub(super) fn push_bulk(&mut self, bytes: &[u8]) {
        if let Self::Inline(inline) = self
            && inline.push_bulk(bytes)
        {
            return;
        }
        self.push_bulk_on_heap(bytes);
    }

    /// The general case: on the heap, after a move there.
    #[cold]
    fn push_bulk_on_heap(&mut self, bytes: &[u8]) {
        let room = bulk_bytes(bytes.len());
        if let Self::Inline(inline) = self {
            let mut heap = Vec::with_capacity(usize::from(inline.len) + room + SLACK_BYTES);
            heap.extend_from_slice(inline.as_slice());
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

    /// All bytes.
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline(inline) => inline.as_slice(),
            Self::Heap(heap) => heap,
        }
    }
}

impl Inline {
    /// Appends one bulk string if it fits for certain.
    #[inline]
    fn push_bulk(&mut self, bytes: &[u8]) -> bool {
        let start = usize::from(self.len);
        let Some(head) = HEADS.get(bytes.len()) else { return false };
        let Some(free) = self.bytes.get_mut(start..) else { return false };
        if free.len() < head.len() + bytes.len() + 2 {
            return false;
        }
        // All 8 bytes, since a fixed number is one store; the argument then covers what was too
        // much.
        free[..8].copy_from_slice(head);
        let width = usize::from(head[7]);
        let end = width + bytes.len();
        free[width..end].copy_from_slice(bytes);
        free[end..end + 2].copy_from_slice(b"\r\n");
        self.len = (start + end + 2) as u8;
        true
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// `$0\r\n` to `$166\r\n`; the last byte of each says how long it is.
static HEADS: [[u8; 8]; INLINE_BYTES] = {
    let mut heads = [[0; 8]; INLINE_BYTES];
    let mut len = 0;
    while len < INLINE_BYTES {
        let (hundreds, tens, ones) =
            (b'0' + (len / 100) as u8, b'0' + (len / 10 % 10) as u8, b'0' + (len % 10) as u8);
        heads[len] = match len {
            0..10 => [b'$', ones, b'\r', b'\n', 0, 0, 0, 4],
            10..100 => [b'$', tens, ones, b'\r', b'\n', 0, 0, 5],
            _ => [b'$', hundreds, tens, ones, b'\r', b'\n', 0, 6],
        };
        len += 1;
    }
    heads
};

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
