//! Asks a few nodes of a cluster for their view of it: CLUSTER SHARDS (if that is refused, in any
//! words, CLUSTER SLOTS) and CLUSTER NODES.
//!
//! Connected nodes are asked first, up to `VIEWS_MAX` at once; then one more whenever one fails or
//! is slow (`staggered_query.rs`). `topology/merge` chooses among the views by epoch and majority,
//! not by which one came first.
//!
//! Limits: `VIEWS_MAX` views, `connect_timeout` for all of it.
//! Spec: redis.io/commands, CLUSTER SHARDS, CLUSTER SLOTS, CLUSTER NODES.

use crate::command::Command;
use crate::connection::courtesy::{Courtesy, Withheld};
use crate::connection::handshake::{identity_of, is_unready};
use crate::driver::discovery::questions::{Asked, ask};
use crate::driver::discovery::staggered_query::{Query, Rhythm, query_link, run_staggered};
use crate::driver::environment::environment::Environment;
use crate::driver::link::link::Link;
use crate::driver::link::submit::error_in;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::lock::lock;
use crate::resp::plain_value;
use crate::time::Timestamp;
use crate::topology::identity::Identity;
use crate::topology::node_id::NodeId;
use crate::topology::parse::announced_address::AddressRule;
use crate::topology::parse::cluster_nodes::parse_nodes;
use crate::topology::parse::cluster_shards::parse_shards;
use crate::topology::parse::cluster_slots::parse_slots;
use crate::topology::view::View;
use bytes::Bytes;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many views are enough.
const VIEWS_MAX: usize = 3;
/// How long a node may take before the next one is asked.
const STAGGER: Duration = Duration::from_millis(150);

/// What the nodes answered.
#[derive(Debug)]
pub(crate) struct ClusterAnswers {
    /// Good views; none if no node answered.
    pub(crate) views: Vec<View>,
    /// For each view, who told it.
    pub(crate) tellers: Vec<Teller>,
    /// The last error.
    pub(crate) failure: Option<Error>,
}

/// Who told a view.
#[derive(Debug)]
pub(crate) struct Teller {
    /// The node that was asked.
    pub(crate) node: Arc<Node>,
    /// Any server at its address was asked, because another one was found there before.
    pub(crate) is_anyone: bool,
}

/// Asks the nodes in the order given. `several`: one view is not enough, because it might be too
/// old to know what the client has learned from a redirect.
pub(crate) async fn query(
    env: &Arc<Environment>,
    candidates: Vec<Arc<Node>>,
    several: bool,
) -> ClusterAnswers {
    let deadline = env.now().after(env.config().connect_timeout);
    let answers =
        Mutex::new(ClusterAnswers { views: Vec::new(), tellers: Vec::new(), failure: None });
    let live = |node: &Arc<Node>| node.ready().is_some_and(|link| !link.is_closed());
    let first = candidates.iter().take(VIEWS_MAX).filter(|node| live(node)).count().max(1);
    let rhythm = Rhythm { first, stagger: STAGGER, enough: VIEWS_MAX, goes_on: several };
    let query = |node: Arc<Node>| -> Query<'_> {
        Box::pin(async {
            let answer = view_of(env, &node, deadline).await;
            let (is_good, mut answers) = (answer.is_ok(), lock(&answers));
            match answer {
                Ok((view, is_anyone)) => {
                    answers.views.push(view);
                    answers.tellers.push(Teller { node, is_anyone });
                }
                Err(error) => answers.failure = Some(error),
            }
            is_good
        })
    };
    run_staggered(env, rhythm, deadline, candidates.into_iter().map(query).collect()).await;
    answers.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Asked {
    /// Compares what the server said about itself in CLUSTER NODES with what it told before.
    fn note_told_by(&self, env: &Environment, node: &Node, told_by: &NodeId) {
        let fits = || {
            let told = Identity::Node(told_by.clone());
            env.members().judge(node.target().expected(), &told).is_ok()
        };
        match self.link.identity() {
            Some(Identity::Node(id)) if id == told_by => {}
            // It has just told another id.
            Some(Identity::Node(_)) if self.is_own && fits() => env.members().note_contradiction(),
            // It has got another id since: the next connection is compared again.
            Some(Identity::Node(_)) if !self.is_own => node.give_up(),
            _ => {}
        }
    }
}

