//! Joins the replies of several nodes into one, by the response policies of the servers.
//!
//! **Invariant**: pure; every reply that comes here is good. What follows when a node failed is
//! decided by the caller.
//! Spec: <https://redis.io/docs/latest/develop/reference/command-tips/>, "response_policy".

use crate::command::ResponsePolicy;
use crate::error::{Delivery, Error, ErrorKind};
use crate::resp::{Elements, integer, is_null, put_array_head, put_common_head, put_integer};
use crate::sorted::SortedSet;
use bytes::Bytes;

/// How replies are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    /// By the policy of the command.
    By(ResponsePolicy),
    /// The first one that is not null.
    AnyValue,
}

impl Fold {
    /// Whether one failed node fails the command.
    pub(crate) fn needs_all(self) -> bool {
        self != Self::By(ResponsePolicy::OneSucceeded)
    }
}

/// Joins replies, which are in the order of the nodes.
///
/// # Errors
/// `Protocol` when the policy adds up numbers and a reply is none.
pub(crate) fn fold(how: Fold, replies: &[Bytes]) -> Result<Bytes, Error> {
    use ResponsePolicy as Policy;
    let numbers = |add: fn(i64, i64) -> i64| add_up(replies, add);
    match how {
        Fold::By(Policy::AllSucceeded | Policy::OneSucceeded) => Ok(first(replies)),
        Fold::By(Policy::AggSum) => numbers(i64::saturating_add),
        Fold::By(Policy::AggMin) => numbers(i64::min),
        Fold::By(Policy::AggMax) => numbers(i64::max),
        Fold::By(Policy::AggLogicalAnd) => numbers(|a, b| i64::from(a != 0 && b != 0)),
        Fold::By(Policy::AggLogicalOr) => numbers(|a, b| i64::from(a != 0 || b != 0)),
        Fold::By(Policy::Default) => join(replies),
        Fold::By(Policy::Special) => Ok(list(replies)),
        Fold::By(Policy::SumByName) => sum_by_name(replies),
        Fold::By(Policy::Union) => union(replies),
        Fold::AnyValue => {
            let value = replies.iter().find(|reply| !is_null(reply));
            Ok(value.cloned().unwrap_or_else(|| first(replies)))
        }
    }
}

/// The first reply, when all mean the same; null when no node was asked.
fn first(replies: &[Bytes]) -> Bytes {
    replies.first().cloned().unwrap_or_else(|| Bytes::from_static(b"$-1\r\n"))
}

/// Adds up numbers, or lists of numbers element by element.
fn add_up(replies: &[Bytes], add: fn(i64, i64) -> i64) -> Result<Bytes, Error> {
    let mut out = Vec::new();
    if let Some(length) = replies.first().and_then(|reply| Elements::of(reply)).map(|e| e.len()) {
        let mut sums: Vec<Option<i64>> = vec![None; length];
        for reply in replies {
            let elements = Elements::of(reply).filter(|elements| elements.len() == length);
            for (sum, element) in sums.iter_mut().zip(elements.ok_or_else(no_number)?) {
                let number = element.ok().and_then(integer).ok_or_else(no_number)?;
                *sum = Some(sum.map_or(number, |sum| add(sum, number)));
            }
        }
        put_array_head(&mut out, length);
        sums.into_iter().flatten().for_each(|sum| put_integer(&mut out, sum));
    } else {
        let mut sum = None;
        for reply in replies {
            let number = integer(reply).ok_or_else(no_number)?;
            sum = Some(sum.map_or(number, |sum| add(sum, number)));
        }
        put_integer(&mut out, sum.unwrap_or_default());
    }
    Ok(out.into())
}

