//! When to refresh the topology: the one component that decides this.
//!
//! Every failure may request a refresh. Requests are merged, spaced, and bounded by a token bucket,
//! so that many clients that see the same failover do not overload the servers. For a cause that
//! lasts (a slot that no node serves, a shard that is down) refreshes are repeated with growing
//! pauses, up to a cap, for as long as requests come.
//!
//! A connection that is lost says little: the server may be there still, and the next dial tells.
//! Where no caller waits for the answer, the refresh comes at a random moment within `SPREAD`: a
//! thousand clients that lose connections at once do not ask at once.
//!
//! Invariants: at most one refresh at a time (`begin` to `end`); never more than `per_second` in
//! any second beyond the bucket's burst. Pure: the clock and the random numbers are arguments.

use crate::rng::Rng;
use crate::time::Timestamp;
use std::fmt;
use std::time::Duration;

/// Why the topology is refreshed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefreshReason {
    /// A sentinel announced something about the service.
    Announced,
    /// A server answered CLUSTERDOWN: a slot is not served, or the cluster is down.
    ClusterDown,
    /// The last refresh heard from another cluster only.
    Foreign,
    /// The refresh interval has passed.
    Interval,
    /// A server answered MOVED.
    Moved,
    /// A node cannot be reached, or a connection to it was lost.
    NodeLost,
    /// A node owes replies and sends nothing.
    NodeSilent,
    /// A primary reports that it is a replica, or a replica that it is a primary.
    ReadOnly,
    /// The application requested it.
    Requested,
    /// The client has no map yet.
    Start,
    /// The map has no owner for a slot.
    Uncovered,
    /// A redirect leads to an address that the map does not have.
    UnknownNode,
    /// A connection led to another server than the one that the map means.
    WrongNode,
}

impl fmt::Display for RefreshReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Announced => "a sentinel announced a change",
            Self::ClusterDown => "a server answered CLUSTERDOWN",
            Self::Foreign => "the last refresh heard from another cluster only",
            Self::Interval => "the refresh interval has passed",
            Self::Moved => "a server answered MOVED",
            Self::NodeLost => "a node cannot be reached",
            Self::NodeSilent => "a node owes replies and sends nothing",
            Self::ReadOnly => "a node has another role than the map says",
            Self::Requested => "the application requested it",
            Self::Start => "the client has no map yet",
            Self::Uncovered => "the map has no owner for a slot",
            Self::UnknownNode => "a redirect leads to an address that the map does not have",
            Self::WrongNode => "a node is not the one that the map means",
        })
    }
}

/// How the refreshes for one reason follow each other.
struct Pacing {
    /// Before the first refresh: a random part of this.
    first: Duration,
    /// At least this after the end of the refresh before.
    apart: Duration,
    /// The pause after the first refresh that changed nothing. It doubles with each.
    start: Duration,
    /// The longest pause while the cause lasts.
    cap: Duration,
    /// By how much a pause is shortened at random, in percent at most.
    jitter: u32,
}

impl RefreshReason {
    const fn pacing(self) -> Pacing {
        let ms = Duration::from_millis;
        let urgent = Pacing { first: ms(0), apart: ms(0), start: ms(45), cap: ms(450), jitter: 20 };
        match self {
            // No caller waits for these: MOVED has patched the slot, and the interval has time.
            Self::Interval => Pacing { start: ms(100), cap: ms(1000), ..urgent },
            Self::Moved => {
                Pacing { first: ms(50), apart: ms(200), start: ms(200), cap: ms(1000), jitter: 20 }
            }
            // Only a refresh finds out that the slot is served again.
            Self::ClusterDown | Self::Uncovered => {
                Pacing { start: ms(190), cap: ms(190), jitter: 5, ..urgent }
            }
            Self::Foreign
            | Self::NodeLost
            | Self::NodeSilent
            | Self::ReadOnly
            | Self::WrongNode => urgent,
            Self::Announced | Self::Requested | Self::Start | Self::UnknownNode => {
                Pacing { start: ms(25), cap: ms(250), ..urgent }
            }
        }
    }

