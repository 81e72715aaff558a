//! Commands for chosen nodes, and results of each node or each key.
//!
//! Where a command goes by itself is decided by its keys and by the servers' own policies; this is
//! for callers who want something else, or want to see who failed.
//! Called by users; the work is `driver/spread.rs`.

use super::client::Client;
use super::pipeline::Reply;
use crate::command::{Command, ToArg};
use crate::driver::dispatch::entry::{self, Goal};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::resp::from_frame;
use crate::routing::destination::Destination;
use crate::routing::plan::Audience;
use crate::topology::node_id::NodeId;
use crate::topology::slot::Slot;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Which node or nodes a command is for, whatever its keys say.
///
/// In a deployment without slots, the one primary owns all of them.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every primary, and every replica that the cluster does not hold for failed.
    AllNodes,
    /// Every primary.
    AllPrimaries,
    /// One primary, another each time, past those without a live connection.
    AnyPrimary,
    /// The node that listens there, if the topology has one.
    Endpoint(Endpoint),
    /// This node, primary or replica.
    Node(NodeId),
    /// The primary that owns this slot, and its replicas that the cluster does not hold for failed.
    Shard(Slot),
    /// The primary that owns this slot.
    Slot(Slot),
}

impl Target {
    /// The primary that owns a key's slot.
    pub fn key(key: impl ToArg) -> Self {
        let mut slot = Slot::FIRST;
        key.with_bytes(|bytes| slot = Slot::of(bytes));
        Self::Slot(slot)
    }

    fn goal(self) -> Goal {
        match self {
            Self::AllNodes => Goal::Many(Audience::Nodes),
            Self::AllPrimaries => Goal::Many(Audience::Primaries),
            Self::AnyPrimary => Goal::One(Destination::Any),
            Self::Endpoint(endpoint) => Goal::One(Destination::At(endpoint)),
            Self::Node(id) => Goal::One(Destination::Node(id)),
            Self::Shard(slot) => Goal::Many(Audience::Shard(slot)),
            Self::Slot(slot) => Goal::One(Destination::Slot(slot)),
        }
    }
}

/// What one node answered.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct NodeReply {
    /// Who: the node that answered, or the one that should have.
    pub node: NodeId,
    /// Where it listens, if that is known.
    pub endpoint: Option<Endpoint>,
    /// Its reply, or why there is none.
    pub result: Result<Reply, Error>,
}

impl NodeReply {
    /// Decodes the reply.
    ///
    /// # Errors
    /// The node's own, or `Convert` when the reply does not fit `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.result.as_ref().map_err(Clone::clone)?.decode()
    }
}

impl Client {
    /// Runs a command on chosen nodes, and makes one reply of theirs.
    ///
    /// Several nodes' replies are put together as the command's own response policy says: numbers
    /// are added up or compared, lists joined; replies for which there is no rule become a list
    /// with one element for each node. Each node's attempt is tried again as any command is; a node
    /// that is named never sends it on: a redirect is its answer.
    ///
    /// # Errors
    /// Every kind. When some of several nodes failed, the details are
    /// [`ErrorDetail::Partial`](crate::ErrorDetail::Partial), and the others ran the command;
    /// [`Client::send_each`] shows their replies. `Topology` when there is no such node. `Config`
    /// for a command that would change the connection, as with [`Client::send`].
    ///
    /// Dropped before its end, nodes may or may not have run the command.
    pub async fn send_to<T: DeserializeOwned>(
        &self,
        target: Target,
        command: Command,
    ) -> Result<T, Error> {
        let name = command.name();
        let terms = self.call_options(self.deadline_for(&command));
        let frame = entry::run_at(&self.shared.topology, target.goal(), command, terms).await?;
        from_frame(&frame).map_err(|error| Error::undecodable(error).with_command(&name))
    }

    /// Runs a command on chosen nodes and returns what became of it at each, in no order that
    /// matters. One that fails keeps nobody waiting beyond the deadline.
    ///
    /// # Errors
    /// `Topology` when no node is known, or none is there; `Config` for a command that would change
    /// the connection, as with [`Client::send`].
    ///
    /// Dropped before its end, nodes may or may not have run the command.
    pub async fn send_each(
        &self,
        target: Target,
        command: Command,
    ) -> Result<Vec<NodeReply>, Error> {
        let terms = self.call_options(self.deadline_for(&command));
        let answers = entry::each_at(&self.shared.topology, target.goal(), command, terms).await?;
        let reply = |answer: entry::Answer| NodeReply {
            node: answer.node,
            endpoint: answer.endpoint,
            result: answer.result.map(Reply::new),
        };
        Ok(answers.into_iter().map(reply).collect())
    }

    /// Runs MGET, MSET, DEL, EXISTS, TOUCH or UNLINK key by key, in one write per node, and returns
    /// what became of each key, in their order: a key whose node is down fails alone.
    ///
    /// Not atomic, in no deployment.
    ///
    /// # Errors
    /// `Config` for any other command; nothing was sent then.
    ///
    /// Dropped before its end, any of the keys may or may not have been served.
    pub async fn send_by_key(&self, command: Command) -> Result<Vec<Result<Reply, Error>>, Error> {
        let terms = self.call_options(self.deadline_for(&command));
        let topology = Arc::clone(&self.shared.topology);
        let results = entry::by_key(&topology, command, self.read_rule().as_ref(), terms).await?;
        Ok(results.into_iter().map(|result| result.map(Reply::new)).collect())
    }
}
