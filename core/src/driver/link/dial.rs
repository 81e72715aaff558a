//! One dial: a stream, a link on it, and the handshake.
//!
//! Invariants: the connect time-out bounds all of it; a link is handed out only after its handshake
//! is whole, unless nothing in it can fail: then the first command travels with it; a dial that is
//! dropped half-way leaves no connection behind. Credentials that were refused, and whatever else a
//! second dial would not change, are told apart from what may pass.
//! Called by `driver/lane.rs`, `driver/node.rs` (connections of their own) and `driver/pubsub.rs`.

use crate::Endpoint;
use crate::command::Command;
use crate::connection::handshake::{Handshake, Next, Profile};
use crate::connection::outcome::{Failure, Reply};
use crate::connection::queue::{Admission, Entry, NewEntry, Rejected};
use crate::driver::environment::environment::Environment;
use crate::driver::environment::events::Event;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::telemetry::{add_time, count};
use crate::driver::link::background_task::spawn_driver;
use crate::driver::link::link::Link;
use crate::driver::link::pending_reply::PendingReply;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::time::Timestamp;
use crate::transport::DialNotes;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// What it may mean that a server hangs up on a client without TLS before it has said anything.
pub(crate) const WANTS_TLS: &str = "; a port that wants TLS ends so";

/// What a call fails with once its client was closed.
pub(crate) fn closed(endpoint: &Endpoint) -> Error {
    Error::new(ErrorKind::Closed, Delivery::NotSent, "the client is closed").with_endpoint(endpoint)
}

/// Dials and shakes hands, within the connect time-out. `proven`: a greeting that cannot fail need
/// not be answered before the link carries commands.
pub(crate) async fn open(
    endpoint: &Endpoint,
    profile: Profile,
    env: &Arc<Environment>,
    settings: LinkSettings,
    proven: bool,
) -> Result<Arc<Link>, Error> {
    let began = env.now();
    let deadline = began.after(env.config().connect_timeout);
    count(&env.telemetry().dials);
    let notes = DialNotes::default();
    let stream = env.open(endpoint, profile, deadline, &notes).await?;
    let took = env.now().since(began);
    let name_took = notes.name_time();
    add_time(&env.telemetry().dial_time, took);
    add_time(&env.telemetry().name_time, name_took.unwrap_or_default());
    env.telemetry().emit(|| Event::Connected { endpoint: endpoint.clone(), took, name_took });
    let link = Link::start(
        endpoint.clone(),
        stream,
        Arc::clone(env.transport()),
        Arc::clone(env.triggers()),
        settings,
    );
    spawn_driver(&link, env.transport().as_ref());
    let mut handshake = Handshake::new(env.config(), profile);
    if proven && handshake.is_harmless() {
        let commands = handshake.flight();
        let (len, replies) = size_of(&commands);
        let mut greeting = Vec::with_capacity(len);
        commands.iter().for_each(|command| command.write_to(&mut greeting));
        link.defer_handshake(greeting, replies);
        return Ok(link);
    }
    let unready = Unready(Some(link));
    if let Some(link) = &unready.0 {
        shake_hands(link, handshake, deadline, env.is_encrypted(profile)).await?;
    }
    Ok(unready.ready())
}

/// A link whose handshake is not whole. Dropped before it is, it closes: the dial may be dropped
/// half-way, and the link's background would keep it for ever.
struct Unready(Option<Arc<Link>>);

impl Unready {
    fn ready(mut self) -> Arc<Link> {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for Unready {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.close();
        }
    }
}

/// Bytes and replies of a flight.
fn size_of(commands: &[Command]) -> (usize, u32) {
    let replies = u32::try_from(commands.len()).expect("a handshake has a few commands");
    (commands.iter().map(Command::encoded_len).sum(), replies)
}

