//! How a node does in this client's own eyes: what is in flight, how fast it answers, whether it
//! has failed of late, how old its data can be. What read policies choose by.
//!
//! Everything is an atomic of its own: a read looks at a few of them and takes no lock, and a value
//! that is a moment old does no harm. Real replies are timed, one at a time for each node: as long
//! as one is out, its age says that the node is slower than that; so a node that hangs is noticed
//! without a reply.
//!
//! Invariants: at most one timed read, one trial and one check-up at a time for each node; a
//! quarantine is `PENALTY_FIRST` at first, doubles with each failure up to `PENALTY_CAP`, and ends
//! with the first success. Times are nanoseconds of the host's clock; 0 stands for never.
//! Called by `driver/pick.rs`, `driver/checkup.rs`, `driver/reads.rs` and `driver/batch.rs`.

use crate::lock::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::time::Timestamp;
use crate::topology::replication::PrimaryOffsets;
use event_listener::{Event, EventListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The first quarantine.
const PENALTY_FIRST: Duration = Duration::from_millis(50);
/// The longest quarantine: a node that comes back is found within this.
const PENALTY_CAP: Duration = Duration::from_secs(1);
/// A trial that has not ended by then may be followed by another.
const TRIAL: Duration = Duration::from_millis(500);
/// Half of an old average is forgotten after about this long under load.
const SMOOTHING: u64 = 250_000_000;
/// After this long without a reply, a node's latency is worth finding out anew.
pub(crate) const LATENCY_AGE_MAX: Duration = Duration::from_secs(1);
/// Failures in a row after which a node is known to be down.
const DOWN_STRIKES: u32 = 3;
/// Reads' worth of fallback that a shard may save up, in hundredths.
const CREDIT_MAX: u32 = 6400;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct NodeHealth {
    /// Commands that were counted and have not ended.
    in_flight: AtomicU32,
    /// Moving average of what timed replies took.
    latency: AtomicU64,
    /// When the last timed reply came.
    heard: AtomicU64,
    /// When the timed read that is out was sent.
    asked: AtomicU64,
    /// When a read was last sent to find out how fast it is.
    probed: AtomicU64,
    /// Passed by until then.
    until: AtomicU64,
    /// A trial is under way: `until` is when another may follow.
    on_trial: AtomicBool,
    /// Failures in a row.
    strikes: AtomicU32,
    /// What the last failure was.
    why: Mutex<String>,
    /// By its own word it has no link to its primary.
    unlinked: AtomicBool,
    /// A replica by the map, it says that it is none.
    promoted: AtomicBool,
    /// When its shard was last checked up on; of a primary.
    checked: AtomicU64,
    /// When lags were last asked for in its shard; of a primary.
    lags_asked: AtomicU64,
    /// Check-ups of its shard that are under way.
    checking: AtomicU32,
    /// Told when a check-up has ended.
    check_ended: Event,
    /// It has everything that was written before.
    fresh: AtomicU64,
    /// Where it stood in the replication stream; of a primary.
    places: Mutex<PrimaryOffsets>,
    /// The zone that it told, where the topology does not.
    zone: OnceLock<Option<Arc<str>>>,
    /// Choices made for its shard; of a primary.
    turn: AtomicU64,
    /// Fallback to it that is allowed now, in hundredths of a read; of a primary.
    credit: AtomicU32,
}

fn nanos(time: Duration) -> u64 {
    Timestamp::from_duration(time).nanos()
}

impl NodeHealth {
    /// `turn` is any number: clients that start together do not begin at the same node.
    pub(crate) fn new(turn: u64) -> Self {
        Self { turn: AtomicU64::new(turn), ..Self::default() }
    }

    /// Commands in flight.
    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// So many commands are on their way.
    pub(crate) fn begin(&self, commands: u32) {
        self.in_flight.fetch_add(commands, Ordering::Relaxed);
    }

    /// So many have ended.
    pub(crate) fn end(&self, commands: u32) {
        self.in_flight.fetch_sub(commands, Ordering::Relaxed);
    }

    /// The latency as of now, or 0: the average or, if that is more, the age of the read that is
    /// out.
    #[inline]
    pub(crate) fn latency(&self, now: Timestamp) -> u64 {
        self.latency.load(Ordering::Relaxed).max(self.unanswered_for(now))
    }

    /// How long the timed read has been out.
    #[inline]
    pub(crate) fn unanswered_for(&self, now: Timestamp) -> u64 {
        match self.asked.load(Ordering::Relaxed) {
            0 => 0,
            asked => now.nanos().saturating_sub(asked),
        }
    }

    /// Whether nothing was heard for long, and nobody has gone to find out.
    #[inline]
    pub(crate) fn needs_probe(&self, now: Timestamp) -> bool {
        let old = now.nanos().saturating_sub(nanos(LATENCY_AGE_MAX));
        let before = |moment: &AtomicU64| match moment.load(Ordering::Relaxed) {
            0 => true,
            at => at < old,
        };
        before(&self.heard) && before(&self.probed)
    }

    /// The caller goes to find out how fast the node is; false if another does already.
    pub(crate) fn claim_probe(&self, now: Timestamp) -> bool {
        let last = self.probed.load(Ordering::Relaxed);
        let free = last == 0 || now.nanos().saturating_sub(last) >= nanos(LATENCY_AGE_MAX);
        free && self.swap(&self.probed, last, now.nanos())
    }

    /// Whether it is quarantined and, if so, whether a trial is due.
    #[inline]
    pub(crate) fn quarantine(&self, now: Timestamp) -> Option<bool> {
        match self.until.load(Ordering::Relaxed) {
            0 => None,
            until => Some(now.nanos() >= until),
        }
    }

    /// When the quarantine ends, if there is one.
    pub(crate) fn quarantined_until(&self) -> Option<Timestamp> {
        let until = self.until.load(Ordering::Relaxed);
        (until != 0).then(|| Timestamp::from_nanos(until))
    }

    /// The caller goes to find out whether the node is well again; false if another does already.
    pub(crate) fn claim_trial(&self, now: Timestamp) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        let due = until != 0 && now.nanos() >= until;
        let claimed = due && self.swap(&self.until, until, now.after(TRIAL).nanos());
        if claimed {
            self.on_trial.store(true, Ordering::Relaxed);
        }
        claimed
    }

    fn swap(&self, value: &AtomicU64, old: u64, new: u64) -> bool {
        value.compare_exchange(old, new.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It failed: others first, for a while.
    pub(crate) fn record_failure(&self, now: Timestamp, why: &str) {
        why.clone_into(&mut lock(&self.why));
        let on_trial = self.on_trial.swap(false, Ordering::Relaxed);
        // Many that fail at once are one failure.
        if !on_trial && self.quarantine(now) == Some(false) {
            return;
        }
        let strikes = self.strikes.fetch_add(1, Ordering::Relaxed).min(20);
        let penalty = PENALTY_FIRST.saturating_mul(1 << strikes).min(PENALTY_CAP);
        self.until.store(now.after(penalty).nanos().max(1), Ordering::Relaxed);
    }

    /// It answered.
    #[inline]
    pub(crate) fn record_success(&self) {
        if self.until.load(Ordering::Relaxed) != 0 {
            self.until.store(0, Ordering::Relaxed);
            self.strikes.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it failed so often in a row that waiting for it makes no sense.
    pub(crate) fn is_down(&self) -> bool {
        self.strikes.load(Ordering::Relaxed) >= DOWN_STRIKES
    }

    /// What the last failure was.
    pub(crate) fn last_failure(&self) -> String {
        lock(&self.why).clone()
    }

    /// What a replica says of itself: whether it is one, and whether its link is down.
    pub(crate) fn set_reported(&self, promoted: bool, unlinked: bool) {
        self.promoted.store(promoted, Ordering::Relaxed);
        self.unlinked.store(unlinked, Ordering::Relaxed);
    }

    /// By its own word it has no link to its primary.
    #[inline]
    pub(crate) fn is_link_down(&self) -> bool {
        self.unlinked.load(Ordering::Relaxed)
    }

    /// A replica by the map, it says that it is none.
    #[inline]
    pub(crate) fn is_promoted(&self) -> bool {
        self.promoted.load(Ordering::Relaxed)
    }

    /// Whether nothing at all speaks against a read here, and nothing has to be found out.
    #[inline]
    pub(crate) fn is_healthy(&self, now: Timestamp, silent: u64) -> bool {
        let is_well = self.until.load(Ordering::Relaxed) == 0
            && !self.is_promoted()
            && !self.is_link_down()
            && self.unanswered_for(now) <= silent;
        is_well && !self.needs_probe(now)
    }

    /// Whether the shard of this primary is to be checked up on, for `lags` or without.
    #[inline]
    pub(crate) fn is_check_due(&self, now: Timestamp, interval: Duration, lags: bool) -> bool {
        let last = if lags { &self.lags_asked } else { &self.checked };
        let checked = last.load(Ordering::Relaxed);
        checked == 0 || now.nanos().saturating_sub(checked) >= nanos(interval)
    }

    /// The caller does the check-up; false if another does already. It ends with `end_check`.
    pub(crate) fn claim_check(&self, now: Timestamp, interval: Duration, lags: bool) -> bool {
        let last = if lags { &self.lags_asked } else { &self.checked };
        let checked = last.load(Ordering::Relaxed);
        let claimed =
            self.is_check_due(now, interval, lags) && self.swap(last, checked, now.nanos());
        if claimed {
            self.checking.fetch_add(1, Ordering::Relaxed);
            self.checked.store(now.nanos().max(1), Ordering::Relaxed);
        }
        claimed
    }

    /// A check-up that was claimed is not made: it is still due.
    pub(crate) fn return_check(&self) {
        self.checked.store(0, Ordering::Relaxed);
        self.lags_asked.store(0, Ordering::Relaxed);
    }

    /// A check-up that was claimed has ended.
    pub(crate) fn end_check(&self) {
        self.checking.fetch_sub(1, Ordering::Relaxed);
        self.check_ended.notify(usize::MAX);
    }

    /// Whether a check-up is under way.
    pub(crate) fn is_checking(&self) -> bool {
        self.checking.load(Ordering::Relaxed) > 0
    }

    /// Ends with the next end of a check-up after this call.
    pub(crate) fn listen_for_check_end(&self) -> EventListener {
        self.check_ended.listen()
    }

    /// It has everything that was written before `moment`; never goes back.
    pub(crate) fn set_fresh_as_of(&self, moment: Option<Timestamp>) {
        let moment = moment.map_or(0, |moment| moment.nanos().max(1));
        self.fresh.fetch_max(moment, Ordering::Relaxed);
    }

    /// What its data lacks at most: what was written within this time.
    #[inline]
    pub(crate) fn lag(&self, now: Timestamp) -> Option<Duration> {
        match self.fresh.load(Ordering::Relaxed) {
            0 => None,
            fresh => Some(now.since(Timestamp::from_nanos(fresh))),
        }
    }

    /// Where it stood in the replication stream.
    pub(crate) fn primary_offsets(&self) -> &Mutex<PrimaryOffsets> {
        &self.places
    }

    /// The zone that it told. `None` until it was asked.
    pub(crate) fn zone(&self) -> Option<&Option<Arc<str>>> {
        self.zone.get()
    }

    /// It told its zone, or that it has none.
    pub(crate) fn set_zone(&self, zone: Option<&str>) {
        let _ = self.zone.set(zone.map(Arc::from));
    }

    /// The number of the next choice for its shard.
    #[inline]
    pub(crate) fn next_choice(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The same without taking it.
    pub(crate) fn peek_choice(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// Whether one more read may fall back to it, of which `percent` in a hundred may. Each read
    /// that wants to earns that many hundredths.
    pub(crate) fn may_fall_back(&self, percent: u32) -> bool {
        let mut allowed = false;
        let _ = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |credit| {
            let credit = credit.saturating_add(percent).min(CREDIT_MAX);
            allowed = credit >= 100;
            Some(if allowed { credit - 100 } else { credit })
        });
        allowed
    }

    /// The start of the one read that is timed, in nanoseconds; 0 while another one is.
    #[inline]
    pub(super) fn claim_timing(&self, now: Timestamp) -> u64 {
        let began = now.nanos().max(1);
        let free = self.asked.load(Ordering::Relaxed) == 0 && self.swap(&self.asked, 0, began);
        if free { began } else { 0 }
    }

    /// The timed read has ended.
    #[inline]
    pub(super) fn end_timing(&self) {
        self.asked.store(0, Ordering::Relaxed);
    }

    /// Takes a timed reply in.
    pub(super) fn record_reply(&self, began: Timestamp, now: Timestamp) {
        let sample = nanos(now.since(began)).max(1);
        let heard = self.heard.swap(now.nanos().max(1), Ordering::Relaxed);
        let age = now.nanos().saturating_sub(heard);
        let known = self.latency.load(Ordering::Relaxed);
        let average = if known == 0 || age >= nanos(LATENCY_AGE_MAX) {
            sample
        } else {
            let (weight, smoothing) = (age as f64 + 1.0, SMOOTHING as f64);
            ((sample as f64 * weight + known as f64 * smoothing) / (weight + smoothing)) as u64
        };
        self.latency.store(average.max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_duration(Duration::from_millis(ms))
    }

    #[test]
    fn a_quarantine_doubles_ends_and_lets_one_in() {
        let health = NodeHealth::default();
        assert_eq!(health.quarantine(at(1000)), None);
        health.record_failure(at(1000), "gone");
        health.record_failure(at(1001), "gone");
        assert_eq!(health.quarantine(at(1049)), Some(false), "failing together is failing once");
        assert_eq!(health.quarantine(at(1050)), Some(true));
        assert!(health.claim_trial(at(1050)));
        assert!(!health.claim_trial(at(1050)), "one at a time");
        health.record_failure(at(1060), "gone");
        assert_eq!(health.quarantine(at(1159)), Some(false), "a trial that failed is a failure");
        assert_eq!(health.quarantine(at(1160)), Some(true));
        for n in 0..40 {
            health.record_failure(at(3000 + 2000 * n), "gone");
        }
        assert!(health.is_down());
        let capped = health.quarantined_until().unwrap();
        assert_eq!(capped, at(3000 + 2000 * 39).after(PENALTY_CAP));
        health.record_success();
        assert_eq!((health.quarantine(at(1)), health.is_down()), (None, false));
    }

    #[test]
    fn an_average_follows_and_an_old_one_is_forgotten() {
        let health = NodeHealth::default();
        health.record_reply(at(1000), at(1010));
        assert_eq!(health.latency(at(1010)), 10_000_000);
        health.record_reply(at(1010), at(1060));
        let rising = health.latency(at(1060));
        assert!((10_000_000..30_000_000).contains(&rising), "{rising}");
        health.record_reply(at(2500), at(2501));
        assert_eq!(health.latency(at(2501)), 1_000_000, "nothing heard for a second");
    }

    #[test]
    fn one_read_in_a_second_finds_out() {
        let health = NodeHealth::default();
        assert!(health.needs_probe(at(5000)) && health.claim_probe(at(5000)));
        assert!(!health.needs_probe(at(5500)) && !health.claim_probe(at(5999)));
        assert!(health.needs_probe(at(6001)) && health.claim_probe(at(6001)));
        health.record_reply(at(6001), at(6002));
        assert!(!health.needs_probe(at(7000)));
    }

    #[test]
    fn fallback_is_capped() {
        for percent in [0, 10, 50, 100] {
            let health = NodeHealth::default();
            let allowed = (0..1000).filter(|_| health.may_fall_back(percent)).count();
            assert_eq!(allowed, percent as usize * 10, "{percent}");
        }
    }
}
