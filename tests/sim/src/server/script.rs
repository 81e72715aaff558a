//! Scripts: EVAL, EVALSHA, SCRIPT.
//!
//! There is no Lua here. A script is a Rust closure that replaces a known text; a test registers
//! the texts that its application uses. Everything else works as in a server: digests, NOSCRIPT,
//! keys and slots, one atomic record for replicas, errors of inner commands.
//!
//! Spec: "Scripting with Lua", command pages of EVAL and SCRIPT.

use super::Server;
use super::call::Call;
use super::command::Keys::Counted;
use super::command::{
    ALLOW_BUSY, MOVABLE, NOSCRIPT, Outcome, Run, STALE, Spec, Stop, W, fail, fail_with,
};
use super::refusal::READONLY_TEXT;
use super::sha1::sha1_hex;
use crate::env::Env;
use crate::resp::Reply;
use crate::server::arguments::{int, is};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

const FLAGS: u32 = NOSCRIPT | STALE | MOVABLE;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::server("eval", -3, FLAGS, |c, a| eval(c, a, false)).keyed(Counted(2)),
    Spec::server("eval_ro", -3, FLAGS, |c, a| eval(c, a, true)).keyed(Counted(2)).since(7, 0),
    Spec::server("evalsha", -3, FLAGS, |c, a| evalsha(c, a, false)).keyed(Counted(2)),
    Spec::server("evalsha_ro", -3, FLAGS, |c, a| evalsha(c, a, true)).keyed(Counted(2)).since(7, 0),
    Spec::container("script"),
    Spec::server("script|exists", -3, NOSCRIPT, exists),
    Spec::server("script|flush", -2, NOSCRIPT, flush),
    Spec::server("script|kill", 2, NOSCRIPT | ALLOW_BUSY, kill),
    Spec::server("script|load", 3, NOSCRIPT | STALE, load),
];

/// Letters of a digest: any other name is that of no script, whatever comes after it.
const DIGEST_LEN: usize = 40;

/// A value that a script uses or returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptValue {
    /// `false` or `nil`.
    Nil,
    /// A number.
    Int(i64),
    /// A string.
    Bulk(Bytes),
    /// A status such as `OK`.
    Status(String),
    /// An error with its code.
    Error(String),
    /// A table.
    Array(Vec<Self>),
}

impl ScriptValue {
    /// The bytes, if this value is a string.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn from_reply(reply: Reply) -> Self {
        let all =
            |items: Vec<Reply>| Self::Array(items.into_iter().map(Self::from_reply).collect());
        match reply {
            Reply::Int(value) => Self::Int(value),
            Reply::Bulk(bytes) => Self::Bulk(bytes),
            Reply::Status(text) => Self::Status(text.into_owned()),
            Reply::Error(text) => Self::Error(text.into_owned()),
            Reply::Double(value) => Self::Bulk(Bytes::from(crate::resp::double(value))),
            Reply::Verbatim(_, text) => Self::Bulk(Bytes::from(text)),
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) | Reply::Many(items) => {
                all(items)
            }
            Reply::Map(pairs) | Reply::Pairs(pairs) => {
                all(pairs.into_iter().flat_map(|(a, b)| [a, b]).collect())
            }
            Reply::MapOfArrays(pairs) => {
                all(pairs.into_iter().map(|(a, b)| Reply::Array(vec![a, b])).collect())
            }
            Reply::Null | Reply::NullArray | Reply::Nothing => Self::Nil,
        }
    }

    fn into_reply(self) -> Reply {
        match self {
            Self::Nil => Reply::Null,
            Self::Int(value) => Reply::Int(value),
            Self::Bulk(bytes) => Reply::Bulk(bytes),
            Self::Status(text) => Reply::Status(text.into()),
            Self::Error(text) => Reply::Error(text.into()),
            Self::Array(items) => Reply::Array(items.into_iter().map(Self::into_reply).collect()),
        }
    }
}

/// A running script: its keys and arguments, and access to commands.
#[derive(Debug)]
pub struct ScriptCall<'a> {
    /// The server it runs on.
    server: &'a mut Server,
    /// Clock and random generator.
    env: &'a mut dyn ScriptEnv,
    /// The database it runs in.
    db: usize,
    /// Its keys.
    keys: &'a [Bytes],
    /// Its other arguments.
    arguments: &'a [Bytes],
    /// It may not write.
    read_only: bool,
}

/// The means of the world, without their lifetime in the type, so that a public closure type can
/// name them.
trait ScriptEnv: fmt::Debug {
    fn run(
        &mut self,
        server: &mut Server,
        db: usize,
        spec: &'static Spec,
        arguments: &[Bytes],
    ) -> Outcome;
}

