//! One lane of a node: at most one live link, made when it is needed and made again when it was
//! lost.
//!
//! ```text
//! no link ──somebody needs one──► dialling (shared by all who wait) ──► live ──lost──► no link
//!    ▲                                 │
//!    └──────── pause, full jitter ◄────┘ failed
//! ```
//!
//! Invariants: one dial at a time; after a failure the next begins only when its pause is over,
//! however many callers wait; a dial belongs to nobody: whoever waits drives it, and when all have
//! gone it ends. A link is published only after its handshake is whole, unless nothing in it can
//! fail: then the first command travels with it. Limits: `connect_timeout` per dial, `backoff_base`
//! to `backoff_cap` between dials. Called by `driver/node.rs`.

use crate::connection::budget::Budget;
use crate::connection::handshake::Profile;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::events::Event;
use crate::driver::environment::telemetry::count;
use crate::driver::link::dial::{closed, open};
use crate::driver::link::link::Link;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::BACKGROUND;
use crate::lock::lock;
use crate::time::Timestamp;
use crate::{BoxFuture, Endpoint};
use futures::FutureExt;
use futures::future::Shared;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A dial in progress, driven by whoever waits for it.
type Dialling = Shared<BoxFuture<'static, Result<Arc<Link>, Error>>>;

/// See the head of this file.
pub(crate) struct ReconnectingLink {
    /// Where it leads.
    endpoint: Endpoint,
    /// To what kind of server.
    profile: Profile,
    /// The node's, shared with its other lanes.
    budget: Arc<Budget>,
    /// The live link, which may be lost already. Locked for as long as it takes to count one more
    /// reference: a third of what a swap without a lock costs.
    link: Mutex<Option<Arc<Link>>>,
    /// Somebody sees to the next link while other lanes carry the commands.
    tended: AtomicBool,
    /// How the next link comes.
    dial: Mutex<Dial>,
}

/// What stands between now and the next link.
struct Dial {
    /// The attempt that is under way.
    running: Option<Dialling>,
    /// Failures since the last live link.
    failures: u32,
    /// No attempt before this.
    not_before: Timestamp,
    /// What the last failure was.
    last: Option<Error>,
    /// No link is wanted any more.
    closed: bool,
}

impl fmt::Debug for ReconnectingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingLink").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Whoever dialled on behalf of a node that has left the map meanwhile got a link that nobody
/// knows: it ends with the lane.
impl Drop for ReconnectingLink {
    fn drop(&mut self) {
        self.redial();
    }
}

/// What a caller who needs a link has to do.
enum Step {
    /// Take it.
    Have(Arc<Link>),
    /// Wait for the attempt.
    Dial(Dialling),
    /// Wait until an attempt may begin; the last one failed so.
    Pause(Timestamp, Option<Error>),
    /// There will be none.
    Fail(Error),
}

impl ReconnectingLink {
    pub(crate) fn new(endpoint: Endpoint, profile: Profile, budget: Arc<Budget>) -> Self {
        let dial = Dial {
            running: None,
            failures: 0,
            not_before: Timestamp::ZERO,
            last: None,
            closed: false,
        };
        let (link, tended) = (Mutex::new(None), AtomicBool::new(false));
        Self { endpoint, profile, budget, link, tended, dial: Mutex::new(dial) }
    }

    /// The link, if there is one; it may be lost already, which enqueueing tells.
    #[inline]
    pub(crate) fn ready(&self) -> Option<Arc<Link>> {
        lock(&self.link).clone()
    }

