//! Transactions: sent whole; with watched keys, on a connection that nothing else uses.
//!
//! A transaction is one request: it is redirected and tried again as a command is, all of it or
//! nothing. If keys are watched it is tried once, on the connection that watches them; only the
//! caller can start again, because what it read may have changed.
//!
//! Invariants: a connection that may still watch or queue something is never reused; nothing is
//! sent to a primary that sentinels have replaced, even if its connection is still open.

use crate::command::Command;
use crate::connection::handshake::Profile;
use crate::driver::attempt::next_step::{Attempts, CallOptions, explain_end};
use crate::driver::attempt::payload::Payload;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::dispatch::single::{KeptLink, Request, dispatch};
use crate::driver::node::exclusive_links::ExclusiveLink;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::lock::lock;
use crate::routing::error_policy::ErrorOrigin;
use crate::routing::retry::AttemptFailure;
use bytes::Bytes;
use std::sync::Arc;

/// Runs the commands as one transaction, and returns the reply to EXEC. `lead` carries the routing
/// key.
pub(crate) async fn run(
    topology: &Arc<LiveTopology>,
    lead: Command,
    commands: Vec<Command>,
    options: CallOptions,
) -> Result<Bytes, Error> {
    let request = Request::transaction(lead, commands.into());
    Ok(dispatch(Arc::clone(topology), request, options, None).await?.0)
}

/// A connection that watches keys.
#[derive(Debug)]
pub(crate) struct WatchLink {
    /// The current topology.
    topology: Arc<LiveTopology>,
    /// The connection. Closed when this is dropped, which also ends the watch.
    link: ExclusiveLink,
    /// The node that it is connected to.
    node: Arc<Node>,
}

impl WatchLink {
    /// Sends WATCH to the owner of its keys.
    pub(crate) async fn start(
        topology: &Arc<LiveTopology>,
        watch: Command,
        options: CallOptions,
    ) -> Result<Self, Error> {
        let kept = KeptLink::default();
        let request = Request::keeping_link(watch, Arc::clone(&kept));
        let (_, node) = dispatch(Arc::clone(topology), request, options, None).await?;
        let link = lock(&kept).take().expect("a request that succeeded left its connection");
        Ok(Self { topology: Arc::clone(topology), link, node })
    }

    /// Runs one command on the connection.
    pub(crate) async fn send(
        &self,
        command: &Command,
        options: CallOptions,
    ) -> Result<Bytes, Error> {
        self.once(Payload::single(command, false), command, options).await
    }

    /// Runs the commands as one transaction, unless a watched key was changed: then the reply is
    /// null. Ends the watch and releases the connection.
    pub(crate) async fn commit(
        self,
        lead: &Command,
        commands: &[Command],
        options: CallOptions,
    ) -> Result<Bytes, Error> {
        let (frame, _, link, _) = self.commit_keeping_link(lead, commands, options).await?;
        link.release();
        Ok(frame)
    }

    /// The same; returns the topology, the connection, on which nothing is watched any more, and
    /// the node.
    pub(crate) async fn commit_keeping_link(
        self,
        lead: &Command,
        commands: &[Command],
        options: CallOptions,
    ) -> Result<(Bytes, Arc<LiveTopology>, ExclusiveLink, Arc<Node>), Error> {
        let frame = self.once(Payload::transaction(commands, false), lead, options).await?;
        Ok((frame, self.topology, self.link, self.node))
    }

    /// Whether sentinels name another primary now. In a cluster the server itself would say so.
    fn is_replaced(&self) -> bool {
        let routes = self.topology.routes();
        self.node.profile() == Profile::Primary
            && !routes.primaries().any(|node| Arc::ptr_eq(node, &self.node))
    }

    /// Sends once, and never again: a lost connection or a redirect ends the watch.
    async fn once(
        &self,
        payload: Payload<'_>,
        name: &Command,
        options: CallOptions,
    ) -> Result<Bytes, Error> {
        let env = self.topology.env();
        if self.is_replaced() {
            let message = "the primary that watches the keys was replaced: watch them again";
            let error = Error::new(ErrorKind::Topology, Delivery::NotSent, message);
            return Err(error.with_command(&name.name()).with_endpoint(self.node.endpoint()));
        }
        let outcome = payload.submit(env, self.link.link(), options.deadline).await;
        let failure = match outcome {
            Ok(Ok(reply)) => match payload.judge(reply) {
                Ok(frame) => return Ok(frame),
                Err(failure) => failure,
            },
            Ok(Err(failed)) => AttemptFailure::NoReply(failed),
            Err(error) => AttemptFailure::NoLink(error),
        };
        if failure.is_answer()
            && let Some(reason) = failure.policy(ErrorOrigin::of(name)).refresh
        {
            self.topology.request_refresh(reason);
        }
        let tries = Attempts { attempts: 1, ..Attempts::default() };
        Err(explain_end(env, &failure, name, self.node.endpoint(), &tries, options))
    }
}

#[cfg(test)]
mod tests;