    fn longest_pause(self, urgency: Urgency) -> Duration {
        self.pacing().cap * if urgency == Urgency::Patient { 2 } else { 1 }
    }

    /// Whether a caller that requests this tries the new map, and requests again if it does not
    /// help.
    const fn is_requested_again(self) -> bool {
        matches!(self, Self::ClusterDown | Self::Uncovered | Self::UnknownNode)
    }
}

/// Who waits for a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A caller may wait for it.
    Awaited,
    /// The same, but only time mends the cause: the longest pause is twice as long.
    Patient,
    /// No caller does: a connection was lost, and none has failed to connect again.
    Idle,
}

/// Within this time a refresh begins that no caller waits for.
const SPREAD: Duration = Duration::from_secs(5);

/// After this long without a refresh, the next request is for a new cause.
const QUIET: Duration = Duration::from_secs(2);

/// See the head of this file.
#[derive(Clone, Debug)]
pub(crate) struct RefreshSchedule {
    /// Refreshes per second, and the largest burst.
    per_second: u32,
    /// How many refreshes may begin at once, in thousandths.
    tokens: u64,
    /// When `tokens` was last computed.
    counted: Timestamp,
    /// When the next refresh may begin, and why; `None` if none was requested.
    due: Option<(Timestamp, RefreshReason)>,
    /// A refresh is under way.
    running: bool,
    /// The most urgent request that came while one was under way.
    next: Option<(RefreshReason, Urgency)>,
    /// Refreshes in a row that changed nothing.
    unchanged: u32,
    /// When the last refresh ended.
    ended: Timestamp,
}

impl RefreshSchedule {
    pub(crate) fn new(per_second: u32, now: Timestamp) -> Self {
        let per_second = per_second.max(1);
        let tokens = u64::from(per_second) * 1000;
        Self {
            per_second,
            tokens,
            counted: now,
            due: None,
            running: false,
            next: None,
            unchanged: 0,
            ended: Timestamp::ZERO,
        }
    }

    /// Requests a refresh. Of several requests the one that may begin first counts. True if the
    /// next refresh is due sooner now, or for the first time.
    pub(crate) fn request(
        &mut self,
        reason: RefreshReason,
        urgency: Urgency,
        now: Timestamp,
        rng: &mut Rng,
    ) -> bool {
        if self.running {
            let longest = |(reason, urgency): (RefreshReason, Urgency)| match urgency {
                Urgency::Idle => SPREAD,
                _ => reason.longest_pause(urgency),
            };
            if self.next.is_none_or(|next| longest((reason, urgency)) < longest(next)) {
                self.next = Some((reason, urgency));
            }
            return false;
        }
        // Ten lost connections are no more urgent than one.
        if urgency == Urgency::Idle && self.due.is_some() {
            return false;
        }
        if now.since(self.ended) > QUIET {
            self.unchanged = 0;
        }
        let Pacing { first, apart, start, jitter, .. } = reason.pacing();
        let cap = reason.longest_pause(urgency);
        let begin = if urgency == Urgency::Idle {
            now.after(rng.jitter(SPREAD)).max(self.ended.after(apart))
        } else if self.unchanged == 0 {
            now.after(rng.jitter(first)).max(self.ended.after(apart))
        } else {
            let grown = start.saturating_mul(1 << (self.unchanged - 1).min(8)).min(cap);
            self.ended.after(shorten(grown, jitter, rng))
        };
        let at = begin.max(now).max(self.token_at(now));
        match self.due {
            Some((due, _)) if due <= at => false,
            _ => {
                self.due = Some((at, reason));
                true
            }
        }
    }

