//! Replies as they lie on the wire, so that two servers can be compared byte for byte, or without
//! what may differ: an order, a time, a choice by chance.
//!
//! Used by `peer` and by the tests of `beside_redis.rs`. It shares nothing with slotcar or the
//! simulator.

use std::fmt::Write as _;

/// One reply or push.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// A line, by its marker: status, error, integer, double, boolean, big number.
    Line(u8, String),
    /// A string, by its marker.
    Bulk(u8, Vec<u8>),
    /// Null, in the three forms that it has: `$-1`, `*-1`, `_`.
    Null(&'static str),
    /// An array, set, map, push or attribute; a map has twice as many items as its count says.
    Many(u8, Vec<Self>),
}

impl Frame {
    /// The first frame of `bytes` and its length; `None` when it is not whole yet.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let marker = bytes[0];
        let line = String::from_utf8_lossy(&bytes[1..end]).into_owned();
        let after = end + 2;
        Some(match (marker, line.as_str()) {
            (b'$', "-1") => (Self::Null("nil"), after),
            (b'*', "-1") => (Self::Null("nil-array"), after),
            (b'_', _) => (Self::Null("null"), after),
            (b'$' | b'=', len) => {
                let len: usize = len.parse().ok()?;
                let text = bytes.get(after..after + len)?.to_vec();
                bytes.get(after + len + 1)?;
                (Self::Bulk(marker, text), after + len + 2)
            }
            (b'*' | b'~' | b'>' | b'%' | b'|', count) => {
                let count: usize = count.parse().ok()?;
                let count = if b"%|".contains(&marker) { count * 2 } else { count };
                let (mut items, mut at) = (Vec::new(), after);
                for _ in 0..count {
                    let (item, len) = Self::read(&bytes[at..])?;
                    items.push(item);
                    at += len;
                }
                (Self::Many(marker, items), at)
            }
            _ => (Self::Line(marker, line), after),
        })
    }

    /// Whether it is this string.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Bulk(b'$', bytes) if bytes == text.as_bytes())
    }

    /// The text to compare: as it is, `sorted` at every depth, or without values (`shape`).
    pub(crate) fn text(&self, sorted: bool, shape: bool) -> String {
        match self {
            Self::Line(b':', _) if shape => "int".to_owned(),
            Self::Line(b',', _) if shape => "double".to_owned(),
            Self::Bulk(..) if shape => "text".to_owned(),
            Self::Line(marker, line) => format!("{}{line}", char::from(*marker)),
            Self::Bulk(marker, text) => {
                let marker = if *marker == b'=' { "=" } else { "" };
                format!("{marker}{}", comparable(text))
            }
            Self::Null(form) => (*form).to_owned(),
            Self::Many(marker, items) => {
                let mut texts: Vec<String> =
                    items.iter().map(|item| item.text(sorted, shape)).collect();
                for at in 1..items.len() {
                    // HELLO says the number of the connection.
                    if items[at - 1].is_text("id") && matches!(items[at], Self::Line(b':', _)) {
                        "(a number)".clone_into(&mut texts[at]);
                    }
                }
                if sorted {
                    texts.sort_unstable();
                }
                format!("{}[{}]", char::from(*marker), texts.join(" "))
            }
        }
    }
}

/// A string without what depends on the clock or the network: an id that a stream made of the time,
/// and the values in the lines of CLIENT LIST.
fn comparable(text: &[u8]) -> String {
    let plain = String::from_utf8_lossy(text);
    if is_present_id(&plain) {
        return "(an id of the present)".to_owned();
    }
    if plain.contains(" laddr=") {
        let line = plain.lines().next().unwrap_or_default();
        let names = line.split(' ').filter_map(|part| part.split('=').next());
        return format!("(clients: {})", names.collect::<Vec<_>>().join(" "));
    }
    quoted(text)
}

/// Whether this is `ms-seq`, with a time after the year 2020.
fn is_present_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(ms, seq)| {
        ms.len() == 13
            && ms.starts_with('1')
            && ms.bytes().all(|b| b.is_ascii_digit())
            && !seq.is_empty()
            && seq.bytes().all(|b| b.is_ascii_digit())
    })
}

fn quoted(text: &[u8]) -> String {
    let mut quoted = String::new();
    let _ = write!(quoted, "\"{}\"", text.escape_ascii());
    quoted
}

/// What a server did with the requests of a case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// The replies, one after the other.
    pub(crate) replies: Vec<Frame>,
    /// The connection was closed.
    pub(crate) closed: bool,
    /// What the fixtures hold afterwards, as one text.
    pub(crate) state: String,
    /// The same without values, for what is chosen by chance.
    pub(crate) shape: String,
}

impl Answer {
    /// What is compared of the state.
    pub(crate) fn state(&self, mark: char) -> &str {
        if mark == '?' { &self.shape } else { &self.state }
    }

    /// The replies in the form in which a line's mark has them compared.
    pub(crate) fn text(&self, mark: char) -> String {
        let mut texts: Vec<String> =
            self.replies.iter().map(|reply| reply.text(mark == '~', mark == '?')).collect();
        if self.closed {
            texts.push("(closed)".to_owned());
        }
        texts.join("  ")
    }
}
