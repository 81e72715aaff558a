//! Transactions: sent whole, and watched keys on a connection that nobody else uses.
//!
//! A transaction is one errand: it is redirected and tried again as a command is, all of it or
//! nothing. Behind watched keys it is tried once, on the connection that watches them; only its
//! caller can begin anew, for what was read may have changed.
//!
//! Invariants: a connection that may still watch or queue something is never given to the next;
//! nothing is sent to a primary that sentinels have replaced, though its connection lives.
//! Called by `client/transaction.rs`.

use super::dispatch::{Errand, Kept, dispatch};
use super::node::{Node, OwnLink};
use super::parcel::Parcel;
use super::react::{Terms, Tries, explain};
use super::request::exchange;
use super::topology::Keeper;
use crate::command::Command;
use crate::connection::handshake::Profile;
use crate::error::{Delivery, Error, ErrorKind};
use crate::routing::retry::Seen;
use crate::sync::lock;
use crate::topology::refresh::RefreshReason;
use bytes::Bytes;
use std::sync::Arc;

/// Runs the commands as one, and returns the reply of EXEC.
pub(crate) async fn run(
    keeper: &Arc<Keeper>,
    lead: Command,
    commands: Vec<Command>,
    terms: Terms,
) -> Result<Bytes, Error> {
    let errand = Errand::transaction(lead, commands.into());
    Ok(dispatch(Arc::clone(keeper), errand, terms, None).await?.0)
}

/// A connection that watches keys.
#[derive(Debug)]
pub(crate) struct Watching {
    /// Knows the configuration and the clock.
    keeper: Arc<Keeper>,
    /// Nobody else's. Closed when this is dropped, which ends the watch, too.
    own: OwnLink,
    /// Where it leads.
    node: Arc<Node>,
}

impl Watching {
    /// Sends WATCH to the owner of its keys.
    pub(crate) async fn start(
        keeper: &Arc<Keeper>,
        watch: Command,
        terms: Terms,
    ) -> Result<Self, Error> {
        let kept = Kept::default();
        let errand = Errand::keeping(watch, Arc::clone(&kept));
        let (_, node) = dispatch(Arc::clone(keeper), errand, terms, None).await?;
        let own = lock(&kept).take().expect("an errand that ended well left its connection");
        Ok(Self { keeper: Arc::clone(keeper), own, node })
    }

    /// Runs one command there.
    pub(crate) async fn send(&self, command: &Command, terms: Terms) -> Result<Bytes, Error> {
        self.once(Parcel::single(command, false), command, terms).await
    }

    /// Runs the commands as one, unless a watched key was changed: then the reply is a null. Ends
    /// the watch, and gives the connection back.
    pub(crate) async fn commit(
        self,
        lead: &Command,
        commands: &[Command],
        terms: Terms,
    ) -> Result<Bytes, Error> {
        let frame = self.once(Parcel::transaction(commands, false), lead, terms).await?;
        self.own.give_back();
        Ok(frame)
    }

    /// Whether sentinels name another primary by now. In a cluster the server itself would say so.
    fn is_replaced(&self) -> bool {
        let routes = self.keeper.routes();
        self.node.profile() == Profile::Primary
            && !routes.primaries().any(|node| Arc::ptr_eq(node, &self.node))
    }

    async fn once(&self, parcel: Parcel<'_>, name: &Command, terms: Terms) -> Result<Bytes, Error> {
        let host = self.keeper.host();
        if self.is_replaced() {
            let message = "the primary that watches the keys was replaced: begin anew";
            let error = Error::new(ErrorKind::Topology, Delivery::NotSent, message);
            return Err(error.with_command(&name.name()).with_endpoint(self.node.endpoint()));
        }
        let entry = parcel.entry(terms.deadline);
        let outcome = exchange(host, self.own.link(), entry, &|out| parcel.write_to(out)).await;
        let seen = match outcome {
            Ok(Ok(reply)) => match parcel.judge(reply) {
                Ok(frame) => return Ok(frame),
                Err(seen) => {
                    if seen.is_redirect() {
                        self.keeper.want(RefreshReason::Moved);
                    }
                    seen
                }
            },
            Ok(Err(failed)) => Seen::Failed(failed),
            Err(error) => Seen::NoLink(error),
        };
        let tries = Tries { attempts: 1, ..Tries::default() };
        Err(explain(&seen, name, self.node.endpoint(), &tries, terms))
    }
}
