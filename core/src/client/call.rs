//! A command on its way, as a future without a heap allocation.
//!
//! The straight way is all here: route by the current map, encode into the node's live link, wait
//! for the frame, decode it into the type asked for. Whatever does not go straight continues in
//! `driver/spread.rs`, boxed.

use super::client::Client;
use crate::command::Command;
use crate::connection::budget::BudgetWait;
use crate::connection::outcome::{Outcome, Reply};
use crate::connection::queue::{Admission, Deadline, Entry, NewEntry, Rejected};
use crate::driver::dispatch::entry;
use crate::driver::link::link::Link;
use crate::driver::link::pending_reply::PendingReply;
use crate::driver::link::submit::{admit, rejection_error, sole_reply};
use crate::driver::node::in_flight_guard::InFlightGuard;
use crate::driver::replica::read::Begin;
use crate::error::{Error, ErrorKind};
use crate::resp::{FrameKind, frame_kind, from_frame};
use crate::routing::retry::AttemptFailure;
use crate::routing::session::refusal;
use crate::{BoxFuture, Timestamp};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

/// A command that runs when awaited.
///
/// Nothing is sent before the first poll. Dropped before its reply came, it may or may not have run
/// on the server; its reply is discarded and nobody else gets it.
#[must_use = "a command is sent when it is awaited"]
pub struct Call<'c, T> {
    /// The way there and back, which is the same for all types.
    way: Way<'c>,
    /// What the reply becomes.
    target: PhantomData<fn() -> T>,
}

/// A command on its way to a frame.
struct Way<'c> {
    /// Who runs it.
    client: &'c Client,
    /// What runs.
    command: Command,
    /// Where it stands.
    state: State,
}

// It is moved to where it is awaited: up to this size in one piece, beyond it in a loop.
const _: () = assert!(size_of::<Call<'static, ()>>() <= 256, "a call is moved in one piece");

/// ```text
/// Start ──► Straight ──► Finished
///   │          │            ▲
///   └──────────┴──► Around ─┘
/// ```
enum State {
    /// Not sent, or waiting for room in the budget until its deadline. On the straight way the
    /// connection keeps that.
    Start(Option<(BudgetWait, Timestamp)>),
    /// Enqueued on a live link.
    Straight(PendingReply, InFlightGuard),
    /// Dialling, retrying.
    Around(BoxFuture<'static, Result<Bytes, Error>>),
    /// The result was given out.
    Finished,
}

impl Client {
    /// Runs any command and decodes its reply into `T`.
    ///
    /// # Errors
    /// Every kind; see [`Error`]. A command that cannot have run is tried again until the deadline.
    /// `Config` for one that would change the connection, which callers share (SELECT, AUTH, MULTI,
    /// WATCH, SUBSCRIBE, CLIENT REPLY, RESET and their kin); the error names what to use instead.
    pub fn send<T: DeserializeOwned>(&self, command: Command) -> Call<'_, T> {
        Call::new(self, command)
    }
}

impl<T> std::fmt::Debug for Call<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("command", &self.way.command.name()).finish_non_exhaustive()
    }
}

impl<'c, T> Call<'c, T> {
    #[inline]
    fn new(client: &'c Client, command: Command) -> Self {
        Self { way: Way { client, command, state: State::Start(None) }, target: PhantomData }
    }
}

