//! Reads the bytes of one frame, header by header, without allocating.
//!
//! Invariant: any bytes give a token or [`Malformed`], never a panic. The scanner has already found
//! the end of the frame, but nothing here relies on it: every length and every count is checked
//! against the bytes that are there.
//! Attributes are skipped. What is nested in a skipped value is counted, without recursion.
//! Limits: a length has at most 19 digits; a count is at most what the remaining bytes can hold.
//! Spec: RESP, "RESP protocol description" (RESP2 and RESP3 types).

/// The smallest size of an element in bytes: a type byte and CRLF.
pub(super) const ELEMENT_BYTES_MIN: usize = 3;

/// The result of reading the decimal length in a header.
pub(super) enum Length {
    /// The length, and the offset behind the line.
    Is(u64, usize),
    /// `-1`, the null of RESP2, and the offset behind the line.
    Null(usize),
    /// A negative length other than -1.
    Negative,
    /// Well-formed so far, but the end of the line is not there yet.
    Incomplete,
    /// Not a length.
    Malformed,
}

/// Reads the length whose first digit is at `at`.
///
/// Nearly all lengths have one to three digits: these have a fast path.
#[inline(always)]
pub(super) fn parse_length(buf: &[u8], at: usize) -> Length {
    let Some(line) = buf.get(at..).and_then(<[u8]>::first_chunk::<6>) else {
        return parse_any_length(buf, at);
    };
    let (length, digits) = match line {
        [a @ b'0'..=b'9', b'\r', b'\n', ..] => (digit(a), 1),
        [a @ b'0'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => (10 * digit(a) + digit(b), 2),
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', b'\n', _] => {
            (100 * digit(a) + 10 * digit(b) + digit(c), 3)
        }
        _ => return parse_any_length(buf, at),
    };
    Length::Is(length, at + digits + 2)
}

#[inline(always)]
fn digit(byte: &u8) -> u64 {
    u64::from(byte - b'0')
}

#[inline(never)]
fn parse_any_length(buf: &[u8], at: usize) -> Length {
    const DIGITS_MAX: usize = 19; // 10^19 - 1 fits into u64
    let mut length = 0_u64;
    let mut pos = at;
    let stop = loop {
        let Some(&byte) = buf.get(pos) else { return Length::Incomplete };
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break byte;
        }
        if pos - at >= DIGITS_MAX {
            return Length::Malformed;
        }
        length = length * 10 + u64::from(digit);
        pos += 1;
    };
    match stop {
        b'\r' if pos > at => match buf.get(pos + 1) {
            Some(b'\n') => Length::Is(length, pos + 2),
            Some(_) => Length::Malformed,
            None => Length::Incomplete,
        },
        b'-' if pos == at => negative_length(buf, at),
        _ => Length::Malformed,
    }
}

/// The length that begins with a minus sign at `at`: only `-1` is allowed.
#[cold]
fn negative_length(buf: &[u8], at: usize) -> Length {
    const NULL: &[u8] = b"-1\r\n";
    let rest = buf.get(at..).unwrap_or_default();
    if rest.starts_with(NULL) {
        Length::Null(at + NULL.len())
    } else if NULL.starts_with(rest) {
        Length::Incomplete
    } else if rest.get(1).is_some_and(u8::is_ascii_digit) {
        Length::Negative
    } else {
        Length::Malformed
    }
}

/// The offset of the first CRLF at or after `from`.
#[inline]
pub(super) fn find_crlf(buf: &[u8], from: usize) -> Option<usize> {
    let mut pos = from;
    loop {
        pos += buf.get(pos..)?.iter().position(|&byte| byte == b'\r')?;
        match buf.get(pos + 1) {
            Some(b'\n') => return Some(pos),
            Some(_) => pos += 1,
            None => return None,
        }
    }
}

/// The type of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    BigNumber,
    Bool,
    Bulk,
    Double,
    Int,
    Simple,
    /// Its text includes the format and a colon: `txt:`.
    Verbatim,
}

/// The type of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Array,
    /// Its count is the number of pairs.
    Map,
    Push,
    Set,
}

