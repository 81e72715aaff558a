//! Opens one connection: a stream, a link on it, and the handshake.
//!
//! **Invariants**:
//! - the connect timeout bounds all of it;
//! - a link is returned only after its handshake is complete, unless nothing in the handshake can
//!   fail: then it is written together with the first command;
//! - in a cluster, a link is returned only if its server has said that it is the node that was
//!   meant, or does not say who it is; before the first view any server of the configuration is;
//! - dropping the future leaves no connection open;
//! - errors that connecting again would not change, such as refused credentials, have the kind
//!   `Handshake`; errors that may pass have the kind `Connect`.

use crate::Endpoint;
use crate::command::Command;
use crate::connection::handshake::{Handshake, Progress, Refusal};
use crate::connection::outcome::{Failure, Replies};
use crate::connection::queue::{Admission, Entry, NewEntry, Rejected};
use crate::driver::environment::environment::{EndsWithClient, Environment};
use crate::driver::environment::events::Event;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::telemetry::{add_time, count};
use crate::driver::link::background_task::spawn_driver;
use crate::driver::link::dial_target::DialTarget;
use crate::driver::link::link::Link;
use crate::driver::link::pending_reply::PendingReply;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::time::Timestamp;
use crate::topology::identity::Identity;
use crate::transport::DialNotes;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// A hint for when a server closes a connection without TLS before it has sent anything.
pub(crate) const WANTS_TLS: &str = "; does this port require TLS?";

/// The error of a call whose client is closed.
pub(crate) fn closed(endpoint: &Endpoint) -> Error {
    Error::new(ErrorKind::Closed, Delivery::NotSent, "the client is closed").with_endpoint(endpoint)
}

/// Connects and does the handshake, within the connect timeout. `proven`: the server has answered
/// before, so a handshake that cannot fail is written with the first command.
///
/// # Errors
/// The server cannot be reached, refuses the handshake, or is not the one that was meant.
pub(crate) async fn open(
    target: &DialTarget,
    env: &Arc<Environment>,
    settings: LinkSettings,
    proven: bool,
) -> Result<Arc<Link>, Error> {
    if target.is_foreign() {
        return Err(target.foreign_error());
    }
    let (endpoint, profile) = (target.endpoint(), target.profile());
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
    let tolerates_busy = settings.tolerates_busy;
    let link = Link::start(
        endpoint.clone(),
        stream,
        Arc::clone(env.transport()),
        Arc::clone(env.triggers()),
        LinkSettings { abort: notes.abort_flag(), ..settings },
    );
    env.end_with_client(Arc::clone(&link) as Arc<dyn EndsWithClient>);
    spawn_driver(&link, env.transport().as_ref());
    let mut handshake = Handshake::new(env.config(), profile);
    if tolerates_busy {
        handshake = handshake.tolerating_busy();
    }
    let may_defer = proven && handshake.can_precede_commands() && !target.is_comparable(env);
    if env.has_slots() && !may_defer {
        handshake = handshake.asking_identity();
    }
    if may_defer {
        let commands = handshake.flight();
        let (len, replies) = size_of(&commands);
        let mut written = Vec::with_capacity(len);
        commands.iter().for_each(|command| command.write_to(&mut written));
        link.defer_handshake(written, replies);
        return Ok(link);
    }
    let unready = Unready(Some(link));
    if let Some(link) = &unready.0 {
        let told = shake_hands(link, handshake, deadline, env.is_encrypted(profile)).await?;
        if let Some(told) = told {
            target.admit(&told, env)?;
            link.set_identity(told);
        }
    }
    Ok(unready.ready())
}

/// A link whose handshake is not complete. If it is dropped before, it closes the link: otherwise
/// the link's background task would keep the connection open after `open` was dropped.
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

/// The number of bytes and of replies of these commands.
fn size_of(commands: &[Command]) -> (usize, u32) {
    let replies = u32::try_from(commands.len()).expect("a handshake has a few commands");
    (commands.iter().map(Command::encoded_len).sum(), replies)
}

/// Does the handshake. Returns who the server says it is, if it was asked.
async fn shake_hands(
    link: &Arc<Link>,
    mut handshake: Handshake,
    deadline: Timestamp,
    encrypted: bool,
) -> Result<Option<Identity>, Error> {
    loop {
        let commands = handshake.flight();
        if commands.is_empty() {
            return Ok(None);
        }
        let (len, replies) = size_of(&commands);
        let entry = Entry { len, replies, deadline };
        // The node's other connections may have taken the whole budget.
        let entry = NewEntry { admission: Admission::Forced, ..entry.into() };
        let mut pending = None;
        let outcome = poll_fn(|cx| {
            if let Some(pending) = &mut pending {
                return PendingReply::poll(pending, cx).map(Ok);
            }
            let write = |out: &mut Vec<u8>| commands.iter().for_each(|c| c.write_to(out));
            match PendingReply::enqueue(Arc::clone(link), entry, write, cx) {
                Ok(enqueued) => pending.insert(enqueued).poll(cx).map(Ok),
                Err(rejected) => Poll::Ready(Err(rejected)),
            }
        })
        .await;
        let (replies, failure) = match outcome {
            Ok(Ok(reply)) => (Replies::into_all(reply), None),
            Ok(Err(failed)) => (failed.replies, Some(failed.failure)),
            // The server may close the connection before it has received anything.
            Err(Rejected::Closed(lost)) => (Vec::new(), Some(Failure::Lost(lost))),
            Err(Rejected::Full | Rejected::Large) => {
                unreachable!("a handshake is admitted without room")
            }
        };
        match handshake.handle_replies(&replies) {
            Err(refusal) => return Err(refused(link.endpoint(), &refusal)),
            Ok(Progress::NextFlight) if failure.is_none() => {}
            Ok(_) => match failure {
                None if replies.is_empty() => {
                    return Err(unanswered(link.endpoint(), None, encrypted));
                }
                None => return Ok(handshake.into_identity()),
                failure => return Err(unanswered(link.endpoint(), failure.as_ref(), encrypted)),
            },
        }
    }
}

/// The error for a handshake that the server refused. Credentials and the like stay refused at the
/// next attempt; a server that is full or loading may accept it.
fn refused(endpoint: &Endpoint, refusal: &Refusal) -> Error {
    let may_pass = refusal
        .error
        .as_ref()
        .is_some_and(|error| reply_policy(error, ErrorOrigin::Server).dial_again);
    // The sentinels named a server that is not the primary any more: they will name another.
    let demoted = refusal.step == "ROLE" && refusal.error.is_none();
    if demoted {
        let message = "sentinels name this server the primary, but its ROLE reply says otherwise";
        let error = Error::new(ErrorKind::Connect, Delivery::NotSent, message);
        return error.with_endpoint(endpoint).with_detail(ErrorDetail::NotPrimary);
    }
    let kind = if may_pass { ErrorKind::Connect } else { ErrorKind::Handshake };
    let message = format!("{} was refused", refusal.step);
    let error = Error::new(kind, Delivery::NotSent, message).with_endpoint(endpoint);
    match &refusal.error {
        Some(server) => error.with_server_error(server.clone()),
        None => error,
    }
}

/// The error for a handshake that was not answered, or not by valid replies.
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
            let may_want_tls = !encrypted && matches!(**lost, Lost::ByPeer | Lost::Io(_));
            let hint = if may_want_tls { WANTS_TLS } else { "" };
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
