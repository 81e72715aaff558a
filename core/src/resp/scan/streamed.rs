//! Streamed strings and aggregates: types of RESP3 whose length follows at their end.
//!
//! ```text
//! $?  ;4 Hell  ;1 o  ;0        is   $5 Hello
//! *?  :1  :2  .                is   *2 :1 :2
//! ```
//!
//! The scanner finds where such a frame ends, and [`rewrite`] makes the plain frame of it that all
//! decoding expects. No server is known to send them, so all of this is off the straight path.
//! Invariants: what the scanner counts down in a streamed type is a number that no plain aggregate
//! can have, since each element takes bytes; [`rewrite`] is strict where the scanner is not.
//! Limits: those of a frame, for the bytes as they are sent; a streamed type is one level of depth.
//! Spec: RESP3, "Streamed strings" and "Streamed aggregated data types": `$?`, `*?`, `~?`, `%?`.

use super::{Found, Length, ScanError, Scanned, Scanner};
use crate::resp::cursor::{find_crlf, parse_length};

/// What a streamed aggregate begins to count down at. A plain one has at most a third of it.
const AGGREGATE: usize = usize::MAX;
/// What a streamed string begins to count down at.
const STRING: usize = AGGREGATE / 2;
/// More than any plain aggregate has.
const PLAIN_MAX: usize = AGGREGATE / 3;

impl Scanner {
    /// Whether frames and pushes may have streamed types in them.
    pub(crate) fn has_streamed(&self) -> bool {
        self.has_streamed
    }

    /// The end of a push that is lifted out, or of a frame with streamed types.
    #[cold]
    pub(super) fn complete_rare(&mut self) -> Found {
        if self.start > 0 {
            return self.end_lift();
        }
        let length = self.pos;
        self.begin_next();
        (self.is_rare, self.streamed) = (false, false);
        Found::Streamed(length)
    }

    /// The bytes behind the type byte are no length: a streamed type begins, or an error.
    #[cold]
    pub(super) fn streamed_or_error(
        &mut self,
        buf: &[u8],
        kind: u8,
        length: &Length,
    ) -> Result<Scanned, ScanError> {
        let rest = buf.get(self.pos + 1..).unwrap_or_default();
        if !rest.starts_with(b"?") {
            return Err(match length {
                Length::Negative | Length::Null(_) => ScanError::Negative { kind },
                _ => ScanError::Length { kind },
            });
        }
        let depth_max = self.limits.reply_depth_max;
        let (open, depth) = match kind {
            b'*' | b'~' | b'%' => (AGGREGATE, self.outer.len()),
            // A string is no level of depth. One in another one is refused by `rewrite`.
            b'$' => (STRING, self.outer.len().saturating_sub(1)),
            _ => return Err(ScanError::Streamed { kind }),
        };
        if let Some(scanned) = incomplete(rest, b"?\r\n") {
            return scanned.ok_or(ScanError::Length { kind });
        }
        if depth >= depth_max.max(usize::from(kind == b'$')) {
            return Err(ScanError::Deep { depth_max });
        }
        self.outer.push(self.open - 1);
        self.open = open;
        self.pos += b"*?\r\n".len();
        self.has_streamed = true;
        if self.start == 0 {
            (self.streamed, self.is_rare) = (true, true);
        }
        Ok(Scanned::Opened)
    }

    /// A chunk of a streamed string, or the end of a streamed type.
    #[cold]
    pub(super) fn scan_streamed_part(
        &mut self,
        buf: &[u8],
        byte: u8,
    ) -> Result<Scanned, ScanError> {
        let rest = buf.get(self.pos..).unwrap_or_default();
        let end: &[u8] = match byte {
            b'.' if self.open > STRING => b".\r\n",
            b';' if self.open > PLAIN_MAX && self.open <= STRING => b";0\r\n",
            _ => return Err(ScanError::Type { byte }),
        };
        match incomplete(rest, end) {
            Some(Some(incomplete)) => return Ok(incomplete),
            Some(None) if byte == b';' => return self.scan_bulk(buf, b';'),
            Some(None) => return Err(ScanError::Type { byte }),
            None => {}
        }
        // What is counted as complete now is the streamed type itself.
        self.open = 1;
        self.pos += end.len();
        Ok(Scanned::Element)
    }
}

/// `None` if `rest` begins with `text`; `Some(None)` if it begins with something else.
fn incomplete(rest: &[u8], text: &[u8]) -> Option<Option<Scanned>> {
    if rest.starts_with(text) {
        return None;
    }
    let is_begun = text.starts_with(rest);
    Some(is_begun.then(|| Scanned::Incomplete(text.len() - rest.len())))
}

