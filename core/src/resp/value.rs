//! A type for any reply: the types of RESP3, which include those of RESP2.
//!
//! It is for replies whose type is not known beforehand; otherwise a Rust type is faster and safer.
//! `de` decodes it without loss, errors included, and passes it to serde as `blob` does: by a name
//! that only that decoder knows, through a thread-local variable.
//! Limits: it nests as deep as a frame may (`reply_depth_max`).
//! Spec: RESP, "RESP protocol description".

use super::blob::Blob;
use super::server_error::ServerError;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// The name by which the decoder recognises a [`Value`].
pub(super) static VALUE_NAME: &str = "$slotcar::Value";

thread_local! {
    /// A value that the decoder passes to the visitor.
    static PASSED: Cell<Option<Value>> = const { Cell::new(None) };
}

/// Passes `value` to the visitor that is called next.
pub(super) fn pass_to_visitor(value: Value) {
    // The variable is gone only while the thread ends; the visitor then reports a missing value.
    let _ = PASSED.try_with(|passed| passed.set(Some(value)));
}

/// A reply of any type.
///
/// A RESP2 server sends the types that only RESP3 has as the nearest older type: a map as an array
/// of keys and values, an array of pairs as an array of keys and values, a double as a [`Blob`] of
/// its digits, a boolean as an [`Int`](Value::Int). A `Value` shows what was sent; `as_i64`,
/// `as_f64`, `as_bool`, `to_text`, `pairs` and `get` give the same of all of these forms.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Elements in order.
    Array(Vec<Value>),
    /// An integer beyond 64 bits, in decimal digits.
    BigNumber(String),
    /// A string of any bytes.
    Blob(Blob),
    /// True or false.
    Bool(bool),
    /// A floating-point number; infinities and NaN among them.
    Double(f64),
    /// An error in the place of a value, as in the reply of EXEC.
    Error(ServerError),
    /// A signed 64-bit integer.
    Int(i64),
    /// Keys and values, in the server's order.
    Map(Vec<(Value, Value)>),
    /// No value.
    #[default]
    Null,
    /// A push message: the server sent it without a command.
    Push(Vec<Value>),
    /// Elements in the server's order. They are not compared: the server ensures that they differ.
    Set(Vec<Value>),
    /// A short status such as `OK`.
    Text(String),
    /// A text with a format.
    Verbatim {
        /// Three characters: `txt`, or `mkd` for Markdown.
        format: [u8; 3],
        /// The text, without the format.
        text: Blob,
    },
}

