//! Asks a server whether an error is its own, where the command may have made it up.
//!
//! MOVED and ASK in the reply to a script may be the server's, which did not run it; or the
//! script's, which ran. The server answers a command of its own for the same keys as it answers a
//! script that it does not run: `EXISTS` reads nothing but the keys' presence, and a slot that has
//! moved or is being moved redirects it in the same way.
//!
//! **Invariants**: asked only in a cluster, once for each such reply, and only about the slot of
//! the command's own keys; without an answer, or with another one than the command's, the words are
//! the command's.
//! Which replies are concerned is decided in `routing/error_policy.rs`.
//! Spec: cluster-spec, "MOVED Redirection", "ASK redirection", "Multiple keys operations".

use crate::BoxFuture;
use crate::command::{Command, cmd};
use crate::driver::attempt::item::{Item, SlotRelation};
use crate::driver::attempt::payload::Payload;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::link::submit::submit;
use crate::driver::node::node::Node;
use crate::resp::{Redirect, RedirectHost, ServerError};
use crate::routing::error_policy::{CallAction, ErrorOrigin};
use crate::routing::retry::AttemptFailure;
use crate::time::Timestamp;
use crate::topology::slot::Slot;
use std::future::ready;
use std::sync::Arc;

/// The node that answered an attempt, and whether it was asked behind an ASKING.
pub(crate) type Answerer<'a> = (&'a Arc<Node>, bool);

/// The failure of an attempt, after the server was asked about it where that is necessary.
pub(crate) fn confirm<'a>(
    topology: &'a Arc<LiveTopology>,
    item: Item<'a>,
    answerer: Answerer<'a>,
    deadline: Timestamp,
    failure: AttemptFailure,
) -> BoxFuture<'a, AttemptFailure> {
    let Some(probe) = probe_for(topology, item, &failure) else {
        return Box::pin(ready(failure));
    };
    Box::pin(async move {
        match ask(topology, &probe, answerer, deadline).await {
            Some(own) if is_same(&failure, &own) => AttemptFailure::Refusal(own),
            _ => failure,
        }
    })
}

/// The command to ask with; `None` if there is nothing to ask.
fn probe_for(topology: &LiveTopology, item: Item<'_>, failure: &AttemptFailure) -> Option<Command> {
    let AttemptFailure::ErrorReply(error) = failure else { return None };
    let command = item.command;
    let is_doubtful = failure.policy(ErrorOrigin::of(command)).call == CallAction::Confirm;
    if !is_doubtful || !topology.env().has_slots() {
        return None;
    }
    let (slot, ..) = target(error)?;
    let slot = Slot::new(slot)?;
    if item.relation_to(slot) != SlotRelation::Own {
        return None;
    }
    let keys: Vec<&[u8]> = command.keys().map(|(_, key)| key).collect();
    if !keys.is_empty() {
        return Some(cmd("EXISTS").keys_from(keys));
    }
    // Which of the arguments is the key, the redirect itself says.
    let mut arguments = command.args_iter().skip(1);
    let in_slot = || arguments.find(|argument| Slot::of(argument) == slot);
    Some(cmd("EXISTS").key(command.first_key().or_else(in_slot)?))
}

/// The error that a node answers to the probe, if it does.
async fn ask(
    topology: &Arc<LiveTopology>,
    probe: &Command,
    (node, ask): Answerer<'_>,
    deadline: Timestamp,
) -> Option<ServerError> {
    let env = topology.env();
    let payload = Payload::single(probe, ask);
    let asked = async {
        let link = env.while_open(node.connect(env, deadline)).await?.ok()?;
        let write = |out: &mut Vec<u8>| payload.write_to(out);
        submit(env, &link, payload.entry(deadline), &write).await.ok()?.ok()
    };
    match payload.judge(topology.while_refreshing(asked).await?) {
        Err(AttemptFailure::ErrorReply(error)) => Some(error),
        _ => None,
    }
}

/// Whether the server redirects the probe to where the command was redirected. Between the two a
/// slot may have arrived, so that ASK becomes MOVED.
fn is_same(failure: &AttemptFailure, own: &ServerError) -> bool {
    let AttemptFailure::ErrorReply(said) = failure else { return false };
    target(said).is_some_and(|said| Some(said) == target(own))
}

/// Slot, host and port of a redirect.
fn target(error: &ServerError) -> Option<(u16, RedirectHost, u16)> {
    match error.redirect()? {
        Ok(Redirect::Ask { slot, host, port } | Redirect::Moved { slot, host, port }) => {
            Some((slot, host, port))
        }
        Err(_) => None,
    }
}
