//! A binary value that is a slice of what was read: serde returns it without a copy.
//!
//! serde cannot pass on a reference-counted slice. So [`Blob`] asks for a newtype struct with a
//! name that only the decoder in `de` knows. The decoder puts the slice into a thread-local
//! variable and calls `visit_unit`; the visitor takes it out before anything else runs. Any other
//! deserializer sees an ordinary newtype of bytes.
//! Invariant: the variable is empty except between those two calls.

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

/// The name by which the decoder recognises a [`Blob`].
pub(super) static BLOB_NAME: &str = "$slotcar::Blob";

thread_local! {
    /// A slice that the decoder passes to the visitor.
    static PASSED: Cell<Option<Bytes>> = const { Cell::new(None) };
}

/// Passes `slice` to the visitor that is called next.
#[inline]
pub(super) fn pass_to_visitor(slice: Bytes) {
    // The variable is gone only while the thread ends; the visitor then reports a missing slice.
    let _ = PASSED.try_with(|passed| passed.set(Some(slice)));
}

/// A binary value that shares the memory of its reply.
///
/// It works wherever serde does: inside of `Option`, `Vec`, `HashMap`, tuples and structs. A clone
/// shares the memory too.
///
/// A `Blob` keeps the whole buffer in memory into which its reply was read: 64 KiB by default, or
/// the size of the value if that is larger. To keep a small value for long, copy it with `to_vec`,
/// or ask for a `String` or a `Vec<u8>`, which are copies.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(Bytes);

impl Blob {
    /// The bytes as text.
    ///
    /// # Errors
    /// The bytes are not UTF-8; the error says from which one on.
    pub fn to_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.0)
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

// Equal blobs hash and compare as equal slices do, as `Borrow` demands.
impl std::borrow::Borrow<[u8]> for Blob {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Blob> for Bytes {
    fn from(blob: Blob) -> Self {
        blob.0
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Blob {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&'static str> for Blob {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl PartialEq<[u8]> for Blob {
    fn eq(&self, other: &[u8]) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&[u8]> for Blob {
    fn eq(&self, other: &&[u8]) -> bool {
        *self.0 == **other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Blob {
    fn eq(&self, other: &&[u8; N]) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<str> for Blob {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for Blob {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(BLOB_NAME, BlobVisitor)
    }
}

/// Takes the slice that the decoder passed, or copies what another format has.
struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blob")
    }

    #[inline]
    fn visit_unit<E: de::Error>(self) -> Result<Blob, E> {
        match PASSED.try_with(Cell::take) {
            Ok(Some(slice)) => Ok(Blob(slice)),
            _ => Err(E::invalid_type(de::Unexpected::Unit, &self)),
        }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Blob, D::Error> {
        deserializer.deserialize_byte_buf(self)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob(bytes.into()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Blob, E> {
        self.visit_byte_buf(text.into_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Blob, A::Error> {
        // The hint may be wrong: at most a page is allocated for it.
        let mut bytes = Vec::with_capacity(elements.size_hint().unwrap_or(0).min(4096));
        while let Some(byte) = elements.next_element()? {
            bytes.push(byte);
        }
        Ok(Blob(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_give_and_take_a_copy() {
        let from_text: Blob = serde_json::from_str("\"abc\"").expect("text");
        assert_eq!(from_text, "abc");
        let from_list: Option<Blob> = serde_json::from_str("[97, 98]").expect("a list");
        assert_eq!(from_list.expect("some"), b"ab");
        assert_eq!(serde_json::to_string(&from_text).expect("serialised"), "[97,98,99]");
        let error = serde_json::from_str::<Blob>("null").expect_err("null is no blob");
        assert!(error.to_string().contains("expected Blob"), "{error}");
    }

    #[test]
    fn compares_and_shows_as_its_bytes() {
        let blob = Blob::from(vec![b'a', 0xff]);
        assert_eq!(blob, b"a\xff");
        assert_eq!(blob, [b'a', 0xff][..]);
        assert_eq!(format!("{blob:?}"), "\"a\u{fffd}\"");
        assert!(blob.to_str().is_err());
        assert_eq!(Bytes::from(blob.clone()).len(), blob.len());
    }
}
