//! When to look at the topology: the one component that owns this decision.
//!
//! Everything that goes wrong may ask for a look (`want`); looks are merged, spaced, and bounded by
//! a token bucket, so that a fleet of clients that sees the same failover does not become a storm.
//! A cause that lasts (a slot that nobody serves, a shard that is down) is looked at again with
//! growing pauses, up to a cap of its own, for as long as somebody asks.
//!
//! Invariants: at most one look at a time (`begin` to `end`); never more than `per_second` in any
//! second beyond the bucket's burst. Pure: the clock and chance come as arguments. Called by
//! `driver/topology.rs`.

use crate::rng::Rng;
use crate::time::Timestamp;
use std::time::Duration;

/// Why the topology is looked at.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefreshReason {
    /// A sentinel announced something about the service.
    Announced,
    /// A server said that it serves no such slot, or that the cluster is down.
    ClusterDown,
    /// The periodic look.
    Interval,
    /// A slot has moved.
    Moved,
    /// A node cannot be reached, or a connection to it was lost.
    NodeLost,
    /// A node owes replies and is silent.
    NodeSilent,
    /// A primary says that it is a replica, or a replica that it is none.
    ReadOnly,
    /// The application asked.
    Requested,
    /// The client has no map yet.
    Start,
    /// The map has no owner for a slot.
    Uncovered,
}

impl RefreshReason {
    /// The pause before the first look, and the longest one while the cause lasts.
    const fn pauses(self) -> (Duration, Duration) {
        let (first, cap) = match self {
            // Nobody waits for these: the slot was patched at once, the periodic look has time.
            Self::Interval => (0, 1000),
            Self::Moved => (50, 1000),
            // Callers wait for these inside their deadline.
            Self::ClusterDown | Self::Uncovered => (0, 170),
            Self::NodeLost | Self::NodeSilent | Self::ReadOnly => (0, 450),
            Self::Announced | Self::Requested | Self::Start => (0, 250),
        };
        (Duration::from_millis(first), Duration::from_millis(cap))
    }
}

/// After this long without a look, whatever was wrong is a new cause.
const QUIET: Duration = Duration::from_secs(2);

/// See the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    /// Looks per second, and the largest burst.
    per_second: u32,
    /// Looks that may begin at once, in thousandths.
    tokens: u64,
    /// When `tokens` was right.
    counted: Timestamp,
    /// When the next look may begin, and why; none while nobody asks.
    due: Option<(Timestamp, RefreshReason)>,
    /// A look is under way since then.
    running: Option<Timestamp>,
    /// Looks in a row that changed nothing.
    idle_looks: u32,
    /// When the last look ended.
    ended: Timestamp,
}

impl Refresh {
    pub(crate) fn new(per_second: u32, now: Timestamp) -> Self {
        let per_second = per_second.max(1);
        let tokens = u64::from(per_second) * 1000;
        Self {
            per_second,
            tokens,
            counted: now,
            due: None,
            running: None,
            idle_looks: 0,
            ended: Timestamp::ZERO,
        }
    }

    /// Somebody has a reason to look. The earliest moment wins.
    pub(crate) fn want(&mut self, reason: RefreshReason, now: Timestamp, rng: &mut Rng) {
        let (first, cap) = reason.pauses();
        // Doubling from a tenth of the cap, so that a passing cause costs little delay and a
        // lasting one few looks.
        let grown = (cap / 10).saturating_mul(1 << self.idle_looks.min(8)).min(cap);
        let pause = if self.idle_looks == 0 { rng.jitter(first) } else { spread(grown, rng) };
        let base = if self.idle_looks == 0 { now } else { self.ended };
        let at = base.after(pause).max(now).max(self.token_at(now));
        match self.due {
            Some((due, _)) if due <= at => {}
            _ => self.due = Some((at, reason)),
        }
    }

