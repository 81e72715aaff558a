//! Servers that no package has any more, or that are no Redis: scripted, each with what it knows
//! and how it refuses the rest, in the words of its source.
//!
//! They keep values, split the slots between two primaries, and send a message to each client that
//! subscribes. Each command that a server does not know is in [`Kind::refusal`], or fails the test.
//! Sources: `processCommand`, `clientCommand`, `clusterCommand`, `clusterReplyMultiBulkSlots` and
//! `sentinelCommand` of Redis 3.0, 3.2, 4.0 and 5.0; `cmd_server.cc` and `cmd_cluster.cc` of
//! Kvrocks.

use slotcar_tests::real::cluster::slot_of;
use slotcar_tests::real::{Peer, Script, address};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// No node ids in CLUSTER SLOTS, no CLIENT at sentinels.
    Redis30,
    /// The same with CLIENT at sentinels.
    Redis32,
    /// Node ids, and ports of the bus.
    Redis40,
    /// SENTINEL REPLICAS; it repeats the arguments of what it does not know.
    Redis50,
    /// It takes HELLO 3 and goes on in RESP2; of a cluster it tells SLOTS and NODES only.
    Kvrocks,
}

/// All of them.
pub(crate) const KINDS: [Kind; 5] =
    [Kind::Redis30, Kind::Redis32, Kind::Redis40, Kind::Redis50, Kind::Kvrocks];

/// What a server is, beside its kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// A server of its own, or the primary of sentinels.
    Alone,
    /// A sentinel.
    Sentinel,
    /// A node of a cluster, by its index. The last one is a replica of the first.
    Node(usize),
}

/// What the servers of one deployment share.
#[derive(Debug)]
pub(crate) struct World {
    kind: Kind,
    /// Where they listen: of a cluster two primaries and a replica, of sentinels the primary.
    addresses: Vec<SocketAddr>,
    password: Option<&'static str>,
    values: Mutex<BTreeMap<String, String>>,
    /// Slots that are not where the halves say, and the node that owns them.
    moved: Mutex<BTreeMap<u16, usize>>,
    /// CLUSTER NODES is refused.
    hides_nodes: AtomicBool,
    /// What was sent that a server neither knows nor refuses.
    surprises: Mutex<Vec<String>>,
}

/// The servers of a deployment.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) world: Arc<World>,
    pub(crate) scripts: Vec<Script>,
}

impl Servers {
    /// Starts servers at these places.
    pub(crate) fn start(kind: Kind, places: &[Place], password: Option<&'static str>) -> Servers {
        let fresh = |_: &Place| {
            let ip = address::fresh();
            SocketAddr::from((ip, address::free_port(ip)))
        };
        let addresses: Vec<SocketAddr> = places.iter().map(fresh).collect();
        let world = World {
            kind,
            addresses: addresses.clone(),
            password,
            values: Mutex::default(),
            moved: Mutex::default(),
            hides_nodes: AtomicBool::new(false),
            surprises: Mutex::default(),
        };
        let world = Arc::new(world);
        let start = |(at, place): (SocketAddr, &Place)| {
            let (world, place) = (Arc::clone(&world), *place);
            Script::start_at(at, move |peer| world.serve(place, peer))
        };
        let scripts = addresses.into_iter().zip(places).map(start).collect();
        Servers { world, scripts }
    }

    pub(crate) fn alone(kind: Kind, password: Option<&'static str>) -> Servers {
        Servers::start(kind, &[Place::Alone], password)
    }

    pub(crate) fn cluster(kind: Kind) -> Servers {
        Servers::start(kind, &[Place::Node(0), Place::Node(1), Place::Node(2)], None)
    }

    pub(crate) fn sentinel(kind: Kind) -> Servers {
        Servers::start(kind, &[Place::Alone, Place::Sentinel], None)
    }

    /// How often the server at this place was sent a command that begins so.
    pub(crate) fn count(&self, at: usize, words: &str) -> usize {
        let commands = self.scripts[at].commands();
        commands.iter().filter(|(_, command)| command.join(" ").starts_with(words)).count()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let surprises = self.world.surprises.lock().expect("no panic under the lock");
        let failed = std::thread::panicking();
        assert!(failed || surprises.is_empty(), "{:?} is sent {surprises:?}", self.world.kind);
    }
}

