//! What this client has seen of a node: commands in flight, latency, failures, lag. Read policies
//! choose by it.
//!
//! Each value is an atomic of its own: a read loads a few of them and takes no lock, and a value
//! that is slightly old does no harm. Real replies are timed, one at a time for each node. While a
//! timed read has no reply, its age counts as the latency: so a node that hangs is noticed without
//! a reply.
//!
//! Invariants: at most one timed read, one trial and one health check at a time for each node; a
//! quarantine is `PENALTY_FIRST` at first, doubles with each failure up to `PENALTY_CAP`, and ends
//! with the first success. Times are nanoseconds of the host's clock; 0 means never.

use crate::lock::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::time::Timestamp;
use crate::topology::replication::PrimaryOffsets;
use event_listener::{Event, EventListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The first quarantine after a failure.
const PENALTY_FIRST: Duration = Duration::from_millis(50);
/// The longest quarantine. A node that comes back is found within this time.
const PENALTY_CAP: Duration = Duration::from_secs(1);
/// A trial that has not ended after this time may be followed by another one.
const TRIAL: Duration = Duration::from_millis(500);
/// After about this long under load, half of the old average has no weight any more. Nanoseconds.
const SMOOTHING: u64 = 250_000_000;
/// A latency that is older than this is measured again.
pub(crate) const LATENCY_AGE_MAX: Duration = Duration::from_secs(1);
/// Failures in a row after which a node counts as down.
const DOWN_FAILURES: u32 = 3;
/// How much fallback a shard may save up, in hundredths of a read.
const CREDIT_MAX: u32 = 6400;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct NodeHealth {
    /// Counted commands that have not ended.
    in_flight: AtomicU32,
    /// Moving average of the time to a reply, in nanoseconds; 0 if none was timed.
    latency: AtomicU64,
    /// When the last timed reply came.
    heard: AtomicU64,
    /// When the timed read was sent that has no reply yet.
    timed_since: AtomicU64,
    /// When a read was last sent here only to measure the latency.
    probed: AtomicU64,
    /// When the quarantine ends, or when the next trial may begin.
    quarantined_until: AtomicU64,
    /// A trial is under way: one read, sent here to see whether the node works again.
    on_trial: AtomicBool,
    /// Failures in a row.
    failures: AtomicU32,
    /// The last failure's text.
    last_failure: Mutex<String>,
    /// It reports that its link to its primary is down.
    link_down: AtomicBool,
    /// The map says that it is a replica, it reports that it is a primary.
    promoted: AtomicBool,
    /// Of a primary: when the last health check of its shard began.
    checked: AtomicU64,
    /// Of a primary: when the last health check began that also asked for lags.
    lags_asked: AtomicU64,
    /// Of a primary: how many health checks of its shard are under way.
    checking: AtomicU32,
    /// Notified when a health check has ended.
    check_ended: Event,
    /// It has everything that was written before this time.
    fresh_as_of: AtomicU64,
    /// The number of its connections when that was asked.
    fresh_links: AtomicU32,
    /// Of a primary: its replication offsets, and when it was asked for them.
    primary_offsets: Mutex<PrimaryOffsets>,
    /// Its availability zone by INFO, where the topology does not tell it.
    zone: OnceLock<Option<Arc<str>>>,
    /// Of a primary: round-robin counter over the nodes of its shard; wraps around.
    choices: AtomicU64,
    /// Of a primary: how much fallback to it is allowed now, in hundredths of a read.
    credit: AtomicU32,
}

fn nanos(time: Duration) -> u64 {
    Timestamp::from_duration(time).nanos()
}

impl NodeHealth {
    /// `choice` is any number: clients that start together do not begin at the same node.
    pub(crate) fn new(choice: u64) -> Self {
        Self { choices: AtomicU64::new(choice), ..Self::default() }
    }

    /// How many commands are in flight.
    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts commands that are sent.
    pub(crate) fn begin(&self, commands: u32) {
        self.in_flight.fetch_add(commands, Ordering::Relaxed);
    }

    /// Counts commands that have ended.
    pub(crate) fn end(&self, commands: u32) {
        self.in_flight.fetch_sub(commands, Ordering::Relaxed);
    }

    /// The latency in nanoseconds, or 0 if none is known: the average or, if that is more, how long
    /// the timed read has had no reply.
    #[inline]
    pub(crate) fn latency(&self, now: Timestamp) -> u64 {
        self.latency.load(Ordering::Relaxed).max(self.unanswered_for(now))
    }

    /// How long the timed read has had no reply, in nanoseconds.
    #[inline]
    pub(crate) fn unanswered_for(&self, now: Timestamp) -> u64 {
        match self.timed_since.load(Ordering::Relaxed) {
            0 => 0,
            since => now.nanos().saturating_sub(since),
        }
    }

    /// Whether the latency is unknown or old, and no read was sent to measure it.
    #[inline]
    pub(crate) fn needs_probe(&self, now: Timestamp) -> bool {
        let old = now.nanos().saturating_sub(nanos(LATENCY_AGE_MAX));
        let before = |time: &AtomicU64| match time.load(Ordering::Relaxed) {
            0 => true,
            at => at < old,
        };
        before(&self.heard) && before(&self.probed)
    }

    /// Lets the caller send a read to measure the latency; false if another caller does already.
    pub(crate) fn claim_probe(&self, now: Timestamp) -> bool {
        let last = self.probed.load(Ordering::Relaxed);
        let free = last == 0 || now.nanos().saturating_sub(last) >= nanos(LATENCY_AGE_MAX);
        free && self.swap(&self.probed, last, now.nanos())
    }

    /// `None` if it is not quarantined, else whether a trial is due.
    #[inline]
    pub(crate) fn quarantine(&self, now: Timestamp) -> Option<bool> {
        match self.quarantined_until.load(Ordering::Relaxed) {
            0 => None,
            until => Some(now.nanos() >= until),
        }
    }

    /// When the quarantine ends, if there is one.
    pub(crate) fn quarantined_until(&self) -> Option<Timestamp> {
        let until = self.quarantined_until.load(Ordering::Relaxed);
        (until != 0).then(|| Timestamp::from_nanos(until))
    }

    /// Lets the caller send the trial; false if another caller does already.
    pub(crate) fn claim_trial(&self, now: Timestamp) -> bool {
        let until = self.quarantined_until.load(Ordering::Relaxed);
        let due = until != 0 && now.nanos() >= until;
        let claimed = due && self.swap(&self.quarantined_until, until, now.after(TRIAL).nanos());
        if claimed {
            self.on_trial.store(true, Ordering::Relaxed);
        }
        claimed
    }

    fn swap(&self, value: &AtomicU64, old: u64, new: u64) -> bool {
        value.compare_exchange(old, new.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// It failed: quarantines the node, with exponential back-off.
    pub(crate) fn record_failure(&self, now: Timestamp, why: &str) {
        why.clone_into(&mut lock(&self.last_failure));
        let on_trial = self.on_trial.swap(false, Ordering::Relaxed);
        // Many commands that fail together count as one failure.
        if !on_trial && self.quarantine(now) == Some(false) {
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(20);
        let penalty = PENALTY_FIRST.saturating_mul(1 << failures).min(PENALTY_CAP);
        self.quarantined_until.store(now.after(penalty).nanos().max(1), Ordering::Relaxed);
    }

    /// It answered: ends the quarantine.
    #[inline]
    pub(crate) fn record_success(&self) {
        if self.quarantined_until.load(Ordering::Relaxed) != 0 {
            self.quarantined_until.store(0, Ordering::Relaxed);
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it failed so often in a row that no read waits for it.
    pub(crate) fn is_down(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= DOWN_FAILURES
    }

    /// The last failure's text.
    pub(crate) fn last_failure(&self) -> String {
        lock(&self.last_failure).clone()
    }

    /// Stores what a replica reports: whether it is a primary now, and whether its link is down.
    pub(crate) fn set_reported(&self, promoted: bool, link_down: bool) {
        self.promoted.store(promoted, Ordering::Relaxed);
        self.link_down.store(link_down, Ordering::Relaxed);
    }

    /// Whether it reports that its link to its primary is down.
    #[inline]
    pub(crate) fn is_link_down(&self) -> bool {
        self.link_down.load(Ordering::Relaxed)
    }

    /// Whether the map says that it is a replica, and it reports that it is a primary.
    #[inline]
    pub(crate) fn is_promoted(&self) -> bool {
        self.promoted.load(Ordering::Relaxed)
    }

    /// Whether a read may go here without a further look: no quarantine, no report against it, a
    /// reply within `silent` nanoseconds, and a latency that is known.
    #[inline]
    pub(crate) fn is_healthy(&self, now: Timestamp, silent: u64) -> bool {
        let is_healthy = self.quarantined_until.load(Ordering::Relaxed) == 0
            && !self.is_promoted()
            && !self.is_link_down()
            && self.unanswered_for(now) <= silent;
        is_healthy && !self.needs_probe(now)
    }

    /// Of a primary: whether a health check of its shard is due, for `lags` or without them.
    #[inline]
    pub(crate) fn is_check_due(&self, now: Timestamp, interval: Duration, lags: bool) -> bool {
        let last = if lags { &self.lags_asked } else { &self.checked };
        let checked = last.load(Ordering::Relaxed);
        checked == 0 || now.nanos().saturating_sub(checked) >= nanos(interval)
    }

    /// Lets the caller do the health check, which ends with `end_check`; false if another caller
    /// does it already.
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

    /// A health check that was claimed is not made, or proves nothing any more: it is due again.
    pub(crate) fn return_check(&self) {
        self.checked.store(0, Ordering::Relaxed);
        self.lags_asked.store(0, Ordering::Relaxed);
    }

    /// A health check that was claimed has ended.
    pub(crate) fn end_check(&self) {
        self.checking.fetch_sub(1, Ordering::Relaxed);
        self.check_ended.notify(usize::MAX);
    }

    /// Whether a health check is under way.
    pub(crate) fn is_checking(&self) -> bool {
        self.checking.load(Ordering::Relaxed) > 0
    }

    /// Is notified when the next health check ends.
    pub(crate) fn listen_for_check_end(&self) -> EventListener {
        self.check_ended.listen()
    }

    /// It has everything that was written before `time`; never goes back, but for another process.
    /// `links` is the number of its connections so far, when it was asked.
    pub(crate) fn set_fresh_as_of(&self, time: Option<Timestamp>, links: u32) {
        if self.fresh_links.load(Ordering::Relaxed) != links {
            self.fresh_as_of.store(0, Ordering::Relaxed);
            self.fresh_links.store(links, Ordering::Release);
        }
        let time = time.map_or(0, |time| time.nanos().max(1));
        self.fresh_as_of.fetch_max(time, Ordering::Relaxed);
    }

    /// The number of its connections when it was last asked for its lag.
    pub(crate) fn lag_asked_at(&self) -> u32 {
        self.fresh_links.load(Ordering::Acquire)
    }

    /// Its lag: it may lack what was written within this time. `None` if that is not known since it
    /// had so many connections.
    #[inline]
    pub(crate) fn lag(&self, now: Timestamp, links: u32) -> Option<Duration> {
        if self.lag_asked_at() != links {
            return None;
        }
        match self.fresh_as_of.load(Ordering::Relaxed) {
            0 => None,
            fresh => Some(now.since(Timestamp::from_nanos(fresh))),
        }
    }

    /// Of a primary: its replication offsets.
    pub(crate) fn primary_offsets(&self) -> &Mutex<PrimaryOffsets> {
        &self.primary_offsets
    }

    /// Its zone by INFO. `None` until it was asked.
    pub(crate) fn zone(&self) -> Option<&Option<Arc<str>>> {
        self.zone.get()
    }

    /// Stores its zone by INFO; `None` if it has none.
    pub(crate) fn set_zone(&self, zone: Option<&str>) {
        let _ = self.zone.set(zone.map(Arc::from));
    }

    /// Of a primary: the number of the next choice within its shard.
    #[inline]
    pub(crate) fn next_choice(&self) -> u64 {
        self.choices.fetch_add(1, Ordering::Relaxed)
    }

    /// The same number, without counting it.
    pub(crate) fn peek_choice(&self) -> u64 {
        self.choices.load(Ordering::Relaxed)
    }

    /// Of a primary: whether one more read may fall back to it. `percent` of the reads that want to
    /// may: each earns that many hundredths of a read.
    pub(crate) fn may_fall_back(&self, percent: u32) -> bool {
        let mut allowed = false;
        let _ = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |credit| {
            let credit = credit.saturating_add(percent).min(CREDIT_MAX);
            allowed = credit >= 100;
            Some(if allowed { credit - 100 } else { credit })
        });
        allowed
    }

    /// Begins to time a read: its start in nanoseconds, or 0 if another read is being timed.
    #[inline]
    pub(super) fn claim_timing(&self, now: Timestamp) -> u64 {
        let began = now.nanos().max(1);
        let free =
            self.timed_since.load(Ordering::Relaxed) == 0 && self.swap(&self.timed_since, 0, began);
        if free { began } else { 0 }
    }

    /// The timed read has ended.
    #[inline]
    pub(super) fn end_timing(&self) {
        self.timed_since.store(0, Ordering::Relaxed);
    }

    /// Adds a timed reply to the average.
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
