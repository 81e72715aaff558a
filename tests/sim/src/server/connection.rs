//! The connection group: HELLO, AUTH, SELECT and similar commands.
//!
//! Spec: command pages of the "connection" group.

use super::Server;
use super::call::Call;
use super::command::{
    ALLOW_BUSY, FAST, LOADING, NO_AUTH, NOSCRIPT, Outcome, STALE, Spec, Stop, fail, fail_with,
};
use crate::resp::{Proto, Reply};
use crate::server::arguments::{Options, int_or, int32, is};
use crate::server::session::ReplyMode;
use bytes::Bytes;

const OPEN: u32 = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::server("asking", 1, FAST, asking),
    Spec::server("auth", -2, OPEN, auth),
    Spec::server("echo", 2, LOADING | STALE | FAST, |_, a| Ok(Reply::Bulk(a[1].clone()))),
    Spec::server("hello", -1, OPEN, hello).since(6, 0),
    Spec::server("ping", -1, FAST, ping),
    Spec::server("quit", -1, OPEN, quit),
    Spec::server("readonly", 1, LOADING | STALE | FAST, |c, _| read_only(c, true)),
    Spec::server("readwrite", 1, LOADING | STALE | FAST, |c, _| read_only(c, false)),
    Spec::server("reset", 1, OPEN, reset).since(6, 2),
    Spec::server("select", 2, LOADING | STALE | FAST, select),
];

fn ping(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let message = match &arguments[1..] {
        [] => None,
        [message] => Some(message.clone()),
        _ => return Err(fail("ERR wrong number of arguments for 'ping' command")),
    };
    let session = call.session();
    if session.is_subscriber() && !session.resp3() {
        let message = Reply::Bulk(message.unwrap_or_default());
        return Ok(Reply::Array(vec![Reply::text("pong"), message]));
    }
    Ok(message.map_or(Reply::Status("PONG".into()), Reply::Bulk))
}

fn quit(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    call.session().closing = true;
    Ok(Reply::OK)
}

fn select(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let db = int32(&arguments[1])?;
    let numbered = call.server.config.version.valkey && call.server.config.version.major >= 9;
    if call.server.cluster.is_some() && db != 0 && !numbered {
        return Err(fail("ERR SELECT is not allowed in cluster mode"));
    }
    match usize::try_from(db) {
        Ok(db) if db < call.server.config.databases => {
            call.session().db = db;
            Ok(Reply::OK)
        }
        _ => Err(fail("ERR DB index is out of range")),
    }
}

fn asking(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    call.require_cluster()?;
    call.session().asking = true;
    Ok(Reply::OK)
}

fn read_only(call: &mut Call<'_, '_>, on: bool) -> Outcome {
    call.require_cluster()?;
    call.session().read_only = on;
    Ok(Reply::OK)
}

impl Server {
    /// Whether this is the user's password.
    fn accepts(&self, user: &str, password: &[u8]) -> bool {
        match self.config.users.get(user) {
            Some(known) => known.as_bytes() == password,
            // Without a configured password the default user accepts any.
            None => user == "default",
        }
    }
}

/// Whether this is the user's password. `Some` is the reply of a server that refuses and does not
/// say so.
fn authenticate(
    call: &mut Call<'_, '_>,
    user: &[u8],
    password: &[u8],
) -> Result<Option<Reply>, Stop> {
    let user = String::from_utf8_lossy(user).into_owned();
    if !call.server.accepts(&user, password) {
        // A server says nothing when the replies to earlier requests are not sent yet:
        // `addAuthErrReply`.
        let silent = call.server.config.version.commands() >= (7, 2);
        if silent && !call.session().out.is_empty() {
            return Ok(Some(Reply::Nothing));
        }
        let old = call.server.config.version.commands() < (6, 0);
        return Err(fail(if old {
            "ERR invalid password"
        } else {
            "WRONGPASS invalid username-password pair or user is disabled."
        }));
    }
    let session = call.session();
    session.authenticated = true;
    session.user = user;
    Ok(None)
}

