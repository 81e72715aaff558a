//! The SCAN family, and glob patterns for names.
//!
//! A cursor is a point on the circle of hashes. Elements are visited in the order of their hash, so
//! an element that exists all the time is visited, even if others are added or removed meanwhile.
//! That is all that SCAN promises. The hash is salted per server: as with real servers, a cursor of
//! one server means nothing to another.

use crate::resp::Reply;
use crate::rng::mix;
use crate::server::arguments::{Options, is};
use crate::server::command::Keys::{None as NoKeys, Range};
use crate::server::command::{Outcome, R, SYNTAX, Spec, Stop, fail};
use crate::server::keyspace::Store;
use crate::server::value::{Hash, Kind, Set, Sorted, Value, parse_unsigned};
use bytes::Bytes;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::data("hscan", -3, R, Range(1, 1, 1), hscan),
    Spec::data("scan", -2, R, NoKeys, scan),
    Spec::data("sscan", -3, R, Range(1, 1, 1), sscan),
    Spec::data("zscan", -3, R, Range(1, 1, 1), zscan),
];

/// Elements per call by default.
const COUNT_DEFAULT: usize = 10;

/// The arguments of a scan.
struct Request {
    /// The position to continue from.
    cursor: u64,
    /// How many elements to visit.
    count: usize,
    /// The pattern of names to return.
    pattern: Option<Bytes>,
    /// The type of keys to return.
    type_name: Option<Bytes>,
    /// Fields without their values.
    no_values: bool,
}

impl Request {
    /// Reads the options, for a collection or, with `keys`, for all keys.
    fn parse(cursor: u64, options: &[Bytes], keys: bool, hash: bool) -> Result<Self, Stop> {
        let mut request =
            Self { cursor, count: COUNT_DEFAULT, pattern: None, type_name: None, no_values: false };
        let mut options = Options::new(options);
        while let Some(option) = options.next() {
            let has_value = !options.is_empty();
            match option {
                o if is(o, "COUNT") && has_value => {
                    request.count = match options.int()? {
                        count @ 1.. => count as usize,
                        _ => return Err(SYNTAX),
                    }
                }
                o if is(o, "MATCH") && has_value => {
                    request.pattern = Some(options.value()?.clone());
                }
                o if is(o, "TYPE") && keys && has_value => {
                    request.type_name = Some(options.value()?.clone());
                }
                o if is(o, "NOVALUES") && hash => request.no_values = true,
                o if is(o, "NOVALUES") => {
                    return Err(fail("ERR NOVALUES option can only be used in HSCAN"));
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(request)
    }

    /// The request for a collection: its cursor is read first, and its options only if there is
    /// one. A small collection is given as a whole, whatever the cursor and the count.
    fn of<'s, T: Kind>(
        store: &'s Store<'_>,
        arguments: &[Bytes],
        hash: bool,
    ) -> Result<Option<(Self, &'s T)>, Stop> {
        let cursor = read_cursor(&arguments[2])?;
        let Some(collection) = store.get::<T>(&arguments[1])? else { return Ok(None) };
        let mut request = Self::parse(cursor, &arguments[3..], false, hash)?;
        let encoding = store.value(&arguments[1]).map(Value::encoding);
        if encoding.is_some_and(|encoding| ["listpack", "intset"].contains(&encoding)) {
            (request.cursor, request.count) = (0, usize::MAX);
        }
        Ok(Some((request, collection)))
    }

    /// Visits the next elements, and returns the next cursor. `name` returns the name of an
    /// element.
    fn visit<T>(&self, salt: u64, elements: Vec<(&Bytes, T)>) -> (u64, Vec<(Bytes, T)>) {
        let mut rest: Vec<(u64, (&Bytes, T))> = elements
            .into_iter()
            .map(|(name, element)| (place(salt, name), (name, element)))
            .filter(|(at, _)| *at >= self.cursor)
            .collect();
        rest.sort_by_key(|(at, _)| *at);
        // Elements with the same position stay together; otherwise the next call would miss some.
        let mut end = self.count.min(rest.len());
        while end > 0 && end < rest.len() && rest[end].0 == rest[end - 1].0 {
            end += 1;
        }
        let next = rest.get(end).map_or(0, |(at, _)| *at);
        rest.truncate(end);
        let wanted = rest
            .into_iter()
            .map(|(_, element)| element)
            .filter(|(name, _)| self.pattern.as_ref().is_none_or(|p| glob(p, name)))
            .map(|(name, element)| (name.clone(), element))
            .collect();
        (next, wanted)
    }
}

/// An element's position on the circle; 0 is the start and never the position of an element.
fn place(salt: u64, name: &[u8]) -> u64 {
    let hash = name.iter().fold(salt, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(5)
    });
    mix(hash).max(1)
}

fn answer(next: u64, items: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::string(next.to_string()), Reply::Array(items)])
}

