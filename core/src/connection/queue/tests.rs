//! The queue against every order of events that a driver and its callers can bring about.

mod many;

use super::*;
use crate::connection::budget::Budget;
use crate::rng::Rng;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_duration(Duration::from_millis(millis))
}

fn entry(len: usize, replies: u32) -> Entry {
    Entry { len, replies, deadline: at(1000) }
}

fn put(queue: &mut CommandQueue, text: &str, replies: u32) -> (Ticket, Flush) {
    let write = |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
    let waker = Waker::noop();
    let (ticket, flush, _) =
        queue.enqueue(entry(text.len(), replies).into(), write, waker).unwrap();
    queue.see(at(0));
    (ticket, flush)
}

fn reply(queue: &mut CommandQueue, text: &'static str) -> Result<(), Unfit> {
    queue.deliver(Bytes::from_static(text.as_bytes()), u64::MAX, None, &mut Wakers::new())
}

fn one(queue: &mut CommandQueue, ticket: Ticket) -> Option<Bytes> {
    queue.poll(ticket, Waker::noop()).map(|(outcome, _)| outcome.unwrap().into_last().unwrap())
}

/// The time is `millis`. The stream has accepted `written` bytes of `out`, the whole of what was
/// taken from the queue.
fn expire(queue: &mut CommandQueue, millis: u64, out: &mut Vec<u8>, written: usize) {
    let taken = Taken { bytes: out, sent: written, written: written as u64 };
    queue.handle_timeout(at(millis), taken, &mut Wakers::new());
}

#[test]
fn replies_go_to_their_entries_in_order() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    let (a, first) = put(&mut queue, "a", 1);
    let (b, second) = put(&mut queue, "b", 1);
    assert_eq!((first, second), (Flush::Now, Flush::Later));
    let mut out = Vec::new();
    queue.take_output(&mut out);
    assert_eq!(out, b"ab");
    reply(&mut queue, "+1").unwrap();
    assert_eq!(one(&mut queue, b), None);
    assert_eq!(one(&mut queue, a).unwrap(), "+1");
    reply(&mut queue, "+2").unwrap();
    assert_eq!(one(&mut queue, b).unwrap(), "+2");
    assert_eq!(reply(&mut queue, "+3"), Err(Unfit::Unasked("+3".into())));
}

#[test]
fn a_batch_ends_with_its_last_reply() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    let (batch, _) = put(&mut queue, "abc", 3);
    let (next, _) = put(&mut queue, "d", 1);
    for text in ["+1", "+2"] {
        reply(&mut queue, text).unwrap();
        assert!(queue.poll(batch, Waker::noop()).is_none());
    }
    reply(&mut queue, "+3").unwrap();
    let all = queue.poll(batch, Waker::noop()).unwrap().0.unwrap().into_all();
    assert_eq!(all, ["+1", "+2", "+3"]);
    reply(&mut queue, "+4").unwrap();
    assert_eq!(one(&mut queue, next).unwrap(), "+4");
}

/// A caller that drives and so delivers its own reply is not woken for it; other callers are.
#[test]
fn a_caller_that_drives_is_not_woken() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    let [mine, other] = ["a", "b"].map(|text| put(&mut queue, text, 1).0);
    let mut wakers = Wakers::new();
    for (ticket, woken) in [(mine, 0), (other, 1)] {
        let (_, waker) = counted();
        assert!(queue.poll(ticket, &waker).is_none());
        queue.deliver(Bytes::from_static(b"+1"), u64::MAX, Some(mine), &mut wakers).unwrap();
        assert_eq!(wakers.len(), woken);
        assert_eq!(one(&mut queue, ticket).unwrap(), "+1");
    }
}

#[test]
fn an_abandoned_entry_still_eats_its_reply() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    let (a, _) = put(&mut queue, "a", 2);
    let (b, _) = put(&mut queue, "b", 1);
    drop(queue.abandon(a));
    for text in ["+1", "+2", "+3"] {
        reply(&mut queue, text).unwrap();
    }
    assert_eq!(one(&mut queue, b).unwrap(), "+3");
    assert_eq!((queue.waiting, queue.ready), (0, 0));
    assert!(!queue.budget.is_full(1 << 20));
}

