//! A small world of primaries that tell of keys: they come, go and lose connections, and the client
//! learns of it later.
//!
//! Whatever happened, a reader gets each event of a primary with slots once, or a gap that covers
//! it; and once everything was answered, the primaries hold what is wanted of them and no other
//! node holds anything.

use super::super::*;
use crate::rng::Rng;
use ChannelKind::{Classic, Pattern};
use proptest::prelude::*;
use std::collections::VecDeque;

const CHANNELS: [(ChannelKind, &[u8]); 2] =
    [(Classic, b"__keyspace@0__:k"), (Pattern, b"__keyevent@*")];
const NODES: usize = 4;
const READERS: [ReaderId; 2] = [ReaderId(1), ReaderId(2)];

/// What a node sends.
#[derive(Debug)]
enum Sent {
    Subscribed(ChannelKind, Bytes),
    Unsubscribed(ChannelKind, Bytes),
    Refused,
    Marker,
    /// An event on one of `CHANNELS`, and when it happened.
    Event(usize, u64),
}

#[derive(Debug)]
struct Node {
    owns_slots: bool,
    connection: Option<ConnectionId>,
    inbound: VecDeque<Vec<ChannelCommand>>,
    outbound: VecDeque<Sent>,
    subscribed: BTreeSet<Bytes>,
    refuses: bool,
}

/// What a reader knows of one channel.
#[derive(Debug, Default)]
struct Heard {
    wants: bool,
    subscribed: bool,
    refused: bool,
    /// Events that it has to get or to be told a gap for, by when they happened.
    owed: BTreeSet<u64>,
}

struct World {
    table: ChannelTable,
    nodes: Vec<Node>,
    /// Which nodes own slots, as the client believes.
    known: Vec<bool>,
    known_at: u64,
    heard: BTreeMap<(ReaderId, usize), Heard>,
    names: u64,
    now: u64,
}

impl World {
    fn new() -> Self {
        let pauses = (Duration::from_millis(20), Duration::from_secs(2));
        let node = |index| Node {
            owns_slots: index < 2,
            connection: None,
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
            subscribed: BTreeSet::new(),
            refuses: false,
        };
        let mut world = Self {
            table: ChannelTable::new(true, pauses, Rng::new(3)),
            nodes: (0..NODES).map(node).collect(),
            known: vec![false; NODES],
            known_at: 0,
            heard: BTreeMap::new(),
            names: 10,
            now: 1,
        };
        (0..NODES).for_each(|index| world.open(index));
        world
    }

    fn at(&self) -> Timestamp {
        super::at(self.now)
    }

    fn open(&mut self, index: usize) {
        if self.nodes[index].connection.is_none() {
            self.names += 1;
            let id = ConnectionId(self.names);
            self.nodes[index].connection = Some(id);
            self.table.open(id, Arc::new(Endpoint::tcp("h", 1 + index as u16)));
            self.table.recheck_all_waiting();
        }
    }

    fn lose(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some(id) = node.connection.take() else { return };
        let lost = node.outbound.iter().filter_map(|sent| match sent {
            Sent::Event(_, at) => Some(*at),
            _ => None,
        });
        let since = lost.min().unwrap_or(self.now);
        node.inbound.clear();
        node.outbound.clear();
        node.subscribed.clear();
        self.table.close(id, super::at(since), GapCause::ConnectionLost);
        self.hear();
    }

    /// The client learns which nodes own slots.
    fn refresh(&mut self) {
        let owners: Vec<bool> = self.nodes.iter().map(|node| node.owns_slots).collect();
        if owners != self.known {
            let endpoint = |index| Some(Arc::new(Endpoint::tcp("h", 1 + index as u16)));
            let mut primaries: Vec<Primary> =
                (0..NODES).filter(|index| owners[*index]).map(endpoint).collect();
            if primaries.is_empty() {
                primaries.push(None);
            }
            let known_at = super::at(self.known_at);
            self.table.follow_primaries(primaries, known_at, self.at());
            self.table.handle_owner_change(self.at(), known_at);
            self.known = owners;
            // Who refused may have left; another one that refuses is told again.
            self.heard.values_mut().for_each(|heard| heard.refused = false);
        }
        self.known_at = self.now;
        self.hear();
    }

