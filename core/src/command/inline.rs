//! The bytes of a command inside of the command itself, while they are few.
//!
//! Needs few instructions: one bounds check and three copies per argument, and headers from a
//! table. Invariant: the first `len` bytes are `HEADER` and complete bulk strings.
//! Limits: `INLINE_BYTES`, less 4 because the header of a bulk string is written as 8 bytes.

/// Capacity in bytes: enough for SET with a key of 16 bytes, a value of 100 bytes and an expiry.
const INLINE_BYTES: usize = 167 + HEADER.len();

/// The bytes before the bulk strings: the header of an array of fewer than ten, without its digit.
pub(super) const HEADER: &[u8; 4] = b"*0\r\n";

/// The bytes of a small command.
#[derive(Clone, Copy)]
pub(super) struct InlineBytes {
    /// Number of bytes that are used.
    len: u8,
    /// The first `len` are used; those behind them have no meaning.
    bytes: [u8; INLINE_BYTES],
}

impl InlineBytes {
    /// `HEADER` alone.
    pub(super) const fn empty() -> Self {
        let mut bytes = [0; INLINE_BYTES];
        let mut len = 0;
        while len < HEADER.len() {
            bytes[len] = HEADER[len];
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

    /// Appends one bulk string if it fits. Returns the length in bytes.
    #[inline]
    pub(super) fn push_bulk(&mut self, bytes: &[u8]) -> Option<usize> {
        let start = usize::from(self.len);
        let header = BULK_HEADERS.get(bytes.len())?;
        let free = self.bytes.get_mut(start..)?;
        if free.len() < header.len() + bytes.len() + 2 {
            return None;
        }
        // All 8 bytes, because a fixed number of bytes is one store; the argument then overwrites
        // those that are too many.
        free[..8].copy_from_slice(header);
        let width = usize::from(header[7]);
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

/// `$0\r\n` to `$170\r\n`; the last byte of each is its length.
static BULK_HEADERS: [[u8; 8]; INLINE_BYTES] = {
    let mut headers = [[0; 8]; INLINE_BYTES];
    let mut len = 0;
    while len < INLINE_BYTES {
        let (hundreds, tens, ones) =
            (b'0' + (len / 100) as u8, b'0' + (len / 10 % 10) as u8, b'0' + (len % 10) as u8);
        headers[len] = match len {
            0..10 => [b'$', ones, b'\r', b'\n', 0, 0, 0, 4],
            10..100 => [b'$', tens, ones, b'\r', b'\n', 0, 0, 5],
            _ => [b'$', hundreds, tens, ones, b'\r', b'\n', 0, 6],
        };
        len += 1;
    }
    headers
};