    /// When the next refresh may begin.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        if self.running { None } else { self.due.map(|(at, _)| at) }
    }

    /// Whether a refresh is under way or due.
    pub(crate) fn is_pending(&self) -> bool {
        self.running || self.due.is_some()
    }

    /// Cancels the refresh that is due.
    pub(crate) fn cancel(&mut self) {
        self.due = None;
    }

    /// Begins the refresh that is due, and returns its reason.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Option<RefreshReason> {
        let (_, reason) = self.due.filter(|(at, _)| *at <= now && !self.running)?;
        self.due = None;
        self.count(now);
        self.tokens = self.tokens.saturating_sub(1000);
        self.running = true;
        Some(reason)
    }

    /// The refresh has ended. A request that came meanwhile is next, unless this one has served it.
    pub(crate) fn end(&mut self, now: Timestamp, changed: bool, rng: &mut Rng) {
        self.running = false;
        self.ended = now;
        self.unchanged = if changed { 0 } else { self.unchanged.saturating_add(1) };
        if let Some((reason, urgency)) = self.next.take()
            && !(changed && reason.is_requested_again())
        {
            self.request(reason, urgency, now, rng);
        }
    }

    fn count(&mut self, now: Timestamp) {
        let full = u64::from(self.per_second) * 1000;
        let millis = u64::try_from(now.since(self.counted).as_millis()).unwrap_or(u64::MAX);
        let gained = millis.saturating_mul(u64::from(self.per_second));
        self.tokens = self.tokens.saturating_add(gained).min(full);
        // The rest of a millisecond counts next time: otherwise frequent calls would add nothing.
        self.counted = self.counted.after(Duration::from_millis(millis)).min(now);
    }

    /// When there will be a token.
    fn token_at(&mut self, now: Timestamp) -> Timestamp {
        self.count(now);
        let lacking = 1000u64.saturating_sub(self.tokens);
        now.after(Duration::from_millis(lacking.div_ceil(u64::from(self.per_second))))
    }
}

