//! A subscription as a stream of messages and, in order among them, what the reader has to know to
//! trust them.
//!
//! Invariants: a subscription that is polled also polls what it waits for, so that on a host
//! without background tasks it reads, connects and follows slots by itself; it keeps the client
//! alive. Limits: `subscription_bytes_max`, `subscription_messages_max`;
//! `exclusive_connections_max` subscriptions with connections of their own. The work is done in
//! `driver/pubsub`. Tested by `tests/tests/pubsub` and `tests/sim/tests/pubsub.rs`.

use super::client::Client;
use crate::BoxFuture;
use crate::command::ToArgs;
use crate::config::{SubscriptionConnection, WhenLagging};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::link::submit::client_closed;
use crate::driver::pubsub::reader_queue::ReaderQueue;
use crate::driver::pubsub::subscriber::{Subscriber, SubscriberKind, SubscriberLoop};
use crate::driver::pubsub::subscriber_state::ReaderStatus;
use crate::driver::replica::policy::ReadSettings;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::features::{PUBSUB, left_out};
use crate::lock::lock;
use crate::subscription::backlog::{Backlog, BacklogLimits};
use crate::subscription::channel_table::ReaderId;
use crate::subscription::kind::{Channel, ChannelKind};
use crate::subscription::update::Update;
use futures::Stream;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A subscription that has not begun: set options, then await it or call [`Subscribe::start`].
///
/// Made by [`Client::subscribe`], [`Client::psubscribe`] and [`Client::ssubscribe`].
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::config::WhenLagging;
/// let ticks = client
///     .subscribe("ticks")
///     .own_connection()
///     .messages_max(10_000)
///     .when_lagging(WhenLagging::Disconnect)
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "a subscription begins when it is awaited or started"]
#[derive(Debug)]
pub struct Subscribe<'c> {
    /// The client that subscribes.
    client: &'c Client,
    /// The kind of the channels.
    kind: ChannelKind,
    /// The channels' names, or the patterns.
    names: Vec<Vec<u8>>,
    /// How much may wait for the reader.
    limits: BacklogLimits,
    /// The subscription gets connections of its own.
    own_connection: bool,
}

impl<'c> Subscribe<'c> {
    pub(super) fn new(client: &'c Client, kind: ChannelKind, channels: impl ToArgs) -> Self {
        let config = client.shared.env.config();
        let limits = BacklogLimits {
            bytes_max: config.subscription_bytes_max,
            messages_max: config.subscription_messages_max as usize,
            when_lagging: config.when_lagging,
        };
        Self { client, kind, names: names_of(&channels), limits, own_connection: false }
    }

    /// Gives the subscription connections to itself, one per node, which it shares with no other
    /// subscription. For a reader so slow, or channels so busy, that the messages of others would
    /// wait.
    ///
    /// At most `exclusive_connections_max` subscriptions of a client may have them.
    pub fn own_connection(mut self) -> Self {
        self.own_connection = true;
        self
    }

    /// Bytes of messages that may wait for the reader. Default: `subscription_bytes_max` of the
    /// configuration. Each message counts for its bytes and 96 more.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.limits.bytes_max = bytes;
        self
    }

    /// Messages that may wait for the reader, at least 1. Default: `subscription_messages_max` of
    /// the configuration.
    pub fn messages_max(mut self, messages: usize) -> Self {
        self.limits.messages_max = messages.max(1);
        self
    }

    /// What happens when more messages come than may wait. Default: `when_lagging` of the
    /// configuration. With `PauseReading` the subscription gets connections of its own.
    pub fn when_lagging(mut self, policy: WhenLagging) -> Self {
        self.limits.when_lagging = policy;
        self
    }

    /// Begins the subscription without waiting. Each channel comes as [`Update::Subscribed`] in the
    /// stream when the server has confirmed it.
    ///
    /// # Errors
    /// `Limit` when `exclusive_connections_max` subscriptions have connections of their own
    /// already; `Closed` after [`Client::close`]; `Config` in a build without the feature `pubsub`.
    pub fn start(self) -> Result<Subscription, Error> {
        if !PUBSUB {
            return Err(left_out("a subscription", "pubsub"));
        }
        let shared = &self.client.shared;
        let topology = || Arc::clone(&shared.topology);
        let own = self.own_connection || self.limits.when_lagging == WhenLagging::PauseReading;
        let read_settings = self.client.non_primary_read_settings();
        let mut permit = None;
        let subscriber = match read_settings {
            settings if own => {
                let max = shared.env.config().exclusive_connections_max as usize;
                permit = Some(Permit::take(&shared.own_connection_subscriptions, max)?);
                Subscriber::new(topology(), SubscriberKind::OwnConnectionsOfReaders, settings)
            }
            Some(settings) => replica_subscriber(&shared.replica_subscribers, settings, topology()),
            None => {
                let kind = match shared.env.config().subscription_connection {
                    SubscriptionConnection::Own => SubscriberKind::OwnConnections,
                    SubscriptionConnection::Shared => SubscriberKind::SharesWithCommands,
                };
                let new = || Subscriber::new(topology(), kind, None);
                Arc::clone(shared.subscriber.get_or_init(|| new())).into_subscriber()
            }
        };
        let (id, queue) = subscriber.add_reader(self.limits).ok_or_else(client_closed)?;
        let subscription = Subscription {
            client: self.client.clone(),
            subscriber_loop: subscriber.start_loop(),
            has_background: subscriber.has_background(),
            subscriber,
            id,
            queue,
            _permit: permit,
        };
        subscription.add(self.kind, &self.names);
        Ok(subscription)
    }
}

