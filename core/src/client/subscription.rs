//! A subscription as a stream: messages and, in order among them, what a subscriber has to know to
//! trust them.
//!
//! It drives whatever it waits for: on a host without a background, a subscription that is polled
//! reads, answers, dials and follows by itself. What it holds of the client keeps that alive.
//! Called by users; the work is `driver/hub.rs` and `driver/pubsub.rs`.

use super::client::Client;
use crate::BoxFuture;
use crate::command::ToArgs;
use crate::config::WhenLagging;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::pubsub::reader_queue::Inbox;
use crate::driver::pubsub::subscriber::{Standing, Subscriber, Waits};
use crate::driver::replica::policy::ReadSettings;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::lock::lock;
use crate::subscription::backlog::{Backlog, BacklogLimits};
use crate::subscription::kind::{Channel, ChannelKind};
use crate::subscription::reconcile::ReaderId;
use crate::subscription::update::Update;
use futures::Stream;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A subscription that is about to begin: set it up, then await it, or [`Subscribe::start`] it.
#[must_use = "it begins when it is awaited or started"]
#[derive(Debug)]
pub struct Subscribe<'c> {
    /// Who subscribes.
    client: &'c Client,
    /// Which kind.
    kind: ChannelKind,
    /// The channels.
    names: Vec<Vec<u8>>,
    /// What may wait for the reader.
    limits: BacklogLimits,
    /// It gets connections of its own.
    own: bool,
}

impl<'c> Subscribe<'c> {
    pub(super) fn new(client: &'c Client, kind: ChannelKind, channels: impl ToArgs) -> Self {
        let config = client.shared.env.config();
        let limits = BacklogLimits {
            bytes_max: config.subscription_bytes_max,
            messages_max: config.subscription_messages_max as usize,
            when_lagging: config.when_lagging,
        };
        Self { client, kind, names: names_of(&channels), limits, own: false }
    }

    /// Gives the subscription connections that carry nothing else, for a channel so busy that
    /// commands would wait behind its messages. They count for `exclusive_connections_max`.
    pub fn own_connection(mut self) -> Self {
        self.own = true;
        self
    }

    /// Bytes of messages that may wait for the reader, instead of `subscription_bytes_max`. Each
    /// message counts for 96 bytes more than it has.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.limits.bytes_max = bytes;
        self
    }

    /// Messages that may wait for the reader, instead of `subscription_messages_max`; at least 1.
    pub fn messages_max(mut self, messages: usize) -> Self {
        self.limits.messages_max = messages.max(1);
        self
    }

    /// What happens when more would wait, instead of `Config::when_lagging`. To pause reading, a
    /// subscription gets connections of its own.
    pub fn when_lagging(mut self, policy: WhenLagging) -> Self {
        self.limits.when_lagging = policy;
        self
    }

    /// Begins without waiting: every channel is told as `Subscribed` in the stream when it is
    /// confirmed.
    ///
    /// # Errors
    /// `Limit` when too many subscriptions have connections of their own; `Closed`.
    pub fn start(self) -> Result<Subscription, Error> {
        let shared = &self.client.shared;
        let topology = || Arc::clone(&shared.topology);
        let own = self.own || self.limits.when_lagging == WhenLagging::PauseReading;
        let rule = self.client.non_primary_read_settings();
        let mut place = None;
        let hub = match rule {
            rule if own => {
                let max = shared.env.config().exclusive_connections_max as usize;
                place = Some(Place::take(&shared.own_connection_subscriptions, max)?);
                Subscriber::new(topology(), true, rule)
            }
            Some(rule) => hub_for(&shared.replica_subscribers, rule, topology()),
            None => {
                let hub =
                    shared.subscriber.get_or_init(|| Subscriber::new(topology(), false, None));
                Arc::clone(hub).as_hub()
            }
        };
        let Some((id, inbox)) = hub.join(self.limits) else {
            return Err(Error::new(ErrorKind::Closed, Delivery::NotSent, "the client is closed"));
        };
        let waits = hub.start();
        let background = hub.has_background();
        let client = self.client.clone();
        let subscription =
            Subscription { client, hub, id, inbox, waits, background, _place: place };
        subscription.want(self.kind, &self.names);
        Ok(subscription)
    }
}

impl<'c> IntoFuture for Subscribe<'c> {
    type Output = Result<Subscription, Error>;
    type IntoFuture = BoxFuture<'c, Self::Output>;

