//! Asks the sentinels of a service which server is its primary, and subscribes to what they
//! announce.
//!
//! They are asked with a short stagger, so that a hung sentinel costs one stagger. Which of their
//! answers to believe is decided in `topology/sentinel.rs`. Where the host has a background, the
//! client also subscribes at `SUBSCRIBED` of them: what they announce about the service requests a
//! refresh at once.
//!
//! Limits: `OPINIONS_MAX` answers, `SENTINELS_MAX` sentinels known, `connect_timeout` for one
//! round. Spec: redis.io/docs, "High availability with Redis Sentinel", "Sentinel commands",
//! "Pub/Sub messages".

use crate::command::{Command, cmd};
use crate::connection::courtesy::{Courtesy, Withheld};
use crate::connection::entry::Entry;
use crate::connection::handshake::{Profile, is_unready};
use crate::connection::outcome::Lost;
use crate::driver::discovery::questions::{Asked, ask};
use crate::driver::discovery::staggered_query::{
    Query, Rhythm, query_link, query_node, run_staggered,
};
use crate::driver::environment::environment::Environment;
use crate::driver::environment::refresh_triggers::RefreshTriggers;
use crate::driver::link::link::Link;
use crate::driver::link::push_sink::PushSink;
use crate::driver::link::submit::{error_in, submit};
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorKind};
use crate::lock::lock;
use crate::resp::{ErrorClass, ServerError, Value, plain_value};
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::subscription::channel_table::UnknownState;
use crate::subscription::push::Push;
use crate::time::Timestamp;
use crate::topology::sentinel::{
    GivenUp, Knowledge, Opinion, PrimaryChoice, PrimaryState, Proof, Proofs, Service,
    announced_service, choose, disputed, parse_opinion, parse_role, sentinels_of,
};
use crate::{BoxFuture, Endpoint};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many answers are enough.
const OPINIONS_MAX: usize = 3;
/// How many sentinels are known at most: more than any service has.
const SENTINELS_MAX: usize = 64;
/// How long a sentinel may take before the next one is asked.
const STAGGER: Duration = Duration::from_millis(100);
/// At how many sentinels the client subscribes; as many are asked at once.
const SUBSCRIBED: usize = 2;
/// A known sentinel that does not answer may know of a later failover. If the known primary cannot
/// be reached either, the other sentinels are believed after this long: the silent one is gone.
const DOUBT_MAX: Duration = Duration::from_secs(10);
/// How long other servers of a dispute may take after the first one that says that it is a primary.
const PROOF_GRACE: Duration = Duration::from_millis(250);
/// The channels whose messages request a refresh.
const CHANNELS: [&str; 10] = [
    "+switch-master",
    // Long before +switch-master where replicas are slow to follow.
    "+promoted-slave",
    "+odown",
    "-odown",
    "+reboot",
    // A replica is down, back, new, or follows another primary now.
    "+sdown",
    "-sdown",
    "+slave",
    "+slave-reconf-done",
    "+convert-to-slave",
];

/// The sentinels of one service, and what they have told about it.
#[derive(Debug)]
pub(crate) struct Sentinels {
    /// The name of the service, as the sentinels know it.
    service: Arc<str>,
    /// The configured sentinels, which stay for the client's whole life, then those that they
    /// named.
    nodes: Vec<Arc<Node>>,
    /// How many are configured.
    seeds: usize,
    /// The service as far as it is known.
    pub(crate) held: Option<Service>,
    /// How many sentinels there are, by the newest answers.
    known: usize,
    /// Since when answers name another primary than the known one without being believed.
    doubted_since: Option<Timestamp>,
    /// A primary that nobody could reach, although a sentinel of a later epoch names it.
    given_up: Option<GivenUp>,
}

/// What the sentinels answered.
#[derive(Debug)]
pub(crate) struct SentinelAnswers {
    /// Good answers.
    pub(crate) opinions: Vec<Opinion>,
    /// What the servers of a dispute answered.
    pub(crate) proofs: Proofs,
    /// The errors of the other sentinels.
    failures: Vec<(Endpoint, Error)>,
    /// A sentinel does not know the service; the names that it does know.
    unknown: Option<Vec<String>>,
}