async fn shake_hands(
    link: &Arc<Link>,
    mut handshake: Handshake,
    deadline: Timestamp,
    encrypted: bool,
) -> Result<(), Error> {
    loop {
        let commands = handshake.flight();
        if commands.is_empty() {
            return Ok(());
        }
        let (len, replies) = size_of(&commands);
        let entry = Entry { len, replies, deadline };
        // Other lanes may have taken all the room.
        let wanted = NewEntry { admission: Admission::Must, ..entry.into() };
        let mut exchange = None;
        let outcome = poll_fn(|cx| {
            if let Some(exchange) = &mut exchange {
                return PendingReply::poll(exchange, cx).map(Ok);
            }
            let write = |out: &mut Vec<u8>| commands.iter().for_each(|c| c.write_to(out));
            match PendingReply::enqueue(Arc::clone(link), wanted, write, cx) {
                Ok(begun) => exchange.insert(begun).poll(cx).map(Ok),
                Err(rejected) => Poll::Ready(Err(rejected)),
            }
        })
        .await;
        let (replies, failure) = match outcome {
            Ok(Ok(reply)) => (Reply::into_all(reply), None),
            Ok(Err(failed)) => (failed.replies, Some(failed.failure)),
            // A server may hang up before it has heard a word.
            Err(Rejected::Closed(lost)) => (Vec::new(), Some(Failure::Lost(lost))),
            Err(Rejected::Full | Rejected::Large) => {
                unreachable!("a handshake takes its room in any case")
            }
        };
        match handshake.handle_replies(&replies) {
            Err(refusal) => return Err(refused(link.endpoint(), &refusal)),
            Ok(Next::Again) if failure.is_none() => {}
            Ok(_) => match failure {
                None if replies.is_empty() => {
                    return Err(unanswered(link.endpoint(), None, encrypted));
                }
                None => return Ok(()),
                failure => return Err(unanswered(link.endpoint(), failure.as_ref(), encrypted)),
            },
        }
    }
}

/// The server said no. Credentials and the like will not get better by dialling again at once; a
/// server that is full or loading will.
fn refused(endpoint: &Endpoint, refusal: &crate::connection::handshake::Refusal) -> Error {
    let passing = refusal
        .error
        .as_ref()
        .is_some_and(|error| reply_policy(error, ErrorOrigin::Server).dial_again);
    // Sentinels named a primary that is none: they will name another.
    let demoted = refusal.step == "ROLE" && refusal.error.is_none();
    if demoted {
        let message = "found, but it is not a primary by its own word";
        let error = Error::new(ErrorKind::Connect, Delivery::NotSent, message);
        return error.with_endpoint(endpoint).with_detail(ErrorDetail::NotPrimary);
    }
    let kind = if passing { ErrorKind::Connect } else { ErrorKind::Handshake };
    let message = format!("{} was refused", refusal.step);
    let error = Error::new(kind, Delivery::NotSent, message).with_endpoint(endpoint);
    match &refusal.error {
        Some(server) => error.with_server_error(server.clone()),
        None => error,
    }
}

/// The server said nothing, or nothing that makes sense.
fn unanswered(endpoint: &Endpoint, failure: Option<&Failure>, encrypted: bool) -> Error {
    use crate::connection::outcome::Lost;
    match failure {
        Some(Failure::Lost(lost)) => {
            let kind = match **lost {
                Lost::Protocol(_) => ErrorKind::Protocol,
                Lost::ByUs => ErrorKind::Closed,
                _ if lost.never_accepted() => ErrorKind::Handshake,
                _ => ErrorKind::Connect,
            };
            let hung_up = !encrypted && matches!(**lost, Lost::ByPeer | Lost::Io(_));
            let hint = if hung_up { WANTS_TLS } else { "" };
            Error::new(kind, Delivery::NotSent, format!("no handshake: {lost}{hint}"))
                .with_endpoint(endpoint)
                .with_shared_cause(Arc::clone(lost) as Arc<dyn std::error::Error + Send + Sync>)
        }
        Some(Failure::TimedOut) | None => {
            Error::new(ErrorKind::Connect, Delivery::NotSent, "no answer to the handshake in time")
                .with_endpoint(endpoint)
        }
    }
}
