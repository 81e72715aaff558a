//! Enqueues an entry on a link, waits for room in the byte budget if the configuration says so, and
//! waits for the outcome. `client/call.rs` does the same without an await, for the hot path.
//!
//! **Invariant**: an `Err` of `submit` means that the entry was never enqueued.
//!
//! Limit: `node_bytes_max` bytes in flight to one node; one entry that is larger goes alone.

use crate::Endpoint;
use crate::config::WhenFull;
use crate::connection::outcome::{Outcome, Replies};
use crate::connection::queue::{Admission, Entry, NewEntry, Rejected};
use crate::connection::reply_shape::Expected;
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

/// The error of a call whose client is closed, before a node was chosen.
pub(crate) fn client_closed() -> Error {
    Error::new(ErrorKind::Closed, Delivery::NotSent, "the client is closed")
}

/// The same for a call at this node.
pub(crate) fn closed(endpoint: &Endpoint) -> Error {
    client_closed().with_endpoint(endpoint)
}

/// Appends an entry's bytes. A trait object, so that the compiler makes one `submit` for all
/// callers.
pub(crate) type Write<'a> = &'a (dyn Fn(&mut Vec<u8>) + Sync);

/// Enqueues an entry, waiting for room in the budget if the configuration says so, and waits for
/// its outcome.
///
/// # Errors
/// The entry was never enqueued.
pub(crate) async fn submit(
    env: &Environment,
    link: &Arc<Link>,
    entry: Entry,
    write: Write<'_>,
) -> Result<Outcome, Error> {
    submit_expecting(env, link, entry, (Expected::Values, false), write).await
}

/// The same for an entry whose replies are not only values, or (`can_move`) that another node can
/// answer: it fails as soon as the server is silent.
///
/// # Errors
/// As [`submit`].
pub(crate) async fn submit_expecting(
    env: &Environment,
    link: &Arc<Link>,
    entry: Entry,
    (expected, can_move): (Expected<'_>, bool),
    write: Write<'_>,
) -> Result<Outcome, Error> {
    let mut pending: Option<PendingReply> = None;
    let mut wait = None;
    check_deadline(env, link, entry.deadline)?;
    poll_fn(|cx| {
        if let Some(pending) = &mut pending {
            return pending.poll(cx).map(Ok);
        }
        let room = admit(env, link, entry.len, wait.as_ref().map(|_| entry.deadline));
        let admission = if wait.is_some() { Admission::Waited } else { Admission::New };
        let wanted = NewEntry { admission, can_move, expected, ..entry.into() };
        let enqueue = |()| PendingReply::enqueue(Arc::clone(link), wanted, write, cx);
        match room.and_then(enqueue) {
            Ok(enqueued) => {
                wait = None;
                pending.insert(enqueued).poll(cx).map(Ok)
            }
            Err(rejected) => match rejection_error(env, link, rejected, entry.deadline) {
                Some(error) => Poll::Ready(Err(error)),
                None => {
                    wait = Some(link.wait_for_budget(wait.take(), entry, cx));
                    Poll::Pending
                }
            },
        }
    })
    .await
}

/// Fails an entry whose deadline has passed before it was enqueued.
pub(crate) fn check_deadline(
    env: &Environment,
    link: &Link,
    deadline: Timestamp,
) -> Result<(), Error> {
    if env.now() < deadline {
        return Ok(());
    }
    let message = "the deadline passed before it was sent";
    let error = Error::new(ErrorKind::Timeout, Delivery::NotSent, message);
    Err(error.with_endpoint(link.endpoint()))
}

/// Whether an entry may be enqueued at all: its deadline is not past if the caller had to wait for
/// room, in which case `waited_until` is that deadline.
#[inline]
pub(crate) fn admit(
    env: &Environment,
    link: &Link,
    len: usize,
    waited_until: Option<Timestamp>,
) -> Result<(), Rejected> {
    link.reclaim_budget(len);
    let is_late = |deadline| env.now() >= deadline && !link.is_closed();
    if waited_until.is_some_and(is_late) { Err(Rejected::Full) } else { Ok(()) }
}

/// The error for a rejected entry; `None` if it is to wait for room.
pub(crate) fn rejection_error(
    env: &Environment,
    link: &Link,
    rejected: Rejected,
    deadline: Timestamp,
) -> Option<Error> {
    match rejected {
        Rejected::Closed(_) if env.is_closed() => Some(closed(link.endpoint())),
        Rejected::Closed(lost) => Some(
            Error::new(ErrorKind::Connect, Delivery::NotSent, lost.to_string())
                .with_endpoint(link.endpoint())
                .with_shared_cause(lost),
        ),
        Rejected::Full => {
            let max = env.config().node_bytes_max;
            let waits = env.config().when_full == WhenFull::Wait;
            if waits && env.now() < deadline {
                return None;
            }
            let kind = if waits { ErrorKind::Timeout } else { ErrorKind::Limit };
            let message = format!(
                "no room beside what is in flight to this node: at most {max} bytes, which \
                 node_bytes_max sets, unless one command alone is larger"
            );
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

/// The reply to a single command, if it is not an error. Earlier replies of the entry belong to
/// commands that only prepare it.
pub(crate) fn sole_reply(reply: Replies) -> Result<Bytes, AttemptFailure> {
    let frame = reply.into_last().expect("an entry that ended well has a reply");
    match error_in(&frame) {
        None => Ok(frame),
        Some(error) => Err(AttemptFailure::ErrorReply(error)),
    }
}

/// The error in a reply, if it is one.
#[inline]
pub(crate) fn error_in(frame: &Bytes) -> Option<ServerError> {
    if frame_kind(frame) == FrameKind::Error { ServerError::from_frame(frame) } else { None }
}