impl<'c> IntoFuture for Subscribe<'c> {
    type Output = Result<Subscription, Error>;
    type IntoFuture = BoxFuture<'c, Self::Output>;

    /// Begins the subscription, and waits until the servers have confirmed every channel.
    ///
    /// # Errors
    /// Those of [`Subscribe::start`] and [`Subscription::ready`]. After an error nothing stays
    /// subscribed to.
    ///
    /// Dropping the future unsubscribes.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut subscription = self.start()?;
            subscription.ready().await?;
            Ok(subscription)
        })
    }
}

/// A running subscription: a stream of [`Update`]s.
///
/// It follows slots that move, primaries that are replaced and nodes that fail, and says what that
/// may have cost: [`Update::Gap`] after an interruption, [`Update::Lagged`] where the reader was
/// too slow. Between two of them no message that the server sent is missing. The stream ends
/// (`None`) after [`Client::close`], and after [`Update::Disconnected`].
///
/// Channels can be added and removed at any time. Dropping the subscription unsubscribes from the
/// channels that no other subscription of the client wants, and closes connections of its own.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::Update;
/// let mut orders = client.ssubscribe(["orders:1", "orders:2"]).await?;
/// while let Some(update) = orders.next().await {
///     match update {
///         Update::Message(message) => println!("{:?}", message.text()),
///         Update::Gap { channel, duration, .. } => {
///             println!("{channel}: messages of the last {duration:?} may be missing");
///         }
///         Update::Lagged(count) => println!("{count} messages were dropped"),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "dropping a subscription ends it"]
#[derive(Debug)]
pub struct Subscription {
    /// The client; keeps the connections open.
    client: Client,
    /// The subscriber, shared with other subscriptions or of its own.
    subscriber: Arc<Subscriber>,
    /// The name of this subscription at the subscriber.
    id: ReaderId,
    /// The waiting updates.
    queue: Arc<ReaderQueue>,
    /// The subscriber's loop.
    subscriber_loop: SubscriberLoop,
    /// A background task runs that loop, so that this subscription need not poll it.
    has_background: bool,
    /// Counts a subscription with connections of its own.
    _permit: Option<Permit>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscriber.remove_reader(self.id);
    }
}

impl Subscription {
    /// Adds channels by their names. Each comes as [`Update::Subscribed`] when the server has
    /// confirmed it. A channel that was added before stays as it is.
    pub fn subscribe(&self, channels: impl ToArgs) {
        self.add(ChannelKind::Classic, &names_of(&channels));
    }

    /// Adds patterns. Each comes as [`Update::Subscribed`] when the server has confirmed it.
    pub fn psubscribe(&self, patterns: impl ToArgs) {
        self.add(ChannelKind::Pattern, &names_of(&patterns));
    }

    /// Adds sharded channels. Each comes as [`Update::Subscribed`] when the server has confirmed
    /// it.
    pub fn ssubscribe(&self, channels: impl ToArgs) {
        self.add(ChannelKind::Sharded, &names_of(&channels));
    }

    /// Removes channels by their names. Each comes as [`Update::Unsubscribed`], after all of its
    /// messages. A channel that was not added is ignored.
    pub fn unsubscribe(&self, channels: impl ToArgs) {
        self.remove(ChannelKind::Classic, &names_of(&channels));
    }

    /// Removes patterns. Each comes as [`Update::Unsubscribed`], after all of its messages.
    pub fn punsubscribe(&self, patterns: impl ToArgs) {
        self.remove(ChannelKind::Pattern, &names_of(&patterns));
    }

    /// Removes sharded channels. Each comes as [`Update::Unsubscribed`], after all of its messages.
    pub fn sunsubscribe(&self, channels: impl ToArgs) {
        self.remove(ChannelKind::Sharded, &names_of(&channels));
    }

