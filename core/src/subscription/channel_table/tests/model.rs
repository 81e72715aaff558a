//! A small world for the table: servers that answer in command, slots that move between them,
//! connections that are lost, readers that come and go.
//!
//! Whatever happened, once everything was answered each server holds exactly what is wanted of it,
//! and every reader was told of each interruption once.

use super::super::*;
use crate::rng::Rng;
use proptest::prelude::*;
use std::collections::VecDeque;

const NAMES: [&[u8]; 6] = [b"{x}1", b"{x}2", b"{y}1", b"a", b"b", b"c"];
const SERVERS: usize = 3;

/// What a server sends.
#[derive(Debug)]
enum Sent {
    Error,
    Marker,
    Subscribed(Bytes),
    Unsubscribed(Bytes),
}

#[derive(Debug)]
struct Server {
    /// Gone until it is opened again.
    connection: Option<ConnectionId>,
    /// What it was sent and has not looked at.
    inbound: VecDeque<Vec<ChannelCommand>>,
    /// What it sent and has not arrived.
    outbound: VecDeque<Sent>,
    /// Who is subscribed, by its own books.
    subscribed: BTreeSet<Bytes>,
}

struct World {
    table: ChannelTable,
    servers: Vec<Server>,
    /// The owner of each name's slot; both of `x` move together.
    owners: BTreeMap<Slot, usize>,
    wanted: BTreeSet<Bytes>,
    /// Channels that the reader believes to be subscribed to.
    live: BTreeSet<Bytes>,
    /// Channels that a loss was seen of and no gap told.
    interrupted: BTreeSet<Bytes>,
    names: u64,
    now: u64,
}

const ADA: ReaderId = ReaderId(1);

impl World {
    fn new() -> Self {
        let pauses = (Duration::from_millis(20), Duration::from_secs(2));
        let owners = NAMES.iter().enumerate().map(|(i, name)| (Slot::of(name), i % SERVERS));
        let mut world = Self {
            table: ChannelTable::new(true, pauses, Rng::new(3)),
            servers: Vec::new(),
            owners: owners.collect(),
            wanted: BTreeSet::new(),
            live: BTreeSet::new(),
            interrupted: BTreeSet::new(),
            names: 10,
            now: 0,
        };
        for index in 0..SERVERS {
            world.servers.push(Server {
                connection: None,
                inbound: VecDeque::new(),
                outbound: VecDeque::new(),
                subscribed: BTreeSet::new(),
            });
            world.open(index);
        }
        world
    }

    fn at(&self) -> Timestamp {
        super::at(self.now)
    }

    fn open(&mut self, index: usize) {
        if self.servers[index].connection.is_none() {
            self.names += 1;
            let id = ConnectionId(self.names);
            self.servers[index].connection = Some(id);
            self.table.open(id, Arc::new(Endpoint::tcp("h", 1 + index as u16)));
        }
    }

    fn lose(&mut self, index: usize) {
        let Some(id) = self.servers[index].connection.take() else { return };
        let server = &mut self.servers[index];
        server.inbound.clear();
        server.outbound.clear();
        server.subscribed.clear();
        let before = self.held();
        self.table.close(id, self.at(), GapCause::ConnectionLost);
        self.note_losses(&before);
    }

    /// Names that are live by the table's books.
    fn held(&self) -> BTreeSet<Bytes> {
        let comes = |name: &Bytes, id| {
            self.table.readers(ChannelKind::Sharded, name, ConnectionId(id)).len() > 0
        };
        let live = |name: &&Bytes| (0..=self.names).any(|id| comes(name, id));
        self.wanted.iter().filter(live).cloned().collect()
    }

    fn note_losses(&mut self, before: &BTreeSet<Bytes>) {
        let after = self.held();
        self.interrupted.extend(before.difference(&after).cloned());
    }

    fn move_slot(&mut self, name: &[u8], to: usize) {
        let slot = Slot::of(name);
        let from = self.owners.insert(slot, to).expect("every slot has an owner");
        if from == to {
            return;
        }
        let server = &mut self.servers[from];
        let gone: Vec<_> =
            server.subscribed.iter().filter(|name| Slot::of(name) == slot).cloned().collect();
        for name in gone {
            server.subscribed.remove(&name);
            server.outbound.push_back(Sent::Unsubscribed(name));
        }
    }

    /// A plan by the true owners, or by what the client believed a while ago.
    fn plan(&mut self, stale: bool) {
        let (owners, servers) = (&self.owners, &self.servers);
        let at = self.at();
        let plan = self.table.plan(at, |query| {
            let owner = (owners[&query.slot] + usize::from(stale)) % SERVERS;
            servers[owner].connection
        });
        for (id, commands) in plan {
            let server = self.servers.iter_mut().find(|server| server.connection == Some(id));
            server.expect("commands go to open connections").inbound.extend(commands);
        }
        self.hear();
    }

