//! Strings and counters.
//!
//! Spec: command pages of SET, GET, INCR and similar ones.

use super::expire::{absolute, clock_error};
use crate::resp::{Reply, is_long_double, long_double_sum, parse_float};
use crate::server::arguments::{Options, byte_slice, int, int_or, is};
use crate::server::command::Keys::Range;
use crate::server::command::{FAST, M, NOT_A_FLOAT, Outcome, R, SYNTAX, Spec, Stop, W, fail};
use crate::server::keyspace::Store;
use crate::server::value::Value;
use bytes::{Bytes, BytesMut};

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("append", 3, W | M | FAST, Range(1, 1, 1), append),
    Spec::data("decr", 2, W | M | FAST, Range(1, 1, 1), |s, a| count(s, a, Some(-1))),
    Spec::data("decrby", 3, W | M | FAST, Range(1, 1, 1), decrby),
    Spec::data("get", 2, R | FAST, Range(1, 1, 1), get),
    Spec::data("getdel", 2, W | FAST, Range(1, 1, 1), getdel).since(6, 2),
    Spec::data("getex", -2, W | FAST, Range(1, 1, 1), getex).since(6, 2),
    Spec::data("getrange", 4, R, Range(1, 1, 1), getrange),
    Spec::data("getset", 3, W | M | FAST, Range(1, 1, 1), getset),
    Spec::data("incr", 2, W | M | FAST, Range(1, 1, 1), |s, a| count(s, a, Some(1))),
    Spec::data("incrby", 3, W | M | FAST, Range(1, 1, 1), |s, a| count(s, a, None)),
    Spec::data("incrbyfloat", 3, W | M | FAST, Range(1, 1, 1), incrbyfloat),
    Spec::data("mget", -2, R | FAST, Range(1, -1, 1), mget),
    Spec::data("mset", -3, W | M, Range(1, -1, 2), mset),
    Spec::data("msetnx", -3, W | M, Range(1, -1, 2), msetnx),
    Spec::data("psetex", 4, W | M, Range(1, 1, 1), |s, a| setex(s, a, 1)),
    Spec::data("set", -3, W | M, Range(1, 1, 1), set),
    Spec::data("setex", 4, W | M, Range(1, 1, 1), |s, a| setex(s, a, 1000)),
    Spec::data("setnx", 3, W | M | FAST, Range(1, 1, 1), setnx),
    Spec::data("setrange", 4, W | M, Range(1, 1, 1), setrange),
    Spec::data("strlen", 2, R | FAST, Range(1, 1, 1), strlen),
    Spec::data("substr", 4, R, Range(1, 1, 1), getrange),
];

/// Longest string.
const STRING_BYTES_MAX: usize = 512 * 1024 * 1024;
const TOO_LONG: Stop = fail("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

fn get(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::maybe(store.get::<Bytes>(&arguments[1])?.cloned()))
}

fn mget(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let value = |key: &Bytes| Reply::maybe(store.get::<Bytes>(key).ok().flatten().cloned());
    Ok(Reply::Array(arguments[1..].iter().map(value).collect()))
}

/// The time to live in the options of SET and GETEX.
#[derive(Clone, Copy, PartialEq)]
enum Ttl {
    /// No time to live.
    Drop,
    /// Unchanged.
    Keep,
    /// Until this Unix millisecond.
    Until(u64),
}

/// The option of SET and GETEX about the time to live. Each excludes the others; the same one may
/// come again, and the last counts.
#[derive(Default)]
struct TtlOption<'a> {
    /// `EX`, `PX`, `EXAT`, `PXAT`, `KEEPTTL` or `PERSIST`.
    name: Option<&'static str>,
    /// The time.
    value: Option<&'a Bytes>,
}

impl<'a> TtlOption<'a> {
    /// Takes `option` if it is one of these and not excluded; `last` is the one without a value.
    fn take(
        &mut self,
        option: &Bytes,
        last: &'static str,
        options: &mut Options<'a>,
    ) -> Result<bool, Stop> {
        let names = ["EX", "PX", "EXAT", "PXAT", last];
        let Some(name) = names.into_iter().find(|name| is(option, name)) else { return Ok(false) };
        if self.name.is_some_and(|before| before != name) {
            return Err(SYNTAX);
        }
        self.name = Some(name);
        if name != last {
            self.value = Some(options.value()?);
        }
        Ok(true)
    }