    fn plan(&mut self) {
        let primaries = self.table.primaries.clone();
        let (nodes, at) = (&self.nodes, self.at());
        let plan = self.table.plan(at, |query| {
            let endpoint = primaries[query.primary.expect("all channels are of keys")].clone()?;
            let Endpoint::Tcp { port, .. } = *endpoint else { return None };
            nodes[usize::from(port) - 1].connection
        });
        for (id, writes) in plan {
            let node = self.nodes.iter_mut().find(|node| node.connection == Some(id));
            node.expect("commands go to open connections").inbound.extend(writes);
        }
        self.hear();
    }

    /// A node looks at one write.
    fn serve(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some(commands) = node.inbound.pop_front() else { return };
        for ChannelCommand { subscribe, kind, names } in commands {
            if subscribe && node.refuses {
                node.outbound.push_back(Sent::Refused);
                continue;
            }
            for name in names {
                if subscribe {
                    assert!(node.subscribed.insert(name.clone()), "asked for once");
                    node.outbound.push_back(Sent::Subscribed(kind, name));
                } else {
                    node.subscribed.remove(&name);
                    node.outbound.push_back(Sent::Unsubscribed(kind, name));
                }
            }
        }
        node.outbound.push_back(Sent::Marker);
    }

    /// A key of the node is changed.
    fn event(&mut self, index: usize, channel: usize) {
        self.now += 1;
        let node = &mut self.nodes[index];
        if node.owns_slots {
            for reader in READERS {
                let heard = self.heard.entry((reader, channel)).or_default();
                if heard.subscribed {
                    heard.owed.insert(self.now);
                }
            }
        }
        if node.subscribed.contains(CHANNELS[channel].1) {
            node.outbound.push_back(Sent::Event(channel, self.now));
        }
    }

    /// One thing that a node sent arrives.
    fn arrive(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let (Some(id), Some(sent)) = (node.connection, node.outbound.pop_front()) else { return };
        let at = self.at();
        let known = match sent {
            Sent::Marker => self.table.handle_marker(id, at),
            Sent::Refused => self.table.handle_error(id, &super::error("NOPERM no"), at),
            Sent::Subscribed(kind, name) => self.table.handle_subscribed(id, kind, &name, at),
            Sent::Unsubscribed(kind, name) => self.table.handle_unsubscribed(id, kind, &name, at),
            Sent::Event(channel, when) => {
                let (kind, name) = CHANNELS[channel];
                for reader in self.table.readers(kind, name, id).collect::<Vec<_>>() {
                    self.heard.entry((reader, channel)).or_default().owed.remove(&when);
                }
                Ok(())
            }
        };
        assert_eq!(known, Ok(()), "a server that does what it is told is not suspected");
        self.hear();
    }