/// One list of all elements. Replies that are no lists become elements themselves.
fn join(replies: &[Bytes]) -> Result<Bytes, Error> {
    let lists: Option<Vec<_>> = replies.iter().map(|reply| Elements::of(reply)).collect();
    let Some(lists) = lists else { return Ok(list(replies)) };
    let mut out = Vec::with_capacity(replies.iter().map(Bytes::len).sum::<usize>() + 16);
    put_common_head(&mut out, lists.iter().map(Elements::len).sum(), &lists);
    for element in lists.into_iter().flatten() {
        out.extend_from_slice(element.map_err(Error::undecodable)?);
    }
    Ok(out.into())
}

/// One list of all elements, each once, sorted.
fn union(replies: &[Bytes]) -> Result<Bytes, Error> {
    let all = join(replies)?;
    let Some(elements) = Elements::of(&all) else { return Ok(all.clone()) };
    let once: Result<SortedSet<&[u8]>, _> = elements.collect();
    let once = once.map_err(Error::undecodable)?;
    let mut out = Vec::with_capacity(all.len());
    put_array_head(&mut out, once.len());
    once.iter().for_each(|element| out.extend_from_slice(element));
    Ok(out.into())
}

/// Of names and numbers in turn, the names of the first reply and the sums of all numbers.
fn sum_by_name(replies: &[Bytes]) -> Result<Bytes, Error> {
    let mut sums: Vec<(&[u8], i64)> = Vec::new();
    for (at, reply) in replies.iter().enumerate() {
        let elements = Elements::of(reply).ok_or_else(no_number)?;
        let elements = elements.collect::<Result<Vec<_>, _>>().map_err(Error::undecodable)?;
        if at == 0 {
            sums = elements.chunks(2).map(|pair| (pair[0], 0)).collect();
        }
        if elements.len() != 2 * sums.len() {
            return Err(no_number());
        }
        for ((name, sum), pair) in sums.iter_mut().zip(elements.chunks_exact(2)) {
            let number = integer(pair[1]).filter(|_| pair[0] == *name);
            *sum = sum.saturating_add(number.ok_or_else(no_number)?);
        }
    }
    let mut out = Vec::new();
    let lists: Vec<Elements<'_>> = replies.iter().filter_map(|one| Elements::of(one)).collect();
    put_common_head(&mut out, 2 * sums.len(), &lists);
    for (name, sum) in sums {
        out.extend_from_slice(name);
        put_integer(&mut out, sum);
    }
    Ok(out.into())
}

/// A list of the replies.
fn list(replies: &[Bytes]) -> Bytes {
    let mut out = Vec::with_capacity(replies.iter().map(Bytes::len).sum::<usize>() + 16);
    put_array_head(&mut out, replies.len());
    replies.iter().for_each(|reply| out.extend_from_slice(reply));
    out.into()
}

