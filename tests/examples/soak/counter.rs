//! What is known of one counter: how often it was incremented for sure, and how often perhaps.
//!
//! One worker increments a counter, one command or pipeline at a time. Each counter starts at a
//! number of its own and never reaches the next one's, so a value says which counter it is of.
//! **Invariant**: whenever no increment is in flight, `base + acknowledged <= value` and
//! `value <= base + acknowledged + unknown`, unless the client has broken a promise.

use slotcar::{Delivery, Error};

/// From the start of one counter to the start of the next: more than any run increments.
const SPAN: i64 = 1_000_000_000_000;

/// What a value shows of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It is within its bounds.
    Fine,
    /// It is not this counter's value: the reply was another command's.
    Wrong,
    /// So many acknowledged increments are missing.
    Lost(i64),
    /// So many increments too many.
    Doubled(i64),
}

/// One counter.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    /// Its key.
    pub(crate) key: String,
    /// Its first value.
    pub(crate) base: i64,
    /// Increments with a reply.
    pub(crate) acknowledged: i64,
    /// Increments of which the client said that they may have run.
    pub(crate) unknown: i64,
}

impl Counter {
    /// The counter with this number.
    pub(crate) fn new(key: String, number: usize) -> Counter {
        let number = i64::try_from(number).expect("there are few counters");
        Counter { key, base: (number + 1) * SPAN, acknowledged: 0, unknown: 0 }
    }

    /// Judges a value that was read while none of its increments was in flight.
    pub(crate) fn read(&mut self, value: i64) -> Finding {
        let least = self.base + self.acknowledged;
        self.judge(value, least, least + self.unknown)
    }

    /// Judges a value that may be an old one.
    pub(crate) fn read_stale(&self, value: i64) -> Finding {
        let most = self.base + self.acknowledged + self.unknown;
        if (self.base..=most).contains(&value) { Finding::Fine } else { Finding::Wrong }
    }

    /// Judges the results of increments that were sent together.
    pub(crate) fn incremented(&mut self, results: &[Result<i64, Error>]) -> Vec<Finding> {
        let least = self.base + self.acknowledged + 1;
        let sent = i64::try_from(results.len()).expect("a pipeline is short");
        let most = least + self.unknown + sent - 1;
        for result in results {
            match result {
                Ok(_) => self.acknowledged += 1,
                Err(error) => self.unknown += i64::from(error.delivery().may_have_run()),
            }
        }
        results.iter().flatten().map(|value| self.judge(*value, least, most)).collect()
    }

    /// Judges a value; what it shows is put into the books, so that it is found once.
    fn judge(&mut self, value: i64, least: i64, most: i64) -> Finding {
        if !(self.base..self.base + SPAN).contains(&value) {
            Finding::Wrong
        } else if value < least {
            self.acknowledged -= least - value;
            self.unknown += least - value;
            Finding::Lost(least - value)
        } else if value > most {
            self.unknown += value - most;
            Finding::Doubled(value - most)
        } else {
            Finding::Fine
        }
    }
}

/// Whether a command with this error is sure not to have run.
pub(crate) fn surely_not_run(error: &Error) -> bool {
    matches!(error.delivery(), Delivery::NotSent | Delivery::Refused)
}
