//! The items of a pipeline that go to one node in one round: sent in one write, and each judged by
//! its own reply.
//!
//! Invariants: items keep their order; an ASKING stands directly before each item that needs one;
//! of a connection that was lost half-way, each item knows how much of it was written.

use crate::command::{Command, cmd};
use crate::connection::outcome::{Failed, Outcome};
use crate::connection::queue::Entry;
use crate::driver::attempt::item::Items;
use crate::driver::attempt::waiting::connect;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::link::submit::{error_in, submit, submit_movable};
use crate::driver::node::in_flight_guard::InFlightGuard;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::routing::retry::AttemptFailure;
use crate::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;

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
        let indexes = self.members.as_slice();
        let members = || indexes.iter().map(|&member| items.item(member));
        let link = match node.ready() {
            Some(link) if !link.is_closed() => link,
            _ => {
                let leads_away = |now: &Routes| members().any(|item| item.leads_away(now, node));
                let link = connect(topology, routes, node, &leads_away, deadline).await?;
                link.ok_or_else(replaced)?
            }
        };
        let asking = self.ask.then(|| cmd("ASKING"));
        let asking_len = asking.as_ref().map_or(0, Command::encoded_len);
        let count = indexes.len();
        let entry = Entry {
            len: members().map(|item| item.encoded_len()).sum::<usize>() + count * asking_len,
            replies: u32::try_from(count * (1 + usize::from(self.ask)))
                .expect("the number of commands in a pipeline is limited"),
            deadline,
        };
        let write = |out: &mut Vec<u8>| {
            out.reserve(entry.len);
            for item in members() {
                if let Some(asking) = &asking {
                    asking.write_to(out);
                }
                item.write_to(out);
            }
        };
        let mut guard = self.by_policy.then(|| InFlightGuard::counted(node, count));
        let outcome = match self.by_policy {
            true => submit_movable(env, &link, entry, &write).await,
            false => submit(env, &link, entry, &write).await,
        };
        if let (Some(guard), Ok(Ok(_))) = (&mut guard, &outcome) {
            guard.succeed(|| env.now());
        }
        outcome
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
