//! The options of ZADD and ZRANGE.
//!
//! Spec: <https://redis.io/commands/zadd/>, <https://redis.io/commands/zrange/>.
//! Called by `sorted_sets`, and by users.

use super::append::Options;
use crate::command::Command;

/// The options of ZADD.
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct ZaddOptions {
    /// NX or XX.
    condition: Option<&'static str>,
    /// GT or LT.
    comparison: Option<&'static str>,
    /// CH.
    changed: bool,
}

impl ZaddOptions {
    /// No options: adds members, and changes the scores of those that are there.
    pub const fn new() -> Self {
        Self { condition: None, comparison: None, changed: false }
    }

    /// Only adds members.
    pub const fn nx(mut self) -> Self {
        self.condition = Some("NX");
        self
    }

    /// Only changes scores.
    pub const fn xx(mut self) -> Self {
        self.condition = Some("XX");
        self
    }

    /// Changes a score only to a higher one. Needs server version 6.2.
    pub const fn gt(mut self) -> Self {
        self.comparison = Some("GT");
        self
    }

    /// Changes a score only to a lower one. Needs server version 6.2.
    pub const fn lt(mut self) -> Self {
        self.comparison = Some("LT");
        self
    }

    /// Counts what changed in the reply, not only what is new.
    pub const fn ch(mut self) -> Self {
        self.changed = true;
        self
    }
}

impl Options for ZaddOptions {
    fn add_to(self, command: Command) -> Command {
        command.args(self.condition).args(self.comparison).args(self.changed.then_some("CH"))
    }
}

/// The options of ZRANGE: what the range is of, its direction, a part of it, with scores or not.
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct ZrangeOptions {
    /// BYSCORE or BYLEX; places otherwise.
    by: Option<&'static str>,
    /// REV.
    reverse: bool,
    /// LIMIT: offset and count.
    limit: Option<(u64, i64)>,
    /// WITHSCORES.
    scores: bool,
}

impl ZrangeOptions {
    /// No options: from one place to another, the lowest score first.
    pub const fn new() -> Self {
        Self { by: None, reverse: false, limit: None, scores: false }
    }

    /// The range is one of scores: `"(1"` excludes 1, `"-inf"` and `"+inf"` are open ends.
    pub const fn by_score(mut self) -> Self {
        self.by = Some("BYSCORE");
        self
    }

    /// The range is one of members: `"[a"` includes a, `"(a"` excludes it, `"-"` and `"+"` are open
    /// ends.
    pub const fn by_lex(mut self) -> Self {
        self.by = Some("BYLEX");
        self
    }

    /// The highest first. With `by_score` and `by_lex`, give the upper end first.
    pub const fn rev(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Leaves out the first `offset` and ends after `count`; all of them if `count` is negative.
    /// Only with `by_score` or `by_lex`.
    pub const fn limit(mut self, offset: u64, count: i64) -> Self {
        self.limit = Some((offset, count));
        self
    }

    /// Scores too, as pairs.
    pub const fn with_scores(mut self) -> Self {
        self.scores = true;
        self
    }
}

impl Options for ZrangeOptions {
    fn add_to(self, command: Command) -> Command {
        let mut command = command.args(self.by).args(self.reverse.then_some("REV"));
        if let Some((offset, count)) = self.limit {
            command = command.arg("LIMIT").arg(offset).arg(count);
        }
        command.args(self.scores.then_some("WITHSCORES"))
    }
}
