//! Streams: adding, trimming, and reading without groups.
//!
//! Spec: command pages of XADD, XRANGE, XREAD and similar ones.

use super::stream::{Id, Stream, Trim, range_bound};
use crate::resp::Reply;
use crate::server::arguments::{Options, int, is, timeout_ms};
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

/// How XADD and XTRIM trim.
struct Cut {
    /// The limit.
    trim: Trim,
    /// Whole nodes only (`~`).
    approximate: bool,
    /// At most this many entries.
    limit: Option<usize>,
}

impl Cut {
    /// Reads the arguments after `MAXLEN` or `MINID`.
    fn parse(by_id: bool, options: &mut Options<'_>) -> Result<Self, Stop> {
        let approximate = options.take("~");
        if !approximate {
            options.take("=");
        }
        let trim = if by_id {
            Trim::MinId(Id::parse(options.value()?, 0)?)
        } else {
            match options.int()? {
                len if len >= 0 => Trim::MaxLen(len as usize),
                _ => return Err(fail("ERR The MAXLEN argument must be >= 0.")),
            }
        };
        let mut limit = None;
        if options.take("LIMIT") {
            limit = match options.int()? {
                count if count >= 0 => Some(count as usize),
                _ => return Err(fail("ERR The LIMIT argument must be >= 0.")),
            };
            if !approximate {
                return Err(fail(
                    "ERR syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
        }
        Ok(Self { trim, approximate, limit })
    }

    fn apply(&self, stream: &mut Stream) -> usize {
        stream.trim(self.trim, self.approximate, self.limit)
    }
}

fn xadd(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let mut options = Options::new(&arguments[2..]);
    let (mut make, mut cut) = (true, None);
    let id = loop {
        match options.value()? {
            o if cut.is_some() && (is(o, "MAXLEN") || is(o, "MINID")) => return Err(TWO_TRIMS),
            o if is(o, "NOMKSTREAM") => make = false,
            o if is(o, "MAXLEN") => cut = Some(Cut::parse(false, &mut options)?),
            o if is(o, "MINID") => cut = Some(Cut::parse(true, &mut options)?),
            id => break id,
        }
    };
    if id.as_ref() != b"*" {
        Id::parse(id.strip_suffix(b"-*").unwrap_or(id), 0)?;
    }
    let fields = options.rest();
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err(fail("ERR wrong number of arguments for 'xadd' command"));
    }
    let now_ms = store.now_ms;
    let id = match store.get::<Stream>(&arguments[1])? {
        Some(stream) => stream.new_id(id, now_ms)?,
        None if !make => return Ok(Reply::Null),
        None => Stream::default().new_id(id, now_ms)?,
    };
    let stream = store.edit_or_create::<Stream>(&arguments[1])?;
    stream.entries.insert(id, fields.to_vec());
    stream.last_id = id;
    stream.added += 1;
    if let Some(cut) = cut {
        cut.apply(stream);
    }
    store.changed::<Stream>(&arguments[1]);
    Ok(Reply::Bulk(id.bytes()))
}

fn xtrim(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let mut options = Options::new(&arguments[2..]);
    let by_id = match options.value()? {
        o if is(o, "MAXLEN") => false,
        o if is(o, "MINID") => true,
        _ => return Err(SYNTAX),
    };
    let cut = Cut::parse(by_id, &mut options)?;
    if !options.is_empty() {
        return Err(SYNTAX);
    }
    let Some(stream) = store.edit::<Stream>(&arguments[1])? else { return Ok(Reply::Int(0)) };
    let count = cut.apply(stream);
    if count > 0 {
        store.changed::<Stream>(&arguments[1]);
    }
    Ok(Reply::count(count))
}

fn xdel(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
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
    stream.last_id = id;
    stream.added = added.unwrap_or(stream.added);
    stream.max_deleted = deleted.unwrap_or(stream.max_deleted);
    store.changed::<Stream>(&arguments[1]);
    Ok(Reply::OK)
}

fn xrange(store: &mut Store<'_>, arguments: &[Bytes], reversed: bool) -> Outcome {
    let (start, end) = if reversed { (3, 2) } else { (2, 3) };
    let start = range_bound(&arguments[start], true)?.unwrap_or(Id::MIN);
    let end = range_bound(&arguments[end], false)?.unwrap_or(Id::MAX);
    let count = match &arguments[4..] {
        [] => usize::MAX,
        [word, count] if is(word, "COUNT") => match int(count)? {
            // What asks for nothing gets null, if there is a stream.
            count if count <= 0 => {
                let stream = store.get::<Stream>(&arguments[1])?;
                return Ok(stream.map_or(Reply::Array(Vec::new()), |_| Reply::NullArray));
            }
            count => count as usize,
        },
        _ => return Err(SYNTAX),
    };
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
    /// The streams.
    pub(crate) keys: &'a [Bytes],
    /// The start id in each.
    pub(crate) ids: &'a [Bytes],
}

impl<'a> ReadRequest<'a> {
    pub(crate) fn parse(options: &mut Options<'a>, command: &str) -> Result<Self, Stop> {
        let (mut count, mut block, mut no_ack) = (usize::MAX, None, false);
        while !options.take("STREAMS") {
            match options.value()? {
                o if is(o, "COUNT") => {
                    count = usize::try_from(options.int()?)
                        .ok()
                        .filter(|count| *count > 0)
                        .unwrap_or(usize::MAX);
                }
                o if is(o, "BLOCK") => block = Some(timeout_ms(options.value()?)?),
                o if is(o, "NOACK") && command == "xreadgroup" => no_ack = true,
                o if (is(o, "NOACK") || is(o, "GROUP")) && command == "xread" => {
                    let option = String::from_utf8_lossy(o).to_ascii_uppercase();
                    return Err(fail_with(format!(
                        "ERR The {option} option is only supported by XREADGROUP. You called \
                         XREAD instead."
                    )));
                }
                _ => return Err(SYNTAX),
            }
        }
        let rest = options.rest();
        if rest.is_empty() || !rest.len().is_multiple_of(2) {
            return Err(fail_with(format!(
                "ERR Unbalanced '{command}' list of streams: for each stream key an ID, '+', or \
                 '$' must be specified."
            )));
        }
        let (keys, ids) = rest.split_at(rest.len() / 2);
        Ok(Self { count, block, no_ack, keys, ids })
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
    let request = ReadRequest::parse(&mut Options::new(&arguments[1..]), "xread")?;
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
