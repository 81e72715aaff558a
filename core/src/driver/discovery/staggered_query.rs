//! Questions to nodes: one node's replies to a few commands, and one question to many nodes until
//! enough have answered.
//!
//! Nodes are asked in the order given, a few at first; then one more whenever one fails or is slow,
//! so that a hung node costs a stagger and a dead one no more than that. The round ends a moment
//! after the first good answer: others that are on their way may still join.
//!
//! Called by `driver/discover.rs` (views of a cluster), `driver/sentinels.rs` (opinions) and
//! `driver/checkup.rs`.

use crate::bounds::BoxFuture;
use crate::command::Command;
use crate::connection::queue::Entry;
use crate::driver::environment::environment::Environment;
use crate::driver::link::submit::submit;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::time::Timestamp;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;

/// How long others may still join after the first good answer.
const GRACE: Duration = Duration::from_millis(50);

/// How a round of questions goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// How many are asked at once to begin with.
    pub(crate) wave: usize,
    /// How long one may keep the next waiting.
    pub(crate) stagger: Duration,
    /// Good answers that are enough.
    pub(crate) enough: usize,
    /// Whether others are still asked after the first good answer.
    pub(crate) goes_on: bool,
}

/// A question under way, which keeps its answer itself and says whether it is a good one. Boxed, so
/// that there is one round for all kinds of them.
pub(crate) type Question<'a> = BoxFuture<'a, bool>;

/// Asks until there are enough good answers, nobody is left, or the deadline passes.
pub(crate) async fn ask(
    env: &Environment,
    manner: Manner,
    deadline: Timestamp,
    questions: Vec<Question<'_>>,
) {
    let mut questions = questions.into_iter();
    let mut asked = FuturesUnordered::new();
    asked.extend(questions.by_ref().take(manner.wave));
    let mut until = env.now().after(manner.stagger);
    let mut good = 0;
    while !asked.is_empty() {
        match env.with_deadline(until.min(deadline), asked.next()).await {
            Some(Some(is_good)) => {
                good += usize::from(is_good);
                if good >= manner.enough {
                    return;
                }
                let is_first = is_good && good == 1;
                if is_first {
                    until = env.now().after(GRACE);
                }
                let goes_on = if good == 0 { true } else { manner.goes_on };
                if goes_on && (is_first || !is_good) {
                    asked.extend(questions.next());
                }
            }
            Some(None) => return,
            None if good > 0 || env.now() >= deadline => return,
            None => {
                asked.extend(questions.next());
                until = env.now().after(manner.stagger);
            }
        }
    }
}

/// One node's replies to commands that are sent together, which may be error replies. The node is
/// dialled if need be.
///
/// # Errors
/// When not all of them came in time.
pub(crate) async fn query_node(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    commands: &[Command],
    deadline: Timestamp,
) -> Result<Vec<Bytes>, Error> {
    let link = node.connect(env, deadline).await?;
    let entry = Entry {
        len: commands.iter().map(Command::encoded_len).sum(),
        replies: u32::try_from(commands.len()).expect("a question has a few commands"),
        deadline,
    };
    let write = |out: &mut Vec<u8>| commands.iter().for_each(|c| c.write_to(out));
    match submit(env, &link, entry, &write).await? {
        Ok(reply) => Ok(reply.into_all()),
        Err(failed) => {
            let message = format!("no answer: {}", failed.failure);
            Err(Error::new(ErrorKind::Connect, Delivery::NotSent, message))
        }
    }
}