/// How one sentinel answered.
enum SentinelAnswer {
    /// It told about the service.
    Opinion(Opinion),
    /// It does not know the service; the names that it does know.
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
            doubted_since: None,
            given_up: None,
        }
    }

    pub(crate) fn service(&self) -> &Arc<str> {
        &self.service
    }

    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// Which sentinels to ask: connected ones first.
    pub(crate) fn candidates(&self) -> Vec<Arc<Node>> {
        let live = |node: &&Arc<Node>| node.ready().is_some_and(|link| !link.is_closed());
        let (mut first, then): (Vec<_>, Vec<_>) = self.nodes.iter().partition(live);
        first.extend(then);
        first.into_iter().cloned().collect()
    }

    /// What a choice rests on. `primary` is the node that is known as the service's primary.
    fn knowledge(&self, primary: Option<&Arc<Node>>, now: Timestamp) -> Knowledge<'_> {
        let lasting = |since| now.since(since) >= DOUBT_MAX;
        let state = match primary {
            Some(node) if node.is_live() => PrimaryState::Reachable,
            _ if self.doubted_since.is_some_and(lasting) => PrimaryState::LongUnreachable,
            Some(node) if !node.is_failing() => PrimaryState::Untried,
            _ => PrimaryState::Unreachable,
        };
        let (held, given_up) = (self.held.as_ref(), self.given_up.as_ref());
        Knowledge { held, state, given_up, known: self.known }
    }

    /// The servers to ask for their ROLE before [`decide`](Self::decide), because the opinions
    /// differ.
    pub(crate) fn disputed(
        &self,
        opinions: &[Opinion],
        primary: Option<&Arc<Node>>,
        now: Timestamp,
    ) -> Vec<Endpoint> {
        disputed(self.knowledge(primary, now), opinions)
    }

    /// The service, if the opinions change what is known of it. `primary` is the node that is known
    /// as its primary.
    pub(crate) fn decide(
        &mut self,
        (opinions, proofs): (&[Opinion], &Proofs),
        primary: Option<&Arc<Node>>,
        now: Timestamp,
    ) -> Option<Service> {
        let choice = choose(self.knowledge(primary, now), opinions, proofs);
        self.doubted_since =
            self.doubted_since.or(Some(now)).filter(|_| choice == PrimaryChoice::Doubt);
        let changed = match choice {
            PrimaryChoice::Keep | PrimaryChoice::Doubt => None,
            PrimaryChoice::Take(service) => Some(service),
        };
        if let (Some(held), Some(next)) = (&self.held, &changed)
            && (held.epoch != next.epoch || held.primary != next.primary)
        {
            let is_older = next.epoch < held.epoch;
            self.given_up = is_older.then(|| (held.primary.clone(), held.epoch));
        }
        self.held = changed.clone().or(self.held.take());
        let epoch = self.epoch();
        let current: Vec<_> = opinions.iter().filter(|o| o.epoch >= epoch).cloned().collect();
        if !current.is_empty() {
            self.known = sentinels_of(&current);
        }
        changed
    }

    /// The config epoch of what is known; older answers are not good ones.
    pub(crate) fn epoch(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.epoch)
    }

    /// Adds the sentinels that the opinions name, and drops those that they name no more. The
    /// configured ones stay.
    pub(crate) fn update_nodes(&mut self, opinions: &[Opinion], env: &Environment) {
        let named = || opinions.iter().flat_map(|opinion| &opinion.sentinels);
        let mut index = 0;
        let seeds = self.seeds;
        self.nodes.retain(|node| {
            index += 1;
            let stays = index <= seeds || named().any(|endpoint| endpoint == node.endpoint());
            if !stays {
                node.close();
            }
            stays
        });
        for endpoint in named() {
            let known = self.nodes.iter().any(|node| node.endpoint() == endpoint);
            if !known && self.nodes.len() < SENTINELS_MAX {
                let node = Node::new(endpoint.clone(), Profile::Sentinel, env);
                self.nodes.push(Arc::new(node));
            }
        }
    }
}

impl SentinelAnswers {
    /// What a caller fails with when there is no good answer.
    pub(crate) fn error(&self, service: &str) -> Error {
        if let Some(known) = &self.unknown {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message =
                format!("no sentinel knows the service {service:?}; known services: {known}");
            return Error::new(ErrorKind::Topology, Delivery::NotSent, message);
        }
        let each: Vec<_> =
            self.failures.iter().map(|(endpoint, error)| format!("{endpoint} ({error})")).collect();
        let message = format!("no sentinel answered: {}", each.join("; "));
        let error = Error::new(ErrorKind::Topology, Delivery::NotSent, message);
        match self.failures.last() {
            Some((_, cause)) => error.with_cause(cause.clone()),
            None => error,
        }
    }
}

