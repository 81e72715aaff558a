//! Opens one connection: a stream, a link on it, and the handshake.
//!
//! **Invariants**:
//! - the connect timeout bounds all of it;
//! - a link is returned only after its handshake is complete, unless nothing in the handshake can
//!   fail: then it is written together with the first command;
//! - in a cluster, a link is returned only if its server has said that it is the node that was
//!   meant, or does not say who it is; before the first view any server of the configuration is;
//! - dropping the future leaves no connection open;
//! - credentials and database are never left out, whatever a server hangs up on;
//! - errors that connecting again would not change, such as refused credentials, have the kind
//!   `Handshake`; errors that may pass have the kind `Connect`.

use crate::Endpoint;
use crate::command::Command;
use crate::connection::courtesy::{Courtesy, Withheld};
use crate::connection::handshake::{Handshake, Progress, Refusal};
use crate::connection::outcome::{Failure, Lost, Replies};
use crate::connection::queue::{Admission, Entry, NewEntry, Rejected};
use crate::driver::environment::connection_limit::DialWait;
use crate::driver::environment::environment::{Connection, Environment};
use crate::driver::environment::events::Event;
use crate::driver::environment::link_settings::LinkSettings;
use crate::driver::environment::place_wait::take_place;
use crate::driver::environment::telemetry::{add_time, count};
use crate::driver::link::background_task::spawn_driver;
use crate::driver::link::dial_target::DialTarget;
use crate::driver::link::link::Link;
use crate::driver::link::pending_reply::PendingReply;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::ServerError;
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::time::Timestamp;
use crate::topology::identity::Identity;
use crate::transport::DialNotes;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// A hint for when a server closes each connection without TLS before it has sent anything.
const WANTS_TLS: &str = "; does this port require TLS?";
/// A hint for an address that servers announce and that was never reached.
const HEARSAY: &str = "; the servers announce this address: if it leads nowhere from here, map it \
                       to another one with address_map";
/// Connections that one dial makes at most, each without a courtesy more: HELLO and CLIENT, then
/// READONLY, ROLE and CLUSTER MYID.
const DIALS_MAX: usize = 5;

/// Connects and does the handshake, within the connect timeout. `proven`: the server has answered
/// before, so a handshake that cannot fail is written with the first command. Where connections are
/// limited it first waits for a place, without an end; `wait` tells that meanwhile.
///
/// A server that hangs up on a courtesy is dialled again without it, at once. One that does not
/// answer it is dialled without it the next time.
///
/// # Errors
/// The server cannot be reached, refuses the handshake, or is not the one that was meant.
pub(crate) async fn open(
    target: &DialTarget,
    env: &Arc<Environment>,
    settings: LinkSettings,
    proven: bool,
    wait: &DialWait,
) -> Result<Arc<Link>, Error> {
    if target.is_foreign() {
        return Err(target.foreign_error());
    }
    let mut time = env.config().connect_timeout;
    let by_config = Withheld::by_config(env.config().courtesies);
    let mut withheld = target.withheld().within(Withheld::OF_HANDSHAKE).and(by_config);
    let (mut first, mut is_mute) = (None, true);
    for _ in 0..DIALS_MAX {
        // One for each: the stream before has its own until it is closed.
        let place = match take_place(env, wait) {
            Some(place) => Some(place.await),
            None => None,
        };
        let began = env.now();
        let settings = LinkSettings { place, ..settings.clone() };
        let dialled = dial(target, env, settings, (proven, began.after(time)), withheld).await;
        time = time.saturating_sub(env.now().since(began));
        let failed = match dialled {
            Ok(link) => {
                target.answers_without(Withheld(withheld.0 & !by_config.0));
                return Ok(link);
            }
            Err(failed) => failed,
        };
        count(&env.telemetry().dials_failed);
        is_mute = is_mute && failed.is_mute;
        let told = |error: &Error| error.server_error().is_some();
        let error = match first.take() {
            Some(earlier) if told(&earlier) && !told(&failed.error) => earlier,
            _ => failed.error,
        };
        match failed.without {
            Some(more) if !failed.is_late && !withheld.has_all(more) => {
                withheld = withheld.and(more);
                first = Some(error);
            }
            more => {
                target.forget_process();
                if let Some(more) = more.filter(|more| failed.is_late && !withheld.has_all(*more)) {
                    target.suspect(withheld.and(more));
                }
                let may_want_tls = is_mute && !env.is_encrypted(target.profile());
                return Err(match may_want_tls {
                    true => error.with_hint(WANTS_TLS),
                    false if target.is_hearsay(env) => error.with_hint(HEARSAY),
                    false => error,
                });
            }
        }
    }
    target.forget_process();
    Err(first.expect("an attempt after which another one follows has failed"))
}

/// A dial that failed.
struct FailedDial {
    /// Why.
    error: Error,
    /// What the server did not answer, if that was a courtesy.
    without: Option<Withheld>,
    /// It did not answer in time, and did not hang up either.
    is_late: bool,
    /// It took the connection and hung up without a word.
    is_mute: bool,
}

impl From<Error> for FailedDial {
    fn from(error: Error) -> Self {
        Self { error, without: None, is_late: false, is_mute: false }
    }
}