impl ScriptEnv for Env<'_> {
    fn run(
        &mut self,
        server: &mut Server,
        db: usize,
        spec: &'static Spec,
        arguments: &[Bytes],
    ) -> Outcome {
        match spec.run {
            Run::Data(run) => server.run_data(self, None, db, spec, run, arguments),
            _ if spec.name == "publish" && arguments.len() == 3 => {
                Ok(Reply::count(server.publish(self, &arguments[1], &arguments[2])))
            }
            _ if spec.name == "spublish" && arguments.len() == 3 => {
                Ok(Reply::count(server.publish_shard(self, &arguments[1], &arguments[2])))
            }
            _ => Err(fail("ERR This Redis command is not allowed from script")),
        }
    }
}

impl ScriptCall<'_> {
    /// `KEYS`.
    #[must_use]
    pub fn keys(&self) -> &[Bytes] {
        self.keys
    }

    /// `ARGV`.
    #[must_use]
    pub fn arguments(&self) -> &[Bytes] {
        self.arguments
    }

    /// `redis.call`: runs a command with its arguments.
    ///
    /// # Errors
    /// The error line of the command; returning it ends the script with it, as `redis.call` does.
    pub fn call(&mut self, request: &[&[u8]]) -> Result<ScriptValue, String> {
        let request: Vec<Bytes> = request.iter().map(|a| Bytes::copy_from_slice(a)).collect();
        let spec = self.server.find(&request).map_err(|text| {
            if text.starts_with("ERR unknown command") {
                "ERR Unknown Redis command called from script".to_owned()
            } else {
                "ERR Wrong number of args calling Redis command from script".to_owned()
            }
        })?;
        if spec.has(NOSCRIPT) {
            return Err("ERR This Redis command is not allowed from script".to_owned());
        }
        if spec.has(W) && self.server.replication.is_replica() {
            return Err(READONLY_TEXT.to_owned());
        }
        if spec.has(W) && self.read_only {
            return Err("ERR Write commands are not allowed from read-only scripts.".to_owned());
        }
        match self.env.run(self.server, self.db, spec, &request) {
            Ok(reply) => Ok(ScriptValue::from_reply(reply)),
            Err(Stop::Block(wait)) => Ok(ScriptValue::from_reply(wait.on_timeout)),
            Err(Stop::Error(text)) => Err(text.into_owned()),
        }
    }
}

/// The closure that replaces a script's text.
pub(crate) type Script =
    Arc<dyn Fn(&mut ScriptCall<'_>) -> Result<ScriptValue, String> + Send + Sync + 'static>;

/// Scripts of one server.
#[derive(Clone, Default)]
pub(crate) struct Scripts {
    /// Every text that the simulation knows, by digest.
    known: Arc<BTreeMap<String, Script>>,
    /// Digests that were loaded on this server.
    loaded: BTreeSet<String>,
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripts").field("loaded", &self.loaded).finish_non_exhaustive()
    }
}

impl Scripts {
    /// Registers a text.
    pub(crate) fn register(&mut self, text: &str, script: Script) {
        Arc::make_mut(&mut self.known).insert(sha1_hex(text.as_bytes()), script);
    }

    /// Copies the registered texts of another server.
    pub(crate) fn share(&mut self, other: &Self) {
        self.known = Arc::clone(&other.known);
    }

    pub(crate) fn forget_loaded(&mut self) {
        self.loaded.clear();
    }
}

fn eval(call: &mut Call<'_, '_>, arguments: &[Bytes], read_only: bool) -> Outcome {
    let digest = sha1_hex(&arguments[1]);
    check_keys(arguments)?;
    let Some(script) = call.server.scripts.known.get(&digest).cloned() else {
        return Err(unknown(&arguments[1]));
    };
    call.server.scripts.loaded.insert(digest.clone());
    run(call, &script, &digest, arguments, read_only)
}

fn evalsha(call: &mut Call<'_, '_>, arguments: &[Bytes], read_only: bool) -> Outcome {
    let digest = String::from_utf8_lossy(&arguments[1]).to_ascii_lowercase();
    if arguments[1].len() == DIGEST_LEN {
        check_keys(arguments)?;
    }
    let script = call.server.scripts.known.get(&digest).cloned();
    match script {
        Some(script) if call.server.scripts.loaded.contains(&digest) => {
            run(call, &script, &digest, arguments, read_only)
        }
        _ => Err(fail("NOSCRIPT No matching script. Please use EVAL.")),
    }
}

fn check_keys(arguments: &[Bytes]) -> Result<(), Stop> {
    let count = int(&arguments[2])?;
    if count > arguments.len() as i64 - 3 {
        return Err(fail("ERR Number of keys can't be greater than number of args"));
    }
    if count < 0 { Err(fail("ERR Number of keys can't be negative")) } else { Ok(()) }
}

fn unknown(text: &[u8]) -> Stop {
    let text: String = String::from_utf8_lossy(text).chars().take(80).collect();
    fail_with(format!("ERR the simulation does not know this script, register it first: {text}"))
}

