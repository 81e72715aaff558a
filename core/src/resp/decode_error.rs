//! Why a reply cannot be decoded into the type that the caller asked for.
//!
//! The text names what was expected, what was there, and the whole type that was asked for. What
//! was there is shortened and escaped: an error must not put a value of 512 MiB into a log.
//! The error is boxed, so that the `Result` of decoding stays small when nothing fails.

use super::cursor::{Aggregate, Malformed, Scalar, Token};
use super::excerpt::excerpt;
use super::server_error::ServerError;
use serde::de::{self, Expected, Unexpected};
use std::fmt;

/// A reply that could not be decoded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DecodeError(Box<Inner>);

/// The content of the error.
#[derive(Clone, Debug, PartialEq)]
struct Inner {
    /// What is wrong.
    cause: Cause,
    /// The name of the type that was asked for; empty until it is known.
    target: &'static str,
    /// The index of the reply in its pipeline, from 0.
    reply_index: Option<usize>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
enum Cause {
    /// The message of serde or of the type: a missing field, for example.
    Custom(String),
    /// The bytes are no RESP.
    Malformed,
    /// The reply is something else.
    Mismatch { wanted: String, got: String },
    /// The server's error is in the place of a value.
    Server(ServerError),
}

impl DecodeError {
    fn new(cause: Cause) -> Self {
        Self(Box::new(Inner { cause, target: "", reply_index: None }))
    }

    #[cold]
    pub(super) fn server(text: &[u8]) -> Self {
        Self::new(Cause::Server(ServerError::from_text(text)))
    }

    #[cold]
    pub(super) fn mismatch(wanted: &dyn fmt::Display, got: &dyn fmt::Display) -> Self {
        Self::new(Cause::Mismatch { wanted: wanted.to_string(), got: got.to_string() })
    }

    /// Adds the type that was asked for.
    #[cold]
    pub(super) fn within(mut self, target: &'static str) -> Self {
        self.0.target = target;
        self
    }

    /// Adds the index of the reply in its pipeline.
    #[cold]
    pub(super) fn in_reply(mut self, index: usize) -> Self {
        self.0.reply_index = Some(index);
        self
    }

    /// The server's error in the reply, if that is the cause.
    pub(crate) fn server_error(&self) -> Option<&ServerError> {
        match &self.0.cause {
            Cause::Server(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Malformed> for DecodeError {
    #[cold]
    fn from(_: Malformed) -> Self {
        Self::new(Cause::Malformed)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.0.reply_index {
            write!(f, "reply {index}: ")?;
        }
        match &self.0.cause {
            Cause::Custom(text) => f.write_str(text)?,
            Cause::Malformed => f.write_str("malformed reply")?,
            Cause::Mismatch { wanted, got } => write!(f, "expected {wanted}, got {got}")?,
            // The server refused the command: the type that was asked for does not matter.
            Cause::Server(error) => return write!(f, "server error in reply: {error}"),
        }
        let target = without_paths(self.0.target);
        match &self.0.cause {
            _ if target.is_empty() => Ok(()),
            Cause::Mismatch { wanted, .. } if *wanted == target => Ok(()),
            _ => write!(f, ", while decoding {target}"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Cause::Custom(text.to_string()))
    }

    #[cold]
    fn invalid_type(got: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::mismatch(&wanted, &Described(got))
    }

    #[cold]
    fn invalid_value(got: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::mismatch(&wanted, &Described(got))
    }

    #[cold]
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let wanted = format!("one of {}", expected.join(", "));
        Self::mismatch(&wanted, &format_args!("\"{}\"", excerpt(variant.as_bytes())))
    }
}

/// A value as serde describes it, with long texts shortened.
struct Described<'a>(Unexpected<'a>);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Str(text) => write!(f, "string \"{}\"", excerpt(text.as_bytes())),
            Unexpected::Bytes(bytes) => write!(f, "bytes \"{}\"", excerpt(bytes)),
            other => fmt::Display::fmt(&other, f),
        }
    }
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Error(text) => write!(f, "error \"{}\"", excerpt(text)),
            Token::Null => f.write_str("null"),
            Token::Open(kind, count) => {
                let (name, unit) = match kind {
                    Aggregate::Array => ("array", "elements"),
                    Aggregate::Map => ("map", "pairs"),
                    Aggregate::Push => ("push", "elements"),
                    Aggregate::Set => ("set", "elements"),
                };
                write!(f, "{name} of {count} {unit}")
            }
            Token::Text(kind, text) => {
                let text = excerpt(text);
                match kind {
                    Scalar::BigNumber => write!(f, "big number {text}"),
                    Scalar::Bool => write!(f, "boolean {text}"),
                    Scalar::Bulk => write!(f, "bulk string \"{text}\""),
                    Scalar::Double => write!(f, "double {text}"),
                    Scalar::Int => write!(f, "integer {text}"),
                    Scalar::Simple => write!(f, "simple string \"{text}\""),
                    Scalar::Verbatim => write!(f, "verbatim string \"{text}\""),
                }
            }
        }
    }
}

/// The name of a type without module paths: `Vec<u64>` for `alloc::vec::Vec<u64>`.
fn without_paths(name: &str) -> String {
    let mut short = String::new();
    for part in name.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_lose_their_paths() {
        let table = [
            ("u64", "u64"),
            ("alloc::vec::Vec<core::option::Option<a::b::C>>", "Vec<Option<C>>"),
            ("(alloc::string::String, [u8; 16])", "(String, [u8; 16])"),
            ("a::b<&c::d>", "b<&d>"),
        ];
        for (name, short) in table {
            assert_eq!(without_paths(name), short);
        }
    }
}
