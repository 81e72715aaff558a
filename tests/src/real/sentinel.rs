//! A real sentinel group: one primary, replicas, and the sentinels that watch them.
//!
//! Servers and sentinels are named by their indexes; server 0 starts as the primary. Later the
//! primary is read from the servers (`primary`) or from one sentinel (`opinion_of`).
//! **Invariant**: in a started group every sentinel knows every replica and every other sentinel.
//! Servers and sentinels must announce their addresses: on loopback all would be 127.0.0.1.

use std::net::SocketAddr;

use super::process::Server;
use super::version::Version;
use super::wait::{until, until_true};
use super::wire::Reply;

/// The name under which sentinels know the group, unless changed.
pub const SERVICE: &str = "mymaster";

/// Options for the start of a group; made by [`Sentinels::of`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Which program.
    version: Version,
    /// Replicas of the one primary.
    replicas: usize,
    /// Sentinels; the quorum is their majority.
    sentinels: usize,
    /// After this time without an answer a server is down for a sentinel.
    down_after_ms: u32,
    /// For this time a failed failover is not tried again.
    failover_timeout_ms: u32,
    /// The service's name.
    service: String,
    /// The password of the servers.
    password: Option<String>,
    /// The password of the sentinels.
    sentinel_password: Option<String>,
    /// Configuration lines of every server.
    lines: String,
}

impl Options {
    /// Replicas; 2 if not given.
    pub fn replicas(mut self, count: usize) -> Options {
        self.replicas = count;
        self
    }

    /// Sentinels; 3 if not given. Their majority is the quorum.
    pub fn sentinels(mut self, count: usize) -> Options {
        self.sentinels = count;
        self
    }

    /// `down-after-milliseconds`; 1000 if not given.
    pub fn down_after_ms(mut self, milliseconds: u32) -> Options {
        self.down_after_ms = milliseconds;
        self
    }

    /// `failover-timeout`; 5000 ms if not given.
    pub fn failover_timeout_ms(mut self, milliseconds: u32) -> Options {
        self.failover_timeout_ms = milliseconds;
        self
    }

    /// The service's name; [`SERVICE`] if not given.
    pub fn service(mut self, name: &str) -> Options {
        self.service = name.to_owned();
        self
    }

    /// The password of primary and replicas, which the sentinels know.
    pub fn password(mut self, password: &str) -> Options {
        self.password = Some(password.to_owned());
        self
    }

    /// The password that the sentinels themselves want from clients. Needs 6.2.
    pub fn sentinel_password(mut self, password: &str) -> Options {
        self.sentinel_password = Some(password.to_owned());
        self
    }

    /// Configuration lines for primary and replicas.
    pub fn config(mut self, lines: &str) -> Options {
        self.lines.push_str(lines);
        self.lines.push('\n');
        self
    }

    /// Starts all servers and sentinels, and waits until all know each other.
    pub fn start(self) -> Sentinels {
        let primary = self.server("").start();
        let at = primary.address();
        let mut servers = vec![primary];
        let replicate = format!("replicaof {} {}", at.ip(), at.port());
        servers.extend((0..self.replicas).map(|_| self.server(&replicate).launch()));
        for server in &servers {
            server.wait_until_ready();
        }
        let mut group = Sentinels { service: self.service.clone(), servers, sentinels: vec![] };
        // A sentinel reads the primary's replicas at once and then every 10 s, so they must exist.
        until_true("the replicas to follow", || group.is_followed(0));
        group.sentinels.extend((0..self.sentinels).map(|_| self.sentinel(at).launch()));
        for sentinel in &group.sentinels {
            sentinel.wait_until_ready();
        }
        group.wait_until_settled();
        group
    }

    fn server(&self, more: &str) -> super::process::Options {
        let options = Server::of(&self.version).config(&self.lines).config(more);
        match &self.password {
            Some(password) => options.password(password),
            None => options,
        }
    }

