//! The items of a pipeline that go to one node in one round: sent in one write, and each judged by
//! its own reply.
//!
//! Invariants: items keep their order; an ASKING stands directly before each item that needs one;
//! of a connection that was lost half-way, each item knows how much of it was written.

use crate::bounds::{BoxFuture, MaybeSend, MaybeSync};
use crate::command::{Command, cmd};
use crate::connection::outcome::{Failed, Outcome};
use crate::connection::queue::Entry;
use crate::connection::reply_shape::Expected;
use crate::driver::attempt::item::Items;
use crate::driver::attempt::payload::may_say_queued;
use crate::driver::attempt::waiting::connect;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::dispatch::single::{own_link, submit_on};
use crate::driver::link::submit::{error_in, submit_expecting};
use crate::driver::node::in_flight_guard::InFlightGuard;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::routing::retry::AttemptFailure;
use crate::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;

/// Sends the batches of a pipeline over connections of their own. A trait object, so that a program
/// that never asks for that does not link the code.
pub(super) trait BatchSender: MaybeSend + MaybeSync {
    /// Sends a batch; `None` if it goes over a shared connection, as usual.
    fn send<'a>(
        &'a self,
        topology: &'a Arc<LiveTopology>,
        batch: &'a NodeBatch,
        items: &'a dyn Items,
        deadline: Timestamp,
    ) -> Option<BoxFuture<'a, Result<Outcome, Error>>>;

    /// Every item of the batch has been judged: it has a result, or will be sent again.
    fn settled(
        &self,
        batch: &NodeBatch,
        items: &dyn Items,
        results: &[Option<Result<Bytes, Error>>],
    );
}

/// The items of one round that go to one node.
pub(super) struct NodeBatch {
    /// The node.
    pub(super) node: Arc<Node>,
    /// Whether each item is behind an ASKING of its own.
    pub(super) ask: bool,
    /// Whether these are reads for which a read policy selected the node.
    pub(super) by_policy: bool,
    /// The indexes of the items in the pipeline, ascending.
    pub(super) members: Vec<usize>,
}

/// Appends all items, which are so many bytes.
#[inline]
pub(super) fn write_items<I: Items + ?Sized>(
    members: &[usize],
    items: &I,
    asking: Option<&Command>,
    len: usize,
    out: &mut Vec<u8>,
) {
    out.reserve(len);
    for &member in members {
        if let Some(asking) = asking {
            asking.write_to(out);
        }
        items.item(member).write_to(out);
    }
}

impl NodeBatch {
    /// Whether items like these can be added.
    pub(super) fn fits(&self, node: &Arc<Node>, ask: bool, by_policy: bool) -> bool {
        self.ask == ask && self.by_policy == by_policy && Arc::ptr_eq(&self.node, node)
    }

    /// Sends the items in one write.
    ///
    /// # Errors
    /// When nothing was sent.
    pub(super) async fn send<I: Items + ?Sized>(
        &self,
        topology: &Arc<LiveTopology>,
        routes: &Routes,
        items: &I,
        deadline: Timestamp,
    ) -> Result<Outcome, Error> {
        let (env, node) = (topology.env(), &self.node);
        let members = || self.members.iter().map(|&member| items.item(member));
        let link = match node.ready() {
            Some(link) if !link.is_closed() => link,
            _ => {
                let leads_away = |now: &Routes| members().any(|item| item.leads_away(now, node));
                let link = connect(topology, routes, node, &leads_away, deadline).await?;
                link.ok_or_else(replaced)?
            }
        };
        let asking = self.asking();
        let entry = self.entry(items, asking.as_ref(), deadline);
        // Not all of the batch is shared: its node is not `Sync` on hosts without threads.
        let members = &*self.members;
        let write =
            |out: &mut Vec<u8>| write_items(members, items, asking.as_ref(), entry.len, out);
        let mut guard = self.by_policy.then(|| InFlightGuard::counted(node, self.members.len()));
        let exempt = self.exempt(items);
        let expected = Expected::values_but(&exempt);
        let terms = (expected, self.by_policy);
        let outcome = submit_expecting(env, &link, entry, terms, &write).await;
        if let (Some(guard), Ok(Ok(_))) = (&mut guard, &outcome) {
            guard.succeed(|| env.now());
        }
        outcome
    }

