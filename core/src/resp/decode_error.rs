//! Why a reply cannot be decoded into the type that the caller asked for.
//!
//! The text names what was expected, what was there and where, the whole type that was asked for,
//! and a type that fits. What was there is shortened and escaped: an error must not put a value of
//! 512 MiB into a log.
//! The error is boxed, so that the `Result` of decoding stays small when nothing fails.

use super::cursor::{Aggregate, Malformed, Scalar, Token};
use super::excerpt::excerpt;
use super::hints;
use super::server_error::ServerError;
use serde::de::{self, Expected, Unexpected};
use std::fmt;

/// The longest place that is named, in bytes; of a longer one the inner end is kept.
const PLACE_BYTES_MAX: usize = 80;

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
    /// Where in the reply it is: elements and fields, outermost first; empty for the reply itself.
    place: String,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
enum Cause {
    /// The message of serde or of the type: a missing field, for example.
    Custom(String),
    /// The type has more or fewer elements than the reply.
    Length { wanted: String, got: String },
    /// The bytes are no RESP.
    Malformed,
    /// The reply is something else. `fits`: types that it is; empty if none is known.
    Mismatch { wanted: String, got: String, fits: &'static str },
    /// The server's error is in the place of a value.
    Server(ServerError),
}

impl DecodeError {
    fn new(cause: Cause) -> Self {
        Self(Box::new(Inner { cause, target: "", reply_index: None, place: String::new() }))
    }

    #[cold]
    pub(super) fn server(text: &[u8]) -> Self {
        Self::new(Cause::Server(ServerError::from_text(text)))
    }

    #[cold]
    pub(super) fn mismatch(wanted: &dyn fmt::Display, got: &Token<'_>) -> Self {
        let (wanted, fits) = (wanted.to_string(), fitting(got));
        Self::new(Cause::Mismatch { wanted, got: got.to_string(), fits })
    }

    /// The type has more or fewer elements than there are.
    #[cold]
    pub(super) fn length(wanted: &dyn fmt::Display, got: &dyn fmt::Display) -> Self {
        Self::new(Cause::Length { wanted: wanted.to_string(), got: got.to_string() })
    }

    /// If the length of the value itself is wrong, and not of something inside of it: says so in
    /// these words.
    #[cold]
    pub(super) fn of_length(self, wanted: &dyn fmt::Display, got: &dyn fmt::Display) -> Self {
        let is_own = matches!(self.0.cause, Cause::Length { .. }) && self.0.place.is_empty();
        if is_own { Self::length(wanted, got) } else { self }
    }

    /// The replies of `got` commands are a list, and the type is none.
    #[cold]
    pub(super) fn no_list(wanted: &str, got: usize) -> Self {
        let (wanted, got) = (wanted.to_owned(), format!("a list of {got} replies"));
        Self::new(Cause::Mismatch { wanted, got, fits: FITS_REPLIES })
    }

    /// The type takes only `taken` of `got` replies.
    #[cold]
    pub(super) fn fewer_than_replies(name: &str, taken: usize, got: usize) -> Self {
        let more = got - taken;
        let wanted = format!("{taken} replies for {}", without_paths(name));
        Self::length(&wanted, &format_args!("{got}: {more} replies more than the type takes"))
    }

    /// The type takes more than `got` replies; its defaults do not stand in for replies.
    #[cold]
    pub(super) fn more_than_replies(name: &str, got: usize) -> Self {
        Self::length(
            &format_args!("a reply for each part of {}", without_paths(name)),
            &Replies(got),
        )
    }

    /// Of an error of the list of `got` replies itself: says that they are replies.
    #[cold]
    pub(super) fn of_replies(mut self, got: usize) -> Self {
        let is_own = self.0.reply_index.is_none();
        match &mut self.0.cause {
            Cause::Length { got: is, .. } if is_own => *is = Replies(got).to_string(),
            Cause::Mismatch { got: is, fits, .. } if is_own => {
                (*is, *fits) = (format!("a list of {got} replies"), FITS_REPLIES);
            }
            _ => {}
        }
        self
    }

    /// Adds the element that it is in, counted from 0.
    #[cold]
    pub(super) fn in_element(self, index: usize) -> Self {
        self.in_place(&format_args!("element {index}"))
    }

    /// Adds the field of a map that it is in.
    #[cold]
    pub(super) fn in_field(self, key: &[u8]) -> Self {
        self.in_place(&format_args!("field \"{}\"", excerpt(key)))
    }

    fn in_place(mut self, outer: &dyn fmt::Display) -> Self {
        let place = &mut self.0.place;
        *place = match place.len() {
            0 => outer.to_string(),
            1..PLACE_BYTES_MAX => format!("{outer}, {place}"),
            _ => return self,
        };
        self
    }

    /// A mismatch of which no fitting type is known.
    #[cold]
    pub(super) fn described(wanted: &dyn fmt::Display, got: &dyn fmt::Display) -> Self {
        let (wanted, got) = (wanted.to_string(), got.to_string());
        Self::new(Cause::Mismatch { wanted, got, fits: "" })
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
            Cause::Length { wanted, got } | Cause::Mismatch { wanted, got, .. } => {
                write!(f, "expected {wanted}, got {got}")?;
            }
            // The server refused the command: the type that was asked for does not matter.
            Cause::Server(error) => return write!(f, "server error in reply: {error}"),
        }
        if !self.0.place.is_empty() {
            write!(f, " in {}", self.0.place)?;
        }
        let target = without_paths(self.0.target);
        match &self.0.cause {
            _ if target.is_empty() => {}
            Cause::Mismatch { wanted, .. } if *wanted == target => {}
            _ => write!(f, ", while decoding {target}")?,
        }
        match &self.0.cause {
            Cause::Mismatch { fits, .. } if !fits.is_empty() => write!(f, "; {fits} fits"),
            _ => Ok(()),
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
        if let Unexpected::Str(text) = got {
            hints::note_text(text, &wanted.to_string());
        }
        Self::described(&wanted, &Described(got))
    }

    #[cold]
    fn invalid_value(got: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::described(&wanted, &Described(got))
    }

    #[cold]
    fn invalid_length(len: usize, wanted: &dyn Expected) -> Self {
        Self::length(&wanted, &format_args!("{len} elements"))
    }

    #[cold]
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let wanted = format!("one of {}", expected.join(", "));
        Self::described(&wanted, &format_args!("\"{}\"", excerpt(variant.as_bytes())))
    }
}

/// The types that the replies of several commands fit.
const FITS_REPLIES: &str = "a tuple, a struct or Vec<T>";

/// A number of replies.
struct Replies(usize);

impl fmt::Display for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "reply" } else { "replies" })
    }
}

/// The types that a value fits, as words for an error.
fn fitting(got: &Token<'_>) -> &'static str {
    match got {
        Token::Error(_) => "",
        Token::Null => "Option<T>",
        Token::Open(Aggregate::Map, _) => "HashMap<K, V>, a struct or Vec<(K, V)>",
        Token::Open(..) => "Vec<T>",
        Token::Text(Scalar::Bool, _) => "bool",
        Token::Text(Scalar::Double, _) => "f64",
        Token::Text(Scalar::Int, text) => {
            let fits = std::str::from_utf8(text).is_ok_and(|text| text.parse::<i64>().is_ok());
            if fits { "i64" } else { "String" }
        }
        Token::Text(_, text) if std::str::from_utf8(text).is_ok() => "String",
        Token::Text(..) => "Blob or Vec<u8>",
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