    /// The time to live; `None` without an option. Times are read once all options are.
    fn read(&self, store: &Store<'_>, command: &str) -> Result<Option<Ttl>, Stop> {
        let (unit, relative) = match self.name {
            None => return Ok(None),
            Some("KEEPTTL") => return Ok(Some(Ttl::Keep)),
            Some("PERSIST") => return Ok(Some(Ttl::Drop)),
            Some("EX") => (1000, true),
            Some("PX") => (1, true),
            Some("EXAT") => (1000, false),
            Some(_) => (1, false),
        };
        let value = int(self.value.ok_or(SYNTAX)?)?;
        if value <= 0 {
            return Err(clock_error(command));
        }
        let base = if relative { store.now_ms } else { 0 };
        absolute(value, unit, base, command).map(|at| Some(Ttl::Until(at)))
    }
}

fn set(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (key, value) = (&arguments[1], &arguments[2]);
    let (mut only_new, mut only_old, mut get_old) = (false, false, false);
    let mut ttl = TtlOption::default();
    let mut options = Options::new(&arguments[3..]);
    while let Some(option) = options.next() {
        match option {
            o if is(o, "NX") && !only_old => only_new = true,
            o if is(o, "XX") && !only_new => only_old = true,
            o if is(o, "GET") => get_old = true,
            o if ttl.take(o, "KEEPTTL", &mut options)? => {}
            _ => return Err(SYNTAX),
        }
    }
    let ttl = ttl.read(store, "set")?;
    let old = if get_old { store.get::<Bytes>(key)?.cloned() } else { None };
    let exists = store.exists(key);
    if (only_new && exists) || (only_old && !exists) {
        return Ok(Reply::maybe(old));
    }
    let expires_at = match ttl.unwrap_or(Ttl::Drop) {
        Ttl::Drop => None,
        Ttl::Keep => store.entry(key).and_then(|e| e.expires_at),
        Ttl::Until(at) => Some(at),
    };
    if store.is_due(expires_at) {
        store.delete(key);
    } else {
        store.put(key, Value::Str(value.clone()), expires_at);
    }
    Ok(if get_old { Reply::maybe(old) } else { Reply::OK })
}

fn setex(store: &mut Store<'_>, arguments: &[Bytes], unit: i64) -> Outcome {
    let command = if unit == 1 { "psetex" } else { "setex" };
    let value = int(&arguments[2])?;
    if value <= 0 {
        return Err(clock_error(command));
    }
    let at = absolute(value, unit, store.now_ms, command)?;
    store.put(&arguments[1], Value::Str(arguments[3].clone()), Some(at));
    Ok(Reply::OK)
}

fn setnx(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let free = !store.exists(&arguments[1]);
    if free {
        store.put(&arguments[1], Value::Str(arguments[2].clone()), None);
    }
    Ok(Reply::flag(free))
}

fn getset(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let old = store.get::<Bytes>(&arguments[1])?.cloned();
    store.put(&arguments[1], Value::Str(arguments[2].clone()), None);
    Ok(Reply::maybe(old))
}

fn getdel(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let old = store.get::<Bytes>(&arguments[1])?.cloned();
    store.delete(&arguments[1]);
    Ok(Reply::maybe(old))
}

fn getex(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let mut ttl = TtlOption::default();
    let mut options = Options::new(&arguments[2..]);
    while let Some(option) = options.next() {
        if !ttl.take(option, "PERSIST", &mut options)? {
            return Err(SYNTAX);
        }
    }
    let value = store.get::<Bytes>(&arguments[1])?.cloned();
    if value.is_none() {
        return Ok(Reply::Null);
    }
    let ttl = ttl.read(store, "getex")?.unwrap_or(Ttl::Keep);
    match (&value, ttl) {
        (None, _) | (_, Ttl::Keep) => {}
        (Some(_), Ttl::Drop) => {
            if store.entry(&arguments[1]).is_some_and(|e| e.expires_at.is_some()) {
                store.expire(&arguments[1], None);
            }
        }
        (Some(_), Ttl::Until(at)) => store.expire(&arguments[1], Some(at)),
    }
    Ok(Reply::maybe(value))
}

fn mset_all(store: &mut Store<'_>, arguments: &[Bytes]) {
    for pair in arguments[1..].chunks_exact(2) {
        store.put(&pair[0], Value::Str(pair[1].clone()), None);
    }
}

fn mset(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    if arguments.len().is_multiple_of(2) {
        return Err(fail("ERR wrong number of arguments for 'mset' command"));
    }
    mset_all(store, arguments);
    Ok(Reply::OK)
}

fn msetnx(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    if arguments.len().is_multiple_of(2) {
        return Err(fail("ERR wrong number of arguments for 'msetnx' command"));
    }
    let free = arguments[1..].chunks_exact(2).all(|pair| !store.exists(&pair[0]));
    if free {
        mset_all(store, arguments);
    }
    Ok(Reply::flag(free))
}