/// Asks the sentinels in the order given, until enough of them have answered with a config epoch of
/// at least `epoch_min`.
pub(crate) async fn query(
    env: &Arc<Environment>,
    candidates: Vec<Arc<Node>>,
    service: &str,
    epoch_min: u64,
) -> SentinelAnswers {
    let deadline = env.now().after(env.config().connect_timeout);
    let (opinions, proofs) = (Vec::new(), Proofs::new());
    let answers = SentinelAnswers { opinions, proofs, failures: Vec::new(), unknown: None };
    let answers = Mutex::new(answers);
    let rhythm =
        Rhythm { first: SUBSCRIBED, stagger: STAGGER, enough: OPINIONS_MAX, goes_on: true };
    let query = |node: Arc<Node>| -> Query<'_> {
        Box::pin(async {
            let node = node;
            let answer = opinion_of(env, &node, service, deadline).await;
            let is_good =
                matches!(&answer, Ok(SentinelAnswer::Opinion(own)) if own.epoch >= epoch_min);
            let mut answers = lock(&answers);
            match answer {
                Ok(SentinelAnswer::Opinion(opinion)) => answers.opinions.push(opinion),
                Ok(SentinelAnswer::Unknown(known)) => answers.unknown = Some(known),
                Err(error) => answers.failures.push((node.endpoint().clone(), error)),
            }
            is_good
        })
    };
    run_staggered(env, rhythm, deadline, candidates.into_iter().map(query).collect()).await;
    answers.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn opinion_of(
    env: &Arc<Environment>,
    node: &Arc<Node>,
    service: &str,
    deadline: Timestamp,
) -> Result<SentinelAnswer, Error> {
    let mut asked = Asked::connect(env, node, deadline).await?;
    let questions = |_: &Link, withheld: Withheld| -> Vec<(Courtesy, Command)> {
        let which =
            [Courtesy::Primary, Courtesy::PrimaryAddress, Courtesy::Replicas, Courtesy::Sentinels];
        let said = which.into_iter().filter(|courtesy| !withheld.has(*courtesy));
        said.map(|courtesy| (courtesy, courtesy.command().arg(service))).collect()
    };
    let answers = ask(env, node, &mut asked, &questions, deadline).await?;
    // What a sentinel refuses to tell is all that is not known then. One is enough.
    let (mut told, mut refusal) = ([const { None }; 4], None);
    for (which, frame) in &answers {
        match error_in(frame) {
            Some(error) if error.class() == ErrorClass::UnknownService => {
                return Ok(SentinelAnswer::Unknown(services(env, &asked.link, deadline).await));
            }
            Some(error) if is_unready(&error) => return Err(refused(error)),
            Some(error) => refusal = refusal.or(Some(error)),
            None => {
                let place = match which {
                    Courtesy::Primary => 0,
                    Courtesy::PrimaryAddress => 1,
                    Courtesy::Replicas => 2,
                    _ => 3,
                };
                told[place] = plain_value(frame).ok();
            }
        }
    }
    let [primary, place, replicas, sentinels] = &mut told;
    match (&primary, &place) {
        // A sentinel that may only tell the address says so of a service that it does not know.
        (None, Some(Value::Null)) => {
            return Ok(SentinelAnswer::Unknown(services(env, &asked.link, deadline).await));
        }
        (None, None) => {
            let silent = || broken("it says nothing about the primary");
            return Err(refusal.map_or_else(silent, refused));
        }
        _ => {}
    }
    if replicas.is_none() {
        // Sentinels before 5.0 know only the old name.
        let old = [cmd("SENTINEL").arg("SLAVES").arg(service)];
        let frames = query_link(env, &asked.link, &old, deadline).await.unwrap_or_default();
        let frame = frames.first().filter(|frame| error_in(frame).is_none());
        *replicas = frame.and_then(|frame| plain_value(frame).ok());
    }
    let map = &env.config().address_map;
    let endpoint = |name: &str, port| {
        let endpoint = Endpoint::tcp(name, port);
        map.get(&endpoint).cloned().unwrap_or(endpoint)
    };
    let told = [primary.as_ref(), place.as_ref(), replicas.as_ref(), sentinels.as_ref()];
    let (opinion, left_out) = parse_opinion(told, &endpoint).map_err(|what| broken(&what))?;
    let left_out = u64::try_from(left_out).unwrap_or_default();
    env.telemetry().entries_left_out.fetch_add(left_out, Ordering::Relaxed);
    Ok(SentinelAnswer::Opinion(opinion))
}

/// The services that a sentinel knows; none if it does not tell.
async fn services(env: &Arc<Environment>, link: &Arc<Link>, deadline: Timestamp) -> Vec<String> {
    let masters = [cmd("SENTINEL").arg("MASTERS")];
    let frames = query_link(env, link, &masters, deadline).await.unwrap_or_default();
    let known = frames.first().and_then(|frame| plain_value(frame).ok());
    let names = known.as_ref().and_then(Value::as_slice).unwrap_or_default().iter();
    names.filter_map(|service| Some(service.get("name")?.as_str()?.to_owned())).collect()
}

