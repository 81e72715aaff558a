//! Each courtesy (`docs/courtesies.md`) is refused in front of real servers of every version, in
//! each deployment: in several words, by silence and by hanging up. The client connects, writes and
//! reads all the same.
//!
//! The same matrix runs against scripts, with more words and with bounds of time, in
//! `core/src/client/connect/tests.rs`. Here the answers to everything else are those of servers.

use super::config;
use slotcar::config::Protocol;
use slotcar::prelude::*;
use slotcar::{Client, Config, Endpoint, ErrorKind, ReadFrom, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::background::nap;
use slotcar_tests::polling::run;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Cluster, How, Refusing, Relay, Sentinels, Server, Version};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Texts of ACLs, servers and proxies, which say the same in other words.
const TEXTS: [&str; 4] = [
    "NOPERM this user has no permissions to run the command",
    "ERR unknown command",
    "ERR Unknown subcommand or wrong number of arguments for 'SHARDS'. Try CLUSTER HELP.",
    "unsupported by this proxy",
];

/// How long a dial may take where a server is silent. A dial that a busy machine makes late is
/// indistinguishable from a refused one, so what fails is tried with more time.
const PATIENCE: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(3), Duration::from_secs(15)];

/// Versions at a time, and cases at a time for each: most wait.
const VERSIONS: usize = 2;
const CASES: usize = 4;

/// One configuration with what a handshake may say beside.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Resp3,
    /// With a name, which HELLO does not set.
    Resp2,
}

const BOTH: &[Says] = &[Says::Resp3, Says::Resp2];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Standalone,
    Cluster,
    Sentinel,
}

impl Kind {
    /// What is said unasked to this deployment, each with the protocols in which it is said.
    fn courtesies(self) -> Vec<(&'static str, &'static [Says])> {
        let mut all = vec![
            ("HELLO", &[Says::Resp3][..]),
            ("CLIENT", BOTH),
            ("CLIENT SETINFO", BOTH),
            ("CLIENT SETNAME", &[Says::Resp2]),
        ];
        let own: &[&str] = match self {
            Kind::Standalone => &["PING"],
            Kind::Cluster => {
                &["CLUSTER MYID", "CLUSTER SHARDS", "CLUSTER NODES", "READONLY", "COMMAND"]
            }
            Kind::Sentinel => &[
                "ROLE",
                "SENTINEL MASTER",
                "SENTINEL GET-MASTER-ADDR-BY-NAME",
                "SENTINEL REPLICAS",
                "SENTINEL SENTINELS",
                "SUBSCRIBE",
            ],
        };
        all.extend(own.iter().map(|words| (*words, BOTH)));
        all
    }

    /// Every courtesy that can be done without while no other is answered.
    fn all_at_once(self) -> Vec<&'static str> {
        let words = self.courtesies().into_iter().map(|(words, _)| words);
        // Something must say who the primary is.
        words.filter(|words| *words != "SENTINEL GET-MASTER-ADDR-BY-NAME").collect()
    }
}

/// What is refused, and how.
#[derive(Clone, Debug)]
struct Case {
    refused: Vec<&'static str>,
    how: How,
    says: Says,
}

/// All cases of a deployment. Those that wait come first.
fn cases(kind: Kind) -> Vec<Case> {
    let ways = [How::Silence, How::Hangup].into_iter().chain(TEXTS.map(How::Says));
    let mut cases = Vec::new();
    for how in ways {
        for (words, protocols) in kind.courtesies() {
            let case = |says: &Says| Case { refused: vec![words], how, says: *says };
            cases.extend(protocols.iter().map(case));
        }
        if matches!(how, How::Says(_)) {
            let case = |says: &Says| Case { refused: kind.all_at_once(), how, says: *says };
            cases.extend(BOTH.iter().map(case));
        }
    }
    cases
}

/// A deployment that runs: its nodes, the seeds first.
struct Place {
    kind: Kind,
    nodes: Vec<SocketAddr>,
    seeds: usize,
    /// The beginnings of keys in both halves of the slots.
    keys: [String; 2],
}

fn endpoint(at: SocketAddr) -> Endpoint {
    Endpoint::tcp(&at.ip().to_string(), at.port())
}

impl Place {
    fn new(kind: Kind, nodes: Vec<SocketAddr>, seeds: usize) -> Place {
        Place { kind, nodes, seeds, keys: [key_in(100), key_in(9000)] }
    }

    fn config(&self, seeds: &[SocketAddr]) -> Config {
        let seeds: Vec<String> = seeds.iter().map(SocketAddr::to_string).collect();
        let seeds = seeds.join(",");
        config(&match self.kind {
            Kind::Standalone => format!("redis://{seeds}"),
            Kind::Cluster => format!("redis-cluster://{seeds}"),
            Kind::Sentinel => format!("redis-sentinel://{seeds}/0?service=mymaster"),
        })
    }

