//! Which type fits which shape of reply: a table of all of them, which is also a page of the docs.
//!
//! Each row is decoded from 0 to 3 elements, over RESP2 and RESP3, and, where it has the replies of
//! several commands, from a pipeline and from a transaction. All must agree. The page is compared
//! with what was found; `SLOTCAR_WRITE_DOCS=1` rewrites it. Test code only.

use super::transaction;
use crate::resp::FromReply;
use crate::resp::{Blob, Value, from_frame, from_frames};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// The page: words, and the table behind them.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/decoding.md");

/// The line in front of the table.
const TABLE_BEGINS: &str =
    "<!-- the table is generated: see core/src/client/decoding_table.rs -->\n";

/// A struct of three fields, of which two may be missing.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only shown")]
struct Abc {
    a: u8,
    b: Option<u8>,
    c: Option<u8>,
}

/// What a reply gave: the value as text, or the error.
type Found = Result<String, String>;

/// A type, and how it is decoded.
struct Type {
    name: &'static str,
    single: fn(&Bytes) -> Found,
    pipeline: fn(&[Bytes]) -> Found,
    exec: fn(&Bytes) -> Found,
    /// It shows what was sent, which differs.
    shows_form: bool,
}

fn of<T: FromReply + Debug>(name: &'static str) -> Type {
    fn shown<T: Debug, E: ToString>(result: Result<T, E>) -> Found {
        result.map(|value| format!("{value:?}")).map_err(|error| error.to_string())
    }
    Type {
        name,
        single: |frame| shown(from_frame::<T>(frame)),
        pipeline: |frames| shown(from_frames::<T>(frames)),
        exec: |frame| shown(transaction::decode::<T>(frame)),
        shows_form: matches!(name, "Value" | "Vec<Value>"),
    }
}

fn types() -> Vec<Type> {
    vec![
        of::<()>("()"),
        of::<Value>("Value"),
        of::<Vec<Value>>("Vec<Value>"),
        of::<bool>("bool"),
        of::<i64>("i64"),
        of::<String>("String"),
        of::<Blob>("Blob"),
        of::<Vec<u8>>("Vec<u8>"),
        of::<[u8; 2]>("[u8; 2]"),
        of::<Vec<String>>("Vec<String>"),
        of::<BTreeSet<String>>("BTreeSet<String>"),
        of::<Vec<Vec<u8>>>("Vec<Vec<u8>>"),
        of::<Vec<[u8; 1]>>("Vec<[u8; 1]>"),
        of::<(String, String)>("(String, String)"),
        of::<[String; 2]>("[String; 2]"),
        of::<Vec<(String, u8)>>("Vec<(String, u8)>"),
        of::<[(String, u8); 2]>("[(String, u8); 2]"),
        of::<BTreeMap<String, u8>>("BTreeMap<String, u8>"),
        of::<Abc>("struct"),
        of::<Option<String>>("Option<String>"),
        of::<Option<Vec<String>>>("Option<Vec<String>>"),
        of::<Option<BTreeMap<String, u8>>>("Option<BTreeMap<String, u8>>"),
        of::<Option<(String, String)>>("Option<(String, String)>"),
        of::<Option<Abc>>("Option<struct>"),
    ]
}

/// A shape of `count` elements over RESP2 and RESP3.
type Shape = fn(usize) -> [String; 2];

const SHAPES: [(&str, Shape); 6] = [
    ("scalar", |_| ["$1\r\n1\r\n".to_owned(), ",1\r\n".to_owned()]),
    ("null", |_| ["$-1\r\n".to_owned(), "_\r\n".to_owned()]),
    ("list", |count| [list('*', count), list('*', count)]),
    ("set", |count| [list('*', count), list('~', count)]),
    ("list of pairs", |count| {
        let pairs = |head: &str| pairs(count, head);
        [format!("*{}\r\n{}", 2 * count, pairs("")), format!("*{count}\r\n{}", pairs("*2\r\n"))]
    }),
    ("map", |count| {
        let pairs = pairs(count, "");
        [format!("*{}\r\n{pairs}", 2 * count), format!("%{count}\r\n{pairs}")]
    }),
];

fn list(kind: char, count: usize) -> String {
    (1..=count).fold(format!("{kind}{count}\r\n"), |all, n| all + &format!("$1\r\n{n}\r\n"))
}

fn pairs(count: usize, head: &str) -> String {
    let pair = |(n, key)| format!("{head}$1\r\n{key}\r\n$1\r\n{n}\r\n");
    ["a", "b", "c"][..count].iter().enumerate().map(pair).collect()
}

/// What all ways of asking gave, which must agree.
fn agreed(of: &Type, what: &str, ways: &[Found]) -> Found {
    for way in ways {
        let agree = match (way, &ways[0]) {
            (Ok(value), Ok(first)) => of.shows_form || value == first,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        assert!(agree, "{what} into {}: {ways:?}", of.name);
    }
    ways[0].clone()
}

/// A row: one type and one shape, of 0, 1, 2 and 3 elements.
fn row(of: &Type, shape: &str, found: &[Found]) -> String {
    let fits: Vec<_> = found.iter().map(|found| if found.is_ok() { "yes" } else { "-" }).collect();
    // With any number of elements or with none; or the type has a number of its own, and says so.
    let some: Vec<_> = found.iter().skip(1).filter_map(|found| found.as_ref().err()).collect();
    let is_even = some.len() == 2 && matches!(shape, "list" | "set");
    let says_so = |error: &&String| {
        [
            "a tuple of size",
            "an array of length",
            "a reply for each",
            "replies for",
            " bytes, got",
            " elements, got",
        ]
        .iter()
        .any(|words| error.contains(words))
            || is_even && error.contains("a map, got array of")
            || is_even && error.contains("a map, got set of")
    };
    let is_invariant = some.is_empty() || some.len() == found.len() - 1 || some.iter().all(says_so);
    assert!(is_invariant, "{shape} into {}: {found:?}", of.name);
    format!("| {shape} | `{}` | {} |\n", of.name, fits.join(" | "))
}

fn table() -> String {
    let mut table = "| reply | type | 0 | 1 | 2 | 3 |\n|---|---|---|---|---|---|\n".to_owned();
    for (shape, frames) in SHAPES {
        for of in types() {
            let found = [0, 1, 2, 3].map(|count| {
                let ways = frames(count).map(|frame| (of.single)(&Bytes::from(frame)));
                agreed(&of, shape, &ways)
            });
            table += &row(&of, shape, &found);
        }
    }
    for of in types() {
        let found = [0, 1, 2, 3].map(|count| {
            let exec = Bytes::from(list('*', count));
            let frames: Vec<_> =
                (1..=count).map(|n| Bytes::from(format!("$1\r\n{n}\r\n"))).collect();
            agreed(&of, "replies", &[(of.pipeline)(&frames), (of.exec)(&exec)])
        });
        table += &row(&of, "replies of a pipeline or a transaction", &found);
    }
    table
}

#[cfg(not(target_os = "wasi"))]
#[test]
fn the_page_has_what_every_type_gives_for_every_shape() {
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let (words, old) = page.split_once(TABLE_BEGINS).expect("the page has a table");
    let table = table();
    if std::env::var_os("SLOTCAR_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{words}{TABLE_BEGINS}{table}")).expect("it is written");
        return;
    }
    assert_eq!(old, table, "docs/decoding.md is stale: run this test with SLOTCAR_WRITE_DOCS=1");
}