    /// What the readers are told fits what they were told before, and what happened.
    fn hear(&mut self) {
        for (reader, update) in self.table.take_updates() {
            let (Update::Subscribed { channel, .. }
            | Update::Unsubscribed { channel }
            | Update::Gap { channel, .. }
            | Update::Refused { channel, .. }) = &update
            else {
                panic!("nothing else can be: {update:?}")
            };
            let channel = CHANNELS.iter().position(|(_, name)| channel.name == *name).unwrap();
            let heard = self.heard.entry((reader, channel)).or_default();
            match update {
                Update::Subscribed { .. } => {
                    assert!(!std::mem::replace(&mut heard.subscribed, true), "told once");
                    heard.refused = false;
                }
                Update::Gap { duration, .. } => {
                    assert!(heard.subscribed, "who was not subscribed has no gap");
                    let since = self.now - duration.as_millis() as u64;
                    heard.owed.retain(|when| *when < since);
                    heard.refused = false;
                }
                Update::Refused { .. } => {
                    assert!(!std::mem::replace(&mut heard.refused, true), "told once");
                }
                _ => *heard = Heard::default(),
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..12 {
            self.now += 3000;
            self.refresh();
            for index in 0..NODES {
                self.nodes[index].refuses = false;
                self.open(index);
            }
            self.plan();
            for index in 0..NODES {
                while !self.nodes[index].inbound.is_empty() {
                    self.serve(index);
                }
                while !self.nodes[index].outbound.is_empty() {
                    self.arrive(index);
                }
            }
            self.table.recheck_all();
        }
    }
}

/// What happens: one of the things below, to a channel, at a node.
type Step = (u8, usize, usize);

/// Lets these things happen, and checks what the readers were told.
fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new();
    for (what, channel, node) in steps {
        world.now += 7;
        let (kind, name) = CHANNELS[channel];
        let reader = READERS[node % 2];
        match what {
            0 | 1 => {
                world.heard.entry((reader, channel)).or_default().wants = true;
                world.table.subscribe(kind, name, reader);
            }
            2 => {
                world.table.unsubscribe(kind, name, reader);
                world.hear();
                world.heard.insert((reader, channel), Heard::default());
            }
            3 => world.nodes[node].owns_slots = true,
            // Of an owner that comes and goes unseen, nobody can tell.
            4 => world.nodes[node].owns_slots &= !world.known[node],
            5 => world.lose(node),
            6 | 7 => world.open(node),
            8 | 9 => world.refresh(),
            10 | 11 => world.plan(),
            12 => world.nodes[node].refuses = channel == 0,
            13..=15 => world.serve(node),
            16 | 17 => world.event(node, channel),
            _ => world.arrive(node),
        }
        world.hear();
    }
    world.nodes[0].owns_slots = true;
    world.settle();
    for (channel, (kind, name)) in CHANNELS.into_iter().enumerate() {
        let wants: Vec<ReaderId> = READERS
            .into_iter()
            .filter(|reader| world.heard.get(&(*reader, channel)).is_some_and(|h| h.wants))
            .collect();
        for (index, node) in world.nodes.iter().enumerate() {
            let expected = !wants.is_empty() && node.owns_slots;
            prop_assert_eq!(node.subscribed.contains(name), expected, "node {}", index);
        }
        let any = ConnectionId(0);
        let mut readers: Vec<ReaderId> = world.table.readers(kind, name, any).collect();
        readers.sort();
        prop_assert_eq!(&readers, &wants);
        for reader in wants {
            let heard = &world.heard[&(reader, channel)];
            prop_assert!(heard.subscribed, "{:?} is told", reader);
            prop_assert!(heard.owed.is_empty(), "{:?} misses {:?}", reader, heard.owed);
            prop_assert_eq!(world.table.unconfirmed(reader, 0), None);
        }
    }
    let wanted = world.heard.values().filter(|heard| heard.wants).count();
    prop_assert_eq!(world.table.readers.len(), wanted);
    Ok(())
}

/// A node ceases to own slots and is left; its connection is lost before it has confirmed that.
/// What it had sent until then is lost, also where no other node comes to own slots.
#[test]
fn an_event_in_flight_of_a_primary_that_is_left_is_told_as_missing() {
    let begin = [(8, 0, 0), (0, 0, 0), (10, 0, 0)];
    let confirm = [(13, 0, 0), (13, 0, 1), (18, 0, 0), (18, 0, 0), (18, 0, 1), (18, 0, 1)];
    let event_and_end = [(16, 0, 1), (4, 0, 1)];
    let unseen = [(4, 0, 0), (10, 0, 0), (13, 0, 1), (8, 0, 0), (18, 0, 1), (16, 0, 1), (4, 0, 1)];
    for lost in [&[(8, 0, 0), (5, 0, 1)][..], &[(8, 0, 0), (10, 0, 0), (5, 0, 1)]] {
        let settled = [&begin[..], &confirm, &event_and_end, lost].concat();
        check(settled).unwrap_or_else(|error| panic!("{lost:?}: {error}"));
        let first = [&begin[..2], &unseen, lost].concat();
        check(first).unwrap_or_else(|error| panic!("{lost:?}: {error}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn events_come_once_or_are_told_as_missing(
        steps in proptest::collection::vec((0u8..22, 0usize..2, 0usize..NODES), 1..160)
    ) {
        check(steps)?;
    }
}
