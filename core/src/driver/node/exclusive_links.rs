//! The connections of a node that one caller has to itself: for blocking commands, transactions and
//! waits for replicas.
//!
//! Invariants: a connection that still owes a reply is never used again. At most
//! `exclusive_connections_max` are in use; who comes then waits, or fails, as `when_full` says.
//! Commands that end what blocks the others (SCRIPT KILL, CLIENT UNBLOCK) get one beyond that.
//! One that nobody used for `IDLE_MAX` is closed: by a task in the background or, where there is
//! none, when the next one is returned.

use crate::config::WhenFull;
use crate::driver::environment::connection_limit::DialWait;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::weak_list::WeakList;
use crate::driver::link::dial::open;
use crate::driver::link::dial_target::DialTarget;
use crate::driver::link::link::Link;
use crate::driver::link::submit::closed;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::lock::lock;
use crate::time::Timestamp;
use event_listener::Event;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a connection is kept that nobody uses.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// See the head of this file.
#[derive(Debug)]
pub(super) struct ExclusiveLinks {
    /// Which server they lead to.
    target: Arc<DialTarget>,
    /// Which there are.
    state: Mutex<State>,
    /// Notified when one is not in use any more.
    freed: Event,
}

/// The connections, in use and idle.
#[derive(Debug, Default)]
struct State {
    /// Not in use, each since when. The one that was used last is the last one.
    idle: Vec<(Arc<Link>, Timestamp)>,
    /// How many are in use.
    busy: usize,
    /// All that are open, idle or in use.
    all: WeakList<Link>,
    /// No connection is handed out any more.
    closed: bool,
    /// A connection is closed after its use, not kept.
    retired: bool,
    /// A task closes those that nobody uses.
    is_watched: bool,
}

impl ExclusiveLinks {
    pub(super) fn new(target: &Arc<DialTarget>) -> Arc<Self> {
        let (state, freed) = (Mutex::default(), Event::new());
        Arc::new(Self { target: Arc::clone(target), state, freed })
    }