/// `pause` without a random part of it, up to so many percent: clients spread out, and none waits
/// longer.
fn shorten(pause: Duration, percent: u32, rng: &mut Rng) -> Duration {
    pause - rng.jitter(pause * percent.min(100) / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_duration(Duration::from_millis(millis))
    }

    /// Requests without pause for `millis`; each refresh takes 5 ms and changes nothing. Returns
    /// how many there were.
    fn refreshes(reason: RefreshReason, urgency: Urgency, millis: u64, per_second: u32) -> u32 {
        let (mut refresh, mut rng) = (RefreshSchedule::new(per_second, at(0)), Rng::new(3));
        let (mut refreshes, mut now) = (0, 0);
        while now < millis {
            refresh.request(reason, urgency, at(now), &mut rng);
            if refresh.begin(at(now)).is_some() {
                refreshes += 1;
                now += 5;
                refresh.end(at(now), false, &mut rng);
            }
            now += 1;
        }
        refreshes
    }

    #[test]
    fn the_first_request_is_due_at_once() {
        let (mut refresh, mut rng) = (RefreshSchedule::new(5, at(0)), Rng::new(1));
        assert_eq!(refresh.due(), None);
        assert!(refresh.request(RefreshReason::NodeLost, Urgency::Awaited, at(10), &mut rng));
        assert!(
            !refresh.request(RefreshReason::NodeLost, Urgency::Awaited, at(10), &mut rng),
            "nothing new"
        );
        assert_eq!(refresh.due(), Some(at(10)));
        assert_eq!(refresh.begin(at(9)), None);
        assert_eq!(refresh.begin(at(10)), Some(RefreshReason::NodeLost));
        refresh.request(RefreshReason::NodeSilent, Urgency::Awaited, at(11), &mut rng);
        assert_eq!(refresh.due(), None, "one refresh at a time");
        assert_eq!(refresh.begin(at(11)), None);
        refresh.end(at(12), true, &mut rng);
        assert_eq!(refresh.begin(at(12)), Some(RefreshReason::NodeSilent));
    }

    /// A hundred callers miss a slot; the refresh that one of them began finds it for all.
    #[test]
    fn a_refresh_that_changed_the_map_serves_the_requests_that_came_meanwhile() {
        let (mut refresh, mut rng) = (RefreshSchedule::new(5, at(0)), Rng::new(1));
        refresh.request(RefreshReason::Uncovered, Urgency::Awaited, at(10), &mut rng);
        refresh.begin(at(10)).unwrap();
        refresh.request(RefreshReason::Uncovered, Urgency::Awaited, at(11), &mut rng);
        refresh.end(at(12), true, &mut rng);
        assert_eq!(refresh.due(), None);
        refresh.request(RefreshReason::Uncovered, Urgency::Awaited, at(13), &mut rng);
        refresh.begin(at(13)).unwrap();
        refresh.request(RefreshReason::Uncovered, Urgency::Awaited, at(14), &mut rng);
        refresh.end(at(15), false, &mut rng);
        let due = refresh.due().expect("it found nothing, so there is another");
        assert!((at(190)..=at(205)).contains(&due), "{due:?}");
    }

    #[test]
    fn a_lasting_cause_is_refreshed_for_with_growing_pauses() {
        let uncovered = refreshes(RefreshReason::Uncovered, Urgency::Awaited, 2000, 1000);
        assert!((8..=12).contains(&uncovered), "{uncovered} refreshes in 2 s");
        let lost = refreshes(RefreshReason::NodeLost, Urgency::Awaited, 10_000, 1000);
        assert!((18..=30).contains(&lost), "{lost} refreshes in 10 s");
        let hopeless = refreshes(RefreshReason::NodeLost, Urgency::Patient, 10_000, 1000);
        assert!((8..=20).contains(&hopeless), "{hopeless} refreshes in 10 s");
    }

    /// Slots that move one after the other do not cost a refresh each.
    #[test]
    fn moves_are_gathered() {
        let (mut refresh, mut rng) = (RefreshSchedule::new(1000, at(0)), Rng::new(9));
        let mut refreshes = 0;
        for now in 1000..5000 {
            refresh.request(RefreshReason::Moved, Urgency::Awaited, at(now), &mut rng);
            if refresh.begin(at(now)).is_some() {
                refreshes += 1;
                refresh.end(at(now), true, &mut rng);
            }
        }
        assert!((10..=20).contains(&refreshes), "{refreshes} refreshes in 4 s");
    }

    #[test]
    fn the_bucket_bounds_them_all() {
        for reason in [RefreshReason::Moved, RefreshReason::Uncovered, RefreshReason::Start] {
            let count = refreshes(reason, Urgency::Awaited, 10_000, 2);
            assert!(count <= 22, "{count} refreshes in 10 s at 2 a second and a burst of 2");
        }
    }

    /// A thousand clients lose a connection at once. One of them then has a caller that cannot
    /// connect again.
    #[test]
    fn a_loss_that_nobody_waits_for_is_refreshed_for_at_a_random_moment() {
        let begins: Vec<Timestamp> = (0..1000)
            .map(|seed| {
                let mut refresh = RefreshSchedule::new(5, at(0));
                let mut rng = Rng::new(seed);
                for _ in 0..10 {
                    refresh.request(RefreshReason::NodeLost, Urgency::Idle, at(10_000), &mut rng);
                }
                refresh.due().unwrap()
            })
            .collect();
        for second in 10..15 {
            let within =
                |due: &&Timestamp| (at(second * 1000)..at(second * 1000 + 1000)).contains(*due);
            let count = begins.iter().filter(within).count();
            assert!((150..=250).contains(&count), "{count} in second {second}");
        }
        let (mut refresh, mut rng) = (RefreshSchedule::new(5, at(0)), Rng::new(1));
        refresh.request(RefreshReason::NodeLost, Urgency::Idle, at(10), &mut rng);
        assert!(refresh.due().unwrap() > at(20));
        assert!(refresh.request(RefreshReason::NodeLost, Urgency::Awaited, at(20), &mut rng));
        assert_eq!(refresh.due(), Some(at(20)), "a caller waits");
    }

    #[test]
    fn an_urgent_reason_comes_before_a_lazy_one() {
        let (mut refresh, mut rng) = (RefreshSchedule::new(5, at(0)), Rng::new(5));
        refresh.request(RefreshReason::Moved, Urgency::Awaited, at(0), &mut rng);
        refresh.request(RefreshReason::Uncovered, Urgency::Awaited, at(0), &mut rng);
        assert_eq!(refresh.due(), Some(at(0)));
    }
}
