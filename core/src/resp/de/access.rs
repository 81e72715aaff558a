//! The elements of an open list and the pairs of an open map, one after the other.
//!
//! The decoder is told before each value how many siblings follow it, and asked afterwards whether
//! the value took one of them: so a pair is read from two neighbours of a flat array.
//! Invariant: `left` is what the frame still holds of this aggregate; the decoder checks that it
//! is 0 in the end, for a visitor may stop early.

use super::super::cursor::{Aggregate, Token};
use super::super::decode_error::DecodeError;
use super::Decoder;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

/// The elements of an open list.
pub(super) struct Elements<'a, 'de> {
    /// Stands at the next element.
    pub(super) decoder: &'a mut Decoder<'de>,
    /// Elements that were not read yet.
    pub(super) left: usize,
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, 'de> {
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

/// The keys and values of an open map.
pub(super) struct Pairs<'a, 'de> {
    /// Stands at the next key or value.
    pub(super) decoder: &'a mut Decoder<'de>,
    /// Pairs whose key was not read yet.
    pub(super) left: usize,
    /// Whether each pair is a list of its own.
    pub(super) nested: bool,
}

impl<'de> MapAccess<'de> for &mut Pairs<'_, 'de> {
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