    /// Begins, and waits until every channel is confirmed.
    ///
    /// # Errors
    /// Those of [`Subscribe::start`] and [`Subscription::ready`]; nothing stays subscribed to then.
    /// Dropped half-way, nothing does either.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut subscription = self.start()?;
            subscription.ready().await?;
            Ok(subscription)
        })
    }
}

/// Channels that are subscribed to, and stay so: a stream of [`Update`]s.
///
/// It follows slots that move, primaries that are replaced and nodes that die, and tells what that
/// may have cost: `Gap` for an interruption, `Lagged` for messages that the reader was too slow
/// for. Between two of them nothing that the server sent is missing. The stream ends (`None`) when
/// the client is closed, and after `Disconnected`.
///
/// Channels can be added and removed at any time. Dropped, it unsubscribes from those that no other
/// subscription of the client wants, and keeps no connection of its own.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::Update;
/// let mut orders = client.ssubscribe(["orders:1", "orders:2"]).await?;
/// while let Some(update) = orders.next().await {
///     match update {
///         Update::Message(message) => println!("{:?}", message.text()),
///         Update::Gap { channel, since, .. } => println!("{channel}: look up the last {since:?}"),
///         Update::Lagged(count) => println!("too slow for {count} messages"),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "a subscription ends when it is dropped"]
#[derive(Debug)]
pub struct Subscription {
    /// Keeps the connections alive.
    client: Client,
    /// Shared with other subscriptions, or its own.
    hub: Arc<Subscriber>,
    /// Its name there.
    id: ReaderId,
    /// What waits.
    inbox: Arc<Inbox>,
    /// What the hub waits for.
    waits: Waits,
    /// Somebody else drives the hub.
    background: bool,
    /// Counts its connections.
    _place: Option<Place>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(self.id);
    }
}

impl Subscription {
    /// Adds channels. Each is told as `Subscribed` when it is confirmed.
    pub fn subscribe(&self, channels: impl ToArgs) {
        self.want(ChannelKind::Classic, &names_of(&channels));
    }

    /// Adds patterns. Each is told as `Subscribed` when it is confirmed.
    pub fn psubscribe(&self, patterns: impl ToArgs) {
        self.want(ChannelKind::Pattern, &names_of(&patterns));
    }

    /// Adds sharded channels. Each is told as `Subscribed` when it is confirmed.
    pub fn ssubscribe(&self, channels: impl ToArgs) {
        self.want(ChannelKind::Sharded, &names_of(&channels));
    }

    /// Removes channels. Each is told as `Unsubscribed`, behind all of its messages.
    pub fn unsubscribe(&self, channels: impl ToArgs) {
        self.unwant(ChannelKind::Classic, &names_of(&channels));
    }

    /// Removes patterns. Each is told as `Unsubscribed`, behind all of its messages.
    pub fn punsubscribe(&self, patterns: impl ToArgs) {
        self.unwant(ChannelKind::Pattern, &names_of(&patterns));
    }

    /// Removes sharded channels. Each is told as `Unsubscribed`, behind all of its messages.
    pub fn sunsubscribe(&self, channels: impl ToArgs) {
        self.unwant(ChannelKind::Sharded, &names_of(&channels));
    }

    /// Waits until every channel is confirmed; takes nothing out of the stream. What is published
    /// from then on comes.
    ///
    /// # Errors
    /// `Server` with the server's word when it refuses a channel; `Timeout` when the client's
    /// deadline passes before, with why a node could not be reached; `Closed`. The subscription
    /// goes on trying all the same.
    ///
    /// Dropping the future changes nothing.
    pub async fn ready(&mut self) -> Result<(), Error> {
        let env = Arc::clone(&self.client.shared.env);
        let timeout = self.client.command_timeout();
        let live = poll_fn(|cx| {
            self.inbox.watch(cx.waker());
            let stands = self.poll_standing();
            if stands.is_pending() && !self.background {
                self.hub.drive(&mut self.waits, self.id, cx);
                return self.poll_standing();
            }
            stands
        });
        if let Some(result) = env.with_deadline(env.now().after(timeout), live).await {
            return result;
        }
        let Standing::Missing(channel, cause) = self.hub.stands(self.id) else { return Ok(()) };
        let message = format!("not subscribed to {channel} within {timeout:?}");
        let error = Error::new(ErrorKind::Timeout, Delivery::Unknown, message);
        Err(match cause {
            Some(cause) => error.with_cause(cause),
            None => error,
        })
    }

