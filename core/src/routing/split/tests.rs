//! What is cut and what is not, and that cutting changes no answer.

use super::*;
use crate::command::{cmd, del, exists, mget, mset, touch, unlink};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The arguments of a part, as a server reads them.
fn words(split: &Split, command: &Command, part: &Part) -> Vec<String> {
    let mut out = Vec::new();
    split.write_part(command, part, &mut out);
    assert_eq!(out.len(), part.encoded_len(), "a part writes what it announced");
    let elements = Elements::of(&out).expect("a command is an array");
    let text = |bulk: &[u8]| {
        let text = std::str::from_utf8(bulk).unwrap();
        text.split_once("\r\n").unwrap().1.trim_end_matches("\r\n").to_owned()
    };
    elements.map(|bulk| text(bulk.unwrap())).collect()
}

/// One server's data, and what it answers.
fn answer(data: &mut BTreeMap<String, String>, words: &[String]) -> Bytes {
    let keys = &words[1..];
    let text = match words[0].as_str() {
        "MGET" => {
            let value = |key| match data.get(key) {
                Some(value) => format!("${}\r\n{value}\r\n", value.len()),
                None => "_\r\n".to_owned(),
            };
            let values: String = keys.iter().map(value).collect();
            format!("*{}\r\n{values}", keys.len())
        }
        "MSET" => {
            let pairs = keys.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            data.extend(pairs);
            "+OK\r\n".to_owned()
        }
        "DEL" | "UNLINK" => {
            format!(":{}\r\n", keys.iter().filter(|key| data.remove(*key).is_some()).count())
        }
        _ => format!(":{}\r\n", keys.iter().filter(|key| data.contains_key(*key)).count()),
    };
    text.into()
}

/// Keys in four slots; `{a}` and `a` share one.
fn keys() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[abc]|\\{[a-d]\\}[x-z]?", 1..12)
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        keys().prop_map(|keys| mget(&keys)),
        keys().prop_map(|keys| del(&keys)),
        keys().prop_map(|keys| unlink(&keys)),
        keys().prop_map(|keys| exists(&keys)),
        keys().prop_map(|keys| touch(&keys)),
        keys().prop_map(|keys| mset(keys.iter().enumerate().map(|(at, key)| (key, at)))),
    ]
}

/// Every command splits by slot and by key; a part never spans two slots.
fn cut(command: &Command, split_by: SplitBy) -> Split {
    let split = Split::of(command, split_by).expect("these commands can be cut");
    for part in split.parts() {
        let mut keys = split.keys[part.keys.clone()].iter();
        assert!(keys.all(|key| key.slot == part.slot));
    }
    split
}

proptest! {
    /// merge ∘ split = direct, for the reply and for the data.
    #[test]
    fn cutting_changes_no_answer(commands in proptest::collection::vec(commands(), 1..8)) {
        let (mut direct, mut parted) = (BTreeMap::new(), BTreeMap::new());
        for command in &commands {
            let all: Vec<String> = command
                .args_iter()
                .map(|arg| String::from_utf8(arg.to_vec()).unwrap())
                .collect();
            let expected = answer(&mut direct, &all);
            let split = cut(command, SplitBy::Slot);
            let replies: Vec<Bytes> = split
                .parts()
                .iter()
                .map(|part| answer(&mut parted, &words(&split, command, part)))
                .collect();
            prop_assert_eq!(split.merge(&replies).unwrap(), expected);
            prop_assert_eq!(&parted, &direct);
        }
    }

    /// A part for each key says of it what the whole says, in its place.
    #[test]
    fn each_key_has_an_answer_of_its_own(keys in keys()) {
        let mut data = BTreeMap::new();
        for key in keys.iter().step_by(2) {
            data.insert(key.clone(), key.clone());
        }
        let command = mget(&keys);
        let split = cut(&command, SplitBy::Key);
        prop_assert_eq!(split.parts().len(), keys.len());
        for (part, key) in split.parts().iter().zip(&keys) {
            let words = words(&split, &command, part);
            prop_assert_eq!(&words[1], key);
            let value = split.single(&answer(&mut data, &words)).unwrap();
            let bulk = |value: &String| format!("${}\r\n{value}\r\n", value.len());
            let frame = data.get(key).map_or("_\r\n".to_owned(), bulk);
            prop_assert_eq!(value, frame.as_bytes());
        }
    }
}

/// Keys and arguments stay together, in each slot in the order of the command.
#[test]
fn parts_are_whole_commands() {
    let command = mset([("{a}1", "1"), ("b", "2"), ("{a}2", "3"), ("{a}1", "4")]);
    let split = cut(&command, SplitBy::Slot);
    let mut parts: Vec<_> =
        split.parts().iter().map(|part| words(&split, &command, part).join(" ")).collect();
    parts.sort();
    assert_eq!(parts, ["MSET b 2", "MSET {a}1 1 {a}2 3 {a}1 4"]);
}

/// What cannot be cut without another meaning is not.
#[test]
fn other_commands_stay_whole() {
    let table = [
        "GET a",
        "MSETNX a 1 b 2",
        "RENAME a b",
        "SINTER a b",
        "EVAL s 2 a b",
        "BLPOP a b 0",
        "MSET a 1 b",
        "MSET",
        "MSETEX 2 a 1 b 2",
        "MGET",
        "KEYS *",
        "NOSUCH a b",
    ];
    for text in table {
        let mut words = text.split(' ');
        let command = cmd(words.next().unwrap()).args(words);
        assert!(Split::of(&command, SplitBy::Slot).is_none(), "{text}");
    }
}

/// Two slots are told apart, and named.
#[test]
fn slots_are_named_in_the_order_of_the_keys() {
    let slot = |key: &str| Slot::of(key.as_bytes());
    let of = |keys: &[&'static str]| key_slots(keys.iter().map(|key| key.as_bytes()));
    assert_eq!(of(&[]), KeySlots::One);
    assert_eq!(of(&["a"]), KeySlots::One);
    assert_eq!(of(&["a", "{a}b", "a"]), KeySlots::One);
    let expected = KeySlots::Several { first: slot("a"), second: slot("b") };
    assert_eq!(of(&["a", "a", "b", "c"]), expected);
}

/// A server that answers something else gives an error, not a wrong value.
#[test]
fn replies_that_do_not_fit_are_refused() {
    let command = mget(["a", "b"]);
    let split = cut(&command, SplitBy::Slot);
    for wrong in [&b":1\r\n"[..], b"*0\r\n", b"*2\r\n:1\r\n:2\r\n", b"*1\r\n:1"] {
        let replies = [Bytes::from_static(b"*1\r\n+a\r\n"), Bytes::from_static(wrong)];
        assert!(split.merge(&replies).is_err(), "{wrong:?}");
    }
}
