//! `CLIENT`: reads and changes the state of connections.
//!
//! Spec: command pages of CLIENT.

use super::blocking::unblock_client;
use super::call::Call;
use super::command::{
    ADMIN, LOADING, NOSCRIPT, Outcome, STALE, SYNTAX, Spec, Stop, fail, fail_with, wrong_subcommand,
};
use super::session::{ReplyMode, Session};
use super::{Server, tracking};
use crate::ids::ConnId;
use crate::resp::{Proto, Reply};
use crate::server::arguments::{Options, int, int_or, is, timeout_ms};
use bytes::Bytes;
use slotcar::Timestamp;
use std::time::Duration;

const FLAGS: u32 = NOSCRIPT | LOADING | STALE;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::container("client"),
    Spec::server("client|caching", 3, FLAGS, tracking::caching).since(6, 0),
    Spec::server("client|getname", 2, FLAGS, get_name),
    Spec::server("client|getredir", 2, FLAGS, |c, _| Ok(tracking::get_redirect(c))).since(6, 0),
    Spec::server("client|id", 2, FLAGS, |c, _| Ok(Reply::Int(c.session().id as i64))),
    Spec::server("client|info", 2, FLAGS, info).since(6, 2),
    Spec::server("client|kill", -3, FLAGS | ADMIN, kill),
    Spec::server("client|list", -2, FLAGS | ADMIN, list),
    Spec::server("client|no-evict", 3, FLAGS | ADMIN, |c, a| {
        c.session().no_evict = switch(&a[2])?;
        Ok(Reply::OK)
    })
    .since(7, 0),
    Spec::server("client|no-touch", 3, FLAGS, |c, a| {
        c.session().no_touch = switch(&a[2])?;
        Ok(Reply::OK)
    })
    .since(7, 2),
    Spec::server("client|pause", -3, FLAGS | ADMIN, pause),
    Spec::server("client|reply", 3, FLAGS, reply),
    Spec::server("client|setinfo", 4, FLAGS, set_info).since(7, 2),
    Spec::server("client|setname", 3, FLAGS, |c, a| {
        set_name(c, &a[2])?;
        Ok(Reply::OK)
    }),
    Spec::server("client|tracking", -3, FLAGS, tracking::tracking).since(6, 0),
    Spec::server("client|trackinginfo", 2, FLAGS, |c, _| Ok(tracking::info(c))).since(6, 2),
    Spec::server("client|unblock", -3, FLAGS | ADMIN, unblock),
    Spec::server("client|unpause", 2, FLAGS | ADMIN, unpause).since(6, 2),
];

fn switch(argument: &Bytes) -> Result<bool, Stop> {
    match argument {
        word if is(word, "ON") => Ok(true),
        word if is(word, "OFF") => Ok(false),
        _ => Err(SYNTAX),
    }
}

fn get_name(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let name = call.session().name.clone();
    Ok(if name.is_empty() { Reply::Null } else { Reply::string(name) })
}

fn printable(text: &[u8]) -> bool {
    text.iter().all(|b| (b'!'..=b'~').contains(b))
}

