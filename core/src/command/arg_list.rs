//! The types that can be one argument or several, for commands that take one key or many.
//!
//! Invariant: bytes are one argument, never a list of numbers. For that reason `u8` is no `ToArg`.

use super::arg::ToArg;
use std::collections::{BTreeSet, HashSet};

/// One argument, or a list of arguments: `"a"`, `["a", "b"]`, a `Vec`, a slice, an `Option`, a set.
///
/// Collect an iterator into a `Vec`, or pass it to [`Command::args`](super::Command::args).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a command, nor a list of arguments",
    note = "lists are arrays, slices, `Vec`, `Option`, `HashSet` and `BTreeSet` of arguments",
    note = "collect an iterator into a `Vec` first"
)]
pub trait ToArgs {
    /// The number of arguments.
    fn count(&self) -> usize;

    /// Calls `write` with the bytes of each, in order.
    fn each_bytes(&self, write: impl FnMut(&[u8]));
}

impl<T: ToArg + ?Sized> ToArgs for T {
    fn count(&self) -> usize {
        1
    }

    fn each_bytes(&self, mut write: impl FnMut(&[u8])) {
        self.with_bytes(|bytes| write(bytes));
    }
}

/// Implements `ToArgs` for a list and for a reference to it.
macro_rules! lists {
    ($([$($generics:tt)*] $list:ty;)*) => {$(
        impl<$($generics)*> ToArgs for $list {
            fn count(&self) -> usize {
                self.into_iter().count()
            }

            fn each_bytes(&self, mut write: impl FnMut(&[u8])) {
                self.into_iter().for_each(|item| item.with_bytes(|bytes| write(bytes)));
            }
        }

        impl<$($generics)*> ToArgs for &$list {
            fn count(&self) -> usize {
                self.into_iter().count()
            }

            fn each_bytes(&self, mut write: impl FnMut(&[u8])) {
                self.into_iter().for_each(|item| item.with_bytes(|bytes| write(bytes)));
            }
        }
    )*};
}

lists! {
    [T: ToArg, const N: usize] [T; N];
    [T: ToArg] [T];
    [T: ToArg] Vec<T>;
    [T: ToArg] Option<T>;
    [T: ToArg] BTreeSet<T>;
    [T: ToArg, S] HashSet<T, S>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: impl ToArgs) -> String {
        let mut words = Vec::new();
        list.each_bytes(|bytes| words.push(String::from_utf8(bytes.to_vec()).unwrap()));
        assert_eq!(words.len(), list.count());
        words.join(" ")
    }

    /// Text and bytes are one argument, however they are held; lists are as many as they hold.
    #[test]
    fn bytes_are_one_argument_and_lists_are_many() {
        let owned = vec!["a".to_owned(), "b".to_owned()];
        let table = [
            (words("abc"), "abc"),
            (words(b"abc"), "abc"),
            (words(*b"abc"), "abc"),
            (words(vec![b'a', b'b']), "ab"),
            (words(&b"ab"[..]), "ab"),
            (words(7), "7"),
            (words(["a", "b"]), "a b"),
            (words([b"a", b"b"]), "a b"),
            (words(&owned), "a b"),
            (words(&owned[..]), "a b"),
            (words(owned.clone()), "a b"),
            (words([1, 2, 3]), "1 2 3"),
            (words(Some("a")), "a"),
            (words(None::<&str>), ""),
            (words([""; 0]), ""),
            (words(BTreeSet::from(["b", "a"])), "a b"),
            (words(HashSet::from(["a"])), "a"),
        ];
        for (got, expected) in table {
            assert_eq!(got, expected);
        }
    }
}
