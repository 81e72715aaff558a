//! A single command as a future, without a heap allocation on the straight path.
//!
//! The straight path is all here: find the node in the current routes, encode into its live link,
//! wait for the frame, decode it. A command that cannot go straight, or whose first attempt failed,
//! continues as a boxed future on the slow path (`driver/dispatch/entry.rs`).
//!
//! Invariants: nothing is sent before the first poll; how a command is sent is decided once, here.
//! Limit: a call has at most 256 bytes, so that it is moved in one piece.

use super::client::Client;
use crate::command::Command;
use crate::connection::budget::BudgetWait;
use crate::connection::outcome::{Outcome, Replies};
use crate::connection::queue::{Admission, Deadline, Entry, NewEntry, Rejected};
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::attempt::payload::expected_of;
use crate::driver::dispatch::entry;
use crate::driver::link::link::Link;
use crate::driver::link::pending_reply::PendingReply;
use crate::driver::link::submit::{admit, rejection_error, sole_reply};
use crate::driver::node::in_flight_guard::InFlightGuard;
use crate::driver::replica::read::ResumeFrom;
use crate::error::{Error, ErrorKind};
use crate::resp::FromReply;
use crate::resp::{FrameKind, frame_kind, from_frame};
use crate::routing::plan::{Plan, plan};
use crate::routing::retry::AttemptFailure;
use crate::{BoxFuture, Timestamp};
use bytes::Bytes;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A command that runs when awaited.
///
/// Nothing is sent before the first poll. Dropped before its reply came, it may or may not have run
/// on the server; its reply is discarded and no other call gets it.
#[must_use = "a command is sent when it is awaited"]
pub struct Call<'c, T> {
    /// Everything but the type of the reply.
    call: FrameCall<'c>,
    /// The type that the reply is decoded into.
    decoded: PhantomData<fn() -> T>,
}

/// A call whose reply is not decoded yet.
struct FrameCall<'c> {
    /// The client, or the view of it, that runs the command.
    client: &'c Client,
    /// The command.
    command: Command,
    /// How far the call is.
    state: State,
}

// It is moved to where it is awaited: up to this size in one piece, beyond it in a loop.
const _: () = assert!(size_of::<Call<'static, ()>>() <= 256, "a call is moved in one piece");

/// ```text
/// Start ──► InFlight ──► Finished
///   │          │            ▲
///   └──────────┴► SlowPath ─┘
/// ```
enum State {
    /// Not sent; or waiting for room in the budget, until this deadline. Once it is enqueued, the
    /// connection keeps the deadline.
    Start(Option<(BudgetWait, Timestamp)>),
    /// Enqueued on a live link.
    InFlight(PendingReply, InFlightGuard),
    /// Everything else: dialling, redirects, retries, several nodes.
    SlowPath(BoxFuture<'static, Result<Bytes, Error>>),
    /// The result was returned.
    Finished,
}

impl Client {
    /// Runs any command and decodes its reply into `T`.
    ///
    /// In a cluster a command goes to the owner of its keys, in parts where it can be split, and
    /// without keys to the nodes that it is for, whose replies become one:
    ///
    /// - all nodes: CONFIG SET, SCRIPT LOAD, ACL SETUSER, SLOWLOG GET, PUBSUB CHANNELS and NUMSUB;
    /// - all primaries: DBSIZE, KEYS, FLUSHALL, SCRIPT EXISTS, FUNCTION LOAD, RANDOMKEY;
    /// - the owner of a slot that it names by number: CLUSTER COUNTKEYSINSLOT, GETKEYSINSLOT,
    ///   FLUSHSLOT, MIGRATESLOTS;
    /// - any one primary: all others. Those in which a node speaks about itself (INFO, MEMORY
    ///   STATS, LATENCY LATEST, CLIENT LIST, CLIENT KILL) answer for one node by turns: name it
    ///   with [`Client::send_to`], or ask each with [`Client::send_each`].
    ///
    /// What ends or shows what keeps a server or its connections busy (SCRIPT KILL, FUNCTION KILL,
    /// FUNCTION STATS, CLIENT KILL, CLIENT UNBLOCK, CLIENT UNPAUSE, FAILOVER, SHUTDOWN) goes over a
    /// connection that nothing else occupies, beyond `exclusive_connections_max` if need be. A
    /// server that runs a script takes it once `busy-reply-threshold` (5 seconds by default) has
    /// passed. Of SHUTDOWN, the end of the connection is the only answer: an error with
    /// [`Delivery::Unknown`](crate::Delivery::Unknown).
    ///
    /// # Errors
    /// Every kind; see [`Error`]. A command that cannot have run is tried again until the deadline.
    /// `Config` for one about its own connection, which callers share and which is replaced when it
    /// is lost; the error names what to use instead:
    ///
    /// - what would change it for later commands: SELECT, AUTH, MULTI, WATCH, SUBSCRIBE, CLIENT
    ///   REPLY, RESET and the like;
    /// - what speaks about it, or changes how the server treats it: WAIT and WAITAOF, CLIENT
    ///   TRACKING, CACHING, CAPA, NO-EVICT, NO-TOUCH, SETNAME, SETINFO, IMPORT-SOURCE, and each
    ///   subcommand of CLIENT that this client does not know.
    ///
    /// CLIENT ID, INFO, GETNAME, GETREDIR and TRACKINGINFO are sent; they answer about the
    /// connection that carried them, which is one of several.
    pub fn send<T: FromReply>(&self, command: Command) -> Call<'_, T> {
        Call::new(self, command)
    }
}

impl<T> std::fmt::Debug for Call<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("command", &self.call.command.name()).finish_non_exhaustive()
    }
}