    /// A server looks at one write.
    fn serve(&mut self, index: usize) {
        let Some(commands) = self.servers[index].inbound.pop_front() else { return };
        for ChannelCommand { subscribe, names, .. } in commands {
            let slot = Slot::of(&names[0]);
            assert!(names.iter().all(|name| Slot::of(name) == slot), "one slot in a command");
            let owns = self.owners[&slot] == index;
            let server = &mut self.servers[index];
            if !owns {
                server.outbound.push_back(Sent::Error);
                continue;
            }
            for name in names {
                if subscribe {
                    server.subscribed.insert(name.clone());
                    server.outbound.push_back(Sent::Subscribed(name));
                } else {
                    server.subscribed.remove(&name);
                    server.outbound.push_back(Sent::Unsubscribed(name));
                }
            }
        }
        self.servers[index].outbound.push_back(Sent::Marker);
    }

    /// One thing that a server sent arrives.
    fn arrive(&mut self, index: usize) {
        let server = &mut self.servers[index];
        let (Some(id), Some(sent)) = (server.connection, server.outbound.pop_front()) else {
            return;
        };
        let (before, at) = (self.held(), self.at());
        let kind = ChannelKind::Sharded;
        let known = match sent {
            Sent::Error => self.table.handle_error(id, &super::error("MOVED 1 h:1"), at),
            Sent::Marker => self.table.handle_marker(id, at),
            Sent::Subscribed(name) => self.table.handle_subscribed(id, kind, &name, at),
            Sent::Unsubscribed(name) => self.table.handle_unsubscribed(id, kind, &name, at),
        };
        assert_eq!(known, Ok(()), "a server that does what it is told is not suspected");
        self.note_losses(&before);
        self.hear();
    }

    /// What the reader is told fits what it was told before, and what happened.
    fn hear(&mut self) {
        let mut moved = BTreeSet::new();
        for (_, update) in self.table.take_updates() {
            match update {
                Update::Subscribed { channel, .. } => {
                    assert!(self.live.insert(channel.name), "told once");
                }
                Update::Unsubscribed { channel } => {
                    self.live.remove(&channel.name);
                    self.interrupted.remove(&channel.name);
                }
                Update::Gap { channel, cause: GapCause::OwnerChanged, .. } => {
                    assert!(moved.contains(&channel.name), "another owner is another node");
                    self.interrupted.remove(&channel.name);
                }
                Update::Gap { channel, .. } => {
                    assert!(self.live.contains(&channel.name));
                    assert!(self.interrupted.remove(&channel.name), "one gap, one interruption");
                }
                Update::Moved { channel, .. } => {
                    assert!(self.live.contains(&channel.name));
                    moved.insert(channel.name);
                }
                other => panic!("nothing else can be: {other:?}"),
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..60 {
            (0..SERVERS).for_each(|index| self.open(index));
            self.now += 3000;
            self.plan(false);
            for index in 0..SERVERS {
                while !self.servers[index].inbound.is_empty() {
                    self.serve(index);
                }
                while !self.servers[index].outbound.is_empty() {
                    self.arrive(index);
                }
            }
            self.table.recheck_all();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn servers_end_up_with_what_is_wanted(
        steps in proptest::collection::vec((0u8..12, 0usize..6, 0usize..SERVERS), 1..120)
    ) {
        let mut world = World::new();
        let kind = ChannelKind::Sharded;
        for (what, name, server) in steps {
            world.now += 7;
            let name = NAMES[name];
            match what {
                0 | 1 => {
                    world.wanted.insert(Bytes::from_static(name));
                    world.table.subscribe(kind, name, ADA);
                }
                2 => {
                    world.wanted.remove(name);
                    world.table.unsubscribe(kind, name, ADA);
                }
                3 => world.move_slot(name, server),
                4 => world.lose(server),
                5 => world.open(server),
                6 => world.plan(false),
                7 => world.plan(true),
                8 | 9 => world.serve(server),
                _ => world.arrive(server),
            }
            world.hear();
        }
        world.settle();
        for (index, server) in world.servers.iter().enumerate() {
            let own = |name: &&Bytes| world.owners[&Slot::of(name)] == index;
            let wanted: BTreeSet<Bytes> = world.wanted.iter().filter(own).cloned().collect();
            prop_assert_eq!(&server.subscribed, &wanted, "server {}", index);
        }
        prop_assert_eq!(&world.live, &world.wanted);
        prop_assert!(world.interrupted.is_empty(), "every interruption was told");
        prop_assert_eq!(world.held(), world.wanted);
    }
}