fn refused(error: ServerError) -> Error {
    let kind = match reply_policy(&error, ErrorOrigin::Server).is_about_rights {
        true => ErrorKind::Handshake,
        false => ErrorKind::Server,
    };
    Error::new(kind, Delivery::Refused, "the sentinel refused the command").with_server_error(error)
}

fn broken(what: &str) -> Error {
    let message = format!("malformed reply of the sentinel: {what}");
    Error::new(ErrorKind::Topology, Delivery::Answered, message)
}

/// Asks servers, which sentinels name the primary, for their ROLE.
pub(crate) async fn prove(env: &Arc<Environment>, servers: Vec<Endpoint>) -> Proofs {
    let deadline = env.now().after(env.config().connect_timeout);
    let mut proofs: Proofs = servers.iter().map(|at| (at.clone(), Proof::None)).collect();
    let ask = |at: Endpoint| -> BoxFuture<'_, (Endpoint, Proof)> {
        Box::pin(async move {
            if !env.config().courtesies {
                return (at, Proof::Unknown);
            }
            let node = Arc::new(Node::new(at.clone(), Profile::Server, env));
            let reply = query_node(env, &node, &[Courtesy::Role.command()], deadline).await;
            let frame = reply.ok().and_then(|mut frames| frames.pop());
            let proof = match frame {
                None => Proof::None,
                // The user may not ask.
                Some(frame) if error_in(&frame).is_some() => Proof::Unknown,
                Some(frame) => plain_value(&frame).map_or(Proof::None, |role| parse_role(&role)),
            };
            (at, proof)
        })
    };
    let mut asked: FuturesUnordered<_> = servers.into_iter().map(ask).collect();
    let mut until = deadline;
    while let Some(Some((at, proof))) = env.with_deadline(until, asked.next()).await {
        if proof > Proof::Unknown {
            until = until.min(env.now().after(PROOF_GRACE));
        }
        proofs.insert(at, proof);
    }
    proofs
}

/// Subscribes at `SUBSCRIBED` connected sentinels, once for each connection. Only over RESP3, where
/// announcements cannot be taken for replies; other sentinels are polled.
pub(crate) async fn subscribe(env: &Arc<Environment>, nodes: &[Arc<Node>], service: &Arc<str>) {
    let is_told = |node: &&Arc<Node>| !node.target().withheld().has(Courtesy::Hello);
    let nodes = nodes.iter().filter(|_| env.config().courtesies).filter(is_told);
    let links = nodes.filter_map(|node| node.ready()).filter(|link| !link.is_closed());
    for link in links.take(SUBSCRIBED) {
        if link.has_push_sink() {
            continue;
        }
        let hello = Courtesy::Hello.command().arg("3");
        let deadline = env.now().after(env.config().connect_timeout);
        let entry = Entry { len: hello.encoded_len(), replies: 1, deadline };
        let answer = submit(env, &link, entry, &|out: &mut Vec<u8>| hello.write_to(out)).await;
        let frame = answer.ok().and_then(Result::ok).and_then(|reply| reply.into_last());
        if frame.is_some_and(|frame| error_in(&frame).is_none()) {
            let sink = AnnouncementSink {
                service: Arc::clone(service),
                triggers: Arc::clone(env.triggers()),
            };
            if link.set_push_sink(Arc::new(sink)) {
                let subscribe = cmd("SUBSCRIBE").args(CHANNELS);
                let mut commands = Vec::new();
                subscribe.write_to(&mut commands);
                hello.write_to(&mut commands);
                link.enqueue_push_commands(&commands);
                link.move_bytes();
            }
        }
    }
}

/// Takes what a sentinel announces.
#[derive(Debug)]
struct AnnouncementSink {
    /// The service; announcements about others are ignored.
    service: Arc<str>,
    /// Set by an announcement.
    triggers: Arc<RefreshTriggers>,
}

impl PushSink for AnnouncementSink {
    fn handle(&self, frames: &mut Vec<Bytes>, _: Timestamp) -> Result<(), UnknownState> {
        let concerns = |push: &Bytes| match Push::parse(push) {
            Push::Message { channel, payload, .. } => {
                let text = |range| push.get(range).and_then(|b| std::str::from_utf8(b).ok());
                let channel: Option<&str> = text(channel);
                let service = channel.zip(text(payload)).and_then(|(c, p)| announced_service(c, p));
                service == Some(&*self.service)
            }
            _ => false,
        };
        if frames.iter().any(concerns) {
            self.triggers.report_sentinel_message();
        }
        Ok(())
    }

    fn handle_lost(&self, _: &Lost) {}
}
