//! The types that can be an argument of a command: text, bytes and numbers.
//!
//! Invariant: a value becomes exactly one argument. Lists go through `Command::args`.
//! Numbers are written as text, as the servers expect them. Users implement the trait for their own
//! types.

use crate::resp::Blob;
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::sync::Arc;

/// A value that becomes one argument of a command.
///
/// Text and bytes are sent as they are. Integers are decimal. A float is the shortest text that
/// reads back as the same number, or `inf` or `-inf`; the servers refuse NaN. A `bool` is `1` or
/// `0`, because the servers have no booleans in arguments.
///
/// `u8` does not implement it: in `del(b"key")` it would be a byte, elsewhere a number. Write
/// `u16::from(n)`.
///
/// For a type of your own, use the implementation of another type:
///
/// ```
/// # extern crate slotcar_core as slotcar;
/// struct UserId(u64);
///
/// impl slotcar::ToArg for UserId {
///     fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
///         format!("user:{}", self.0).with_bytes(write)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a command",
    note = "text, bytes, numbers and `bool` can; write `u16::from(n)` for a `u8`"
)]
pub trait ToArg {
    /// Calls `write` with the argument's bytes, and returns what it returns.
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R;
}

impl ToArg for [u8] {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        write(self)
    }
}

impl<const N: usize> ToArg for [u8; N] {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        write(self)
    }
}

impl ToArg for str {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        write(self.as_bytes())
    }
}

impl ToArg for String {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        write(self.as_bytes())
    }
}

impl ToArg for Vec<u8> {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        write(self)
    }
}

impl ToArg for Bytes {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        write(self)
    }
}

impl ToArg for Blob {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        write(self)
    }
}

impl ToArg for char {
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        write(self.encode_utf8(&mut [0; 4]).as_bytes())
    }
}

impl ToArg for bool {
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        write(if *self { b"1" } else { b"0" })
    }
}

impl<T: ToArg + ?Sized> ToArg for &T {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        T::with_bytes(self, write)
    }
}

impl<T: ToArg + ?Sized> ToArg for &mut T {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        T::with_bytes(self, write)
    }
}

impl<T: ToArg + ?Sized> ToArg for Box<T> {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        T::with_bytes(self, write)
    }
}

impl<T: ToArg + ?Sized> ToArg for Rc<T> {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        T::with_bytes(self, write)
    }
}

impl<T: ToArg + ?Sized> ToArg for Arc<T> {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        T::with_bytes(self, write)
    }
}

impl<T: ToArg + ToOwned + ?Sized> ToArg for Cow<'_, T> {
    #[inline]
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        T::with_bytes(self, write)
    }
}

/// Implements `ToArg` for integer types. A macro, because a mistake in one of eleven copies would
/// be easy to miss.
macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl ToArg for $integer {
            #[inline]
            fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
                write(itoa::Buffer::new().format(*self).as_bytes())
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 i128 isize u16 u32 u64 u128 usize }

impl ToArg for f64 {
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        let scientific = *self != 0.0 && !(1e-5..1e16).contains(&self.abs());
        write_float(self, scientific && self.is_finite(), write)
    }
}

impl ToArg for f32 {
    fn with_bytes<R>(&self, write: impl FnOnce(&[u8]) -> R) -> R {
        let scientific = *self != 0.0 && !(1e-5..1e16).contains(&self.abs());
        write_float(self, scientific && self.is_finite(), write)
    }
}

/// Formats on the stack: plain decimals have up to 25 bytes in the range that uses them, the
/// scientific form up to 24.
fn write_float<R>(
    number: &(impl fmt::Display + fmt::LowerExp),
    scientific: bool,
    write: impl FnOnce(&[u8]) -> R,
) -> R {
    let mut text = FloatText { bytes: [0; 32], len: 0 };
    let written = if scientific { write!(text, "{number:e}") } else { write!(text, "{number}") };
    written.expect("32 bytes hold every float in the form chosen for it");
    write(&text.bytes[..text.len])
}

/// The text of a float.
struct FloatText {
    /// The first `len` are the text.
    bytes: [u8; 32],
    /// Length of the text; at most 32.
    len: usize,
}

impl fmt::Write for FloatText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.len + part.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl ToArg) -> String {
        value.with_bytes(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn values_have_one_text_form() {
        let table = [
            (text("a"), "a"),
            (text(String::from("b")), "b"),
            (text(Box::<str>::from("b")), "b"),
            (text(Rc::<str>::from("b")), "b"),
            (text(b"c"), "c"),
            (text(vec![b'd']), "d"),
            (text(Bytes::from_static(b"e")), "e"),
            (text(Blob::from("e")), "e"),
            (text(Cow::Borrowed("f")), "f"),
            (text(Cow::<[u8]>::Owned(vec![b'g'])), "g"),
            (text(Arc::<str>::from("h")), "h"),
            (text('ü'), "ü"),
            (text(true), "1"),
            (text(false), "0"),
            (text(5u16), "5"),
            (text(-5i8), "-5"),
            (text(i64::MIN), "-9223372036854775808"),
            (text(u64::MAX), "18446744073709551615"),
            (text(u128::MAX), "340282366920938463463374607431768211455"),
        ];
        for (got, expected) in table {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn floats_are_short_and_read_back() {
        let table = [
            (text(0.0), "0"),
            (text(-0.0), "-0"),
            (text(1.0), "1"),
            (text(0.1), "0.1"),
            (text(0.1f32), "0.1"),
            (text(-2.5), "-2.5"),
            (text(1e15), "1000000000000000"),
            (text(1e300), "1e300"),
            (text(1e-7), "1e-7"),
            (text(f64::MIN), "-1.7976931348623157e308"),
            (text(5e-324), "5e-324"),
            (text(f32::MAX), "3.4028235e38"),
            (text(f64::INFINITY), "inf"),
            (text(f64::NEG_INFINITY), "-inf"),
            (text(f64::NAN), "NaN"),
        ];
        for (got, expected) in table {
            assert_eq!(got, expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_float_fits_and_reads_back(bits: u64, short: u32) {
            let long = f64::from_bits(bits);
            let back: f64 = text(long).parse().unwrap();
            assert!(back == long || long.is_nan());
            let short = f32::from_bits(short);
            let back: f32 = text(short).parse().unwrap();
            assert!(back == short || short.is_nan());
        }
    }
}