fn append(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let existed = store.exists(&arguments[1]);
    let text = store.edit_or_create::<Bytes>(&arguments[1])?;
    if text.len() + arguments[2].len() > STRING_BYTES_MAX {
        return Err(TOO_LONG);
    }
    let mut longer = BytesMut::from(std::mem::take(text));
    longer.extend_from_slice(&arguments[2]);
    *text = longer.freeze();
    let len = text.len();
    store.set_form(&arguments[1], existed.then_some("raw"));
    store.changed::<Bytes>(&arguments[1]);
    Ok(Reply::count(len))
}

fn strlen(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(store.get::<Bytes>(&arguments[1])?.map_or(0, Bytes::len)))
}

fn getrange(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (start, stop) = (int(&arguments[2])?, int(&arguments[3])?);
    let part = store
        .get::<Bytes>(&arguments[1])?
        .map(|text| text.slice(byte_slice(start, stop, text.len())))
        .unwrap_or_default();
    Ok(Reply::Bulk(part))
}

fn setrange(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let offset = int(&arguments[2])?;
    let offset = usize::try_from(offset).map_err(|_| fail("ERR offset is out of range"))?;
    let patch = &arguments[3];
    let old = store.get::<Bytes>(&arguments[1])?.cloned().unwrap_or_default();
    if patch.is_empty() {
        return Ok(Reply::count(old.len()));
    }
    let end = offset.saturating_add(patch.len());
    if end > STRING_BYTES_MAX {
        return Err(TOO_LONG);
    }
    let mut text = BytesMut::from(old);
    if text.len() < end {
        text.resize(end, 0);
    }
    text[offset..end].copy_from_slice(patch);
    let len = text.len();
    *store.edit_or_create::<Bytes>(&arguments[1])? = text.freeze();
    store.set_form(&arguments[1], Some("raw"));
    store.changed::<Bytes>(&arguments[1]);
    Ok(Reply::count(len))
}

/// INCR, DECR and INCRBY; without a given step, the third argument is the step.
fn count(store: &mut Store<'_>, arguments: &[Bytes], step: Option<i64>) -> Outcome {
    let step = match step {
        Some(step) => step,
        None => int(&arguments[2])?,
    };
    add(store, &arguments[1], step)
}

fn decrby(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let step = int(&arguments[2])?;
    let step = step.checked_neg().ok_or(fail("ERR decrement would overflow"))?;
    add(store, &arguments[1], step)
}

fn add(store: &mut Store<'_>, key: &Bytes, step: i64) -> Outcome {
    let old = match store.get::<Bytes>(key)? {
        None => 0,
        Some(text) => int_or(text, "ERR value is not an integer or out of range")?,
    };
    let new = old.checked_add(step).ok_or(fail("ERR increment or decrement would overflow"))?;
    *store.edit_or_create::<Bytes>(key)? = Bytes::from(new.to_string());
    store.set_form(key, None);
    store.changed::<Bytes>(key);
    Ok(Reply::Int(new))
}

fn incrbyfloat(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let text = store.get::<Bytes>(&arguments[1])?.cloned().unwrap_or(Bytes::from_static(b"0"));
    let sum = float_sum(&text, &arguments[2], NOT_A_FLOAT, INFINITE_SUM)?;
    *store.edit_or_create::<Bytes>(&arguments[1])? = sum.clone();
    store.set_form(&arguments[1], Some(if sum.len() <= 44 { "embstr" } else { "raw" }));
    store.changed::<Bytes>(&arguments[1]);
    Ok(Reply::Bulk(sum))
}

/// Refuses a step that is no number, or `infinite`.
pub(crate) fn check_step(step: &[u8], infinite: Stop) -> Result<(), Stop> {
    let step = std::str::from_utf8(step).unwrap_or("");
    if is_long_double(step) {
        return Ok(());
    }
    let is_infinite = parse_float(step).is_some_and(f64::is_infinite);
    Err(if is_infinite { infinite } else { NOT_A_FLOAT })
}

/// The sum of two floats given as texts, or `not_a_float` when the first is none. `infinite` is
/// what the server says of an infinite step.
pub(crate) fn float_sum(
    old: &[u8],
    step: &[u8],
    not_a_float: Stop,
    infinite: Stop,
) -> Result<Bytes, Stop> {
    check_step(step, infinite)?;
    let utf8 = |text| std::str::from_utf8(text).unwrap_or("");
    let (old, step) = (utf8(old), utf8(step));
    if !is_long_double(old) {
        return Err(not_a_float);
    }
    long_double_sum(old, step).map(Bytes::from).ok_or(INFINITE_SUM)
}

/// What a server says of a sum that is not finite.
const INFINITE_SUM: Stop = fail("ERR increment would produce NaN or Infinity");
