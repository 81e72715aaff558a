//! Streams: adding, trimming, and reading without groups.
//!
//! Spec: command pages of XADD, XRANGE, XREAD and similar ones.

use super::stream::{Id, NODE_ENTRIES, Stream, Trim, range_bounds};
use crate::resp::Reply;
use crate::server::arguments::{Options, is, timeout_ms};
use crate::server::command::Keys::{After, Range};
use crate::server::command::{
    BLOCKING, FAST, M, MOVABLE, NO_SUCH_KEY, Outcome, R, SYNTAX, Spec, Stop, W, Wait, fail,
    fail_with,
};
use crate::server::keyspace::Store;
use bytes::Bytes;

const KEY: crate::server::command::Keys = Range(1, 1, 1);

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("xadd", -5, W | M | FAST, KEY, xadd),
    Spec::data("xdel", -3, W | FAST, KEY, xdel),
    Spec::data("xlen", 2, R | FAST, KEY, xlen),
    Spec::data("xrange", -4, R, KEY, |s, a| xrange(s, a, false)),
    Spec::data("xread", -4, R | BLOCKING | MOVABLE, After("STREAMS"), xread),
    Spec::data("xrevrange", -4, R, KEY, |s, a| xrange(s, a, true)),
    Spec::data("xsetid", -3, W | M | FAST, KEY, xsetid),
    Spec::data("xtrim", -4, W, KEY, xtrim),
];

/// An entry in the form of a reply.
pub(crate) fn entry(id: Id, fields: &[Bytes]) -> Reply {
    Reply::Array(vec![Reply::Bulk(id.bytes()), Reply::bulks(fields.iter().cloned())])
}

const TWO_TRIMS: Stop =
    fail("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");

const SMALLER_THAN_DELETED: &str =
    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id";

/// Entries that trimming with `~` removes at most, where `LIMIT` says nothing.
const LIMIT_DEFAULT: usize = 100 * NODE_ENTRIES;

/// The options of XADD and XTRIM.
#[derive(Default)]
struct TrimOptions<'a> {
    /// How the stream is trimmed.
    trim: Option<Trim>,
    /// Whole nodes only (`~`).
    approximate: bool,
    /// At most this many entries.
    limit: Option<usize>,
    /// XADD creates no stream.
    no_make: bool,
    /// The id of XADD; `None` when it is missing.
    id: Option<&'a Bytes>,
}

