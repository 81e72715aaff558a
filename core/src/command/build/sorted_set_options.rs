//! The options of ZADD and ZRANGE.
//!
//! Spec: <https://redis.io/commands/zadd/>, <https://redis.io/commands/zrange/>.
//!
//! Each option is a method. Methods that exclude each other replace each other: the last one
//! counts.

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
    /// No options: adds new members, and changes the scores of existing ones.
    pub const fn new() -> Self {
        Self { condition: None, comparison: None, changed: false }
    }

    /// Only adds new members.
    pub const fn nx(mut self) -> Self {
        self.condition = Some("NX");
        self
    }

    /// Only changes the scores of existing members.
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

    /// The reply counts changed scores too, not only new members.
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

/// The options of ZRANGE: the kind of range, its direction, a part of it, and whether scores are
/// returned.
#[must_use]
#[derive(Clone, Copy, Debug, Default)]
pub struct ZrangeOptions {
    /// BYSCORE or BYLEX; otherwise the range is one of indexes.
    by: Option<&'static str>,
    /// REV.
    reverse: bool,
    /// LIMIT: offset and count.
    limit: Option<(u64, i64)>,
    /// WITHSCORES.
    scores: bool,
}

impl ZrangeOptions {
    /// No options: from one index to another, the lowest score first.
    pub const fn new() -> Self {
        Self { by: None, reverse: false, limit: None, scores: false }
    }

    /// The range is one of scores: `"(1"` excludes 1, and `"-inf"` and `"+inf"` have no bound.
    pub const fn by_score(mut self) -> Self {
        self.by = Some("BYSCORE");
        self
    }

    /// The range is one of members: `"[a"` includes a, `"(a"` excludes it, and `"-"` and `"+"` have
    /// no bound.
    pub const fn by_lex(mut self) -> Self {
        self.by = Some("BYLEX");
        self
    }

    /// The highest first. With `by_score` and `by_lex`, the range must begin with the upper bound.
    pub const fn rev(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Skips the first `offset` members and returns at most `count`; all of them if `count` is
    /// negative. Only with `by_score` or `by_lex`.
    pub const fn limit(mut self, offset: u64, count: i64) -> Self {
        self.limit = Some((offset, count));
        self
    }

    /// Returns pairs of member and score.
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
