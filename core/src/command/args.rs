//! Reads a command's arguments and keys back out of its encoded form.
//!
//! Off the hot path: a command made by a typed function has its first key marked and is routed
//! without any of this. Assumes bytes that `Command` wrote itself; whatever else they were, the
//! walk ends and nothing panics. Spec: <https://redis.io/docs/latest/develop/reference/key-specs/>.
//! Called by `Command`.

use super::spec::{BeginSearch, FindKeys, KeySpec};

/// A command's arguments in order, its name first.
#[derive(Clone, Debug)]
pub(crate) struct Args<'a> {
    /// Encoded arguments that are still to come.
    rest: &'a [u8],
}

impl<'a> Args<'a> {
    /// Walks arguments as `Command` encodes them.
    pub(super) fn new(encoded: &'a [u8]) -> Self {
        Self { rest: encoded }
    }

    /// How many encoded bytes are still to come.
    pub(crate) fn bytes_left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut at = 1; // after the `$`
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

/// A command's keys with their positions (0 is the name), spec by spec, each in order.
#[derive(Clone, Debug)]
pub(crate) struct Keys<'a> {
    /// All arguments, from the name on.
    all: Args<'a>,
    /// How many there are.
    count: usize,
    /// Key specs that are still to come.
    specs: std::slice::Iter<'a, KeySpec>,
    /// The range being walked.
    range: Option<Range<'a>>,
}

/// Keys at equal distances.
#[derive(Clone, Debug)]
struct Range<'a> {
    /// Arguments from position `at` on.
    args: Args<'a>,
    /// Position of the next key.
    at: usize,
    /// Position of the last key at most.
    last: usize,
    /// At least 1.
    step: usize,
}

impl<'a> Keys<'a> {
    /// Finds keys by the given specs.
    pub(super) fn new(all: Args<'a>, count: usize, specs: &'a [KeySpec]) -> Self {
        Self { all, count, specs: specs.iter(), range: None }
    }

    /// The range that a spec names in these arguments; none if it does not apply, or if the
    /// arguments are wrong.
    fn resolve(&self, spec: &KeySpec) -> Option<Range<'a>> {
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
        Some(Range { args, at, last, step: usize::from(step).max(1) })
    }

    /// The position of a word, in any case.
    fn keyword(&self, word: &str, from: i8) -> Option<usize> {
        let is_word = |arg: &[u8]| arg.eq_ignore_ascii_case(word.as_bytes());
        if let Ok(start) = usize::try_from(from) {
            let found = self.all.clone().skip(start).position(is_word)?;
            return Some(start + found);
        }
        // Backward from `from`, the name excluded: the last match up to there.
        let end = self.back_from_end(from)?;
        let upto = self.all.clone().take(end + 1).enumerate().skip(1);
        upto.filter(|(_, arg)| is_word(arg)).map(|(at, _)| at).last()
    }

    /// A negative position, counted from the end.
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
