//! Administration: CONFIG, DEBUG, TIME and similar commands.
//!
//! Only what tests and client libraries use; the other commands reply as an idle server would.
//!
//! Spec: command pages of the "server" group.

use super::call::Call;
use super::command::Keys::Range;
use super::command::{ADMIN, FAST, LOADING, NOSCRIPT, Outcome, R, STALE, Spec, fail, fail_with};
use super::data::scan::glob;
use super::effects::Stats;
use super::keyspace::Store;
use super::value::Value;
use crate::resp::Reply;
use crate::server::arguments::{float, int, is};
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
    Spec::server("bgsave", -1, ADMIN | NOSCRIPT, |_, _| {
        Ok(Reply::Status("Background saving started".into()))
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
    Spec::server("save", 1, ADMIN | NOSCRIPT, |_, _| Ok(Reply::OK)),
    Spec::container("slowlog"),
    Spec::server("slowlog|get", -2, FLAGS, |_, a| match a.get(2).map(|count| int(count)) {
        None | Some(Ok(-1..)) => Ok(Reply::Array(Vec::new())),
        Some(Ok(_)) => Err(fail("ERR count should be greater than or equal to -1")),
        Some(Err(_)) => Err(fail("ERR count should be greater than or equal to -1")),
    }),
    Spec::server("slowlog|len", 2, FLAGS, |_, _| Ok(Reply::Int(0))),
    Spec::server("slowlog|reset", 2, FLAGS, |_, _| Ok(Reply::OK)),
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

/// Every parameter with its value.
fn parameters(call: &Call<'_, '_>) -> BTreeMap<String, String> {
    let server = &*call.server;
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut all = server.config.parameters.clone();
    let typed = [
        ("availability-zone", server.config.zone.clone()),
        ("cluster-enabled", yes_no(server.cluster.is_some())),
        ("databases", server.config.databases.to_string()),
        ("maxclients", server.config.clients_max.to_string()),
        ("port", server.address.port().to_string()),
        ("replica-serve-stale-data", yes_no(server.config.serve_stale)),
        ("requirepass", server.config.users.get("default").cloned().unwrap_or_default()),
        ("slave-serve-stale-data", yes_no(server.config.serve_stale)),
    ];
    all.extend(typed.map(|(name, value)| (name.to_owned(), value)));
    all
}

fn config_get(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let wanted = |name: &str| {
        arguments[2..].iter().any(|pattern| glob(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let pairs = parameters(call)
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (Reply::string(name), Reply::string(value)));
    Ok(Reply::Map(pairs.collect()))
}

fn config_set(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if !arguments.len().is_multiple_of(2) {
        return Err(fail("ERR wrong number of arguments for 'config|set' command"));
    }
    for pair in arguments[2..].chunks_exact(2) {
        let name = String::from_utf8_lossy(&pair[0]).to_ascii_lowercase();
        let value = String::from_utf8_lossy(&pair[1]).into_owned();
        let config = &mut call.server.config;
        match name.as_str() {
            "requirepass" if value.is_empty() => {
                config.users.remove("default");
            }
            "requirepass" => {
                config.users.insert("default".to_owned(), value);
            }
            "maxclients" => match value.parse() {
                Ok(max) => config.clients_max = max,
                Err(_) => {
                    return Err(set_failed(&name, "argument couldn't be parsed into an integer"));
                }
            },
            "replica-serve-stale-data" | "slave-serve-stale-data" => {
                config.serve_stale = value == "yes";
            }
            "availability-zone" => config.zone = value,
            "maxmemory" => {
                // The simulation does not count memory: a limit of one byte means that none is
                // left.
                config.out_of_memory = value == "1";
                config.parameters.insert(name, value);
            }
            _ if config.parameters.contains_key(&name) => {
                config.parameters.insert(name, value);
            }
            _ => {
                return Err(fail_with(format!(
                    "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
                )));
            }
        }
    }
    Ok(Reply::OK)
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
        [sub] if is(sub, "JMAP") => Ok(Reply::OK),
        [sub, ..] => {
            let sub = String::from_utf8_lossy(sub);
            Err(fail_with(format!("ERR unknown subcommand '{sub}'. Try DEBUG HELP.")))
        }
        [] => Err(fail("ERR wrong number of arguments for 'debug' command")),
    }
}

fn memory_usage(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
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
