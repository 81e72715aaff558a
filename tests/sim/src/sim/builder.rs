//! Configures a simulation: how many servers of which kind, on what network, with which seed.
//!
//! **Invariants**: everything starts in a settled state. Replicas have all data of their primary,
//! and all nodes of a cluster have the same view.

use super::Sim;
use crate::cluster::{PreferredEndpoint, Settings};
use crate::executor::{RunLimits, Shared};
use crate::failure::Failure;
use crate::ids::HostId;
use crate::sentinel::{self, Sentinel};
use crate::serve::{self, Served};
use crate::server::config::{Config, Version};
use crate::world::World;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The port of every simulated server; each has an address of its own.
const PORT: u16 = 6379;
/// The port of every simulated sentinel.
const SENTINEL_PORT: u16 = 26379;
/// The default host of clients.
pub(super) const CLIENT: &str = "client";
/// The name of the service that sentinels monitor, by default.
const DEFAULT_SERVICE: &str = "mymaster";

/// The default time that a message takes in one direction.
const LATENCY: Duration = Duration::from_micros(500);

/// The kind and number of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deployment {
    /// One primary and its replicas.
    Standalone {
        /// How many replicas.
        replicas: usize,
    },
    /// A primary and its replicas, monitored by sentinels.
    Sentinel {
        /// How many replicas.
        replicas: usize,
        /// How many sentinels.
        sentinels: usize,
    },
    /// Shards of a cluster, each with replicas.
    Cluster {
        /// How many shards.
        shards: usize,
        /// How many replicas each.
        replicas: usize,
    },
}

/// A simulation that has not started yet.
///
/// Made by [`Sim::standalone`], [`Sim::replicated`], [`Sim::sentinel`] or [`Sim::cluster`]; ended
/// by [`SimBuilder::run`] or [`SimBuilder::start`].
#[derive(Clone, Debug)]
#[must_use = "a simulation does nothing before `run` or `start`"]
pub struct SimBuilder {
    /// The kind and number of servers.
    deployment: Deployment,
    /// The seed, which replays the run.
    seed: u64,
    /// Configuration of each server.
    config: Config,
    /// Time that a message takes in one direction, between any two hosts.
    latency: Duration,
    /// Upper bound of the random time added to it.
    jitter: Duration,
    /// Bytes per second of one connection; 0 for no limit.
    bytes_per_second: u64,
    /// Configuration of a cluster.
    pub(super) cluster: Settings,
    /// Configuration of sentinels.
    sentinel: sentinel::Settings,
    /// Nodes of a cluster have host names.
    pub(super) hostnames: bool,
    /// Bounds of a run.
    limits: RunLimits,
    /// Addresses of servers that do not have the default one, by name.
    addresses: BTreeMap<String, SocketAddr>,
}

impl SimBuilder {
    fn new(deployment: Deployment) -> Self {
        Self {
            deployment,
            seed: 0,
            config: Config::default(),
            latency: LATENCY,
            jitter: Duration::ZERO,
            bytes_per_second: 0,
            cluster: Settings::default(),
            sentinel: sentinel::Settings {
                service: DEFAULT_SERVICE.into(),
                quorum: 0,
                down_after: Duration::from_secs(1),
                failover_timeout: Duration::from_secs(10),
            },
            hostnames: false,
            limits: RunLimits::default(),
            addresses: BTreeMap::new(),
        }
    }

    pub(super) fn standalone(replicas: usize) -> Self {
        Self::new(Deployment::Standalone { replicas })
    }

    pub(super) fn sentinel(replicas: usize, sentinels: usize) -> Self {
        Self::new(Deployment::Sentinel { replicas, sentinels: sentinels.max(1) })
    }

    pub(super) fn cluster(shards: usize, replicas: usize) -> Self {
        Self::new(Deployment::Cluster { shards: shards.max(1), replicas })
    }