fn read_cursor(cursor: &Bytes) -> Result<u64, Stop> {
    parse_unsigned(cursor).ok_or(fail("ERR invalid cursor"))
}

fn scan(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let request = Request::parse(read_cursor(&arguments[1])?, &arguments[2..], true, false)?;
    let keys = store.keys().map(|(key, entry)| (key, entry.value.type_name())).collect();
    let (next, found) = request.visit(store.salt, keys);
    let wanted = found
        .into_iter()
        .filter(|(_, name)| request.type_name.as_ref().is_none_or(|t| is(t, name)));
    Ok(answer(next, wanted.map(|(key, _)| Reply::Bulk(key)).collect()))
}

fn hscan(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let Some((request, hash)) = Request::of::<Hash>(store, arguments, true)? else {
        return Ok(answer(0, Vec::new()));
    };
    let (next, found) = request.visit(store.salt, hash.iter().collect());
    let items = found.into_iter().flat_map(|(field, value)| {
        let value = (!request.no_values).then(|| Reply::Bulk(value.clone()));
        [Some(Reply::Bulk(field)), value].into_iter().flatten()
    });
    Ok(answer(next, items.collect()))
}

fn sscan(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let Some((request, set)) = Request::of::<Set>(store, arguments, false)? else {
        return Ok(answer(0, Vec::new()));
    };
    let (next, found) = request.visit(store.salt, set.iter().map(|member| (member, ())).collect());
    Ok(answer(next, found.into_iter().map(|(member, ())| Reply::Bulk(member)).collect()))
}

fn zscan(store: &mut Store<'_>, arguments: &[Bytes]) -> Outcome {
    let Some((request, sorted)) = Request::of::<Sorted>(store, arguments, false)? else {
        return Ok(answer(0, Vec::new()));
    };
    let (next, found) = request.visit(store.salt, sorted.iter().collect());
    let items = found.into_iter().flat_map(|(member, score)| {
        [Reply::Bulk(member), Reply::string(crate::resp::double(score))]
    });
    Ok(answer(next, items.collect()))
}

/// Whether `name` matches a pattern of `*`, `?`, `[...]` and `\`.
pub(crate) fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // The position of the last star, and the end of the text that it matches: the only point to
    // backtrack to.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(_) if let Some(after) = one(&pattern[p..], name[n]) => {
                p += after;
                n += 1;
            }
            _ => match star {
                Some((after_star, reach)) => {
                    star = Some((after_star, reach + 1));
                    (p, n) = (after_star, reach + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// Matches one byte with the first item of a pattern, and returns the item's length.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', rest @ ..] => class(rest, byte),
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Matches one byte with a class, given without its opening bracket.
fn class(mut rest: &[u8], byte: u8) -> Option<usize> {
    let whole = rest.len();
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = &rest[1..];
    }
    let mut found = false;
    loop {
        rest = match rest {
            [] => break,
            [b']', tail @ ..] => {
                rest = tail;
                break;
            }
            [b'\\', escaped, tail @ ..] => {
                found |= *escaped == byte;
                tail
            }
            [low, b'-', high, tail @ ..] => {
                found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                tail
            }
            [literal, tail @ ..] => {
                found |= *literal == byte;
                tail
            }
        }
    }
    (found != negated).then_some(1 + whole - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_servers_do() {
        let table = [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("h[ae]llo", "hello", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a**b*c", "a-b-bc", true),
            ("[", "x", false),
            ("abc", "ab", false),
            ("", "", true),
            ("news.*", "news.art", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