    /// When the next look may begin.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        if self.running.is_some() { None } else { self.due.map(|(at, _)| at) }
    }

    /// Whether a look is under way or will be.
    pub(crate) fn is_wanted(&self) -> bool {
        self.running.is_some() || self.due.is_some()
    }

    /// Begins the look that is due; why it was wanted.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Option<RefreshReason> {
        let (_, reason) = self.due.filter(|(at, _)| *at <= now && self.running.is_none())?;
        self.due = None;
        if now.since(self.ended) > QUIET {
            self.idle_looks = 0;
        }
        self.count(now);
        self.tokens = self.tokens.saturating_sub(1000);
        self.running = Some(now);
        Some(reason)
    }

    /// The look is over.
    pub(crate) fn end(&mut self, now: Timestamp, changed: bool) {
        self.running = None;
        self.ended = now;
        self.idle_looks = if changed { 0 } else { self.idle_looks.saturating_add(1) };
    }

    /// What was wrong is no more: the next cause is looked at without delay.
    pub(crate) fn settle(&mut self) {
        self.idle_looks = 0;
    }

    fn count(&mut self, now: Timestamp) {
        let full = u64::from(self.per_second) * 1000;
        let millis = u64::try_from(now.since(self.counted).as_millis()).unwrap_or(u64::MAX);
        let gained = millis.saturating_mul(u64::from(self.per_second));
        self.tokens = self.tokens.saturating_add(gained).min(full);
        // What is left of a millisecond counts next time: else asking often would stop the clock.
        self.counted = self.counted.after(Duration::from_millis(millis)).min(now);
    }

    /// When a token will be there.
    fn token_at(&mut self, now: Timestamp) -> Timestamp {
        self.count(now);
        let lacking = 1000u64.saturating_sub(self.tokens);
        now.after(Duration::from_millis(lacking.div_ceil(u64::from(self.per_second))))
    }
}

/// Four fifths of `pause` up to all of it: clients spread out, and none waits much longer than it
/// has to.
fn spread(pause: Duration, rng: &mut Rng) -> Duration {
    pause.mul_f64(0.8) + rng.jitter(pause / 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_duration(Duration::from_millis(millis))
    }

    /// Asks without pause for `millis`, each look taking 5 ms and changing nothing; returns how
    /// many there were.
    fn looks(reason: RefreshReason, millis: u64, per_second: u32) -> u32 {
        let (mut refresh, mut rng) = (Refresh::new(per_second, at(0)), Rng::new(3));
        let (mut looks, mut now) = (0, 0);
        while now < millis {
            refresh.want(reason, at(now), &mut rng);
            if refresh.begin(at(now)).is_some() {
                looks += 1;
                now += 5;
                refresh.end(at(now), false);
            }
            now += 1;
        }
        looks
    }

    #[test]
    fn the_first_cause_is_looked_at_at_once() {
        let (mut refresh, mut rng) = (Refresh::new(5, at(0)), Rng::new(1));
        assert!(!refresh.is_wanted());
        refresh.want(RefreshReason::NodeLost, at(10), &mut rng);
        assert_eq!(refresh.due(), Some(at(10)));
        assert_eq!(refresh.begin(at(9)), None);
        assert_eq!(refresh.begin(at(10)), Some(RefreshReason::NodeLost));
        refresh.want(RefreshReason::Uncovered, at(11), &mut rng);
        assert_eq!(refresh.due(), None, "one look at a time");
        assert_eq!(refresh.begin(at(11)), None);
        refresh.end(at(12), true);
        assert_eq!(refresh.begin(at(12)), Some(RefreshReason::Uncovered));
    }

    #[test]
    fn a_lasting_cause_is_looked_at_with_growing_pauses() {
        let uncovered = looks(RefreshReason::Uncovered, 2000, 1000);
        assert!((8..=16).contains(&uncovered), "{uncovered} looks in 2 s");
        let lost = looks(RefreshReason::NodeLost, 10_000, 1000);
        assert!((18..=30).contains(&lost), "{lost} looks in 10 s");
    }

    #[test]
    fn the_bucket_bounds_them_all() {
        for reason in [RefreshReason::Moved, RefreshReason::Uncovered, RefreshReason::Start] {
            let count = looks(reason, 10_000, 2);
            assert!(count <= 22, "{count} looks in 10 s at 2 a second and a burst of 2");
        }
    }

    #[test]
    fn an_urgent_reason_comes_before_a_lazy_one() {
        let (mut refresh, mut rng) = (Refresh::new(5, at(0)), Rng::new(5));
        refresh.want(RefreshReason::Moved, at(0), &mut rng);
        refresh.want(RefreshReason::Uncovered, at(0), &mut rng);
        assert_eq!(refresh.due(), Some(at(0)));
    }
}
