//! Why a reply does not fit the type that the caller asked for.
//!
//! The text names what was wanted, what came (shortened and escaped: an error must not carry a
//! 512 MiB value into a log) and the whole target type. It is boxed, so that the `Result` of the
//! typed decoding stays two words on the way that does not fail.
//! Called by `de`; the driver wraps it with the command's name.

use super::cursor::{Aggregate, Malformed, Scalar, Token};
use super::excerpt::excerpt;
use super::server_error::ServerError;
use serde::de::{self, Expected, Unexpected};
use std::fmt;

/// A reply that could not be decoded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DecodeError(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    /// What happened.
    problem: Problem,
    /// The type that `from_frame` was asked for; empty until it is known.
    target: &'static str,
    /// Which of a pipeline's replies, the first being 0.
    reply_index: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Problem {
    /// A type's own words, or serde's: a missing field, for one.
    Custom(String),
    /// The bytes are no RESP.
    Malformed,
    /// Something else came.
    Mismatch { wanted: String, got: String },
    /// The server's error stands where a value should.
    Server(ServerError),
}

impl DecodeError {
    fn new(problem: Problem) -> Self {
        Self(Box::new(Inner { problem, target: "", reply_index: None }))
    }

    #[cold]
    pub(super) fn server(text: &[u8]) -> Self {
        Self::new(Problem::Server(ServerError::from_text(text)))
    }

    #[cold]
    pub(super) fn mismatch(wanted: &dyn fmt::Display, got: &dyn fmt::Display) -> Self {
        Self::new(Problem::Mismatch { wanted: wanted.to_string(), got: got.to_string() })
    }

    /// The same, with the type that the whole reply was to become.
    #[cold]
    pub(super) fn within(mut self, target: &'static str) -> Self {
        self.0.target = target;
        self
    }

    /// The same, with the place of the reply in its pipeline.
    #[cold]
    pub(super) fn in_reply(mut self, index: usize) -> Self {
        self.0.reply_index = Some(index);
        self
    }

    /// The server's error that stood in the reply, where that is the reason.
    pub(crate) fn server_error(&self) -> Option<&ServerError> {
        match &self.0.problem {
            Problem::Server(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Malformed> for DecodeError {
    #[cold]
    fn from(_: Malformed) -> Self {
        Self::new(Problem::Malformed)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.0.reply_index {
            write!(f, "reply {index}: ")?;
        }
        match &self.0.problem {
            Problem::Custom(text) => f.write_str(text)?,
            Problem::Malformed => f.write_str("malformed reply")?,
            Problem::Mismatch { wanted, got } => write!(f, "expected {wanted}, got {got}")?,
            // The target would only repeat what the caller asked for: the server said no.
            Problem::Server(error) => return write!(f, "server error in reply: {error}"),
        }
        let target = without_paths(self.0.target);
        match &self.0.problem {
            _ if target.is_empty() => Ok(()),
            Problem::Mismatch { wanted, .. } if *wanted == target => Ok(()),
            _ => write!(f, ", while decoding {target}"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Problem::Custom(text.to_string()))
    }

    #[cold]
    fn invalid_type(got: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::mismatch(&wanted, &Shown(got))
    }

    #[cold]
    fn invalid_value(got: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::mismatch(&wanted, &Shown(got))
    }

    #[cold]
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let wanted = format!("one of {}", expected.join(", "));
        Self::mismatch(&wanted, &format_args!("\"{}\"", excerpt(variant.as_bytes())))
    }
}

/// serde's words for a value, with long texts shortened.
struct Shown<'a>(Unexpected<'a>);

impl fmt::Display for Shown<'_> {
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

/// A type's name with every module path taken off: `Vec<u64>` for `alloc::vec::Vec<u64>`.
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