fn no_number() -> Error {
    let message = "several nodes replied, and their replies are not numbers to add up";
    Error::new(ErrorKind::Protocol, Delivery::Answered, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each policy: with one reply, with several, and with replies that do not fit.
    #[test]
    fn replies_become_one_as_the_policy_says() {
        use ResponsePolicy as Policy;
        let sum = Fold::By(Policy::AggSum);
        let (min, max) = (Fold::By(Policy::AggMin), Fold::By(Policy::AggMax));
        let (and, or) = (Fold::By(Policy::AggLogicalAnd), Fold::By(Policy::AggLogicalOr));
        let all = Fold::By(Policy::AllSucceeded);
        let (join, list) = (Fold::By(Policy::Default), Fold::By(Policy::Special));
        let by_name = Fold::By(Policy::SumByName);
        let union = Fold::By(Policy::Union);
        let table: [(Fold, &[&str], Option<&str>); 32] = [
            (all, &["+OK\r\n", "+OK\r\n"], Some("+OK\r\n")),
            (all, &[], Some("$-1\r\n")),
            (sum, &[":1\r\n", ":2\r\n", ":40\r\n"], Some(":43\r\n")),
            (sum, &[":9223372036854775807\r\n", ":1\r\n"], Some(":9223372036854775807\r\n")),
            (sum, &[":1\r\n", "+OK\r\n"], None),
            (sum, &[":1\r\n", "*1\r\n:1\r\n"], None),
            (min, &[":3\r\n", ":2\r\n"], Some(":2\r\n")),
            (min, &["*2\r\n:1\r\n:5\r\n", "*2\r\n:0\r\n:9\r\n"], Some("*2\r\n:0\r\n:5\r\n")),
            (min, &["*2\r\n:1\r\n:5\r\n", "*1\r\n:0\r\n"], None),
            (max, &[":3\r\n", ":2\r\n"], Some(":3\r\n")),
            (and, &["*2\r\n:1\r\n:1\r\n", "*2\r\n:0\r\n:1\r\n"], Some("*2\r\n:0\r\n:1\r\n")),
            (or, &["*2\r\n:1\r\n:0\r\n", "*2\r\n:0\r\n:0\r\n"], Some("*2\r\n:1\r\n:0\r\n")),
            (and, &[":1\r\n", ":2\r\n"], Some(":1\r\n")),
            (join, &["*1\r\n+a\r\n", "*0\r\n", "*1\r\n+b\r\n"], Some("*2\r\n+a\r\n+b\r\n")),
            (join, &["%1\r\n+a\r\n:1\r\n", "%0\r\n"], Some("%1\r\n+a\r\n:1\r\n")),
            (join, &["~1\r\n+a\r\n", "~1\r\n+b\r\n"], Some("~2\r\n+a\r\n+b\r\n")),
            (join, &["~1\r\n+a\r\n", "*1\r\n+b\r\n"], Some("*2\r\n+a\r\n+b\r\n")),
            (join, &[":1\r\n", ":2\r\n"], Some("*2\r\n:1\r\n:2\r\n")),
            (list, &["$1\r\na\r\n", "$1\r\nb\r\n"], Some("*2\r\n$1\r\na\r\n$1\r\nb\r\n")),
            (
                union,
                &["*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+c\r\n"],
                Some("*3\r\n+a\r\n+b\r\n+c\r\n"),
            ),
            (union, &["*0\r\n", "*0\r\n"], Some("*0\r\n")),
            (union, &["*1\r\n+a\r\n"], Some("*1\r\n+a\r\n")),
            (union, &[], Some("*0\r\n")),
            (
                by_name,
                &["*4\r\n+a\r\n:1\r\n+b\r\n:0\r\n", "*4\r\n+a\r\n:2\r\n+b\r\n:5\r\n"],
                Some("*4\r\n+a\r\n:3\r\n+b\r\n:5\r\n"),
            ),
            (by_name, &["%1\r\n+a\r\n:1\r\n", "%1\r\n+a\r\n:1\r\n"], Some("%1\r\n+a\r\n:2\r\n")),
            (by_name, &["*2\r\n+1\r\n:1\r\n", "*2\r\n+1\r\n:1\r\n"], Some("*2\r\n+1\r\n:2\r\n")),
            (by_name, &["*0\r\n", "*0\r\n"], Some("*0\r\n")),
            (by_name, &["*2\r\n+a\r\n:1\r\n", "*2\r\n+b\r\n:1\r\n"], None),
            (by_name, &["*2\r\n+a\r\n:1\r\n", "*0\r\n"], None),
            (by_name, &["*1\r\n+a\r\n"], None),
            (Fold::AnyValue, &["_\r\n", "$1\r\nb\r\n"], Some("$1\r\nb\r\n")),
            (Fold::AnyValue, &["_\r\n", "_\r\n"], Some("_\r\n")),
        ];
        for (how, replies, expected) in table {
            let replies: Vec<Bytes> =
                replies.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
            let folded = fold(how, &replies);
            let text = folded.as_ref().map(|frame| std::str::from_utf8(frame).unwrap());
            assert_eq!(text.ok(), expected, "{how:?} {replies:?}");
            assert!(folded.is_ok() || folded.is_err_and(|e| e.kind() == ErrorKind::Protocol));
        }
    }
}
