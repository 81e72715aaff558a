//! Reads the arguments and keys of a command from its encoded form.
//!
//! Not on the hot path: a command from a typed function has its first key marked and is routed
//! without any of this.
//! Invariant: `Command` has written the bytes; with any other bytes the iteration would end too,
//! and nothing would panic.
//! Spec: <https://redis.io/docs/latest/develop/reference/key-specs/>.

use super::spec::{BeginSearch, FindKeys, KeySpec};

/// The arguments of a command in order, its name first.
#[derive(Clone, Debug)]
pub(crate) struct Args<'a> {
    /// The encoded arguments that were not returned yet.
    rest: &'a [u8],
}

impl<'a> Args<'a> {
    /// The arguments in the form that `Command` encodes.
    pub(super) fn new(encoded: &'a [u8]) -> Self {
        Self { rest: encoded }
    }

    /// Number of encoded bytes that were not read yet.
    pub(crate) fn bytes_left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut at = 1; // behind the `$`
        let mut len = 0usize;
        loop {
            let byte = *self.rest.get(at)?;
            at += 1;
            if byte == b'\r' {
                break;
            }
            len = len * 10 + usize::from(byte - b'0');
        }
        let start = at + 1;
        let arg = self.rest.get(start..start + len)?;
        self.rest = self.rest.get(start + len + 2..).unwrap_or(&[]);
        Some(arg)
    }
}

/// The keys of a command with their positions (0 is the name), one key specification after another.
#[derive(Clone, Debug)]
pub(crate) struct Keys<'a> {
    /// All arguments, from the name on.
    all: Args<'a>,
    /// Number of arguments.
    count: usize,
    /// The key specifications that were not used yet.
    specs: std::slice::Iter<'a, KeySpec>,
    /// The keys of the current key specification.
    range: Option<KeyRange<'a>>,
}

/// Keys at equal distances.
#[derive(Clone, Debug)]
struct KeyRange<'a> {
    /// The arguments from position `at` on.
    args: Args<'a>,
    /// Position of the next key.
    at: usize,
    /// Position of the last key, or before the next one.
    last: usize,
    /// Distance from one key to the next; at least 1.
    step: usize,
}

impl<'a> Keys<'a> {
    /// The keys that the given key specifications find.
    pub(super) fn new(all: Args<'a>, count: usize, specs: &'a [KeySpec]) -> Self {
        Self { all, count, specs: specs.iter(), range: None }
    }

    /// The keys that a key specification finds in these arguments; `None` if it does not apply, or
    /// if the arguments are wrong.
    fn resolve(&self, spec: &KeySpec) -> Option<KeyRange<'a>> {
        let begin = match spec.begin_search {
            BeginSearch::Filled(at) => {
                let at = usize::from(at);
                self.all.clone().nth(at).filter(|arg| !arg.is_empty())?;
                at
            }
            BeginSearch::Index(at) => usize::from(at),
            BeginSearch::Keyword(word, from) => self.keyword(word, from)? + 1,
        };
        let (at, last, step) = match spec.find_keys {
            FindKeys::Range { last, step, limit } => {
                let last = match (usize::try_from(last), limit) {
                    (Ok(after), _) => begin + after,
                    (Err(_), 0 | 1) => self.back_from_end(last)?,
                    (Err(_), part) => (begin + self.count.checked_sub(begin)? / usize::from(part))
                        .checked_sub(1)?,
                };
                (begin, last, step)
            }
            FindKeys::KeyNum { at, first, step } => {
                let number = self.all.clone().nth(begin + usize::from(at))?;
                let number: usize = std::str::from_utf8(number).ok()?.parse().ok()?;
                let first = begin + usize::from(first);
                let span = number.checked_sub(1)?.checked_mul(usize::from(step))?;
                (first, first.checked_add(span)?, step)
            }
        };
        if last >= self.count || last < at {
            return None;
        }
        let mut args = self.all.clone();
        if at > 0 {
            args.nth(at - 1)?;
        }
        Some(KeyRange { args, at, last, step: usize::from(step).max(1) })
    }

    /// The position of a keyword, which may be in any case.
    fn keyword(&self, word: &str, from: i8) -> Option<usize> {
        let is_word = |arg: &[u8]| arg.eq_ignore_ascii_case(word.as_bytes());
        if let Ok(start) = usize::try_from(from) {
            let found = self.all.clone().skip(start).position(is_word)?;
            return Some(start + found);
        }
        // Backward from there, the name excluded: the last match.
        let end = self.back_from_end(from)?;
        let upto = self.all.clone().take(end + 1).enumerate().skip(1);
        upto.filter(|(_, arg)| is_word(arg)).map(|(at, _)| at).last()
    }

    /// The position that a negative number, counted from the end, stands for.
    fn back_from_end(&self, back: i8) -> Option<usize> {
        self.count.checked_sub(usize::from(back.unsigned_abs()))
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        loop {
            if let Some(range) = &mut self.range {
                if range.at <= range.last {
                    let key = range.args.next()?;
                    let at = range.at;
                    range.at += range.step;
                    if range.step > 1 {
                        range.args.nth(range.step - 2);
                    }
                    return Some((at, key));
                }
                self.range = None;
            }
            let spec = self.specs.next()?;
            self.range = self.resolve(spec);
        }
    }
}
