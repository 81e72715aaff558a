//! What is done for one of many entries costs what that one holds: counted, not timed.

use super::*;

const MANY: u64 = 4000;

/// Enqueues entries that are written at once; each has its own deadline, in milliseconds.
fn written(queue: &mut CommandQueue, deadline: impl Fn(u64) -> u64) -> Vec<Option<Ticket>> {
    let add = |n: u64| {
        let entry = Entry { len: 1, replies: 1, deadline: at(deadline(n)) };
        let ticket = queue.enqueue(entry.into(), |out| out.push(b'x'), Waker::noop()).unwrap().0;
        queue.see(at(0));
        Some(ticket)
    };
    let tickets = (0..MANY).map(add).collect();
    queue.take_output(&mut Vec::new());
    tickets
}

/// The server is silent, and callers time out one after the other, in no order.
#[test]
fn a_timeout_looks_at_its_own_entry() {
    let mut queue = CommandQueue::new(Budget::new(1 << 30));
    let mut tickets = written(&mut queue, |n| 1 + n * 7 % MANY);
    let mut timed_out = 0;
    for millis in 1..=MANY {
        expire(&mut queue, millis, &mut Vec::new(), usize::MAX);
        let n = (0..MANY).find(|n| 1 + n * 7 % MANY == millis).expect("one has this deadline");
        let ticket = tickets[n as usize].take().expect("each once");
        let (outcome, _) = queue.poll(ticket, Waker::noop()).expect("it has timed out");
        timed_out += u64::from(matches!(outcome.unwrap_err().failure, Failure::TimedOut));
        assert!(millis == MANY || queue.earliest() == at(millis + 1));
    }
    assert_eq!((timed_out, queue.in_flight()), (MANY, MANY as usize), "replies are owed still");
    assert!(queue.due.visits <= 4 * MANY as usize, "{}", queue.due.visits);
}

/// Entries come and are answered, but too late: the timer fires for each, and what has ended is
/// forgotten.
#[test]
fn a_timer_that_fires_often_looks_at_each_entry_once() {
    let mut queue = CommandQueue::new(Budget::new(1 << 30));
    let (mut out, mut tickets) = (Vec::new(), VecDeque::new());
    for now in 0..MANY {
        let entry = Entry { len: 1, replies: 1, deadline: at(now + 5) };
        let enqueued = queue.enqueue(entry.into(), |out| out.push(b'x'), Waker::noop());
        tickets.push_back(enqueued.unwrap().0);
        queue.see(at(now));
        out.clear();
        queue.take_output(&mut out);
        expire(&mut queue, now, &mut Vec::new(), usize::MAX);
        if now >= 5 {
            let ticket = tickets.pop_front().expect("five are younger");
            assert!(queue.poll(ticket, Waker::noop()).expect("it has timed out").0.is_err());
        }
        if now >= 10 {
            reply(&mut queue, "+1").unwrap();
        }
        assert!(queue.due.entries.len() <= 2 * queue.in_flight() + 64);
    }
    assert!(queue.due.visits <= 8 * MANY as usize, "{}", queue.due.visits);
}

/// Thousands of callers have gone, and replies to them are owed. One caller waits behind them: each
/// time that the stream calls, it is found without a look at the others.
#[test]
fn the_only_caller_is_found_behind_those_that_have_gone() {
    let mut queue = CommandQueue::new(Budget::new(1 << 30));
    for ticket in written(&mut queue, |_| 1000).into_iter().flatten() {
        drop(queue.abandon(ticket));
    }
    let (ticket, _) = put(&mut queue, "x", 1);
    let (count, waker) = counted();
    for woken in 1..=MANY {
        assert!(queue.poll(ticket, &waker).is_none());
        queue.wake_driver(&mut Wakers::new());
        let mut wakers = Wakers::new();
        assert!(queue.poll(ticket, &waker).is_none());
        queue.wake_driver(&mut wakers);
        wakers.drain(..).for_each(Waker::wake);
        assert_eq!(count.0.load(Ordering::Relaxed) as u64, woken);
        if woken % 2 == 0 {
            reply(&mut queue, "+1").unwrap();
        }
    }
    assert!(queue.due.visits <= 4 * MANY as usize, "{}", queue.due.visits);
}
