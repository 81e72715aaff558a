//! The reader's queue: which task it wakes, how often, and when paused connections go on.

use super::*;
use crate::config::WhenLagging;
use crate::subscription::kind::{Channel, ChannelKind};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

/// Counts how often the reader was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn queue(messages_max: usize, when_lagging: WhenLagging) -> ReaderQueue {
    ReaderQueue::new(BacklogLimits { bytes_max: 1 << 20, messages_max, when_lagging })
}

fn message(number: usize) -> Message {
    let frame = Bytes::from(format!("c{number}"));
    let end = frame.len();
    Message::new(frame, ChannelKind::Classic, None, 0..1, 1..end)
}

fn unsubscribed() -> Update {
    let channel = Channel { kind: ChannelKind::Classic, name: Bytes::from_static(b"c") };
    Update::Unsubscribed { channel }
}

/// What the reader took, in a word.
fn shown(taken: &Taken) -> String {
    match &taken.update {
        Poll::Pending => "pending".to_owned(),
        Poll::Ready(None) => "end".to_owned(),
        Poll::Ready(Some(Update::Message(message))) => message.text().unwrap().to_owned(),
        Poll::Ready(Some(Update::Lagged(count))) => format!("-{count}"),
        Poll::Ready(Some(Update::Disconnected(_))) => "disconnected".to_owned(),
        Poll::Ready(Some(_)) => "unsubscribed".to_owned(),
    }
}

/// All that waits, up to the first that does not.
fn all(queue: &ReaderQueue) -> String {
    let mut words = Vec::new();
    loop {
        let word = shown(&queue.take(Waker::noop()));
        let is_last = word == "pending" || word == "end";
        words.push(word);
        if is_last {
            return words.join(" ");
        }
    }
}

#[test]
fn a_reader_that_waits_is_woken_once_whatever_comes() {
    type Add = fn(&ReaderQueue, &mut Wakers);
    let table: [(&str, Add, &str); 4] = [
        (
            "a message",
            |queue, wake| {
                queue.push_message(message(1), 1, wake);
            },
            "1 pending",
        ),
        (
            "another update",
            |queue, wake| queue.push_update(unsubscribed(), wake),
            "unsubscribed pending",
        ),
        ("the end", ReaderQueue::finish, "end"),
        (
            "several",
            |queue, wake| {
                for number in 1..4 {
                    queue.push_message(message(number), 1, wake);
                }
                queue.push_update(unsubscribed(), wake);
                queue.finish(wake);
            },
            "1 2 3 unsubscribed end",
        ),
    ];
    for (what, add, expected) in table {
        for takes in [true, false] {
            let (queue, count) = (queue(10, WhenLagging::DropOldest), Arc::new(Count::default()));
            let waker = Waker::from(Arc::clone(&count));
            if takes {
                assert_eq!(shown(&queue.take(&waker)), "pending", "{what}");
            } else {
                queue.register_waker(&waker);
            }
            let mut wake = Wakers::new();
            add(&queue, &mut wake);
            assert_eq!(count.0.load(Ordering::Relaxed), 0, "not under the lock: {what}");
            wake.drain(..).for_each(Waker::wake);
            assert_eq!(count.0.load(Ordering::Relaxed), 1, "{what}");
            assert_eq!(all(&queue), expected, "{what}");
        }
    }
}

#[test]
fn a_reader_that_does_not_wait_is_not_woken() {
    let queue = queue(10, WhenLagging::DropOldest);
    let mut wake = Wakers::new();
    queue.push_message(message(1), 1, &mut wake);
    queue.push_update(unsubscribed(), &mut wake);
    assert!(wake.is_empty());
    assert_eq!(all(&queue), "1 unsubscribed pending");
}

/// Only the last waker counts: a subscription that moved to another task wakes that one.
#[test]
fn the_last_waker_is_woken() {
    let queue = queue(10, WhenLagging::DropOldest);
    let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
    queue.take(&Waker::from(Arc::clone(&old)));
    queue.take(&Waker::from(Arc::clone(&new)));
    let mut wake = Wakers::new();
    queue.push_message(message(1), 1, &mut wake);
    wake.drain(..).for_each(Waker::wake);
    let counts = [&old, &new].map(|count| count.0.load(Ordering::Relaxed));
    assert_eq!(counts, [0, 1]);
}

/// Of four messages two must be gone before the connection goes on, and it is told so once.
#[test]
fn paused_reading_resumes_once_when_half_is_free() {
    let queue = queue(4, WhenLagging::PauseReading);
    let mut wake = Wakers::new();
    let outcomes: Vec<_> =
        (1..6).map(|number| queue.push_message(message(number), 1, &mut wake)).collect();
    let pauses = outcomes.iter().filter(|outcome| **outcome == PushOutcome::Pause).count();
    assert_eq!(outcomes[..4], [PushOutcome::Continue; 4]);
    assert_eq!(pauses, 1, "{outcomes:?}");
    let resumes: Vec<bool> = (0..5).map(|_| queue.take(Waker::noop()).resume_reading).collect();
    assert_eq!(resumes, [false, false, true, false, false]);
    assert_eq!(queue.backlog().delivered, 5);
}

#[test]
fn a_reader_that_is_too_slow_is_disconnected() {
    let queue = queue(2, WhenLagging::Disconnect);
    let mut wake = Wakers::new();
    let outcomes = [1, 2, 3, 4].map(|number| queue.push_message(message(number), 1, &mut wake));
    let (goes_on, ended) = (PushOutcome::Continue, PushOutcome::Ended);
    assert_eq!(outcomes, [goes_on, goes_on, ended, ended]);
    assert_eq!(all(&queue), "1 2 -1 disconnected end");
    let counts = queue.backlog();
    assert_eq!((counts.received, counts.delivered, counts.dropped), (3, 2, 1));
}
