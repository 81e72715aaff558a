//! What a type is shown that takes anything: `serde_json::Value`, untagged and internally tagged
//! enums, what `serde(flatten)` collects.
//!
//! Such a type does not say what it wants, so it is shown what both protocols can say: an integer
//! as a number, every other scalar as text, a boolean as 1 or 0, a map as a list of keys and
//! values. What serde buffers for an enum or `flatten` is looked at again, so there is more to be
//! done: keys and values are shown as a map (where that fits nothing, as a list), and a text of
//! which a number or a boolean is wanted as that, in another pass (`resp/hints.rs`).
//! Limits: lists of an even number of elements that begin with a text are maps or lists, all of
//! them in one reply.

use super::super::cursor::{Aggregate, Scalar, Token};
use super::super::decode_error::DecodeError;
use super::super::hints::{self, Wanted};
use super::decoder::{Decoder, plain_text};
use serde::de::{self, Visitor};
use std::any::type_name;

/// Who is shown a reply.
#[derive(Clone, Copy, PartialEq)]
enum Viewer {
    /// serde's buffer.
    Buffer,
    /// The caller's type.
    Direct,
    /// serde's buffer with the tag of an enum, which needs a map.
    Tagged,
}

impl Viewer {
    /// By the name of what it makes: serde's buffer has no other mark. Tests show that the name is
    /// still this.
    fn of<T>() -> Self {
        let name = type_name::<T>();
        if !name.contains("content::Content") {
            Self::Direct
        } else if name.starts_with('(') {
            Self::Tagged
        } else {
            Self::Buffer
        }
    }
}

impl<'de> Decoder<'de> {
    /// The next value, for a visitor that takes any.
    pub(super) fn untyped<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, DecodeError> {
        // What it does with what it is shown can be noted only in another pass.
        if !self.is_again {
            return Err(de::Error::custom("decoded in another pass"));
        }
        let viewer = Viewer::of::<V::Value>();
        let token = self.token()?;
        if let Token::Open(_, 0) = token
            && self.note_empty_for(&visitor)
        {
            return Err(DecodeError::mismatch(&(&visitor as &dyn de::Expected), &token));
        }
        match token {
            Token::Open(..) if viewer == Viewer::Tagged => self.map(token, visitor),
            Token::Open(kind, count) => {
                if viewer == Viewer::Buffer && self.may_be_map(kind, count) && hints::shows_maps() {
                    return self.map(token, visitor);
                }
                self.list(if kind == Aggregate::Map { 2 * count } else { count }, visitor)
            }
            Token::Text(kind, _) => self.untyped_scalar(&token, kind, visitor),
            Token::Null | Token::Error(_) => visitor.visit_unit(),
        }
    }

    /// Whether an aggregate can be keys and values.
    fn may_be_map(&self, kind: Aggregate, count: usize) -> bool {
        let first = self.cursor.clone().next();
        match kind {
            Aggregate::Map => true,
            Aggregate::Array => {
                let begins_with_text =
                    matches!(first, Ok(Token::Text(Scalar::Bulk | Scalar::Simple, _)));
                count == 0 || count.is_multiple_of(2) && begins_with_text
            }
            Aggregate::Push | Aggregate::Set => false,
        }
    }

    fn untyped_scalar<V: Visitor<'de>>(
        &self,
        token: &Token<'de>,
        kind: Scalar,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let Some(bytes) = plain_text(token) else {
            return Err(DecodeError::mismatch(&"t or f", token));
        };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return visitor.visit_borrowed_bytes(bytes);
        };
        let wanted = match kind {
            Scalar::Bool | Scalar::Int => Some(Wanted::Number),
            _ => hints::wanted(text.as_ptr() as usize, self.last_key()),
        };
        match (wanted, text) {
            (Some(Wanted::Bool), "1" | "true" | "OK") => return visitor.visit_bool(true),
            (Some(Wanted::Bool), "0" | "false") => return visitor.visit_bool(false),
            (Some(Wanted::Number), _) => {
                if let Ok(number) = text.parse() {
                    return visitor.visit_i64(number);
                }
                if let Ok(number) = text.parse() {
                    return visitor.visit_u64(number);
                }
                if let Ok(number) = text.parse() {
                    return visitor.visit_f64(number);
                }
            }
            _ => {}
        }
        visitor.visit_borrowed_str(text)
    }
}
