//! A scripted cluster, for tests of the driver: nodes that redirect, refuse and fail as a test
//! says.
//!
//! A node answers handshakes, CLUSTER and INFO by itself, and any other command with its own name
//! as a bulk string, so that a reply shows which node sent it. A test says what else happens, in
//! [`ScriptedCluster::on`]: one answer, for the next command of that text at that node.
//!
//! Invariants: those of `node/script.rs`, which has streams, clock and executor; replies take no
//! time; there are no background tasks. Compiled for tests only.

use crate::config::{Config, Deployment};
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::node::script::{Reply, Script, Server};
use crate::endpoint::Endpoint;
use crate::lock::lock;
use crate::time::Timestamp;
use crate::transport::Transport;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a node does with one command.
pub(in crate::driver) enum Answer {
    /// Closes the connection instead of a reply.
    Cut,
    /// Changes the cluster, then goes on with the other answer.
    Do(Box<dyn FnOnce(&mut Nodes) + Send>, Box<Answer>),
    /// Sends no reply, but those to the commands behind it.
    Nothing,
    /// Sends this frame; the CRLF at its end is added.
    Reply(String),
    /// Sends nothing on this connection any more.
    Silence,
}

impl Answer {
    pub(in crate::driver) fn reply(frame: &str) -> Self {
        Self::Reply(frame.to_owned())
    }

    /// MOVED to a node.
    pub(in crate::driver) fn moved(slot: u16, to: &str) -> Self {
        Self::Reply(format!("-MOVED {slot} {to}:7000"))
    }

    /// ASK at a node.
    pub(in crate::driver) fn ask(slot: u16, to: &str) -> Self {
        Self::Reply(format!("-ASK {slot} {to}:7000"))
    }

    /// This answer, after a change of the cluster.
    pub(in crate::driver) fn after(self, change: impl FnOnce(&mut Nodes) + Send + 'static) -> Self {
        Self::Do(Box::new(change), Box::new(self))
    }
}

/// One node. It listens at `name:7000`.
struct Node {
    /// Its name.
    name: &'static str,
    /// The slots that it owns, as ranges with both ends.
    slots: Vec<(u16, u16)>,
    /// The name of its primary, if it is a replica.
    primary: Option<&'static str>,
    /// Its config epoch; the highest of all when it gets slots.
    epoch: u64,
    /// The others do not know it (any more).
    has_left: bool,
    /// What it does with commands of this text.
    answers: Vec<(String, VecDeque<Answer>)>,
}

/// The nodes, and what was sent to them.
#[derive(Default)]
pub(in crate::driver) struct Nodes {
    /// All of them.
    nodes: Vec<Node>,
    /// The transport to them.
    script: Script,
    /// Commands by node, but for those that nodes answer by themselves: `a: GET k`.
    sent: Vec<String>,
}

