//! The elements of a list and the pairs of a map, one after the other, as serde visitors read them.
//!
//! Before each element the decoder is told how many elements of the same list there still are.
//! Afterwards it tells whether the element took one more of them: so a pair is read from two
//! neighbours of a flat array. An error names the element or the field on its way out.
//! Invariant: `left` is the number of elements that the frame still holds of this aggregate. It
//! must be 0 in the end: a visitor may stop early, and that is an error.

use super::super::cursor::{Aggregate, Token};
use super::super::decode_error::DecodeError;
use super::decoder::{Decoder, key_text};
use serde::de::{DeserializeSeed, Expected, MapAccess, SeqAccess, Visitor};
use std::fmt;

impl<'de> Decoder<'de> {
    /// A list of `count` elements, read by `visitor`.
    #[inline]
    pub(super) fn list<V: Visitor<'de>>(
        &mut self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.enter()?;
        let outer = self.is_nested;
        self.is_nested = self.cursor.rest().first() == Some(&b'*');
        let mut elements = ListElements { decoder: self, left: count, count, is_short: false };
        let value = visitor.visit_seq(&mut elements)?;
        let left = elements.left;
        self.is_nested = outer;
        self.leave(left, "the end of the list")?;
        Ok(value)
    }

    /// A list of `count` elements, read by the visitor of a type that has as many as it has.
    ///
    /// The visitor counts, since an element may be a pair of two neighbours. It may have defaults
    /// for what is missing (a tuple struct): a reply that is too short is an error all the same.
    #[inline]
    pub(super) fn fixed_list<V: Visitor<'de>>(
        &mut self,
        open: Token<'de>,
        count: usize,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.enter()?;
        let outer = self.is_nested;
        self.is_nested = self.cursor.rest().first() == Some(&b'*');
        let mut elements = ListElements { decoder: self, left: count, count, is_short: false };
        let result = visitor.visit_seq(&mut elements);
        let (left, is_short) = (elements.left, elements.is_short);
        self.is_nested = outer;
        match result {
            Ok(value) if left == 0 && !is_short => {
                self.leave(0, "")?;
                Ok(value)
            }
            result => Err(wrong_length::<V::Value>(result.err(), &open, len)),
        }
    }

    /// The map that begins with `token`, read by `visitor`.
    #[inline]
    pub(super) fn map<V: Visitor<'de>>(
        &mut self,
        token: Token<'de>,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match token {
            Token::Open(Aggregate::Map, count) => self.pairs(count, false, visitor),
            Token::Open(_, count) => {
                // A key is never a list: if the first element is one, the elements are pairs.
                let nested = count > 0 && matches!(self.cursor.clone().next(), Ok(Token::Open(..)));
                match count {
                    _ if nested => self.pairs(count, true, visitor),
                    _ if count.is_multiple_of(2) => self.pairs(count / 2, false, visitor),
                    _ => Err(DecodeError::mismatch(&(&visitor as &dyn Expected), &token)),
                }
            }
            token => Err(DecodeError::mismatch(&(&visitor as &dyn Expected), &token)),
        }
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

/// The error for a type of `len` elements that does not have as many as `open` says, if `error` is
/// no other one.
#[cold]
fn wrong_length<T>(error: Option<DecodeError>, open: &Token<'_>, len: usize) -> DecodeError {
    let name = std::any::type_name::<T>();
    let wanted: &dyn fmt::Display = match name.as_bytes().first() {
        Some(b'(') => &format_args!("a tuple of size {len}"),
        Some(b'[') => &format_args!("an array of length {len}"),
        _ => &format_args!("{len} elements"),
    };
    match error {
        Some(error) => error.of_length(wanted, open),
        None => DecodeError::length(wanted, open),
    }
}

/// The elements of a list.
struct ListElements<'a, 'de> {
    /// Its cursor is at the next element.
    decoder: &'a mut Decoder<'de>,
    /// Number of elements that were not read yet.
    left: usize,
    /// Number of elements.
    count: usize,
    /// The visitor asked for more elements than there are.
    is_short: bool,
}

impl<'de> SeqAccess<'de> for &mut ListElements<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else {
            self.is_short = true;
            return Ok(None);
        };
        (self.decoder.siblings, self.decoder.taken) = (self.left, 0);
        match seed.deserialize(&mut *self.decoder) {
            Ok(value) => {
                // One at most is taken, where `left` is above 0; or one is put back.
                self.left = left.wrapping_sub(self.decoder.taken);
                Ok(Some(value))
            }
            Err(error) => Err(error.in_element(self.count.wrapping_sub(self.left))),
        }
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
        self.decoder.key_at = self.decoder.cursor.pos();
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        (self.decoder.siblings, self.decoder.taken) = (0, 0);
        let (frame, key_at) = (self.decoder.frame, self.decoder.key_at);
        match seed.deserialize(&mut *self.decoder) {
            Ok(value) => Ok(value),
            Err(error) => Err(error.in_field(key_text(frame, key_at).unwrap_or_default())),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}