/// One connection, and its handshake without the courtesies that are withheld.
async fn dial(
    target: &DialTarget,
    env: &Arc<Environment>,
    settings: LinkSettings,
    (proven, deadline): (bool, Timestamp),
    withheld: Withheld,
) -> Result<Arc<Link>, FailedDial> {
    let (endpoint, profile) = (target.endpoint(), target.profile());
    let began = env.now();
    count(&env.telemetry().dials);
    let notes = DialNotes::default();
    let stream = env.open(endpoint, profile, deadline, &notes).await?;
    target.note_reached();
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
    env.add_connection(&(Arc::clone(&link) as Arc<dyn Connection>));
    spawn_driver(&link, env.transport().as_ref());
    let mut handshake = Handshake::new(env.config(), profile).withholding(withheld);
    if tolerates_busy {
        handshake = handshake.tolerating_busy();
    }
    let may_defer = proven
        && handshake.can_precede_commands()
        && !target.is_comparable(env)
        && !target.is_doubted();
    if env.has_slots() && !may_defer {
        handshake = handshake.asking_identity();
    }
    if may_defer && env.has_slots() && withheld.has(Courtesy::MyId) {
        link.set_identity(Identity::Untold);
    }
    if may_defer {
        // A server that was answering without an introduction is told nothing.
        let commands = match withheld.has_all(Withheld::INTRODUCTION) {
            true => Vec::new(),
            false => handshake.flight(),
        };
        let (len, replies) = size_of(&commands);
        if replies > 0 {
            let mut written = Vec::with_capacity(len);
            commands.iter().for_each(|command| command.write_to(&mut written));
            link.defer_handshake(written, replies);
        }
        return Ok(link);
    }
    let unready = Unready(Some(link));
    if let Some(link) = &unready.0 {
        let (told, readonly_refusal) =
            shake_hands(link, handshake, deadline, env.has_slots()).await?;
        if let Some(told) = told {
            target.admit(&told, env)?;
            link.set_identity(told);
        }
        target.note_handshake(readonly_refusal);
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

/// What a server told in its handshake: who it is, if it was asked; how it refused READONLY.
type Told = (Option<Identity>, Option<ServerError>);

/// Does the handshake.
async fn shake_hands(
    link: &Arc<Link>,
    mut handshake: Handshake,
    deadline: Timestamp,
    in_cluster: bool,
) -> Result<Told, FailedDial> {
    // What the server said before it hung up.
    let mut said = None;
    loop {
        let commands = handshake.flight();
        if commands.is_empty() {
            return Ok(handshake.into_told());
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
            Err(Rejected::Full) => unreachable!("a handshake is admitted without room"),
        };
        said = match replies.last() {
            Some(last) => ServerError::from_frame(last),
            None => said,
        };
        let progress = match handshake.handle_replies(&replies) {
            Err(refusal) => return Err(refused(link.endpoint(), &refusal, in_cluster).into()),
            Ok(progress) => progress,
        };
        match (progress, failure) {
            (Progress::NextFlight, None) => {}
            (Progress::Complete, None) if !replies.is_empty() => {
                return Ok(handshake.into_told());
            }
            (_, failure) => {
                let cut = link.was_cut_inside();
                let answered = cut || link.has_answered();
                // What was answered in part was not refused.
                let without = handshake.unanswered(replies.len()).filter(|_| !cut);
                return Err(unanswered(
                    link.endpoint(),
                    failure.as_ref(),
                    said,
                    (without, answered),
                ));
            }
        }
    }
}

/// The error for a handshake that the server refused. Credentials and the like stay refused at the
/// next attempt; a server that is full or loading may accept it.
fn refused(endpoint: &Endpoint, refusal: &Refusal, in_cluster: bool) -> Error {
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
    let hint = match refusal.step {
        "SELECT" if in_cluster => "; this cluster may have database 0 only",
        _ => "",
    };
    let message = format!("{} was refused{hint}", refusal.step);
    let error = Error::new(kind, Delivery::NotSent, message).with_endpoint(endpoint);
    match &refusal.error {
        Some(server) => error.with_server_error(server.clone()),
        None => error,
    }
}

/// The failure of a handshake that was not answered, or not by valid replies. `said`: the last
/// error before.
fn unanswered(
    endpoint: &Endpoint,
    failure: Option<&Failure>,
    said: Option<ServerError>,
    (without, answered): (Option<Withheld>, bool),
) -> FailedDial {
    let Some(failure @ Failure::Lost(lost)) = failure else {
        let message = "no answer to the handshake in time";
        let error = Error::new(ErrorKind::Connect, Delivery::NotSent, message);
        let error = error.with_endpoint(endpoint);
        return FailedDial { without, is_late: true, ..error.into() };
    };
    let kind = match **lost {
        Lost::Protocol(_) => ErrorKind::Protocol,
        Lost::ByUs => ErrorKind::Closed,
        _ if lost.never_accepted() => ErrorKind::Handshake,
        _ => ErrorKind::Connect,
    };
    let error = Error::new(kind, Delivery::NotSent, format!("no handshake: {lost}"))
        .with_endpoint(endpoint)
        .with_shared_cause(Arc::clone(lost) as Arc<dyn std::error::Error + Send + Sync>);
    let error = match said {
        Some(said) => error.with_server_error(said),
        None => error,
    };
    let (hung_up, is_late) = (failure.is_hang_up(), failure.is_silence());
    let without = without.filter(|_| hung_up || is_late);
    FailedDial { without, is_late, is_mute: hung_up && !answered, ..error.into() }
}
