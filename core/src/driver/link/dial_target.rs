//! Which server a connection is to lead to, and whether it does.
//!
//! One for each node, shared by its connections. In a cluster, a server proves who it is before it
//! gets a command: `topology/identity.rs` has the rule. A server that is not the one that was meant
//! is told as an event, once, and makes the client read the topology again.
//!
//! It also remembers what the server at this address is not told (`connection/courtesy.rs`),
//! because it hung up on it or did not answer it. What is suspected is left out once; it is
//! remembered when the server answers without it, and forgotten when a dial fails: another process
//! may listen there next.
//!
//! **Invariant**: the expected id is set once. A node of another id at the same address is another
//! target.

use crate::Endpoint;
use crate::connection::courtesy::{Courtesy, Withheld};
use crate::connection::handshake::Profile;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::events::Event;
use crate::driver::link::link::Link;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::lock::lock;
use crate::resp::ServerError;
use crate::topology::identity::{Identity, WrongNode};
use crate::topology::node_id::NodeId;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, OnceLock};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct DialTarget {
    /// Where it listens. A host name stays a name, and is resolved at each dial.
    endpoint: Endpoint,
    /// What kind of server it is.
    profile: Profile,
    /// Any server that listens there may answer: for questions about the topology, which carry no
    /// data.
    takes_anyone: bool,
    /// Its id, once the map tells one.
    expected: OnceLock<NodeId>,
    /// The server that the last connection led to, if it was another one.
    mistaken_for: Mutex<Option<WrongNode>>,
    /// The node has described another cluster.
    is_foreign: AtomicBool,
    /// What the server is not told: it answers without.
    withheld: AtomicU16,
    /// What it is not told the next time: it may be why there was no answer.
    suspected: AtomicU16,
    /// The next dial proves that the server answers, before it carries a command.
    is_doubted: AtomicBool,
    /// How it refused READONLY, if it did.
    readonly_refusal: Mutex<Option<ServerError>>,
    /// A connection was opened, by any server that listens there.
    was_reached: AtomicBool,
}

impl DialTarget {
    pub(crate) fn new(endpoint: Endpoint, profile: Profile) -> Self {
        Self {
            endpoint,
            profile,
            takes_anyone: false,
            expected: OnceLock::new(),
            mistaken_for: Mutex::new(None),
            is_foreign: AtomicBool::new(false),
            withheld: AtomicU16::new(0),
            suspected: AtomicU16::new(0),
            is_doubted: AtomicBool::new(false),
            readonly_refusal: Mutex::new(None),
            was_reached: AtomicBool::new(false),
        }
    }

    /// A connection was opened.
    pub(super) fn note_reached(&self) {
        self.was_reached.store(true, Ordering::Relaxed);
    }

    /// Whether nothing but the servers' word says that this address leads anywhere: it is not in
    /// the configuration, and no connection to it was ever opened.
    pub(super) fn is_hearsay(&self, env: &Environment) -> bool {
        let config = env.config();
        let mut configured =
            config.endpoints.iter().chain(&config.replicas).chain(config.address_map.values());
        !self.was_reached.load(Ordering::Relaxed)
            && !configured.any(|known| *known == self.endpoint)
    }

    /// Any server that listens at this target's endpoint.
    pub(crate) fn anyone_there(&self) -> Self {
        Self {
            takes_anyone: true,
            withheld: AtomicU16::new(self.withheld().0),
            ..Self::new(self.endpoint.clone(), self.profile)
        }
    }

    /// What the server is not told now.
    pub(crate) fn withheld(&self) -> Withheld {
        let read = |set: &AtomicU16| Withheld(set.load(Ordering::Relaxed));
        read(&self.withheld).and(read(&self.suspected))
    }

    /// These are left out the next time.
    pub(crate) fn suspect(&self, courtesies: Withheld) {
        self.suspected.fetch_or(courtesies.0, Ordering::Relaxed);
    }

    /// Of these, some are suspected and not proven.
    pub(crate) fn suspects_any(&self, of: Withheld) -> bool {
        Withheld(self.suspected.load(Ordering::Relaxed)).within(of) != Withheld::NONE
    }

    /// The server has answered without these.
    pub(crate) fn answers_without(&self, courtesies: Withheld) {
        self.withheld.fetch_or(courtesies.0, Ordering::Relaxed);
        self.suspected.fetch_and(!courtesies.0, Ordering::Relaxed);
    }

