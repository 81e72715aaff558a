//! Decodes the replies of a pipeline or a transaction as one list.
//!
//! Each frame is decoded as the element at its index, so that a tuple gives every reply a type of
//! its own. The elements of EXEC are frames like any others: a type fits a transaction if, and only
//! if, it fits a pipeline.
//! Invariant: if the type takes more or fewer elements than there are frames, that is an error,
//! also where the type has defaults for what is missing.

use super::super::blob::BLOB_NAME;
use super::super::cursor::Malformed;
use super::super::decode_error::DecodeError;
use super::super::value::VALUE_NAME;
use super::decoder::{self, Decoder};
use bytes::Bytes;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Expected, SeqAccess, Visitor};
use std::any::type_name;

/// Decodes several complete frames as the elements of one list.
///
/// # Errors
/// As `from_frame`, for the first frame that does not fit; or `T` takes more or fewer elements.
pub(crate) fn from_frames<T: DeserializeOwned>(frames: &[Bytes]) -> Result<T, DecodeError> {
    let pass = |is_again| {
        let mut frames = Frames { all: frames, next: 0, is_short: false, is_again };
        T::deserialize(&mut frames)
    };
    let result = pass(false).or_else(|error| decoder::again(error, &mut || pass(true)));
    result.map_err(|error| error.within(type_name::<T>()))
}

/// Several frames as one list.
struct Frames<'de> {
    /// In the order of their commands.
    all: &'de [Bytes],
    /// Index of the next frame. Invariant: at most `all.len()`.
    next: usize,
    /// The type asked for more than there are.
    is_short: bool,
    /// Whether this is a pass beyond the first.
    is_again: bool,
}

impl<'de> Frames<'de> {
    /// Reads all frames as a list.
    fn list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, DecodeError> {
        let got = self.all.len();
        let name = type_name::<V::Value>();
        let value = visitor.visit_seq(&mut *self).map_err(|error| error.of_replies(got))?;
        match got - self.next {
            0 => Ok(value),
            _ => Err(DecodeError::fewer_than_replies(name, self.next, got)),
        }
    }

    /// The same for a type that has as many elements as it has.
    fn fixed_list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, DecodeError> {
        let name = type_name::<V::Value>();
        let value = self.list(visitor)?;
        if self.is_short {
            return Err(DecodeError::more_than_replies(name, self.all.len()));
        }
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Frames<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.list(visitor)
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
        if name == VALUE_NAME {
            self.list(visitor)
        } else if name == BLOB_NAME {
            Err(DecodeError::no_list("Blob", self.all.len()))
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    /// An error inside of a reply is one here, too, as in a reply of its own.
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        for (index, frame) in self.all.iter().enumerate() {
            // Most replies have no elements, and are no errors where others are looked for.
            if matches!(frame.first(), Some(b'+' | b':' | b'$')) {
                continue;
            }
            Decoder::new(frame, false).skip(1).map_err(|error| error.in_reply(index))?;
        }
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.fixed_list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.fixed_list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.fixed_list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::no_list(&(&visitor as &dyn Expected).to_string(), self.all.len()))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        seq enum identifier
    }
}

impl<'de> SeqAccess<'de> for &mut Frames<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some(frame) = self.all.get(self.next) else {
            self.is_short = true;
            return Ok(None);
        };
        let mut decoder = Decoder::new(frame, self.is_again);
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
