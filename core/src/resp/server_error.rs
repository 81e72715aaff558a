//! An error that a server answered with.
//!
//! An error line is a code, by convention in capitals, and a message: `WRONGTYPE Operation ...`.
//!
//! **Invariant**: any bytes make a [`ServerError`]; nothing is assumed about them.
//! This file holds the text. `error_class.rs` says what kind of error it is, and
//! `routing/error_policy.rs` what follows from that.
//! Spec: RESP, "Simple errors" and "Bulk errors".

use super::cursor::{Cursor, Token};
use std::fmt;

/// An error reply: a code such as `WRONGTYPE`, and a message.
///
/// `Display` writes the server's text, code and message; bytes that are not UTF-8 are replaced.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerError {
    /// The whole line. `code_bytes` is a character boundary in it.
    text: Box<str>,
    /// The length of the code, which `text` begins with.
    code_bytes: usize,
}

impl ServerError {
    /// From the text that follows the type byte.
    pub(crate) fn from_text(text: &[u8]) -> Self {
        let text: Box<str> = String::from_utf8_lossy(text).into();
        let code_bytes = text.find(' ').unwrap_or(text.len());
        Self { text, code_bytes }
    }

    /// From a whole frame of type `-` or `!`; `None` for other types.
    pub(crate) fn from_frame(frame: &[u8]) -> Option<Self> {
        match Cursor::new(frame).next() {
            Ok(Token::Error(text)) => Some(Self::from_text(text)),
            _ => None,
        }
    }

    /// The whole line.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The first word, which says what kind of error it is: `ERR`, `WRONGTYPE`, `LOADING`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.text.get(..self.code_bytes).unwrap_or_default()
    }

    /// The text after the code, for people to read.
    #[must_use]
    pub fn message(&self) -> &str {
        self.text.get(self.code_bytes + 1..).unwrap_or_default()
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerError({:?})", self.text)
    }
}

impl std::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_the_first_word_of_either_kind() {
        let table: [(&[u8], &str, &str); 6] = [
            (b"-ERR unknown command\r\n", "ERR", "unknown command"),
            (b"-WRONGTYPE\r\n", "WRONGTYPE", ""),
            (b"!9\r\nBUSY a\r\nb\r\n", "BUSY", "a\r\nb"),
            (b"|1\r\n+k\r\n:1\r\n-LOADING x\r\n", "LOADING", "x"),
            (b"-\r\n", "", ""),
            (b"-\xff\xfe x\r\n", "\u{fffd}\u{fffd}", "x"),
        ];
        for (frame, code, message) in table {
            let error = ServerError::from_frame(frame).expect("an error frame");
            assert_eq!((error.code(), error.message()), (code, message));
        }
        assert_eq!(ServerError::from_frame(b"+OK\r\n"), None);
        assert_eq!(ServerError::from_frame(b"!9\r\nBU"), None);
    }
}
