//! Administration: CONFIG, DEBUG, TIME and similar commands.
//!
//! Only what tests and client libraries use; the other commands reply as an idle server would.
//!
//! Spec: command pages of the "server" group.

use super::Server;
use super::call::Call;
use super::command::Keys::Range;
use super::command::{
    ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, Outcome, R, STALE, SYNTAX, Spec,
    fail, fail_with, wrong_subcommand,
};
use super::data::scan::glob;
use super::effects::Stats;
use super::keyspace::Store;
use super::parameters::{self, Kind, PARAMETERS, Parameter};
use super::value::Value;
use crate::resp::Reply;
use crate::server::arguments::{Options, float, int, is};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

const FLAGS: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::container("acl"),
    Spec::server("acl|whoami", 2, NOSCRIPT | LOADING | STALE, |c, _| {
        Ok(Reply::string(c.session().user.clone()))
    })
    .since(6, 0),
    Spec::server("bgsave", -1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, |_, a| match &a[1..] {
        [] => Ok(Reply::Status("Background saving started".into())),
        [word] if is(word, "SCHEDULE") => Ok(Reply::Status("Background saving started".into())),
        _ => Err(SYNTAX),
    }),
    Spec::container("config"),
    Spec::server("config|get", -3, FLAGS, config_get),
    Spec::server("config|resetstat", 2, FLAGS, |c, _| {
        c.server.stats = Stats::default();
        Ok(Reply::OK)
    }),
    Spec::server("config|rewrite", 2, FLAGS, |_, _| {
        Err(fail("ERR The server is running without a config file"))
    }),
    Spec::server("config|set", -4, FLAGS, config_set),
    Spec::server("debug", -2, ADMIN | NOSCRIPT | LOADING | STALE, debug),
    Spec::server("lastsave", 1, LOADING | STALE | FAST, |c, _| {
        Ok(Reply::Int((c.now_ms() / 1000) as i64))
    }),
    Spec::container("latency"),
    Spec::server("latency|latest", 2, FLAGS, |_, _| Ok(Reply::Array(Vec::new()))),
    Spec::server("latency|reset", -2, FLAGS, |_, _| Ok(Reply::Int(0))),
    Spec::container("memory"),
    Spec::data("memory|usage", -3, R, Range(2, 2, 1), memory_usage),
    Spec::container("module"),
    Spec::server("module|list", 2, ADMIN | NOSCRIPT, |_, _| Ok(Reply::Array(Vec::new()))),
    Spec::server("save", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, |_, _| Ok(Reply::OK)),
    Spec::container("slowlog"),
    Spec::server("slowlog|get", -2, ADMIN | LOADING | STALE, |_, a| match &a[2..] {
        [] => Ok(Reply::Array(Vec::new())),
        [count] if int(count).is_ok_and(|count| count >= -1) => Ok(Reply::Array(Vec::new())),
        [_] => Err(fail("ERR count should be greater than or equal to -1")),
        _ => Err(wrong_subcommand(a, "SLOWLOG")),
    }),
    Spec::server("slowlog|len", 2, ADMIN | LOADING | STALE, |_, _| Ok(Reply::Int(0))),
    Spec::server("slowlog|reset", 2, ADMIN | LOADING | STALE, |_, _| Ok(Reply::OK)),
    Spec::server("time", 1, LOADING | STALE | FAST, time),
];

fn time(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let ms = call.now_ms();
    let micros = u64::from(call.env.now().since_epoch().subsec_micros() % 1000);
    Ok(Reply::bulks([
        Bytes::from((ms / 1000).to_string()),
        Bytes::from((ms % 1000 * 1000 + micros).to_string()),
    ]))
}

/// The value of a parameter.
fn parameter(server: &Server, (name, default, _): &Parameter) -> String {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let config = &server.config;
    match *name {
        "cluster-enabled" => yes_no(server.cluster.is_some()),
        "databases" => config.databases.to_string(),
        "maxclients" => config.clients_max.to_string(),
        "port" => server.address.port().to_string(),
        "replica-serve-stale-data" => yes_no(config.serve_stale),
        "requirepass" => config.users.get("default").cloned().unwrap_or_default(),
        _ => config.parameters.get(name).map_or_else(|| (*default).to_owned(), String::clone),
    }
}

/// The parameter of Valkey that a client reads.
const ZONE: &str = "availability-zone";

