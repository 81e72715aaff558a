//! One shared connection of a node: at most one live link, dialled when a caller needs it and again
//! after it was lost.
//!
//! ```text
//! no link ──a caller needs one──► dialling (shared by all callers) ──► live ──lost──► no link
//!    ▲                                │
//!    └──── back-off, full jitter ◄────┘ failed
//! ```
//!
//! Invariants: one dial at a time; after a failure the next dial begins only when the back-off is
//! over, however many callers wait; every waiting caller drives the dial, and it is dropped when
//! all of them are gone. A link is published only after its handshake is whole, unless nothing in
//! the handshake can fail: then the first command travels with it. What a caller gets when its
//! deadline passes does not depend on where it waited: see [`past_deadline`].
//! Limits: `connect_timeout` per dial, `backoff_base` to `backoff_cap` between dials.

use crate::Endpoint;
use crate::connection::budget::Budget;
use crate::driver::environment::connection_limit::{DialWait, EndsAbandonedDial};
use crate::driver::environment::environment::Environment;
use crate::driver::environment::events::Event as Notice;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::shared_future::SharedFuture;
use crate::driver::link::dial::open;
use crate::driver::link::dial_target::DialTarget;
use crate::driver::link::link::Link;
use crate::driver::link::submit::closed;
use crate::driver::node::silent_link::{NewLink, choose};
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::BACKGROUND;
use crate::lock::lock;
use crate::time::Timestamp;
use event_listener::Event;
use futures::future::{Either, select};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// A dial under way. Every caller that waits for it drives it.
type DialFuture = SharedFuture<Result<Arc<Link>, Error>>;

/// A connection that is younger is not dialled again because its server takes no writes: the reply
/// may be one to a command that the connection before it carried.
const DEMOTED_AGE_MIN: Duration = Duration::from_millis(100);

/// How often the back-off doubles at most while the server answers that it is not ready yet.
const ANSWERED_DOUBLINGS: u32 = 3;

/// See the head of this file.
pub(crate) struct ReconnectingLink {
    /// Which server it connects to.
    target: Arc<DialTarget>,
    /// The node's budget of bytes in flight, shared by its connections.
    budget: Arc<Budget>,
    /// The live link, which may be lost already. Locked for as long as it takes to count one more
    /// reference: a third of what a swap without a lock costs.
    link: Mutex<Option<Arc<Link>>>,
    /// A [`RepairGuard`] exists: one task restores this connection while the node's other
    /// connections carry the commands.
    repairing: AtomicBool,
    /// How many links there were so far; wraps around.
    links: AtomicU32,
    /// Everything about the next dial.
    dial: Mutex<DialState>,
    /// Whether the dial waits for room among the client's connections.
    wait: Arc<DialWait>,
    /// It carries subscriptions and nothing else.
    is_subscription: bool,
    /// Notified when a silent link takes entries again.
    progress: Event,
    /// An event has told that the node cannot be reached. Shared by the node's connections, so that
    /// one of them tells it.
    reported_lost: Arc<AtomicBool>,
}

/// What must happen before there is another link.
struct DialState {
    /// The dial under way.
    running: Option<DialFuture>,
    /// Failures since the last link that worked.
    failures: u32,
    /// No dial begins before this.
    not_before: Timestamp,
    /// When the last link was opened.
    opened_at: Timestamp,
    /// The last dial's error, if it failed.
    last_error: Option<Error>,
    /// The connection is closed for good.
    closed: bool,
    /// The limit of connections knows that there may be a dial.
    is_watched: bool,
}

impl fmt::Debug for ReconnectingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingLink").field("target", &self.target).finish_non_exhaustive()
    }
}

/// A dial may end after its node has left the map. Nothing else refers to the link then, so it ends
/// with this value.
impl Drop for ReconnectingLink {
    fn drop(&mut self) {
        self.redial();
    }
}

/// What a caller that needs a link has to do.
enum NextLink {
    /// Use this one.
    Live(Arc<Link>),
    /// Wait for this dial.
    Dialling(DialFuture),
    /// Wait until the back-off is over.
    BackingOff(Timestamp),
    /// Give up: the connection is closed for good.
    Closed,
}

