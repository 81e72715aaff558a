//! The servers' side: a script for a standalone server, or for all nodes of a cluster.
//!
//! It answers what a client says on its own, GET, SCAN, PING and the subscribe commands. A test may
//! hold replies back, move slots, and ask which connection subscribed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many slots there are.
pub(crate) const SLOTS: u16 = 16384;

/// How many keys each node returns in a scan.
pub(crate) const SCANNED: usize = 10_000;

/// How many of them at a time.
const PAGE: usize = 100;

/// See the head of this file.
#[derive(Default)]
pub(crate) struct Servers {
    /// The number of shards of the cluster; 0 for a standalone server.
    shards: u16,
    /// Slots that have moved, and the shard where they are. The topology does not say so yet.
    moved: BTreeMap<u16, u16>,
    /// Slots that are being moved, and the shard where each key is already.
    asking: BTreeMap<u16, u16>,
    /// Whether GET gets no reply for now.
    pub(crate) holds: bool,
    /// How many replies to GET are owed.
    pub(crate) owed: usize,
    /// How many commands were told that their slot has moved.
    pub(crate) redirects: u64,
    /// The connection of the last GET.
    pub(crate) last_get: usize,
    /// The connection of the last subscribe command.
    pub(crate) last_subscribed: usize,
}

impl Servers {
    pub(crate) fn standalone() -> Self {
        Self::default()
    }

    pub(crate) fn cluster(shards: u16) -> Self {
        Self { shards, ..Self::default() }
    }

    /// A slot has moved, and the client is told so when it asks the old owner.
    pub(crate) fn move_slot(&mut self, slot: u16, to: u16) {
        self.moved.insert(slot, to);
    }

    /// A slot is being moved: its keys are at the other node.
    pub(crate) fn ask_for(&mut self, slot: u16, to: u16) {
        self.asking.insert(slot, to);
    }