/// The same frame without streamed types; `None` if it has none.
///
/// # Errors
/// A streamed type that the scanner has let through is malformed.
#[cold]
pub(crate) fn rewrite(frame: &[u8]) -> Result<Option<Vec<u8>>, ScanError> {
    let mut first = Rewriter { frame, pos: 0, sizes: Vec::new(), taken: 0, out: None };
    first.value()?;
    if first.sizes.is_empty() {
        return Ok(None);
    }
    let out = Some(Vec::with_capacity(frame.len()));
    let mut second = Rewriter { pos: 0, taken: 0, out, ..first };
    second.value()?;
    Ok(second.out)
}

/// Goes through a frame twice: the first time to learn the sizes of streamed types, the second time
/// to write the frame. It recurses as deep as the scanner allows.
struct Rewriter<'a> {
    /// A whole frame, as it was sent.
    frame: &'a [u8],
    /// Offset of what comes next.
    pos: usize,
    /// The sizes of streamed types, in the order in which these begin.
    sizes: Vec<usize>,
    /// How many of the sizes were used.
    taken: usize,
    /// What was written; `None` the first time.
    out: Option<Vec<u8>>,
}

impl Rewriter<'_> {
    /// One value, with the attributes before it.
    fn value(&mut self) -> Result<(), ScanError> {
        loop {
            let kind = self.byte(0);
            let (count, next) = match (kind, self.byte(1)) {
                (b'$', b'?') => return self.string(),
                (b'*' | b'~' | b'%', b'?') => return self.aggregate(kind),
                (b'.' | b';', _) => return Err(ScanError::StreamedPart { kind }),
                (b'*' | b'~' | b'>' | b'%' | b'|' | b'$' | b'=' | b'!', _) => {
                    match parse_length(self.frame, self.pos + 1) {
                        Length::Is(length, next) => (usize::try_from(length).ok(), next),
                        Length::Null(next) => (None, next),
                        _ => return Err(ScanError::Length { kind }),
                    }
                }
                _ => (None, find_crlf(self.frame, self.pos).map_or(self.frame.len(), |at| at + 2)),
            };
            let Some(count) = count else { return self.copy_to(next, kind) };
            if matches!(kind, b'$' | b'=' | b'!') {
                return self.copy_to(next.saturating_add(count).saturating_add(2), kind);
            }
            self.copy_to(next, kind)?;
            let pairs = matches!(kind, b'%' | b'|');
            for _ in 0..if pairs { 2 * count } else { count } {
                self.value()?;
            }
            if kind != b'|' {
                return Ok(());
            }
        }
    }

    fn aggregate(&mut self, kind: u8) -> Result<(), ScanError> {
        let at = self.header(kind);
        let mut count = 0;
        while self.byte(0) != b'.' {
            self.value()?;
            count += 1;
        }
        self.pos += b".\r\n".len();
        if kind == b'%' {
            if count % 2 != 0 {
                return Err(ScanError::StreamedPart { kind });
            }
            count /= 2;
        }
        self.set_size(at, count);
        Ok(())
    }

    fn string(&mut self) -> Result<(), ScanError> {
        let at = self.header(b'$');
        let mut size = 0;
        while self.byte(0) == b';' {
            let Length::Is(length, next) = parse_length(self.frame, self.pos + 1) else {
                return Err(ScanError::Length { kind: b';' });
            };
            self.pos = next;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length == 0 {
                if let Some(out) = &mut self.out {
                    out.extend_from_slice(b"\r\n");
                }
                self.set_size(at, size);
                return Ok(());
            }
            self.copy_to(next.saturating_add(length), b';')?;
            self.pos += 2;
            size += length;
        }
        Err(ScanError::StreamedPart { kind: b'$' })
    }

    /// The plain header of a streamed type. Returns the index of its size.
    fn header(&mut self, kind: u8) -> usize {
        self.pos += b"*?\r\n".len();
        let at = self.taken;
        self.taken += 1;
        match &mut self.out {
            None => self.sizes.push(0),
            Some(out) => {
                let size = self.sizes.get(at).copied().unwrap_or_default();
                out.push(kind);
                out.extend_from_slice(size.to_string().as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        }
        at
    }

    fn set_size(&mut self, at: usize, size: usize) {
        if let Some(slot) = self.sizes.get_mut(at) {
            *slot = size;
        }
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.frame.get(self.pos + ahead).copied().unwrap_or_default()
    }

    /// Copies up to there.
    fn copy_to(&mut self, to: usize, kind: u8) -> Result<(), ScanError> {
        let bytes = self.frame.get(self.pos..to).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or(ScanError::StreamedPart { kind })?;
        if let Some(out) = &mut self.out {
            out.extend_from_slice(bytes);
        }
        self.pos = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