    /// After this long without a reply a node of a cluster, or a sentinel, counts a server as
    /// failing; 1 s by default.
    pub fn node_timeout(mut self, timeout: Duration) -> Self {
        self.cluster.node_timeout = timeout;
        self.sentinel.down_after = timeout;
        self
    }

    /// The name of the service that sentinels monitor; `mymaster` by default.
    pub fn service(mut self, name: &str) -> Self {
        self.sentinel.service = name.into();
        self
    }

    /// How many sentinels must report the primary down; more than half of them by default.
    pub fn quorum(mut self, sentinels: usize) -> Self {
        self.sentinel.quorum = sentinels;
        self
    }

    /// How long a step of a sentinel's failover may take. After twice this time the failover is
    /// tried again. 10 s by default.
    pub fn failover_timeout(mut self, timeout: Duration) -> Self {
        self.sentinel.failover_timeout = timeout;
        self
    }

    /// Whether one slot without an owner makes the whole cluster refuse requests; yes by default.
    pub fn full_coverage(mut self, required: bool) -> Self {
        self.cluster.full_coverage = required;
        self
    }

    /// Whether nodes serve reads while the cluster is down; no by default.
    pub fn reads_when_down(mut self, allowed: bool) -> Self {
        self.cluster.reads_when_down = allowed;
        self
    }

    /// What nodes announce as their endpoint to clients; addresses by default. With names, node `a`
    /// is called `a.sim`.
    pub fn endpoints(mut self, preferred: PreferredEndpoint) -> Self {
        self.hostnames |= preferred == PreferredEndpoint::Hostname;
        self.cluster.endpoint = preferred;
        self
    }

    /// Whether nodes have host names, independent of what they announce.
    pub fn hostnames(mut self, on: bool) -> Self {
        self.hostnames = on;
        self
    }

    /// The seed of every random choice of the run; equal seeds give equal runs. 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Which server version is simulated; Redis 8.0 by default.
    pub fn version(mut self, version: Version) -> Self {
        self.config.version = version;
        self
    }

    /// The password of the default user; none by default.
    pub fn password(mut self, password: &str) -> Self {
        self.config.users.insert("default".to_owned(), password.to_owned());
        self
    }

