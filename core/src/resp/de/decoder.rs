//! The state of decoding one frame, and what every type is read from: scalars as text or numbers.
//!
//! Text is what strings and numbers of any kind hold; of a boolean it is 1 or 0, as in RESP2. Where
//! a scalar is wanted and a pair is there, in a list of pairs, the pair is two elements of the
//! list: `ZRANGE .. WITHSCORES` sends pairs over RESP3, and a flat list over RESP2.
//! Invariant: `depth` is at most `DEPTH_MAX`; a server's error ends the decoding wherever a value
//! is wanted.

use super::super::cursor::{Aggregate, Cursor, Scalar, Token};
use super::super::decode_error::DecodeError;
use super::super::hints;
use super::super::scan::DEPTH_MAX;
use bytes::Bytes;
use serde::de::{self, Expected};
use std::str::FromStr;

/// The length of the header of an empty aggregate: `*0` and CRLF.
const EMPTY_HEADER_BYTES: usize = 4;

/// The state of decoding one frame.
pub(super) struct Decoder<'de> {
    /// The frame; blobs are slices of it.
    pub(super) frame: &'de Bytes,
    /// The position in the frame.
    pub(super) cursor: Cursor<'de>,
    /// Number of elements of the same list from the next value on; 0 if it is in no list. A pair
    /// may take two of them.
    pub(super) siblings: usize,
    /// Number of elements that the last value took beyond itself; -1, wrapped, if it was the first
    /// half of a pair, whose second half is an element of its own.
    pub(super) taken: usize,
    /// Number of aggregates around the cursor. Invariant: at most `DEPTH_MAX`.
    pub(super) depth: u32,
    /// Whether the list around the next value begins with an array.
    pub(super) is_nested: bool,
    /// Whether this is a pass beyond the first, which may use what others have noted.
    pub(super) is_again: bool,
    /// Offset of the key of the map that was read last; 0 if there was none.
    pub(super) key_at: usize,
}

impl<'de> Decoder<'de> {
    /// `is_again`: in a pass beyond the first.
    #[inline]
    pub(super) fn new(frame: &'de Bytes, is_again: bool) -> Self {
        Self {
            frame,
            cursor: Cursor::new(frame),
            siblings: 0,
            taken: 0,
            depth: 0,
            is_nested: false,
            is_again,
            key_at: 0,
        }
    }