#[test]
fn a_deadline_fails_its_entry_alone_and_the_late_reply_is_dropped() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    let (a, _) = put(&mut queue, "abc", 1);
    let late = Entry { len: 1, replies: 1, deadline: at(9000) };
    let (b, _, _) = queue.enqueue(late.into(), |out| out.push(b'b'), Waker::noop()).unwrap();
    let mut out = Vec::new();
    queue.take_output(&mut out);
    expire(&mut queue, 999, &mut out, 2);
    assert!(queue.poll(a, Waker::noop()).is_none());
    expire(&mut queue, 1000, &mut out, 2);
    let failed = queue.poll(a, Waker::noop()).unwrap().0.unwrap_err();
    assert!(matches!(failed.failure, Failure::TimedOut));
    assert!(!failed.never_sent(), "2 of 3 bytes: the rest will be written, and may run");
    assert_eq!(out, b"abcb");
    assert_eq!(queue.earliest(), at(9000));
    reply(&mut queue, "+late").unwrap();
    reply(&mut queue, "+b").unwrap();
    assert_eq!(one(&mut queue, b).unwrap(), "+b");
}

/// What callers are told was not sent is not sent later, wherever its bytes wait; what comes behind
/// keeps its replies.
#[test]
fn an_expired_entry_is_not_written() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    let put = |queue: &mut CommandQueue, text: &'static str, deadline| {
        let entry = Entry { len: text.len(), replies: 1, deadline: at(deadline) };
        let write = |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
        let ticket = queue.enqueue(entry.into(), write, Waker::noop()).unwrap().0;
        queue.see(at(0));
        ticket
    };
    let sent = put(&mut queue, "ssss", 1000);
    let taken = put(&mut queue, "tt", 1000);
    let patient = put(&mut queue, "ppp", 9000);
    let left = put(&mut queue, "l", 1000);
    let mut out = Vec::new();
    queue.take_output(&mut out);
    let queued = put(&mut queue, "qqqqq", 1000);
    let last = put(&mut queue, "zz", 9000);
    drop(queue.abandon(left));
    let budget = queue.budget.clone();
    expire(&mut queue, 1000, &mut out, 1);
    assert_eq!((&*out, &*queue.out), (&b"ssssppp"[..], &b"zz"[..]));
    for (ticket, is_sent) in [(sent, true), (taken, false), (queued, false)] {
        let failed = queue.poll(ticket, Waker::noop()).unwrap().0.unwrap_err();
        assert_eq!(!failed.never_sent(), is_sent);
    }
    for (frame, ticket) in [("+s", None), ("+p", Some(patient)), ("+z", Some(last))] {
        reply(&mut queue, frame).unwrap();
        ticket.inspect(|ticket| assert_eq!(one(&mut queue, *ticket).unwrap(), frame));
    }
    assert_eq!(queue.in_flight(), 0);
    assert!(!budget.is_full(1 << 20));
    let next = put(&mut queue, "n", 9000);
    reply(&mut queue, "+n").unwrap();
    assert_eq!(one(&mut queue, next).unwrap(), "+n");
}

#[test]
fn a_lost_connection_says_of_each_entry_whether_it_was_sent() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    let (a, _) = put(&mut queue, "aaaa", 1);
    let (b, _) = put(&mut queue, "bbbb", 1);
    let (c, _) = put(&mut queue, "cccc", 1);
    let mut out = Vec::new();
    queue.take_output(&mut out);
    let (d, _) = put(&mut queue, "dddd", 1);
    reply(&mut queue, "+a").unwrap();
    queue.lose(Lost::ByPeer, 8, &mut Wakers::new());
    assert_eq!(one(&mut queue, a).unwrap(), "+a", "a reply that came is not lost");
    for (ticket, never_sent) in [(b, false), (c, true), (d, true)] {
        let failed = queue.poll(ticket, Waker::noop()).unwrap().0.unwrap_err();
        assert_eq!(failed.never_sent(), never_sent, "{ticket:?}");
    }
    let rejected = queue.enqueue(entry(1, 1).into(), |out| out.push(0), Waker::noop()).unwrap_err();
    assert!(matches!(rejected, Rejected::Closed(_)));
}