    /// A live link, dialled if need be, by `deadline` at the latest.
    ///
    /// # Errors
    /// What the last dial failed with, if it makes no sense to dial again at once or the deadline
    /// passed.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        env: &Arc<Environment>,
        deadline: Timestamp,
    ) -> Result<Arc<Link>, Error> {
        loop {
            match self.step(env) {
                Step::Have(link) => return Ok(link),
                Step::Fail(error) => return Err(error),
                Step::Dial(_) if env.now() >= deadline => {
                    return Err(self.too_late(lock(&self.dial).last.clone()));
                }
                Step::Dial(dialling) => match env.with_deadline(deadline, dialling).await {
                    Some(result) => return result,
                    None => return Err(self.too_late(lock(&self.dial).last.clone())),
                },
                Step::Pause(until, last) => {
                    if until >= deadline {
                        env.sleep_until(deadline).await;
                        return Err(self.too_late(last));
                    }
                    env.sleep_until(until).await;
                }
            }
        }
    }

    /// The link, unless it takes no more entries.
    pub(crate) fn live(&self) -> Option<Arc<Link>> {
        self.ready().filter(|link| !link.is_closed())
    }

    /// Whether there is no live link and nobody sees to one.
    pub(crate) fn is_neglected(&self) -> bool {
        !self.tended.load(Ordering::Acquire) && self.live().is_none()
    }

    /// Sees to a link while other lanes carry the commands: in the background, or else at the cost
    /// of the one caller who comes first, if a dial may begin now.
    pub(crate) async fn tend(self: &Arc<Self>, env: &Arc<Environment>, deadline: Timestamp) {
        let Some(tending) = Tending::begin(self) else { return };
        let until = env.now().after(env.config().connect_timeout);
        let (lane, its_env) = (Arc::clone(self), Arc::clone(env));
        let task = async move {
            let _ = lane.connect(&its_env, until).await;
            drop(tending);
        };
        if BACKGROUND && env.transport().spawn(Box::pin(task)) {
            return;
        }
        let Some(_tending) = Tending::begin(self) else { return };
        let is_due = lock(&self.dial).not_before <= env.now();
        if is_due {
            let _ = self.connect(env, until.min(deadline)).await;
        }
    }

    /// Whether there is no live link, and the last dial failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.live().is_none() && lock(&self.dial).last.is_some()
    }

    /// Gives the link up: it ends when what is in flight has, and the next caller dials anew.
    pub(crate) fn redial(&self) {
        let link = lock(&self.link).take();
        if let Some(link) = link {
            link.retire();
        }
    }

    /// Whether there is no live link, and none will be dialled for before a pause is over.
    pub(crate) fn is_backing_off(&self, now: Timestamp) -> bool {
        if self.live().is_some() {
            return false;
        }
        let dial = lock(&self.dial);
        dial.running.is_none() && dial.not_before > now
    }

    /// The next dial need not wait: there is reason to hope.
    pub(crate) fn end_backoff(&self, now: Timestamp) {
        let mut dial = lock(&self.dial);
        dial.not_before = dial.not_before.min(now);
        dial.failures = dial.failures.min(1);
    }

    /// Ends the lane: its link is closed and none will follow.
    pub(crate) fn close(&self) {
        let running = {
            let mut dial = lock(&self.dial);
            dial.closed = true;
            dial.running.take()
        };
        drop(running);
        let link = lock(&self.link).take();
        if let Some(link) = link {
            link.close();
        }
    }

    fn step(self: &Arc<Self>, env: &Arc<Environment>) -> Step {
        let mut dial = lock(&self.dial);
        if dial.closed {
            return Step::Fail(closed(&self.endpoint));
        }
        if let Some(link) = self.ready() {
            if !link.is_closed() {
                return Step::Have(link);
            }
            // A server that takes connections and answers nothing is as bad as one that takes none.
            *lock(&self.link) = None;
            if link.has_answered() && !link.was_unresponsive() {
                dial.failures = 0;
            } else {
                dial.failures = dial.failures.saturating_add(1);
                dial.not_before = dial.not_before.max(env.now().after(env.backoff(dial.failures)));
            }
        }
        if let Some(running) = &dial.running {
            return Step::Dial(running.clone());
        }
        if env.now() < dial.not_before {
            return Step::Pause(dial.not_before, dial.last.clone());
        }
        let (lane, env) = (Arc::downgrade(self), Arc::clone(env));
        let (endpoint, profile) = (self.endpoint.clone(), self.profile);
        // A server that failed or fell silent takes connections long before it answers again: it
        // gets no command before it has.
        let proven = dial.failures == 0;
        let settings = env.link_settings(&self.budget);
        let attempt: BoxFuture<'static, _> = Box::pin(async move {
            let result = open(&endpoint, profile, &env, settings, proven).await;
            match lane.upgrade() {
                Some(lane) => lane.handle_dialled(result, &env),
                // Nobody would ever end it: who waits asks the map again.
                None => result.inspect(|link| link.retire()),
            }
        });
        let attempt = attempt.shared();
        dial.running = Some(attempt.clone());
        Step::Dial(attempt)
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
                dial.not_before = env.now().after(env.dial_spacing());
                if dial.last.take().is_some() {
                    env.telemetry().emit(|| Event::NodeBack { endpoint: self.endpoint.clone() });
                }
                *lock(&self.link) = Some(Arc::clone(link));
            }
            Err(error) => {
                count(&env.telemetry().dials_failed);
                let lost =
                    || Event::NodeLost { endpoint: self.endpoint.clone(), error: error.clone() };
                if dial.last.is_none() {
                    env.telemetry().emit(lost);
                }
                dial.failures = dial.failures.saturating_add(1);
                dial.not_before = env.now().after(env.backoff(dial.failures));
                dial.last = Some(error.clone());
            }
        }
        result
    }

    fn too_late(&self, cause: Option<Error>) -> Error {
        let error = Error::new(ErrorKind::Timeout, Delivery::NotSent, "no connection in time");
        let error = error.with_endpoint(&self.endpoint);
        match cause {
            Some(cause) => error.with_cause(cause),
            None => error,
        }
    }
}

/// Sees to a lane as long as it lives.
struct Tending(Arc<ReconnectingLink>);

impl Tending {
    /// `None` if somebody does already.
    fn begin(lane: &Arc<ReconnectingLink>) -> Option<Self> {
        (!lane.tended.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(lane)))
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        self.0.tended.store(false, Ordering::Release);
    }
}
