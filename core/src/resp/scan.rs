//! Finds the end of the next frame in a growing buffer, without looking at what it means.
//!
//! The connection calls [`Scanner::scan`] after each read. The work done is kept between calls: a
//! header line that is cut is read again (a few bytes), nothing else is, also when bytes come one
//! at a time. A bulk's body is jumped over.
//! Invariants: a frame that is let through is complete, nests at most `reply_depth_max` deep and
//! has at most `reply_bytes_max` bytes; memory used here depends on the depth alone.
//! After an error the stream has no known frame boundary any more, and the connection must close.
//! Spec: RESP, "RESP protocol description". Streamed strings and aggregates (`$?`, `*?`) are no
//! part of what servers send, and are refused by name.

use super::cursor::{Cursor, ELEMENT_BYTES_MIN, Length, find_crlf, parse_length};
use smallvec::SmallVec;
use std::fmt;

/// The longest line: a simple string, an error, a number. Servers stay far below.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The deepest nesting that any configuration can allow: typed decoding recurses that deep.
pub(crate) const DEPTH_MAX: usize = 128;

/// What a server may send as one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanLimits {
    /// The longest frame, in bytes, headers included.
    pub(crate) reply_bytes_max: usize,
    /// The deepest nesting of aggregates; more than [`DEPTH_MAX`] means that.
    pub(crate) reply_depth_max: usize,
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// An error that answers a command, `-` or `!`.
    Error,
    /// Out of band, `>`: it answers no command.
    Push,
    /// Any other answer.
    Reply,
}

/// Tells replies, errors and pushes apart. `frame` is what the scanner measured off.
#[inline]
pub(crate) fn frame_kind(frame: &[u8]) -> FrameKind {
    let kind = match frame.first() {
        Some(b'|') => {
            let mut cursor = Cursor::new(frame);
            if cursor.at_null().is_err() { None } else { cursor.rest().first().copied() }
        }
        first => first.copied(),
    };
    match kind {
        Some(b'-' | b'!') => FrameKind::Error,
        Some(b'>') => FrameKind::Push,
        _ => FrameKind::Reply,
    }
}

/// Why the bytes are no RESP, or more of it than allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
    /// Nests deeper than the limit.
    Deep { depth_max: usize },
    /// Looks like the answer of an HTTP server.
    Http,
    /// The bytes behind the type byte `kind` are no length.
    Length { kind: u8 },
    /// A line without an end.
    Line { kind: u8, bytes_max: usize },
    /// A length below zero where `kind` has no null.
    Negative { kind: u8 },
    /// A null, `_`, that says something.
    Null,
    /// The frame is, or announces to be, longer than the limit.
    Size { bytes_max: usize },
    /// A type of unknown length, `$?` or alike.
    Streamed { kind: u8 },
    /// A bulk whose announced length does not end in CRLF.
    Terminator { kind: u8 },
    /// A byte that starts no RESP type.
    Type { byte: u8 },
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |byte: &u8| byte.escape_ascii();
        match self {
            Self::Deep { depth_max } => write!(f, "reply nests deeper than {depth_max} levels"),
            Self::Http => f.write_str("server speaks HTTP, not RESP"),
            Self::Length { kind } => write!(f, "malformed length after '{}'", show(kind)),
            Self::Line { kind, bytes_max } => {
                write!(f, "line that starts with '{}' exceeds {bytes_max} bytes", show(kind))
            }
            Self::Negative { kind } => write!(f, "negative length after '{}'", show(kind)),
            Self::Null => f.write_str("null '_' with a value"),
            Self::Size { bytes_max } => write!(f, "reply exceeds {bytes_max} bytes"),
            Self::Streamed { kind } => {
                write!(f, "streamed type '{}?' is not supported", show(kind))
            }
            Self::Terminator { kind } => {
                write!(f, "'{}' string does not end in CRLF at its length", show(kind))
            }
            // A TLS server answers plain text with an alert, record type 21.
            Self::Type { byte: 0x15 } => f.write_str("unknown type byte 0x15, as TLS would send"),
            Self::Type { byte } => {
                write!(f, "unknown type byte 0x{byte:02x} '{}'", show(byte))
            }
        }
    }
}

impl std::error::Error for ScanError {}

/// Where the next frame's scan stands.
///
/// **Every call must be given the same frame start until a frame is complete.**
#[derive(Debug)]
pub(crate) struct Scanner {
    /// What to refuse.
    limits: ScanLimits,
    /// Offset of the next header, or of a bulk's end while `bulk` is set.
    pos: usize,
    /// The type of the bulk whose bytes have not all come.
    bulk: Option<u8>,
    /// How far the line at `pos` was searched for its end; 0 when it was not.
    line_searched: usize,
    /// Elements still to come in the innermost open aggregate.
    open: usize,
    /// The same for the aggregates around it, outermost first.
    outer: SmallVec<[usize; 8]>,
    /// A lower bound of the bytes that the frame still lacks.
    missing: usize,
}