#[test]
fn the_budget_counts_from_enqueue_to_reply_also_for_those_who_left() {
    let mut queue = CommandQueue::new(Budget::new(2 * (ENTRY_OVERHEAD + 1)));
    let (a, _) = put(&mut queue, "a", 1);
    let (b, _) = put(&mut queue, "b", 1);
    drop(queue.abandon(a));
    let full = queue.enqueue(entry(1, 1).into(), |_| unreachable!(), Waker::noop());
    assert!(matches!(full, Err(Rejected::Full)));
    let (count, waker) = counted();
    let blocked = Entry { deadline: at(50), ..entry(1, 1) };
    let place = queue.wait_for_budget(None, &waker, blocked, &mut Wakers::new());
    reply(&mut queue, "+a").unwrap();
    let mut wakers = Wakers::new();
    queue.deliver(Bytes::from_static(b"+b"), u64::MAX, None, &mut wakers).unwrap();
    drop(one(&mut queue, b));
    put(&mut queue, "c", 1);
    drop(wakers);
    assert_eq!(count.0.load(Ordering::Relaxed), 0, "waking is up to the driver");
    assert!(!queue.budget.is_awaited());
    drop(place);
}

#[test]
fn an_entry_larger_than_the_budget_goes_alone() {
    let mut queue = CommandQueue::new(Budget::new(10));
    put(&mut queue, "more than the budget", 1);
    let full = queue.enqueue(entry(1, 1).into(), |_| unreachable!(), Waker::noop());
    assert!(matches!(full, Err(Rejected::Full)));
}

#[test]
fn one_caller_is_woken_itself_and_several_through_the_background() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    queue.attach_background(Waker::noop());
    let (background, background_waker) = counted();
    assert!(!queue.may_background_sleep(&background_waker), "it looks once more after it was set");
    assert!(queue.may_background_sleep(&background_waker));
    let (first, first_waker) = counted();
    let (second, second_waker) = counted();
    let wake = |queue: &mut CommandQueue| {
        let mut wakers = Wakers::new();
        queue.wake_driver(&mut wakers);
        wakers.drain(..).for_each(Waker::wake);
    };
    let counts = || [&first, &second, &background].map(|c| c.0.load(Ordering::Relaxed));

    let (a, flush, _) = queue.enqueue(entry(1, 1).into(), |o| o.push(b'a'), &first_waker).unwrap();
    assert_eq!(flush, Flush::Now);
    queue.take_output(&mut Vec::new());
    queue.see(at(0));
    wake(&mut queue);
    assert_eq!(counts(), [1, 0, 0]);
    assert!(queue.poll(a, &first_waker).is_none());

    let (_, flush, woken) =
        queue.enqueue(entry(1, 1).into(), |o| o.push(b'b'), &second_waker).unwrap();
    assert_eq!(flush, Flush::ByOther);
    woken.unwrap().wake();
    assert_eq!(counts(), [1, 0, 1]);
    assert!(
        queue.may_background_sleep(&background_waker),
        "a full stream calls when it takes more"
    );
    let calls = |queue: &mut CommandQueue, deadline| {
        let entry = Entry { deadline, ..entry(1, 1) };
        let (.., woken) = queue.enqueue(entry.into(), |o| o.push(b'c'), Waker::noop()).unwrap();
        woken.is_some()
    };
    assert!(!calls(&mut queue, at(1000)), "it goes out with those before");
    assert!(calls(&mut queue, at(10)), "the timer would come too late");
    assert!(queue.may_background_sleep(&background_waker));
    queue.take_output(&mut Vec::new());
    wake(&mut queue);
    assert_eq!(counts(), [1, 0, 2]);
    wake(&mut queue);
    assert!(
        !queue.may_background_sleep(&background_waker),
        "a call while it was awake is not lost"
    );
}

#[test]
fn without_a_background_task_all_callers_are_woken() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    let wakers: Vec<_> = (0..5).map(|_| counted()).collect();
    for (_, waker) in &wakers {
        queue.enqueue(entry(1, 1).into(), |o| o.push(b'x'), waker).unwrap();
    }
    let mut woken = Wakers::new();
    queue.wake_driver(&mut woken);
    woken.drain(..).for_each(Waker::wake);
    assert!(wakers.iter().all(|(count, _)| count.0.load(Ordering::Relaxed) == 1));
}