impl ReconnectingLink {
    pub(crate) fn new(
        target: Arc<DialTarget>,
        budget: Arc<Budget>,
        reported_lost: Arc<AtomicBool>,
        is_subscription: bool,
    ) -> Self {
        let dial = DialState {
            running: None,
            failures: 0,
            not_before: Timestamp::ZERO,
            opened_at: Timestamp::ZERO,
            last_error: None,
            closed: false,
            is_watched: false,
        };
        let (link, repairing) = (Mutex::new(None), AtomicBool::new(false));
        let (links, dial, progress) = (AtomicU32::new(0), Mutex::new(dial), Event::new());
        let wait = Arc::default();
        Self {
            target,
            budget,
            link,
            repairing,
            links,
            dial,
            wait,
            is_subscription,
            progress,
            reported_lost,
        }
    }

    /// How many links there were so far: another link may lead to another process.
    #[inline]
    pub(crate) fn links(&self) -> u32 {
        self.links.load(Ordering::Acquire)
    }

    /// The link, if there is one; it may be lost already, which enqueueing tells.
    #[inline]
    pub(crate) fn ready(&self) -> Option<Arc<Link>> {
        lock(&self.link).clone()
    }

    /// A live link, dialled if need be, by `deadline` at the latest.
    ///
    /// # Errors
    /// The dial's error, if it failed before the deadline; after the deadline what
    /// [`past_deadline`] makes of the last dial's error.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        env: &Arc<Environment>,
        deadline: Timestamp,
    ) -> Result<Arc<Link>, Error> {
        loop {
            let progress = self.progress.listen();
            match self.next_link(env) {
                NextLink::Live(link) => return Ok(link),
                NextLink::Closed => return Err(closed(self.target.endpoint())),
                _ if env.now() >= deadline => return Err(self.deadline_error()),
                NextLink::Dialling(dial) => {
                    match env.with_deadline(deadline, select(dial, progress)).await {
                        // A map that came meanwhile may mean another server.
                        Some(Either::Left((Ok(link), _))) if self.target.doubts(&link, env) => {}
                        Some(Either::Left((Ok(link), _))) => return Ok(link),
                        // A task that is woken late finds both: the dial's end and its deadline.
                        Some(Either::Left((Err(error), _))) if env.now() >= deadline => {
                            return Err(past_deadline(self.target.endpoint(), Some(error)));
                        }
                        Some(Either::Left((Err(error), _))) => return Err(error),
                        Some(Either::Right(_)) => {}
                        None => return Err(self.deadline_error()),
                    }
                }
                NextLink::BackingOff(until) => {
                    env.with_deadline(until.min(deadline), progress).await;
                }
            }
        }
    }

    /// What a caller fails with whose deadline has passed while it had no link.
    pub(crate) fn deadline_error(&self) -> Error {
        let endpoint = self.target.endpoint();
        let late = || past_deadline(endpoint, lock(&self.dial).last_error.clone());
        self.wait.error(endpoint).unwrap_or_else(late)
    }

    /// Whether its dial waits for room among the client's connections.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.wait.is_waiting()
    }

    /// The link, unless it takes no more entries.
    pub(crate) fn live(&self) -> Option<Arc<Link>> {
        self.ready().filter(|link| !link.is_closed())
    }

    /// Whether there is no live link and no task restores it.
    pub(crate) fn needs_repair(&self) -> bool {
        !self.repairing.load(Ordering::Acquire) && self.live().is_none()
    }

    /// Restores the link while the node's other connections carry the commands: in the background
    /// or, without one, at the cost of the one caller that comes first, if a dial may begin now.
    pub(crate) async fn repair(self: &Arc<Self>, env: &Arc<Environment>, deadline: Timestamp) {
        let Some(guard) = RepairGuard::acquire(self) else { return };
        let until = env.now().after(env.config().connect_timeout);
        let (this, its_env) = (Arc::clone(self), Arc::clone(env));
        let task = async move {
            let _ = its_env.while_open(this.connect(&its_env, until)).await;
            drop(guard);
        };
        if BACKGROUND && env.transport().spawn(Box::pin(task)) {
            return;
        }
        let Some(_guard) = RepairGuard::acquire(self) else { return };
        let may_dial = lock(&self.dial).not_before <= env.now();
        if may_dial {
            let _ = self.connect(env, until.min(deadline)).await;
        }
    }

    /// Whether there is no live link, and the last dial failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.live().is_none() && lock(&self.dial).last_error.is_some()
    }

    /// Gives the link up because its server gets no command any more. One that carries a
    /// subscription ends at once: its messages are not those that were asked for.
    pub(crate) fn give_up(&self) {
        match self.ready() {
            Some(link) if link.has_push_sink() => link.close(),
            _ => self.redial(),
        }
    }

    /// Gives the link up: it ends when what is in flight has, and the next caller dials again.
    pub(crate) fn redial(&self) {
        let link = lock(&self.link).take();
        if let Some(link) = link {
            link.retire();
        }
    }

    /// Gives the link up because its server takes no writes: the same name may lead to the new
    /// primary by now.
    pub(crate) fn redial_demoted(&self, env: &Environment) {
        let age = env.now().since(lock(&self.dial).opened_at);
        if age >= DEMOTED_AGE_MIN {
            self.redial();
        }
    }

    /// Gives the link up if it leads to another server than the one that the map means now.
    pub(crate) fn recheck(&self, env: &Environment) {
        if self.ready().is_some_and(|link| self.target.doubts(&link, env)) {
            self.redial();
        }
    }

    /// Whether there is no live link, and no dial begins before a back-off is over.
    pub(crate) fn is_backing_off(&self, now: Timestamp) -> bool {
        if self.live().is_some() {
            return false;
        }
        let dial = lock(&self.dial);
        dial.running.is_none() && dial.not_before > now
    }

    /// The next dial may begin at once: something says that the server is back.
    pub(crate) fn end_backoff(&self, now: Timestamp) {
        let mut dial = lock(&self.dial);
        dial.not_before = dial.not_before.min(now);
        dial.failures = dial.failures.min(1);
    }

    /// Closes the link; no other will follow.
    pub(crate) fn close(&self) {
        let running = {
            let mut dial = lock(&self.dial);
            dial.closed = true;
            dial.running.take()
        };
        if let Some(dial) = running {
            dial.end(Err(closed(self.target.endpoint())));
        }
        // Who waits for the end of a back-off.
        self.progress.notify(usize::MAX);
        let link = lock(&self.link).take();
        if let Some(link) = link {
            link.close();
        }
    }

    /// What a caller has to do for a link; begins a dial if one is needed and may begin.
    fn next_link(self: &Arc<Self>, env: &Arc<Environment>) -> NextLink {
        let mut dial = lock(&self.dial);
        if dial.closed {
            return NextLink::Closed;
        }
        let mut silent = None;
        if let Some(link) = self.ready() {
            if !link.is_closed() {
                return NextLink::Live(link);
            }
            silent = link.is_silent().then_some(link);
        }
        if silent.is_none()
            && let Some(link) = self.ready()
        {
            // A server that accepts connections and then never answers, or not what the protocol
            // says, is as bad as one that refuses them.
            *lock(&self.link) = None;
            if link.was_retired() {
                // It made room for another one.
            } else if link.has_answered() && !link.was_useless() {
                dial.failures = 0;
            } else {
                dial.failures = dial.failures.saturating_add(1);
                dial.not_before = dial.not_before.max(env.now().after(env.backoff(dial.failures)));
            }
        }
        if let Some(running) = &dial.running {
            return NextLink::Dialling(running.clone());
        }
        if env.now() < dial.not_before {
            return NextLink::BackingOff(dial.not_before);
        }
        // A server that failed or was silent accepts connections long before it answers again: it
        // gets no command before it has answered the handshake.
        if !dial.is_watched
            && let Some(limit) = env.connection_limit()
        {
            dial.is_watched = true;
            limit.watch_dials_of(Arc::downgrade(self) as Weak<dyn EndsAbandonedDial>);
        }
        let attempt = self.dial_future(env, dial.failures == 0, silent);
        dial.running = Some(attempt.clone());
        NextLink::Dialling(attempt)
    }

    /// `silent`: the link that is to be replaced if the server answers over the new one, and has
    /// nothing to do for the silent one.
    fn dial_future(
        self: &Arc<Self>,
        env: &Arc<Environment>,
        proven: bool,
        silent: Option<Arc<Link>>,
    ) -> DialFuture {
        let (weak, env) = (Arc::downgrade(self), Arc::clone(env));
        let target = Arc::clone(&self.target);
        let is_held = self.is_subscription;
        let settings = LinkSettings { is_held, ..env.link_settings(&self.budget) };
        let wait = Arc::clone(&self.wait);
        let proven = proven && silent.is_none();
        SharedFuture::new(Box::pin(async move {
            let mut until = env.now().after(env.config().connect_timeout);
            let result = open(&target, &env, settings, proven, &wait).await.inspect(|link| {
                link.set_silence_watch(Self::watch(&weak, &env));
            });
            if env.connection_limit().is_some() {
                // It may have waited for room.
                until = env.now().after(env.config().connect_timeout);
            }
            let result = match silent {
                Some(silent) => choose(&env, silent, result.map(NewLink::new), until).await,
                None => result,
            };
            match weak.upgrade() {
                Some(this) => this.handle_dialled(result, &env),
                // The node is gone and nothing would ever close this link. Callers resolve
                // their node again.
                None => result.inspect(|link| link.retire()),
            }
        }))
    }

    fn handle_dialled(
        &self,
        result: Result<Arc<Link>, Error>,
        env: &Environment,
    ) -> Result<Arc<Link>, Error> {
        let mut dial = lock(&self.dial);
        dial.running = None;
        match &result {
            Ok(link) if dial.closed => link.close(),
            Ok(link) => {
                dial.opened_at = env.now();
                dial.not_before = dial.opened_at.after(env.dial_spacing());
                dial.last_error = None;
                if self.reported_lost.swap(false, Ordering::Relaxed) {
                    let endpoint = self.target.endpoint().clone();
                    env.telemetry().emit(|| Notice::NodeBack { endpoint });
                }
                self.links.fetch_add(1, Ordering::Release);
                *lock(&self.link) = Some(Arc::clone(link));
            }
            Err(error) => {
                let endpoint = self.target.endpoint().clone();
                let lost = || Notice::NodeLost { endpoint, error: error.clone() };
                if !self.reported_lost.swap(true, Ordering::Relaxed) {
                    env.telemetry().emit(lost);
                }
                dial.failures = dial.failures.saturating_add(1);
                // A server that says that it is loading or full is there, and soon ready.
                let is_there = error.kind() == ErrorKind::Connect && error.server_error().is_some();
                let doublings =
                    if is_there { dial.failures.min(ANSWERED_DOUBLINGS) } else { dial.failures };
                dial.not_before = env.now().after(env.backoff(doublings));
                dial.last_error = Some(error.clone());
            }
        }
        drop(dial);
        self.recheck(env);
        result
    }
}

