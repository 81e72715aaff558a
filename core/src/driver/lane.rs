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

use super::background::look_after;
use super::exchange::Exchange;
use super::host::Host;
use super::io::LinkSettings;
use super::link::Link;
use super::observe::{Event, add_time, count};
use crate::command::Command;
use crate::connection::budget::Budget;
use crate::connection::handshake::{Handshake, Next, Profile};
use crate::connection::outcome::{Failure, Reply};
use crate::connection::queue::{Entry, Rejected};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::sync::lock;
use crate::time::Timestamp;
use crate::transport::DialNotes;
use crate::{BoxFuture, Endpoint};
use futures::FutureExt;
use futures::future::Shared;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// A dial in progress, driven by whoever waits for it.
type Dialling = Shared<BoxFuture<'static, Result<Arc<Link>, Error>>>;

/// See the head of this file.
pub(crate) struct Lane {
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

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Whoever dialled on behalf of a node that has left the map meanwhile got a link that nobody
/// knows: it ends with the lane.
impl Drop for Lane {
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

impl Lane {
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
        host: &Arc<Host>,
        deadline: Timestamp,
    ) -> Result<Arc<Link>, Error> {
        loop {
            match self.step(host) {
                Step::Have(link) => return Ok(link),
                Step::Fail(error) => return Err(error),
                Step::Dial(_) if host.now() >= deadline => {
                    return Err(self.too_late(lock(&self.dial).last.clone()));
                }
                Step::Dial(dialling) => match host.by(deadline, dialling).await {
                    Some(result) => return result,
                    None => return Err(self.too_late(lock(&self.dial).last.clone())),
                },
                Step::Pause(until, last) => {
                    if until >= deadline {
                        host.sleep_until(deadline).await;
                        return Err(self.too_late(last));
                    }
                    host.sleep_until(until).await;
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
    pub(crate) async fn tend(self: &Arc<Self>, host: &Arc<Host>, deadline: Timestamp) {
        let Some(tending) = Tending::begin(self) else { return };
        let until = host.now().after(host.config().connect_timeout);
        let (lane, its_host) = (Arc::clone(self), Arc::clone(host));
        let task = async move {
            let _ = lane.connect(&its_host, until).await;
            drop(tending);
        };
        if host.transport().spawn(Box::pin(task)) {
            return;
        }
        let Some(_tending) = Tending::begin(self) else { return };
        let is_due = lock(&self.dial).not_before <= host.now();
        if is_due {
            let _ = self.connect(host, until.min(deadline)).await;
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
    pub(crate) fn is_paused(&self, now: Timestamp) -> bool {
        if self.live().is_some() {
            return false;
        }
        let dial = lock(&self.dial);
        dial.running.is_none() && dial.not_before > now
    }

    /// The next dial need not wait: there is reason to hope.
    pub(crate) fn hurry(&self, now: Timestamp) {
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

    fn step(self: &Arc<Self>, host: &Arc<Host>) -> Step {
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
            if link.has_answered() && !link.fell_silent() {
                dial.failures = 0;
            } else {
                dial.failures = dial.failures.saturating_add(1);
                dial.not_before =
                    dial.not_before.max(host.now().after(host.backoff(dial.failures)));
            }
        }
        if let Some(running) = &dial.running {
            return Step::Dial(running.clone());
        }
        if host.now() < dial.not_before {
            return Step::Pause(dial.not_before, dial.last.clone());
        }
        let (lane, host) = (Arc::downgrade(self), Arc::clone(host));
        let (endpoint, profile) = (self.endpoint.clone(), self.profile);
        // A server that failed or fell silent takes connections long before it answers again: it
        // gets no command before it has.
        let proven = dial.failures == 0;
        let settings = host.link_settings(&self.budget);
        let attempt: BoxFuture<'static, _> = Box::pin(async move {
            let result = open(&endpoint, profile, &host, settings, proven).await;
            match lane.upgrade() {
                Some(lane) => lane.handle_dialled(result, &host),
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
        host: &Host,
    ) -> Result<Arc<Link>, Error> {
        let mut dial = lock(&self.dial);
        dial.running = None;
        match &result {
            Ok(link) if dial.closed => link.close(),
            Ok(link) => {
                dial.not_before = host.now().after(host.dial_spacing());
                if dial.last.take().is_some() {
                    host.observer().tell(|| Event::NodeBack { endpoint: self.endpoint.clone() });
                }
                *lock(&self.link) = Some(Arc::clone(link));
            }
            Err(error) => {
                count(&host.observer().dials_failed);
                let lost =
                    || Event::NodeLost { endpoint: self.endpoint.clone(), error: error.clone() };
                if dial.last.is_none() {
                    host.observer().tell(lost);
                }
                dial.failures = dial.failures.saturating_add(1);
                dial.not_before = host.now().after(host.backoff(dial.failures));
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
struct Tending(Arc<Lane>);

impl Tending {
    /// `None` if somebody does already.
    fn begin(lane: &Arc<Lane>) -> Option<Self> {
        (!lane.tended.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(lane)))
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        self.0.tended.store(false, Ordering::Release);
    }
}

/// What a call fails with once its client was closed.
pub(crate) fn closed(endpoint: &Endpoint) -> Error {
    Error::new(ErrorKind::Closed, Delivery::NotSent, "the client is closed").with_endpoint(endpoint)
}

/// Dials and shakes hands, within the connect time-out. `proven`: a greeting that cannot fail need
/// not be answered before the link carries commands.
pub(crate) async fn open(
    endpoint: &Endpoint,
    profile: Profile,
    host: &Arc<Host>,
    settings: LinkSettings,
    proven: bool,
) -> Result<Arc<Link>, Error> {
    let timeout = host.config().connect_timeout;
    let began = host.now();
    let deadline = began.after(timeout);
    count(&host.observer().dials);
    let refused = |message: String| {
        Error::new(ErrorKind::Connect, Delivery::NotSent, message).with_endpoint(endpoint)
    };
    let notes = DialNotes::default();
    let stream = match host.by(deadline, host.transport().connect_noting(endpoint, &notes)).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => {
            return Err(refused(format!("cannot connect: {error}")).with_cause(error));
        }
        None => return Err(refused(format!("no connection within {timeout:?}"))),
    };
    let took = host.now().since(began);
    let name_took = notes.name_time();
    add_time(&host.observer().dial_time, took);
    add_time(&host.observer().name_time, name_took.unwrap_or_default());
    host.observer().tell(|| Event::Connected { endpoint: endpoint.clone(), took, name_took });
    let link = Link::start(
        endpoint.clone(),
        stream,
        Arc::clone(host.transport()),
        Arc::clone(host.alarm()),
        settings,
    );
    look_after(&link, host.transport().as_ref());
    let mut handshake = Handshake::new(host.config(), profile);
    if proven && handshake.is_harmless() {
        let commands = handshake.flight();
        let (len, replies) = size_of(&commands);
        let mut greeting = Vec::with_capacity(len);
        commands.iter().for_each(|command| command.write_to(&mut greeting));
        link.greet(greeting, replies);
        return Ok(link);
    }
    let unready = Unready(Some(link));
    if let Some(link) = &unready.0 {
        shake_hands(link, handshake, deadline).await?;
    }
    Ok(unready.ready())
}

/// A link whose handshake is not whole. Dropped before it is, it closes: the dial may be dropped
/// half-way, and the link's background would keep it for ever.
struct Unready(Option<Arc<Link>>);

impl Unready {
    fn ready(mut self) -> Arc<Link> {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for Unready {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.close();
        }
    }
}

/// Bytes and replies of a flight.
fn size_of(commands: &[Command]) -> (usize, u32) {
    let replies = u32::try_from(commands.len()).expect("a handshake has a few commands");
    (commands.iter().map(Command::encoded_len).sum(), replies)
}

async fn shake_hands(
    link: &Arc<Link>,
    mut handshake: Handshake,
    deadline: Timestamp,
) -> Result<(), Error> {
    loop {
        let commands = handshake.flight();
        if commands.is_empty() {
            return Ok(());
        }
        let (len, replies) = size_of(&commands);
        let entry = Entry { len, replies, deadline };
        let mut exchange = None;
        let outcome = poll_fn(|cx| {
            if let Some(exchange) = &mut exchange {
                return Exchange::poll(exchange, cx).map(Ok);
            }
            let write = |out: &mut Vec<u8>| commands.iter().for_each(|c| c.write_to(out));
            match Exchange::begin(Arc::clone(link), entry.into(), write, cx) {
                Ok(begun) => exchange.insert(begun).poll(cx).map(Ok),
                Err(rejected) => Poll::Ready(Err(rejected)),
            }
        })
        .await;
        let (replies, failure) = match outcome {
            Ok(Ok(reply)) => (Reply::into_all(reply), None),
            Ok(Err(failed)) => (failed.replies, Some(failed.failure)),
            // A server may hang up before it has heard a word.
            Err(Rejected::Closed(lost)) => (Vec::new(), Some(Failure::Lost(lost))),
            Err(Rejected::Full | Rejected::Large) => {
                unreachable!("an entry has room when it is alone, and a handshake is")
            }
        };
        match handshake.handle_replies(&replies) {
            Err(refusal) => return Err(refused(link.endpoint(), &refusal)),
            Ok(Next::Again) if failure.is_none() => {}
            Ok(_) => match failure {
                None if replies.is_empty() => return Err(unanswered(link.endpoint(), None)),
                None => return Ok(()),
                failure => return Err(unanswered(link.endpoint(), failure.as_ref())),
            },
        }
    }
}

/// The server said no. Credentials and the like will not get better by dialling again at once; a
/// server that is full or loading will.
fn refused(endpoint: &Endpoint, refusal: &crate::connection::handshake::Refusal) -> Error {
    let passing = refusal.error.as_ref().is_some_and(|error| {
        matches!(error.code(), "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN")
            || error.message().contains("max number of clients")
    });
    // Sentinels named a primary that is none: they will name another.
    let demoted = refusal.step == "ROLE" && refusal.error.is_none();
    if demoted {
        let message = "found, but it is not a primary by its own word";
        let error = Error::new(ErrorKind::Connect, Delivery::NotSent, message);
        return error.with_endpoint(endpoint).with_detail(ErrorDetail::NotPrimary);
    }
    let kind = if passing { ErrorKind::Connect } else { ErrorKind::Handshake };
    let message = format!("{} was refused", refusal.step);
    let error = Error::new(kind, Delivery::NotSent, message).with_endpoint(endpoint);
    match &refusal.error {
        Some(server) => error.with_server_error(server.clone()),
        None => error,
    }
}

/// The server said nothing, or nothing that makes sense.
fn unanswered(endpoint: &Endpoint, failure: Option<&Failure>) -> Error {
    use crate::connection::outcome::Lost;
    match failure {
        Some(Failure::Lost(lost)) => {
            let kind = match **lost {
                Lost::Protocol(_) => ErrorKind::Protocol,
                Lost::ByUs => ErrorKind::Closed,
                _ => ErrorKind::Connect,
            };
            Error::new(kind, Delivery::NotSent, format!("no handshake: {lost}"))
                .with_endpoint(endpoint)
                .with_shared_cause(Arc::clone(lost) as Arc<dyn std::error::Error + Send + Sync>)
        }
        Some(Failure::TimedOut) | None => {
            Error::new(ErrorKind::Connect, Delivery::NotSent, "no answer to the handshake in time")
                .with_endpoint(endpoint)
        }
    }
}
