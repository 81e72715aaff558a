//! The bytes of a string as a list, for `Vec<u8>` and `[u8; N]`.
//!
//! serde reads a `Vec<u8>` as any list, element by element. So the text of any scalar can be read
//! as a list, but only of `u8`: anything else is an error. An empty string has no element that
//! would show the type, so the seed decodes one byte, whose value is dropped.
//! A [`Blob`](super::Blob) costs a fraction of this.

use super::cursor::Token;
use super::decode_error::DecodeError;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Reads a string byte by byte.
pub(super) struct ByteElements<'de> {
    /// The whole scalar, for the error.
    token: Token<'de>,
    /// Its text.
    text: &'de [u8],
    /// The bytes that were not read yet.
    left: std::slice::Iter<'de, u8>,
}

impl<'de> ByteElements<'de> {
    /// `text`: of the scalar `token`.
    pub(super) fn new(token: Token<'de>, text: &'de [u8]) -> Self {
        Self { token, text, left: text.iter() }
    }
}

impl<'de> SeqAccess<'de> for ByteElements<'de> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        match self.left.next() {
            Some(byte) => seed.deserialize(Byte { byte: *byte, token: self.token }).map(Some),
            None if self.text.is_empty() => {
                seed.deserialize(Byte { byte: 0, token: self.token }).map(|_| None)
            }
            None => Ok(None),
        }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// One byte of a string.
struct Byte<'de> {
    /// The byte itself.
    byte: u8,
    /// The whole scalar, for the error.
    token: Token<'de>,
}

impl<'de> Deserializer<'de> for Byte<'de> {
    type Error = DecodeError;

    #[inline]
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u8(self.byte)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::mismatch(&"a sequence", &self.token))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