/// Random events against a model: every entry gets its own replies or the loss, and nothing is left
/// over.
#[test]
fn random_events_never_misplace_a_reply() {
    for seed in 0..2_000 {
        let mut rng = Rng::new(seed);
        let mut queue = CommandQueue::new(Budget::new(4096));
        let (mut owed, mut held) = (VecDeque::new(), Vec::new());
        let mut next = 0u32;
        for _ in 0..rng.below(200) {
            match rng.below(6) {
                0 | 1 => {
                    let replies = 1 + rng.below(3) as u32;
                    let deadline = at(rng.below(3000));
                    let new = Entry { len: 1, replies, deadline };
                    let write = |o: &mut Vec<u8>| o.push(next as u8);
                    if let Ok((ticket, ..)) = queue.enqueue(new.into(), write, Waker::noop()) {
                        owed.extend((0..replies).map(|part| (next, part)));
                        held.push((ticket, next, replies));
                        next += 1;
                    }
                }
                2 | 3 => {
                    if let Some((number, part)) = owed.pop_front() {
                        let frame = Bytes::from(format!("{number}.{part}"));
                        queue.see(at(0));
                        queue.deliver(frame, u64::MAX, None, &mut Wakers::new()).unwrap();
                    }
                }
                4 if !held.is_empty() => {
                    let index = rng.below(held.len() as u64) as usize;
                    let (ticket, number, replies) = held[index];
                    match queue.poll(ticket, Waker::noop()) {
                        None => {}
                        Some((Ok(reply), _)) => {
                            let expected: Vec<_> =
                                (0..replies).map(|part| format!("{number}.{part}")).collect();
                            assert_eq!(reply.into_all(), expected, "seed {seed}");
                            held.swap_remove(index);
                        }
                        Some((Err(_), _)) => drop(held.swap_remove(index)),
                    }
                }
                _ if !held.is_empty() => {
                    let (ticket, ..) = held.swap_remove(rng.below(held.len() as u64) as usize);
                    drop(queue.abandon(ticket));
                }
                _ => {
                    expire(&mut queue, rng.below(3000), &mut Vec::new(), 0);
                    owed.retain(|(number, _)| queue.out.contains(&(*number as u8)));
                }
            }
        }
        queue.lose(Lost::ByPeer, u64::MAX, &mut Wakers::new());
        for (ticket, ..) in held {
            assert!(queue.poll(ticket, Waker::noop()).is_some(), "seed {seed}");
        }
        assert_eq!((queue.waiting, queue.ready, queue.in_flight()), (0, 0, 0));
        let free = queue.places.iter().all(|place| matches!(place.state, EntryState::Free(_)));
        assert!(free, "seed {seed}: a place is left behind");
    }
}

#[test]
fn a_deferred_handshake_is_no_caller() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    queue.attach_background(Waker::noop());
    let (background, waker) = counted();
    assert!(!queue.may_background_sleep(&waker));
    assert!(queue.may_background_sleep(&waker));
    queue.defer_handshake(b"hello".to_vec(), 2);
    let (a, flush) = put(&mut queue, "a", 1);
    assert_eq!(flush, Flush::Now, "the handshake is written with it");
    let _second = put(&mut queue, "b", 1);
    let mut wakers = Wakers::new();
    queue.wake_driver(&mut wakers);
    wakers.drain(..).for_each(Waker::wake);
    assert_eq!(background.0.load(Ordering::Relaxed), 1);
    for (text, owes) in [("-no HELLO", true), ("+OK", false), ("+a", false)] {
        reply(&mut queue, text).unwrap();
        assert_eq!(queue.owes_handshake(), owes, "{text}");
    }
    assert_eq!(one(&mut queue, a).unwrap(), "+a");
}

/// A reply that comes before its command's first byte was written answers something else: it is
/// returned, also if an entry waits.
#[test]
fn no_entry_gets_a_reply_before_it_was_written() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    let (a, _) = put(&mut queue, "aaaa", 1);
    let (b, _) = put(&mut queue, "bbbb", 1);
    let mut deliver = |text: &'static str, written| {
        queue.deliver(Bytes::from_static(text.as_bytes()), written, None, &mut Wakers::new())
    };
    assert_eq!(deliver("+wrong", 0), Err(Unfit::Unasked("+wrong".into())));
    deliver("+a", 4).unwrap();
    assert_eq!(deliver("+wrong", 4), Err(Unfit::Unasked("+wrong".into())));
    // A server may answer before it has read the whole of a command.
    deliver("+b", 5).unwrap();
    assert_eq!(one(&mut queue, a).unwrap(), "+a");
    assert_eq!(one(&mut queue, b).unwrap(), "+b");
}

/// A connection that has sent nothing has no reply to wait for: its handshake is never written.
#[test]
fn a_retired_connection_with_a_deferred_handshake_is_spent() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    queue.defer_handshake(b"hello".to_vec(), 2);
    assert!(!queue.is_spent());
    queue.retire();
    assert!(queue.is_spent());
    let rejected = queue.enqueue(entry(1, 1).into(), |_| unreachable!(), Waker::noop());
    let Err(Rejected::Closed(cause)) = rejected else { panic!("retired") };
    assert!(matches!(*cause, Lost::Retired));
}

