//! Finds the end of the next frame in a growing buffer, without decoding it.
//!
//! The connection calls [`Scanner::scan`] after each read. The scanner keeps its state between
//! calls: only an incomplete header line (a few bytes) is read again, even if the bytes arrive one
//! by one. The content of a bulk string is skipped.
//!
//! A push is out of band wherever it stands: Redis up to 7.0 writes one into the array of EXEC, or
//! between the elements of any other reply, when the command itself causes it. So a push inside of
//! a frame is reported apart and counts as no element (`scan/lift.rs`).
//! Invariants: a frame that is accepted is complete, nests at most `reply_depth_max` levels and has
//! at most `reply_bytes_max` bytes without the pushes inside of it; the memory of the scanner
//! depends on the depth alone.
//! After an error the boundaries of the frames are unknown, so the connection must be closed.
//! A frame with a streamed type in it (`$?`, `*?`) is reported as such (`scan/streamed.rs`).
//! Spec: RESP, "RESP protocol description".

use super::cursor::{Cursor, ELEMENT_BYTES_MIN, Length, find_crlf, parse_length};
use smallvec::SmallVec;
use std::fmt;
use std::ops::Range;

mod lift;
mod streamed;
#[cfg(test)]
mod tests;

pub(crate) use streamed::rewrite;

/// The longest line in bytes: a simple string, an error or a number. Servers send far less.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The deepest nesting that a configuration can allow: typed decoding recurses that deep.
pub(crate) const DEPTH_MAX: usize = 128;

/// The limits of one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanLimits {
    /// The longest frame, in bytes, headers included.
    pub(crate) reply_bytes_max: usize,
    /// The deepest nesting of aggregates; at most [`DEPTH_MAX`] counts.
    pub(crate) reply_depth_max: usize,
}

/// What a scan has found. All offsets count from the start of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The frame that the buffer begins with ends here.
    Frame(usize),
    /// The frame is not complete.
    Incomplete,
    /// These bytes are inside of the frame, and no part of it: a push (of which an earlier range
    /// may be no part either), or attributes that belonged to one. The next scan goes on behind
    /// them.
    Lifted(Range<usize>),
    /// The frame that the buffer begins with ends here, and has streamed types in it: [`rewrite`]
    /// makes a plain one of it.
    Streamed(usize),
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// An error reply, `-` or `!`.
    Error,
    /// A push, `>`: it is no reply to a command.
    Push,
    /// Any other reply.
    Reply,
}

/// The kind of a frame that the scanner has found.
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

/// Why the bytes are no RESP, or exceed a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
    /// The frame nests deeper than the limit.
    Deep { depth_max: usize },
    /// The bytes look like the response of an HTTP server.
    Http,
    /// The bytes behind the type byte `kind` are no length.
    Length { kind: u8 },
    /// A line is longer than the limit.
    Line { kind: u8, bytes_max: usize },
    /// A negative length where `kind` has no null.
    Negative { kind: u8 },
    /// A null, `_`, with text behind it.
    Null,
    /// The frame is longer than the limit, or its lengths say that it will be.
    Size { bytes_max: usize },
    /// A type that cannot be streamed: `=?`, `>?` and others.
    Streamed { kind: u8 },
    /// A streamed type with parts that it cannot have, or half a pair.
    StreamedPart { kind: u8 },
    /// A bulk string without CRLF at its end.
    Terminator { kind: u8 },
    /// A byte that begins no RESP type.
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
                write!(f, "type '{}' cannot be streamed, as '{}?' says", show(kind), show(kind))
            }
            Self::StreamedPart { kind } => write!(f, "malformed streamed type at '{}'", show(kind)),
            Self::Terminator { kind } => {
                write!(f, "'{}' string does not end in CRLF at its length", show(kind))
            }
            // A TLS server replies to plain text with an alert, record type 21.
            Self::Type { byte: 0x15 } => f.write_str("unknown type byte 0x15, as TLS would send"),
            Self::Type { byte } => {
                write!(f, "unknown type byte 0x{byte:02x} '{}'", show(byte))
            }
        }
    }
}

impl std::error::Error for ScanError {}

/// The state of scanning the next frame.
///
/// **Until a frame is complete, the buffer of every call must begin at the start of that frame.**
/// What was lifted out may be removed from the buffer, if [`Scanner::forget`] is told.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// The limits of a frame.
    limits: ScanLimits,
    /// Offset of the next header or, while `bulk` is set, of the end of the bulk string.
    pos: usize,
    /// The type byte of a bulk string that is not complete yet.
    bulk: Option<u8>,
    /// Offset up to which the line at `pos` was searched for its end; 0 if it was not.
    line_searched: usize,
    /// Number of elements that the innermost open aggregate still lacks.
    open: usize,
    /// The same for the aggregates around it, outermost first.
    outer: SmallVec<[usize; 8]>,
    /// A lower bound of the number of bytes that the frame still lacks.
    missing: usize,
    /// Where in the buffer the current frame may end at the latest.
    end_max: usize,
    /// Offset of the push that is being lifted out; 0 if there is none.
    start: usize,
    /// What surrounds that push, outermost first.
    lifts: Vec<Lift>,
    /// A push was lifted out between the attributes of the frame and its value.
    lifted_from_top: bool,
    /// The end of what is scanned is not the end of a plain frame: a push is being lifted out, or
    /// the frame is `streamed`.
    is_rare: bool,
    /// The frame has a streamed type in it, other than in a push that is lifted out.
    streamed: bool,
    /// The server has sent a streamed type.
    has_streamed: bool,
}