impl World {
    /// The id of a node.
    pub(crate) fn id(&self, node: usize) -> String {
        match self.kind {
            // Those of its controller are any forty characters.
            Kind::Kvrocks => format!("kvrocksClusterNodeNumber{node:016}"),
            _ => format!("{node:040x}"),
        }
    }

    /// A slot goes to another primary, and no node tells the client until it asks.
    pub(crate) fn move_slot(&self, slot: u16, to: usize) {
        self.moved.lock().expect("no panic under the lock").insert(slot, to);
    }

    /// From now on CLUSTER NODES is refused.
    pub(crate) fn hide_nodes(&self) {
        self.hides_nodes.store(true, Ordering::Relaxed);
    }

    fn owner(&self, slot: u16) -> usize {
        let moved = self.moved.lock().expect("no panic under the lock");
        moved.get(&slot).copied().unwrap_or(usize::from(slot >= 8192))
    }

    /// The ranges of slots, each with its owner.
    fn ranges(&self) -> Vec<(u16, u16, usize)> {
        let mut ranges: Vec<(u16, u16, usize)> = Vec::new();
        for slot in 0..16384 {
            match ranges.last_mut() {
                Some((_, end, owner)) if *owner == self.owner(slot) => *end = slot,
                _ => ranges.push((slot, slot, self.owner(slot))),
            }
        }
        ranges
    }