/// One node's view, and whether any server at its address was asked for it.
async fn view_of(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    deadline: Timestamp,
) -> Result<(View, bool), Error> {
    let mut asked = Asked::connect(env, node, deadline).await?;
    let name = |error: Error| error.with_endpoint(node.endpoint());
    let answers = ask(env, node, &mut asked, &questions, deadline).await?;
    let answer = |which| answers.iter().find(|(asked, _)| *asked == which).map(|(_, reply)| reply);
    if let Some(Ok(told)) = answer(Courtesy::MyId).map(identity_of) {
        asked.link.set_identity(told);
        node.recheck(env);
    }
    let slots = match (answer(Courtesy::Shards), answer(Courtesy::Slots)) {
        (Some(shards), _) if !is_refused(shards) => Ok(shards.clone()),
        (_, Some(slots)) => Err(slots.clone()),
        // Servers before 7.0 do not know SHARDS, proxies refuse it in many words.
        _ => {
            let commands = [Courtesy::Slots.command()];
            let frames = query_link(env, &asked.link, &commands, deadline).await;
            Err(frames.map_err(name)?.swap_remove(0))
        }
    };
    let (Ok(frame) | Err(frame)) = &slots;
    if let Some(error) = error_in(frame) {
        return Err(name(Error::server(Delivery::Refused, error)));
    }
    let broken = |what: String| {
        let message = format!("malformed view of the cluster: {what}");
        name(Error::new(ErrorKind::Topology, Delivery::Answered, message))
    };
    let value = |frame: &Bytes| plain_value(frame).map_err(|e| broken(e.to_string()));
    let config = env.config();
    let address_map = &config.address_map;
    let rule = AddressRule { asked: node.endpoint(), tls: config.tls, address_map };
    let parse = if slots.is_ok() { parse_shards } else { parse_slots };
    let view = parse(&value(frame)?, rule).map_err(|error| broken(error.to_string()))?;
    // An ACL may forbid NODES, and it may be unreadable. Views without epochs are chosen by
    // majority.
    let nodes = answer(Courtesy::Nodes).and_then(|nodes| plain_value(nodes).ok());
    let view = match nodes.and_then(|nodes| parse_nodes(&nodes).ok()) {
        Some(nodes) => view.with_epochs(nodes, rule).map_err(|error| broken(error.to_string()))?,
        None => view,
    };
    env.telemetry().entries_left_out.fetch_add(view.left_out.into(), Ordering::Relaxed);
    if let Some(told_by) = &view.told_by {
        asked.note_told_by(env, node, told_by);
    }
    Ok((view, asked.is_own))
}

/// What a node is asked: SHARDS, or SLOTS where it hangs up on that; NODES; who it is, on a
/// connection whose handshake was written together with a command.
fn questions(link: &Link, withheld: Withheld) -> Vec<(Courtesy, Command)> {
    let slots = if withheld.has(Courtesy::Shards) { Courtesy::Slots } else { Courtesy::Shards };
    let mut which = vec![slots];
    if !withheld.has(Courtesy::Nodes) {
        which.push(Courtesy::Nodes);
    }
    if link.identity().is_none() && !withheld.has(Courtesy::MyId) {
        which.push(Courtesy::MyId);
    }
    which.into_iter().map(|courtesy| (courtesy, courtesy.command())).collect()
}

/// Whether the server refuses the question, and would not refuse every other one now as well.
fn is_refused(reply: &Bytes) -> bool {
    error_in(reply).is_some_and(|error| !is_unready(&error))
}
