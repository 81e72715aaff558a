//! A command's bytes in place, as long as they are few.
//!
//! Written for few instructions: one bounds check and three copies per argument, lengths from a
//! table.
//! Invariant: the first `len` bytes are `HEAD` and whole bulk strings.
//! Limits: `INLINE_BYTES`, less 4 because a head is written as 8 bytes. Called by `buffer`, and by
//! `head` at compile time.

/// Bytes in place: SET with a 16-byte key, a 100-byte value and an expiry.
const INLINE_BYTES: usize = 167 + HEAD.len();

/// What stands before the bulks: the head of an array of fewer than ten, without its digit.
pub(super) const HEAD: &[u8; 4] = b"*0\r\n";

/// Bytes in place.
#[derive(Clone, Copy)]
pub(super) struct Inline {
    /// How many of `bytes` are used.
    len: u8,
    /// The first `len` count; what follows is left over from heads.
    bytes: [u8; INLINE_BYTES],
}

impl Inline {
    /// Nothing but `HEAD`.
    pub(super) const fn empty() -> Self {
        let mut bytes = [0; INLINE_BYTES];
        let mut len = 0;
        while len < HEAD.len() {
            bytes[len] = HEAD[len];
            len += 1;
        }
        Self { len: len as u8, bytes }
    }

    /// Appends one byte.
    pub(super) const fn byte(mut self, byte: u8) -> Self {
        self.bytes[self.len as usize] = byte;
        self.len += 1;
        self
    }

    /// Appends one bulk string if it fits for certain. Returns how many bytes there are now.
    #[inline]
    pub(super) fn push_bulk(&mut self, bytes: &[u8]) -> Option<usize> {
        let start = usize::from(self.len);
        let head = HEADS.get(bytes.len())?;
        let free = self.bytes.get_mut(start..)?;
        if free.len() < head.len() + bytes.len() + 2 {
            return None;
        }
        // All 8 bytes, since a fixed number is one store; the argument then covers what was too
        // much.
        free[..8].copy_from_slice(head);
        let width = usize::from(head[7]);
        let end = width + bytes.len();
        free[width..end].copy_from_slice(bytes);
        free[end..end + 2].copy_from_slice(b"\r\n");
        let len = start + end + 2;
        self.len = len as u8;
        Some(len)
    }

    #[inline]
    pub(super) fn whole(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// `$0\r\n` to `$170\r\n`; the last byte of each says how long it is.
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