impl<'a> TrimOptions<'a> {
    fn parse(options: &mut Options<'a>, adds: bool) -> Result<Self, Stop> {
        let mut parsed = Self::default();
        while let Some(option) = options.next() {
            // An option without a value is an id.
            let has_value = !options.is_empty();
            match option {
                id if adds && id.as_ref() == b"*" => parsed.id = Some(id),
                o if has_value && (is(o, "MAXLEN") || is(o, "MINID")) => {
                    parsed.read_trim(is(o, "MINID"), options)?;
                }
                o if has_value && is(o, "LIMIT") => match options.int()? {
                    count if count >= 0 => parsed.limit = Some(count as usize),
                    _ => return Err(fail("ERR The LIMIT argument must be >= 0.")),
                },
                o if adds && is(o, "NOMKSTREAM") => parsed.no_make = true,
                id if adds => {
                    Id::parse(id.strip_suffix(b"-*").unwrap_or(id), 0)?;
                    parsed.id = Some(id);
                }
                _ => return Err(SYNTAX),
            }
            if parsed.id.is_some() {
                break;
            }
        }
        if parsed.trim.is_none() && parsed.limit.is_some_and(|limit| limit > 0) {
            return Err(fail(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if parsed.trim.is_none() && !adds {
            return Err(fail("ERR syntax error, XTRIM must be called with a trimming strategy"));
        }
        if parsed.limit.is_some() && !parsed.approximate {
            return Err(fail(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        Ok(parsed)
    }

    /// Reads the arguments after `MAXLEN` or `MINID`. A sign is one only where a limit follows it.
    fn read_trim(&mut self, by_id: bool, options: &mut Options<'_>) -> Result<(), Stop> {
        if self.trim.is_some() {
            return Err(TWO_TRIMS);
        }
        let has_two = options.rest().len() >= 2;
        self.approximate = has_two && options.take("~");
        if has_two && !self.approximate {
            options.take("=");
        }
        self.trim = Some(if by_id {
            Trim::MinId(Id::parse(options.value()?, 0)?)
        } else {
            match options.int()? {
                len if len >= 0 => Trim::MaxLen(len as usize),
                _ => return Err(fail("ERR The MAXLEN argument must be >= 0.")),
            }
        });
        Ok(())
    }

    fn apply(&self, stream: &mut Stream) -> usize {
        let Some(trim) = self.trim else { return 0 };
        let limit = match self.limit {
            None => LIMIT_DEFAULT,
            Some(0) => usize::MAX,
            Some(limit) => limit,
        };
        stream.trim(trim, self.approximate.then_some(limit))
    }
}

fn xadd(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let mut options = Options::new(&arguments[2..]);
    let cut = TrimOptions::parse(&mut options, true)?;
    let fields = options.rest();
    let Some(id) = cut.id.filter(|_| !fields.is_empty() && fields.len().is_multiple_of(2)) else {
        return Err(fail("ERR wrong number of arguments for 'xadd' command"));
    };
    Stream::check_new_id(id)?;
    let now_ms = store.now_ms;
    let id = match store.get::<Stream>(&arguments[1])? {
        Some(stream) => stream.new_id(id, now_ms)?,
        None if cut.no_make => return Ok(Reply::Null),
        None => Stream::default().new_id(id, now_ms)?,
    };
    let stream = store.edit_or_create::<Stream>(&arguments[1])?;
    stream.entries.insert(id, fields.to_vec());
    stream.last_id = id;
    stream.added = stream.added.wrapping_add(1);
    cut.apply(stream);
    store.changed::<Stream>(&arguments[1]);
    Ok(Reply::Bulk(id.bytes()))
}

fn xtrim(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let cut = TrimOptions::parse(&mut Options::new(&arguments[2..]), false)?;
    let Some(stream) = store.edit::<Stream>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let count = cut.apply(stream);
    if count > 0 {
        store.changed::<Stream>(&arguments[1]);
    }
    Ok(Reply::count(count))
}

fn xdel(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    if store.get::<Stream>(&arguments[1])?.is_none() {
        return Ok(Reply::Int(0));
    }
    let mut ids = Vec::new();
    for text in &arguments[2..] {
        ids.push(Id::parse(text, 0)?);
    }
    let Some(stream) = store.edit::<Stream>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let mut count = 0;
    for id in ids {
        if stream.entries.remove(&id).is_some() {
            stream.max_deleted = stream.max_deleted.max(id);
            count += 1;
        }
    }
    if count > 0 {
        store.changed::<Stream>(&arguments[1]);
    }
    Ok(Reply::count(count))
}

fn xlen(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(store.get::<Stream>(&arguments[1])?.map_or(0, |s| s.entries.len())))
}

fn xsetid(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let id = Id::parse(&arguments[2], 0)?;
    let (mut added, mut deleted) = (None, None);
    let mut options = Options::new(&arguments[3..]);
    while let Some(option) = options.next() {
        match option {
            o if is(o, "ENTRIESADDED") => {
                added = match options.int()? {
                    count if count >= 0 => Some(count as u64),
                    _ => return Err(fail("ERR entries_added must be positive")),
                }
            }
            o if is(o, "MAXDELETEDID") => {
                deleted = match Id::parse(options.value()?, 0)? {
                    deleted if deleted <= id => Some(deleted),
                    _ => return Err(fail(SMALLER_THAN_DELETED)),
                }
            }
            _ => return Err(SYNTAX),
        }
    }
    let stream = store.edit::<Stream>(&arguments[1])?.ok_or(NO_SUCH_KEY)?;
    if id < stream.max_deleted {
        return Err(fail(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if stream.entries.last_key_value().is_some_and(|(last, _)| id < *last) {
        return Err(fail(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if added.is_some_and(|added| (stream.entries.len() as u64) > added) {
        return Err(fail(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    stream.last_id = id;
    stream.added = added.unwrap_or(stream.added);
    stream.max_deleted = deleted.filter(|id| *id != Id::MIN).unwrap_or(stream.max_deleted);
    store.changed::<Stream>(&arguments[1]);
    Ok(Reply::OK)
}

fn xrange(store: &mut Store<'_>, arguments: &[Bytes], reversed: bool) -> Outcome {
    let (start, end) = if reversed { (3, 2) } else { (2, 3) };
    let (start, end) = range_bounds(&arguments[start], &arguments[end])?;
    let mut count = None;
    let mut options = Options::new(&arguments[4..]);
    while let Some(option) = options.next() {
        if !is(option, "COUNT") || options.is_empty() {
            return Err(SYNTAX);
        }
        count = Some(options.int()?.max(0) as usize);
    }
    // What asks for nothing gets null, if there is a stream.
    if count == Some(0) {
        let stream = store.get::<Stream>(&arguments[1])?;
        return Ok(stream.map_or(Reply::Array(Vec::new()), |_| Reply::NullArray));
    }
    let count = count.unwrap_or(usize::MAX);
    let Some(stream) = store.get::<Stream>(&arguments[1])? else {
        return Ok(Reply::Array(Vec::new()));
    };
    if start > end {
        return Ok(Reply::Array(Vec::new()));
    }
    let range = stream.entries.range(start..=end).map(|(id, fields)| entry(*id, fields));
    let entries =
        if reversed { range.rev().take(count).collect() } else { range.take(count).collect() };
    Ok(Reply::Array(entries))
}

/// The common part of XREAD and XREADGROUP.
pub(crate) struct ReadRequest<'a> {
    /// Entries per stream.
    pub(crate) count: usize,
    /// Whether to block, and how long; the inner `None` means without a limit.
    pub(crate) block: Option<Option<u64>>,
    /// Do not record the delivery.
    pub(crate) no_ack: bool,
    /// The group and the consumer; `None` in XREAD alone.
    pub(crate) group: Option<(&'a Bytes, &'a Bytes)>,
    /// The streams.
    pub(crate) keys: &'a [Bytes],
    /// The start id in each.
    pub(crate) ids: &'a [Bytes],
}

impl<'a> ReadRequest<'a> {
    pub(crate) fn parse(options: &mut Options<'a>, of_group: bool) -> Result<Self, Stop> {
        let mut request = Self {
            count: usize::MAX,
            block: None,
            no_ack: false,
            group: None,
            keys: &[],
            ids: &[],
        };
        let only_group = |option: &str| {
            Err(fail_with(format!(
                "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
            )))
        };
        loop {
            let Some(option) = options.next() else { return Err(SYNTAX) };
            let values = options.rest().len();
            match option {
                o if is(o, "BLOCK") && values > 0 => {
                    request.block = Some(timeout_ms(options.value()?)?);
                }
                o if is(o, "COUNT") && values > 0 => {
                    let count = usize::try_from(options.int()?).ok().filter(|count| *count > 0);
                    request.count = count.unwrap_or(usize::MAX);
                }
                o if is(o, "STREAMS") && values > 0 => break,
                o if is(o, "GROUP") && values > 1 => {
                    if !of_group {
                        return only_group("GROUP");
                    }
                    request.group = Some((options.value()?, options.value()?));
                }
                o if is(o, "NOACK") => {
                    if !of_group {
                        return only_group("NOACK");
                    }
                    request.no_ack = true;
                }
                _ => return Err(SYNTAX),
            }
        }
        let rest = options.rest();
        if !rest.len().is_multiple_of(2) {
            let (command, ids) =
                if of_group { ("xreadgroup", "ID or '>'") } else { ("xread", "ID, '+', or '$'") };
            return Err(fail_with(format!(
                "ERR Unbalanced '{command}' list of streams: for each stream key an {ids} must be \
                 specified."
            )));
        }
        if of_group && request.group.is_none() {
            return Err(fail("ERR Missing GROUP option for XREADGROUP"));
        }
        (request.keys, request.ids) = rest.split_at(rest.len() / 2);
        Ok(request)
    }

    /// Nothing was found: blocks if the caller asked for it, with ids that mean the same later.
    pub(crate) fn nothing(&self, arguments: &[Bytes], ids: Option<Vec<Bytes>>) -> Outcome {
        let Some(timeout_ms) = self.block else { return Ok(Reply::NullArray) };
        let rewritten = ids.map(|ids| {
            let mut rewritten = arguments[..arguments.len() - ids.len()].to_vec();
            rewritten.extend(ids);
            rewritten
        });
        Err(Stop::Block(Wait {
            keys: self.keys.to_vec(),
            timeout_ms,
            on_timeout: Reply::NullArray,
            rewritten,
        }))
    }
}

fn xread(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let request = ReadRequest::parse(&mut Options::new(&arguments[1..]), false)?;
    let empty = Stream::default();
    let (mut found, mut resolved) = (Vec::new(), Vec::new());
    for (key, id) in request.keys.iter().zip(request.ids) {
        let stream = store.get::<Stream>(key)?.unwrap_or(&empty);
        if id.as_ref() == b">" {
            return Err(fail(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                 <group> <consumer> option.",
            ));
        }
        let after = if id.as_ref() == b"+" {
            let last = stream.entries.last_key_value().map(|(id, _)| *id);
            last.and_then(Id::previous).unwrap_or(stream.last_id)
        } else {
            stream.reader_id(id)?
        };
        resolved.push(after.bytes());
        let Some(start) = after.next() else { continue };
        let entries: Vec<Reply> = stream
            .entries
            .range(start..)
            .take(request.count)
            .map(|(id, fields)| entry(*id, fields))
            .collect();
        if !entries.is_empty() {
            found.push((Reply::Bulk(key.clone()), Reply::Array(entries)));
        }
    }
    if found.is_empty() {
        return request.nothing(arguments, Some(resolved));
    }
    Ok(streams_reply(found))
}

/// Entries by stream: a map in RESP3, an array of pairs in RESP2.
pub(crate) fn streams_reply(found: Vec<(Reply, Reply)>) -> Reply {
    Reply::MapOfArrays(found)
}