    fn poll_standing(&self) -> Poll<Result<(), Error>> {
        Poll::Ready(match self.hub.stands(self.id) {
            Standing::Live => Ok(()),
            Standing::Missing(..) => return Poll::Pending,
            Standing::Refused(channel, error) => {
                Err(Error::server(Delivery::Refused, error).with_command(&channel.to_string()))
            }
            Standing::Closed => {
                Err(Error::new(ErrorKind::Closed, Delivery::NotSent, "the client is closed"))
            }
        })
    }

    /// The next update; `None` when none will follow.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Update> {
        poll_fn(|cx| self.poll_update(cx)).await
    }

    /// The next update if there is one already.
    pub fn try_next(&mut self) -> Option<Update> {
        match self.poll_update(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(update) => update,
            Poll::Pending => None,
        }
    }

    /// The next update, if it comes in time.
    ///
    /// # Errors
    /// `Timeout` when it does not.
    ///
    /// Dropping the future loses nothing.
    pub async fn next_within(&mut self, timeout: Duration) -> Result<Option<Update>, Error> {
        let env = Arc::clone(&self.client.shared.env);
        let next = env.with_deadline(env.now().after(timeout), self.next()).await;
        next.ok_or_else(|| {
            let message = format!("no update within {timeout:?}");
            Error::new(ErrorKind::Timeout, Delivery::NotSent, message)
        })
    }

    /// How much waits for the reader, and what was received, delivered and dropped, ever.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.inbox.stand()
    }

    /// What it subscribes to, confirmed or not.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel> {
        self.hub.channels(self.id)
    }

    /// Whether every channel is confirmed at present.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.hub.stands(self.id), Standing::Live)
    }

    fn want(&self, kind: ChannelKind, names: &[Vec<u8>]) {
        let id = self.id;
        self.hub.change(|hub| names.iter().for_each(|name| hub.want(kind, name, id)));
    }

    fn unwant(&self, kind: ChannelKind, names: &[Vec<u8>]) {
        let id = self.id;
        self.hub.change(|hub| names.iter().for_each(|name| hub.unwant(kind, name, id)));
    }

    #[inline]
    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        let taking = self.inbox.take(cx.waker());
        if taking.resumes {
            self.hub.resume();
        }
        if taking.update.is_ready() || self.background {
            return taking.update;
        }
        self.hub.drive(&mut self.waits, self.id, cx);
        self.inbox.take(cx.waker()).update
    }
}

impl Stream for Subscription {
    type Item = Update;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        self.poll_update(cx)
    }
}

/// The hub of all subscriptions that read by a rule, which ends with the last of them.
fn hub_for(
    hubs: &Mutex<Vec<Weak<Subscriber>>>,
    rule: Arc<ReadSettings>,
    topology: Arc<LiveTopology>,
) -> Arc<Subscriber> {
    let mut hubs = lock(hubs);
    hubs.retain(|hub| hub.upgrade().is_some_and(|hub| hub.is_open()));
    let same = hubs.iter().filter_map(Weak::upgrade).find(|hub| hub.follows(&rule));
    same.unwrap_or_else(|| {
        // Connections of its own: a link has one hub, and a primary's may be the other's.
        let hub = Subscriber::new(topology, true, Some(rule));
        hubs.push(Arc::downgrade(&hub));
        hub
    })
}

fn names_of(channels: &impl ToArgs) -> Vec<Vec<u8>> {
    let mut names = Vec::with_capacity(channels.count());
    channels.each_bytes(|name| names.push(name.to_vec()));
    names
}

/// One of the subscriptions that may have connections of their own.
#[derive(Debug)]
struct Place {
    /// How many there are.
    taken: Arc<AtomicUsize>,
}

impl Place {
    fn take(taken: &Arc<AtomicUsize>, max: usize) -> Result<Self, Error> {
        if taken.fetch_add(1, Ordering::Relaxed) >= max {
            taken.fetch_sub(1, Ordering::Relaxed);
            let limit = ErrorDetail::Limit { name: "exclusive_connections_max", max: max as u64 };
            let message = format!("{max} subscriptions have connections of their own already");
            return Err(Error::new(ErrorKind::Limit, Delivery::NotSent, message).with_detail(limit));
        }
        Ok(Self { taken: Arc::clone(taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
