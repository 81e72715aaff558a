//! Commands for nodes that the caller names, and the result of each node.
//!
//! Where a command goes by itself is decided by its keys and by the servers' own policies; this is
//! for callers that want something else, or want to see which node failed.
//!
//! **Invariant**: a node that fails does not keep the others from finishing.

use super::client::Client;
use super::pipeline::Reply;
use crate::command::Command;
use crate::driver::dispatch::fan_out;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::resp::FromReply;
use crate::resp::from_frame;
pub use crate::routing::target::Target;
use crate::topology::node_id::NodeId;

/// The result of a command at one node.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct NodeReply {
    /// The node that answered, or should have.
    pub node: NodeId,
    /// Its address, if known.
    pub endpoint: Option<Endpoint>,
    /// Its reply, or the error.
    pub result: Result<Reply, Error>,
}

impl NodeReply {
    /// Decodes the reply.
    ///
    /// # Errors
    /// The node's own, or `Convert` when the reply does not fit `T`.
    pub fn decode<T: FromReply>(&self) -> Result<T, Error> {
        self.result.as_ref().map_err(Clone::clone)?.decode()
    }
}

impl Client {
    /// Runs a command on the nodes of a target, and joins their replies into one.
    ///
    /// The command's own response policy says how: numbers are added up or compared, lists are
    /// joined; replies for which there is no rule become a list with one element for each node. The
    /// command is tried again at each node as any command is. If one node is named, redirects are
    /// not followed: the redirect is the error.
    ///
    /// # Errors
    /// Every kind. When some of several nodes failed, the details are
    /// [`ErrorDetail::Partial`](crate::ErrorDetail::Partial), and the others ran the command;
    /// [`Client::send_each`] returns their replies. `Topology` when there is no such node. `Config`
    /// for a command that would change the connection, as with [`Client::send`].
    ///
    /// Dropped before its end, any of the nodes may have run the command.
    pub async fn send_to<T: FromReply>(
        &self,
        target: Target,
        command: Command,
    ) -> Result<T, Error> {
        let name = command.name();
        let options = self.call_options_for(&command, self.deadline_for(&command));
        let frame = fan_out::run_at(&self.shared.topology, &target, command, options).await?;
        from_frame(&frame).map_err(|error| Error::undecodable(error).with_command(&name))
    }

    /// Runs a command on the nodes of a target and returns the result of each, in no certain order.
    /// All are done at the deadline, whether or not each node has answered.
    ///
    /// # Errors
    /// `Topology` when no node is known, or the target has none; `Config` for a command that would
    /// change the connection, as with [`Client::send`].
    ///
    /// Dropped before its end, any of the nodes may have run the command.
    pub async fn send_each(
        &self,
        target: Target,
        command: Command,
    ) -> Result<Vec<NodeReply>, Error> {
        let options = self.call_options_for(&command, self.deadline_for(&command));
        let answers =
            fan_out::run_at_each(&self.shared.topology, &target, command, options).await?;
        let reply = |answer: fan_out::NodeAnswer| NodeReply {
            node: answer.node,
            endpoint: answer.endpoint,
            result: answer.result.map(Reply::new),
        };
        Ok(answers.into_iter().map(reply).collect())
    }
}
