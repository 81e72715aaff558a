//! What all parts of a client share: transport, configuration, clock, random numbers, telemetry.
//!
//! **Invariants**: no lock is held while the transport is called; a stream to a server that the
//! configuration wants encrypted is opened through TLS or not at all.
//!
//! Tested by `environment/tests.rs`.

use crate::bounds::{MaybeSend, MaybeSync};
use crate::config::{Config, ConfigError, Deployment};
use crate::connection::budget::Budget;
use crate::connection::handshake::Profile;
use crate::connection::queue::Occupancy;
use crate::driver::environment::cached_clock::CachedClock;
use crate::driver::environment::connection_limit::ConnectionLimit;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::members::Members;
use crate::driver::environment::refresh_triggers::RefreshTriggers;
use crate::driver::environment::telemetry::Telemetry;
use crate::driver::environment::weak_list::WeakList;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::{BACKGROUND, CLUSTER};
use crate::lock::lock;
use crate::resp::ScanLimits;
use crate::rng::Rng;
use crate::time::Timestamp;
use crate::transport::{AbortFlag, ByteStream, DialNotes, Transport};
use crate::{BoxFuture, Endpoint};
use futures::future::{Either, select};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Environment {
    /// Opens streams, tells the time, runs tasks.
    transport: Arc<dyn Transport>,
    /// The configuration; it was checked before the client was made.
    config: Config,
    /// Reasons to refresh the topology, set by connections.
    triggers: Arc<RefreshTriggers>,
    /// Counters and events.
    telemetry: Telemetry,
    /// The cluster's nodes, by their ids.
    members: Members,
    /// The time for choosing nodes, read once for many commands.
    cached_clock: Arc<CachedClock>,
    /// The number of the last node that was made.
    last_node: AtomicU64,
    /// Random numbers for jitter and choices; seeded by the transport once.
    rng: Mutex<Rng>,
    /// The transport has refused a task: it runs none in the background.
    no_background: AtomicBool,
    /// Whether the client is closed.
    closing: Arc<Closing>,
    /// Every connection that was made, also those that their nodes have given up. Those that have
    /// ended are removed when others are added.
    connections: Mutex<WeakList<dyn Connection>>,
    /// What else must end with the client.
    others: Mutex<WeakList<dyn EndsWithClient>>,
    /// How many connections there may be at once; `None` without a limit.
    connection_limit: Option<Arc<ConnectionLimit>>,
}

/// Whether the client is closed.
#[derive(Debug, Default)]
struct Closing {
    /// It is.
    closed: AtomicBool,
    /// Notified when it is.
    event: event_listener::Event,
}

impl Closing {
    /// See [`Environment::while_open`].
    async fn while_open<F: Future>(&self, future: F) -> Option<F::Output> {
        let closing = self.event.listen();
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        match select(pin!(future), closing).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(((), _)) => None,
        }
    }
}

/// What must not outlive the client: a connection, also one that its node has given up and that
/// only waits for replies to callers who have gone; a subscriber.
pub(crate) trait EndsWithClient: MaybeSend + MaybeSync {
    /// Ends it at once.
    fn end(&self);
}

/// A connection, to the limit of connections.
pub(crate) trait Connection: EndsWithClient {
    /// What it is used for.
    fn occupancy(&self) -> Occupancy;

    /// When it was opened.
    fn opened_at(&self) -> Timestamp;

    /// Moves the bytes that can be moved. Returns when it was last used, if it is idle.
    fn idle_since(&self) -> Timestamp;

    /// Ends it, unless it is held: at once if it is idle, else when what is in flight is answered.
    fn make_room(&self);
}

impl Environment {
    pub(crate) fn new(transport: Arc<dyn Transport>, config: Config) -> Self {
        let rng = Mutex::new(Rng::new(transport.seed()));
        let connection_limit = config.connections_max.map(ConnectionLimit::new);
        Self {
            transport,
            config,
            triggers: Arc::default(),
            telemetry: Telemetry::default(),
            members: Members::default(),
            cached_clock: Arc::default(),
            last_node: AtomicU64::new(0),
            rng,
            no_background: AtomicBool::new(false),
            closing: Arc::default(),
            connections: Mutex::default(),
            others: Mutex::default(),
            connection_limit,
        }
    }

