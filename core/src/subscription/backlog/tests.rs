//! Order and counts of a backlog, by tables and with random input.

use super::*;
use crate::subscription::kind::{Channel, ChannelKind};
use bytes::Bytes;
use proptest::prelude::*;

fn message(number: u64, size: usize) -> Message {
    let payload = format!("{number:>size$}");
    let len = payload.len();
    let frame = Bytes::from(format!("c{payload}"));
    Message::new(frame, ChannelKind::Classic, None, 0..1, 1..1 + len)
}

fn control() -> Update {
    let channel = Channel { kind: ChannelKind::Classic, name: Bytes::from_static(b"c") };
    Update::Unsubscribed { channel }
}

fn shown(update: Update) -> String {
    match update {
        Update::Message(message) => message.text().unwrap().trim().to_owned(),
        Update::Lagged(count) => format!("-{count}"),
        Update::Unsubscribed { .. } => "u".to_owned(),
        Update::Disconnected(_) => "end".to_owned(),
        other => panic!("none was put in: {other:?}"),
    }
}

fn all(queue: &mut UpdateQueue) -> String {
    let texts: Vec<String> = std::iter::from_fn(|| queue.pop().map(shown)).collect();
    texts.join(" ")
}

fn limits(messages_max: usize, when_lagging: WhenLagging) -> BacklogLimits {
    BacklogLimits { bytes_max: 1 << 20, messages_max, when_lagging }
}

/// What a reader gets that comes after six messages, with another update after the second and the
/// fifth, where three may wait.
#[test]
fn lost_messages_are_told_where_they_were() {
    let table = [
        (WhenLagging::DropOldest, "-2 u -1 3 4 u 5"),
        (WhenLagging::DropNewest, "0 1 u 2 -2 u -1"),
        (WhenLagging::Disconnect, "0 1 u 2 -1 end"),
        (WhenLagging::PauseReading, "0 1 u 2 3 4 u 5"),
    ];
    for (policy, expected) in table {
        let mut queue = UpdateQueue::new(limits(3, policy));
        for number in 0..6 {
            queue.push_message(message(number, 1), number);
            if number == 1 || number == 4 {
                queue.push_update(control());
            }
        }
        assert_eq!(all(&mut queue), expected, "{policy:?}");
        let counts = queue.backlog();
        assert_eq!(counts.received, counts.delivered + counts.dropped, "{policy:?}");
    }
}

#[test]
fn a_message_beyond_the_limit_is_kept_when_it_is_alone() {
    let max = BacklogLimits { bytes_max: 10, ..limits(3, WhenLagging::DropOldest) };
    let mut queue = UpdateQueue::new(max);
    queue.push_message(message(1, 100), 1);
    queue.push_message(message(2, 100), 2);
    assert_eq!(all(&mut queue), "-1 2");
    assert_eq!(queue.backlog().bytes, 0);
}

#[test]
fn what_waits_beyond_the_first_few_has_memory_of_its_own() {
    let mut queue = UpdateQueue::new(limits(1000, WhenLagging::DropOldest));
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let slice = |at: usize| {
        let frame = chunk.slice(at..at + 10);
        Message::new(frame, ChannelKind::Classic, None, 0..1, 1..10)
    };
    for batch in 0..100 {
        queue.push_message(slice(batch), batch as u64 + 1);
    }
    let range = chunk.as_ptr_range();
    let mut shared = 0;
    while let Some(Update::Message(message)) = queue.pop() {
        shared += usize::from(range.contains(&message.payload().as_ptr()));
    }
    assert_eq!(shared, SHARED_MAX + 1);
}

#[test]
fn a_paused_connection_goes_on_at_half() {
    let mut queue = UpdateQueue::new(limits(4, WhenLagging::PauseReading));
    let taken: Vec<PushOutcome> = (0..6).map(|n| queue.push_message(message(n, 1), n)).collect();
    assert_eq!(taken[3..], [PushOutcome::Continue, PushOutcome::Pause, PushOutcome::Pause]);
    assert!(!queue.has_room());
    for _ in 0..4 {
        queue.pop();
    }
    assert!(queue.has_room());
}

proptest! {
    /// Whatever comes and is read in whatever order: numbers ascend, `Lagged` counts exactly those
    /// that are left out, and the limits hold.
    #[test]
    fn received_is_delivered_and_lost(
        steps in proptest::collection::vec((0u8..8, 1usize..60), 1..300),
        messages_max in 1usize..12,
        bytes_max in 50usize..1500,
        policy in 0usize..4,
    ) {
        let when_lagging = [
            WhenLagging::DropOldest, WhenLagging::DropNewest,
            WhenLagging::Disconnect, WhenLagging::PauseReading,
        ][policy];
        let mut queue = UpdateQueue::new(BacklogLimits { bytes_max, messages_max, when_lagging });
        let (mut sent, mut expected) = (0_u64, 0_u64);
        let mut read = |queue: &mut UpdateQueue| match queue.pop() {
            Some(Update::Message(message)) => {
                let number: u64 = message.text().unwrap().trim().parse().unwrap();
                assert_eq!(number, expected, "in order, and nothing is left out in silence");
                expected += 1;
                true
            }
            Some(Update::Lagged(count)) => {
                assert!(count > 0);
                expected += count;
                true
            }
            other => other.is_some(),
        };
        for (what, size) in steps {
            match what {
                0..5 => {
                    if queue.push_message(message(sent, size), sent) != PushOutcome::Ended
                        || queue.backlog().received > sent {
                        sent += 1;
                    }
                }
                5 => queue.push_update(control()),
                _ => { read(&mut queue); }
            }
            let counts = queue.backlog();
            prop_assert_eq!(counts.received, sent);
            prop_assert_eq!(
                counts.received, counts.delivered + counts.dropped + counts.messages as u64
            );
            if when_lagging != WhenLagging::PauseReading {
                prop_assert!(counts.messages <= messages_max);
                prop_assert!(counts.messages <= 1 || counts.bytes <= bytes_max);
            }
        }
        while read(&mut queue) {}
        prop_assert_eq!(expected, sent);
        prop_assert_eq!(queue.backlog().bytes, 0);
    }
}