fn auth(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    match &arguments[1..] {
        [password] => {
            if !call.server.config.requires_password() {
                return Err(fail(
                    "ERR AUTH <password> called without any password configured for the default \
                     user. Are you sure your configuration is correct?",
                ));
            }
            authenticate(call, b"default", password)
        }
        [user, password] if call.server.config.version.commands() >= (6, 0) => {
            authenticate(call, user, password)
        }
        [_, _] => Err(fail("ERR wrong number of arguments for 'auth' command")),
        _ => Err(super::command::SYNTAX),
    }
    .map(|silent| silent.unwrap_or(Reply::OK))
}

fn hello(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let proto = match arguments.get(1) {
        None => None,
        Some(version) => {
            let text = "ERR Protocol version is not an integer or out of range";
            Some(match int_or(version, text)? {
                2 => Proto::Resp2,
                3 => Proto::Resp3,
                _ => return Err(fail("NOPROTO unsupported protocol version")),
            })
        }
    };
    let (mut credentials, mut name) = (None, None);
    let mut options = Options::new(arguments.get(2..).unwrap_or_default());
    while let Some(option) = options.next() {
        let syntax = || {
            let option = String::from_utf8_lossy(option);
            fail_with(format!("ERR Syntax error in HELLO option '{option}'"))
        };
        match option {
            o if is(o, "AUTH") => {
                let pair = options.many(2).map_err(|_| syntax())?;
                credentials = Some((pair[0].clone(), pair[1].clone()));
            }
            o if is(o, "SETNAME") => name = Some(options.value().map_err(|_| syntax())?.clone()),
            _ => return Err(syntax()),
        }
    }
    if let Some((user, password)) = credentials
        && let Some(silent) = authenticate(call, &user, &password)?
    {
        return Ok(silent);
    }
    if !call.session().authenticated {
        let proto = if call.server.config.version.commands() >= (7, 2) { "<proto> " } else { "" };
        return Err(fail_with(format!(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO {proto}AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time"
        )));
    }
    if let Some(name) = name {
        super::client_command::set_name(call, &name)?;
    }
    if let Some(proto) = proto {
        call.session().proto = proto;
    }
    Ok(hello_reply(call))
}

fn hello_reply(call: &mut Call<'_, '_>) -> Reply {
    let session = call.session();
    let (id, proto) = (session.id, if session.resp3() { 3 } else { 2 });
    let server = &*call.server;
    let version = server.config.version;
    let role = if server.replication.is_replica() { "replica" } else { "master" };
    let mut pairs = vec![
        (Reply::text("server"), Reply::text(if version.valkey { "valkey" } else { "redis" })),
        (Reply::text("version"), Reply::string(version.text())),
        (Reply::text("proto"), Reply::Int(proto)),
        (Reply::text("id"), Reply::Int(id as i64)),
        (Reply::text("mode"), Reply::text(server.mode())),
    ];
    if server.mode() != "sentinel" {
        pairs.push((Reply::text("role"), Reply::text(role)));
    }
    pairs.push((Reply::text("modules"), Reply::Array(Vec::new())));
    let has_zone = version.valkey && version >= crate::server::config::Version::valkey(8, 1, 0);
    if has_zone && server.sentinel.is_none() {
        let zone = server.config.zone.clone();
        pairs.push((Reply::text("availability_zone"), Reply::string(zone)));
    }
    Reply::Map(pairs)
}

fn reset(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let conn = call.conn;
    call.server.unwatch(conn);
    let needs_password = call.server.config.requires_password();
    let session = &*call.session();
    let (channels, patterns, shard) =
        (session.channels.clone(), session.patterns.clone(), session.shard_channels.clone());
    call.server.channels.forget_names(conn, &channels, &patterns, &shard);
    call.server.tracking.forget(conn);
    let session = call.session();
    session.channels.clear();
    session.patterns.clear();
    session.shard_channels.clear();
    session.tracking = None;
    session.queued = None;
    session.proto = Proto::Resp2;
    session.db = 0;
    session.name.clear();
    session.user = "default".to_owned();
    session.authenticated = !needs_password;
    session.read_only = false;
    session.asking = false;
    session.no_evict = false;
    session.no_touch = false;
    session.reply_mode = ReplyMode::On;
    Ok(Reply::Status("RESET".into()))
}