    fn sentinel(&self, primary: SocketAddr) -> super::process::Options {
        let name = &self.service;
        let quorum = self.sentinels / 2 + 1;
        let mut lines = format!(
            "sentinel announce-ip {{ip}}\n\
             sentinel monitor {name} {} {} {quorum}\n\
             sentinel down-after-milliseconds {name} {}\n\
             sentinel failover-timeout {name} {}\n\
             sentinel parallel-syncs {name} {}\n",
            primary.ip(),
            primary.port(),
            self.down_after_ms,
            self.failover_timeout_ms,
            self.replicas.max(1),
        );
        if let Some(password) = &self.password {
            lines.push_str(&format!("sentinel auth-pass {name} {password}\n"));
        }
        let options = Server::of(&self.version).sentinel().config(&lines);
        match &self.sentinel_password {
            // Sentinels query each other, too, with this password.
            Some(password) => {
                options.config(&format!("sentinel sentinel-pass {password}")).password(password)
            }
            None => options,
        }
    }
}

/// The configuration of a sentinel at some time; see [`Sentinels::remember`].
#[derive(Clone, Debug)]
pub struct Memory(String);

/// One primary, its replicas and their sentinels.
#[derive(Debug)]
pub struct Sentinels {
    /// The service's name.
    service: String,
    /// Primary and replicas; the order never changes.
    servers: Vec<Server>,
    /// Sentinels; the order never changes.
    sentinels: Vec<Server>,
}

