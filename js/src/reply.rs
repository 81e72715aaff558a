//! Replies as JavaScript values: strings or bytes, numbers or bigints, arrays, objects, null.
//!
//! Strings that are not UTF-8 lose what is not, unless bytes are asked for. A map is an object with
//! its keys as text; the keys of an object that the server chooses are own properties, so that
//! `__proto__` is a key like any other.
//! Invariant: a reply has the same form over RESP2 as over RESP3 where the caller's `form` says
//! what it is.

use crate::error;
use js_sys::{Array, BigInt, Object};
use slotcar_core::Value;
use wasm_bindgen::JsValue;

/// Strings are bytes.
const BYTES: u8 = 1;
/// The reply is a map; over RESP2 it comes as an array of keys and values.
const MAP: u8 = 2;
/// The reply is a number, or an array of them; over RESP2 they come as strings.
const NUMBER: u8 = 4;
/// The reply is a list of members with their scores; over RESP2 it is flat, and they are strings.
const SCORES: u8 = 8;

/// The largest integer up to which every integer is a number in JavaScript.
const EXACT_MAX: i64 = (1 << 53) - 1;

/// The reply in this form, which is a sum of the constants above.
pub(crate) fn to_js(value: &Value, form: u8) -> JsValue {
    if form > BYTES
        && let Some(shaped) = shaped(value, form)
    {
        return shaped;
    }
    plain(value, form & BYTES != 0)
}

/// What RESP2 sends in an older form, as RESP3 sends it; `None` if it is in that form already.
fn shaped(value: &Value, form: u8) -> Option<JsValue> {
    let as_bytes = form & BYTES != 0;
    match value {
        Value::Array(_) if form & MAP != 0 => Some(object(value.pairs()?, as_bytes)),
        Value::Blob(_) if form & NUMBER != 0 => value.as_f64().map(JsValue::from),
        Value::Array(elements) if form & NUMBER != 0 => {
            Some(elements.iter().map(|element| to_js(element, form)).collect::<Array>().into())
        }
        Value::Array(elements) if form & SCORES != 0 => {
            let pairs =
                value.pairs().filter(|_| !matches!(elements.first(), Some(Value::Array(_))));
            let pair = |(member, score): (&Value, &Value)| {
                let score = score.as_f64().map_or_else(|| plain(score, as_bytes), JsValue::from);
                Array::of2(&plain(member, as_bytes), &score)
            };
            Some(pairs?.into_iter().map(pair).collect::<Array>().into())
        }
        _ => None,
    }
}

/// The value as it came.
fn plain(value: &Value, as_bytes: bool) -> JsValue {
    match value {
        Value::Blob(bytes) | Value::Verbatim { text: bytes, .. } => string(bytes, as_bytes),
        Value::Text(text) => string(text.as_bytes(), as_bytes),
        Value::Int(number) => integer(*number),
        Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => {
            elements.iter().map(|element| plain(element, as_bytes)).collect::<Array>().into()
        }
        Value::Map(pairs) => object(pairs.iter().map(|(key, value)| (key, value)), as_bytes),
        Value::Double(number) => (*number).into(),
        Value::Bool(truth) => (*truth).into(),
        Value::BigNumber(digits) => {
            let digits = JsValue::from(digits.as_str());
            BigInt::new(&digits).map_or(digits, Into::into)
        }
        Value::Error(error) => error::of_server(error),
        _ => JsValue::NULL,
    }
}

/// A number, or a bigint where a number would not be exact.
fn integer(number: i64) -> JsValue {
    if (-EXACT_MAX..=EXACT_MAX).contains(&number) {
        JsValue::from_f64(number as f64)
    } else {
        JsValue::from(number)
    }
}

/// Text, or bytes if they are asked for.
pub(crate) fn string(bytes: &[u8], as_bytes: bool) -> JsValue {
    if as_bytes {
        return error::host_bytes(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => JsValue::from_str(text),
        Err(_) => JsValue::from_str(&String::from_utf8_lossy(bytes)),
    }
}

/// An object with these properties; its prototype is the usual one.
fn object<'v>(pairs: impl IntoIterator<Item = (&'v Value, &'v Value)>, as_bytes: bool) -> JsValue {
    let key = |key: &Value| match key.to_text() {
        Some(text) => JsValue::from_str(&text),
        None => plain(key, false),
    };
    let entry = |(name, value)| Array::of2(&key(name), &plain(value, as_bytes));
    let entries: Array = pairs.into_iter().map(entry).collect();
    Object::from_entries(&entries).map_or(JsValue::NULL, Into::into)
}
