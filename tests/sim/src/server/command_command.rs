//! `COMMAND`: the command table for clients.
//!
//! Key specifications are given for keys at fixed positions. Commands with other key positions
//! carry the flag that tells a client to use `COMMAND GETKEYS`.
//!
//! Spec: command pages of COMMAND.

use super::call::Call;
use super::command::{
    self, ADMIN, ALLOW_BUSY, BLOCKING, FAST, Keys, LOADING, M, MOVABLE, NO_ASYNC_LOADING, NO_AUTH,
    NO_MULTI, NOSCRIPT, Outcome, PUBSUB, R, STALE, Spec, W, fail,
};
use crate::resp::Reply;
use crate::server::arguments::is;
use crate::server::data::scan::glob;
use bytes::Bytes;

const FLAGS: u32 = LOADING | STALE;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::server("command", -1, FLAGS, everything),
    Spec::server("command|count", 2, FLAGS, |c, _| Ok(Reply::count(top(c).len()))),
    Spec::server("command|docs", -2, FLAGS, docs).since(7, 0),
    Spec::server("command|getkeys", -3, FLAGS, get_keys),
    Spec::server("command|info", -2, FLAGS, info),
    Spec::server("command|list", -2, FLAGS, list).since(7, 0),
];

/// Commands that are no sub-commands.
fn top(call: &Call<'_, '_>) -> Vec<&'static Spec> {
    let version = call.server.config.version.commands();
    let known = |s: &&Spec| s.since <= version && call.server.offers(s);
    command::all().filter(|s| !s.name.contains('|')).filter(known).collect()
}

fn everything(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    Ok(Reply::Array(top(call).into_iter().map(|spec| describe(call, spec)).collect()))
}

fn info(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if arguments.len() == 2 {
        return everything(call, &arguments[..1]);
    }
    let version = call.server.config.version.commands();
    let one = |name: &Bytes| {
        let spec = command::by_name(name).filter(|s| s.since <= version);
        spec.map_or(Reply::Null, |spec| describe(call, spec))
    };
    Ok(Reply::Array(arguments[2..].iter().map(one).collect()))
}

fn describe(call: &Call<'_, '_>, spec: &'static Spec) -> Reply {
    let (first, last, step) = match spec.keys {
        Keys::Range(first, last, step) => (first as i64, last as i64, step as i64),
        Keys::FirstAndCounted(_) => (1, 1, 1),
        Keys::None | Keys::Counted(_) | Keys::After(_) => (0, 0, 0),
    };
    let mut parts = vec![
        Reply::text(spec.name),
        Reply::Int(i64::from(spec.arity)),
        Reply::Set(flags(spec)),
        Reply::Int(first),
        Reply::Int(last),
        Reply::Int(step),
        Reply::Set(categories(spec)),
    ];
    let version = call.server.config.version.commands();
    if version >= (7, 0) {
        let prefix = format!("{}|", spec.name);
        let subs = command::all()
            .filter(|s| s.name.starts_with(&prefix) && s.since <= version)
            .map(|s| describe(call, s));
        parts.push(Reply::Set(Vec::new()));
        parts.push(Reply::Array(key_specs(spec)));
        parts.push(Reply::Array(subs.collect()));
    }
    Reply::Array(parts)
}

fn flags(spec: &Spec) -> Vec<Reply> {
    let is_script = spec.name.starts_with("eval");
    let moves = matches!(spec.keys, Keys::Counted(_) | Keys::FirstAndCounted(_) | Keys::After(_));
    [
        (spec.has(W), "write"),
        (spec.has(R) || is_script && spec.name.ends_with("_ro"), "readonly"),
        (spec.has(M), "denyoom"),
        (spec.has(ADMIN), "admin"),
        (spec.has(PUBSUB), "pubsub"),
        (spec.has(NOSCRIPT), "noscript"),
        (spec.has(BLOCKING), "blocking"),
        (spec.has(LOADING), "loading"),
        (spec.has(STALE), "stale"),
        (spec.has(FAST), "fast"),
        (spec.has(NO_AUTH), "no_auth"),
        (spec.has(NO_MULTI), "no_multi"),
        (spec.has(MOVABLE) || moves, "movablekeys"),
        (spec.has(ALLOW_BUSY), "allow_busy"),
        (spec.has(NO_ASYNC_LOADING), "no_async_loading"),
        (is_script, "no_mandatory_keys"),
        (is_script, "skip_monitor"),
        (spec.name == "exec", "skip_slowlog"),
    ]
    .into_iter()
    .filter(|(on, _)| *on)
    .map(|(_, name)| Reply::Status(name.into()))
    .collect()
}

