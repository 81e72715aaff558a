//! Asks a few nodes of a cluster for their view of it: CLUSTER SHARDS (before Redis 7 CLUSTER
//! SLOTS) and CLUSTER NODES.
//!
//! Connected nodes are asked first, up to `VIEWS_MAX` at once; then one more whenever one fails or
//! is slow (`staggered_query.rs`). `topology/merge` chooses among the views by epoch and majority,
//! not by which one came first.
//!
//! Limits: `VIEWS_MAX` views, `connect_timeout` for all of it.
//! Spec: redis.io/commands, CLUSTER SHARDS, CLUSTER SLOTS, CLUSTER NODES.

use crate::command::cmd;
use crate::connection::handshake::identity_of;
use crate::driver::discovery::staggered_query::{Query, Rhythm, query_link, run_staggered};
use crate::driver::environment::environment::Environment;
use crate::driver::link::dial::open;
use crate::driver::link::link::Link;
use crate::driver::link::submit::error_in;
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::lock::lock;
use crate::resp::{ErrorClass, plain_value};
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

/// The connection that a node is asked on. Where another server than the one that the map means
/// listens at the node's address, that server is asked, on a connection of its own: it may know
/// where the node is, or that the whole cluster was replaced.
struct Asked {
    /// The connection.
    link: Arc<Link>,
    /// It is for this question only.
    is_own: bool,
}

impl Asked {
    async fn connect(
        env: &Arc<Environment>,
        node: &Arc<Node>,
        deadline: Timestamp,
    ) -> Result<Self, Error> {
        if !node.target().is_mistaken() {
            match node.connect(env, deadline).await {
                Ok(link) => return Ok(Self { link, is_own: false }),
                Err(error) if !node.target().is_mistaken() => return Err(error),
                Err(_) => {}
            }
        }
        let anyone = node.target().anyone_there();
        let settings = env.link_settings(&env.node_budget());
        Ok(Self { link: open(&anyone, env, settings, false).await?, is_own: true })
    }

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

impl Drop for Asked {
    fn drop(&mut self) {
        if self.is_own {
            self.link.close();
        }
    }
}

/// One node's view, and whether any server at its address was asked for it.
async fn view_of(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    deadline: Timestamp,
) -> Result<(View, bool), Error> {
    let asked = Asked::connect(env, node, deadline).await?;
    let name = |error: Error| error.with_endpoint(node.endpoint());
    let about = |what| cmd("CLUSTER").arg(what);
    let mut commands = vec![about("SHARDS"), about("NODES")];
    // A connection whose handshake is written together with this.
    if asked.link.identity().is_none() {
        commands.push(about("MYID"));
    }
    let frames = query_link(env, &asked.link, &commands, deadline).await.map_err(name)?;
    let [shards, nodes, myid @ ..] = frames.as_slice() else {
        unreachable!("a query that ended well has a reply for each command")
    };
    if let Some(Ok(told)) = myid.first().map(identity_of) {
        asked.link.set_identity(told);
        node.recheck(env);
    }
    let (mut slots, mut is_shards) = (shards.clone(), true);
    // Servers before 7.0 do not know SHARDS.
    let unknown = [ErrorClass::UnknownCommand, ErrorClass::UnknownSubcommand];
    if error_in(&slots).is_some_and(|error| unknown.contains(&error.class())) {
        is_shards = false;
        let frames = query_link(env, &asked.link, &[about("SLOTS")], deadline).await;
        slots = frames.map_err(name)?.swap_remove(0);
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
    let address_map = &config.address_map;
    let rule = AddressRule { asked: node.endpoint(), tls: config.tls, address_map };
    let parse = if is_shards { parse_shards } else { parse_slots };
    let view = parse(&value(&slots)?, rule).map_err(|error| broken(error.to_string()))?;
    // An ACL may forbid NODES, and it may be unreadable. Views without epochs are chosen by
    // majority.
    let nodes = plain_value(nodes).ok().and_then(|nodes| parse_nodes(&nodes).ok());
    let view = match nodes {
        Some(nodes) => view.with_epochs(nodes, rule).map_err(|error| broken(error.to_string()))?,
        None => view,
    };
    env.telemetry().entries_left_out.fetch_add(view.left_out.into(), Ordering::Relaxed);
    if let Some(told_by) = &view.told_by {
        asked.note_told_by(env, node, told_by);
    }
    Ok((view, asked.is_own))
}
