//! Decodes a frame directly into the caller's type, with serde and without a tree in between.
//!
//! A program must get the same from a RESP2 and a RESP3 server. So the type decides how the reply
//! is read: a number is read from an integer, a double or the digits in a string; a map from a map,
//! from a flat array of keys and values, or from an array of pairs; a pair inside of a list also
//! from two neighbours of a flat array (`ZRANGE .. WITHSCORES`). `()` accepts anything but an
//! error. With `deserialize_any` (untagged enums, `serde(flatten)`) the reply decides: text stays
//! text. Invariants: an error anywhere in the frame fails the whole, except in a `Value`; recursion
//! stops at `DEPTH_MAX`; memory is allocated only for elements that the frame has bytes for.
//! Limits: the decoder runs in the caller's task, not in the connection.

use super::blob::{self, BLOB_NAME};
use super::byte_elements::ByteElements;
use super::cursor::{Aggregate, Malformed, Scalar, Token};
use super::decode_error::DecodeError;
use super::value::{self, VALUE_NAME};
use bytes::Bytes;
use decoder::{Decoder, plain_text};
use serde::de::{DeserializeOwned, Deserializer, Expected, IntoDeserializer, Visitor};
use std::any::type_name;

mod access;
mod any;
mod decoder;
mod frames;

pub(crate) use any::plain_value;
pub(crate) use frames::from_frames;

/// Decodes one complete frame.
///
/// # Errors
/// The reply is an error or contains one, does not fit `T`, or is not RESP.
#[inline]
pub(crate) fn from_frame<T: DeserializeOwned>(frame: &Bytes) -> Result<T, DecodeError> {
    let mut decoder = Decoder::new(frame);
    match T::deserialize(&mut decoder) {
        Ok(value) if decoder.cursor.at_end() => Ok(value),
        Ok(_) => Err(DecodeError::from(Malformed).within(type_name::<T>())),
        Err(error) => Err(error.within(type_name::<T>())),
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let number = self.number(&visitor)?;
            visitor.$visit(number)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = DecodeError;

    numbers! {
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
        deserialize_i64 visit_i64 deserialize_i128 visit_i128
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
        deserialize_f32 visit_f32 deserialize_f64 visit_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let token = self.token()?;
        let parsed = |text: &'de [u8]| std::str::from_utf8(text).ok();
        match token {
            Token::Null | Token::Error(_) => visitor.visit_unit(),
            Token::Open(Aggregate::Map, count) => self.pairs(count, false, visitor),
            Token::Open(_, count) => self.list(count, visitor),
            Token::Text(Scalar::Bool, b"t") => visitor.visit_bool(true),
            Token::Text(Scalar::Bool, b"f") => visitor.visit_bool(false),
            Token::Text(Scalar::Int, text) => match parsed(text).and_then(|n| n.parse().ok()) {
                Some(number) => visitor.visit_i64(number),
                None => Err(DecodeError::mismatch(&"a 64-bit integer", &token)),
            },
            Token::Text(Scalar::Double, text) => match parsed(text).and_then(|n| n.parse().ok()) {
                Some(number) => visitor.visit_f64(number),
                None => Err(DecodeError::mismatch(&"a double", &token)),
            },
            Token::Text(Scalar::Bool, _) => Err(DecodeError::mismatch(&"t or f", &token)),
            Token::Text(..) => visit_text(plain_text(&token).unwrap_or_default(), visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let token = self.token()?;
        match &token {
            Token::Text(Scalar::Bool, b"t") => visitor.visit_bool(true),
            Token::Text(Scalar::Bool, b"f") => visitor.visit_bool(false),
            token => match plain_text(token) {
                Some(b"1" | b"true" | b"OK") => visitor.visit_bool(true),
                Some(b"0" | b"false") => visitor.visit_bool(false),
                _ => Err(DecodeError::mismatch(&(&visitor as &dyn Expected), token)),
            },
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let text = self.text(&visitor)?;
        match std::str::from_utf8(text) {
            Ok(text) => visitor.visit_borrowed_str(text),
            Err(_) => Err(DecodeError::mismatch(
                &format_args!("{} in UTF-8", &visitor as &dyn Expected),
                &Token::Text(Scalar::Bulk, text),
            )),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let text = self.text(&visitor)?;
        visitor.visit_borrowed_bytes(text)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.cursor.at_null()? {
            self.token()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if !self.cursor.take_ok() {
            self.skip(1)?;
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

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if std::ptr::eq(name, BLOB_NAME) {
            let len = self.text(&visitor)?.len();
            // The cursor is behind the CRLF that ends every text.
            let end = self.cursor.pos() - 2;
            blob::pass_to_visitor(self.frame.slice(end - len..end));
            return visitor.visit_unit();
        }
        if std::ptr::eq(name, VALUE_NAME) {
            value::pass_to_visitor(self.value::<false>()?);
            return visitor.visit_unit();
        }
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.token()? {
            Token::Open(Aggregate::Map, count) => self.list(2 * count, visitor),
            Token::Open(_, count) => self.list(count, visitor),
            Token::Text(Scalar::Bulk, text) => visitor.visit_seq(ByteElements::new(text)),
            token => Err(DecodeError::mismatch(&(&visitor as &dyn Expected), &token)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let before = self.cursor.clone();
        match self.token()? {
            Token::Open(kind, count) => {
                let count = if kind == Aggregate::Map { 2 * count } else { count };
                if count == len {
                    return self.list(count, visitor);
                }
                let wanted = &visitor as &dyn Expected;
                Err(DecodeError::mismatch(&wanted, &Token::Open(kind, count)))
            }
            _ if len == 2 && self.siblings > 0 => {
                self.cursor = before;
                let value = self.list(2, visitor)?;
                self.taken = 1;
                Ok(value)
            }
            Token::Text(Scalar::Bulk, text) if text.len() == len => {
                visitor.visit_seq(ByteElements::new(text))
            }
            token => Err(DecodeError::mismatch(&(&visitor as &dyn Expected), &token)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.token()? {
            Token::Open(Aggregate::Map, count) => self.pairs(count, false, visitor),
            token @ Token::Open(Aggregate::Array, count) => {
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

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let text = self.text(&visitor)?;
        match std::str::from_utf8(text) {
            Ok(text) => visitor.visit_enum(text.into_deserializer()),
            Err(_) => Err(DecodeError::mismatch(
                &(&visitor as &dyn Expected),
                &Token::Text(Scalar::Bulk, text),
            )),
        }
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visit_text(self.text(&visitor)?, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }
}

/// Visits text if it is UTF-8, else bytes.
#[inline]
fn visit_text<'de, V: Visitor<'de>>(text: &'de [u8], visitor: V) -> Result<V::Value, DecodeError> {
    match std::str::from_utf8(text) {
        Ok(text) => visitor.visit_borrowed_str(text),
        Err(_) => visitor.visit_borrowed_bytes(text),
    }
}

#[cfg(test)]
mod tests;
