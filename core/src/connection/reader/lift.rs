//! The part of the reader for reads with pushes inside of frames, or with streamed types: each push
//! becomes a frame of its own, and the frame is put together without it, and with lengths.
//!
//! A push is delivered as soon as it is complete, so before the frame that it was in. Its bytes are
//! removed from the chunk at once: pushes without end inside of one reply take no memory.
//! Invariant: each byte is copied a fixed number of times per read, however many pushes there are.

use super::Reader;
use crate::resp::{Found, ScanError, rewrite};
use bytes::Bytes;
use std::ops::Range;

/// Bytes inside of a frame that are no part of it.
struct Cut {
    /// Their position in the chunk.
    at: Range<usize>,
    /// How many frames of this read end before them.
    frames_before: usize,
}

impl Reader {
    /// Goes on with a scan that has met a push inside of the frame that begins at `end`, or a
    /// streamed type in it.
    #[cold]
    pub(super) fn scan_on(&mut self, mut end: usize, rare: Found) -> Result<(), ScanError> {
        let mut cuts = Vec::new();
        let mut found = Ok(rare);
        let scanned = loop {
            match found {
                Ok(Found::Frame(length) | Found::Streamed(length)) => {
                    end += length;
                    self.ends.push(end);
                }
                Ok(Found::Lifted(Range { start, end: push_end })) => {
                    let frames_before = self.ends.len();
                    cuts.push(Cut { at: start + end..push_end + end, frames_before });
                }
                Ok(Found::Incomplete) => break Ok(()),
                Err(error) => break Err(error),
            }
            found = self.scanner.scan_any(&self.chunk[end..self.filled]);
        };
        self.separate(&cuts).and(scanned)
    }

    /// Makes frames of all that is complete, and removes what was cut out of the frame that is not.
    ///
    /// # Errors
    /// A streamed type is malformed. The frames before it are good.
    fn separate(&mut self, cuts: &[Cut]) -> Result<(), ScanError> {
        let ends = std::mem::take(&mut self.ends);
        let end = ends.last().copied().unwrap_or(0);
        let whole = if end == 0 { Bytes::new() } else { self.cut(end) };
        let (mut start, mut cuts) = (0, cuts);
        let has_streamed = self.scanner.has_streamed();
        let mut separated = Frames { has_streamed, ..Frames::default() };
        for (index, end) in ends.into_iter().enumerate() {
            let count = cuts.iter().take_while(|cut| cut.frames_before == index).count();
            let (own, later) = cuts.split_at(count);
            cuts = later;
            let frame = &whole[start..end];
            let outermost = extract(frame, start, own, &mut separated);
            separated.push(kept(frame.len(), &outermost).map(|piece| &frame[piece]));
            start = end;
        }
        if !cuts.is_empty() {
            let outermost = extract(&self.chunk[..self.filled], end, cuts, &mut separated);
            let mut filled = 0;
            for piece in kept(self.filled, &outermost) {
                let count = piece.len();
                self.chunk.copy_within(piece, filled);
                filled += count;
            }
            self.filled = filled;
            self.scanner.forget(&outermost);
        }
        self.ends = separated.ends;
        self.separated = separated.bytes.into();
        separated.error.map_or(Ok(()), Err)
    }
}

/// Frames that are put together, one after the other.
#[derive(Default)]
struct Frames {
    /// All of them.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// Some may have streamed types in them.
    has_streamed: bool,
    /// Why there is no frame any more.
    error: Option<ScanError>,
}

impl Frames {
    fn push<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) {
        if self.error.is_some() {
            return;
        }
        let start = self.bytes.len();
        pieces.for_each(|piece| self.bytes.extend_from_slice(piece));
        if self.has_streamed {
            let plain = rewrite(self.bytes.get(start..).unwrap_or_default()).transpose();
            if let Some(plain) = plain {
                self.bytes.truncate(start);
                match plain {
                    Ok(plain) => self.bytes.extend(plain),
                    Err(error) => {
                        self.error = Some(error);
                        return;
                    }
                }
            }
        }
        self.ends.push(self.bytes.len());
    }
}

/// Adds each push that is cut out of `frame`, which begins at `start`, without those inside of it.
/// Returns the cuts that are in no other one, in order.
fn extract(frame: &[u8], start: usize, cuts: &[Cut], separated: &mut Frames) -> Vec<Range<usize>> {
    let mut outermost: Vec<Range<usize>> = Vec::new();
    for Cut { at, .. } in cuts {
        let at = at.start - start..at.end - start;
        // A cut comes after those inside of it.
        let inside = outermost.partition_point(|other| other.start < at.start);
        let inside: Vec<_> =
            outermost.drain(inside..).map(|i| i.start - at.start..i.end - at.start).collect();
        let bytes = &frame[at.clone()];
        // Attributes that belonged to a push are dropped.
        if bytes.starts_with(b">") {
            separated.push(kept(bytes.len(), &inside).map(|piece| &bytes[piece]));
        }
        outermost.push(at);
    }
    outermost
}

/// The ranges of `0..len` between the cuts, which are in order.
fn kept(len: usize, cuts: &[Range<usize>]) -> impl Iterator<Item = Range<usize>> {
    let starts = std::iter::once(0).chain(cuts.iter().map(|cut| cut.end));
    let ends = cuts.iter().map(|cut| cut.start).chain(std::iter::once(len));
    starts.zip(ends).map(|(start, end)| start..end)
}