    /// Adds a user with a password.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.config.users.insert(name.to_owned(), password.to_owned());
        self
    }

    /// Time that a message takes in one direction; 0.5 ms by default.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Upper bound of a random time added to each message; zero by default.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Bandwidth of one connection in one direction; unlimited by default.
    pub fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.bytes_per_second = bytes;
        self
    }

    /// How long a server answers LOADING after a restart or a full synchronisation; zero by
    /// default.
    pub fn loading(mut self, loading: Duration) -> Self {
        self.config.loading = loading;
        self
    }

    /// Where a server listens, instead of at an address of its own and port 6379.
    pub fn listening(mut self, server: &str, address: SocketAddr) -> Self {
        self.addresses.insert(server.to_owned(), address);
        self
    }

    /// How many connections each server accepts; 10,000 by default.
    pub fn clients_max(mut self, clients: usize) -> Self {
        self.config.clients_max = clients;
        self
    }

    /// How much virtual time the run may take; a day by default.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limits.total = limit;
        self
    }

    /// How much virtual time may pass while no task runs or waits for a timer; two minutes by
    /// default.
    pub fn idle_limit(mut self, limit: Duration) -> Self {
        self.limits.idle = limit;
        self
    }

    /// Starts the servers.
    #[must_use]
    pub fn start(self) -> Sim {
        let shared = Shared::new(self.seed);
        shared.with_world(|world| self.build(world));
        Sim::new(shared, self.seed, self.limits)
    }

    /// Starts the servers, runs `test` to its end, and checks that no task, timer or stream is
    /// left.
    ///
    /// # Panics
    /// When the run cannot end or leaks. The text has the last trace lines and the way to replay
    /// the run.
    pub fn run<F: Future>(self, test: impl FnOnce(Sim) -> F) -> F::Output {
        let sim = self.start();
        sim.run(test)
    }

    /// Like [`SimBuilder::run`], with the failure as a value.
    ///
    /// # Errors
    /// The reason why the run was ended.
    pub fn try_run<F: Future>(self, test: impl FnOnce(Sim) -> F) -> Result<F::Output, Failure> {
        let sim = self.start();
        sim.try_run(test)
    }

    /// Puts the servers on real sockets of 127.0.0.1, in real time, until the returned value is
    /// dropped. Messages between servers take no time unless `latency` was set to something else
    /// than its default.
    ///
    /// ```
    /// use slotcar_sim::Sim;
    /// use std::io::{Read, Write};
    /// use std::net::TcpStream;
    ///
    /// let served = Sim::standalone().serve().unwrap();
    /// let mut stream = TcpStream::connect(served.addresses()["a"]).unwrap();
    /// stream.write_all(b"PING\r\n").unwrap();
    /// let mut reply = [0; 7];
    /// stream.read_exact(&mut reply).unwrap();
    /// assert_eq!(&reply, b"+PONG\r\n");
    /// ```
    ///
    /// # Errors
    /// A port could not be bound.
    pub fn serve(self) -> std::io::Result<Served> {
        self.serve_at(None)
    }

    /// Like [`SimBuilder::serve`], on the ports from `first` on, in the order of the servers'
    /// names.
    ///
    /// # Errors
    /// A port could not be bound.
    pub fn serve_from(self, first: u16) -> std::io::Result<Served> {
        self.serve_at(Some(first))
    }

    fn serve_at(mut self, first: Option<u16>) -> std::io::Result<Served> {
        let listeners = serve::listen(self.names(), first)?;
        for (name, listener) in &listeners {
            self.addresses.insert(name.clone(), listener.local_addr()?);
        }
        if self.latency == LATENCY {
            self.latency = Duration::ZERO;
        }
        let sim = self.start();
        let shared = Arc::clone(&sim.shared);
        serve::serve(sim, shared, listeners)
    }

    /// The names that the servers will have.
    fn names(&self) -> Vec<String> {
        let shard = |index: usize, replicas: usize| {
            (0..=replicas).map(move |member| server_name(index, member))
        };
        match self.deployment {
            Deployment::Standalone { replicas } => shard(0, replicas).collect(),
            Deployment::Cluster { shards, replicas } => {
                (0..shards).flat_map(|index| shard(index, replicas)).collect()
            }
            Deployment::Sentinel { replicas, sentinels } => {
                let sentinels = (1..=sentinels).map(|number| format!("s{number}"));
                shard(0, replicas).chain(sentinels).collect()
            }
        }
    }

    /// Where a server listens.
    pub(super) fn address(&self, shard: usize, member: usize) -> SocketAddr {
        let placed = self.addresses.get(&server_name(shard, member)).copied();
        placed.unwrap_or_else(|| address((shard, member)))
    }

    fn build(&self, world: &mut World) {
        world.network.links.latency = self.latency;
        world.network.links.jitter = self.jitter;
        world.network.links.bytes_per_second = self.bytes_per_second;
        let hosts = match self.deployment {
            Deployment::Standalone { replicas } => self.build_shard(world, 0, replicas),
            Deployment::Sentinel { replicas, sentinels } => {
                let mut hosts = self.build_shard(world, 0, replicas);
                hosts.extend(self.build_sentinels(world, replicas, sentinels));
                hosts
            }
            Deployment::Cluster { shards, replicas } => {
                self.build_cluster(world, 0, shards, replicas)
            }
        };
        // Tests cut it off before they make it.
        world.add_host(CLIENT, None);
        for host in hosts {
            let (mut env, _, fleet) = world.split();
            fleet.started(&mut env, host);
        }
    }

    /// A primary and its replicas with equal data, not started yet.
    pub(super) fn build_shard(
        &self,
        world: &mut World,
        index: usize,
        replicas: usize,
    ) -> Vec<HostId> {
        let primary = self.add_server(world, &server_name(index, 0), (index, 0));
        let mut hosts = vec![primary];
        for number in 1..=replicas {
            let replica = self.add_server(world, &server_name(index, number), (index, number));
            let Some(server) = world.fleet.server_mut(primary) else { continue };
            server.replication.start_with(replica, self.address(index, number));
            let history = server.replication.history.clone();
            if let Some(server) = world.fleet.server_mut(replica) {
                server.replication.start_following(self.address(index, 0), &history);
            }
            hosts.push(replica);
        }
        hosts
    }

    /// Sentinels that know the primary, its replicas and each other, and are not started yet.
    fn build_sentinels(&self, world: &mut World, replicas: usize, count: usize) -> Vec<HostId> {
        let mut settings = self.sentinel.clone();
        if settings.quorum == 0 {
            settings.quorum = count / 2 + 1;
        }
        let mut members: Vec<(HostId, Arc<str>, SocketAddr)> = Vec::new();
        for number in 1..=count {
            let name = format!("s{number}");
            let placed = self.addresses.get(&name).copied();
            let address = placed.unwrap_or_else(|| sentinel_address(number));
            let host = world.add_host(&name, Some(address));
            world.names.set(&format!("{name}.sim"), vec![address.ip()]);
            let config = Config { users: BTreeMap::new(), ..self.config.clone() };
            world.fleet.add(host, &name, address, config);
            members.push((host, Sentinel::new_id(world.rng.next_u64()), address));
        }
        for (host, id, _) in &members {
            let mut sentinel = Sentinel::new(Arc::clone(id), settings.clone(), self.address(0, 0));
            for number in 1..=replicas {
                sentinel.add_known_replica(self.address(0, number));
            }
            for (other, id, address) in members.iter().filter(|(other, ..)| other != host) {
                sentinel.add_known_peer(*other, Arc::clone(id), *address);
            }
            if let Some(server) = world.fleet.server_mut(*host) {
                server.sentinel = Some(Box::new(sentinel));
            }
        }
        members.into_iter().map(|(host, ..)| host).collect()
    }

    fn add_server(&self, world: &mut World, name: &str, place: (usize, usize)) -> HostId {
        let address = self.address(place.0, place.1);
        let host = world.add_host(name, Some(address));
        world.names.set(&format!("{name}.sim"), vec![address.ip()]);
        world.fleet.add(host, name, address, self.config.clone());
        host
    }
}