    /// The positions of the replies whose words may be other than the server's.
    pub(super) fn exempt<I: Items + ?Sized>(&self, items: &I) -> Vec<u32> {
        let each = 1 + usize::from(self.ask);
        let places = self.members.iter().enumerate();
        let own = places.filter(|(_, member)| may_say_queued(items.item(**member).command));
        own.filter_map(|(place, _)| u32::try_from((place + 1) * each - 1).ok()).collect()
    }

    /// What is written before each item, if anything.
    pub(super) fn asking(&self) -> Option<Command> {
        self.ask.then(|| cmd("ASKING"))
    }

    /// The length of all items and the number of their replies. `asking`: that of `asking()`.
    #[inline]
    pub(super) fn entry<I: Items + ?Sized>(
        &self,
        items: &I,
        asking: Option<&Command>,
        deadline: Timestamp,
    ) -> Entry {
        let asking_len = asking.map_or(0, Command::encoded_len);
        let count = self.members.len();
        let own = self.members.iter().map(|&member| items.item(member).encoded_len());
        Entry {
            len: own.sum::<usize>() + count * asking_len,
            replies: u32::try_from(count * (1 + usize::from(self.ask)))
                .expect("the number of commands in a pipeline is limited"),
            deadline,
        }
    }

    /// Stores the replies that are no errors, and returns how the other items failed, by index.
    pub(super) fn settle(
        &self,
        items: &dyn Items,
        outcome: Result<Outcome, Error>,
        results: &mut [Option<Result<Bytes, Error>>],
    ) -> Vec<(usize, AttemptFailure)> {
        let (replies, failed) = match outcome {
            Ok(Ok(reply)) => (reply.into_all(), None),
            Ok(Err(mut failed)) => (std::mem::take(&mut failed.replies), Some(failed)),
            Err(error) => {
                let fail = |&member| (member, AttemptFailure::NoLink(error.clone()));
                return self.members.iter().map(fail).collect();
            }
        };
        let asking_len = if self.ask { cmd("ASKING").encoded_len() as u64 } else { 0 };
        let mut failures = Vec::new();
        let mut offset = 0;
        let mut replies = replies.into_iter();
        for &member in &self.members {
            let len = asking_len + items.item(member).encoded_len() as u64;
            if self.ask {
                replies.next();
            }
            match (replies.next(), &failed) {
                (Some(frame), _) => match error_in(&frame) {
                    None => results[member] = Some(Ok(frame)),
                    Some(error) => failures.push((member, AttemptFailure::ErrorReply(error))),
                },
                (None, Some(failed)) => {
                    let written = failed.written.saturating_sub(offset).min(len);
                    let failure = failed.failure.clone();
                    let own = Failed { failure, replies: Vec::new(), written, len };
                    failures.push((member, AttemptFailure::NoReply(Box::new(own))));
                }
                (None, None) => unreachable!("an entry without a failure has all its replies"),
            }
            offset += len;
        }
        failures
    }
}

fn replaced() -> Error {
    let message = "while there was no connection, another node took over the slot";
    Error::new(ErrorKind::Connect, Delivery::NotSent, message)
}

/// Sends a pipeline in which a command must not queue behind what keeps a connection busy.
pub(super) struct UrgentSender;

impl BatchSender for UrgentSender {
    fn send<'a>(
        &'a self,
        topology: &'a Arc<LiveTopology>,
        batch: &'a NodeBatch,
        items: &'a dyn Items,
        deadline: Timestamp,
    ) -> Option<BoxFuture<'a, Result<Outcome, Error>>> {
        if batch.by_policy {
            return None;
        }
        Some(Box::pin(async move {
            let env = topology.env();
            let own = own_link(env, &batch.node, true, deadline).await?;
            let asking = batch.asking();
            let entry = batch.entry(items, asking.as_ref(), deadline);
            let members = &*batch.members;
            let write =
                |out: &mut Vec<u8>| write_items(members, items, asking.as_ref(), entry.len, out);
            let exempt = batch.exempt(items);
            let expected = Expected::values_but(&exempt);
            let outcome = submit_on(env, &own, entry, expected, &write).await;
            if let Ok(Ok(_)) = outcome {
                own.release();
            }
            outcome
        }))
    }

    fn settled(&self, _: &NodeBatch, _: &dyn Items, _: &[Option<Result<Bytes, Error>>]) {}
}