    /// It is not being moved any more.
    pub(crate) fn ask_no_more(&mut self, slot: u16) {
        self.asking.remove(&slot);
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> u16 {
        self.shards
    }

    /// The shard where a slot is.
    pub(crate) fn place(&self, slot: u16) -> u16 {
        self.moved.get(&slot).copied().unwrap_or_else(|| self.owner(slot))
    }

    /// The shard that owns a slot by the topology.
    pub(crate) fn owner(&self, slot: u16) -> u16 {
        (u32::from(slot) * u32::from(self.shards) / u32::from(SLOTS)) as u16
    }

    /// Answers all whole commands of `input`.
    pub(crate) fn answer(
        &mut self,
        connection: usize,
        endpoint: &str,
        input: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) {
        let mut at = 0;
        while let Some((words, next)) = parse(&input[at..]) {
            self.reply(connection, endpoint, &words, output);
            at += next;
        }
        input.drain(..at);
    }

    fn reply(&mut self, connection: usize, endpoint: &str, words: &[&str], out: &mut Vec<u8>) {
        let text = match words {
            ["HELLO", ..] => "%1\r\n+proto\r\n:3\r\n".to_owned(),
            ["PING"] => "+PONG\r\n".to_owned(),
            ["GET", ..] if self.holds => {
                self.last_get = connection;
                self.owed += 1;
                return;
            }
            ["GET", key] => self.redirect(endpoint, key).unwrap_or_else(|| bulk("value")),
            ["SCAN", cursor, ..] => page(cursor),
            ["CLUSTER", "SHARDS"] => "-ERR unknown subcommand 'SHARDS'\r\n".to_owned(),
            ["CLUSTER", "SLOTS"] => self.slots(),
            ["CLUSTER", "NODES"] => bulk(&self.nodes(endpoint)),
            ["CLUSTER", "MYID"] => bulk(&id(number_of(endpoint))),
            [name, names @ ..] if name.ends_with("SUBSCRIBE") => {
                self.last_subscribed = connection;
                let kind = name.to_lowercase();
                let mut text = String::new();
                for (count, name) in names.iter().enumerate() {
                    let _ = write!(text, ">3\r\n{}{}:{count}\r\n", bulk(&kind), bulk(name));
                }
                text
            }
            _ => "+OK\r\n".to_owned(),
        };
        out.extend_from_slice(text.as_bytes());
    }

    /// What a node says of a key that it does not have. Keys name their slot: `k:SLOT:{TAG}`.
    fn redirect(&mut self, endpoint: &str, key: &str) -> Option<String> {
        if self.shards == 0 {
            return None;
        }
        let slot: u16 = key.split(':').nth(1)?.parse().ok()?;
        let here = number_of(endpoint);
        if let Some(to) = self.asking.get(&slot).filter(|to| **to != here) {
            return Some(format!("-ASK {slot} n{to}:7000\r\n"));
        }
        let to = self.moved.get(&slot).copied().filter(|to| *to != here)?;
        self.redirects += 1;
        Some(format!("-MOVED {slot} n{to}:7000\r\n"))
    }

    /// The ranges of slots, each with its shard.
    fn ranges(&self) -> Vec<(u16, u16, u16)> {
        let mut ranges: Vec<(u16, u16, u16)> = Vec::new();
        for slot in 0..SLOTS {
            let owner = self.place(slot);
            match ranges.last_mut() {
                Some((_, last, shard)) if *shard == owner => *last = slot,
                _ => ranges.push((slot, slot, owner)),
            }
        }
        ranges
    }

    fn slots(&self) -> String {
        let ranges = self.ranges();
        let mut text = format!("*{}\r\n", ranges.len());
        for (first, last, shard) in ranges {
            let node = format!("*3\r\n{}:7000\r\n{}", bulk(&format!("n{shard}")), bulk(&id(shard)));
            let _ = write!(text, "*3\r\n:{first}\r\n:{last}\r\n{node}");
        }
        text
    }

    fn nodes(&self, asked: &str) -> String {
        let mut slots: Vec<String> = vec![String::new(); usize::from(self.shards)];
        for (first, last, shard) in self.ranges() {
            let _ = write!(slots[usize::from(shard)], " {first}-{last}");
        }
        let mut text = String::new();
        for (shard, slots) in (0..).zip(slots) {
            let flags = if number_of(asked) == shard { "myself,master" } else { "master" };
            let id = id(shard);
            let _ = writeln!(text, "{id} n{shard}:7000@17000 {flags} - 0 0 1 connected{slots}");
        }
        text
    }
}

/// A page of a scan; its cursor is the number of the page.
fn page(cursor: &str) -> String {
    let at: usize = cursor.parse().unwrap_or_default();
    let next = (at + 1) % (SCANNED / PAGE);
    let keys = (at * PAGE..(at + 1) * PAGE).map(|n| bulk(&format!("s{n}")));
    format!("*2\r\n{}*{PAGE}\r\n{}", bulk(&next.to_string()), keys.collect::<String>())
}

/// The number of the shard whose primary listens there: `n12:7000`.
fn number_of(endpoint: &str) -> u16 {
    let name = endpoint.split(':').next().and_then(|name| name.strip_prefix('n'));
    name.and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn id(shard: u16) -> String {
    format!("{shard:040x}")
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// The first command of `input`, and its length; `None` if it is not whole.
fn parse(input: &[u8]) -> Option<(Vec<&str>, usize)> {
    let mut at = 0;
    let count = number(input, &mut at, b'*')?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let len = number(input, &mut at, b'$')?;
        words.push(std::str::from_utf8(input.get(at..at + len)?).ok()?);
        at += len + 2;
    }
    (at <= input.len()).then_some((words, at))
}

fn number(input: &[u8], at: &mut usize, sign: u8) -> Option<usize> {
    let rest = input.get(*at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let digits = rest[..end].strip_prefix(&[sign])?;
    *at += end + 2;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