/// The primary of a shard, or one of its replicas.
fn server_name(shard: usize, member: usize) -> String {
    let name = shard_name(shard);
    if member == 0 { name } else { format!("{name}{member}") }
}

/// `a` to `z`, then `aa` and so on.
fn shard_name(index: usize) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    match index / 26 {
        0 => letter.to_string(),
        above => shard_name(above - 1) + &letter.to_string(),
    }
}

/// Shard 0's primary is at 10.0.0.1, its first replica at 10.0.0.2, shard 1's primary at 10.0.1.1.
fn address((shard, member): (usize, usize)) -> SocketAddr {
    let ip = Ipv4Addr::new(10, (shard / 256) as u8, (shard % 256) as u8, member as u8 + 1);
    SocketAddr::new(IpAddr::V4(ip), PORT)
}

/// Sentinels are on a network of their own, the first one at 10.255.0.1.
fn sentinel_address(number: usize) -> SocketAddr {
    let ip = Ipv4Addr::new(10, 255, (number / 256) as u8, (number % 256) as u8);
    SocketAddr::new(IpAddr::V4(ip), SENTINEL_PORT)
}

#[cfg(test)]
mod tests {
    use super::shard_name;

    #[test]
    fn shards_are_named_like_columns() {
        let names: Vec<String> = [0, 1, 25, 26, 27, 52].into_iter().map(shard_name).collect();
        assert_eq!(names, ["a", "b", "z", "aa", "ab", "ba"]);
    }
}