/// What the scanner knows of a frame inside of which it is lifting a push out.
#[derive(Debug)]
struct Lift {
    /// See `Scanner::start`, of what surrounds the push.
    start: usize,
    /// See `Scanner::open`.
    open: usize,
    /// See `Scanner::outer`.
    outer: SmallVec<[usize; 8]>,
    /// See `Scanner::end_max`.
    end_max: usize,
}

impl Scanner {
    pub(crate) fn new(limits: ScanLimits) -> Self {
        let reply_depth_max = limits.reply_depth_max.min(DEPTH_MAX);
        let limits = ScanLimits { reply_depth_max, ..limits };
        Self {
            limits,
            pos: 0,
            bulk: None,
            line_searched: 0,
            open: 1,
            outer: SmallVec::new(),
            missing: 1,
            end_max: limits.reply_bytes_max,
            start: 0,
            lifts: Vec::new(),
            lifted_from_top: false,
            is_rare: false,
            streamed: false,
            has_streamed: false,
        }
    }

    /// A lower bound of the number of bytes that the frame lacks, after a scan found it incomplete;
    /// never 0. Inside of a bulk string it covers the rest of it, so that the buffer can grow at
    /// once.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// Looks for the end of the frame that `buf` begins with, or for a push inside of it.
    #[inline]
    pub(crate) fn scan(&mut self, buf: &[u8]) -> Result<Found, ScanError> {
        match self.scan_simple(buf) {
            Some(length) => Ok(Found::Frame(length)),
            None => self.scan_any(buf),
        }
    }

    /// The length of the frame if it is a single bulk string, an OK or a push of a few bulk
    /// strings, is complete, and was not scanned before. Nearly all replies to single commands and
    /// all messages are.
    #[inline]
    fn scan_simple(&mut self, buf: &[u8]) -> Option<usize> {
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

    /// The same as [`Scanner::scan`], without its short way for simple frames.
    pub(crate) fn scan_any(&mut self, buf: &[u8]) -> Result<Found, ScanError> {
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
            self.skip_bulks(buf);
            let Some(&kind) = buf.get(self.pos) else { return self.wait(buf, ELEMENT_BYTES_MIN) };
            let scanned = match kind {
                b'$' | b'=' | b'!' => self.scan_bulk(buf, kind)?,
                b'>' if self.pos > self.start => {
                    self.begin_lift()?;
                    continue;
                }
                b'|' if self.lifted_from_top && self.outer.is_empty() && self.start == 0 => {
                    return Ok(self.lift_stale_attributes());
                }
                b'*' | b'~' | b'>' | b'%' | b'|' => self.scan_aggregate(buf, kind)?,
                b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => self.scan_line(buf, kind)?,
                _ => self.unknown(buf, kind)?,
            };
            match scanned {
                Scanned::Element => {
                    if self.close_element() {
                        return self.complete();
                    }
                }
                Scanned::Opened => {}
                Scanned::Incomplete(missing) => return self.wait(buf, missing),
            }
        }
    }

    /// Counts one element as complete, and the aggregates that end with it. Returns whether the
    /// frame is complete.
    #[inline]
    fn close_element(&mut self) -> bool {
        self.open -= 1; // not 0 here: an aggregate that lacks no element is left at once
        while self.open == 0 {
            match self.outer.pop() {
                Some(open) => self.open = open,
                None => return true,
            }
        }
        false
    }

    fn complete(&mut self) -> Result<Found, ScanError> {
        let length = self.pos;
        if length > self.end_max {
            return Err(self.too_large());
        }
        if self.is_rare {
            return Ok(self.complete_rare());
        }
        self.begin_next();
        Ok(Found::Frame(length))
    }

    #[inline]
    fn begin_next(&mut self) {
        (self.pos, self.open, self.missing) = (0, 1, 1);
        (self.end_max, self.lifted_from_top) = (self.limits.reply_bytes_max, false);
    }

    fn wait(&mut self, buf: &[u8], missing: usize) -> Result<Found, ScanError> {
        // All bytes of `buf` belong to a frame that needs at least one more.
        if buf.len() >= self.end_max {
            return Err(self.too_large());
        }
        self.missing = missing;
        Ok(Found::Incomplete)
    }