    /// One connection.
    fn serve(&self, place: Place, peer: &mut Peer) {
        let mut session = Session { is_known: self.password.is_none(), ..Session::default() };
        while let Some(command) = peer.command() {
            let words = command.iter().map(|word| String::from_utf8_lossy(word).into_owned());
            let mut words: Vec<String> = words.collect();
            words[0].make_ascii_uppercase();
            if ["CLIENT", "CLUSTER", "SENTINEL", "COMMAND"].contains(&words[0].as_str()) {
                words.get_mut(1).into_iter().for_each(|word| word.make_ascii_uppercase());
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let reply = match self.kind.refusal(place, &words) {
                Some(text) => format!("-{text}\r\n"),
                None => self.answer(place, &mut session, &words),
            };
            peer.send(reply.as_bytes());
        }
    }

    fn answer(&self, place: Place, session: &mut Session, words: &[&str]) -> String {
        let ok = || "+OK\r\n".to_owned();
        match words {
            ["AUTH", password] => {
                session.is_known = self.password == Some(password);
                if session.is_known { ok() } else { "-ERR invalid password\r\n".to_owned() }
            }
            ["HELLO", "3"] | ["HELLO", "3", "SETNAME", _] => {
                let fields = [bulk("version"), bulk("4.0.0"), bulk("proto"), ":2\r\n".to_owned()];
                format!("*6\r\n{}{}{}", fields.concat(), bulk("mode"), bulk("standalone"))
            }
            _ if !session.is_known => "-NOAUTH Authentication required.\r\n".to_owned(),
            // Kvrocks answers the same to a subscriber.
            ["PING"] if session.subscribed > 0 && self.kind != Kind::Kvrocks => list(&["pong", ""]),
            ["PING"] => "+PONG\r\n".to_owned(),
            ["UNSUBSCRIBE", names @ ..] => session.unsubscribe(names),
            ["SELECT", _] | ["READONLY"] | ["CLIENT", "SETNAME", _] => ok(),
            ["SUBSCRIBE", names @ ..] => {
                let mut text = String::new();
                for name in names {
                    session.subscribed += 1;
                    let count = session.subscribed;
                    text += &format!("*3\r\n{}{}:{count}\r\n", bulk("subscribe"), bulk(name));
                }
                let message = |name: &&str| list(&["message", name, "hi"]);
                text + &names.iter().map(message).collect::<String>()
            }
            ["SET" | "GET" | "INCR", key, value @ ..] => {
                let slot = slot_of(key);
                let owner = self.owner(slot);
                match place {
                    // The replica of the first node, which is asked for reads only.
                    Place::Node(2) if owner == 0 && words[0] == "GET" => {
                        self.value(words[0], key, value)
                    }
                    Place::Node(node) if node != owner => {
                        format!("-MOVED {slot} {}\r\n", self.addresses[owner])
                    }
                    _ => self.value(words[0], key, value),
                }
            }
            ["ROLE"] => format!("*3\r\n{}:0\r\n*0\r\n", bulk("master")),
            ["INFO", ..] => bulk(&self.info()),
            ["CLUSTER", "MYID"] => match place {
                Place::Node(node) => bulk(&self.id(node)),
                _ => self.surprise(words),
            },
            ["CLUSTER", "SLOTS"] => self.slots(),
            ["CLUSTER", "NODES"] if self.hides_nodes.load(Ordering::Relaxed) => {
                "-ERR not allowed\r\n".to_owned()
            }
            ["CLUSTER", "NODES"] => bulk(&self.nodes(place)),
            ["SENTINEL", rest @ ..] => self.sentinel(rest),
            other => self.surprise(other),
        }
    }

    /// For what a server should know, or refuse.
    fn surprise(&self, words: &[&str]) -> String {
        self.surprises.lock().expect("no panic under the lock").push(words.join(" "));
        "-ERR the test does not know this\r\n".to_owned()
    }

    fn value(&self, name: &str, key: &str, value: &[&str]) -> String {
        let mut values = self.values.lock().expect("no panic under the lock");
        match name {
            "SET" => {
                values.insert(key.to_owned(), value[0].to_owned());
                "+OK\r\n".to_owned()
            }
            "INCR" => {
                let value = values.entry(key.to_owned()).or_insert("0".to_owned());
                *value = (value.parse::<i64>().expect("a number") + 1).to_string();
                format!(":{value}\r\n")
            }
            _ => values.get(key).map_or("$-1\r\n".to_owned(), |value| bulk(value)),
        }
    }

    fn info(&self) -> String {
        let version = match self.kind {
            Kind::Redis30 => "redis_version:3.0.7",
            Kind::Redis32 => "redis_version:3.2.13",
            Kind::Redis40 => "redis_version:4.0.14",
            Kind::Redis50 => "redis_version:5.0.14",
            Kind::Kvrocks => "version:2.8.0\r\ngit_sha1:4ac0d83\r\nredis_version:4.0.0",
        };
        format!(
            "# Server\r\n{version}\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
        )
    }

    fn slots(&self) -> String {
        let has_ids = !matches!(self.kind, Kind::Redis30 | Kind::Redis32);
        let node = |node: usize| {
            let (ip, port) = (self.addresses[node].ip().to_string(), self.addresses[node].port());
            match has_ids {
                true => format!("*3\r\n{}:{port}\r\n{}", bulk(&ip), bulk(&self.id(node))),
                false => format!("*2\r\n{}:{port}\r\n", bulk(&ip)),
            }
        };
        let range = |(start, end, owner): (u16, u16, usize)| {
            let replica = if owner == 0 { node(2) } else { String::new() };
            let count = if owner == 0 { 4 } else { 3 };
            format!("*{count}\r\n:{start}\r\n:{end}\r\n{}{replica}", node(owner))
        };
        let ranges: Vec<String> = self.ranges().into_iter().map(range).collect();
        format!("*{}\r\n{}", ranges.len(), ranges.concat())
    }

    fn nodes(&self, place: Place) -> String {
        let line = |node: usize| {
            let me = if place == Place::Node(node) { "myself," } else { "" };
            let role = match node {
                2 => format!("{me}slave {}", self.id(0)),
                _ => format!("{me}master -"),
            };
            let address = self.addresses[node];
            // It came with Redis 4.
            let bus = match self.kind {
                Kind::Redis30 | Kind::Redis32 => String::new(),
                _ => format!("@{}", address.port().wrapping_add(10_000)),
            };
            let own = |(start, end, owner): (u16, u16, usize)| match owner == node {
                true if start == end => format!(" {start}"),
                true => format!(" {start}-{end}"),
                false => String::new(),
            };
            let slots: String = self.ranges().into_iter().map(own).collect();
            let epoch = node + 1;
            format!("{} {address}{bus} {role} 0 0 {epoch} connected{slots}\n", self.id(node))
        };
        (0..3).map(line).collect()
    }

    fn sentinel(&self, words: &[&str]) -> String {
        let (ip, port) = (self.addresses[0].ip().to_string(), self.addresses[0].port().to_string());
        match words {
            ["GET-MASTER-ADDR-BY-NAME", "mymaster"] => list(&[&ip, &port]),
            ["MASTER", "mymaster"] => {
                let fields = ["name", "mymaster", "ip", &ip, "port", &port, "flags", "master"];
                list(&[&fields[..], &["config-epoch", "0", "num-other-sentinels", "0"]].concat())
            }
            ["SLAVES" | "REPLICAS" | "SENTINELS", "mymaster"] => "*0\r\n".to_owned(),
            other => self.surprise(other),
        }
    }
}

/// What a connection has said.
#[derive(Debug, Default)]
struct Session {
    is_known: bool,
    subscribed: usize,
}

impl Session {
    fn unsubscribe(&mut self, names: &[&str]) -> String {
        let mut text = String::new();
        for name in names {
            self.subscribed = self.subscribed.saturating_sub(1);
            let count = self.subscribed;
            text += &format!("*3\r\n{}{}:{count}\r\n", bulk("unsubscribe"), bulk(name));
        }
        text
    }
}

impl Kind {
    /// What it does not know, in its own words.
    fn refusal(self, place: Place, words: &[&str]) -> Option<String> {
        let is_sentinel = place == Place::Sentinel;
        let unknown = || match self {
            // Each argument is followed by a comma, also the last one.
            Kind::Redis50 => {
                let args: String = words[1..].iter().map(|word| format!("`{word}`, ")).collect();
                format!("ERR unknown command `{}`, with args beginning with: {args}", words[0])
            }
            _ => format!("ERR unknown command '{}'", words[0]),
        };
        let parts = |name: &str, earlier: &str| match self {
            Kind::Redis50 => format!(
                "ERR Unknown subcommand or wrong number of arguments for '{}'. Try {name} HELP",
                words[1]
            ),
            _ => format!("ERR {earlier}"),
        };
        match words {
            ["HELLO", ..] if self != Kind::Kvrocks => Some(unknown()),
            ["CLIENT", ..] if is_sentinel && self == Kind::Redis30 => Some(unknown()),
            ["CLIENT", "SETINFO", ..] => Some(parts(
                "CLIENT",
                match self {
                    Kind::Redis30 => {
                        "Syntax error, try CLIENT (LIST | KILL ip:port | GETNAME | SETNAME \
                         connection-name)"
                    }
                    Kind::Kvrocks => {
                        "Syntax error, try CLIENT LIST|INFO|KILL ip:port|GETNAME|SETNAME"
                    }
                    _ => {
                        "Syntax error, try CLIENT (LIST | KILL | GETNAME | SETNAME | PAUSE | REPLY)"
                    }
                },
            )),
            ["CLUSTER", "SHARDS" | "MYID"] if self == Kind::Kvrocks => {
                Some("ERR CLUSTER command, CLUSTER INFO|NODES|SLOTS|KEYSLOT".to_owned())
            }
            ["CLUSTER", "SHARDS"] => {
                Some(parts("CLUSTER", "Wrong CLUSTER subcommand or number of arguments"))
            }
            ["SENTINEL", "REPLICAS", ..] if self != Kind::Redis50 => {
                Some("ERR Unknown sentinel subcommand 'REPLICAS'".to_owned())
            }
            ["AUTH", _, _] => Some("ERR wrong number of arguments for 'auth' command".to_owned()),
            _ => None,
        }
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn list(words: &[&str]) -> String {
    format!("*{}\r\n{}", words.len(), words.iter().map(|word| bulk(word)).collect::<String>())
}
