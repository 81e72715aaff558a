//! The replies to several commands as one list: a pipeline's answer.
//!
//! Each frame is decoded as the element that stands in its place, so that a tuple gives every reply
//! a type of its own. Invariant: there are as many frames as the type wants, or it is an error.
//! Called in the caller's task by whatever hands a pipeline's replies out.

use super::super::cursor::Malformed;
use super::super::decode_error::DecodeError;
use super::Decoder;
use bytes::Bytes;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use std::any::type_name;

/// Decodes several whole frames as the elements of one list.
///
/// # Errors
/// As `from_frame`, for the first frame that does not fit, or when `T` wants more or fewer of them.
pub(crate) fn from_frames<T: DeserializeOwned>(frames: &[Bytes]) -> Result<T, DecodeError> {
    T::deserialize(Frames { frames }).map_err(|error| error.within(type_name::<T>()))
}

/// Several frames as one list.
struct Frames<'de> {
    /// Those that are left.
    frames: &'de [Bytes],
}

impl<'de> Deserializer<'de> for Frames<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, DecodeError> {
        let value = visitor.visit_seq(&mut self)?;
        if self.frames.is_empty() {
            return Ok(value);
        }
        Err(de::Error::custom(format_args!("{} replies more than asked for", self.frames.len())))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Frames<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some((frame, rest)) = self.frames.split_first() else { return Ok(None) };
        self.frames = rest;
        let mut decoder = Decoder::new(frame);
        let value = seed.deserialize(&mut decoder)?;
        if decoder.cursor.at_end() { Ok(Some(value)) } else { Err(Malformed.into()) }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.frames.len())
    }
}
