//! What every part of a client shares: its transport, its configuration, its chance.
//!
//! Called by everything in `driver` and `client`.

use crate::config::{Config, ConfigError, Deployment};
use crate::connection::budget::Budget;
use crate::connection::handshake::Profile;
use crate::driver::environment::cached_clock::CachedClock;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::refresh_triggers::RefreshTriggers;
use crate::driver::environment::telemetry::Telemetry;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::BACKGROUND;
use crate::lock::lock;
use crate::resp::ScanLimits;
use crate::rng::Rng;
use crate::time::Timestamp;
use crate::transport::{ByteStream, DialNotes, Transport};
use crate::{BoxFuture, Endpoint};
use futures::future::{Either, select};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Environment {
    /// Bytes, time and background.
    transport: Arc<dyn Transport>,
    /// Checked before a client is made.
    config: Config,
    /// Raised by every link.
    triggers: Arc<RefreshTriggers>,
    /// What the client did by itself.
    telemetry: Telemetry,
    /// The time, for choices.
    cached_clock: Arc<CachedClock>,
    /// For jitter; seeded by the transport once.
    rng: Mutex<Rng>,
    /// The transport has refused a task: there is no background.
    no_background: AtomicBool,
    /// The client was closed.
    closed: AtomicBool,
    /// Told when it is.
    closing: event_listener::Event,
}

impl Environment {
    pub(crate) fn new(transport: Arc<dyn Transport>, config: Config) -> Self {
        let rng = Mutex::new(Rng::new(transport.seed()));
        Self {
            transport,
            config,
            triggers: Arc::default(),
            telemetry: Telemetry::default(),
            cached_clock: Arc::default(),
            rng,
            no_background: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            closing: event_listener::Event::new(),
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

    /// Opens a stream to a server of this kind: one through TLS where the configuration says so.
    ///
    /// # Errors
    /// `Connect`; `Handshake` where the two sides do not trust each other, since dialling again
    /// would not help.
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
                let hopeless = cause.kind() == io::ErrorKind::InvalidData;
                let kind = if hopeless { ErrorKind::Handshake } else { ErrorKind::Connect };
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

    /// Runs a task in the background; false where there is none, or the client is closed.
    pub(crate) fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        if self.closed.load(Ordering::Acquire) || !self.has_background() {
            return false;
        }
        let spawned = self.transport.spawn(task);
        self.no_background.store(!spawned, Ordering::Relaxed);
        spawned
    }

    /// Whether there is a background, as far as is known.
    pub(crate) fn has_background(&self) -> bool {
        BACKGROUND && !self.no_background.load(Ordering::Relaxed)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a command goes where its keys' slot is, and must not have keys in two.
    pub(crate) fn has_slots(&self) -> bool {
        self.config.deployment == Deployment::Cluster
    }

    pub(crate) fn triggers(&self) -> &Arc<RefreshTriggers> {
        &self.triggers
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The generator, for decisions below that take chance as an argument.
    pub(crate) fn rng(&self) -> std::sync::MutexGuard<'_, Rng> {
        lock(&self.rng)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.transport.now()
    }

    /// The time as of a moment ago, for a choice that leads to a command: see `cached_clock.rs`.
    #[inline]
    pub(crate) fn recent_time(&self) -> Timestamp {
        self.cached_clock.get(|| self.now())
    }

    pub(crate) async fn sleep_until(&self, deadline: Timestamp) {
        if deadline > self.now() {
            self.transport.sleep_until(deadline).await;
        }
    }

    /// The future's output, or `None` if the deadline comes first. The future goes first, so that a
    /// result that is there is never lost.
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

    /// Ends every wait of `while_open`.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.closing.notify(usize::MAX);
    }

    /// The future's output, or `None` if the client is closed before. For waits that no closed
    /// connection ends; the future goes first, so that what one of those says is not lost.
    pub(crate) async fn while_open<F: Future>(&self, future: F) -> Option<F::Output> {
        let closing = self.closing.listen();
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        match select(pin!(future), closing).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(((), _)) => None,
        }
    }

    /// When to look at the topology without a cause for the first time: clients that started
    /// together do not stay together.
    pub(crate) fn first_refresh_at(&self) -> Timestamp {
        match (&self.config.deployment, self.config.sentinel_interval) {
            (Deployment::Sentinel { .. }, interval) => {
                self.now().after(interval / 2 + self.rng().jitter(interval / 2))
            }
            _ => self.next_refresh_at(),
        }
    }

    /// When to do so again: sentinels no sooner than the interval says, a cluster give or take a
    /// tenth.
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

    /// A pause before attempt number `failures + 1`: full jitter under a cap that doubles.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.config.backoff_base.saturating_mul(1 << failures.min(20));
        lock(&self.rng).jitter(doubled.min(self.config.backoff_cap))
    }

    /// The wait before a command follows one more redirect of nodes that send it to and fro: it
    /// grows slowly, so that the redirects allowed outlast a failover's settling and none comes
    /// late.
    pub(crate) fn redirect_pause(&self, bounces: u32) -> Duration {
        let whole = self.config.backoff_base.saturating_mul(6 * bounces.min(1000));
        let half = whole.min(self.config.backoff_cap) / 2;
        half + lock(&self.rng).jitter(half)
    }

    /// The least time between two dials of a lane.
    pub(crate) fn dial_spacing(&self) -> Duration {
        Duration::from_secs(1) / self.config.dials_per_second.max(1)
    }

    /// The bytes that may be in flight to one node.
    pub(crate) fn node_budget(&self) -> Arc<Budget> {
        Budget::new(self.config.node_bytes_max)
    }

    /// What links that carry ordinary commands need.
    pub(crate) fn link_settings(&self, budget: &Arc<Budget>) -> LinkSettings {
        LinkSettings {
            budget: Arc::clone(budget),
            scan: ScanLimits {
                reply_bytes_max: self.config.reply_bytes_max,
                reply_depth_max: self.config.reply_depth_max as usize,
            },
            progress_timeout: Some(self.config.progress_timeout),
            cached_clock: Arc::clone(&self.cached_clock),
        }
    }
}

#[cfg(test)]
mod tests;
