//! Transactions: sent whole, and watched keys on a connection that nobody else uses.
//!
//! A transaction is one errand: it is redirected and tried again as a command is, all of it or
//! nothing. Behind watched keys it is tried once, on the connection that watches them; only its
//! caller can begin anew, for what was read may have changed.
//!
//! Invariants: a connection that may still watch or queue something is never given to the next;
//! nothing is sent to a primary that sentinels have replaced, though its connection lives.
//! Called by `client/transaction.rs`.

use crate::command::Command;
use crate::connection::handshake::Profile;
use crate::driver::attempt::next_step::{Attempts, CallOptions, explain};
use crate::driver::attempt::payload::Payload;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::dispatch::single::{Kept, Request, dispatch};
use crate::driver::link::submit::submit;
use crate::driver::node::node::{ExclusiveLink, Node};
use crate::error::{Delivery, Error, ErrorKind};
use crate::lock::lock;
use crate::routing::error_policy::ErrorOrigin;
use crate::routing::retry::AttemptFailure;
use bytes::Bytes;
use std::sync::Arc;

/// Runs the commands as one, and returns the reply of EXEC.
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
pub(crate) struct Watching {
    /// Knows the configuration and the clock.
    topology: Arc<LiveTopology>,
    /// NoNode else's. Closed when this is dropped, which ends the watch, too.
    own: ExclusiveLink,
    /// Where it leads.
    node: Arc<Node>,
}

impl Watching {
    /// Sends WATCH to the owner of its keys.
    pub(crate) async fn start(
        topology: &Arc<LiveTopology>,
        watch: Command,
        options: CallOptions,
    ) -> Result<Self, Error> {
        let kept = Kept::default();
        let request = Request::keeping(watch, Arc::clone(&kept));
        let (_, node) = dispatch(Arc::clone(topology), request, options, None).await?;
        let own = lock(&kept).take().expect("an request that ended well left its connection");
        Ok(Self { topology: Arc::clone(topology), own, node })
    }

    /// Runs one command there.
    pub(crate) async fn send(
        &self,
        command: &Command,
        options: CallOptions,
    ) -> Result<Bytes, Error> {
        self.once(Payload::single(command, false), command, options).await
    }

    /// Runs the commands as one, unless a watched key was changed: then the reply is a null. Ends
    /// the watch, and gives the connection back.
    pub(crate) async fn commit(
        self,
        lead: &Command,
        commands: &[Command],
        options: CallOptions,
    ) -> Result<Bytes, Error> {
        let frame = self.once(Payload::transaction(commands, false), lead, options).await?;
        self.own.release();
        Ok(frame)
    }

    /// Whether sentinels name another primary by now. In a cluster the server itself would say so.
    fn is_replaced(&self) -> bool {
        let routes = self.topology.routes();
        self.node.profile() == Profile::Primary
            && !routes.primaries().any(|node| Arc::ptr_eq(node, &self.node))
    }

    async fn once(
        &self,
        payload: Payload<'_>,
        name: &Command,
        options: CallOptions,
    ) -> Result<Bytes, Error> {
        let env = self.topology.env();
        if self.is_replaced() {
            let message = "the primary that watches the keys was replaced: begin anew";
            let error = Error::new(ErrorKind::Topology, Delivery::NotSent, message);
            return Err(error.with_command(&name.name()).with_endpoint(self.node.endpoint()));
        }
        let entry = payload.entry(options.deadline);
        let outcome = submit(env, self.own.link(), entry, &|out| payload.write_to(out)).await;
        let seen = match outcome {
            Ok(Ok(reply)) => match payload.judge(reply) {
                Ok(frame) => return Ok(frame),
                Err(seen) => {
                    if let Some(reason) = seen.policy(ErrorOrigin::of(name)).refresh {
                        self.topology.request_refresh(reason);
                    }
                    seen
                }
            },
            Ok(Err(failed)) => AttemptFailure::NoReply(failed),
            Err(error) => AttemptFailure::NoLink(error),
        };
        let tries = Attempts { attempts: 1, ..Attempts::default() };
        Err(explain(&seen, name, self.node.endpoint(), &tries, options))
    }
}