fn run(
    call: &mut Call<'_, '_>,
    script: &Script,
    digest: &str,
    arguments: &[Bytes],
    read_only: bool,
) -> Outcome {
    let count = int(&arguments[2])? as usize;
    let (keys, rest) = arguments[3..].split_at(count);
    let db = call.session().db;
    let nested = call.in_exec;
    if !nested {
        call.server.begin_group();
    }
    let result = script(&mut ScriptCall {
        server: call.server,
        env: call.env,
        db,
        keys,
        arguments: rest,
        read_only,
    });
    if !nested {
        call.server.end_group();
    }
    match result {
        Ok(value) => Ok(value.into_reply()),
        Err(text) => Err(fail_with(format!("{text} script: {digest}, on @user_script:1."))),
    }
}

fn load(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let digest = sha1_hex(&arguments[2]);
    if !call.server.scripts.known.contains_key(&digest) {
        return Err(unknown(&arguments[2]));
    }
    call.server.scripts.loaded.insert(digest.clone());
    Ok(Reply::string(digest))
}

fn exists(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let loaded = &call.server.scripts.loaded;
    let known = |digest: &Bytes| {
        let digest = String::from_utf8_lossy(digest).to_ascii_lowercase();
        Reply::flag(loaded.contains(&digest))
    };
    Ok(Reply::Array(arguments[2..].iter().map(known).collect()))
}

fn flush(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    match &arguments[2..] {
        [] => {}
        [mode] if is(mode, "ASYNC") || is(mode, "SYNC") => {}
        _ => return Err(fail("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    }
    call.server.scripts.forget_loaded();
    Ok(Reply::OK)
}

fn kill(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    if call.server.conditions.busy_until <= call.env.now() {
        return Err(fail("NOTBUSY No scripts in execution right now."));
    }
    call.server.conditions.busy_until = slotcar::Timestamp::ZERO;
    Ok(Reply::OK)
}

/// Texts that every simulation knows, because tests of clients use them.
pub(crate) fn builtin() -> Scripts {
    static BUILTIN: LazyLock<Scripts> = LazyLock::new(make_builtin);
    BUILTIN.clone()
}

/// The first of `KEYS` or `ARGV` as an argument of a command.
fn given(values: &[Bytes]) -> Result<Bytes, String> {
    let missing = || "ERR Lua redis lib command arguments must be strings or integers".to_owned();
    values.first().cloned().ok_or_else(missing)
}

fn make_builtin() -> Scripts {
    let mut scripts = Scripts::default();
    let mut add = |text: &str, script: Script| scripts.register(text, script);
    let first = |values: &[Bytes]| {
        values.first().map_or(ScriptValue::Nil, |value| ScriptValue::Bulk(value.clone()))
    };
    add("return 1", Arc::new(|_| Ok(ScriptValue::Int(1))));
    add("return KEYS[1]", Arc::new(move |s| Ok(first(s.keys()))));
    add("return ARGV[1]", Arc::new(move |s| Ok(first(s.arguments()))));
    add(
        "return {KEYS[1],ARGV[1]}",
        Arc::new(move |s| Ok(ScriptValue::Array(vec![first(s.keys()), first(s.arguments())]))),
    );
    add("", Arc::new(|_| Ok(ScriptValue::Nil)));
    for (text, command, has_argument) in [
        ("return redis.call('get', KEYS[1])", "get", false),
        ("return redis.call('GET', KEYS[1])", "get", false),
        ("return redis.call('incr', KEYS[1])", "incr", false),
        ("return redis.call('INCR', KEYS[1])", "incr", false),
        ("return redis.call('set', KEYS[1], ARGV[1])", "set", true),
        ("return redis.call('SET', KEYS[1], ARGV[1])", "set", true),
        ("return redis.call('append', KEYS[1], ARGV[1])", "append", true),
        ("return redis.call('APPEND', KEYS[1], ARGV[1])", "append", true),
    ] {
        add(
            text,
            Arc::new(move |s| {
                let mut request = vec![Bytes::from_static(command.as_bytes())];
                request.push(given(s.keys())?);
                if has_argument {
                    request.push(given(s.arguments())?);
                }
                let request: Vec<&[u8]> = request.iter().map(AsRef::as_ref).collect();
                s.call(&request)
            }),
        );
    }
    let unlock = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) \
                  else return 0 end";
    add(
        unlock,
        Arc::new(|s| {
            let (key, token) = (given(s.keys())?, s.arguments().first().cloned());
            match s.call(&[b"get", &key])? {
                ScriptValue::Bulk(held) if Some(&held) == token.as_ref() => s.call(&[b"del", &key]),
                _ => Ok(ScriptValue::Int(0)),
            }
        }),
    );
    scripts
}
