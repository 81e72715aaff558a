//! One look at a service through its sentinels: asked with a small stagger, their opinions brought
//! back.
//!
//! A hung sentinel costs the stagger and no more. The choice among opinions is
//! `topology/service.rs`'s. Two sentinels at least are also listened to, where the host has a
//! background: what they announce about the service raises the alarm (`listen`).
//!
//! Limits: `OPINIONS_MAX` opinions, `SENTINELS_MAX` sentinels known, `connect_timeout` for the
//! whole look. Called by `driver/topology.rs`.

use crate::Endpoint;
use crate::command::cmd;
use crate::connection::entry::Entry;
use crate::connection::handshake::Profile;
use crate::connection::outcome::Lost;
use crate::driver::discovery::staggered_query::{Manner, Question, ask, query_node};
use crate::driver::environment::environment::Environment;
use crate::driver::environment::refresh_triggers::RefreshTriggers;
use crate::driver::link::push_sink::PushSink;
use crate::driver::link::submit::{error_in, submit};
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::lock::lock;
use crate::resp::{ErrorClass, ServerError, Value, plain_value};
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::time::Timestamp;
use crate::topology::sentinel::{
    Opinion, PrimaryChoice, PrimaryState, Service, choose, parse_opinion, sentinels_of,
};
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Opinions that are enough.
const OPINIONS_MAX: usize = 3;
/// More sentinels than any service has.
const SENTINELS_MAX: usize = 64;
/// How long a sentinel may keep the next one waiting.
const STAGGER: Duration = Duration::from_millis(100);
/// Sentinels that are listened to.
const LISTENED: usize = 2;
/// Whoever answers is believed after this long, though others are silent who may know of a later
/// failover, if the primary that is held cannot be reached either: they are gone for good.
const DOUBT: Duration = Duration::from_secs(10);
/// What they announce that matters.
const NEWS: [&str; 10] = [
    "+switch-master",
    // Long before +switch-master where replicas are slow to follow.
    "+promoted-slave",
    "+odown",
    "-odown",
    "+reboot",
    // Of replicas: who is down, back, new, or follows another primary now.
    "+sdown",
    "-sdown",
    "+slave",
    "+slave-reconf-done",
    "+convert-to-slave",
];

/// The sentinels of one service, and what is held of it.
#[derive(Debug)]
pub(crate) struct Sentinels {
    /// The name that they watch the service under.
    service: Arc<str>,
    /// The configured ones first, which stay for ever, then those that they told of.
    nodes: Vec<Arc<Node>>,
    /// How many are configured.
    seeds: usize,
    /// What is held.
    pub(crate) held: Option<Service>,
    /// How many there are, by those who know what is held.
    known: usize,
    /// Since when everybody who answers names another primary than is held, without being believed.
    doubted: Option<Timestamp>,
}

/// What a look brought.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Good opinions; none if no sentinel gave one.
    pub(crate) opinions: Vec<Opinion>,
    /// What the others failed with, by sentinel.
    failures: Vec<(Endpoint, Error)>,
    /// Sentinels that answered that they know no such service, and the names that they do know.
    unknown: Option<Vec<String>>,
}

/// How one sentinel answered.
enum Answer {
    /// With an opinion.
    Opinion(Opinion),
    /// It watches services, but not this one.
    Unknown(Vec<String>),
}

impl Sentinels {
    pub(crate) fn new(service: &str, env: &Environment) -> Self {
        let new = |e: &Endpoint| Arc::new(Node::new(e.clone(), Profile::Sentinel, env));
        let nodes: Vec<_> = env.config().endpoints.iter().map(new).collect();
        Self {
            service: service.into(),
            seeds: nodes.len(),
            nodes,
            held: None,
            known: 0,
            doubted: None,
        }
    }

    pub(crate) fn service(&self) -> &Arc<str> {
        &self.service
    }

    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// Whom to ask: those with a live connection first.
    pub(crate) fn candidates(&self) -> Vec<Arc<Node>> {
        let live = |node: &&Arc<Node>| node.ready().is_some_and(|link| !link.is_closed());
        let (mut first, then): (Vec<_>, Vec<_>) = self.nodes.iter().partition(live);
        first.extend(then);
        first.into_iter().cloned().collect()
    }

