//! One look at a cluster: several nodes asked at once, a few views brought back.
//!
//! Nodes with a live connection are asked first, three at a time; then one more whenever one fails
//! or is slow, so that a hung node costs a stagger and a dead seed no more than that. The look ends
//! a moment after the first good view: others that are on their way may still join, for the choice
//! among views is made by epoch and majority (`topology/merge.rs`), not by who is first.
//!
//! Limits: `VIEWS_MAX` views, `connect_timeout` for the whole look. Called by `driver/topology.rs`.

use crate::command::{Command, cmd};
use crate::driver::discovery::staggered_query::{Manner, Question, ask, query_node};
use crate::driver::environment::environment::Environment;
use crate::driver::link::submit::error_in;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::lock::lock;
use crate::resp::{ErrorClass, plain_value};
use crate::time::Timestamp;
use crate::topology::parse::announced_address::AddressRule;
use crate::topology::parse::cluster_nodes::parse_nodes;
use crate::topology::parse::cluster_shards::parse_shards;
use crate::topology::parse::cluster_slots::parse_slots;
use crate::topology::view::View;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Views that are enough.
const VIEWS_MAX: usize = 3;
/// How long a node may keep the next one waiting.
const STAGGER: Duration = Duration::from_millis(150);

/// What a look brought.
#[derive(Debug)]
pub(crate) struct Found {
    /// Good views; none if nobody answered.
    pub(crate) views: Vec<View>,
    /// The last thing that went wrong.
    pub(crate) failure: Option<Error>,
}

/// Asks, in the order given. `doubtful`: what is held is to be confirmed or disproved, which takes
/// more than one view, since one alone might just be old.
pub(crate) async fn look(
    env: &Arc<Environment>,
    candidates: Vec<Arc<Node>>,
    doubtful: bool,
) -> Found {
    let deadline = env.now().after(env.config().connect_timeout);
    let found = Mutex::new(Found { views: Vec::new(), failure: None });
    let live = |node: &Arc<Node>| node.ready().is_some_and(|link| !link.is_closed());
    let wave = candidates.iter().take(VIEWS_MAX).filter(|node| live(node)).count().max(1);
    let manner = Manner { wave, stagger: STAGGER, enough: VIEWS_MAX, goes_on: doubtful };
    let question = |node: Arc<Node>| -> Question<'_> {
        Box::pin(async {
            let answer = view_of(env, node, deadline).await;
            let (is_good, mut found) = (answer.is_ok(), lock(&found));
            match answer {
                Ok(view) => found.views.push(view),
                Err(error) => found.failure = Some(error),
            }
            is_good
        })
    };
    ask(env, manner, deadline, candidates.into_iter().map(question).collect()).await;
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// One node's view.
async fn view_of(
    env: &Arc<Environment>,
    node: Arc<Node>,
    deadline: Timestamp,
) -> Result<View, Error> {
    let name = |error: Error| error.with_endpoint(node.endpoint());
    let about = |what| cmd("CLUSTER").arg(what);
    let both = async |commands: [Command; 2]| -> Result<[Bytes; 2], Error> {
        let frames = query_node(env, &node, &commands, deadline).await?;
        Ok(frames.try_into().expect("a question of two that ended well has two replies"))
    };
    let [mut shape, nodes] = both([about("SHARDS"), about("NODES")]).await.map_err(name)?;
    let mut shards = true;
    // Servers before 7.0 do not know SHARDS.
    let unknown = [ErrorClass::UnknownCommand, ErrorClass::UnknownSubcommand];
    if error_in(&shape).is_some_and(|error| unknown.contains(&error.class())) {
        shards = false;
        [shape, _] = both([about("SLOTS"), cmd("PING")]).await.map_err(name)?;
    }
    if let Some(error) = error_in(&shape) {
        return Err(name(Error::server(Delivery::Refused, error)));
    }
    let broken = |what: String| {
        let message = format!("a view of the cluster that makes no sense: {what}");
        name(Error::new(ErrorKind::Topology, Delivery::Answered, message))
    };
    let value = |frame: &Bytes| plain_value(frame).map_err(|e| broken(e.to_string()));
    let config = env.config();
    let (asked, address_map) = (node.endpoint(), &config.address_map);
    let rule = AddressRule { asked, tls: config.tls, address_map };
    let parse = if shards { parse_shards } else { parse_slots };
    let view = parse(&value(&shape)?, rule).map_err(|error| broken(error.to_string()))?;
    // An ACL may forbid NODES; a view without epochs is chosen by majority.
    if error_in(&nodes).is_some() {
        return Ok(view);
    }
    let nodes = parse_nodes(&value(&nodes)?).map_err(|error| broken(error.to_string()))?;
    view.with_epochs(nodes).map_err(|error| broken(error.to_string()))
}