/// One header; of a scalar, with its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `-` or `!`, with code and message.
    Error(&'a [u8]),
    /// `_`, `$-1` or `*-1`.
    Null,
    /// An aggregate, and the number of elements (in a map: pairs) that follow.
    Open(Aggregate, usize),
    /// A scalar, and its text without type byte and CRLF.
    Text(Scalar, &'a [u8]),
}

/// What the next value lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// It is an aggregate without elements.
    Empty,
    /// Nothing.
    None,
    /// It is a null.
    Null,
}

/// The bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A position in a frame.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    /// The whole frame.
    bytes: &'a [u8],
    /// Offset of the next header. Invariant: at most `bytes.len()`.
    pos: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    /// Whether all bytes were consumed.
    #[inline]
    pub(super) fn at_end(&self) -> bool {
        self.pos == self.bytes.len()
    }

    /// The number of bytes that were consumed.
    #[inline]
    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    /// The bytes that were not consumed yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.pos..).unwrap_or_default()
    }

    /// The text of the next value if it is a bulk string; otherwise nothing is consumed.
    // Each value that a caller reads comes through here.
    #[inline(always)]
    pub(super) fn plain_bulk(&mut self) -> Option<&'a [u8]> {
        if *self.bytes.get(self.pos)? != b'$' {
            return None;
        }
        let Length::Is(length, start) = parse_length(self.bytes, self.pos + 1) else {
            return None;
        };
        let end = usize::try_from(length).ok()?.checked_add(start + 2)?;
        let line = self.bytes.get(start..end)?;
        let (text, end_of_line) = line.split_last_chunk::<2>()?;
        if end_of_line != b"\r\n" {
            return None;
        }
        self.pos = end;
        Some(text)
    }

    /// Whether the rest is `+OK`; if so, it is consumed.
    #[inline]
    pub(super) fn take_ok(&mut self) -> bool {
        let is_ok = self.rest() == b"+OK\r\n";
        if is_ok {
            self.pos = self.bytes.len();
        }
        is_ok
    }

    /// The next header; attributes before it are skipped.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Token<'a>, Malformed> {
        self.skip_attributes()?;
        let kind = *self.bytes.get(self.pos).ok_or(Malformed)?;
        match kind {
            b'$' => self.bulk(Scalar::Bulk),
            b':' => Ok(Token::Text(Scalar::Int, self.line()?)),
            b'+' => Ok(Token::Text(Scalar::Simple, self.line()?)),
            b'*' => self.open(Aggregate::Array),
            b'%' => self.open(Aggregate::Map),
            _ => self.next_rare(kind),
        }
    }

    fn next_rare(&mut self, kind: u8) -> Result<Token<'a>, Malformed> {
        match kind {
            b'-' => Ok(Token::Error(self.line()?)),
            b'_' if self.line()?.is_empty() => Ok(Token::Null),
            b',' => Ok(Token::Text(Scalar::Double, self.line()?)),
            b'#' => Ok(Token::Text(Scalar::Bool, self.line()?)),
            b'(' => Ok(Token::Text(Scalar::BigNumber, self.line()?)),
            b'=' => self.bulk(Scalar::Verbatim),
            b'!' => match self.bulk(Scalar::Bulk)? {
                Token::Text(_, text) => Ok(Token::Error(text)),
                _ => Err(Malformed),
            },
            b'~' => self.open(Aggregate::Set),
            b'>' => self.open(Aggregate::Push),
            _ => Err(Malformed),
        }
    }

    /// Whether the next value is a null; attributes before it are skipped.
    #[inline]
    pub(super) fn at_null(&mut self) -> Result<bool, Malformed> {
        Ok(self.absence()? == Absence::Null)
    }

    /// Whether the next value is a null or an empty aggregate; attributes before it are skipped.
    #[inline]
    pub(super) fn absence(&mut self) -> Result<Absence, Malformed> {
        self.skip_attributes()?;
        Ok(match self.bytes.get(self.pos) {
            Some(b'$') if self.bytes.get(self.pos + 1) != Some(&b'-') => Absence::None,
            _ => self.rare_absence(),
        })
    }

    #[inline(never)]
    fn rare_absence(&self) -> Absence {
        match self.bytes.get(self.pos..) {
            Some([b'$' | b'*', b'-', ..] | [b'_', ..]) => Absence::Null,
            Some([b'*' | b'%' | b'~', b'0', ..]) => Absence::Empty,
            _ => Absence::None,
        }
    }

    /// Skips `values` whole values. Returns the text of the first error among them, if there is
    /// one.
    pub(super) fn skip(&mut self, values: usize) -> Result<Option<&'a [u8]>, Malformed> {
        let mut open = values;
        let mut error = None;
        while open > 0 {
            open -= 1;
            match self.next()? {
                Token::Error(text) => error = error.or(Some(text)),
                Token::Open(kind, count) => {
                    let values = if kind == Aggregate::Map { 2 * count } else { count };
                    open = open.checked_add(values).ok_or(Malformed)?;
                }
                Token::Null | Token::Text(..) => {}
            }
        }
        Ok(error)
    }

    /// Skips all attributes at this position, and the attributes inside of them.
    #[inline]
    fn skip_attributes(&mut self) -> Result<(), Malformed> {
        if self.bytes.get(self.pos) == Some(&b'|') { self.skip_attributes_cold() } else { Ok(()) }
    }

    /// Counts open values instead of recursing: nothing limits how deep attributes nest.
    #[cold]
    fn skip_attributes_cold(&mut self) -> Result<(), Malformed> {
        let mut open = 0_usize;
        loop {
            let kind = *self.bytes.get(self.pos).ok_or(Malformed)?;
            if kind != b'|' {
                match open.checked_sub(1) {
                    Some(left) => open = left,
                    None => return Ok(()),
                }
            }
            let inner = match kind {
                b'|' | b'%' => 2 * self.count()?.ok_or(Malformed)?,
                b'*' | b'~' | b'>' => self.count()?.unwrap_or(0),
                b'$' | b'=' | b'!' => self.bulk(Scalar::Bulk).map(|_| 0)?,
                _ => self.line().map(|_| 0)?,
            };
            open = open.checked_add(inner).ok_or(Malformed)?;
        }
    }

    /// The text of the line behind the type byte.
    #[inline]
    fn line(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.pos + 1;
        let end = find_crlf(self.bytes, start).ok_or(Malformed)?;
        self.pos = end + 2;
        self.bytes.get(start..end).ok_or(Malformed)
    }

    /// A length, that many bytes and CRLF; or a null.
    #[inline]
    fn bulk(&mut self, kind: Scalar) -> Result<Token<'a>, Malformed> {
        match parse_length(self.bytes, self.pos + 1) {
            Length::Is(length, start) => {
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                let rest = self.bytes.get(start..).ok_or(Malformed)?;
                let text = rest.get(..length).ok_or(Malformed)?;
                // `length` is at most `rest.len()`, so this cannot overflow.
                if rest.get(length..length + 2) != Some(b"\r\n") {
                    return Err(Malformed);
                }
                self.pos = start + length + 2;
                Ok(Token::Text(kind, text))
            }
            Length::Null(next) if kind == Scalar::Bulk => {
                self.pos = next;
                Ok(Token::Null)
            }
            _ => Err(Malformed),
        }
    }

    #[inline]
    fn open(&mut self, kind: Aggregate) -> Result<Token<'a>, Malformed> {
        match self.count()? {
            Some(count) => Ok(Token::Open(kind, count)),
            None if kind == Aggregate::Array => Ok(Token::Null),
            None => Err(Malformed),
        }
    }

    /// The count of an aggregate; `None` for -1.
    #[inline]
    fn count(&mut self) -> Result<Option<usize>, Malformed> {
        match parse_length(self.bytes, self.pos + 1) {
            Length::Is(count, next) => {
                let room = self.bytes.len().saturating_sub(next) / ELEMENT_BYTES_MIN;
                let count = usize::try_from(count).map_err(|_| Malformed)?;
                if count > room {
                    return Err(Malformed);
                }
                self.pos = next;
                Ok(Some(count))
            }
            Length::Null(next) => {
                self.pos = next;
                Ok(None)
            }
            _ => Err(Malformed),
        }
    }
}
