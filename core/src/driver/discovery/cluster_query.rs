//! Asks a few nodes of a cluster for their view of it: CLUSTER SHARDS (before Redis 7 CLUSTER
//! SLOTS) and CLUSTER NODES.
//!
//! Connected nodes are asked first, up to `VIEWS_MAX` at once; then one more whenever one fails or
//! is slow (`staggered_query.rs`). `topology/merge` chooses among the views by epoch and majority,
//! not by which one came first.
//!
//! Limits: `VIEWS_MAX` views, `connect_timeout` for all of it.
//! Spec: redis.io/commands, CLUSTER SHARDS, CLUSTER SLOTS, CLUSTER NODES.

use crate::command::{Command, cmd};
use crate::driver::discovery::staggered_query::{Query, Rhythm, query_node, run_staggered};
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

/// How many views are enough.
const VIEWS_MAX: usize = 3;
/// How long a node may take before the next one is asked.
const STAGGER: Duration = Duration::from_millis(150);

/// What the nodes answered.
#[derive(Debug)]
pub(crate) struct ClusterAnswers {
    /// Good views; none if no node answered.
    pub(crate) views: Vec<View>,
    /// The last error.
    pub(crate) failure: Option<Error>,
}

/// Asks the nodes in the order given. `several`: one view is not enough, because it might be too
/// old to know what the client has learned from a redirect.
pub(crate) async fn query(
    env: &Arc<Environment>,
    candidates: Vec<Arc<Node>>,
    several: bool,
) -> ClusterAnswers {
    let deadline = env.now().after(env.config().connect_timeout);
    let answers = Mutex::new(ClusterAnswers { views: Vec::new(), failure: None });
    let live = |node: &Arc<Node>| node.ready().is_some_and(|link| !link.is_closed());
    let first = candidates.iter().take(VIEWS_MAX).filter(|node| live(node)).count().max(1);
    let rhythm = Rhythm { first, stagger: STAGGER, enough: VIEWS_MAX, goes_on: several };
    let query = |node: Arc<Node>| -> Query<'_> {
        Box::pin(async {
            let answer = view_of(env, node, deadline).await;
            let (is_good, mut answers) = (answer.is_ok(), lock(&answers));
            match answer {
                Ok(view) => answers.views.push(view),
                Err(error) => answers.failure = Some(error),
            }
            is_good
        })
    };
    run_staggered(env, rhythm, deadline, candidates.into_iter().map(query).collect()).await;
    answers.into_inner().unwrap_or_else(PoisonError::into_inner)
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
        Ok(frames.try_into().expect("a query of two commands that ended well has two replies"))
    };
    let [mut slots, nodes] = both([about("SHARDS"), about("NODES")]).await.map_err(name)?;
    let mut is_shards = true;
    // Servers before 7.0 do not know SHARDS.
    let unknown = [ErrorClass::UnknownCommand, ErrorClass::UnknownSubcommand];
    if error_in(&slots).is_some_and(|error| unknown.contains(&error.class())) {
        is_shards = false;
        [slots, _] = both([about("SLOTS"), cmd("PING")]).await.map_err(name)?;
    }
    if let Some(error) = error_in(&slots) {
        return Err(name(Error::server(Delivery::Refused, error)));
    }
    let broken = |what: String| {
        let message = format!("malformed view of the cluster: {what}");
        name(Error::new(ErrorKind::Topology, Delivery::Answered, message))
    };
    let value = |frame: &Bytes| plain_value(frame).map_err(|e| broken(e.to_string()));
    let config = env.config();
    let (asked, address_map) = (node.endpoint(), &config.address_map);
    let rule = AddressRule { asked, tls: config.tls, address_map };
    let parse = if is_shards { parse_shards } else { parse_slots };
    let view = parse(&value(&slots)?, rule).map_err(|error| broken(error.to_string()))?;
    // An ACL may forbid NODES. Views without epochs are chosen by majority.
    if error_in(&nodes).is_some() {
        return Ok(view);
    }
    let nodes = parse_nodes(&value(&nodes)?).map_err(|error| broken(error.to_string()))?;
    view.with_epochs(nodes, rule).map_err(|error| broken(error.to_string()))
}