    /// Waits until the servers have confirmed every channel, at most for the client's timeout
    /// ([`Client::with_timeout`]). Takes nothing out of the stream.
    ///
    /// # Errors
    /// `Server` with the server's error when it refuses a channel; `Timeout` when a channel is not
    /// confirmed in time, with the error of a failed connection as its source; `Closed` after
    /// [`Client::close`]. The subscription goes on after an error, and tries again.
    ///
    /// Dropping the future changes nothing.
    pub async fn ready(&mut self) -> Result<(), Error> {
        let env = Arc::clone(&self.client.shared.env);
        let timeout = self.client.command_timeout();
        let mut from = 0;
        let confirmed = poll_fn(|cx| {
            self.queue.register_waker(cx.waker());
            let status = self.poll_confirmed(&mut from);
            if status.is_pending() && !self.has_background {
                self.subscriber.drive(&mut self.subscriber_loop, self.id, cx);
                return self.poll_confirmed(&mut from);
            }
            status
        });
        if let Some(result) = env.with_deadline(env.now().after(timeout), confirmed).await {
            return result;
        }
        let status = self.subscriber.status(self.id, &mut 0);
        let ReaderStatus::Unconfirmed(channel, cause) = status else {
            return Ok(());
        };
        let message = format!("not subscribed to {channel} within {timeout:?}");
        let error = Error::new(ErrorKind::Timeout, Delivery::Unknown, message);
        Err(match cause {
            Some(cause) => error.with_cause(cause),
            None => error,
        })
    }

    fn poll_confirmed(&self, from: &mut usize) -> Poll<Result<(), Error>> {
        Poll::Ready(match self.subscriber.status(self.id, from) {
            ReaderStatus::Live => Ok(()),
            ReaderStatus::Unconfirmed(..) => return Poll::Pending,
            ReaderStatus::Refused(channel, error) => {
                Err(Error::server(Delivery::Refused, error).with_command(&channel.to_string()))
            }
            ReaderStatus::Closed => Err(client_closed()),
        })
    }

    /// Waits for the next update. `None` after the end of the subscription.
    ///
    /// Dropping the future loses no update.
    pub async fn next(&mut self) -> Option<Update> {
        poll_fn(|cx| self.poll_update(cx)).await
    }

    /// The next update, if one waits already; `None` otherwise, and after the end.
    pub fn try_next(&mut self) -> Option<Update> {
        match self.poll_update(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(update) => update,
            Poll::Pending => None,
        }
    }

    /// Waits for the next update, at most for `timeout`. `Ok(None)` after the end of the
    /// subscription.
    ///
    /// # Errors
    /// `Timeout` when no update comes within `timeout`; the subscription goes on.
    ///
    /// Dropping the future loses no update.
    pub async fn next_within(&mut self, timeout: Duration) -> Result<Option<Update>, Error> {
        let env = Arc::clone(&self.client.shared.env);
        let next = env.with_deadline(env.now().after(timeout), self.next()).await;
        next.ok_or_else(|| {
            let message = format!("no update within {timeout:?}");
            Error::new(ErrorKind::Timeout, Delivery::NotSent, message)
        })
    }

    /// How much waits for the reader, and how many messages were received, delivered and dropped.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.queue.backlog()
    }

    /// The channels and patterns of this subscription, confirmed or not.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel> {
        self.subscriber.channels(self.id)
    }

    /// Whether the servers have confirmed every channel, and no connection was lost since.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.subscriber.status(self.id, &mut 0), ReaderStatus::Live)
    }

    fn add(&self, kind: ChannelKind, names: &[Vec<u8>]) {
        self.subscriber.change_channels(|table| {
            names.iter().for_each(|name| table.subscribe(kind, name, self.id));
        });
    }

    fn remove(&self, kind: ChannelKind, names: &[Vec<u8>]) {
        self.subscriber.change_channels(|table| {
            names.iter().for_each(|name| table.unsubscribe(kind, name, self.id));
        });
    }

    #[inline]
    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        let taken = self.queue.take(cx.waker());
        if taken.resume_reading {
            self.subscriber.resume_reading();
        }
        if taken.update.is_ready() || self.has_background {
            return taken.update;
        }
        self.subscriber.drive(&mut self.subscriber_loop, self.id, cx);
        self.queue.take(cx.waker()).update
    }
}

impl Stream for Subscription {
    type Item = Update;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        self.poll_update(cx)
    }
}

/// The subscriber of all subscriptions with these read settings. It ends with the last of them.
fn replica_subscriber(
    subscribers: &Mutex<Vec<Weak<Subscriber>>>,
    settings: Arc<ReadSettings>,
    topology: Arc<LiveTopology>,
) -> Arc<Subscriber> {
    let mut subscribers = lock(subscribers);
    subscribers.retain(|one| one.upgrade().is_some_and(|one| one.is_open()));
    let mut open = subscribers.iter().filter_map(Weak::upgrade);
    if let Some(same) = open.find(|one| one.has_read_settings(&settings)) {
        return same;
    }
    // A link has one subscriber, and a primary's may have another already.
    let kind = SubscriberKind::OwnConnectionsOfReaders;
    let new = Subscriber::new(topology, kind, Some(settings));
    subscribers.push(Arc::downgrade(&new));
    new
}

fn names_of(channels: &impl ToArgs) -> Vec<Vec<u8>> {
    let mut names = Vec::with_capacity(channels.count());
    channels.each_bytes(|name| names.push(name.to_vec()));
    names
}

/// Permission to have connections of its own, for one subscription. Dropped, it is given back.
#[derive(Debug)]
struct Permit {
    /// How many permits are taken.
    taken: Arc<AtomicUsize>,
}

impl Permit {
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

impl Drop for Permit {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
