//! Decodes any reply as a [`Value`], without loss.
//!
//! Unlike typed decoding, it keeps errors in their places and checks the text of every scalar.
//! Limits: recursion stops at `DEPTH_MAX`; the memory of a list grows with the elements that were
//! read.

use super::super::cursor::{Aggregate, Malformed, Scalar, Token};
use super::super::decode_error::DecodeError;
use super::super::server_error::ServerError;
use super::super::value::Value;
use super::decoder::Decoder;
use bytes::Bytes;

/// Number of elements that memory is allocated for before they are read.
const CAPACITY_MAX: usize = 4096;

/// Decodes a reply that the client reads for itself. These contain no doubles; their parser is
/// large, and the linker drops it from a program that decodes none.
///
/// # Errors
/// The bytes are not RESP.
pub(crate) fn plain_value(frame: &Bytes) -> Result<Value, DecodeError> {
    let mut decoder = Decoder::new(frame, false);
    let value = decoder.value::<true>().map_err(|error| error.within("Value"))?;
    if decoder.cursor.at_end() { Ok(value) } else { Err(DecodeError::from(Malformed)) }
}

impl<'de> Decoder<'de> {
    /// The next value. `PLAIN`: doubles stay text, as in RESP2.
    pub(super) fn value<const PLAIN: bool>(&mut self) -> Result<Value, DecodeError> {
        Ok(match self.cursor.next()? {
            Token::Null => Value::Null,
            Token::Error(text) => Value::Error(ServerError::from_text(text)),
            Token::Text(kind, text) => self.scalar_value::<PLAIN>(kind, text)?,
            Token::Open(Aggregate::Map, count) => {
                self.enter()?;
                let mut pairs = Vec::with_capacity(count.min(CAPACITY_MAX));
                for _ in 0..count {
                    pairs.push((self.value::<PLAIN>()?, self.value::<PLAIN>()?));
                }
                self.depth -= 1;
                Value::Map(pairs)
            }
            Token::Open(kind, count) => {
                self.enter()?;
                let mut elements = Vec::with_capacity(count.min(CAPACITY_MAX));
                for _ in 0..count {
                    elements.push(self.value::<PLAIN>()?);
                }
                self.depth -= 1;
                match kind {
                    Aggregate::Push => Value::Push(elements),
                    Aggregate::Set => Value::Set(elements),
                    Aggregate::Array | Aggregate::Map => Value::Array(elements),
                }
            }
        })
    }

    fn scalar_value<const PLAIN: bool>(
        &self,
        kind: Scalar,
        bytes: &'de [u8],
    ) -> Result<Value, Malformed> {
        let blob = |bytes: &[u8]| self.frame.slice_ref(bytes).into();
        let text = std::str::from_utf8(bytes);
        let number = text.map_err(|_| Malformed);
        Ok(match kind {
            Scalar::BigNumber => match number? {
                text if is_integer(text) => Value::BigNumber(text.to_owned()),
                _ => return Err(Malformed),
            },
            Scalar::Bool => match bytes {
                b"t" => Value::Bool(true),
                b"f" => Value::Bool(false),
                _ => return Err(Malformed),
            },
            Scalar::Bulk => Value::Blob(blob(bytes)),
            Scalar::Double if PLAIN => Value::Blob(blob(bytes)),
            Scalar::Double => Value::Double(number?.parse().map_err(|_| Malformed)?),
            Scalar::Int => Value::Int(number?.parse().map_err(|_| Malformed)?),
            Scalar::Simple => match text {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Blob(blob(bytes)),
            },
            Scalar::Verbatim => match bytes.split_first_chunk::<4>() {
                Some(([a, b, c, b':'], text)) => {
                    Value::Verbatim { format: [*a, *b, *c], text: blob(text) }
                }
                _ => Value::Blob(blob(bytes)),
            },
        })
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
