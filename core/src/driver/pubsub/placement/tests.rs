//! Placement as tables: a channel, its node until now, and the nodes that cannot be reached.
//!
//! The cluster has three shards, with a node for each letter: `a` with its replica `x`, `b` with
//! its replicas `y` and `w`, `c` alone. `z` is a node that has left. The last slot has no owner.

use super::*;
use crate::BoxFuture;
use crate::config::{Among, Config, ReadFrom};
use crate::connection::handshake::Profile;
use crate::driver::environment::environment::Environment;
use crate::endpoint::Endpoint;
use crate::error::{Delivery, ErrorKind};
use crate::rng::Rng;
use crate::topology::cluster_map::{ClusterMap, MapParts};
use crate::topology::node_id::NodeId;
use crate::topology::slot::SLOT_COUNT;
use crate::topology::slot_map::{Shard, UNCOVERED};
use crate::topology::view::{NodeView, ReportedHealth, Role};
use crate::transport::{ByteStream, Transport};
use ChannelKind::{Classic, Pattern, Sharded};
use futures::FutureExt;
use std::io;

/// A transport whose every attempt to connect fails at once.
#[derive(Debug)]
struct Refusing;

impl Transport for Refusing {
    fn connect<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())))
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn seed(&self) -> u64 {
        7
    }
}

/// The members of the cluster, the primaries first.
const MEMBERS: &str = "abcxyw";

struct World {
    env: Arc<Environment>,
    routes: Routes,
    /// A node that has left.
    former: Arc<Node>,
}

impl World {
    /// A cluster of these shards, as indexes into `MEMBERS`.
    fn new(shards: Vec<Shard>) -> Self {
        let env = Arc::new(Environment::new(Arc::new(Refusing), Config::default()));
        let count = shards.len() as u16;
        let share = (SLOT_COUNT - 1) / count;
        let owner = |slot: u16| if slot + 1 == SLOT_COUNT { UNCOVERED } else { slot / share };
        let owners = (0..SLOT_COUNT).map(owner).collect();
        let primary = |at: usize| shards.iter().any(|shard| shard.primary == at);
        let members = MEMBERS.chars().enumerate();
        let nodes = members.map(|(at, name)| Arc::new(view(name, primary(at)))).collect();
        let epochs = vec![None; shards.len()];
        let parts = MapParts { nodes, shards, owners, epochs, ..MapParts::default() };
        let nodes = MEMBERS.chars().map(|name| Some(node(name, &env))).collect();
        let routes = Routes::new(ClusterMap::assemble(1, parts), nodes, &mut Rng::new(1));
        let former = node('z', &env);
        Self { env, routes, former }
    }

    fn three_shards() -> Self {
        let shard = |primary, replicas| Shard { primary, replicas };
        Self::new(vec![shard(0, vec![3]), shard(1, vec![4, 5]), shard(2, vec![])])
    }

    fn node(&self, name: char) -> &Arc<Node> {
        let at = MEMBERS.chars().position(|member| member == name);
        at.map_or(&self.former, |at| self.routes.node(at).expect("all members can be dialled"))
    }

    /// Nodes that could not be connected to.
    fn unreachable(&self, names: &str) -> Unreachable {
        let one = |name| {
            let error = Error::new(ErrorKind::Connect, Delivery::NotSent, "refused");
            (self.node(name).number(), error)
        };
        names.chars().map(one).collect()
    }
}

fn view(name: char, is_primary: bool) -> NodeView {
    let endpoint = Endpoint::tcp(&name.to_string(), 1);
    NodeView {
        id: NodeId::provisional(&endpoint),
        endpoint: Some(endpoint),
        announced: None,
        aliases: Vec::new(),
        role: if is_primary { Role::Primary } else { Role::Replica },
        zone: None,
        offset: None,
        health: ReportedHealth::Online,
        link_up: true,
    }
}

fn node(name: char, env: &Environment) -> Arc<Node> {
    Arc::new(Node::new(Endpoint::tcp(&name.to_string(), 1), Profile::Server, env))
}

fn shown(node: Option<&Arc<Node>>) -> String {
    node.map_or("-".to_owned(), |node| node.endpoint().to_string().replace(":1", ""))
}

/// A slot of the shard of `a`, `b` or `c`, or the one without an owner.
fn slot(owner: char) -> Slot {
    let share = (SLOT_COUNT - 1) / 3;
    let number = match owner {
        'a' => 0,
        'b' => share,
        'c' => 2 * share,
        _ => SLOT_COUNT - 1,
    };
    Slot::new(number).expect("it is a slot")
}

#[test]
fn a_sharded_channel_goes_to_its_owner_and_others_stay_or_evade() {
    let world = World::three_shards();
    // Kind, owner of the slot, node until now, unreachable nodes, expected.
    let table = [
        (Sharded, 'a', None, "", "a"),
        (Sharded, 'b', None, "", "b"),
        (Sharded, 'a', Some('b'), "", "a"),
        (Sharded, 'a', None, "a", "a"),
        (Sharded, '-', None, "", "-"),
        (Classic, 'a', None, "", "a"),
        (Classic, 'c', None, "", "c"),
        (Classic, 'a', Some('b'), "", "b"),
        (Classic, 'a', Some('y'), "", "y"),
        (Classic, 'a', Some('z'), "", "a"),
        (Classic, 'b', None, "b", "a"),
        (Classic, 'a', None, "a", "b"),
        (Classic, 'a', None, "ab", "c"),
        (Classic, 'a', None, "abc", "x"),
        (Classic, 'a', None, "abcxyw", "a"),
        (Classic, '-', None, "", "a"),
        (Classic, '-', None, "abcxyw", "-"),
        (Pattern, 'a', Some('c'), "", "c"),
        (Pattern, 'a', None, "a", "b"),
    ];
    for (kind, owner, current, unreachable, expected) in table {
        let current = current.map(|name| world.node(name));
        let unreachable = world.unreachable(unreachable);
        let node = by_slot(kind, slot(owner), current, &unreachable, &world.routes);
        assert_eq!(shown(node), expected, "{kind:?} of {owner}, until now at {current:?}");
    }
}