impl Nodes {
    fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.name == name).expect("a node of the cluster")
    }

    /// Gives a range of slots to a node.
    pub(in crate::driver) fn move_slots(&mut self, first: u16, last: u16, to: &str) {
        let epoch = self.nodes.iter().map(|node| node.epoch).max().unwrap_or_default() + 1;
        for node in &mut self.nodes {
            let mut kept = Vec::new();
            for (from, until) in std::mem::take(&mut node.slots) {
                if from < first {
                    kept.push((from, until.min(first - 1)));
                }
                if until > last {
                    kept.push((from.max(last + 1), until));
                }
            }
            node.slots = kept;
        }
        let node = self.node(to);
        node.slots.push((first, last));
        node.epoch = epoch;
    }

    /// Closes a node's connections and refuses new ones.
    pub(in crate::driver) fn stop(&mut self, name: &str) {
        self.script.set(&at(name), Server::refusing(Duration::ZERO));
        self.script.cut(&at(name));
    }

    /// Closes a node's connections; it takes new ones.
    pub(in crate::driver) fn cut(&mut self, name: &str) {
        self.script.cut(&at(name));
    }

    /// Leaves new dials of a node without an answer.
    pub(in crate::driver) fn hang(&mut self, name: &str) {
        self.script.set(&at(name), Server::refusing(Duration::from_secs(3600)));
    }

    /// Lets the other nodes forget a node; its slots go to another.
    pub(in crate::driver) fn forget(&mut self, name: &str, heir: &str) {
        let slots = std::mem::take(&mut self.node(name).slots);
        self.node(name).has_left = true;
        slots.into_iter().for_each(|(first, last)| self.move_slots(first, last, heir));
    }

    /// The others know a node (again).
    pub(in crate::driver) fn join(&mut self, name: &str) {
        self.node(name).has_left = false;
    }

    fn answer(&mut self, name: &'static str, command: &str) -> Reply {
        let node = self.node(name);
        let scripted = node.answers.iter_mut().find(|(text, _)| text == command);
        let mut answer = scripted.and_then(|(_, answers)| answers.pop_front());
        let own = self.own_answer(name, command);
        if own.is_none() || answer.is_some() {
            self.sent.push(format!("{name}: {command}"));
        }
        loop {
            match answer {
                Some(Answer::Do(change, then)) => {
                    change(self);
                    answer = Some(*then);
                }
                Some(Answer::Cut) => return Reply::Close,
                Some(Answer::Silence) => return Reply::Silence,
                Some(Answer::Nothing) => return Reply::Text(String::new()),
                Some(Answer::Reply(frame)) => return Reply::Text(format!("{frame}\r\n")),
                None => {
                    let frame = own.unwrap_or_else(|| bulk(name));
                    return Reply::Text(format!("{frame}\r\n"));
                }
            }
        }
    }

    /// What a node answers without being told to.
    fn own_answer(&self, name: &str, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split(' ').collect();
        Some(match words.as_slice() {
            ["HELLO", ..] => "%1\r\n+proto\r\n:3".to_owned(),
            ["CLIENT" | "READONLY" | "SELECT", ..] => "+OK".to_owned(),
            ["PING"] => "+PONG".to_owned(),
            ["CLUSTER", "SHARDS"] => "-ERR unknown subcommand 'SHARDS'".to_owned(),
            ["CLUSTER", "SLOTS"] => self.slots(),
            ["CLUSTER", "NODES"] => bulk(&self.nodes(name)),
            ["CLUSTER", "MYID"] => bulk(&id(name)),
            ["INFO", "server"] => bulk(&format!("run_id:{name}\r\n")),
            ["INFO", "replication"] => {
                let node = self.nodes.iter().find(|node| node.name == name)?;
                let role = if node.primary.is_some() { "slave" } else { "master" };
                bulk(&format!("role:{role}\r\nmaster_link_status:up\r\nmaster_replid:x\r\n"))
            }
            _ => return None,
        })
    }

    fn members(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.has_left)
    }

    fn slots(&self) -> String {
        let mut shards = Vec::new();
        for node in self.members().filter(|node| node.primary.is_none()) {
            let replicas = self.members().filter(|other| other.primary == Some(node.name));
            let nodes: Vec<String> = std::iter::once(node)
                .chain(replicas)
                .map(|node| {
                    format!("*3\r\n{}\r\n:7000\r\n{}", bulk(node.name), bulk(&id(node.name)))
                })
                .collect();
            for (first, last) in &node.slots {
                let count = nodes.len() + 2;
                shards.push(format!("*{count}\r\n:{first}\r\n:{last}\r\n{}", nodes.join("\r\n")));
            }
        }
        format!("*{}\r\n{}", shards.len(), shards.join("\r\n"))
    }

    fn nodes(&self, asked: &str) -> String {
        let mut text = String::new();
        for node in self.members() {
            let (own, epoch) = (id(node.name), node.epoch);
            let role = if node.primary.is_some() { "slave" } else { "master" };
            let primary = node.primary.map_or_else(|| "-".to_owned(), id);
            let flags = if node.name == asked { format!("myself,{role}") } else { role.to_owned() };
            let at = format!("{}:7000@17000", node.name);
            let _ = write!(text, "{own} {at} {flags} {primary} 0 0 {epoch} connected");
            for (first, last) in &node.slots {
                let _ = write!(text, " {first}-{last}");
            }
            text.push('\n');
        }
        text
    }
}

/// Where the node of this name listens.
pub(in crate::driver) fn at(name: &str) -> Endpoint {
    Endpoint::tcp(name, 7000)
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}", text.len())
}

/// The id of the node of this name.
pub(in crate::driver) fn id(name: &str) -> String {
    name.repeat(40 / name.len())
}