impl Value {
    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The bytes of a string of any kind.
    ///
    /// A number that was sent as one has none: a double is a string over RESP2 and a number over
    /// RESP3. [`Value::to_text`] gives the same of both.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Blob(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            Self::Text(text) | Self::BigNumber(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The text of a string of any kind, if it is UTF-8; see [`Value::as_bytes`].
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The text of a string of any kind, if it is UTF-8, or of a number; of a boolean it is 1 or 0.
    /// The same from both protocols, and the same that a `String` is decoded from.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Int(number) => Some(number.to_string().into()),
            Self::Bool(truth) => Some(if *truth { "1" } else { "0" }.into()),
            Self::Double(number) => Some(text_of(*number).into()),
            other => other.as_str().map(Cow::Borrowed),
        }
    }

    /// An integer; also one that was sent as text, as a double without a fraction, or as a boolean.
    /// The same from both protocols.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Bool(truth) => Some(i64::from(*truth)),
            // Beyond that, servers write an exponent over RESP2, which is no integer.
            Self::Double(number) if number.trunc() == *number && number.abs() < 1e17 => {
                Some(*number as i64)
            }
            other => other.as_str()?.parse().ok(),
        }
    }

    /// A number; also an integer, a boolean, or a number that was sent as text. The same from both
    /// protocols.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Double(number) => Some(*number),
            Self::Int(number) => Some(*number as f64),
            Self::Bool(truth) => Some(f64::from(u8::from(*truth))),
            other => other.as_str()?.parse().ok(),
        }
    }

    /// A boolean; also one that was sent as 0 or 1. The same from both protocols.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.as_i64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// The elements of an array, a set or a push.
    ///
    /// What RESP2 sends as an array is a map over RESP3 where it has keys: [`Value::pairs`] gives
    /// the same of both.
    #[must_use]
    pub fn as_slice(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) | Self::Push(elements) | Self::Set(elements) => Some(elements),
            _ => None,
        }
    }

    /// The pairs of a map; also of one that was sent as an array of keys and values, or as an array
    /// of pairs. The same from both protocols.
    ///
    /// `None` if there is half a pair. If the first element is an array, all must be pairs.
    #[must_use]
    pub fn pairs(&self) -> Option<Vec<(&Value, &Value)>> {
        if let Self::Map(pairs) = self {
            return Some(pairs.iter().map(|(key, value)| (key, value)).collect());
        }
        let elements = self.as_slice()?;
        if let Some(Self::Array(_)) = elements.first() {
            return elements.iter().map(Self::pair).collect();
        }
        let (pairs, rest) = elements.as_chunks::<2>();
        rest.is_empty().then(|| pairs.iter().map(|[key, value]| (key, value)).collect())
    }

    /// Both halves of an array of two.
    fn pair(&self) -> Option<(&Value, &Value)> {
        match self {
            Self::Array(elements) => match elements.as_slice() {
                [key, value] => Some((key, value)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value of a key in a map, or in what was sent instead of one. The same from both
    /// protocols.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        let is_key = |candidate: &Value| candidate.as_bytes() == Some(key.as_bytes());
        if let Self::Map(pairs) = self {
            return pairs.iter().find(|(k, _)| is_key(k)).map(|(_, value)| value);
        }
        let elements = self.as_slice()?;
        if let Some(Self::Array(_)) = elements.first() {
            let mut pairs = elements.iter().filter_map(Self::pair);
            return pairs.find(|(k, _)| is_key(k)).map(|(_, value)| value);
        }
        let (pairs, _) = elements.as_chunks::<2>();
        pairs.iter().find(|[k, _]| is_key(k)).map(|[_, value]| value)
    }

    /// The server's error, if it is one.
    #[must_use]
    pub fn as_error(&self) -> Option<&ServerError> {
        match self {
            Self::Error(error) => Some(error),
            _ => None,
        }
    }
}

/// A double as servers write it over RESP2.
fn text_of(number: f64) -> String {
    match number {
        _ if number.is_nan() => "nan".to_owned(),
        _ if number.is_infinite() => if number > 0.0 { "inf" } else { "-inf" }.to_owned(),
        _ if number != 0.0 && !(1e-4..1e17).contains(&number.abs()) => {
            let text = format!("{number:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        _ => number.to_string(),
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(VALUE_NAME, ValueVisitor)
    }
}

/// Takes the value that the decoder passed, or builds the nearest one from another format.
struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(PASSED.try_with(Cell::take).ok().flatten().unwrap_or_default())
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        let too_big = |_| Value::BigNumber(number.to_string());
        Ok(i64::try_from(number).map_or_else(too_big, Value::Int))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Double(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Blob(text.to_owned().into()))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Blob(bytes.to_vec().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = from.next_element()? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = from.next_entry()? {
            pairs.push(pair);
        }
        Ok(Value::Map(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accessors_take_the_older_forms_too() {
        let blob = |text: &'static str| Value::Blob(text.into());
        assert_eq!(blob("12").as_i64(), Some(12));
        assert_eq!(blob("1.5").as_f64(), Some(1.5));
        assert_eq!(Value::Int(3).as_f64(), Some(3.0));
        assert_eq!(Value::Int(1).as_bool(), Some(true));
        assert_eq!(Value::Int(2).as_bool(), None);
        assert_eq!(Value::Text("OK".to_owned()).as_str(), Some("OK"));
        assert_eq!(Value::Blob(vec![0xff].into()).as_str(), None);
        let flat = Value::Array(vec![blob("a"), Value::Int(1), blob("b"), Value::Int(2)]);
        let map = Value::Map(vec![(blob("a"), Value::Int(1)), (blob("b"), Value::Int(2))]);
        assert_eq!(flat.pairs(), map.pairs());
        assert_eq!(flat.get("b"), Some(&Value::Int(2)));
        assert_eq!(map.get("b"), Some(&Value::Int(2)));
        assert_eq!(map.get("c"), None);
        assert_eq!(Value::Array(vec![Value::Null]).pairs(), None);
    }

    #[test]
    fn other_formats_give_the_nearest_value() {
        let json = r#"{"a":[null,true,-1,18446744073709551615,0.5,"x"]}"#;
        let value: Value = serde_json::from_str(json).expect("any JSON fits");
        let list = vec![
            Value::Null,
            Value::Bool(true),
            Value::Int(-1),
            Value::BigNumber("18446744073709551615".to_owned()),
            Value::Double(0.5),
            Value::Blob("x".into()),
        ];
        assert_eq!(value.get("a"), Some(&Value::Array(list)));
    }
}
