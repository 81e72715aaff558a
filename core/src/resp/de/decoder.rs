//! The state of decoding one frame, and what every type is read from: scalars as text or numbers.
//!
//! Text is what bulk strings, simple strings, numbers and verbatim strings hold; a boolean has
//! none. Invariant: `depth` is at most `DEPTH_MAX`; a server's error ends the decoding wherever a
//! value is wanted.

use super::super::cursor::{Cursor, Scalar, Token};
use super::super::decode_error::DecodeError;
use super::super::scan::DEPTH_MAX;
use bytes::Bytes;
use serde::de::{self, Expected};
use std::str::FromStr;

/// The state of decoding one frame.
pub(super) struct Decoder<'de> {
    /// The frame; blobs are slices of it.
    pub(super) frame: &'de Bytes,
    /// The position in the frame.
    pub(super) cursor: Cursor<'de>,
    /// Number of aggregates around the cursor. Invariant: at most `DEPTH_MAX`.
    pub(super) depth: usize,
    /// Number of elements behind the next value in the same list. A pair may take one of them.
    pub(super) siblings: usize,
    /// Number of those elements that the last value took.
    pub(super) taken: usize,
}

impl<'de> Decoder<'de> {
    #[inline]
    pub(super) fn new(frame: &'de Bytes) -> Self {
        Self { frame, cursor: Cursor::new(frame), depth: 0, siblings: 0, taken: 0 }
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
            token => plain_text(&token).ok_or_else(|| DecodeError::mismatch(&wanted, &token)),
        }
    }

    /// A number of any width, from an integer, a double, a boolean or the digits in a string.
    #[inline]
    pub(super) fn number<T: FromStr>(&mut self, wanted: &dyn Expected) -> Result<T, DecodeError> {
        let token = self.token()?;
        let text = match &token {
            Token::Text(Scalar::Bool, b"t") => Some(&b"1"[..]),
            Token::Text(Scalar::Bool, b"f") => Some(&b"0"[..]),
            token => plain_text(token),
        };
        let number = text.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        number.ok_or_else(|| DecodeError::mismatch(&wanted, &token))
    }

    /// Counts one more open aggregate.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), DecodeError> {
        if self.depth >= DEPTH_MAX {
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
        Err(DecodeError::mismatch(&wanted, &format_args!("{left} elements more")))
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

/// The text of a scalar; a boolean has none.
#[inline]
pub(super) fn plain_text<'de>(token: &Token<'de>) -> Option<&'de [u8]> {
    match token {
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
