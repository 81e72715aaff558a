//! Replies, and their bytes in both protocols.
//!
//! A handler returns the meaning (a map, a double, pairs); this file encodes it for RESP3 or RESP2,
//! which has only arrays and strings.

use super::number::double;
use bytes::{BufMut as _, Bytes, BytesMut};
use std::borrow::Cow;

/// The protocol that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Proto {
    /// Every connection before `HELLO 3`.
    #[default]
    Resp2,
    /// After it.
    Resp3,
}

/// A reply, or a push.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// Nothing at all is written.
    Nothing,
    /// `+OK` and the like.
    Status(Cow<'static, str>),
    /// An error line: code, space, text.
    Error(Cow<'static, str>),
    /// An integer.
    Int(i64),
    /// A string of any bytes.
    Bulk(Bytes),
    /// No value in place of a string.
    Null,
    /// No value in place of an array.
    NullArray,
    /// A number; a string in RESP2.
    Double(f64),
    /// A text with its format, such as `txt`; a string in RESP2.
    Verbatim(&'static str, String),
    /// An array.
    Array(Vec<Self>),
    /// An array without an order; an array in RESP2.
    Set(Vec<Self>),
    /// Keys and values; a flat array in RESP2.
    Map(Vec<(Self, Self)>),
    /// Two-element arrays; a flat array in RESP2.
    Pairs(Vec<(Self, Self)>),
    /// Keys and values; an array of two-element arrays in RESP2.
    MapOfArrays(Vec<(Self, Self)>),
    /// An out-of-band message; an array in RESP2.
    Push(Vec<Self>),
    /// Several replies in a row, as for `SUBSCRIBE a b`.
    Many(Vec<Self>),
}

impl Reply {
    pub(crate) const OK: Self = Self::Status(Cow::Borrowed("OK"));

    /// A constant string.
    pub(crate) const fn text(text: &'static str) -> Self {
        Self::Bulk(Bytes::from_static(text.as_bytes()))
    }

    /// A computed string.
    pub(crate) fn string(text: impl Into<String>) -> Self {
        Self::Bulk(Bytes::from(text.into()))
    }

    /// A count.
    pub(crate) fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// 1 or 0.
    pub(crate) fn flag(yes: bool) -> Self {
        Self::Int(i64::from(yes))
    }

    /// A string, or null.
    pub(crate) fn maybe(value: Option<Bytes>) -> Self {
        value.map_or(Self::Null, Self::Bulk)
    }

    /// An array of strings.
    pub(crate) fn bulks(values: impl IntoIterator<Item = Bytes>) -> Self {
        Self::Array(values.into_iter().map(Self::Bulk).collect())
    }

    /// A computed error.
    pub(crate) fn error(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Error(text.into())
    }

    /// Appends the reply's bytes.
    pub(crate) fn encode(&self, proto: Proto, out: &mut BytesMut) {
        let resp3 = proto == Proto::Resp3;
        match self {
            Self::Nothing => {}
            Self::Status(text) => line(out, b'+', text),
            Self::Error(text) => line(out, b'-', text),
            Self::Int(value) => number(out, b':', *value),
            Self::Bulk(bytes) => bulk(out, bytes),
            Self::Null | Self::NullArray if resp3 => out.put_slice(b"_\r\n"),
            Self::Null => out.put_slice(b"$-1\r\n"),
            Self::NullArray => out.put_slice(b"*-1\r\n"),
            Self::Double(value) if resp3 => line(out, b',', &double(*value)),
            Self::Double(value) => bulk(out, double(*value).as_bytes()),
            Self::Verbatim(format, text) if resp3 => {
                number(out, b'=', text.len() as i64 + 4);
                out.put_slice(format.as_bytes());
                out.put_u8(b':');
                out.put_slice(text.as_bytes());
                out.put_slice(b"\r\n");
            }
            Self::Verbatim(_, text) => bulk(out, text.as_bytes()),
            Self::Array(items) => sequence(out, b'*', items, proto),
            Self::Set(items) => sequence(out, if resp3 { b'~' } else { b'*' }, items, proto),
            Self::Push(items) => sequence(out, if resp3 { b'>' } else { b'*' }, items, proto),
            Self::Map(pairs) | Self::MapOfArrays(pairs) if resp3 => {
                number(out, b'%', pairs.len() as i64);
                flat(out, pairs, proto);
            }
            Self::Pairs(pairs) if !resp3 => {
                number(out, b'*', pairs.len() as i64 * 2);
                flat(out, pairs, proto);
            }
            Self::Pairs(pairs) | Self::MapOfArrays(pairs) => {
                number(out, b'*', pairs.len() as i64);
                for (first, second) in pairs {
                    number(out, b'*', 2);
                    first.encode(proto, out);
                    second.encode(proto, out);
                }
            }
            Self::Map(pairs) => {
                number(out, b'*', pairs.len() as i64 * 2);
                flat(out, pairs, proto);
            }
            Self::Many(replies) => replies.iter().for_each(|reply| reply.encode(proto, out)),
        }
    }
}

fn flat(out: &mut BytesMut, pairs: &[(Reply, Reply)], proto: Proto) {
    for (first, second) in pairs {
        first.encode(proto, out);
        second.encode(proto, out);
    }
}

fn sequence(out: &mut BytesMut, marker: u8, items: &[Reply], proto: Proto) {
    number(out, marker, items.len() as i64);
    for item in items {
        item.encode(proto, out);
    }
}

fn bulk(out: &mut BytesMut, bytes: &[u8]) {
    number(out, b'$', bytes.len() as i64);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

/// A line of its own; line ends inside the text become spaces, as servers do for error texts.
fn line(out: &mut BytesMut, marker: u8, text: &str) {
    out.put_u8(marker);
    if text.bytes().any(|b| b == b'\r' || b == b'\n') {
        out.put_slice(text.replace(['\r', '\n'], " ").as_bytes());
    } else {
        out.put_slice(text.as_bytes());
    }
    out.put_slice(b"\r\n");
}

fn number(out: &mut BytesMut, marker: u8, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_u8(marker);
    if value < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_in_both_protocols() {
        let a = || Reply::text("a");
        let table = [
            (Reply::OK, "+OK\r\n", "+OK\r\n"),
            (Reply::error("ERR a\nb"), "-ERR a b\r\n", "-ERR a b\r\n"),
            (Reply::Int(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
            (a(), "$1\r\na\r\n", "$1\r\na\r\n"),
            (Reply::Null, "$-1\r\n", "_\r\n"),
            (Reply::NullArray, "*-1\r\n", "_\r\n"),
            (Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (Reply::Verbatim("txt", "hi".into()), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
            (Reply::Set(vec![a()]), "*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n"),
            (Reply::Push(vec![a()]), "*1\r\n$1\r\na\r\n", ">1\r\n$1\r\na\r\n"),
            (
                Reply::Map(vec![(a(), Reply::Int(0))]),
                "*2\r\n$1\r\na\r\n:0\r\n",
                "%1\r\n$1\r\na\r\n:0\r\n",
            ),
            (
                Reply::Pairs(vec![(a(), Reply::Double(2.0))]),
                "*2\r\n$1\r\na\r\n$1\r\n2\r\n",
                "*1\r\n*2\r\n$1\r\na\r\n,2\r\n",
            ),
        ];
        for (reply, resp2, resp3) in table {
            for (proto, expected) in [(Proto::Resp2, resp2), (Proto::Resp3, resp3)] {
                let mut out = BytesMut::new();
                reply.encode(proto, &mut out);
                assert_eq!(out, expected.as_bytes(), "{reply:?} in {proto:?}");
            }
        }
    }
}