impl Way<'_> {
    /// Enqueues on a live link, or goes around.
    fn start(
        &mut self,
        place: Option<(BudgetWait, Timestamp)>,
        cx: &Context<'_>,
    ) -> Result<State, Error> {
        let goes_straight = self.command.goes_straight();
        let due = match place {
            Some((_, deadline)) => Deadline::At(deadline),
            None if goes_straight => Deadline::After(self.client.command_timeout()),
            None => self.client.due_for(&self.command),
        };
        let straight = goes_straight || self.may_go_straight();
        if !straight || self.client.timeout == Some(Duration::ZERO) {
            return Ok(self.around(due, Begin::Fresh));
        }
        let seat = match self.seat() {
            Ok(seat) => seat,
            Err(begin) => return Ok(self.around(due, begin)),
        };
        let Some(link) = seat.node().ready() else {
            return Ok(self.around(due, Begin::At(Arc::clone(seat.node()))));
        };
        let (place, deadline) = place.unzip();
        let admission = if place.is_some() { Admission::Waited } else { Admission::New };
        let len = self.command.encoded_len();
        let entry = NewEntry { len, replies: 1, deadline: due, admission };
        let write = |out: &mut Vec<u8>| self.command.write_to(out);
        let env = &self.client.shared.env;
        let room = admit(env, &link, len, deadline);
        match room.and_then(|()| link.enqueue(entry, write, cx)) {
            Ok(ticket) => Ok(State::Straight(PendingReply::new(link, ticket), seat)),
            Err(rejected) => self.wait_or_go_around(&link, &seat, rejected, (entry, place), cx),
        }
    }

    /// The node that the command goes to, by the read policy if one governs it.
    #[inline]
    fn seat(&self) -> Result<InFlightGuard, Begin> {
        let shared = &self.client.shared;
        if let Some(seat) = self.client.seat_by_rule(&self.command) {
            // Whoever goes around drives the look that is due.
            return if shared.topology.is_poll_due() { Err(Begin::Fresh) } else { seat };
        }
        if let Some(node) = shared.sole_node() {
            return Ok(InFlightGuard::uncounted(node));
        }
        if shared.topology.is_poll_due() {
            return Err(Begin::Fresh);
        }
        shared
            .topology
            .routes()
            .node_for(&self.command)
            .map(InFlightGuard::uncounted)
            .ok_or(Begin::Fresh)
    }

    /// The link did not take the command: waits for room, goes around, or fails.
    #[cold]
    fn wait_or_go_around(
        &self,
        link: &Link,
        seat: &InFlightGuard,
        rejected: Rejected,
        (entry, place): (NewEntry, Option<BudgetWait>),
        cx: &Context<'_>,
    ) -> Result<State, Error> {
        let env = &self.client.shared.env;
        let deadline = entry.deadline.from(env.now());
        match rejection_error(env, link, rejected, deadline) {
            None => {
                let entry = Entry { len: entry.len, replies: 1, deadline };
                Ok(State::Start(Some((link.wait_for_budget(place, entry, cx), deadline))))
            }
            Some(error) if error.kind() == ErrorKind::Connect => {
                Ok(self.around(Deadline::At(deadline), Begin::At(Arc::clone(seat.node()))))
            }
            Some(error) => Err(error.with_command(&self.command.name())),
        }
    }

    /// Whether a command that had to be looked at goes to one node on a shared connection.
    fn may_go_straight(&self) -> bool {
        let command = &self.command;
        !command.is_blocking()
            && refusal(command).is_none()
            && entry::is_single(&self.client.shared.topology, command)
    }

    fn around(&self, due: Deadline, begin: Begin) -> State {
        let terms = self.client.call_options(due.from(self.client.shared.env.now()));
        let topology = Arc::clone(&self.client.shared.topology);
        let rule = self.client.read_rule();
        State::Around(entry::run(topology, self.command.clone(), rule, terms, begin))
    }

    /// The frame, which is no error. Not generic, so that there is one of it in a program.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        loop {
            match &mut self.state {
                State::Start(place) => {
                    let place = place.take();
                    match self.start(place, cx) {
                        Ok(state @ (State::Start(_) | State::Straight(..))) => {
                            // What was there is `Start(None)`: it has nothing to drop, which the
                            // compiler does not see.
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
                State::Straight(exchange, seat) => {
                    let (outcome, due) = std::task::ready!(exchange.poll_with_deadline(cx));
                    match judge_straight(outcome) {
                        Ok(frame) => {
                            seat.succeed(|| self.client.shared.env.now());
                            self.state = State::Finished;
                            return Poll::Ready(Ok(frame));
                        }
                        Err(seen) => {
                            let node = Arc::clone(seat.node());
                            if seen.is_redirect() {
                                self.client.shared.was_redirected.store(true, Ordering::Relaxed);
                            }
                            self.state = self.around(due, Begin::After(seen, node));
                        }
                    }
                }
                State::Around(future) => {
                    let result = std::task::ready!(future.as_mut().poll(cx));
                    self.state = State::Finished;
                    return Poll::Ready(result);
                }
                State::Finished => panic!("a call is not polled again after its result"),
            }
        }
    }
}

/// What the straight way came to: a frame to decode, or what was seen instead.
#[inline]
fn judge_straight(outcome: Outcome) -> Result<Bytes, AttemptFailure> {
    match outcome {
        Ok(Reply::One(frame)) if frame_kind(&frame) != FrameKind::Error => Ok(frame),
        outcome => judge_other(outcome),
    }
}

#[cold]
fn judge_other(outcome: Outcome) -> Result<Bytes, AttemptFailure> {
    sole_reply(outcome.map_err(AttemptFailure::NoReply)?)
}

impl<T: DeserializeOwned> Future for Call<'_, T> {
    type Output = Result<T, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let way = &mut self.way;
        way.poll_frame(cx).map(|result| result.and_then(|frame| decode(&frame, &way.command)))
    }
}

/// The reply in the type asked for.
fn decode<T: DeserializeOwned>(frame: &Bytes, command: &Command) -> Result<T, Error> {
    from_frame(frame).map_err(|error| Error::undecodable(error).with_command(&command.name()))
}
