//! Commands for chosen nodes, and results of each node or each key.
//!
//! Where a command goes by itself is decided by its keys and by the servers' own policies; this is
//! for callers who want something else, or want to see who failed.
//! Called by users; the work is `driver/spread.rs`.

use super::client::Client;
use super::pipeline::Reply;
use crate::command::Command;
use crate::driver::dispatch::fan_out;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::resp::from_frame;
pub use crate::routing::target::Target;
use crate::topology::node_id::NodeId;
use serde::de::DeserializeOwned;
use std::sync::Arc;

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
        let options = self.call_options(self.deadline_for(&command));
        let frame = fan_out::run_at(&self.shared.topology, &target, command, options).await?;
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
        let options = self.call_options(self.deadline_for(&command));
        let answers =
            fan_out::run_at_each(&self.shared.topology, &target, command, options).await?;
        let reply = |answer: fan_out::NodeAnswer| NodeReply {
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
        let options = self.call_options(self.deadline_for(&command));
        let topology = Arc::clone(&self.shared.topology);
        let results =
            fan_out::run_per_key(&topology, command, self.read_rule().as_ref(), options).await?;
        Ok(results.into_iter().map(|result| result.map(Reply::new)).collect())
    }
}
