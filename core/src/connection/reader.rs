//! Received bytes, cut into frames.
//!
//! Bytes are read into a chunk and frames leave as slices of it: no copy. A chunk is zeroed once,
//! when it is made, because the stream wants initialised memory; its free rest is used again until
//! it is small. A frame that does not fit gets a chunk of exactly its size as soon as its length is
//! known, so that a large reply is allocated once and read into place.
//!
//! Invariants: `chunk[..filled]` starts at a frame's first byte; what was handed out is never
//! written again. Limits: those of the scanner (`reply_bytes_max`, `reply_depth_max`); memory: one
//! frame plus one chunk. Called by `driver/link.rs`.

use crate::resp::{ScanError, ScanLimits, Scanner};
use bytes::{Bytes, BytesMut};

/// Size of an ordinary chunk. WASI hosts read at most this much at once.
const CHUNK: usize = 64 * 1024;
/// An ordinary chunk with less room than this is replaced.
const ROOM_MIN: usize = 4 * 1024;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Initialised memory; everything before `filled` was received.
    chunk: BytesMut,
    /// How much of `chunk` was received.
    filled: usize,
    /// The ordinary chunk, kept while `chunk` is one made for a large frame.
    kept: Option<BytesMut>,
    /// Where the frame at the start of `chunk` stands.
    scanner: Scanner,
}

impl Reader {
    pub(crate) fn new(limits: ScanLimits) -> Self {
        Self { chunk: BytesMut::new(), filled: 0, kept: None, scanner: Scanner::new(limits) }
    }

    /// Where to read to; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let room = self.chunk.len() - self.filled;
        let missing = self.scanner.missing();
        if room < missing.clamp(1, CHUNK) || (room < ROOM_MIN && room < missing.max(ROOM_MIN)) {
            self.make_room(missing);
        }
        &mut self.chunk[self.filled..]
    }

    /// `count` bytes were read into `space`.
    pub(crate) fn handle_read(&mut self, count: usize) {
        self.filled += count;
        debug_assert!(self.filled <= self.chunk.len(), "no more is read than there is space");
    }

    /// Cuts off all complete frames.
    pub(crate) fn frames(&mut self, frames: &mut Vec<Bytes>) -> Result<(), ScanError> {
        let mut bounds = smallvec::SmallVec::<[(usize, usize); 64]>::new();
        let mut end = 0;
        let mut result = Ok(());
        loop {
            match self.scanner.scan(&self.chunk[end..self.filled]) {
                Ok(Some(len)) => {
                    bounds.push((end, end + len));
                    end += len;
                }
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if end > 0 {
            self.filled -= end;
            let whole = self.chunk.split_to(end).freeze();
            frames.extend(bounds.iter().map(|&(from, to)| whole.slice(from..to)));
            if self.filled == 0
                && let Some(kept) = self.kept.take()
                && kept.len() > self.chunk.len()
            {
                self.chunk = kept;
            }
        }
        result
    }

    fn make_room(&mut self, missing: usize) {
        let wanted = self.filled + missing;
        let size = if wanted > CHUNK { wanted } else { CHUNK };
        let mut chunk = match self.kept.take() {
            Some(kept) if kept.len() >= size.max(self.filled + ROOM_MIN) => kept,
            kept => {
                self.kept = kept;
                BytesMut::zeroed(size)
            }
        };
        chunk[..self.filled].copy_from_slice(&self.chunk[..self.filled]);
        let old = std::mem::replace(&mut self.chunk, chunk);
        // A large chunk is of the size of its frame and will be used up by it; the ordinary one is
        // still good.
        if size > CHUNK && self.kept.is_none() && old.len() >= ROOM_MIN {
            self.kept = Some(old);
        }
    }
}