/// Sets a connection's name, as `CLIENT SETNAME` and `HELLO` do.
pub(crate) fn set_name(call: &mut Call<'_, '_>, name: &Bytes) -> Result<(), Stop> {
    if !printable(name) {
        return Err(fail(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    call.session().name = String::from_utf8_lossy(name).into_owned();
    Ok(())
}

fn set_info(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let (option, value) = (&arguments[2], &arguments[3]);
    let name = match option {
        o if is(o, "LIB-NAME") => "lib-name",
        o if is(o, "LIB-VER") => "lib-ver",
        o => {
            let option = String::from_utf8_lossy(o);
            return Err(fail_with(format!("ERR Unrecognized option '{option}'")));
        }
    };
    if !printable(value) {
        let option = String::from_utf8_lossy(option);
        return Err(fail_with(format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        )));
    }
    let value = String::from_utf8_lossy(value).into_owned();
    let session = call.session();
    if name == "lib-name" {
        session.lib_name = value;
    } else {
        session.lib_version = value;
    }
    Ok(Reply::OK)
}

fn reply(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let session = call.session();
    match &arguments[2] {
        word if is(word, "ON") => session.reply_mode = ReplyMode::On,
        word if is(word, "OFF") => session.reply_mode = ReplyMode::Off,
        word if is(word, "SKIP") && session.reply_mode != ReplyMode::Off => {
            session.reply_mode = ReplyMode::SkipNext;
        }
        word if is(word, "SKIP") => {}
        _ => return Err(SYNTAX),
    }
    Ok(if session.reply_mode == ReplyMode::On { Reply::OK } else { Reply::Nothing })
}

fn describe(conn: ConnId, session: &Session, server: &Server, now: Timestamp) -> String {
    let mut flags = String::new();
    let is_subscriber = session.is_subscriber();
    for (on, flag) in [
        (is_subscriber, 'P'),
        (session.queued.is_some(), 'x'),
        (session.blocked.is_some(), 'b'),
        (session.tracking.is_some(), 't'),
        (session.read_only, 'r'),
        (session.no_evict, 'e'),
    ] {
        if on {
            flags.push(flag);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let seconds = |at: Timestamp| now.since(at).as_secs();
    let multi = session.queued.as_ref().map_or(-1, |q| q.requests.len() as i64);
    let version = server.config.version;
    let io_thread = if !version.valkey && version.major >= 8 { " io-thread=0" } else { "" };
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} \
         multi={} watch={} qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 \
         omem=0 tot-mem=2048 events=r cmd={} user={} redir={} resp={} lib-name={} lib-ver={}\
         {io_thread}",
        session.id,
        session.address,
        server.address,
        conn.0,
        session.name,
        seconds(session.created_at),
        seconds(session.active_at),
        flags,
        session.db,
        session.channels.len(),
        session.patterns.len(),
        session.shard_channels.len(),
        multi,
        session.watched.len(),
        session.reader.buffered(),
        session.last_command,
        session.user,
        session.tracking.as_ref().map_or(-1, |t| t.redirect.unwrap_or(0) as i64),
        if session.proto == Proto::Resp3 { 3 } else { 2 },
        session.lib_name,
        session.lib_version,
    )
}

fn info(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let (conn, now) = (call.conn, call.env.now());
    let session = &call.server.sessions[&conn];
    let line = describe(conn, session, call.server, now) + "\n";
    Ok(Reply::Verbatim("txt", line))
}

/// The sessions that `CLIENT KILL` and `CLIENT LIST` select.
#[derive(Default)]
struct Filter {
    /// By number.
    ids: Vec<u64>,
    /// By the client's address.
    address: Option<String>,
    /// By the server's address.
    local_address: Option<String>,
    /// By type.
    kind: Option<String>,
    /// By user.
    user: Option<String>,
    /// Only those that are connected for this many seconds.
    age: u64,
    /// The requesting session too.
    and_me: bool,
}

/// The type of clients that an argument names.
fn kind(argument: &Bytes) -> Result<String, Stop> {
    let kind = String::from_utf8_lossy(argument).to_ascii_lowercase();
    if ["normal", "master", "slave", "replica", "pubsub"].contains(&&*kind) {
        return Ok(kind);
    }
    let given = String::from_utf8_lossy(argument);
    Err(fail_with(format!("ERR Unknown client type '{given}'")))
}

impl Filter {
    /// The filters of `CLIENT KILL`, and of Valkey's `CLIENT LIST`.
    fn parse(server: &Server, arguments: &[Bytes]) -> Result<Self, Stop> {
        let mut filter = Self::default();
        let text = |value: &Bytes| String::from_utf8_lossy(value).into_owned();
        let id = |value: &Bytes| match int(value) {
            Ok(id @ 1..) => Ok(id as u64),
            _ => Err(fail("ERR client-id should be greater than 0")),
        };
        let mut options = Options::new(arguments);
        while let Some(option) = options.next() {
            match option {
                _ if options.is_empty() => return Err(SYNTAX),
                o if is(o, "ID") => {
                    filter.ids = vec![id(options.value()?)?];
                    let more = |a: &&Bytes| server.config.version.valkey && int(a).is_ok();
                    while let Some(next) = options.rest().first().filter(more) {
                        filter.ids.push(id(next)?);
                        options.next();
                    }
                }
                o if is(o, "ADDR") => filter.address = Some(text(options.value()?)),
                o if is(o, "LADDR") => filter.local_address = Some(text(options.value()?)),
                o if is(o, "USER") => {
                    let user = text(options.value()?);
                    if user != "default" && !server.config.users.contains_key(&user) {
                        return Err(fail_with(format!("ERR No such user '{user}'")));
                    }
                    filter.user = Some(user);
                }
                o if is(o, "MAXAGE") => {
                    let age =
                        int_or(options.value()?, "ERR maxage is not an integer or out of range")?;
                    filter.age = match u64::try_from(age) {
                        Ok(age @ 1..) => age,
                        _ => return Err(fail("ERR maxage should be greater than 0")),
                    };
                }
                o if is(o, "SKIPME") => {
                    filter.and_me = match options.value()? {
                        word if is(word, "NO") => true,
                        word if is(word, "YES") => false,
                        _ => return Err(SYNTAX),
                    }
                }
                o if is(o, "TYPE") => filter.kind = Some(kind(options.value()?)?),
                _ => return Err(SYNTAX),
            }
        }
        Ok(filter)
    }

    /// The one filter of Redis' `CLIENT LIST`.
    fn of_list(arguments: &[Bytes]) -> Result<Self, Stop> {
        let mut filter = Self::default();
        match arguments {
            [] => {}
            [word, name] if is(word, "TYPE") => filter.kind = Some(kind(name)?),
            [word, ids @ ..] if is(word, "ID") && !ids.is_empty() => {
                for id in ids {
                    let id = int_or(id, "ERR Invalid client ID")?;
                    // A number below 1 is that of no client.
                    filter.ids.push(u64::try_from(id).unwrap_or(0));
                }
            }
            _ => return Err(SYNTAX),
        }
        Ok(filter)
    }

    fn wants(&self, server: &Server, session: &Session, now: Timestamp) -> bool {
        let kind = if session.is_subscriber() { "pubsub" } else { "normal" };
        (self.ids.is_empty() || self.ids.contains(&session.id))
            && self.address.as_ref().is_none_or(|a| *a == session.address)
            && self.local_address.as_ref().is_none_or(|a| *a == server.address.to_string())
            && self.kind.as_ref().is_none_or(|k| k == kind)
            && self.user.as_ref().is_none_or(|u| *u == session.user)
            && now.since(session.created_at).as_secs() >= self.age
    }
}

fn list(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let filter = if call.server.config.version.valkey {
        Filter::parse(call.server, &arguments[2..])?
    } else {
        Filter::of_list(&arguments[2..])?
    };
    let now = call.env.now();
    let server = &*call.server;
    let lines: String = server
        .sessions
        .iter()
        .filter(|(_, session)| filter.wants(server, session, now))
        .map(|(conn, session)| describe(*conn, session, server, now) + "\n")
        .collect();
    Ok(Reply::Verbatim("txt", lines))
}

fn kill(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let old_form = arguments.len() == 3;
    let filter = if old_form {
        let address = Some(String::from_utf8_lossy(&arguments[2]).into_owned());
        Filter { address, and_me: true, ..Filter::default() }
    } else {
        Filter::parse(call.server, &arguments[2..])?
    };
    let (me, now) = (call.conn, call.env.now());
    let server = &*call.server;
    let wanted = |(conn, session): &(&ConnId, &Session)| {
        filter.wants(server, session, now) && (filter.and_me || **conn != me)
    };
    let doomed: Vec<ConnId> =
        server.sessions.iter().filter(wanted).map(|(conn, _)| *conn).collect();
    for conn in &doomed {
        if let Some(session) = call.server.sessions.get_mut(conn) {
            session.closing = true;
        }
        call.server.mark_dirty(*conn);
    }
    match (old_form, doomed.len()) {
        (true, 0) => Err(fail("ERR No such client")),
        (true, _) => Ok(Reply::OK),
        (false, count) => Ok(Reply::count(count)),
    }
}

fn pause(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let all = match &arguments[3..] {
        [] => true,
        [mode] if is(mode, "ALL") => true,
        [mode] if is(mode, "WRITE") => false,
        _ => return Err(fail("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let ms = timeout_ms(&arguments[2])?.unwrap_or(0);
    let until = call.env.now().after(Duration::from_millis(ms));
    call.server.pause(call.env, until, all);
    Ok(Reply::OK)
}

fn unpause(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let now = call.env.now();
    if let Some((until, _)) = call.server.conditions.paused.as_mut() {
        *until = now;
    }
    call.server.timer(call.env, now, super::Timer::Unpause);
    Ok(Reply::OK)
}

fn unblock(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let with_error = match &arguments[3..] {
        [] => false,
        [word] if is(word, "TIMEOUT") => false,
        [word] if is(word, "ERROR") => true,
        [_] => return Err(fail("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(wrong_subcommand(arguments, "CLIENT")),
    };
    let id = int(&arguments[2])?;
    Ok(unblock_client(call, id, with_error))
}
