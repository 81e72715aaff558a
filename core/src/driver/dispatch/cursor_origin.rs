//! The process of a server that gave a cursor. To another process the cursor means nothing, also
//! if that one listens at the same address and holds the same data.
//!
//! Two things prove a process. A connection leads to one process for as long as it lives: while
//! one connection brings all pages, nothing is asked. When another connection brings a page, INFO
//! is asked over that very connection for the id of the process (`run_id`), and compared with the
//! id that was asked for before. Without an id, a new connection counts as a new process.
//!
//! **Invariants**: a page is used only when the process that sent it has given its cursor; a server
//! that does not tell its id ends no scan by that. Limit: a scan asks once a server that refuses,
//! and `UNANSWERED_MAX` times one that hangs up.
//! Spec: redis.io/commands/scan, "Scan guarantees"; redis.io/commands/info, section "server".

use crate::command::cmd;
use crate::connection::queue::Entry;
use crate::driver::dispatch::single::LastLink;
use crate::driver::environment::environment::Environment;
use crate::driver::link::link::Link;
use crate::driver::link::submit::submit;
use crate::error::Error;
use crate::lock::lock;
use crate::resp::{ServerError, from_frame};
use crate::time::Timestamp;
use crate::topology::replication::info_field;
use std::sync::{Arc, Mutex, Weak};

/// How many connections may be lost while a scan asks for the id of the process: a server may hang
/// up on the question.
const UNANSWERED_MAX: u32 = 2;

/// See the head of this file.
#[derive(Clone, Debug, Default)]
pub(crate) struct CursorOrigin {
    /// The connection that brought the last page.
    link: Weak<Link>,
    /// The id of the process; `None` if it was not asked for, or not told.
    process: Option<String>,
    /// How often the server was asked for the id without effect.
    unanswered: u32,
    /// Pages came over more than one connection: from now on the id is worth a question.
    was_cut: bool,
}

impl CursorOrigin {
    /// Where requests for pages look for the connection, and leave it.
    pub(crate) fn last_link(&self) -> LastLink {
        Arc::new(Mutex::new(Weak::clone(&self.link)))
    }

    /// The id of the process, if it is known.
    pub(crate) fn process(&self) -> Option<&str> {
        self.process.as_deref()
    }

    /// Whether this connection brought the page before.
    pub(crate) fn is_same_link(&self, last: &LastLink) -> bool {
        self.link.strong_count() > 0 && Weak::ptr_eq(&self.link, &lock(last))
    }

    /// The first page of a scan came over this connection.
    pub(crate) fn begin(&mut self, last: &LastLink) {
        self.link = Weak::clone(&lock(last));
        self.process = None;
    }

    /// Goes on with a cursor of the process of this id, which another client may have begun.
    pub(crate) fn resume(&mut self, process: &str) {
        if self.link.strong_count() == 0 && !process.is_empty() {
            self.process = Some(process.to_owned());
        }
    }

    /// Whether the page that came over this connection is one of the same process; asks the server
    /// if another connection brought it.
    pub(crate) async fn is_kept(
        &mut self,
        env: &Environment,
        last: &LastLink,
        deadline: Timestamp,
    ) -> bool {
        if self.is_same_link(last) {
            return true;
        }
        self.was_cut = true;
        let now = Weak::clone(&lock(last));
        let Some(process) = self.process.clone() else { return false };
        let kept = self.ask(env, &now, deadline).await.is_some_and(|id| id == process);
        if kept {
            self.link = now;
        }
        kept
    }

    /// Asks for the id of the process that sent the last page, unless it is known. `always`: also
    /// before a connection was lost.
    pub(crate) async fn identify(&mut self, env: &Environment, always: bool, deadline: Timestamp) {
        if self.process.is_none() && (always || self.was_cut) {
            let link = Weak::clone(&self.link);
            self.process = self.ask(env, &link, deadline).await;
        }
    }

    /// The id of the process at the other end of a connection.
    async fn ask(
        &mut self,
        env: &Environment,
        link: &Weak<Link>,
        deadline: Timestamp,
    ) -> Option<String> {
        let link = link.upgrade().filter(|_| self.unanswered < UNANSWERED_MAX)?;
        let info = cmd("INFO").arg("server");
        let deadline = deadline.min(env.now().after(env.config().connect_timeout));
        let entry = Entry { len: info.encoded_len(), replies: 1, deadline };
        let outcome = submit(env, &link, entry, &|out: &mut Vec<u8>| info.write_to(out)).await;
        let Ok(Ok(reply)) = outcome else {
            // The connection was lost just then; or the server hangs up on the question.
            self.unanswered += 1;
            return None;
        };
        let text = reply.into_last().and_then(|frame| from_frame::<String>(&frame).ok());
        let id = text.as_ref().and_then(|text| info_field(text, "run_id")).map(str::to_owned);
        if id.is_none() {
            self.unanswered = UNANSWERED_MAX;
        }
        id
    }
}

/// Whether a server refused a cursor as such: it comes from another process.
// spec: scan.c of Redis, `parseScanCursorOrReply`
pub(crate) fn is_about_cursor(error: &Error) -> bool {
    let is = |error: &ServerError| error.message().eq_ignore_ascii_case("invalid cursor");
    error.server_error().is_some_and(is)
}
