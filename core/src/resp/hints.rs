//! What one pass of decoding has learnt of the type that is asked for, for another pass over the
//! same reply.
//!
//! serde asks two things too late. Of `Option<T>` it says only by `T` whether an empty reply can be
//! one: a struct cannot, a list can. And a type that takes anything (untagged and internally tagged
//! enums, `serde(flatten)`) keeps what it was shown, and says by an error that it wanted a number.
//! Such an error may be dropped by the type, and has no decoder at hand: so both are noted here, in
//! a thread-local variable, and the reply is decoded once more. A text is known again by its
//! address: serde borrows it from the frame.
//! Invariants: a first pass reads nothing of this, so notes that a panic or a decoder around it
//! left have no effect on it; all passes beyond it start from no notes, and bring back those of the
//! decoder around them. A pass is repeated only if it has noted something new, and at most
//! [`PASSES_MAX`] times. No code of the caller runs while the variable is borrowed.

use serde::de;
use std::cell::RefCell;

/// So many passes over one reply: each learns a field, so it is the number of fields of numbers
/// that a type can have below `serde(flatten)`.
pub(super) const PASSES_MAX: usize = 512;

/// What a text shall be shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Bool,
    Number,
}

/// What was noted.
#[derive(Default)]
struct Hints {
    /// A pass beyond the first is running.
    is_active: bool,
    /// Something new was noted, which another pass can use.
    is_new: bool,
    /// An empty reply that an `Option` holds: its address, and the name of the option's type.
    option: Option<(usize, &'static str)>,
    /// The names of options that are `None` for an empty reply.
    records: Vec<&'static str>,
    /// The addresses of texts that shall be something else; sorted.
    texts: Vec<(usize, Wanted)>,
    /// The same for the texts behind these keys.
    keys: Vec<(Vec<u8>, Wanted)>,
    /// Keys say nothing: two types want different things behind the same key.
    no_keys: bool,
    /// Lists of keys and values are shown as lists.
    lists: bool,
    /// One was shown as a map.
    is_map_shown: bool,
}

thread_local! {
    static HINTS: RefCell<Hints> = RefCell::default();
}

/// Reads or changes the notes. They are gone only while the thread ends: then there are none.
fn with<R: Default>(act: impl FnOnce(&mut Hints) -> R) -> R {
    HINTS.try_with(|hints| act(&mut hints.borrow_mut())).unwrap_or_default()
}

/// Decodes again, after `first`, the error of the first pass.
#[cold]
pub(super) fn again<T, E: de::Error>(
    first: E,
    pass: &mut dyn FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let _outer = Outer(with(|hints| std::mem::replace(hints, Hints::new(false))));
    let mut best = Err(first);
    for _ in 0..PASSES_MAX {
        best = match (pass(), best) {
            (Err(_), Ok(value)) => return Ok(value),
            (result, _) => result,
        };
        let is_new = with(|hints| std::mem::take(&mut hints.is_new));
        if !is_new && (best.is_ok() || !with(Hints::turn)) {
            return best;
        }
    }
    Err(E::custom(format_args!(
        "a type that takes anything wants more than {PASSES_MAX} numbers of one reply: name what \
         it holds, as in HashMap<String, i64>, without serde(flatten)"
    )))
}

/// The notes of the decoder around this one; they are back when this is dropped, also when the
/// caller's type panics.
struct Outer(Hints);

impl Drop for Outer {
    fn drop(&mut self) {
        with(|hints| std::mem::swap(hints, &mut self.0));
    }
}

impl Hints {
    /// No notes, for passes beyond the first.
    fn new(lists: bool) -> Self {
        Self { is_active: true, lists, ..Self::default() }
    }

    /// What was noted did not fit: trusts no keys from now on, or shows lists as lists, if a list
    /// was shown as a map. Returns whether that is new.
    fn turn(&mut self) -> bool {
        if !self.keys.is_empty() {
            self.keys.clear();
            self.no_keys = true;
            return true;
        }
        let turns = self.is_map_shown && !self.lists;
        if turns {
            *self = Self::new(true);
        }
        turns
    }
}

/// Whether the empty reply at `address` is `None` for the option `name`; in a first pass it is not.
pub(super) fn is_empty_none(address: usize, name: &'static str, is_again: bool) -> bool {
    with(|hints| {
        // An earlier reply may have been at the same address.
        hints.option = Some((address, name));
        is_again && hints.records.contains(&name)
    })
}

/// The empty reply at `address` is no value of a type that has fields. Returns whether an option is
/// around it, which is `None` in the next pass.
pub(super) fn note_empty(address: usize, is_again: bool) -> bool {
    with(|hints| match hints.option {
        Some((at, _)) if at == address && !is_again => true,
        Some((at, name)) if at == address && !hints.records.contains(&name) => {
            hints.records.push(name);
            hints.is_new = true;
            true
        }
        _ => false,
    })
}

/// `text`, which was shown as it is, should have been what `expected` says.
pub(super) fn note_text(text: &str, expected: &str) {
    let wanted = match expected {
        "a boolean" => Wanted::Bool,
        "i8" | "i16" | "i32" | "i64" | "isize" | "u8" | "u16" | "u32" | "u64" | "usize" | "f32"
        | "f64" => Wanted::Number,
        other if other.starts_with("a nonzero ") => Wanted::Number,
        _ => return,
    };
    with(|hints| {
        let address = text.as_ptr() as usize;
        if hints.is_active
            && let Err(at) = hints.texts.binary_search_by_key(&address, |(at, _)| *at)
        {
            hints.texts.insert(at, (address, wanted));
            hints.is_new = true;
        }
    });
}

/// What the text at `address` behind `key` shall be shown as, if not as it is.
pub(super) fn wanted(address: usize, key: Option<&[u8]>) -> Option<Wanted> {
    with(|hints| {
        if let Ok(at) = hints.texts.binary_search_by_key(&address, |(at, _)| *at) {
            let wanted = hints.texts.get(at).map(|(_, wanted)| *wanted)?;
            if let Some(key) = key
                && !hints.no_keys
                && hints.keys.iter().all(|(known, _)| known != key)
            {
                hints.keys.push((key.to_vec(), wanted));
            }
            return Some(wanted);
        }
        let (_, wanted) = hints.keys.iter().find(|(known, _)| Some(&known[..]) == key)?;
        Some(*wanted)
    })
}

/// Whether a list that may be one of keys and values is shown as a map.
pub(super) fn shows_maps() -> bool {
    with(|hints| {
        hints.is_map_shown |= !hints.lists;
        !hints.lists
    })
}