    /// Connects through relays, writes and reads; the error says what went wrong.
    fn check(&self, case: &Case, number: usize) -> Result<(), String> {
        if case.how != How::Silence {
            return self.check_within(case, number, None);
        }
        let mut result = Ok(());
        for patience in PATIENCE {
            result = self.check_within(case, number, Some(patience));
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn check_within(
        &self,
        case: &Case,
        number: usize,
        patience: Option<Duration>,
    ) -> Result<(), String> {
        let relay = |node: &SocketAddr| Refusing::start(*node, &case.refused, case.how);
        let relays: Vec<Refusing> = self.nodes.iter().map(relay).collect();
        let addresses: Vec<SocketAddr> = relays.iter().map(Refusing::address).collect();
        let pairs = self.nodes.iter().zip(&addresses);
        let map = pairs.map(|(node, relay)| (endpoint(*node), endpoint(*relay)));
        let mut config = self.config(&addresses[..self.seeds]).address_map(map);
        if case.says == Says::Resp2 {
            config = config.protocol(Protocol::Resp2).client_name("me");
        }
        if case.refused.contains(&"READONLY") {
            config = config.read_from(ReadFrom::PreferReplica);
        }
        if let Some(patience) = patience {
            config = config.connect_timeout(patience).progress_timeout(patience);
        }
        let failed =
            |step: &str, why: String| format!("{case:?} at {:?}: {step}: {why}", self.kind);
        let client = run(Client::connect(Smol::new(), config));
        let client = client.map_err(|error| failed("connect", format!("{error:?}")))?;
        let keys: Vec<String> = self.keys.iter().map(|key| format!("{key}:{number}")).collect();
        for key in &keys {
            let set = run(client.set(key, number));
            set.map_err(|error| failed("SET", format!("{error:?}")))?;
        }
        let read = || {
            for key in &keys {
                let value = run(client.get::<Option<usize>>(key));
                let value = value.map_err(|error| failed("GET", format!("{error:?}")))?;
                if value != Some(number) {
                    return Err(failed("GET", format!("{value:?}")));
                }
            }
            Ok(())
        };
        read()?;
        if case.refused.contains(&"COMMAND") {
            // The client asks about what it does not know; the refusal is not that of COMMAND.
            let error = run(client.send::<()>(cmd("NO.SUCH.COMMAND").arg(&keys[0])));
            let error = error.expect_err("no server knows it");
            let text = error.to_string();
            if error.kind() != ErrorKind::Server || !text.contains("NO.SUCH.COMMAND") {
                return Err(failed("NO.SUCH.COMMAND", format!("{error:?}")));
            }
        }
        let told = || relays.iter().any(|relay| relay.count() > 0);
        if case.refused == ["SUBSCRIBE"] {
            // That is said by a task beside.
            let began = Instant::now();
            while !told() && began.elapsed() < BOUND {
                nap(Duration::from_millis(5));
            }
        }
        if !told() {
            return Err(failed("refusal", "nothing was said that could be refused".to_owned()));
        }
        read()
    }

    /// Checks all cases, some at a time; returns how many, and what went wrong.
    fn check_all(&self) -> (usize, Vec<String>) {
        let (cases, next) = (cases(self.kind), AtomicUsize::new(0));
        let errors = Mutex::new(Vec::new());
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(case) = cases.get(number) else { return };
                if let Err(error) = self.check(case, number) {
                    errors.lock().expect("no panic under the lock").push(error);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..CASES {
                scope.spawn(work);
            }
        });
        (cases.len(), errors.into_inner().expect("no panic under the lock"))
    }
}

/// Runs the cases of a kind with every version, some at a time; `with` starts the deployment and
/// hands it over.
fn on_every_version(with: impl Fn(&Version, &dyn Fn(Place)) + Sync) {
    let (versions, next) = (Version::every(), AtomicUsize::new(0));
    let errors = Mutex::new(Vec::new());
    let work = || {
        while let Some(version) = versions.get(next.fetch_add(1, Ordering::Relaxed)) {
            with(version, &|place| {
                let began = Instant::now();
                let (count, found) = place.check_all();
                println!("{version}, {:?}: {count} cases in {:?}", place.kind, began.elapsed());
                let found = found.into_iter().map(|error| format!("{version}: {error}"));
                errors.lock().expect("no panic under the lock").extend(found);
            });
        }
    };
    thread::scope(|scope| {
        for _ in 0..VERSIONS {
            scope.spawn(work);
        }
    });
    let errors = errors.into_inner().expect("no panic under the lock");
    assert!(errors.is_empty(), "{} cases failed:\n{}", errors.len(), errors.join("\n"));
}

#[test]
fn each_courtesy_refused_at_one_server() {
    on_every_version(|version, check| {
        let server = Server::start(version);
        check(Place::new(Kind::Standalone, vec![server.address()], 1));
    });
}

#[test]
fn each_courtesy_refused_in_a_cluster() {
    on_every_version(|version, check| {
        let cluster = Cluster::of(version).primaries(2).replicas(1).start();
        let place = Place::new(Kind::Cluster, cluster.addresses(), 2);
        // READONLY is said to replicas that are announced.
        until_true("the replicas to be announced", || {
            let client = Client::connect(Smol::new(), place.config(&place.nodes));
            let topology = run(client).expect("nothing is refused").topology();
            topology.shards.iter().all(|shard| shard.replicas.len() == 1)
        });
        check(place);
    });
}

#[test]
fn each_courtesy_refused_behind_sentinels() {
    on_every_version(|version, check| {
        // No busy machine shall cause a failover.
        let group = Sentinels::of(version).replicas(1).sentinels(2).down_after_ms(60_000).start();
        let all = group.sentinels().iter().chain(group.servers());
        let nodes = all.map(Server::address).collect();
        check(Place::new(Kind::Sentinel, nodes, 2));
    });
}

/// A server in Python that refuses in words of its own.
#[test]
fn each_courtesy_refused_at_fakeredis() {
    let Some(server) = Relay::fakeredis() else { return };
    let place = Place::new(Kind::Standalone, vec![server.address()], 1);
    let (count, errors) = place.check_all();
    println!("fakeredis: {count} cases");
    assert!(errors.is_empty(), "{} cases failed:\n{}", errors.len(), errors.join("\n"));
}
