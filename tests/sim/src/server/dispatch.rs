//! From a session's bytes to a reply: find the command, check whether it may run, then run or queue
//! it.
//!
//! **Invariants**: the order of the checks is that of a real server, because a client sees it. An
//! unknown command is reported before missing authentication, a redirect comes before LOADING, and
//! each error spoils a transaction that is being queued.
//!
//! Spec: `processCommand` in `server.c`.

use super::call::Call;
use super::command::{
    self, ALLOW_BUSY, LOADING, NO_AUTH, NO_MULTI, Outcome, Run, STALE, Spec, Stop, W, Wait,
};
use super::refusal::{
    BUSY_TEXT, LOADING_TEXT, MASTERDOWN_TEXT, NOAUTH_TEXT, OOM_TEXT, READONLY_TEXT, needs_memory,
};
use super::session::{Blocked, ReplyMode};
use super::{Server, Timer};
use crate::env::Env;
use crate::ids::ConnId;
use crate::resp::Reply;
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;

/// The longest part of an unknown command in its error text, in bytes.
const UNKNOWN_TEXT_MAX: usize = 128;

impl Server {
    /// Runs a session's requests until there are no more or one of them blocks.
    pub(crate) fn process_input(&mut self, env: &mut Env<'_>, conn: ConnId) {
        loop {
            if self.conditions.frozen_until > env.now() {
                return;
            }
            let Some(session) = self.sessions.get_mut(&conn) else { return };
            if session.blocked.is_some() || session.closing {
                return;
            }
            match session.reader.next(session.authenticated) {
                Ok(None) => return,
                // What a browser sends on behalf of a page that wants to reach a server: see
                // `securityWarningCommand`.
                Ok(Some(arguments)) if is_http(&arguments) => {
                    // Replies that are not sent yet never are.
                    session.out.clear();
                    session.closing = true;
                    self.mark_dirty(conn);
                    return;
                }
                Ok(Some(arguments)) => {
                    self.request(env, conn, arguments);
                    self.serve_ready(env);
                }
                Err(error) => {
                    session.reply(&Reply::error(format!("ERR {}", error.0)));
                    session.closing = true;
                    self.mark_dirty(conn);
                    return;
                }
            }
        }
    }

    /// Runs the requests of all sessions, for example after a pause.
    pub(crate) fn process_all(&mut self, env: &mut Env<'_>) {
        let conns: Vec<ConnId> = self.sessions.keys().copied().collect();
        for conn in conns {
            self.process_input(env, conn);
        }
    }

    /// Does nothing until `until`.
    pub(crate) fn freeze(&mut self, env: &mut Env<'_>, until: slotcar::Timestamp) {
        self.conditions.frozen_until = until;
        self.timer(env, until, Timer::Thaw);
    }

    pub(crate) fn request(&mut self, env: &mut Env<'_>, conn: ConnId, arguments: Vec<Bytes>) {
        self.stats.requests += 1;
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.active_at = env.now();
        if session.reply_mode == ReplyMode::SkipNext {
            session.reply_mode = ReplyMode::Skip;
        }
        let reply = match self.judge(env, conn, &arguments) {
            Err(text) => {
                self.spoil_transaction(conn, &arguments);
                let text = self.refusal_of_exec(&arguments, text);
                Reply::Error(text)
            }
            Ok(Verdict::Queue) => {
                if let Some(queued) = self.sessions.get_mut(&conn).and_then(|s| s.queued.as_mut()) {
                    queued.requests.push(arguments.clone());
                }
                Reply::Status("QUEUED".into())
            }
            Ok(Verdict::Pause) => {
                let mut call = Call { server: self, env, conn, in_exec: false };
                call.block(Blocked::Paused { arguments }, None);
                return;
            }
            Ok(Verdict::Run(spec)) => {
                if self.run_request(env, conn, spec, &arguments) {
                    return;
                }
                Reply::Nothing
            }
        };
        self.finish_request(conn, &reply);
    }

    /// Runs a request and replies. Returns true when it blocks.
    pub(crate) fn run_request(
        &mut self,
        env: &mut Env<'_>,
        conn: ConnId,
        spec: &'static Spec,
        arguments: &[Bytes],
    ) -> bool {
        let holds_pushes = self.config.version.commands() >= (7, 2);
        if let Some(session) = self.sessions.get_mut(&conn) {
            if session.last_command != spec.name {
                spec.name.clone_into(&mut session.last_command);
            }
            session.held = holds_pushes.then(BytesMut::new);
        }
        let outcome = self.execute(env, conn, spec, arguments, false);
        let blocks = self.sessions.get(&conn).is_some_and(|s| s.blocked.is_some());
        let reply = match outcome {
            Ok(reply) => reply,
            Err(Stop::Error(text)) => Reply::Error(text),
            Err(Stop::Block(wait)) => {
                self.release_pushes(conn);
                self.block_on_keys(env, conn, arguments, wait);
                return true;
            }
        };
        if blocks {
            self.release_pushes(conn);
            return true;
        }
        self.finish_request(conn, &reply);
        false
    }

