//! Bits of strings.
//!
//! Spec: command pages of SETBIT, GETBIT, BITCOUNT, BITPOS and BITOP.

use crate::resp::Reply;
use crate::server::arguments::{byte_slice, int, int_or, is};
use crate::server::command::Keys::Range;
use crate::server::command::{FAST, M, Outcome, R, SYNTAX, Spec, Stop, W, fail};
use crate::server::keyspace::Store;
use bytes::{Bytes, BytesMut};

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("bitcount", -2, R, Range(1, 1, 1), bitcount),
    Spec::data("bitop", -4, W | M, Range(2, -1, 1), bitop),
    Spec::data("bitpos", -3, R, Range(1, 1, 1), bitpos),
    Spec::data("getbit", 3, R | FAST, Range(1, 1, 1), getbit),
    Spec::data("setbit", 4, W | M, Range(1, 1, 1), setbit),
];

/// Bits in the longest string.
const BITS_MAX: i64 = 512 * 1024 * 1024 * 8;

fn offset(argument: &Bytes) -> Result<usize, Stop> {
    let text = "ERR bit offset is not an integer or out of range";
    match int_or(argument, text)? {
        offset if (0..BITS_MAX).contains(&offset) => Ok(offset as usize),
        _ => Err(fail(text)),
    }
}

fn bit(text: &[u8], index: usize) -> bool {
    text.get(index / 8).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
}

fn setbit(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let index = offset(&arguments[2])?;
    let value = match int_or(&arguments[3], "ERR bit is not an integer or out of range")? {
        0 => false,
        1 => true,
        _ => return Err(fail("ERR bit is not an integer or out of range")),
    };
    let text = store.edit_or_create::<Bytes>(&arguments[1])?;
    let mut changed = BytesMut::from(std::mem::take(text));
    if changed.len() <= index / 8 {
        changed.resize(index / 8 + 1, 0);
    }
    let old = bit(&changed, index);
    let mask = 1 << (7 - index % 8);
    if value {
        changed[index / 8] |= mask;
    } else {
        changed[index / 8] &= !mask;
    }
    *text = changed.freeze();
    store.set_form(&arguments[1], Some("raw"));
    store.changed::<Bytes>(&arguments[1]);
    Ok(Reply::flag(old))
}

fn getbit(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let index = offset(&arguments[2])?;
    let text = store.get::<Bytes>(&arguments[1])?;
    Ok(Reply::flag(text.is_some_and(|text| bit(text, index))))
}

/// The bits of a range that is given in bytes or bits.
fn bit_range(
    range: &[Bytes],
    len: usize,
    default_end: bool,
) -> Result<std::ops::Range<usize>, Stop> {
    match range {
        [] => Ok(0..len * 8),
        [start] if default_end => {
            let bytes = byte_slice(int(start)?, -1, len);
            Ok(bytes.start * 8..bytes.end * 8)
        }
        [start, end, unit @ ..] => {
            if unit.len() > 1 {
                return Err(SYNTAX);
            }
            let start = int(start)?;
            // BITCOUNT reads the end before the unit, BITPOS behind it.
            if !default_end {
                int(end)?;
            }
            let by_bit = match unit {
                [unit] if is(unit, "BIT") => true,
                [unit] if !is(unit, "BYTE") => return Err(SYNTAX),
                _ => false,
            };
            let end = int(end)?;
            if by_bit {
                return Ok(byte_slice(start, end, len * 8));
            }
            let bytes = byte_slice(start, end, len);
            Ok(bytes.start * 8..bytes.end * 8)
        }
        [_] => Err(SYNTAX),
    }
}

fn bitcount(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let text = store.get::<Bytes>(&arguments[1]).map(|text| text.cloned().unwrap_or_default());
    let range = bit_range(&arguments[2..], text.as_ref().map_or(0, Bytes::len), false)?;
    let text = text?;
    Ok(Reply::count(range.filter(|index| bit(&text, *index)).count()))
}

fn bitpos(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let wanted = match int(&arguments[2])? {
        0 => false,
        1 => true,
        _ => return Err(fail("ERR The bit argument must be 1 or 0.")),
    };
    let text = store.get::<Bytes>(&arguments[1]).map(|text| text.cloned());
    let len = text.as_ref().map_or(0, |text| text.as_ref().map_or(0, Bytes::len));
    let mut range = bit_range(&arguments[3..], len, true)?;
    let Some(text) = text? else { return Ok(Reply::Int(if wanted { -1 } else { 0 })) };
    if let Some(found) = range.clone().find(|index| bit(&text, *index) == wanted) {
        return Ok(Reply::count(found));
    }
    // Without an end, a string of ones counts as if a zero followed.
    let open_end = !wanted && arguments.len() < 5 && !range.is_empty();
    Ok(if open_end { Reply::count(range.next_back().unwrap_or(0) + 1) } else { Reply::Int(-1) })
}

fn bitop(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let (operation, sources) = (&arguments[1], &arguments[3..]);
    let not = is(operation, "NOT");
    if !["AND", "OR", "XOR", "NOT"].iter().any(|name| is(operation, name)) {
        return Err(SYNTAX);
    }
    if not && sources.len() != 1 {
        return Err(fail("ERR BITOP NOT must be called with a single source key."));
    }
    let mut texts = Vec::with_capacity(sources.len());
    for key in sources {
        texts.push(store.get::<Bytes>(key)?.cloned().unwrap_or_default());
    }
    let len = texts.iter().map(Bytes::len).max().unwrap_or(0);
    let combined: Vec<u8> = (0..len)
        .map(|at| {
            let mut bytes = texts.iter().map(|text| text.get(at).copied().unwrap_or(0));
            let first = bytes.next().unwrap_or(0);
            match operation {
                o if is(o, "AND") => bytes.fold(first, |a, b| a & b),
                o if is(o, "OR") => bytes.fold(first, |a, b| a | b),
                o if is(o, "XOR") => bytes.fold(first, |a, b| a ^ b),
                _ => !first,
            }
        })
        .collect();
    store.delete(&arguments[2]);
    if len > 0 {
        let value = crate::server::value::Value::Str(Bytes::from(combined));
        store.put(&arguments[2], value, None);
        store.set_form(&arguments[2], Some("raw"));
    }
    Ok(Reply::count(len))
}