    /// How many are in use, and how many are idle.
    pub(super) fn count(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.busy, state.idle.len())
    }

    /// What a caller fails with that found all of them in use.
    pub(super) fn full_error(&self, env: &Environment, kind: ErrorKind) -> Error {
        let max = u64::from(env.config().exclusive_connections_max);
        let message = format!(
            "all {max} exclusive connections to this node are in use: raise \
             exclusive_connections_max, or run fewer blocking commands and transactions at once"
        );
        let limit = ErrorDetail::Limit { name: "exclusive_connections_max", max };
        let error = Error::new(kind, Delivery::NotSent, message);
        error.with_endpoint(self.target.endpoint()).with_detail(limit)
    }

    /// Whether all are in use.
    pub(super) fn is_full(&self, env: &Environment) -> bool {
        lock(&self.state).busy >= env.config().exclusive_connections_max as usize
    }

    /// A connection for one caller; waits for one if `when_full` says so. `urgent`: for a command
    /// that frees others. Such a connection is not kept if it was made for it, since its handshake
    /// may be incomplete. `proven`: the last dial to the server did not fail.
    ///
    /// # Errors
    /// `Limit` when all are in use; `Closed`; the dial's error.
    pub(super) async fn take(
        self: &Arc<Self>,
        env: &Arc<Environment>,
        urgent: bool,
        proven: bool,
        wait: &DialWait,
    ) -> Result<ExclusiveLink, Error> {
        let idle = loop {
            let freed = self.freed.listen();
            if let Some(idle) = self.enter(env, urgent)? {
                break idle;
            }
            freed.await;
        };
        // `busy` counts this connection from here on. The drop of `ExclusiveLink` takes it off,
        // also when the dial fails or is dropped.
        // On a host without background tasks nobody has noticed that the server closed it.
        let takes_commands = |link: &Arc<Link>| link.set_held(true) && !link.is_closed();
        let link = idle.inspect(|link| link.read_what_has_come()).filter(takes_commands);
        let is_kept = link.is_some() || !urgent;
        let (links, env) = (Arc::clone(self), Arc::clone(env));
        let mut taken = ExclusiveLink { links, env, link, is_kept };
        if taken.link.is_none() {
            let budget = taken.env.node_budget();
            let settings = LinkSettings {
                progress_timeout: None,
                tolerates_busy: urgent,
                is_held: true,
                ..taken.env.link_settings(&budget)
            };
            let link = open(&self.target, &taken.env, settings, proven, wait).await?;
            let mut state = lock(&self.state);
            state.all.push(Arc::downgrade(&link));
            let is_late = state.closed;
            drop(state);
            taken.link = Some(link);
            if is_late {
                return Err(closed(self.target.endpoint()));
            }
        }
        Ok(taken)
    }

    /// Counts one more in use, and takes an idle connection if there is one. `None`: wait.
    fn enter(&self, env: &Environment, urgent: bool) -> Result<Option<Option<Arc<Link>>>, Error> {
        let max = env.config().exclusive_connections_max as usize;
        let mut state = lock(&self.state);
        if state.closed {
            return Err(closed(self.target.endpoint()));
        }
        if state.busy >= max && !urgent {
            drop(state);
            return match env.config().when_full {
                WhenFull::Wait => Ok(None),
                WhenFull::Fail => Err(self.full_error(env, ErrorKind::Limit)),
            };
        }
        state.busy += 1;
        Ok(Some(state.idle.pop().map(|(link, _)| link)))
    }

    /// Keeps a connection for the next caller.
    fn keep(self: &Arc<Self>, env: &Arc<Environment>, link: Arc<Link>) {
        let now = env.now();
        let mut state = lock(&self.state);
        if state.closed || state.retired || env.lacks_room() {
            drop(state);
            link.close();
            return;
        }
        link.set_held(false);
        state.idle.push((link, now));
        if state.is_watched {
            return;
        }
        state.is_watched = true;
        drop(state);
        if !(env.has_background() && self.watch(env)) {
            // No task: the next caller that returns one looks again.
            self.close_unused(now);
            lock(&self.state).is_watched = false;
        }
    }

    /// A task that closes those that nobody uses. False if the host runs none.
    fn watch(self: &Arc<Self>, env: &Arc<Environment>) -> bool {
        let (weak, its_env) = (Arc::downgrade(self), Arc::clone(env));
        let task = async move {
            while let Some(due) = weak.upgrade().and_then(|it| it.close_unused(its_env.now())) {
                if its_env.while_open(its_env.sleep_until(due)).await.is_none() {
                    return;
                }
            }
        };
        env.spawn(Box::pin(task))
    }

    /// Closes those that nobody used for `IDLE_MAX`. Returns when the next one is due; `None`, and
    /// nothing watches them any more, if none is left.
    fn close_unused(&self, now: Timestamp) -> Option<Timestamp> {
        let (unused, due) = {
            let mut state = lock(&self.state);
            let is_due = |(_, since): &(Arc<Link>, Timestamp)| since.after(IDLE_MAX) <= now;
            let count = state.idle.iter().take_while(|one| is_due(one)).count();
            let unused: Vec<_> = state.idle.drain(..count).collect();
            let due = state.idle.first().map(|(_, since)| since.after(IDLE_MAX));
            state.is_watched = due.is_some();
            (unused, due)
        };
        unused.iter().for_each(|(link, _)| link.close());
        due
    }

    /// Closes those of the idle ones.
    pub(super) fn close_idle(&self, which: impl Fn(&Link) -> bool) {
        let closed: Vec<_> = {
            let mut state = lock(&self.state);
            let idle = std::mem::take(&mut state.idle);
            let (closed, kept) = idle.into_iter().partition(|(link, _)| which(link));
            state.idle = kept;
            closed
        };
        closed.iter().for_each(|(link, _)| link.close());
    }

    /// Keeps none any more: each is closed after its use.
    pub(super) fn retire(&self) {
        lock(&self.state).retired = true;
        self.close_idle(|_| true);
    }

    /// Closes all; no other will follow.
    pub(super) fn close(&self) {
        let (idle, mut all) = {
            let mut state = lock(&self.state);
            state.closed = true;
            (std::mem::take(&mut state.idle), std::mem::take(&mut state.all))
        };
        all.all().iter().for_each(|link| link.close());
        drop(idle);
        self.freed.notify(usize::MAX);
    }
}

/// A connection that one caller has to itself. It goes back with [`ExclusiveLink::release`].
/// Dropped instead, it is closed, because the server may be blocked on it without end.
#[derive(Debug)]
pub(crate) struct ExclusiveLink {
    /// Those of its node.
    links: Arc<ExclusiveLinks>,
    /// Of its client.
    env: Arc<Environment>,
    /// The connection; `None` once it was released.
    link: Option<Arc<Link>>,
    /// Whether another caller may have it afterwards.
    is_kept: bool,
}

impl ExclusiveLink {
    pub(crate) fn link(&self) -> &Arc<Link> {
        self.link.as_ref().expect("a link is there from its dial to its release")
    }

    /// Returns the connection for the next caller. No reply may be owed on it.
    pub(crate) fn release(mut self) {
        if let Some(link) = self.link.take_if(|_| self.is_kept) {
            self.links.keep(&self.env, link);
        }
    }
}

impl Drop for ExclusiveLink {
    fn drop(&mut self) {
        lock(&self.links.state).busy -= 1;
        if let Some(link) = self.link.take() {
            link.close();
        }
        // One that was told before and has not looked yet takes another one.
        self.links.freed.notify_additional(1);
    }
}

#[cfg(test)]
mod tests;