    /// What follows from opinions: the service, if it has changed. `primary` is the node that is
    /// held to be the primary.
    pub(crate) fn decide(
        &mut self,
        opinions: &[Opinion],
        primary: Option<&Arc<Node>>,
        now: Timestamp,
    ) -> Option<Service> {
        let lasting = |since| now.since(since) >= DOUBT;
        let state = match primary {
            Some(node) if !node.is_failing() => PrimaryState::Reachable,
            _ if self.doubted.is_some_and(lasting) => PrimaryState::LongUnreachable,
            _ => PrimaryState::Unreachable,
        };
        let choice = choose(self.held.as_ref(), state, self.known, opinions);
        self.doubted = self.doubted.or(Some(now)).filter(|_| choice == PrimaryChoice::Doubt);
        let changed = match choice {
            PrimaryChoice::Keep | PrimaryChoice::Doubt => None,
            PrimaryChoice::Take(service) => Some(service),
        };
        self.held = changed.clone().or(self.held.take());
        let floor = self.floor();
        let current: Vec<_> = opinions.iter().filter(|o| o.epoch >= floor).cloned().collect();
        if !current.is_empty() {
            self.known = sentinels_of(&current);
        }
        changed
    }

    /// The epoch of what is held.
    pub(crate) fn floor(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.epoch)
    }

    /// Learns of other sentinels. One that was told of and is told of no more is forgotten.
    pub(crate) fn learn(&mut self, opinions: &[Opinion], env: &Environment) {
        let told = || opinions.iter().flat_map(|opinion| &opinion.sentinels);
        let mut index = 0;
        let seeds = self.seeds;
        self.nodes.retain(|node| {
            index += 1;
            let stays = index <= seeds || told().any(|endpoint| endpoint == node.endpoint());
            if !stays {
                node.close();
            }
            stays
        });
        for endpoint in told() {
            let known = self.nodes.iter().any(|node| node.endpoint() == endpoint);
            if !known && self.nodes.len() < SENTINELS_MAX {
                let node = Node::new(endpoint.clone(), Profile::Sentinel, env);
                self.nodes.push(Arc::new(node));
            }
        }
    }
}

impl Heard {
    /// What to tell a caller when there is no opinion.
    pub(crate) fn error(&self, service: &str) -> Error {
        if let Some(known) = &self.unknown {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("no sentinel knows a service {service:?}; they know: {known}");
            return Error::new(ErrorKind::Topology, Delivery::NotSent, message);
        }
        let each: Vec<_> =
            self.failures.iter().map(|(endpoint, error)| format!("{endpoint} ({error})")).collect();
        let message = format!("no sentinel could be asked: {}", each.join("; "));
        let error = Error::new(ErrorKind::Topology, Delivery::NotSent, message);
        match self.failures.last() {
            Some((_, cause)) => error.with_cause(cause.clone()),
            None => error,
        }
    }
}

