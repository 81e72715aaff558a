//! Decodes a frame directly into the caller's type, with serde and without a tree in between.
//!
//! A program must get the same from a RESP2 and a RESP3 server, and from a reply of one element and
//! of many. So the type decides how the reply is read, by one rule for each shape; docs/decoding.md
//! has them all, with a table. In short: a number is read from the text of any scalar, bytes are
//! that text; a map is read from a map, a flat array of keys and values, or an array of pairs; a
//! pair inside of a list also from two neighbours of a flat array, and a flat list from an array of
//! pairs (`ZRANGE .. WITHSCORES`). `()` accepts anything but an error. An `Option` of a type that
//! has fields is `None` for an empty reply. Types that take anything (`deserialize_any`) are in
//! `untyped`.
//! Invariants: an error anywhere in the frame fails the whole, except in a `Value`; recursion stops
//! at `DEPTH_MAX`; memory is allocated only for elements that the frame has bytes for.
//! Limits: the decoder runs in the caller's task, not in the connection.

use super::blob::{self, BLOB_NAME};
use super::byte_elements::ByteElements;
use super::cursor::{Absence, Aggregate, Malformed, Scalar, Token};
use super::decode_error::DecodeError;
use super::hints;
use super::value::{self, VALUE_NAME};
use bytes::Bytes;
use decoder::{Decoder, plain_text};
use serde::de::{DeserializeOwned, Deserializer, Expected, IntoDeserializer, Visitor};
use std::any::type_name;

mod access;
mod any;
mod decoder;
mod frames;
mod untyped;

pub(crate) use any::plain_value;
pub(crate) use frames::from_frames;

/// Decodes one complete frame.
///
/// # Errors
/// The reply is an error or contains one, does not fit `T`, or is not RESP.
#[inline]
pub(crate) fn from_frame<T: DeserializeOwned>(frame: &Bytes) -> Result<T, DecodeError> {
    let mut decoder = Decoder::new(frame, false);
    match T::deserialize(&mut decoder) {
        Ok(value) if decoder.cursor.at_end() => Ok(value),
        result => from_frame_again(frame, result.err()),
    }
}

/// Decodes once more: another pass may learn what the first could not.
/// `error`: `None` if bytes were left.
#[cold]
#[inline(never)]
fn from_frame_again<T: DeserializeOwned>(
    frame: &Bytes,
    error: Option<DecodeError>,
) -> Result<T, DecodeError> {
    let first = error.unwrap_or_else(|| Malformed.into());
    let result = decoder::again(first, &mut || {
        let mut decoder = Decoder::new(frame, true);
        let value = T::deserialize(&mut decoder)?;
        if decoder.cursor.at_end() { Ok(value) } else { Err(Malformed.into()) }
    });
    result.map_err(|error| error.within(type_name::<T>()))
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
        self.untyped(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let truth = self.truth(&visitor)?;
        visitor.visit_bool(truth)
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
        match self.cursor.absence()? {
            Absence::None => return visitor.visit_some(self),
            Absence::Null => {}
            Absence::Empty => {
                if !hints::is_empty_none(self.address(), type_name::<V::Value>(), self.is_again) {
                    return visitor.visit_some(self);
                }
            }
        }
        self.token()?;
        visitor.visit_none()
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
            let slice = match self.cursor.plain_bulk() {
                Some(text) => {
                    // The cursor is behind the CRLF that ends every text.
                    let end = self.cursor.pos() - 2;
                    self.frame.slice(end - text.len()..end)
                }
                None => self.rare_slice(&visitor)?,
            };
            blob::pass_to_visitor(slice);
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
        if is_bytes::<V::Value>() && self.is_nested {
            self.enter_pair();
        }
        match self.token()? {
            Token::Open(Aggregate::Map, count) => self.list(2 * count, visitor),
            Token::Open(_, count) => self.list(count, visitor),
            token => match plain_text(&token) {
                Some(text) => visitor.visit_seq(ByteElements::new(token, text)),
                None => Err(DecodeError::mismatch(&(&visitor as &dyn Expected), &token)),
            },
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let is_bytes = is_bytes::<V::Value>();
        if is_bytes && self.is_nested {
            self.enter_pair();
        }
        let before = self.cursor.clone();
        let token = self.token()?;
        match token {
            Token::Open(_, 0) if len > 0 => {
                self.note_empty();
                self.fixed_list(token, 0, len, visitor)
            }
            Token::Open(Aggregate::Map, count) => self.fixed_list(token, 2 * count, len, visitor),
            Token::Open(_, count) => self.fixed_list(token, count, len, visitor),
            _ if len == 2 && self.siblings > 1 && !is_bytes => {
                self.cursor = before;
                let value = self.fixed_list(Token::Open(Aggregate::Array, 2), 2, len, visitor)?;
                self.taken = 1;
                Ok(value)
            }
            token => match plain_text(&token) {
                Some(text) if is_bytes && text.len() == len => {
                    visitor.visit_seq(ByteElements::new(token, text))
                }
                Some(text) if is_bytes => {
                    let wanted = format_args!("{len} bytes");
                    Err(DecodeError::length(&wanted, &format_args!("{} in {token}", text.len())))
                }
                _ => Err(DecodeError::mismatch(&(&visitor as &dyn Expected), &token)),
            },
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
        let token = self.token()?;
        if let Token::Open(_, 0) = token
            && self.note_empty_for(&visitor)
        {
            return Err(DecodeError::mismatch(&(&visitor as &dyn Expected), &token));
        }
        self.map(token, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let token = self.token()?;
        if let Token::Open(_, 0) = token
            && self.note_empty()
        {
            return Err(DecodeError::mismatch(&(&visitor as &dyn Expected), &token));
        }
        self.map(token, visitor)
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

/// Whether a list type is one of bytes: `Vec<u8>`, `[u8; 4]`. Only its name tells before it is
/// read; serde has no other word for it. Tests show that the names are still these.
#[inline(always)]
fn is_bytes<T>() -> bool {
    let name = type_name::<T>();
    name.starts_with("[u8; ") || name.ends_with("<u8>")
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
mod passes;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod tests;
