//! The questions of a refresh, each of which a server may refuse, hang up on, or not answer.
//!
//! A refusal is a reply like any other: its reader does without. On a hang-up the rest is asked at
//! once, on a connection of its own, without the question that had no answer. If there is no answer
//! in time, the next refresh asks without it. What a server answers without is remembered for its
//! node (`link/dial_target.rs`).
//!
//! Limits: `HANGUPS_MAX` hang-ups in one refresh; the deadline of the refresh.

use crate::BoxFuture;
use crate::command::Command;
use crate::connection::courtesy::{Courtesy, Withheld};
use crate::connection::entry::Entry;
use crate::connection::outcome::Failed;
use crate::driver::environment::connection_limit::DialWait;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::link::dial::open;
use crate::driver::link::link::Link;
use crate::driver::link::submit::submit;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;

/// As many as there are questions.
const HANGUPS_MAX: usize = 4;

/// The connection that a node is asked on. Where another server than the one that the map means
/// listens at the node's address, that server is asked, on a connection of its own: it may know
/// where the node is, or that the whole cluster was replaced.
pub(super) struct Asked {
    /// The connection.
    pub(super) link: Arc<Link>,
    /// It is for this question only.
    pub(super) is_own: bool,
}

impl Asked {
    pub(super) async fn connect(
        env: &Arc<Environment>,
        node: &Arc<Node>,
        deadline: Timestamp,
    ) -> Result<Self, Error> {
        // The shared connection may still wait for the answer that does not come.
        if !node.target().is_mistaken() && !node.target().suspects_any(Withheld::ALL) {
            match node.connect(env, deadline).await {
                Ok(link) => return Ok(Self { link, is_own: false }),
                Err(error) if !node.target().is_mistaken() => return Err(error),
                Err(_) => {}
            }
        }
        Self::own(env, node, deadline).await
    }

    async fn own(
        env: &Arc<Environment>,
        node: &Arc<Node>,
        deadline: Timestamp,
    ) -> Result<Self, Error> {
        let (anyone, wait) = (node.target().anyone_there(), DialWait::default());
        let settings = LinkSettings { is_held: true, ..env.link_settings(&env.node_budget()) };
        let dial: BoxFuture<'_, _> = Box::pin(open(&anyone, env, settings, false, &wait));
        // The dial ends by itself, but for a wait for room.
        let until = if env.connection_limit().is_some() { deadline } else { Timestamp::FAR_FUTURE };
        let late = || wait.error(node.endpoint()).unwrap_or_else(|| node.deadline_error());
        let link = env.with_deadline(until, dial).await.unwrap_or_else(|| Err(late()))?;
        Ok(Self { link, is_own: true })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.is_own {
            self.link.close();
        }
    }
}

/// What is asked of the server at the other end of a link that is not told some courtesies.
pub(super) type Questions<'a> = &'a (dyn Fn(&Link, Withheld) -> Vec<(Courtesy, Command)> + Sync);

/// Asks a node. Returns the replies, which may be error replies. `asked` is the connection that
/// they came over.
///
/// # Errors
/// The node does not answer, whatever is left out.
pub(super) async fn ask(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    asked: &mut Asked,
    questions: Questions<'_>,
    deadline: Timestamp,
) -> Result<Vec<(Courtesy, Bytes)>, Error> {
    let target = node.target();
    let was_suspected = target.suspects_any(Withheld::ALL);
    let by_config = Withheld::by_config(env.config().courtesies);
    for hangups in 0.. {
        let withheld = target.withheld().and(by_config);
        let list = questions(&asked.link, withheld);
        let (which, commands): (Vec<_>, Vec<_>) = list.into_iter().unzip();
        let entry = Entry {
            len: commands.iter().map(Command::encoded_len).sum(),
            replies: u32::try_from(commands.len()).expect("a refresh has a few questions"),
            deadline,
        };
        let write = |out: &mut Vec<u8>| commands.iter().for_each(|c| c.write_to(out));
        let failed = match submit(env, &asked.link, entry, &write).await? {
            Ok(replies) => {
                if asked.is_own {
                    target.answers_without(target.withheld());
                }
                return Ok(which.into_iter().zip(replies.into_all()).collect());
            }
            Err(failed) => failed,
        };
        let error = no_answer(node, &which, &failed);
        let goes_on = failed.failure.is_hang_up() && hangups < HANGUPS_MAX;
        let is_silence = failed.failure.is_silence();
        match suspect_of((&asked.link, withheld), &which, &failed)
            .filter(|_| goes_on || (is_silence && !was_suspected))
        {
            Some(without) => target.suspect(without),
            None => target.clear_suspicion(Withheld::ALL),
        }
        if !goes_on {
            return Err(error);
        }
        match Asked::own(env, node, deadline).await {
            Ok(own) => *asked = own,
            Err(_) => {
                target.clear_suspicion(Withheld::ALL);
                return Err(error);
            }
        }
    }
    unreachable!("the last hang-up ends it")
}

/// The courtesy that may be why there is no answer. A handshake that was written together with the
/// questions may be it, unless it was left out.
fn suspect_of(
    (link, withheld): (&Link, Withheld),
    which: &[Courtesy],
    failed: &Failed,
) -> Option<Withheld> {
    match link.has_answered_handshake() || withheld.has_all(Withheld::INTRODUCTION) {
        true => which.get(failed.replies.len()).map(|which| Withheld::of(*which)),
        false => Some(Withheld::INTRODUCTION),
    }
}

/// The error of a refresh that a node did not answer.
fn no_answer(node: &Node, which: &[Courtesy], failed: &Failed) -> Error {
    let message = match which.get(failed.replies.len()) {
        Some(courtesy) => format!("no answer to {}: {}", courtesy.name(), failed.failure),
        None => format!("no answer: {}", failed.failure),
    };
    Error::new(ErrorKind::Connect, Delivery::NotSent, message).with_endpoint(node.endpoint())
}
