//! The elements of a list and the pairs of a map, one after the other, as serde visitors read them.
//!
//! Before each element the decoder is told how many elements follow it in the same list. Afterwards
//! it tells whether the element took one of them: so a pair is read from two neighbours of a flat
//! array.
//! Invariant: `left` is the number of elements that the frame still holds of this aggregate. It
//! must be 0 in the end: a visitor may stop early, and that is an error.

use super::super::cursor::{Aggregate, Token};
use super::super::decode_error::DecodeError;
use super::decoder::Decoder;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

impl<'de> Decoder<'de> {
    /// A list of `count` elements, read by `visitor`.
    #[inline]
    pub(super) fn list<V: Visitor<'de>>(
        &mut self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.enter()?;
        let mut elements = ListElements { decoder: self, left: count };
        let value = visitor.visit_seq(&mut elements)?;
        let left = elements.left;
        self.leave(left, "the end of the list")?;
        Ok(value)
    }

    /// A map of `count` pairs, read by `visitor`. `nested`: each pair is an array of its own.
    #[inline]
    pub(super) fn pairs<V: Visitor<'de>>(
        &mut self,
        count: usize,
        nested: bool,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.enter()?;
        let mut pairs = MapPairs { decoder: self, left: count, nested };
        let value = visitor.visit_map(&mut pairs)?;
        let left = pairs.left;
        self.leave(left, "the end of the map")?;
        Ok(value)
    }
}

/// The elements of a list.
struct ListElements<'a, 'de> {
    /// Its cursor is at the next element.
    decoder: &'a mut Decoder<'de>,
    /// Number of elements that were not read yet.
    left: usize,
}

impl<'de> SeqAccess<'de> for &mut ListElements<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        (self.decoder.siblings, self.decoder.taken) = (left, 0);
        let value = seed.deserialize(&mut *self.decoder)?;
        self.left = left - self.decoder.taken; // at most one, and only where `left` is above 0
        Ok(Some(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The keys and values of a map.
struct MapPairs<'a, 'de> {
    /// Its cursor is at the next key or value.
    decoder: &'a mut Decoder<'de>,
    /// Number of pairs whose key was not read yet.
    left: usize,
    /// Whether each pair is an array of its own.
    nested: bool,
}

impl<'de> MapAccess<'de> for &mut MapPairs<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        if self.nested {
            match self.decoder.token()? {
                Token::Open(Aggregate::Array, 2) => {}
                token => return Err(DecodeError::mismatch(&"a pair", &token)),
            }
        }
        self.left = left;
        (self.decoder.siblings, self.decoder.taken) = (0, 0);
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        (self.decoder.siblings, self.decoder.taken) = (0, 0);
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}