    pub(crate) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Whether connections to a server of this kind are encrypted.
    pub(crate) fn is_encrypted(&self, profile: Profile) -> bool {
        match profile {
            Profile::Sentinel => self.config.sentinels_tls(),
            _ => self.config.tls,
        }
    }

    /// Opens a stream to a server of this kind, through TLS where the configuration says so.
    ///
    /// # Errors
    /// `Connect`; `Handshake` where the TLS handshake shows that the two sides do not trust each
    /// other, since connecting again would not help.
    pub(crate) async fn open(
        &self,
        endpoint: &Endpoint,
        profile: Profile,
        deadline: Timestamp,
        notes: &DialNotes,
    ) -> Result<Box<dyn ByteStream>, Error> {
        let dial = match self.transport.tls() {
            _ if !self.is_encrypted(profile) => self.transport.connect_noting(endpoint, notes),
            Some(tls) => tls.connect_tls(endpoint, notes),
            None => return Err(ConfigError::no_tls().into()),
        };
        let failed =
            |kind, message| Error::new(kind, Delivery::NotSent, message).with_endpoint(endpoint);
        match self.with_deadline(deadline, dial).await {
            Some(Ok(stream)) => Ok(stream),
            Some(Err(cause)) => {
                let is_final = cause.kind() == io::ErrorKind::InvalidData;
                let kind = if is_final { ErrorKind::Handshake } else { ErrorKind::Connect };
                Err(failed(kind, format!("cannot connect: {cause}")).with_cause(cause))
            }
            None => {
                let timeout = self.config.connect_timeout;
                let message = match notes.tls_began() {
                    true => format!("no TLS handshake within {timeout:?}: the server is silent"),
                    false => format!("no connection within {timeout:?}"),
                };
                Err(failed(ErrorKind::Connect, message))
            }
        }
    }