fn config_get(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let server = &*call.server;
    let mut found: BTreeMap<Bytes, String> = BTreeMap::new();
    for name in &arguments[2..] {
        if !name.iter().any(|byte| b"[*?".contains(byte)) {
            if let Some(known) = parameters::find(name) {
                found.insert(name.clone(), parameter(server, known));
            }
            if server.config.version.valkey && is(name, ZONE) {
                found.insert(name.clone(), server.config.zone.clone());
            }
            continue;
        }
        let pattern = name.to_ascii_lowercase();
        let own = PARAMETERS.iter().map(|known| (known.0, known));
        let aliases = parameters::aliases().filter_map(|(alias, first)| {
            parameters::find(first.as_bytes()).map(|known| (alias, known))
        });
        for (name, known) in own.chain(aliases) {
            if glob(&pattern, name.as_bytes()) {
                found.insert(Bytes::from_static(name.as_bytes()), parameter(server, known));
            }
        }
        if server.config.version.valkey && glob(&pattern, ZONE.as_bytes()) {
            found.insert(Bytes::from_static(ZONE.as_bytes()), server.config.zone.clone());
        }
    }
    let pairs = found.into_iter().map(|(name, value)| (Reply::Bulk(name), Reply::string(value)));
    Ok(Reply::Map(pairs.collect()))
}

/// Sets all parameters, or none when one of them is wrong.
fn config_set(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if !arguments.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    let pairs = || arguments[2..].chunks_exact(2).map(|pair| (&pair[0], &pair[1]));
    let valkey = call.server.config.version.valkey;
    let is_zone = |name: &Bytes| valkey && is(name, ZONE);
    if let Some((name, _)) = pairs().find(|(n, _)| parameters::find(n).is_none() && !is_zone(n)) {
        let name = String::from_utf8_lossy(name);
        return Err(fail_with(format!(
            "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
        )));
    }
    let mut known: Vec<&'static Parameter> = Vec::new();
    for (name, _) in pairs() {
        let Some(parameter) = parameters::find(name) else { continue };
        let shown = String::from_utf8_lossy(name);
        if matches!(parameter.2, Kind::Fixed) {
            return Err(set_failed(&shown, "can't set immutable config"));
        }
        if known.iter().any(|other| other.0 == parameter.0) {
            return Err(set_failed(&shown, "duplicate parameter"));
        }
        known.push(parameter);
    }
    let mut values = Vec::new();
    for (given, value) in pairs() {
        match parameters::find(given) {
            None => values.push((ZONE, String::from_utf8_lossy(value).into_owned())),
            Some((name, _, kind)) => {
                let shown = parameters::aliases().find(|(alias, _)| is(given, alias));
                let shown = shown.map_or(*name, |(alias, _)| alias);
                let value =
                    parameters::read(*kind, value).map_err(|why| set_failed(shown, &why))?;
                values.push((*name, value));
            }
        }
    }
    for (name, value) in values {
        set_parameter(call.server, name, value);
    }
    Ok(Reply::OK)
}

/// Sets a parameter, and what depends on it.
fn set_parameter(server: &mut Server, name: &'static str, value: String) {
    let config = &mut server.config;
    match name {
        ZONE => config.zone = value,
        "maxclients" => config.clients_max = value.parse().unwrap_or(usize::MAX),
        "replica-serve-stale-data" => config.serve_stale = value == "yes",
        "requirepass" if value.is_empty() => {
            config.users.remove("default");
        }
        "requirepass" => {
            config.users.insert("default".to_owned(), value);
        }
        _ => {
            // The simulation does not count memory: a limit of one byte means that none is left.
            if name == "maxmemory" {
                config.out_of_memory = value == "1";
            }
            config.parameters.insert(name, value);
        }
    }
}

fn set_failed(name: &str, why: &str) -> super::command::Stop {
    fail_with(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"))
}

fn debug(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    match &arguments[1..] {
        [sub, seconds] if is(sub, "SLEEP") => {
            let time = Duration::try_from_secs_f64(float(seconds)?).unwrap_or_default();
            let until = call.env.now().after(time);
            call.server.freeze(call.env, until);
            Ok(Reply::OK)
        }
        [sub, _] if is(sub, "SET-ACTIVE-EXPIRE") => Ok(Reply::OK),
        [_, ..] => Err(wrong_subcommand(arguments, "DEBUG")),
        [] => Err(fail("ERR wrong number of arguments for 'debug' command")),
    }
}

fn memory_usage(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let mut options = Options::new(&arguments[3..]);
    while let Some(option) = options.next() {
        if !is(option, "SAMPLES") || options.is_empty() || options.int()? < 0 {
            return Err(SYNTAX);
        }
    }
    let Some(value) = store.value(&arguments[2]) else { return Ok(Reply::Null) };
    let size: usize = match value {
        Value::Str(text) => text.len(),
        Value::List(list) => total(list.iter()),
        Value::Hash(hash) => total(hash.iter().flat_map(|(f, v)| [f, v])),
        Value::Set(set) => total(set.iter()),
        Value::Sorted(sorted) => total(sorted.scores.keys()),
        Value::Stream(stream) => total(stream.entries.values().flatten()),
    };
    Ok(Reply::count(size + arguments[2].len() + 48))
}

fn total<'a>(values: impl Iterator<Item = &'a Bytes>) -> usize {
    values.map(|value| value.len() + 16).sum()
}
