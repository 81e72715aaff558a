//! An entry on a link, awaited: enqueued when there is room, or turned away.
//!
//! Called by `driver/dispatch.rs`, `driver/batch.rs` and `driver/discover.rs`; `client/call.rs`
//! does the same without an await.

use crate::config::WhenFull;
use crate::connection::outcome::{Outcome, Reply};
use crate::connection::queue::{Admission, Entry, NewEntry, Rejected};
use crate::driver::environment::environment::Environment;
use crate::driver::link::link::Link;
use crate::driver::link::pending_reply::PendingReply;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::{FrameKind, ServerError, frame_kind};
use crate::routing::retry::AttemptFailure;
use crate::time::Timestamp;
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// Appends an entry's bytes. By a pointer, so that there is one `exchange` for all.
pub(crate) type Write<'a> = &'a (dyn Fn(&mut Vec<u8>) + Sync);

/// Enqueues an entry, waiting for the budget if that is what the configuration says, and waits for
/// its outcome.
///
/// # Errors
/// When the entry was never enqueued.
pub(crate) async fn submit(
    env: &Environment,
    link: &Arc<Link>,
    entry: Entry,
    write: Write<'_>,
) -> Result<Outcome, Error> {
    let mut begun: Option<PendingReply> = None;
    let mut place = None;
    if env.now() >= entry.deadline {
        let message = "no time was left to send it";
        let error = Error::new(ErrorKind::Timeout, Delivery::NotSent, message);
        return Err(error.with_endpoint(link.endpoint()));
    }
    poll_fn(|cx| {
        if let Some(exchange) = &mut begun {
            return exchange.poll(cx).map(Ok);
        }
        let room = admit(env, link, entry.len, place.as_ref().map(|_| entry.deadline));
        let admission = if place.is_some() { Admission::Waited } else { Admission::New };
        let wanted = NewEntry { admission, ..entry.into() };
        let begin = |()| PendingReply::enqueue(Arc::clone(link), wanted, write, cx);
        match room.and_then(begin) {
            Ok(exchange) => {
                place = None;
                begun.insert(exchange).poll(cx).map(Ok)
            }
            Err(rejected) => match turned_away(env, link, rejected, entry.deadline) {
                Some(error) => Poll::Ready(Err(error)),
                None => {
                    place = Some(link.wait_for_budget(place.take(), entry, cx));
                    Poll::Pending
                }
            },
        }
    })
    .await
}

/// Whether an entry may be enqueued at all: it fits into the budget, and its caller, if he was
/// `blocked` until now and has a deadline, has not waited in vain.
#[inline]
pub(crate) fn admit(
    env: &Environment,
    link: &Link,
    len: usize,
    blocked: Option<Timestamp>,
) -> Result<(), Rejected> {
    if len > env.config().node_bytes_max {
        return Err(Rejected::Large);
    }
    link.reclaim_budget(len);
    let is_late = |deadline| env.now() >= deadline && !link.is_closed();
    let in_vain = blocked.is_some_and(is_late);
    if in_vain { Err(Rejected::Full) } else { Ok(()) }
}

/// What a rejected entry fails with; `None` if it is to wait for room.
pub(crate) fn turned_away(
    env: &Environment,
    link: &Link,
    rejected: Rejected,
    deadline: Timestamp,
) -> Option<Error> {
    match rejected {
        Rejected::Closed(lost) => Some(
            Error::new(ErrorKind::Connect, Delivery::NotSent, lost.to_string())
                .with_endpoint(link.endpoint())
                .with_shared_cause(lost),
        ),
        Rejected::Large => {
            let max = env.config().node_bytes_max;
            let message = format!("larger than the {max} bytes that may be in flight to one node");
            Some(over_budget(ErrorKind::Limit, message, env, link))
        }
        Rejected::Full => {
            let max = env.config().node_bytes_max;
            let waits = env.config().when_full == WhenFull::Wait;
            if waits && env.now() < deadline {
                return None;
            }
            let kind = if waits { ErrorKind::Timeout } else { ErrorKind::Limit };
            let message = format!("{max} bytes are in flight to this node already");
            Some(over_budget(kind, message, env, link))
        }
    }
}

fn over_budget(kind: ErrorKind, message: String, env: &Environment, link: &Link) -> Error {
    let max = env.config().node_bytes_max as u64;
    Error::new(kind, Delivery::NotSent, message)
        .with_endpoint(link.endpoint())
        .with_detail(ErrorDetail::Limit { name: "node_bytes_max", max })
}

/// The reply to a single command, if it is no error. Earlier replies of its entry only prepare.
pub(crate) fn sole_reply(reply: Reply) -> Result<Bytes, AttemptFailure> {
    let frame = reply.into_last().expect("an entry that ended well has a reply");
    match error_in(&frame) {
        None => Ok(frame),
        Some(error) => Err(AttemptFailure::ErrorReply(error)),
    }
}

/// The error in an error reply.
#[inline]
pub(crate) fn error_in(frame: &Bytes) -> Option<ServerError> {
    if frame_kind(frame) == FrameKind::Error { ServerError::from_frame(frame) } else { None }
}