/// What a caller fails with whose deadline has passed while it had no connection. `last` is the
/// error that the last dial failed with.
///
/// A dial that failed because the server could not be reached is made again until the deadline. So
/// the caller gets `Timeout`, and the last dial's error as its cause and in its text, whether the
/// deadline passed during a dial, during the back-off or just as a dial failed. Any other error (a
/// refused password, a certificate that is not trusted, a closed client) would be the same at every
/// dial: it is returned as it is.
pub(crate) fn past_deadline(endpoint: &Endpoint, last: Option<Error>) -> Error {
    let timeout = |message: String| {
        Error::new(ErrorKind::Timeout, Delivery::NotSent, message).with_endpoint(endpoint)
    };
    match last {
        None => timeout("no connection in time".to_owned()),
        Some(error) if error.kind() != ErrorKind::Connect => error,
        Some(error) => {
            let (text, at) = (error.to_string(), format!(": {endpoint}"));
            let cause = text.strip_suffix(&at).unwrap_or(&text);
            let late = timeout(format!("no connection in time; the last dial failed: {cause}"));
            // What the dial's error is about, the caller's is about too.
            let late = match error.details().cloned() {
                Some(detail) => late.with_detail(detail),
                None => late,
            };
            late.with_cause(error)
        }
    }
}

/// Marks a connection as being restored for as long as it lives.
struct RepairGuard(Arc<ReconnectingLink>);

impl RepairGuard {
    /// `None` if another task restores it already.
    fn acquire(link: &Arc<ReconnectingLink>) -> Option<Self> {
        (!link.repairing.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(link)))
    }
}

impl Drop for RepairGuard {
    fn drop(&mut self) {
        self.0.repairing.store(false, Ordering::Release);
    }
}

mod watch;

#[cfg(test)]
mod tests;