impl Sentinels {
    /// Begins to describe a group: 2 replicas and 3 sentinels unless changed.
    pub fn of(version: &Version) -> Options {
        Options {
            version: version.clone(),
            replicas: 2,
            sentinels: 3,
            down_after_ms: 1000,
            failover_timeout_ms: 5000,
            service: SERVICE.to_owned(),
            password: None,
            sentinel_password: None,
            lines: String::new(),
        }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Primary and replicas; number 0 was the first primary.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// A server by index.
    pub fn server(&self, index: usize) -> &Server {
        &self.servers[index]
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[Server] {
        &self.sentinels
    }

    /// A sentinel by index.
    pub fn sentinel(&self, index: usize) -> &Server {
        &self.sentinels[index]
    }

    /// A URL with all sentinels; passwords are left to the caller, there may be two.
    pub fn url(&self) -> String {
        let all: Vec<String> = self.sentinels.iter().map(|s| s.address().to_string()).collect();
        format!("redis-sentinel://{}/0?service={}", all.join(","), self.service)
    }

    /// Where a sentinel says that the primary is; `None` if it does not answer or knows none.
    pub fn opinion_of(&self, sentinel: usize) -> Option<SocketAddr> {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.service];
        let reply = self.ask(sentinel, &words)?;
        let [ip, port] = reply.items() else { return None };
        format!("{}:{}", ip.text(), port.text()).parse().ok()
    }

    /// The config epoch of a sentinel's view: a higher one is a newer view.
    pub fn epoch_of(&self, sentinel: usize) -> Option<i64> {
        let reply = self.ask(sentinel, &["SENTINEL", "MASTER", &self.service])?;
        reply.field("config-epoch")?.integer()
    }

    /// The server that says that it is the primary and that most running sentinels name.
    pub fn primary(&self) -> Option<usize> {
        let opinions: Vec<SocketAddr> =
            (0..self.sentinels.len()).filter_map(|i| self.opinion_of(i)).collect();
        let named = |server: &Server| {
            let votes = opinions.iter().filter(|at| **at == server.address()).count();
            votes * 2 > opinions.len()
        };
        let is_primary = |server: &Server| {
            let role = server.is_up().then(|| server.try_call(&["ROLE"]).ok()).flatten();
            role.is_some_and(|r| r.items().first().is_some_and(|r| r.text() == "master"))
        };
        self.servers.iter().position(|server| named(server) && is_primary(server))
    }

    /// Orders a failover with the old primary alive; returns the new one when most sentinels name
    /// it.
    ///
    /// The old primary goes on accepting writes, which will be lost, for about ten seconds: until
    /// then no sentinel makes it a replica. [`Sentinels::wait_until_settled`] waits for the end.
    #[track_caller]
    pub fn failover(&self) -> usize {
        let old = self.primary().expect("the group has a primary");
        // Refused shortly after the last failover, or before the replicas were read again.
        until_true("a sentinel to accept the failover", || {
            let live = (0..self.sentinels.len()).find(|i| self.sentinels[*i].is_up());
            let reply = live.and_then(|i| self.ask(i, &["SENTINEL", "FAILOVER", &self.service]));
            reply.is_some_and(|reply| reply.text() == "OK")
        });
        self.wait_for_new_primary(old)
    }

    /// Waits until another server than `old` is the primary and most sentinels say so.
    #[track_caller]
    pub fn wait_for_new_primary(&self, old: usize) -> usize {
        until("a new primary", || self.primary().filter(|new| *new != old))
    }

    /// Waits until every running sentinel names the same primary and knows all others, and every
    /// running server follows it in sync; returns that primary.
    ///
    /// On a loaded machine sentinels may fail over once more than the test ordered.
    #[track_caller]
    pub fn wait_until_settled(&self) -> usize {
        until("sentinels and servers to agree on a primary", || {
            let primary = self.primary()?;
            let running = (0..self.sentinels.len()).filter(|i| self.sentinels[*i].is_up());
            let known = running.into_iter().all(|i| self.knows_all(i, primary));
            (known && self.is_followed(primary)).then_some(primary)
        })
    }

    /// Whether a sentinel names `primary` and counts all replicas and all other sentinels.
    fn knows_all(&self, sentinel: usize, primary: usize) -> bool {
        let master = self.ask(sentinel, &["SENTINEL", "MASTER", &self.service]);
        let counts = |name: &str, expected: usize| {
            let count = master.as_ref().and_then(|m| m.field(name)?.integer());
            count == i64::try_from(expected).ok()
        };
        self.opinion_of(sentinel) == Some(self.servers[primary].address())
            && counts("num-slaves", self.servers.len() - 1)
            && counts("num-other-sentinels", self.sentinels.len() - 1)
    }

    /// Whether all running servers but `primary` are replicas of it, in sync and counted there.
    fn is_followed(&self, primary: usize) -> bool {
        let at = self.servers[primary].address();
        let follows = |server: &Server| {
            let Ok(info) = server.try_call(&["INFO", "replication"]) else { return false };
            let master = format!("master_host:{}", at.ip());
            info.text().contains(&master) && info.text().contains("master_link_status:up")
        };
        let others: Vec<&Server> =
            self.servers.iter().filter(|s| s.address() != at && s.is_up()).collect();
        // A sentinel reads the primary's own list of replicas.
        let Ok(counted) = self.servers[primary].try_call(&["INFO", "replication"]) else {
            return false;
        };
        let online = counted.text().matches("state=online").count();
        others.iter().all(|s| follows(s)) && online == others.len()
    }

    /// What a sentinel knows now, to restart it with later.
    pub fn remember(&self, sentinel: usize) -> Memory {
        self.sentinels[sentinel].call(&["SENTINEL", "FLUSHCONFIG"]).ok();
        Memory(self.sentinels[sentinel].configuration())
    }

    /// Kills a sentinel and starts it with an old configuration: it keeps the old view until other
    /// sentinels send it a newer one.
    pub fn restart_with(&self, sentinel: usize, memory: &Memory) {
        let process = &self.sentinels[sentinel];
        process.kill();
        process.set_configuration(&memory.0);
        process.restart();
    }

    /// Sends one command to a sentinel; `None` if it is down or paused, or replies with an error.
    fn ask(&self, sentinel: usize, words: &[&str]) -> Option<Reply> {
        let sentinel = &self.sentinels[sentinel];
        if !sentinel.is_up() {
            return None;
        }
        sentinel.try_call(words).ok().filter(|reply| !matches!(reply, Reply::Error(_)))
    }
}