    /// The next header; an error reply is returned as `Err`.
    #[inline]
    pub(super) fn token(&mut self) -> Result<Token<'de>, DecodeError> {
        match self.cursor.next()? {
            Token::Error(text) => Err(DecodeError::server(text)),
            token => Ok(token),
        }
    }

    /// The text of the next scalar.
    #[inline]
    pub(super) fn text(&mut self, wanted: &dyn Expected) -> Result<&'de [u8], DecodeError> {
        if let Some(text) = self.cursor.plain_bulk() {
            return Ok(text);
        }
        match self.token()? {
            Token::Text(Scalar::Bulk, text) => Ok(text),
            token => {
                let token = self.scalar_of(token);
                plain_text(&token).ok_or_else(|| DecodeError::mismatch(&wanted, &token))
            }
        }
    }

    /// The text of the next scalar as a part of the frame; that of a boolean is not in it.
    #[cold]
    pub(super) fn rare_slice(&mut self, wanted: &dyn Expected) -> Result<Bytes, DecodeError> {
        let text = self.text(wanted)?;
        let is_there = self.frame.as_ptr_range().contains(&text.as_ptr());
        Ok(if is_there { self.frame.slice_ref(text) } else { Bytes::copy_from_slice(text) })
    }

    /// A number of any width, from an integer, a double, a boolean or the digits in a string.
    #[inline]
    pub(super) fn number<T: FromStr>(&mut self, wanted: &dyn Expected) -> Result<T, DecodeError> {
        let mut token = self.token()?;
        if let Token::Open(..) = token {
            token = self.scalar_of(token);
        }
        let text = plain_text(&token);
        let number = text.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        number.ok_or_else(|| DecodeError::mismatch(&wanted, &token))
    }

    /// The first half of the pair that was opened, if the list around it is one of pairs: then the
    /// second half is the next element of that list. Otherwise `token` itself.
    #[cold]
    pub(super) fn scalar_of(&mut self, token: Token<'de>) -> Token<'de> {
        let is_element = self.is_nested && self.siblings > 0;
        if token != Token::Open(Aggregate::Array, 2) || !is_element {
            return token;
        }
        let mut ahead = self.cursor.clone();
        match (ahead.next(), ahead.next()) {
            // Integers are no keys: `[[1, 2], [3, 4]]` is a list of lists over both protocols.
            (Ok(Token::Text(Scalar::Int | Scalar::Bool, _)), _) => token,
            (Ok(first @ Token::Text(..)), Ok(Token::Text(..) | Token::Null)) => {
                self.taken = usize::MAX;
                self.cursor.next().map_or(token, |_| first)
            }
            _ => token,
        }
    }

    /// The same for a type that reads its own header: moves behind the header of the pair.
    #[cold]
    pub(super) fn enter_pair(&mut self) -> bool {
        let mut inside = self.cursor.clone();
        let Ok(open @ Token::Open(..)) = inside.next() else { return false };
        let before = std::mem::replace(&mut self.cursor, inside.clone());
        let is_pair = self.scalar_of(open) != open;
        self.cursor = if is_pair { inside } else { before };
        is_pair
    }

    /// The truth in a boolean, or in the text of another scalar.
    pub(super) fn truth(&mut self, wanted: &dyn Expected) -> Result<bool, DecodeError> {
        let mut token = self.token()?;
        if let Token::Open(..) = token {
            token = self.scalar_of(token);
        }
        match plain_text(&token) {
            Some(b"1" | b"true" | b"OK") => Ok(true),
            Some(b"0" | b"false") => Ok(false),
            _ => Err(DecodeError::mismatch(&wanted, &token)),
        }
    }

    /// The address of the next byte: the same in each pass over the reply.
    pub(super) fn address(&self) -> usize {
        self.cursor.rest().as_ptr() as usize
    }

    /// A type that has fields was asked for, and the aggregate that was opened has none. Returns
    /// whether an option is around it.
    #[cold]
    pub(super) fn note_empty(&self) -> bool {
        hints::note_empty(self.address() - EMPTY_HEADER_BYTES, self.is_again)
    }

    /// The same if `wanted` is a type that has fields: one with `serde(flatten)` asks for a map.
    #[cold]
    pub(super) fn note_empty_for(&self, wanted: &dyn Expected) -> bool {
        let wanted = wanted.to_string();
        let has_fields = ["struct ", "internally tagged enum "];
        has_fields.iter().any(|word| wanted.starts_with(word)) && self.note_empty()
    }

    /// The key of the map that was read last, if there was one.
    pub(super) fn last_key(&self) -> Option<&'de [u8]> {
        if self.key_at == 0 { None } else { key_text(self.frame, self.key_at) }
    }

    /// Counts one more open aggregate.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), DecodeError> {
        if self.depth as usize >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        Ok(())
    }

    /// Counts one open aggregate less; it is an error if `left`, the number of its elements that
    /// were not read, is not 0.
    #[inline]
    pub(super) fn leave(&mut self, left: usize, wanted: &str) -> Result<(), DecodeError> {
        self.depth -= 1;
        (self.siblings, self.taken) = (0, 0);
        if left == 0 {
            return Ok(());
        }
        Err(DecodeError::length(&wanted, &format_args!("{left} elements more")))
    }

    /// Reads `values` values without keeping them.
    pub(super) fn skip(&mut self, values: usize) -> Result<(), DecodeError> {
        match self.cursor.skip(values)? {
            Some(error) => Err(DecodeError::server(error)),
            None => Ok(()),
        }
    }
}

#[cold]
fn too_deep() -> DecodeError {
    de::Error::custom(format_args!("reply nests deeper than {DEPTH_MAX} levels"))
}

/// The text of the scalar at `at`.
pub(super) fn key_text(frame: &[u8], at: usize) -> Option<&[u8]> {
    plain_text(&Cursor::new(frame.get(at..)?).next().ok()?)
}

/// The text of a scalar.
#[inline]
pub(super) fn plain_text<'de>(token: &Token<'de>) -> Option<&'de [u8]> {
    match token {
        Token::Text(Scalar::Bool, b"t") => Some(b"1"),
        Token::Text(Scalar::Bool, b"f") => Some(b"0"),
        Token::Text(Scalar::Bool, _) => None,
        Token::Text(Scalar::Verbatim, text) => Some(without_format(text)),
        Token::Text(_, text) => Some(text),
        _ => None,
    }
}

/// The text of a verbatim string: `hello` of `txt:hello`.
fn without_format(text: &[u8]) -> &[u8] {
    match text.split_first_chunk::<4>() {
        Some(([_, _, _, b':'], text)) => text,
        _ => text,
    }
}

/// Decodes again, after `first`, the error of the first pass; an error of the server stays one.
#[cold]
pub(super) fn again<T>(
    first: DecodeError,
    pass: &mut dyn FnMut() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    if first.server_error().is_some() { Err(first) } else { hints::again(first, pass) }
}