    /// The server did not answer without these either.
    pub(crate) fn clear_suspicion(&self, courtesies: Withheld) {
        self.suspected.fetch_and(!courtesies.0, Ordering::Relaxed);
    }

    /// Another process may listen here next: what was known of this one is forgotten.
    pub(super) fn forget_process(&self) {
        self.withheld.store(0, Ordering::Relaxed);
        self.suspected.store(0, Ordering::Relaxed);
    }

    /// The next dial sends no command before the server has answered.
    pub(crate) fn doubt(&self) {
        self.is_doubted.store(true, Ordering::Relaxed);
    }

    /// Whether the next dial must prove that the server answers.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted.load(Ordering::Relaxed) || self.suspects_any(Withheld::OF_HANDSHAKE)
    }

    /// The server has answered a whole handshake, and refused READONLY like this, if at all.
    pub(super) fn note_handshake(&self, readonly_refusal: Option<ServerError>) {
        self.is_doubted.store(false, Ordering::Relaxed);
        *lock(&self.readonly_refusal) = readonly_refusal;
    }

    /// Why the server, a replica, serves no reads: it refused READONLY, or hangs up on it.
    pub(crate) fn lacks_readonly(&self) -> Option<Option<ServerError>> {
        let refusal = lock(&self.readonly_refusal).clone();
        if refusal.is_some() || self.withheld().has(Courtesy::ReadOnly) {
            Some(refusal)
        } else {
            None
        }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    /// The id that the server must have, if one is known.
    pub(crate) fn expected(&self) -> Option<&NodeId> {
        self.expected.get()
    }

    /// From now on the server must have this id, unless it is a provisional one. Returns whether
    /// that is no contradiction to the id that was expected before.
    pub(crate) fn expect(&self, id: &NodeId) -> bool {
        id.is_provisional() || self.expected.get_or_init(|| id.clone()) == id
    }

    /// Whether the last connection led to another server, or the node describes another cluster.
    pub(crate) fn is_mistaken(&self) -> bool {
        self.is_foreign() || lock(&self.mistaken_for).is_some()
    }

    /// Whether the node has described another cluster.
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign.load(Ordering::Relaxed)
    }

    /// The node describes another cluster, or the known one again. True if that is news.
    pub(crate) fn set_foreign(&self, foreign: bool) -> bool {
        self.is_foreign.swap(foreign, Ordering::Relaxed) != foreign
    }

    /// Whether there is something to compare a server with.
    pub(crate) fn is_comparable(&self, env: &Environment) -> bool {
        env.has_slots()
            && !self.takes_anyone
            && (self.expected.get().is_some() || !env.members().is_empty())
    }

    /// Whether commands may not go over this connection, as far as is known now: it leads to
    /// another server, or its server has not been asked who it is.
    pub(crate) fn doubts(&self, link: &Link, env: &Environment) -> bool {
        self.is_comparable(env) && link.identity().is_none_or(|told| self.judge(told, env).is_err())
    }

    fn judge(&self, told: &Identity, env: &Environment) -> Result<(), WrongNode> {
        if !self.is_comparable(env) {
            return Ok(());
        }
        env.members().judge(self.expected.get(), told)
    }

    /// Compares the server of a new connection with the one that is meant.
    ///
    /// # Errors
    /// It is another one; this is told as an event.
    pub(super) fn admit(&self, told: &Identity, env: &Environment) -> Result<(), Error> {
        match self.judge(told, env) {
            Ok(()) => {
                *lock(&self.mistaken_for) = None;
                Ok(())
            }
            Err(wrong) => Err(self.refuse(wrong, env)),
        }
    }

    /// Says that another server was found here, and makes the client read the topology again.
    pub(crate) fn refuse(&self, wrong: WrongNode, env: &Environment) -> Error {
        let before = lock(&self.mistaken_for).replace(wrong.clone());
        if before.as_ref() != Some(&wrong) {
            let WrongNode { expected, found } = wrong.clone();
            let endpoint = self.endpoint.clone();
            env.telemetry().emit(|| Event::WrongNode { endpoint, expected, found });
        }
        env.triggers().report_wrong_node();
        Error::new(ErrorKind::Connect, Delivery::NotSent, wrong.to_string())
            .with_endpoint(&self.endpoint)
            .with_detail(ErrorDetail::WrongNode)
    }

    /// The error of a dial that is not made.
    pub(super) fn foreign_error(&self) -> Error {
        let message = "the node describes another cluster than the known one";
        Error::new(ErrorKind::Connect, Delivery::NotSent, message).with_endpoint(&self.endpoint)
    }
}
