//! Reads the next update of a subscription, within a bound, as a short text.
//!
//! A text is easier to read in an assertion than an update with all its fields.

use slotcar::{Subscription, Update};
use slotcar_tests::real::wait::BOUND;

/// The next update.
#[track_caller]
pub(crate) fn next(subscription: &mut Subscription) -> Update {
    let next = smol::block_on(subscription.next_within(BOUND));
    next.expect("an update in time").expect("the stream goes on")
}

/// An update as a text: `+a`, `-a`, `a=payload`, `gap a`, `moved a`, `lagged 3`.
pub(crate) fn words(update: &Update) -> String {
    match update {
        Update::Message(message) => {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            format!("{}={}", text(message.channel()), text(message.payload()))
        }
        Update::Subscribed { channel, .. } => format!("+{channel}"),
        Update::Unsubscribed { channel } => format!("-{channel}"),
        Update::Moved { channel, .. } => format!("moved {channel}"),
        Update::Gap { channel, .. } => format!("gap {channel}"),
        Update::Lagged(count) => format!("lagged {count}"),
        Update::Refused { channel, error } => format!("refused {channel}: {}", error.code()),
        Update::Disconnected(error) => format!("ended: {:?}", error.kind()),
        other => panic!("an update without a word: {other:?}"),
    }
}

/// The next `count` updates, as texts.
#[track_caller]
pub(crate) fn next_words(subscription: &mut Subscription, count: usize) -> Vec<String> {
    (0..count).map(|_| words(&next(subscription))).collect()
}

/// The next `count` updates, as sorted texts: for updates without a defined order.
#[track_caller]
pub(crate) fn next_sorted(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut words = next_words(subscription, count);
    words.sort();
    words
}
