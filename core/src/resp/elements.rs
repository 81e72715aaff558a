//! Splits a frame without decoding it: into the elements of a list, or into one integer.
//!
//! It is for joining the replies of several nodes into one: their elements are copied as they are,
//! of any type.
//! Invariant: any bytes give `None` or an error, never a panic.
//! Spec: RESP, "RESP protocol description".

use super::cursor::{Aggregate, Cursor, Malformed, Token};
use super::decode_error::DecodeError;
use super::encode::put_head;

/// The elements of an aggregate, in order; of a map, its keys and values.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a> {
    /// The whole frame.
    frame: &'a [u8],
    /// Its position is that of the next element.
    cursor: Cursor<'a>,
    /// Number of elements that were not returned yet.
    left: usize,
    /// The type of the aggregate.
    kind: Aggregate,
}

impl<'a> Elements<'a> {
    /// The elements of a frame; `None` if it is a scalar, a null or an error.
    pub(crate) fn of(frame: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(frame);
        match cursor.next() {
            Ok(Token::Open(kind, count)) => {
                let left = if kind == Aggregate::Map { 2 * count } else { count };
                Some(Self { frame, cursor, left, kind })
            }
            _ => None,
        }
    }

    /// Whether it is an array, no map, set or push.
    pub(crate) fn is_array(&self) -> bool {
        self.kind == Aggregate::Array
    }

    /// Number of elements that were not returned yet.
    pub(crate) fn len(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let start = self.frame.len() - self.cursor.rest().len();
        let end = match self.cursor.skip(1) {
            Ok(_) => self.frame.len() - self.cursor.rest().len(),
            Err(malformed) => return Some(Err(malformed.into())),
        };
        Some(self.frame.get(start..end).ok_or_else(|| Malformed.into()))
    }
}

/// The integer in a frame; also one that was sent as text.
pub(crate) fn integer(frame: &[u8]) -> Option<i64> {
    match Cursor::new(frame).next() {
        Ok(Token::Text(_, digits)) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

/// Whether a frame is a null.
pub(crate) fn is_null(frame: &[u8]) -> bool {
    matches!(Cursor::new(frame).next(), Ok(Token::Null))
}

/// Writes the header of an aggregate of `elements` elements: of the type that all of `frames` have,
/// or of an array if they differ.
pub(crate) fn put_common_head(out: &mut Vec<u8>, elements: usize, frames: &[Elements<'_>]) {
    let kind = frames.first().map_or(Aggregate::Array, |first| first.kind);
    match kind {
        _ if frames.iter().any(|frame| frame.kind != kind) => put_head(out, b'*', elements),
        Aggregate::Map => put_head(out, b'%', elements / 2),
        Aggregate::Set => put_head(out, b'~', elements),
        Aggregate::Array | Aggregate::Push => put_head(out, b'*', elements),
    }
}

/// Writes an integer as a frame.
pub(crate) fn put_integer(out: &mut Vec<u8>, number: i64) {
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements come as they stand, whatever nests in them.
    #[test]
    fn elements_are_slices_of_the_frame() {
        let table: [(&str, Option<&[&str]>); 9] = [
            ("*0\r\n", Some(&[])),
            ("*2\r\n$1\r\na\r\n$-1\r\n", Some(&["$1\r\na\r\n", "$-1\r\n"])),
            ("*2\r\n*1\r\n:1\r\n_\r\n", Some(&["*1\r\n:1\r\n", "_\r\n"])),
            ("%1\r\n+a\r\n:1\r\n", Some(&["+a\r\n", ":1\r\n"])),
            ("~1\r\n#t\r\n", Some(&["#t\r\n"])),
            ("*-1\r\n", None),
            (":1\r\n", None),
            ("-ERR\r\n", None),
            ("", None),
        ];
        for (frame, expected) in table {
            let elements = Elements::of(frame.as_bytes());
            let elements: Option<Vec<&str>> = elements.map(|elements| {
                elements.map(|e| std::str::from_utf8(e.unwrap()).unwrap()).collect()
            });
            assert_eq!(elements.as_deref(), expected, "{frame:?}");
        }
        let cut: Vec<_> = Elements::of(b"*2\r\n:1\r\n:2").unwrap().collect();
        assert_eq!(cut, [Ok(&b":1\r\n"[..]), Err(Malformed.into())]);
    }

    #[test]
    fn numbers_and_nulls_are_told_at_a_glance() {
        assert_eq!(integer(b":-7\r\n"), Some(-7));
        assert_eq!(integer(b"$2\r\n12\r\n"), Some(12));
        assert_eq!(integer(b"+OK\r\n"), None);
        assert_eq!(integer(b"*1\r\n:1\r\n"), None);
        assert!(is_null(b"_\r\n") && is_null(b"$-1\r\n") && is_null(b"*-1\r\n"));
        assert!(!is_null(b"$0\r\n\r\n") && !is_null(b""));
        let mut out = Vec::new();
        put_integer(&mut out, -12);
        assert_eq!(out, b":-12\r\n");
    }
}