impl<'c, T> Call<'c, T> {
    #[inline]
    fn new(client: &'c Client, command: Command) -> Self {
        Self {
            call: FrameCall { client, command, state: State::Start(None) },
            decoded: PhantomData,
        }
    }
}

impl<'c, T> Call<'c, T> {
    /// The client and the command, of which nothing was sent.
    pub(super) fn into_unsent(self) -> (&'c Client, Command) {
        let is_unsent = matches!(self.call.state, State::Start(_));
        assert!(is_unsent, "a call that was polled before cannot be sent otherwise");
        (self.call.client, self.call.command)
    }
}

impl FrameCall<'_> {
    /// Enqueues on a live link, or takes the slow path.
    fn start(
        &mut self,
        waiting: Option<(BudgetWait, Timestamp)>,
        cx: &Context<'_>,
    ) -> Result<State, Error> {
        let goes_straight = self.command.goes_straight();
        let due = match waiting {
            Some((_, deadline)) => Deadline::At(deadline),
            None if goes_straight => Deadline::After(self.client.command_timeout()),
            None => self.client.due_for(&self.command),
        };
        // A command that waits for room was planned before.
        if !goes_straight
            && waiting.is_none()
            && let Some(plan) = self.plan_wide()?
        {
            return Ok(self.slow_path(plan, due, ResumeFrom::Start));
        }
        if self.client.timeout == Some(Duration::ZERO) {
            return Ok(self.slow_path(Plan::Whole, due, ResumeFrom::Start));
        }
        let guard = match self.claim_node() {
            Ok(guard) => guard,
            Err(from) => return Ok(self.slow_path(Plan::Whole, due, from)),
        };
        let Some(link) = guard.node().ready() else {
            return Ok(self.slow_path(
                Plan::Whole,
                due,
                ResumeFrom::Node(Arc::clone(guard.node())),
            ));
        };
        let (waiting, deadline) = waiting.unzip();
        let admission = if waiting.is_some() { Admission::Waited } else { Admission::New };
        let len = self.command.encoded_len();
        let (expected, can_move) = (expected_of(&self.command), guard.is_by_policy());
        let entry = NewEntry { len, replies: 1, deadline: due, admission, can_move, expected };
        let write = |out: &mut Vec<u8>| self.command.write_to(out);
        let env = &self.client.shared.env;
        let room = admit(env, &link, len, deadline);
        match room.and_then(|()| link.enqueue(entry, write, cx)) {
            Ok(ticket) => Ok(State::InFlight(PendingReply::new(link, ticket), guard)),
            Err(rejected) => self.wait_or_leave(&link, &guard, rejected, (entry, waiting), cx),
        }
    }

    /// The node that the command goes to: the one that the read policy selects, if it governs the
    /// command, or the owner of its key.
    #[inline]
    fn claim_node(&self) -> Result<InFlightGuard, ResumeFrom> {
        let shared = &self.client.shared;
        if let Some(guard) = self.client.node_by_policy(&self.command) {
            // A refresh that is due is driven on the slow path.
            return if shared.topology.is_poll_due() { Err(ResumeFrom::Start) } else { guard };
        }
        if let Some(node) = shared.sole_node() {
            return Ok(InFlightGuard::uncounted(node));
        }
        if shared.topology.is_poll_due() {
            return Err(ResumeFrom::Start);
        }
        shared
            .topology
            .routes()
            .node_for(&self.command)
            .map(InFlightGuard::uncounted)
            .ok_or(ResumeFrom::Start)
    }

    /// The link did not take the command: waits for room, takes the slow path, or fails.
    #[cold]
    fn wait_or_leave(
        &self,
        link: &Link,
        guard: &InFlightGuard,
        rejected: Rejected,
        (entry, waiting): (NewEntry<'_>, Option<BudgetWait>),
        cx: &Context<'_>,
    ) -> Result<State, Error> {
        let env = &self.client.shared.env;
        let deadline = entry.deadline.from(env.now());
        match rejection_error(env, link, rejected, deadline) {
            None => {
                let entry = Entry { len: entry.len, replies: 1, deadline };
                Ok(State::Start(Some((link.wait_for_budget(waiting, entry, cx), deadline))))
            }
            Some(error) if error.kind() == ErrorKind::Connect => {
                let from = ResumeFrom::Node(Arc::clone(guard.node()));
                Ok(self.slow_path(Plan::Whole, Deadline::At(deadline), from))
            }
            Some(error) => Err(error.with_command(&self.command.name())),
        }
    }

    /// How a command is sent whose flags do not say that it goes straight; `None` if it goes to one
    /// node on a shared connection all the same.
    ///
    /// # Errors
    /// When it cannot be sent.
    #[inline(never)]
    fn plan_wide(&self) -> Result<Option<Plan>, Error> {
        let plan = plan(&self.command, self.client.shared.env.has_slots())?;
        let needs_own_link = self.command.is_blocking() || self.command.is_urgent();
        let is_straight = matches!(plan, Plan::Whole) && !needs_own_link;
        Ok(if is_straight { None } else { Some(plan) })
    }

    /// Everything that takes more than one attempt: dials, redirects, retries, refreshes.
    #[cold]
    fn slow_path(&self, plan: Plan, due: Deadline, from: ResumeFrom) -> State {
        let deadline = due.from(self.client.shared.env.now());
        let options = self.client.call_options_for(&self.command, deadline);
        let topology = Arc::clone(&self.client.shared.topology);
        let reads = self.client.non_primary_read_settings();
        State::SlowPath(entry::run(topology, self.command.clone(), plan, reads, options, from))
    }

    /// The server is silent: other nodes are asked about it while this call waits. On hosts with a
    /// background this happens there.
    #[cold]
    fn wait_while_refreshing(&mut self) {
        let State::InFlight(mut pending, guard) =
            std::mem::replace(&mut self.state, State::Finished)
        else {
            return;
        };
        let shared = &self.client.shared;
        let (topology, env) = (Arc::clone(&shared.topology), Arc::clone(&shared.env));
        let reads = self.client.non_primary_read_settings();
        let (command, options) = (self.command.clone(), self.client.call_options_from_now());
        self.state = State::SlowPath(Box::pin(async move {
            let waits = poll_fn(|cx| pending.poll_with_deadline(cx));
            let (outcome, due) = topology.while_refreshing(waits).await;
            match frame_or_failure(outcome) {
                Ok(frame) => Ok(frame),
                Err(failure) => {
                    let options = CallOptions { deadline: due.from(env.now()), ..options };
                    let from = ResumeFrom::Attempt(failure, Arc::clone(guard.node()));
                    drop(guard);
                    entry::run(topology, command, Plan::Whole, reads, options, from).await
                }
            }
        }));
    }

    /// The frame, which is no error. Not generic, so that there is one of it in a program.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        loop {
            match &mut self.state {
                State::Start(waiting) => {
                    let waiting = waiting.take();
                    match self.start(waiting, cx) {
                        Ok(state @ (State::Start(_) | State::InFlight(..))) => {
                            // The old state is `Start(None)`, which has nothing to drop; the
                            // compiler cannot know that.
                            std::mem::forget(std::mem::replace(&mut self.state, state));
                            return Poll::Pending;
                        }
                        Ok(state) => self.state = state,
                        Err(error) => {
                            self.state = State::Finished;
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                State::InFlight(pending, guard) => {
                    let Poll::Ready((outcome, due)) = pending.poll_with_deadline(cx) else {
                        if !pending.is_link_closed() || self.client.shared.env.has_background() {
                            return Poll::Pending;
                        }
                        self.wait_while_refreshing();
                        continue;
                    };
                    match frame_or_failure(outcome) {
                        Ok(frame) => {
                            guard.succeed(|| self.client.shared.env.now());
                            self.state = State::Finished;
                            return Poll::Ready(Ok(frame));
                        }
                        Err(failure) => {
                            let node = Arc::clone(guard.node());
                            let from = ResumeFrom::Attempt(failure, node);
                            self.state = self.slow_path(Plan::Whole, due, from);
                        }
                    }
                }
                State::SlowPath(future) => {
                    let result = std::task::ready!(future.as_mut().poll(cx));
                    self.state = State::Finished;
                    return Poll::Ready(result);
                }
                State::Finished => panic!("a call is not polled again after its result"),
            }
        }
    }
}

/// What the straight path ended with: a frame to decode, or a failure.
#[inline(always)]
fn frame_or_failure(outcome: Outcome) -> Result<Bytes, AttemptFailure> {
    match outcome {
        Ok(Replies::One(frame)) if frame_kind(&frame) != FrameKind::Error => Ok(frame),
        outcome => failure_of(outcome),
    }
}

#[cold]
fn failure_of(outcome: Outcome) -> Result<Bytes, AttemptFailure> {
    sole_reply(outcome.map_err(AttemptFailure::NoReply)?)
}

impl<T: FromReply> Future for Call<'_, T> {
    type Output = Result<T, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = &mut self.call;
        call.poll_frame(cx).map(|result| result.and_then(|frame| decode(&frame, &call.command)))
    }
}

/// The reply in the type asked for.
fn decode<T: FromReply>(frame: &Bytes, command: &Command) -> Result<T, Error> {
    from_frame(frame).map_err(|error| Error::undecodable(error).with_command(&command.name()))
}