impl Scanner {
    pub(crate) fn new(limits: ScanLimits) -> Self {
        let reply_depth_max = limits.reply_depth_max.min(DEPTH_MAX);
        let limits = ScanLimits { reply_depth_max, ..limits };
        let outer = SmallVec::new();
        Self { limits, pos: 0, bulk: None, line_searched: 0, open: 1, outer, missing: 1 }
    }

    /// A lower bound of the bytes that are missing, after a scan gave `None`; never 0.
    ///
    /// Inside a bulk it covers the bulk's rest, so that its buffer can be reserved at once.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// The length of the frame that `buf` starts with, or `None` while it is incomplete.
    #[inline]
    pub(crate) fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, ScanError> {
        match self.whole(buf) {
            Some(length) => Ok(Some(length)),
            None => self.scan_any(buf),
        }
    }

    /// The length of a frame that is a single bulk, an OK or a push of a few bulks, if all of it is
    /// here and nothing of it was looked at before: nearly all replies to single commands are, and
    /// all messages.
    #[inline]
    fn whole(&mut self, buf: &[u8]) -> Option<usize> {
        if self.pos > 0 {
            return None;
        }
        let length = match buf {
            [b'$', ..] => bulk_end(buf, 0)?,
            [b'>', count @ b'1'..=b'9', b'\r', b'\n', ..] if self.limits.reply_depth_max > 0 => {
                push_end(buf, *count - b'0')?
            }
            [b'+', b'O', b'K', b'\r', b'\n', ..] => 5,
            _ => return None,
        };
        (self.line_searched, self.missing) = (0, 1);
        (length <= self.limits.reply_bytes_max).then_some(length)
    }

    fn scan_any(&mut self, buf: &[u8]) -> Result<Option<usize>, ScanError> {
        if let Some(kind) = self.bulk {
            if buf.len() < self.pos {
                return self.wait(buf, self.pos - buf.len());
            }
            check_terminator(buf, self.pos, kind)?;
            self.bulk = None;
            if self.close_element() {
                return self.complete();
            }
        }
        loop {
            self.take_bulks(buf);
            let Some(&kind) = buf.get(self.pos) else { return self.wait(buf, ELEMENT_BYTES_MIN) };
            let progress = match kind {
                b'$' | b'=' | b'!' => self.step_bulk(buf, kind)?,
                b'*' | b'~' | b'>' | b'%' | b'|' => self.step_aggregate(buf, kind)?,
                b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => self.step_line(buf, kind)?,
                _ => self.unknown(buf, kind)?,
            };
            match progress {
                Step::Element => {
                    if self.close_element() {
                        return self.complete();
                    }
                }
                Step::Opened => {}
                Step::Wait(missing) => return self.wait(buf, missing),
            }
        }
    }

    /// Counts one element as done, and all aggregates that it ends. True: the frame is complete.
    #[inline]
    fn close_element(&mut self) -> bool {
        self.open -= 1; // never 0 here: an aggregate without open elements is left at once
        while self.open == 0 {
            match self.outer.pop() {
                Some(open) => self.open = open,
                None => return true,
            }
        }
        false
    }

    fn complete(&mut self) -> Result<Option<usize>, ScanError> {
        let length = self.pos;
        if length > self.limits.reply_bytes_max {
            return Err(self.too_large());
        }
        (self.pos, self.open, self.missing) = (0, 1, 1);
        Ok(Some(length))
    }

    fn wait(&mut self, buf: &[u8], missing: usize) -> Result<Option<usize>, ScanError> {
        // All bytes of `buf` belong to a frame that needs at least one more.
        if buf.len() >= self.limits.reply_bytes_max {
            return Err(self.too_large());
        }
        self.missing = missing;
        Ok(None)
    }

    #[cold]
    fn too_large(&self) -> ScanError {
        ScanError::Size { bytes_max: self.limits.reply_bytes_max }
    }

    /// Takes whole bulks as long as one comes after the other: large replies are hardly anything
    /// else. What is unusual in any way, and an aggregate's last element, is left to the steps.
    #[inline]
    fn take_bulks(&mut self, buf: &[u8]) {
        let (mut pos, mut open) = (self.pos, self.open);
        while open > 1 && buf.get(pos) == Some(&b'$') {
            let Length::Is(length, start) = parse_length(buf, pos + 1) else { break };
            let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(start + 2);
            // A bulk within `buf` that makes the frame too long is found when the frame ends.
            if buf.get(end - 2..end) != Some(b"\r\n") {
                break;
            }
            pos = end;
            open -= 1;
        }
        (self.pos, self.open) = (pos, open);
    }