/// Asks, in the order given, until enough have answered who do not count from further back than
/// `floor`.
pub(crate) async fn look(
    env: &Arc<Environment>,
    candidates: Vec<Arc<Node>>,
    service: &str,
    floor: u64,
) -> Heard {
    let deadline = env.now().after(env.config().connect_timeout);
    let heard = Heard { opinions: Vec::new(), failures: Vec::new(), unknown: None };
    let heard = Mutex::new(heard);
    let manner = Manner { wave: LISTENED, stagger: STAGGER, enough: OPINIONS_MAX, goes_on: true };
    let question = |node: Arc<Node>| -> Question<'_> {
        Box::pin(async {
            let node = node;
            let answer = opinion_of(env, &node, service, deadline).await;
            let is_good = matches!(&answer, Ok(Answer::Opinion(own)) if own.epoch >= floor);
            let mut heard = lock(&heard);
            match answer {
                Ok(Answer::Opinion(opinion)) => heard.opinions.push(opinion),
                Ok(Answer::Unknown(known)) => heard.unknown = Some(known),
                Err(error) => heard.failures.push((node.endpoint().clone(), error)),
            }
            is_good
        })
    };
    ask(env, manner, deadline, candidates.into_iter().map(question).collect()).await;
    heard.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn opinion_of(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    service: &str,
    deadline: Timestamp,
) -> Result<Answer, Error> {
    let about = |what| cmd("SENTINEL").arg(what).arg(service);
    // Sentinels of Redis 4 and older know only the old name of REPLICAS; all know it.
    let what = ["MASTER", "GET-MASTER-ADDR-BY-NAME", "SLAVES", "SENTINELS"];
    let commands = what.map(about);
    let frames = query_node(env, node, &commands, deadline).await?;
    if let Some(error) = error_in(&frames[0]) {
        if error.class() != ErrorClass::UnknownService {
            return Err(refused(error));
        }
        let known = query_node(env, node, &[cmd("SENTINEL").arg("MASTERS")], deadline).await?;
        let known = plain_value(&known[0]).map_err(|e| broken(&e.to_string()))?;
        let names = known.as_slice().unwrap_or_default().iter();
        let name = |service: &Value| Some(service.get("name")?.as_str()?.to_owned());
        return Ok(Answer::Unknown(names.filter_map(name).collect()));
    }
    let value = |frame: &Bytes| match error_in(frame) {
        Some(error) => Err(refused(error)),
        None => plain_value(frame).map_err(|error| broken(&error.to_string())),
    };
    let map = &env.config().address_map;
    let endpoint = |name: &str, port| {
        let endpoint = Endpoint::tcp(name, port);
        map.get(&endpoint).cloned().unwrap_or(endpoint)
    };
    let [primary, place, replicas, sentinels] =
        [value(&frames[0])?, value(&frames[1])?, value(&frames[2])?, value(&frames[3])?];
    parse_opinion([&primary, &place, &replicas, &sentinels], &endpoint)
        .map(Answer::Opinion)
        .map_err(|what| broken(&what))
}

fn refused(error: ServerError) -> Error {
    let kind = match reply_policy(&error, ErrorOrigin::Server).is_about_rights {
        true => ErrorKind::Handshake,
        false => ErrorKind::Server,
    };
    Error::new(kind, Delivery::Refused, "the sentinel refused").with_server_error(error)
}

fn broken(what: &str) -> Error {
    let message = format!("the sentinel's answer makes no sense: {what}");
    Error::new(ErrorKind::Topology, Delivery::Answered, message)
}

/// Subscribes at two live sentinels to what they announce, once per connection. Only over RESP3,
/// where announcements cannot be taken for replies; other sentinels are polled.
pub(crate) async fn listen(env: &Arc<Environment>, nodes: &[Arc<Node>], service: &Arc<str>) {
    let links = nodes.iter().filter_map(|node| node.ready()).filter(|link| !link.is_closed());
    for link in links.take(LISTENED) {
        if link.has_push_sink() {
            continue;
        }
        let hello = cmd("HELLO").arg("3");
        let deadline = env.now().after(env.config().connect_timeout);
        let entry = Entry { len: hello.encoded_len(), replies: 1, deadline };
        let answer = submit(env, &link, entry, &|out: &mut Vec<u8>| hello.write_to(out)).await;
        let frame = answer.ok().and_then(Result::ok).and_then(|reply| reply.into_last());
        if frame.is_some_and(|frame| error_in(&frame).is_none()) {
            let news = News { service: Arc::clone(service), triggers: Arc::clone(env.triggers()) };
            if link.set_push_sink(Arc::new(news)) {
                let subscribe = cmd("SUBSCRIBE").args(NEWS);
                let mut commands = Vec::new();
                subscribe.write_to(&mut commands);
                hello.write_to(&mut commands);
                link.enqueue_push_commands(&commands);
                link.move_bytes();
            }
        }
    }
}

/// Hears what a sentinel announces.
#[derive(Debug)]
struct News {
    /// The name that an announcement must have in it.
    service: Arc<str>,
    /// Raised then.
    triggers: Arc<RefreshTriggers>,
}

impl PushSink for News {
    fn handle(&self, frames: &mut Vec<Bytes>, _: Timestamp) {
        let name = self.service.as_bytes();
        let names = |push: &Bytes| push.windows(name.len().max(1)).any(|part| part == name);
        if frames.iter().any(names) {
            self.triggers.report_sentinel_message();
        }
    }

    fn handle_lost(&self, _: &Lost) {}
}
