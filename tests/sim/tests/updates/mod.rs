//! Reads subscriptions in a simulation: their updates as short texts, which are easy to compare.
//!
//! Used by the suites of subscriptions.

use slotcar::{Client, Config, Subscription, Update};
use slotcar_sim::Sim;
use std::time::Duration;

pub(crate) const MS: Duration = Duration::from_millis(1);

pub(crate) fn client(sim: &Sim, background: bool, config: Config) -> Client {
    let transport = sim.transport();
    let transport = if background { transport } else { transport.without_background() };
    Client::connect_lazy(transport, config).unwrap()
}

/// A message as one text: its kind and its channel.
pub(crate) fn update_text(update: &Update) -> String {
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
        Update::Refused { channel, .. } => format!("refused {channel}"),
        other => format!("{other:?}"),
    }
}

pub(crate) async fn next(subscription: &mut Subscription) -> String {
    let update = subscription.next_within(Duration::from_secs(60)).await;
    update_text(&update.expect("in time").expect("the stream goes on"))
}

pub(crate) async fn next_sorted(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..count {
        words.push(next(subscription).await);
    }
    words.sort();
    words
}

/// Runs a scenario with and without background tasks.
pub(crate) fn both<F: Future<Output = ()>>(
    build: impl Fn() -> slotcar_sim::SimBuilder,
    test: impl Fn(Sim, bool) -> F,
) {
    for background in [true, false] {
        build().run(|sim| test(sim, background));
    }
}