/// A node's connections share one budget: what one has taken another lacks, and its replies make
/// room for callers that wait at the other.
#[test]
fn connections_share_a_budget() {
    let budget = Budget::new(2 * (ENTRY_OVERHEAD + 1));
    let [mut one, mut other] = [(); 2].map(|()| CommandQueue::new(Arc::clone(&budget)));
    put(&mut one, "a", 1);
    put(&mut one, "b", 1);
    let full = other.enqueue(entry(1, 1).into(), |_| unreachable!(), Waker::noop());
    assert!(matches!(full, Err(Rejected::Full)));
    let place = other.wait_for_budget(None, Waker::noop(), entry(1, 1), &mut Wakers::new());
    let mut wakers = Wakers::new();
    one.deliver(Bytes::from_static(b"+a"), u64::MAX, None, &mut wakers).unwrap();
    assert_eq!(
        wakers.len(),
        2,
        "the reply's caller, and the one that waits at the other connection"
    );
    let waited = NewEntry { admission: Admission::Waited, ..entry(1, 1).into() };
    other.enqueue(waited, |out| out.push(b'c'), Waker::noop()).unwrap();
    drop(place);
    // What a lost connection had taken is given back.
    one.lose(Lost::ByPeer, u64::MAX, &mut wakers);
    put(&mut other, "d", 1);
}

/// A connection does its handshake although another has taken all the room and callers wait for it:
/// without that it could carry nothing once there is room.
#[test]
fn a_handshake_needs_no_room() {
    let budget = Budget::new(ENTRY_OVERHEAD + 1);
    let [mut busy, mut fresh] = [(); 2].map(|()| CommandQueue::new(Arc::clone(&budget)));
    put(&mut busy, "a", 1);
    let mut wakers = Wakers::new();
    let place = fresh.wait_for_budget(None, Waker::noop(), entry(1, 1), &mut wakers);
    let handshake = NewEntry { admission: Admission::Forced, ..entry(5, 1).into() };
    let written = |out: &mut Vec<u8>| out.extend_from_slice(b"HELLO");
    let (ticket, _, _) = fresh.enqueue(handshake, written, Waker::noop()).unwrap();
    fresh.deliver(Bytes::from_static(b"%0"), u64::MAX, None, &mut wakers).unwrap();
    assert!(fresh.poll(ticket, Waker::noop()).unwrap().0.is_ok());
    assert!(budget.is_full(1), "it gave back what it took, and no more");
    busy.deliver(Bytes::from_static(b"+a"), u64::MAX, None, &mut wakers).unwrap();
    drop(place);
    assert!(!budget.is_full(1));
}

/// An entry's timeout begins with the first turn that sees it, at the same time for all its
/// entries. While the driver cannot write, each new entry wakes it, so that its deadline is
/// registered.
#[test]
fn a_timeout_begins_with_the_first_turn() {
    let mut queue = CommandQueue::new(Budget::new(1 << 20));
    queue.attach_background(Waker::noop());
    let deadline = Deadline::After(Duration::from_millis(50));
    let entry = NewEntry { deadline, ..entry(1, 1).into() };
    let enqueue = |queue: &mut CommandQueue| {
        assert!(
            queue.may_background_sleep(Waker::noop()) || queue.may_background_sleep(Waker::noop())
        );
        let (ticket, _, woken) = queue.enqueue(entry, |o| o.push(b'x'), Waker::noop()).unwrap();
        (ticket, woken.is_some())
    };
    let [(first, _), (second, woken)] = [(); 2].map(|()| enqueue(&mut queue));
    assert!(!woken && queue.has_unseen());
    queue.see(at(100));
    assert!(!queue.has_unseen());
    assert_eq!(queue.earliest(), at(150));
    queue.block_output();
    let (third, woken) = enqueue(&mut queue);
    assert!(woken, "no other entry wakes the driver");
    queue.see(at(120));
    expire(&mut queue, 150, &mut Vec::new(), 0);
    for ticket in [first, second] {
        let (outcome, due) = queue.poll(ticket, Waker::noop()).unwrap();
        assert!(matches!(outcome.unwrap_err().failure, Failure::TimedOut));
        assert_eq!(due, Deadline::At(at(150)));
    }
    assert!(queue.poll(third, Waker::noop()).is_none());
    assert_eq!(queue.earliest(), at(170));
}