    #[inline]
    fn step_bulk(&mut self, buf: &[u8], kind: u8) -> Result<Step, ScanError> {
        match parse_length(buf, self.pos + 1) {
            Length::Is(length, start) => {
                let end = usize::try_from(length).ok().and_then(|n| n.checked_add(start + 2));
                let Some(end) = end.filter(|end| *end <= self.limits.reply_bytes_max) else {
                    return Err(self.too_large());
                };
                self.pos = end;
                if buf.len() < end {
                    self.bulk = Some(kind);
                    return Ok(Step::Wait(end - buf.len()));
                }
                check_terminator(buf, end, kind)?;
                Ok(Step::Element)
            }
            Length::Null(next) if kind == b'$' => {
                self.pos = next;
                Ok(Step::Element)
            }
            Length::Incomplete => Ok(Step::Wait(1)),
            other => Err(length_error(buf, self.pos, kind, &other)),
        }
    }

    fn step_aggregate(&mut self, buf: &[u8], kind: u8) -> Result<Step, ScanError> {
        match parse_length(buf, self.pos + 1) {
            Length::Is(count, next) => {
                let pairs = matches!(kind, b'%' | b'|');
                let bytes_min = ELEMENT_BYTES_MIN * if pairs { 2 } else { 1 };
                let room = self.limits.reply_bytes_max.saturating_sub(next) / bytes_min;
                let Some(count) = usize::try_from(count).ok().filter(|count| *count <= room) else {
                    return Err(self.too_large());
                };
                if self.outer.len() >= self.limits.reply_depth_max {
                    return Err(ScanError::Deep { depth_max: self.limits.reply_depth_max });
                }
                self.pos = next;
                let elements = if pairs { 2 * count } else { count };
                if kind == b'|' {
                    // An attribute is no element: the value that it describes follows it.
                    if elements > 0 {
                        self.outer.push(self.open);
                        self.open = elements;
                    }
                    return Ok(Step::Opened);
                }
                if elements == 0 {
                    return Ok(Step::Element);
                }
                // The aggregate is left when its own elements are done; the pushed count may be 0.
                self.outer.push(self.open - 1);
                self.open = elements;
                Ok(Step::Opened)
            }
            Length::Null(next) if kind == b'*' => {
                self.pos = next;
                Ok(Step::Element)
            }
            Length::Incomplete => Ok(Step::Wait(1)),
            other => Err(length_error(buf, self.pos, kind, &other)),
        }
    }

    #[inline]
    fn step_line(&mut self, buf: &[u8], kind: u8) -> Result<Step, ScanError> {
        let from = self.line_searched.max(self.pos + 1);
        let end = find_crlf(buf, from);
        let line_bytes = end.unwrap_or(buf.len()) - self.pos;
        if line_bytes > LINE_BYTES_MAX {
            return Err(ScanError::Line { kind, bytes_max: LINE_BYTES_MAX });
        }
        match end {
            Some(end) if kind == b'_' && end != self.pos + 1 => Err(ScanError::Null),
            Some(end) => {
                self.line_searched = 0;
                self.pos = end + 2;
                Ok(Step::Element)
            }
            None => {
                // The last byte may be the CR whose LF has not come.
                self.line_searched = buf.len() - 1;
                Ok(Step::Wait(1))
            }
        }
    }

    #[cold]
    fn unknown(&self, buf: &[u8], byte: u8) -> Result<Step, ScanError> {
        const HTTP: &[u8] = b"HTTP/";
        let rest = buf.get(self.pos..).unwrap_or_default();
        if rest.starts_with(HTTP) {
            Err(ScanError::Http)
        } else if HTTP.starts_with(rest) {
            Ok(Step::Wait(HTTP.len() - rest.len()))
        } else {
            Err(ScanError::Type { byte })
        }
    }
}

/// What one header led to.
enum Step {
    /// A whole element lies behind `pos`.
    Element,
    /// An aggregate's elements follow.
    Opened,
    /// At least so many bytes are missing.
    Wait(usize),
}

/// Where a push of so many bulks ends, if it is nothing else and all of it is here.
#[inline(never)]
fn push_end(buf: &[u8], bulks: u8) -> Option<usize> {
    (0..bulks).try_fold(4, |at, _| bulk_end(buf, at))
}

/// Where the bulk at `at` ends, if there is one and all of it is here.
#[inline(always)]
fn bulk_end(buf: &[u8], at: usize) -> Option<usize> {
    if buf.get(at) != Some(&b'$') {
        return None;
    }
    let Length::Is(length, start) = parse_length(buf, at + 1) else { return None };
    let end = usize::try_from(length).ok()?.checked_add(start + 2)?;
    (buf.get(end - 2..end)? == b"\r\n").then_some(end)
}

#[inline]
fn check_terminator(buf: &[u8], end: usize, kind: u8) -> Result<(), ScanError> {
    if buf.get(end - 2..end) == Some(b"\r\n") {
        Ok(())
    } else {
        Err(ScanError::Terminator { kind })
    }
}

#[cold]
fn length_error(buf: &[u8], pos: usize, kind: u8, length: &Length) -> ScanError {
    match length {
        _ if buf.get(pos + 1) == Some(&b'?') => ScanError::Streamed { kind },
        Length::Negative | Length::Null(_) => ScanError::Negative { kind },
        _ => ScanError::Length { kind },
    }
}
#[cfg(test)]
mod tests;
