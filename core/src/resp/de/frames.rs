//! Decodes the replies of a pipeline as one list.
//!
//! Each frame is decoded as the element at its index, so that a tuple gives every reply a type of
//! its own.
//! Invariant: if the type takes more or fewer elements than there are frames, that is an error.

use super::super::blob::BLOB_NAME;
use super::super::cursor::Malformed;
use super::super::decode_error::DecodeError;
use super::super::value::VALUE_NAME;
use super::decoder::Decoder;
use bytes::Bytes;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use std::any::type_name;

/// Decodes several complete frames as the elements of one list.
///
/// # Errors
/// As `from_frame`, for the first frame that does not fit; or `T` takes more or fewer elements.
pub(crate) fn from_frames<T: DeserializeOwned>(frames: &[Bytes]) -> Result<T, DecodeError> {
    T::deserialize(Frames { all: frames, next: 0 }).map_err(|error| error.within(type_name::<T>()))
}

/// Several frames as one list.
struct Frames<'de> {
    /// In the order of their commands.
    all: &'de [Bytes],
    /// Index of the next frame. Invariant: at most `all.len()`.
    next: usize,
}

impl<'de> Deserializer<'de> for Frames<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, DecodeError> {
        let value = visitor.visit_seq(&mut self)?;
        match self.all.len() - self.next {
            0 => Ok(value),
            more => Err(de::Error::custom(format_args!("{more} replies more than the type takes"))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    /// A newtype around a list is read as that list; serde would read it as a list of one element.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == VALUE_NAME || name == BLOB_NAME {
            self.deserialize_any(visitor)
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Frames<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some(frame) = self.all.get(self.next) else { return Ok(None) };
        let mut decoder = Decoder::new(frame);
        match seed.deserialize(&mut decoder) {
            Ok(value) if decoder.cursor.at_end() => {
                self.next += 1;
                Ok(Some(value))
            }
            Ok(_) => Err(DecodeError::from(Malformed).in_reply(self.next)),
            Err(error) => Err(error.in_reply(self.next)),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.all.len() - self.next)
    }
}
