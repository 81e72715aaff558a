//! Received bytes, cut into frames.
//!
//! Bytes are read into a chunk and frames leave as slices of it: no copy. A chunk is zeroed once,
//! when it is made, because the stream wants initialised memory; its free rest is used again until
//! it is small. A frame that does not fit gets a chunk of exactly its size as soon as its length is
//! known, so that a large value is allocated once and read into place; a long list, whose length in
//! bytes nobody knows, gets twice what it has. The last such chunk is used again when its reply was
//! dropped: fresh memory costs more than the bytes that go there.
//!
//! Invariants: `chunk[..filled]` starts at a frame's first byte, once `frames` has gone through
//! what `scan` found; what was handed out is never written again while somebody holds it. Limits:
//! those of the scanner (`reply_bytes_max`, `reply_depth_max`); memory: twice the frame that is
//! being read, one chunk and `SPARE_MAX`. Called by `driver/io.rs`.

use crate::resp::{ScanError, ScanLimits, Scanner};
use bytes::{Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// Memory for a chunk. An ordinary one comes from the heap's stock and is filled by wide stores; a
/// large one comes from the system, which has zeroed it.
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
/// A larger frame's chunk is not kept for the next: it is no more than this that an idle connection
/// holds on to.
const SPARE_MAX: usize = 2 * 1024 * 1024;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Initialised memory; everything before `filled` was received.
    chunk: BytesMut,
    /// How much of `chunk` was received.
    filled: usize,
    /// The ordinary chunk, kept while `chunk` is one made for a large frame.
    kept: Option<BytesMut>,
    /// The last large frame, shared with whoever has its reply; empty when there is none.
    spare: Bytes,
    /// No frame is longer.
    frame_max: usize,
    /// Where the frame at the start of `chunk` stands.
    scanner: Scanner,
    /// Where the frames end that were found and not cut off yet, in the order of the bytes.
    ends: Vec<usize>,
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
        }
    }

    /// Where to read to; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let room = self.chunk.len() - self.filled;
        let missing = self.scanner.missing();
        // The last bytes of a frame that has a chunk of its own are few: `room == missing`.
        if room < missing || (room < ROOM_MIN && room != missing) {
            self.make_room(missing);
        }
        &mut self.chunk[self.filled..]
    }

    /// `count` bytes were read into `space`: finds all frames that are complete now.
    ///
    /// # Errors
    /// What comes next is no frame; those before it were found all the same.
    pub(crate) fn scan(&mut self, count: usize) -> Result<(), ScanError> {
        self.filled += count;
        debug_assert!(self.filled <= self.chunk.len(), "no more is read than there is space");
        let received = &self.chunk[..self.filled];
        let mut end = self.ends.last().copied().unwrap_or(0);
        while let Some(length) = self.scanner.scan(&received[end..])? {
            end += length;
            self.ends.push(end);
        }
        Ok(())
    }

    /// Bytes that the next frame still lacks, at least; few unless it is large.
    pub(crate) fn missing(&self) -> usize {
        self.scanner.missing()
    }

    /// Cuts off the frames that were found, in order. Those that are not taken are gone.
    pub(crate) fn frames(&mut self) -> impl Iterator<Item = Bytes> {
        let end = self.ends.last().copied().unwrap_or(0);
        let mut rest = if end == 0 { Bytes::new() } else { self.cut(end) };
        let mut from = 0;
        self.ends.drain(..).map(move |to| {
            let frame = rest.split_to(to - from);
            from = to;
            frame
        })
    }

    /// Cuts off the first `end` bytes, all of which were received.
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
        let doubled = (2 * self.filled).min(self.frame_max);
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
        // A large chunk is of the size of its frame and will be used up by it; the ordinary one is
        // still good.
        if size > CHUNK && self.kept.is_none() && old.len() >= ROOM_MIN {
            self.kept = Some(old);
        }
    }

    /// The last large frame's memory, cut to `size`, if that is not much less than it has and
    /// nobody holds it any more.
    fn take_spare(&mut self, size: usize) -> Option<BytesMut> {
        if size <= CHUNK || !(size..=size.saturating_mul(2)).contains(&self.spare.len()) {
            return None;
        }
        let mut chunk = std::mem::take(&mut self.spare).try_into_mut().ok()?;
        chunk.truncate(size);
        Some(chunk)
    }
}