    /// Runs a task in the background, until the client is closed. False if the host runs none, or
    /// the client is closed.
    pub(crate) fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        if !BACKGROUND || self.is_closed() || !self.has_background() {
            return false;
        }
        let closing = Arc::clone(&self.closing);
        let task = Box::pin(async move { _ = closing.while_open(task).await });
        let spawned = self.transport.spawn(task);
        self.no_background.store(!spawned, Ordering::Relaxed);
        spawned
    }

    /// Whether the host runs tasks in the background, as far as this client has found out.
    pub(crate) fn has_background(&self) -> bool {
        BACKGROUND && !self.no_background.load(Ordering::Relaxed)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Whether keys have hash slots, so that a command's keys must all be in one slot.
    pub(crate) fn has_slots(&self) -> bool {
        CLUSTER && self.config.deployment == Deployment::Cluster
    }

    pub(crate) fn triggers(&self) -> &Arc<RefreshTriggers> {
        &self.triggers
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The cluster's nodes, by their ids.
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// The random numbers.
    pub(crate) fn rng(&self) -> std::sync::MutexGuard<'_, Rng> {
        lock(&self.rng)
    }

    /// A number that no other node of this client has. Later nodes have greater ones.
    pub(crate) fn next_node_number(&self) -> u64 {
        self.last_node.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.transport.now()
    }

    /// A recent time, for choosing the node of a command: see `cached_clock.rs`.
    #[inline]
    pub(crate) fn recent_time(&self) -> Timestamp {
        self.cached_clock.get(|| self.now())
    }

    pub(crate) async fn sleep_until(&self, deadline: Timestamp) {
        if deadline > self.now() {
            self.transport.sleep_until(deadline).await;
        }
    }

    /// The future's output, or `None` if the deadline comes first. The future is polled before the
    /// timer, so that an output that is ready is never lost.
    pub(crate) async fn with_deadline<F: Future>(
        &self,
        deadline: Timestamp,
        future: F,
    ) -> Option<F::Output> {
        if deadline == Timestamp::FAR_FUTURE {
            return Some(future.await);
        }
        let sleep = self.transport.sleep_until(deadline);
        match select(pin!(future), sleep).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(((), _)) => None,
        }
    }

    /// Marks the client as closed; ends every `while_open` and every connection.
    pub(crate) fn close(&self) {
        self.closing.closed.store(true, Ordering::Release);
        self.closing.event.notify(usize::MAX);
        let others = std::mem::take(&mut *lock(&self.others)).all();
        others.iter().for_each(|one| one.end());
        let connections = std::mem::take(&mut *lock(&self.connections)).all();
        connections.iter().for_each(|one| one.end());
    }

    /// Whether the client is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closing.closed.load(Ordering::Acquire)
    }

    /// Ends the connection when the client is closed, or at once if it is.
    pub(crate) fn add_connection(&self, connection: &Arc<dyn Connection>) {
        lock(&self.connections).push(Arc::downgrade(connection));
        if self.is_closed() {
            connection.end();
        }
    }

    /// The same for anything else.
    pub(crate) fn end_with_client(&self, other: &Arc<dyn EndsWithClient>) {
        lock(&self.others).push(Arc::downgrade(other));
        if self.is_closed() {
            other.end();
        }
    }

    /// Every connection that there is.
    pub(super) fn connections(&self) -> Vec<Arc<dyn Connection>> {
        lock(&self.connections).all()
    }

    /// The limit of connections, if there is one.
    pub(crate) fn connection_limit(&self) -> Option<&Arc<ConnectionLimit>> {
        self.connection_limit.as_ref()
    }

    /// Whether a dial waits for another connection to close.
    pub(crate) fn lacks_room(&self) -> bool {
        self.connection_limit.as_ref().is_some_and(|limit| limit.waiting() > 0)
    }

    /// The future's output, or `None` if the client is closed before. For waits that the closing of
    /// connections does not end. The future is polled first, so that an output that is ready is not
    /// lost.
    pub(crate) fn while_open<F: Future>(
        &self,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + use<'_, F> {
        self.closing.while_open(future)
    }

    /// When to start the first periodic refresh. It is random, so that clients that started
    /// together do not refresh together.
    pub(crate) fn first_refresh_at(&self) -> Timestamp {
        match (&self.config.deployment, self.config.sentinel_interval) {
            (Deployment::Sentinel { .. }, interval) => {
                self.now().after(interval / 2 + self.rng().jitter(interval / 2))
            }
            _ => self.next_refresh_at(),
        }
    }

    /// When to start the next periodic refresh: for sentinels exactly one interval from now, for a
    /// cluster 90 to 110 % of one.
    pub(crate) fn next_refresh_at(&self) -> Timestamp {
        let config = &self.config;
        match (&config.deployment, config.refresh_interval) {
            (Deployment::Sentinel { .. }, _) => self.now().after(config.sentinel_interval),
            (_, Some(interval)) => {
                self.now().after(interval / 10 * 9 + self.rng().jitter(interval / 5))
            }
            (_, None) => Timestamp::FAR_FUTURE,
        }
    }

    /// The back-off before attempt number `failures + 1`: random, from 0 to a bound that doubles.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.config.backoff_base.saturating_mul(1 << failures.min(20));
        lock(&self.rng).jitter(doubled.min(self.config.backoff_cap))
    }

    /// The pause before a command follows another redirect, when nodes redirect it to each other.
    /// It grows slowly, so that the redirects allowed last longer than a failover takes, and the
    /// last one does not come much later than the failover's end.
    pub(crate) fn redirect_pause(&self, redirects: u32) -> Duration {
        let whole = self.config.backoff_base.saturating_mul(6 * redirects.min(1000));
        let half = whole.min(self.config.backoff_cap) / 2;
        half + lock(&self.rng).jitter(half)
    }

    /// The least time between two connection attempts of one of a node's connections.
    pub(crate) fn dial_spacing(&self) -> Duration {
        Duration::from_secs(1) / self.config.dials_per_second.max(1)
    }

    /// A budget for the bytes in flight to one node.
    pub(crate) fn node_budget(&self) -> Arc<Budget> {
        Budget::new(self.config.node_bytes_max)
    }

    /// The settings of connections that carry ordinary commands.
    pub(crate) fn link_settings(&self, budget: &Arc<Budget>) -> LinkSettings {
        LinkSettings {
            budget: Arc::clone(budget),
            scan: ScanLimits {
                reply_bytes_max: self.config.reply_bytes_max,
                reply_depth_max: self.config.reply_depth_max as usize,
            },
            progress_timeout: Some(self.config.progress_timeout),
            tolerates_busy: false,
            is_held: false,
            place: None,
            abort: AbortFlag::default(),
            cached_clock: Arc::clone(&self.cached_clock),
        }
    }
}

#[cfg(test)]
mod tests;