/// A scripted cluster.
#[derive(Default)]
pub(in crate::driver) struct ScriptedCluster {
    /// Its nodes.
    nodes: Arc<Mutex<Nodes>>,
    /// The transport to them.
    script: Script,
}

impl ScriptedCluster {
    /// Primaries a, b, ... that share the slots evenly: with two, b owns 8192 and more.
    pub(in crate::driver) fn of_primaries(count: u16) -> Self {
        let script = Self::default();
        let names = ["a", "b", "c", "d"];
        let share = 16384 / count;
        for (number, name) in (0..count).zip(names) {
            let last = if number + 1 == count { 16383 } else { (number + 1) * share - 1 };
            script.add(name, vec![(number * share, last)], None);
        }
        script
    }

    /// Adds a replica of a primary.
    pub(in crate::driver) fn with_replica(self, name: &'static str, of: &'static str) -> Self {
        self.add(name, Vec::new(), Some(of));
        self
    }

    fn add(&self, name: &'static str, slots: Vec<(u16, u16)>, primary: Option<&'static str>) {
        let mut nodes = lock(&self.nodes);
        nodes.script = self.script.clone();
        // A replica shows the epoch of its primary.
        let epoch = primary.map_or(nodes.nodes.len() as u64 + 1, |of| nodes.node(of).epoch);
        let (has_left, answers) = (false, Vec::new());
        nodes.nodes.push(Node { name, slots, primary, epoch, has_left, answers });
        self.start(name);
    }

    /// A node listens, as it does from the beginning until it is stopped.
    pub(in crate::driver) fn start(&self, name: &'static str) {
        let all = Arc::clone(&self.nodes);
        let respond = move |args: &[String]| lock(&all).answer(name, &args.join(" "));
        self.script.set(&at(name), Server::replying(respond));
    }

    /// Says what a node does with the next command of this text, and then with the one after it.
    pub(in crate::driver) fn on(&self, name: &str, command: &str, answer: Answer) -> &Self {
        let mut nodes = lock(&self.nodes);
        let answers = &mut nodes.node(name).answers;
        match answers.iter_mut().find(|(text, _)| text == command) {
            Some((_, queue)) => queue.push_back(answer),
            None => answers.push((command.to_owned(), VecDeque::from([answer]))),
        }
        self
    }

    /// Says what a node answers to the next thousand commands of this text, whatever was said
    /// before.
    pub(in crate::driver) fn always(&self, name: &str, command: &str, frame: &str) {
        lock(&self.nodes).node(name).answers.retain(|(text, _)| text != command);
        (0..1000).for_each(|_| _ = self.on(name, command, Answer::reply(frame)));
    }

    /// Changes the cluster now.
    pub(in crate::driver) fn change(&self, change: impl FnOnce(&mut Nodes)) {
        change(&mut lock(&self.nodes));
    }

    /// A node takes this long for each reply from now on.
    pub(in crate::driver) fn slow(&self, name: &str, reply_time: Duration) {
        self.script.slow(&at(name), reply_time);
    }

    /// What was sent since the last call: `a: GET k`.
    pub(in crate::driver) fn sent(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.nodes).sent)
    }

    /// How often a node was dialled.
    pub(in crate::driver) fn dials(&self, name: &str) -> usize {
        self.script.dials(&at(name))
    }

    /// The clock jumps.
    pub(in crate::driver) fn jump(&self, time: Duration) {
        self.script.jump(time);
    }

    /// The time since the beginning.
    pub(in crate::driver) fn elapsed(&self) -> Duration {
        self.script.now().since_epoch()
    }

    /// A client's topology that has discovered the cluster.
    pub(in crate::driver) fn topology(&self, config: Config) -> Arc<LiveTopology> {
        let config = config.endpoints([at("a")]).deployment(Deployment::Cluster);
        let topology = LiveTopology::start(self.script.env(config), None);
        self.run(topology.wait_for_refresh(Timestamp::from_duration(Duration::from_secs(1))));
        self.sent();
        topology
    }

    /// The options of a call that begins now and has this long.
    pub(in crate::driver) fn options(&self, timeout: Duration) -> CallOptions {
        let deadline = self.script.now().after(timeout);
        CallOptions { deadline, timeout, own_wait: Duration::ZERO, retry_unknown: false }
    }

    /// Runs a future to its end.
    pub(in crate::driver) fn run<F: Future>(&self, future: F) -> F::Output {
        self.script.run(future)
    }
}
