//! The differences between the simulator and redis 8.0.2 that are meant.
//!
//! `docs/simulator.md` shows this table; a test compares them. Another test fails when a row's
//! requests are answered alike. Used by the tests of `beside_redis.rs`.

/// A difference that is meant.
pub(crate) struct Intended {
    /// The requests that may differ, as `cases.txt` writes them; `*` stands for anything.
    pub(crate) requests: &'static [&'static str],
    /// What is different.
    pub(crate) what: &'static str,
    /// Why it is meant.
    pub(crate) why: &'static str,
}

/// All of them.
pub(crate) const INTENDED: &[Intended] = &[];

impl Intended {
    /// Whether it is about this request.
    pub(crate) fn covers(&self, request: &str) -> bool {
        self.requests.iter().any(|pattern| matches(pattern, request))
    }
}

/// Whether a text is like a pattern, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            rest.is_empty()
                || (0..=text.len())
                    .any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
        }),
    }
}