/// A node that commands cannot connect to is avoided without an attempt of the subscriber's own.
#[test]
fn a_node_that_commands_cannot_reach_is_avoided() {
    let world = World::three_shards();
    let deadline = Timestamp::ZERO.after(std::time::Duration::from_secs(1));
    drop(world.node('a').connect(&world.env, deadline).now_or_never());
    assert!(world.node('a').is_failing());
    assert_eq!(shown(by_slot(Classic, slot('a'), None, &Unreachable::new(), &world.routes)), "b");
    assert_eq!(shown(by_slot(Sharded, slot('a'), None, &Unreachable::new(), &world.routes)), "a");
}

#[test]
fn where_there_is_one_shard_every_channel_is_at_its_primary() {
    let replicas = vec![1, 2, 3, 4, 5];
    let world = World::new(vec![Shard { primary: 0, replicas }]);
    for kind in [Classic, Pattern, Sharded] {
        for current in [None, Some('x')] {
            let current = current.map(|name| world.node(name));
            let unreachable = world.unreachable("a");
            let node = by_slot(kind, slot('a'), current, &unreachable, &world.routes);
            assert_eq!(shown(node), "a", "{kind:?}");
        }
    }
}

#[test]
fn under_a_policy_a_channel_stays_at_its_node_while_the_policy_allows_it() {
    let world = World::three_shards();
    // Policy, owner of the slot, node until now, unreachable nodes, expected (one of).
    let table = [
        (ReadFrom::Replica, 'a', None, "", "x"),
        (ReadFrom::Replica, 'a', Some('x'), "", "x"),
        (ReadFrom::Replica, 'a', Some('a'), "", "x"),
        (ReadFrom::Replica, 'a', Some('y'), "", "x"),
        (ReadFrom::Replica, 'a', None, "x", "-"),
        (ReadFrom::Replica, 'b', None, "", "yw"),
        (ReadFrom::Replica, 'b', Some('w'), "", "w"),
        (ReadFrom::Replica, 'b', Some('y'), "", "y"),
        (ReadFrom::Replica, 'b', Some('w'), "w", "y"),
        (ReadFrom::Replica, 'c', None, "", "-"),
        (ReadFrom::Replica, '-', None, "", "-"),
        (ReadFrom::PreferReplica, 'a', None, "x", "a"),
        (ReadFrom::PreferReplica, 'a', Some('a'), "", "a"),
        (ReadFrom::PreferReplica, 'c', None, "", "c"),
        (ReadFrom::RoundRobin(Among::All), 'a', None, "a", "x"),
        (ReadFrom::RoundRobin(Among::All), 'a', Some('a'), "x", "a"),
    ];
    for (policy, owner, current, unreachable, expected) in table {
        let config = Config { read_from: policy.clone(), ..Config::default() };
        let settings = Arc::new(ReadSettings::of(&config));
        let current = current.map(|name| world.node(name));
        let unreachable = world.unreachable(unreachable);
        let (now, routes) = (Timestamp::ZERO, &world.routes);
        for _ in 0..3 {
            let node = by_read_policy(slot(owner), current, &unreachable, routes, &settings, now);
            let node = shown(node);
            assert!(expected.contains(&node), "{policy:?} of {owner}: {node}, not {expected}");
        }
    }
}

/// Which nodes are asked for keyspace events: all that serve slots, and no other node.
#[test]
fn every_primary_that_serves_slots_tells_of_keys() {
    let shown = |routes: &Routes| {
        let found = primaries(routes);
        found.iter().map(|node| shown(node.as_ref())).collect::<Vec<_>>().join(" ")
    };
    let world = World::three_shards();
    assert_eq!(shown(&world.routes), "a b c");
    // One that nobody can dial is told as unknown.
    let mut nodes = world.routes.nodes.to_vec();
    nodes[1] = None;
    let routes = Routes::new(world.routes.map.clone(), nodes, &mut Rng::new(1));
    assert_eq!(shown(&routes), "a - c");
    // `a` was the last owner of slots that no node serves; `c` has lost its only slot.
    let map = &world.routes.map;
    let owners = |slot: &Slot| map.slots().owner_at(*slot);
    let uncovered =
        every_slot().filter(|slot| owners(slot) == 0).map(|slot| (slot, Timestamp::ZERO));
    let parts = MapParts {
        nodes: map.nodes().to_vec(),
        shards: map.slots().shards().to_vec(),
        owners: every_slot().map(|slot| owners(&slot).min(1)).collect(),
        epochs: vec![None; 3],
        uncovered: uncovered.collect(),
        ..MapParts::default()
    };
    let map = ClusterMap::assemble(2, parts);
    let routes = Routes::new(map, world.routes.nodes.to_vec(), &mut Rng::new(1));
    assert_eq!(shown(&routes), "b");
    let world = World::new(vec![Shard { primary: 0, replicas: vec![1, 2, 3, 4, 5] }]);
    assert_eq!(shown(&world.routes), "a");
    let empty = Routes::new(ClusterMap::empty(), Vec::new(), &mut Rng::new(1));
    assert_eq!(shown(&empty), "-");
}
