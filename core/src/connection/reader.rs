//! Received bytes, cut into frames.
//!
//! Bytes are read into a chunk, and frames are slices of it, without a copy. A chunk is zeroed
//! once, when it is made, because the stream needs initialised memory. Its free rest is used until
//! it is small. A frame that does not fit gets a chunk of exactly its size as soon as its length is
//! known, so that a large value is allocated once and read into place. The length of a long list in
//! bytes is not known in advance: its chunk is doubled. The last such chunk is used again once its
//! reply was dropped, because new memory costs more than reading the bytes.
//!
//! A push inside of a frame becomes a frame of its own, as soon as it is complete
//! (`reader/lift.rs`). Only a read that has one pays for it.
//!
//! **Invariants**: `chunk[..filled]` starts at a frame's first byte, once `frames` has returned all
//! that `scan` found; memory of a frame is never written again while the frame is held.
//!
//! Limits: those of the scanner (`reply_bytes_max`, `reply_depth_max`); memory: twice the frame
//! that is being read (and the push inside of it), one chunk and `SPARE_MAX`.

use crate::resp::{Found, ScanError, ScanLimits, Scanner};
use bytes::{Bytes, BytesMut};

mod lift;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

/// Memory for a chunk. An ordinary one comes from the allocator's free memory and is zeroed by wide
/// stores; a large one comes from the system, which has zeroed it.
fn zeroed(size: usize) -> BytesMut {
    const PIECE: [u8; 1024] = [0; 1024];
    if size != CHUNK {
        return BytesMut::zeroed(size);
    }
    let mut chunk = BytesMut::with_capacity(CHUNK);
    while chunk.len() < CHUNK {
        chunk.extend_from_slice(&PIECE);
    }
    chunk
}

/// Size of an ordinary chunk. WASI hosts read at most this much at once.
const CHUNK: usize = 64 * 1024;
/// An ordinary chunk with less room than this is replaced.
const ROOM_MIN: usize = 4 * 1024;
/// A larger frame's chunk is not kept for the next frame. It bounds the memory that an idle
/// connection holds.
const SPARE_MAX: usize = 2 * 1024 * 1024;

/// Cuts received bytes into frames; see the head of this file.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Initialised memory; everything before `filled` was received.
    chunk: BytesMut,
    /// How much of `chunk` was received.
    filled: usize,
    /// The ordinary chunk, kept while `chunk` is one made for a large frame.
    kept: Option<BytesMut>,
    /// The last large frame, shared with the holder of its reply; empty if there is none.
    spare: Bytes,
    /// The longest frame that is allowed, in bytes.
    frame_max: usize,
    /// How far the frame at the start of `chunk` is scanned.
    scanner: Scanner,
    /// Ends of the frames that were found and not cut off yet, in the order of the bytes.
    ends: Vec<usize>,
    /// The frames of a read that has pushes inside of frames, one after the other: `ends` are of
    /// them, not of `chunk`.
    separated: Bytes,
}

impl Reader {
    pub(crate) fn new(limits: ScanLimits) -> Self {
        Self {
            chunk: BytesMut::new(),
            filled: 0,
            kept: None,
            spare: Bytes::new(),
            frame_max: limits.reply_bytes_max,
            scanner: Scanner::new(limits),
            ends: Vec::new(),
            separated: Bytes::new(),
        }
    }

    /// Memory to read into; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let room = self.chunk.len() - self.filled;
        let missing = self.scanner.missing();
        // A frame with a chunk of its own has exactly the room that it lacks, however few bytes.
        if room < missing || (room < ROOM_MIN && room != missing) {
            self.make_room(missing);
        }
        &mut self.chunk[self.filled..]
    }

    /// `count` bytes were read into `space`: finds all frames that are complete now.
    ///
    /// # Errors
    /// The bytes after the last frame that was found are not a frame. The frames before are valid.
    pub(crate) fn scan(&mut self, count: usize) -> Result<(), ScanError> {
        self.filled += count;
        debug_assert!(self.filled <= self.chunk.len(), "no more is read than there is space");
        let received = &self.chunk[..self.filled];
        let mut end = self.ends.last().copied().unwrap_or(0);
        loop {
            match self.scanner.scan(&received[end..])? {
                Found::Frame(length) => {
                    end += length;
                    self.ends.push(end);
                    if end == self.filled {
                        return Ok(());
                    }
                }
                Found::Incomplete => return Ok(()),
                Found::Lifted(push) => return self.scan_on(end, push),
            }
        }
    }

    /// Whether a part of a frame was received.
    pub(crate) fn holds_part(&self) -> bool {
        self.filled > 0
    }

    /// The least number of bytes that the next frame still lacks; few unless it is large.
    pub(crate) fn missing(&self) -> usize {
        self.scanner.missing()
    }

    /// Cuts off the frames that were found, in order. Frames that the caller does not take are
    /// dropped.
    pub(crate) fn frames(&mut self) -> impl Iterator<Item = Bytes> {
        let end = self.ends.last().copied().unwrap_or(0);
        let mut rest = match end {
            0 => Bytes::new(),
            _ if self.separated.is_empty() => self.cut(end),
            _ => std::mem::take(&mut self.separated),
        };
        let mut from = 0;
        self.ends.drain(..).map(move |to| {
            let frame = rest.split_to(to - from);
            from = to;
            frame
        })
    }

    /// Cuts off the first `end` bytes, all of which were received.
    #[inline]
    fn cut(&mut self, end: usize) -> Bytes {
        self.filled -= end;
        let whole = if end == self.chunk.len() {
            std::mem::take(&mut self.chunk).freeze()
        } else {
            self.chunk.split_to(end).freeze()
        };
        if self.filled == 0
            && let Some(kept) = self.kept.take()
            && kept.len() > self.chunk.len()
        {
            self.chunk = kept;
        }
        if (CHUNK + 1..=SPARE_MAX).contains(&end) {
            self.spare = whole.clone();
        }
        whole
    }

    fn make_room(&mut self, missing: usize) {
        let doubled = (2 * self.filled).min(self.frame_max.max(self.filled + CHUNK));
        let size = CHUNK.max(self.filled + missing).max(doubled);
        let mut chunk = match self.kept.take() {
            Some(kept) if kept.len() >= size.max(self.filled + ROOM_MIN) => kept,
            kept => {
                self.kept = kept;
                self.take_spare(size).unwrap_or_else(|| zeroed(size))
            }
        };
        chunk[..self.filled].copy_from_slice(&self.chunk[..self.filled]);
        let old = std::mem::replace(&mut self.chunk, chunk);
        // A large chunk has the size of its frame, which will fill it. The ordinary chunk is kept
        // for the frames after it.
        if size > CHUNK && self.kept.is_none() && old.len() >= ROOM_MIN {
            self.kept = Some(old);
        }
    }

    /// The last large frame's memory, cut to `size`, if it is at most twice as large and its reply
    /// was dropped.
    fn take_spare(&mut self, size: usize) -> Option<BytesMut> {
        if size <= CHUNK || !(size..=size.saturating_mul(2)).contains(&self.spare.len()) {
            return None;
        }
        let mut chunk = std::mem::take(&mut self.spare).try_into_mut().ok()?;
        chunk.truncate(size);
        Some(chunk)
    }
}
