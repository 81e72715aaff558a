//! Queries to nodes: a few commands to one node, and the same query to many nodes until enough of
//! them have answered.
//!
//! Nodes are asked in the order given, a few at first; then one more whenever one fails or does not
//! answer within the stagger. So a hung node costs one stagger, and a dead one not even that. The
//! round ends `GRACE` after the first good answer: answers that are on their way may still join.

use crate::bounds::BoxFuture;
use crate::command::Command;
use crate::connection::queue::Entry;
use crate::driver::environment::environment::Environment;
use crate::driver::link::link::Link;
use crate::driver::link::submit::submit;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::time::Timestamp;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;

/// How long other answers may still join after the first good one.
const GRACE: Duration = Duration::from_millis(50);

/// In which rhythm the nodes are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    /// How many are asked at once at the begin.
    pub(crate) first: usize,
    /// How long one may take before the next one is asked.
    pub(crate) stagger: Duration,
    /// How many good answers end the round.
    pub(crate) enough: usize,
    /// Whether further nodes are asked after the first good answer.
    pub(crate) goes_on: bool,
}

/// A query under way. It keeps its answer itself, and says whether it is a good one. Boxed, so that
/// one round serves every kind of query.
pub(crate) type Query<'a> = BoxFuture<'a, bool>;

/// Runs the queries until there are enough good answers, none is left, or the deadline passes.
pub(crate) async fn run_staggered(
    env: &Environment,
    rhythm: Rhythm,
    deadline: Timestamp,
    queries: Vec<Query<'_>>,
) {
    let mut queries = queries.into_iter();
    let mut running = FuturesUnordered::new();
    running.extend(queries.by_ref().take(rhythm.first));
    let mut until = env.now().after(rhythm.stagger);
    let mut good = 0;
    while !running.is_empty() {
        match env.with_deadline(until.min(deadline), running.next()).await {
            Some(Some(is_good)) => {
                good += usize::from(is_good);
                if good >= rhythm.enough {
                    return;
                }
                let is_first = is_good && good == 1;
                if is_first {
                    until = env.now().after(GRACE);
                }
                let goes_on = good == 0 || rhythm.goes_on;
                if goes_on && (is_first || !is_good) {
                    running.extend(queries.next());
                }
            }
            Some(None) => return,
            None if good > 0 || env.now() >= deadline => return,
            None => {
                running.extend(queries.next());
                until = env.now().after(rhythm.stagger);
            }
        }
    }
}

/// Sends commands to one node together, dialling it if need be. Returns one reply for each, which
/// may be an error reply.
///
/// # Errors
/// When not all replies came by the deadline.
pub(crate) async fn query_node(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    commands: &[Command],
    deadline: Timestamp,
) -> Result<Vec<Bytes>, Error> {
    let link = node.connect(env, deadline).await?;
    query_link(env, &link, commands, deadline).await
}

/// Sends commands over one connection together. Returns one reply for each, which may be an error
/// reply.
///
/// # Errors
/// When not all replies came by the deadline.
pub(super) async fn query_link(
    env: &Arc<Environment>,
    link: &Arc<Link>,
    commands: &[Command],
    deadline: Timestamp,
) -> Result<Vec<Bytes>, Error> {
    let entry = Entry {
        len: commands.iter().map(Command::encoded_len).sum(),
        replies: u32::try_from(commands.len()).expect("a query has a few commands"),
        deadline,
    };
    let write = |out: &mut Vec<u8>| commands.iter().for_each(|c| c.write_to(out));
    match submit(env, link, entry, &write).await? {
        Ok(reply) => Ok(reply.into_all()),
        Err(failed) => {
            let message = format!("no answer: {}", failed.failure);
            Err(Error::new(ErrorKind::Connect, Delivery::NotSent, message))
        }
    }
}
