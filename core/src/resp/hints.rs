//! What one pass of decoding has learnt of the type that is asked for, for another pass over the
//! same reply.
//!
//! serde asks two things too late. Of `Option<T>` it says only by `T` whether an empty reply can be
//! one: a struct cannot, a list can. And a type that takes anything (untagged and internally tagged
//! enums, `serde(flatten)`) keeps what it was shown, and says by an error that it wanted a number.
//! So both are noted here, in a thread-local variable, and the reply is decoded once more.
//! A text is known again by its address: serde borrows it from the frame.
//! Invariants: nothing of this runs unless a first pass failed; a pass is repeated only if it has
//! noted something new, and at most [`PASSES_MAX`] times; the notes end with the reply.

use std::cell::RefCell;

/// So many passes over one reply: each learns a field, so it is the number of fields of numbers
/// that a type can have below `serde(flatten)`.
const PASSES_MAX: usize = 512;

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
    is_again: bool,
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

/// Decodes again, if `first`, the error of the first pass, left a note of what to do better.
#[cold]
pub(super) fn again<T, E>(first: E, pass: &mut dyn FnMut() -> Result<T, E>) -> Result<T, E> {
    if !with(|hints| std::mem::take(&mut hints.is_new)) {
        return Err(first);
    }
    let _end = End;
    with(|hints| hints.is_again = true);
    let mut best = Err(first);
    for _ in 0..PASSES_MAX {
        best = match (pass(), best) {
            (Err(_), Ok(value)) => return Ok(value),
            (result, _) => result,
        };
        let is_new = with(|hints| std::mem::take(&mut hints.is_new));
        let goes_on = is_new || best.is_err() && with(Hints::turn_to_lists);
        if !goes_on {
            break;
        }
    }
    best
}

/// Ends the notes, also when the caller's type panics.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        with(|hints| *hints = Hints::default());
    }
}

impl Hints {
    /// Shows lists as lists from now on, if a list was shown as a map.
    fn turn_to_lists(&mut self) -> bool {
        let turns = self.is_map_shown && !self.lists;
        if turns {
            *self = Self { is_again: true, lists: true, ..Self::default() };
        }
        turns
    }
}

/// Whether a type that takes anything may be shown the reply now. If not, there will be another
/// pass, in which it may.
pub(super) fn may_show_anything() -> bool {
    with(|hints| {
        hints.is_new |= !hints.is_again;
        hints.is_again
    })
}

/// Whether the empty reply at `address` is `None` for the option `name`.
pub(super) fn is_empty_none(address: usize, name: &'static str) -> bool {
    with(|hints| {
        // An earlier reply may have been at the same address.
        hints.option = Some((address, name));
        hints.records.contains(&name)
    })
}

/// The empty reply at `address` is no value of a type that has fields. Returns whether an option is
/// around it, which is `None` in the next pass.
pub(super) fn note_empty(address: usize) -> bool {
    with(|hints| match hints.option {
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
        if hints.is_again
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