    fn release_pushes(&mut self, conn: ConnId) {
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.release_pushes();
        }
    }

    /// Writes the reply and resets the state that lasts for one request only.
    pub(crate) fn finish_request(&mut self, conn: ConnId, reply: &Reply) {
        if let Reply::Error(text) = reply {
            self.stats.count_error(text);
        }
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.reply(reply);
            session.release_pushes();
            if session.reply_mode == ReplyMode::Skip {
                session.reply_mode = ReplyMode::On;
            }
            self.mark_dirty(conn);
        }
        self.send_own_invalidations();
    }

    fn block_on_keys(&mut self, env: &mut Env<'_>, conn: ConnId, arguments: &[Bytes], wait: Wait) {
        let db = self.sessions.get(&conn).map_or(0, |s| s.db);
        let Wait { keys, timeout_ms, on_timeout, rewritten } = wait;
        let arguments = rewritten.unwrap_or_else(|| arguments.to_vec());
        self.blocking.wait(conn, db, &keys);
        let mut call = Call { server: self, env, conn, in_exec: false };
        call.block(Blocked::Keys { arguments, keys, on_timeout }, timeout_ms);
    }

    /// Decides whether a request runs now, is queued or waits.
    fn judge(
        &mut self,
        env: &mut Env<'_>,
        conn: ConnId,
        arguments: &[Bytes],
    ) -> Result<Verdict, Cow<'static, str>> {
        let spec = self.find(arguments)?;
        let session = self.sessions.get_mut(&conn).ok_or("ERR session is gone")?;
        // ASKING lasts for one request. Before MULTI it lasts for the whole transaction.
        let asking = std::mem::take(&mut session.asking);
        let queueing = session.queued.is_some();
        if !session.authenticated && !spec.has(NO_AUTH) {
            return Err(NOAUTH_TEXT.into());
        }
        if let Some(text) = self.conditions.injected(env.rng, env.now(), spec, arguments) {
            return Err(text);
        }
        self.check_cluster(env, conn, spec, arguments, asking)?;
        self.check_conditions(env, conn, spec)?;
        let transactional = ["exec", "discard", "multi", "watch", "quit", "reset"];
        if queueing && !transactional.contains(&spec.name) {
            if spec.has(NO_MULTI) {
                return Err("ERR Command not allowed inside a transaction".into());
            }
            return Ok(Verdict::Queue);
        }
        if self.conditions.pauses(env.now(), spec) {
            return Ok(Verdict::Pause);
        }
        Ok(Verdict::Run(spec))
    }

    /// Errors that depend on the state of the server.
    fn check_conditions(
        &self,
        env: &Env<'_>,
        conn: ConnId,
        spec: &'static Spec,
    ) -> Result<(), Cow<'static, str>> {
        if self.config.out_of_memory && needs_memory(spec) {
            return Err(OOM_TEXT.into());
        }
        let replica = self.replication.is_replica();
        if replica && spec.has(W) {
            return Err(READONLY_TEXT.into());
        }
        if let Some(session) = self.sessions.get(&conn)
            && !session.resp3()
            && session.is_subscriber()
        {
            let allowed = [
                "ping",
                "subscribe",
                "ssubscribe",
                "sunsubscribe",
                "psubscribe",
                "unsubscribe",
                "punsubscribe",
                "quit",
                "reset",
            ];
            if !allowed.contains(&spec.name) {
                let name = spec.name;
                return Err(format!(
                    "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / \
                     QUIT / RESET are allowed in this context"
                )
                .into());
            }
        }
        let stale = replica && !self.replication.link_is_up() && !self.config.serve_stale;
        if stale && !spec.has(STALE) {
            return Err(MASTERDOWN_TEXT.into());
        }
        if self.conditions.loading_until > env.now() && !spec.has(LOADING) {
            return Err(LOADING_TEXT.into());
        }
        if self.conditions.busy_until > env.now() && !spec.has(ALLOW_BUSY) {
            return Err(BUSY_TEXT.into());
        }
        Ok(())
    }

    /// The table's entry for a request.
    pub(crate) fn find(&self, arguments: &[Bytes]) -> Result<&'static Spec, Cow<'static, str>> {
        let version = self.config.version.commands();
        let known = |spec: &&'static Spec| spec.since <= version && self.offers(spec);
        let Some(name) = arguments.first() else { return Err("ERR empty request".into()) };
        let Some(spec) = command::by_name(name).filter(known) else {
            return Err(unknown(arguments).into());
        };
        let spec = match arguments.get(1) {
            Some(sub) if spec.is_container() => {
                command::sub_command(spec, sub).filter(known).ok_or_else(|| {
                    let sub = String::from_utf8_lossy(sub);
                    let name = spec.name.to_ascii_uppercase();
                    format!("ERR unknown subcommand '{sub}'. Try {name} HELP.")
                })?
            }
            _ => spec,
        };
        if !spec.accepts_arity(arguments.len()) {
            return Err(wrong_arity(spec.name).into());
        }
        Ok(spec)
    }

    /// Whether this kind of server has the command at all.
    pub(crate) fn offers(&self, spec: &Spec) -> bool {
        let name = spec.name.split('|').next().unwrap_or(spec.name);
        match self.sentinel {
            Some(_) => crate::sentinel::commands::SHARED.contains(&name),
            None => name != "sentinel",
        }
    }

    /// A refused EXEC says that its transaction is gone.
    fn refusal_of_exec(&self, arguments: &[Bytes], text: Cow<'static, str>) -> Cow<'static, str> {
        let is_exec = arguments.first().is_some_and(|name| name.eq_ignore_ascii_case(b"exec"));
        let why = ["ERR wrong number", "ERR Can't execute"].iter().any(|t| text.starts_with(t));
        if is_exec && why && self.config.version.commands() >= (6, 2) {
            let text = text.trim_start_matches("ERR ");
            return format!("EXECABORT Transaction discarded because of: {text}").into();
        }
        text
    }

    fn spoil_transaction(&mut self, conn: ConnId, arguments: &[Bytes]) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if let Some(queued) = session.queued.as_mut() {
            queued.aborted = true;
            // A refused EXEC ends the transaction.
            if arguments.first().is_some_and(|name| name.eq_ignore_ascii_case(b"exec")) {
                session.queued = None;
                self.unwatch(conn);
            }
        }
    }

    /// Runs a command of a request, of EXEC or of an unblocked session.
    pub(crate) fn execute(
        &mut self,
        env: &mut Env<'_>,
        conn: ConnId,
        spec: &'static Spec,
        arguments: &[Bytes],
        in_exec: bool,
    ) -> Outcome {
        self.stats.count_call(spec.name);
        let before = self.replication.offset;
        let outcome = match spec.run {
            Run::Data(run) => {
                let db = self.sessions.get(&conn).map_or(0, |s| s.db);
                self.track_reads(conn, db, spec, arguments);
                self.run_data(env, Some(conn), db, spec, run, arguments)
            }
            Run::Server(run) => {
                let mut call = Call { server: self, env, conn, in_exec };
                run(&mut call, arguments)
            }
            Run::Container => Err(Stop::Error(wrong_arity(spec.name).into())),
        };
        if self.replication.offset != before
            && let Some(session) = self.sessions.get_mut(&conn)
        {
            session.written_to = self.replication.offset;
        }
        match outcome {
            // What moves one element has none to reply with; its time-out is an array's.
            Err(Stop::Block(_)) if in_exec && ["blmove", "brpoplpush"].contains(&spec.name) => {
                Ok(Reply::Null)
            }
            Err(Stop::Block(wait)) if in_exec => Ok(wait.on_timeout),
            other => other,
        }
    }
}

/// What happens with a request that is not refused.
enum Verdict {
    /// It runs now.
    Run(&'static Spec),
    /// It is kept for EXEC.
    Queue,
    /// It runs when the pause ends.
    Pause,
}

fn is_http(arguments: &[Bytes]) -> bool {
    let names: [&[u8]; 2] = [b"post", b"host:"];
    arguments.first().is_some_and(|first| names.iter().any(|n| first.eq_ignore_ascii_case(n)))
}

pub(crate) fn wrong_arity(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

fn unknown(arguments: &[Bytes]) -> String {
    let clip = |bytes: &[u8], len: usize| -> String {
        let text: String = String::from_utf8_lossy(bytes).into_owned();
        text.chars().take(len).collect()
    };
    let name = clip(&arguments[0], UNKNOWN_TEXT_MAX);
    let mut shown = String::new();
    for argument in &arguments[1..] {
        let Some(room) = UNKNOWN_TEXT_MAX.checked_sub(shown.len()).filter(|room| *room > 0) else {
            break;
        };
        shown.push_str(&format!("'{}' ", clip(argument, room)));
    }
    format!("ERR unknown command '{name}', with args beginning with: {shown}")
}