fn categories(spec: &Spec) -> Vec<Reply> {
    [
        (spec.has(W), "@write"),
        (spec.has(R), "@read"),
        (spec.has(ADMIN), "@admin"),
        (spec.has(PUBSUB), "@pubsub"),
        (spec.has(BLOCKING), "@blocking"),
        (spec.has(FAST), "@fast"),
        (!spec.has(FAST), "@slow"),
    ]
    .into_iter()
    .filter(|(on, _)| *on)
    .map(|(_, name)| Reply::Status(name.into()))
    .collect()
}

fn key_specs(spec: &Spec) -> Vec<Reply> {
    let int = |value: i64| Reply::Int(value);
    let (begin, find) = match spec.keys {
        Keys::None => return Vec::new(),
        Keys::Range(first, last, step) => {
            let last = if last < 0 { last as i64 } else { last as i64 - first as i64 };
            let find =
                vec![("lastkey", int(last)), ("keystep", int(step as i64)), ("limit", int(0))];
            (("index", vec![("index", int(first as i64))]), ("range", find))
        }
        Keys::Counted(at) | Keys::FirstAndCounted(at) => {
            let find = vec![("keynumidx", int(0)), ("firstkey", int(1)), ("keystep", int(1))];
            (("index", vec![("index", int(at as i64))]), ("keynum", find))
        }
        Keys::After(word) => {
            let begin = vec![("keyword", Reply::text(word)), ("startfrom", int(1))];
            let find = vec![("lastkey", int(-1)), ("keystep", int(1)), ("limit", int(2))];
            (("keyword", begin), ("range", find))
        }
    };
    let map = |pairs: Vec<(&'static str, Reply)>| {
        Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::text(name), value)).collect())
    };
    let part = |(kind, pairs): (&'static str, Vec<(&'static str, Reply)>)| {
        map(vec![("type", Reply::text(kind)), ("spec", map(pairs))])
    };
    let access = if spec.has(W) { "RW" } else { "RO" };
    vec![map(vec![
        ("flags", Reply::Set(vec![Reply::Status(access.into())])),
        ("begin_search", part(begin)),
        ("find_keys", part(find)),
    ])]
}

fn docs(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let named = |name: &Bytes| command::by_name(name);
    let specs: Vec<_> = if arguments.len() > 2 {
        arguments[2..].iter().filter_map(named).collect()
    } else {
        top(call)
    };
    let doc = |spec: &Spec| {
        let since = format!("{}.{}.0", spec.since.0, spec.since.1);
        Reply::Map(vec![
            (Reply::text("summary"), Reply::text("")),
            (Reply::text("since"), Reply::string(since)),
        ])
    };
    Ok(Reply::Map(specs.into_iter().map(|spec| (Reply::text(spec.name), doc(spec))).collect()))
}

fn list(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let pattern = match &arguments[2..] {
        [] => None,
        [word, kind, pattern] if is(word, "FILTERBY") && is(kind, "PATTERN") => Some(pattern),
        _ => return Err(command::SYNTAX),
    };
    let version = call.server.config.version.commands();
    let known = |spec: &&'static Spec| spec.since <= version && call.server.offers(spec);
    let names = command::all().filter(known).map(|spec| spec.name);
    let wanted = names.filter(|name| pattern.is_none_or(|p| glob(p, name.as_bytes())));
    Ok(Reply::Array(wanted.map(Reply::text).collect()))
}

fn get_keys(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let request = &arguments[2..];
    let spec = call.server.find(request).map_err(|text| {
        if text.starts_with("ERR wrong number") {
            fail("ERR Invalid number of arguments specified for command")
        } else {
            fail("ERR Invalid command specified")
        }
    })?;
    if matches!(spec.keys, Keys::None) {
        return Err(fail("ERR The command has no key arguments"));
    }
    let is_script = spec.name.starts_with("eval");
    let Some(positions) = spec.key_positions(request) else {
        return match is_script {
            true => Ok(Reply::Array(Vec::new())),
            false => Err(fail("ERR Invalid arguments specified for command")),
        };
    };
    if positions.is_empty() && !is_script {
        return Err(fail("ERR The command has no key arguments"));
    }
    Ok(Reply::bulks(positions.into_iter().filter_map(|at| request.get(at).cloned())))
}
