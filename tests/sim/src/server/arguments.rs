//! Reading arguments, with the error texts of servers.
//!
//! Numbers are strict as they are on a server: no sign but `-`, no zeros in front, no space.

use super::command::{NOT_A_FLOAT, NOT_AN_INTEGER, Stop, fail};
use super::value::parse_int;
use bytes::Bytes;

/// An integer.
pub(crate) fn int(argument: &[u8]) -> Result<i64, Stop> {
    parse_int(argument).ok_or(NOT_AN_INTEGER)
}

/// An integer, or the error that the caller gives.
pub(crate) fn int_or(argument: &[u8], text: &'static str) -> Result<i64, Stop> {
    parse_int(argument).ok_or(fail(text))
}

/// A number, possibly infinite, never NaN.
pub(crate) fn float(argument: &[u8]) -> Result<f64, Stop> {
    float_or(argument, NOT_A_FLOAT)
}

/// A number, or the error that the caller gives.
pub(crate) fn float_or(argument: &[u8], error: Stop) -> Result<f64, Stop> {
    let text = std::str::from_utf8(argument).ok();
    text.and_then(crate::resp::parse_float).ok_or(error)
}

/// A number of keys or members that must be positive.
pub(crate) fn positive(argument: &[u8], text: &'static str) -> Result<usize, Stop> {
    match parse_int(argument) {
        Some(value) if value > 0 => Ok(value as usize),
        _ => Err(fail(text)),
    }
}

/// An integer whose opposite is one too, for counts that are negative to say "from the end".
pub(crate) fn signed_count(argument: &[u8]) -> Result<i64, Stop> {
    match int(argument)? {
        i64::MIN => Err(fail(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        )),
        count => Ok(count),
    }
}

/// An integer of 32 bits, as the numbers of databases are.
pub(crate) fn int32(argument: &[u8]) -> Result<i64, Stop> {
    match int(argument)? {
        number if i32::try_from(number).is_ok() => Ok(number),
        _ => Err(fail("ERR value is out of range, value must between -2147483648 and 2147483647")),
    }
}

/// A server adds a time-out to its clock, and refuses one whose end it cannot count, in Unix
/// milliseconds. The clock of a simulation stays below this.
const CLOCK_MS_MAX: i64 = 1 << 42;
const TIMEOUT_TOO_LONG: Stop = fail("ERR timeout is out of range");

/// How long a blocking command waits, in milliseconds; `None` means without a limit.
pub(crate) fn timeout(argument: &[u8]) -> Result<Option<u64>, Stop> {
    let text = std::str::from_utf8(argument).ok();
    // A server reads it with more range than a double has.
    let huge = text.and_then(crate::resp::parse_bound).is_some_and(|s| s == f64::INFINITY);
    if huge {
        return Err(TIMEOUT_TOO_LONG);
    }
    let seconds = float_or(argument, fail("ERR timeout is not a float or out of range"))?;
    if seconds < 0.0 {
        return Err(fail("ERR timeout is negative"));
    }
    let millis = (seconds * 1000.0).ceil();
    if millis > (i64::MAX - CLOCK_MS_MAX) as f64 {
        return Err(TIMEOUT_TOO_LONG);
    }
    Ok(if millis == 0.0 { None } else { Some(millis as u64) })
}

/// The same in whole milliseconds, as `XREAD` takes it.
pub(crate) fn timeout_ms(argument: &[u8]) -> Result<Option<u64>, Stop> {
    let text = "ERR timeout is not an integer or out of range";
    match int_or(argument, text)? {
        0 => Ok(None),
        ms if ms < 0 => Err(fail("ERR timeout is negative")),
        ms if ms > i64::MAX - CLOCK_MS_MAX => Err(TIMEOUT_TOO_LONG),
        ms => Ok(Some(ms as u64)),
    }
}

/// Whether an argument is this keyword, in any case.
pub(crate) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// A position as commands count them (negative from the end), as an index that may lie outside.
pub(crate) fn position(index: i64, len: usize) -> i64 {
    if index < 0 { index.saturating_add(len as i64) } else { index }
}

/// An inclusive range as commands give it, as a half-open range of indices; empty when nothing lies
/// inside.
pub(crate) fn slice(start: i64, stop: i64, len: usize) -> std::ops::Range<usize> {
    let start = position(start, len).max(0) as usize;
    let stop = position(stop, len).saturating_add(1).clamp(0, len as i64) as usize;
    if start < stop { start..stop } else { 0..0 }
}

/// The same for ranges of bytes, where an end before the start of the string means its first byte.
pub(crate) fn byte_slice(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    slice(start, position(end, len).max(0), len)
}

/// Walks over arguments, for commands with options.
#[derive(Clone, Debug)]
pub(crate) struct Options<'a> {
    /// The arguments not read yet.
    rest: &'a [Bytes],
}

impl<'a> Options<'a> {
    pub(crate) fn new(rest: &'a [Bytes]) -> Self {
        Self { rest }
    }

    /// The next argument.
    pub(crate) fn next(&mut self) -> Option<&'a Bytes> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The value that an option must have.
    pub(crate) fn value(&mut self) -> Result<&'a Bytes, Stop> {
        self.next().ok_or(super::command::SYNTAX)
    }

    /// The integer that an option must have.
    pub(crate) fn int(&mut self) -> Result<i64, Stop> {
        int(self.value()?)
    }

    /// Takes the next argument when it is this keyword.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let found = self.rest.first().is_some_and(|a| is(a, word));
        if found {
            self.next();
        }
        found
    }

    /// All arguments not read yet.
    pub(crate) fn rest(&self) -> &'a [Bytes] {
        self.rest
    }

    /// Takes `count` arguments in one piece.
    pub(crate) fn many(&mut self, count: usize) -> Result<&'a [Bytes], Stop> {
        if count > self.rest.len() {
            return Err(super::command::SYNTAX);
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_clamp_as_servers_do() {
        let table = [
            ((0, -1, 3), 0..3),
            ((-2, -1, 3), 1..3),
            ((-100, 100, 3), 0..3),
            ((2, 1, 3), 0..0),
            ((5, 9, 3), 0..0),
            ((0, -100, 3), 0..0),
            ((0, 0, 0), 0..0),
            ((0, i64::MAX, 3), 0..3),
            ((i64::MIN, i64::MAX, 3), 0..3),
            ((i64::MAX, i64::MIN, 3), 0..0),
        ];
        for ((start, stop, len), expected) in table {
            assert_eq!(slice(start, stop, len), expected);
        }
    }
}