    #[cold]
    fn too_large(&self) -> ScanError {
        ScanError::Size { bytes_max: self.limits.reply_bytes_max }
    }

    /// Skips complete bulk strings that follow each other: large replies consist of them.
    /// Everything else, and the last element of an aggregate, is left to the caller.
    #[inline]
    fn skip_bulks(&mut self, buf: &[u8]) {
        let (mut pos, mut open) = (self.pos, self.open);
        while open > 1 && buf.get(pos) == Some(&b'$') {
            let Length::Is(length, start) = parse_length(buf, pos + 1) else { break };
            let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(start + 2);
            // If it makes the frame too long, that is noticed at the end of the frame.
            if buf.get(end - 2..end) != Some(b"\r\n") {
                break;
            }
            pos = end;
            open -= 1;
        }
        (self.pos, self.open) = (pos, open);
    }

    #[inline]
    fn scan_bulk(&mut self, buf: &[u8], kind: u8) -> Result<Scanned, ScanError> {
        match parse_length(buf, self.pos + 1) {
            Length::Is(length, start) => {
                let end = usize::try_from(length).ok().and_then(|n| n.checked_add(start + 2));
                let Some(end) = end.filter(|end| *end <= self.end_max) else {
                    return Err(self.too_large());
                };
                self.pos = end;
                if buf.len() < end {
                    self.bulk = Some(kind);
                    return Ok(Scanned::Incomplete(end - buf.len()));
                }
                check_terminator(buf, end, kind)?;
                Ok(Scanned::Element)
            }
            Length::Null(next) if kind == b'$' => {
                self.pos = next;
                Ok(Scanned::Element)
            }
            Length::Incomplete => Ok(Scanned::Incomplete(1)),
            other => self.streamed_or_error(buf, kind, &other),
        }
    }

    fn scan_aggregate(&mut self, buf: &[u8], kind: u8) -> Result<Scanned, ScanError> {
        match parse_length(buf, self.pos + 1) {
            Length::Is(count, next) => {
                let pairs = matches!(kind, b'%' | b'|');
                let bytes_min = ELEMENT_BYTES_MIN * if pairs { 2 } else { 1 };
                let room = self.end_max.saturating_sub(next) / bytes_min;
                let Some(count) = usize::try_from(count).ok().filter(|count| *count <= room) else {
                    return Err(self.too_large());
                };
                if self.outer.len() >= self.limits.reply_depth_max {
                    return Err(ScanError::Deep { depth_max: self.limits.reply_depth_max });
                }
                self.pos = next;
                let elements = if pairs { 2 * count } else { count };
                if kind == b'|' {
                    // An attribute is no element: the value that it belongs to follows it.
                    if elements > 0 {
                        self.outer.push(self.open);
                        self.open = elements;
                    }
                    return Ok(Scanned::Opened);
                }
                if elements == 0 {
                    return Ok(Scanned::Element);
                }
                // The aggregate itself counts as an element that is complete when its elements are;
                // so the pushed count may be 0.
                self.outer.push(self.open - 1);
                self.open = elements;
                Ok(Scanned::Opened)
            }
            Length::Null(next) if kind == b'*' => {
                self.pos = next;
                Ok(Scanned::Element)
            }
            Length::Incomplete => Ok(Scanned::Incomplete(1)),
            other => self.streamed_or_error(buf, kind, &other),
        }
    }

    #[inline]
    fn scan_line(&mut self, buf: &[u8], kind: u8) -> Result<Scanned, ScanError> {
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
                Ok(Scanned::Element)
            }
            None => {
                // The last byte may be a CR whose LF is not there yet.
                self.line_searched = buf.len() - 1;
                Ok(Scanned::Incomplete(1))
            }
        }
    }

    #[cold]
    fn unknown(&mut self, buf: &[u8], byte: u8) -> Result<Scanned, ScanError> {
        const HTTP: &[u8] = b"HTTP/";
        if matches!(byte, b'.' | b';') {
            return self.scan_streamed_part(buf, byte);
        }
        let rest = buf.get(self.pos..).unwrap_or_default();
        if rest.starts_with(HTTP) {
            Err(ScanError::Http)
        } else if HTTP.starts_with(rest) {
            Ok(Scanned::Incomplete(HTTP.len() - rest.len()))
        } else {
            Err(ScanError::Type { byte })
        }
    }
}

/// What the scanner has found at one header.
enum Scanned {
    /// A complete element; `pos` is behind it.
    Element,
    /// The header of an aggregate; its elements follow.
    Opened,
    /// An incomplete element, which lacks at least this many bytes.
    Incomplete(usize),
}

/// The end of a push of this many bulk strings, if it has nothing else and is complete.
#[inline(never)]
fn push_end(buf: &[u8], bulks: u8) -> Option<usize> {
    (0..bulks).try_fold(4, |at, _| bulk_end(buf, at))
}

/// The end of the bulk string at `at`, if there is one and it is complete.
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
