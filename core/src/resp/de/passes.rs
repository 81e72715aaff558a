//! The passes beyond the first: how many there are, and that they are shut off from each other.

use super::from_frame;
use crate::resp::hints::PASSES_MAX;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, de};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::catch_unwind;

/// A hash over RESP2 and RESP3.
fn hash(fields: &[(String, String)]) -> [Bytes; 2] {
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let all: String = fields.iter().map(|(k, v)| bulk(k) + &bulk(v)).collect();
    let heads = [format!("*{}\r\n", 2 * fields.len()), format!("%{}\r\n", fields.len())];
    heads.map(|head| Bytes::from(head + &all))
}

fn texts(fields: &[(&str, &str)]) -> [Bytes; 2] {
    let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    hash(&fields.collect::<Vec<_>>())
}

#[derive(Debug, Deserialize, PartialEq)]
struct Counters {
    #[serde(flatten)]
    all: BTreeMap<String, u64>,
}

/// Each pass learns one number, and the last one uses them all.
#[test]
fn more_numbers_than_there_are_passes_are_an_error_that_says_so() {
    let fields = |count: usize| (0..count).map(|n| (format!("k{n}"), n.to_string()));
    for count in [0, 1, 2, PASSES_MAX - 1] {
        for frame in hash(&fields(count).collect::<Vec<_>>()) {
            let found = from_frame::<Counters>(&frame).expect("so many are read");
            assert_eq!(found.all.len(), count);
            assert!(found.all.iter().all(|(key, n)| *key == format!("k{n}")));
        }
    }
    for frame in hash(&fields(PASSES_MAX).collect::<Vec<_>>()) {
        let error = from_frame::<Counters>(&frame).expect_err("one too many").to_string();
        assert!(error.contains("wants more than 512 numbers of one reply"), "{error}");
        let all = from_frame::<BTreeMap<String, u64>>(&frame).expect("its type is named");
        assert_eq!(all.len(), PASSES_MAX);
    }
}

/// Many records have the same keys: what was learnt of one is known of all.
#[test]
fn a_list_of_many_records_needs_no_more_passes_than_one_record() {
    let records = 2 * PASSES_MAX;
    let record = "*4\r\n+age\r\n$2\r\n41\r\n+name\r\n$1\r\n7\r\n";
    let frame = Bytes::from(format!("*{records}\r\n{}", record.repeat(records)));
    let found: Vec<Numbered> = from_frame(&frame).expect("it fits");
    assert_eq!(found.len(), records);
    let person = Numbers { age: 41, name: "7".to_owned() };
    assert!(found.iter().all(|one| one.numbers == person));
}

#[derive(Debug, Deserialize, PartialEq)]
struct Numbered {
    #[serde(flatten)]
    numbers: Numbers,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Numbers {
    age: u64,
    name: String,
}

/// The same keys as `Numbers`, of other types.
#[derive(Debug, Deserialize, PartialEq)]
struct Texts {
    #[serde(flatten)]
    texts: OnlyTexts,
}

#[derive(Debug, Deserialize, PartialEq)]
struct OnlyTexts {
    age: String,
    name: u64,
}

/// One wants a number behind a key, and the other a text.
#[test]
fn two_types_of_one_reply_may_want_different_things_behind_one_key() {
    let [flat, map] = texts(&[("age", "41"), ("name", "7")]);
    for frame in [flat, map] {
        let expected = (
            Numbered { numbers: Numbers { age: 41, name: "7".to_owned() } },
            Texts { texts: OnlyTexts { age: "41".to_owned(), name: 7 } },
        );
        let both = [Bytes::copy_from_slice(&frame), frame];
        assert_eq!(super::from_frames(&both), Ok(expected));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Inside {
    Fails,
    Fits,
    Panics,
}

thread_local! {
    /// What `Nested` does.
    static INSIDE: Cell<Inside> = const { Cell::new(Inside::Fits) };
    /// How often it was decoded.
    static ROUNDS: Cell<usize> = const { Cell::new(0) };
}

/// A type that decodes other replies while it is decoded.
#[derive(Debug, PartialEq)]
struct Nested;

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?;
        ROUNDS.set(ROUNDS.get() + 1);
        for frame in texts(&[("age", "41"), ("name", "7")]) {
            let inner = from_frame::<Texts>(&frame).map_err(de::Error::custom)?;
            assert_eq!(inner.texts, OnlyTexts { age: "41".to_owned(), name: 7 });
            match INSIDE.get() {
                Inside::Fits => {}
                Inside::Fails => assert!(from_frame::<Vec<Numbered>>(&frame).is_err()),
                Inside::Panics => assert!(catch_unwind(|| from_frame::<Panics>(&frame)).is_err()),
            }
        }
        Ok(Self)
    }
}

/// Panics in the pass that reads what it learnt.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "never made")]
struct Panics {
    #[serde(flatten)]
    numbers: Numbers,
    #[serde(skip, default = "panics")]
    last: (),
}

fn panics() {
    panic!("the type panics");
}

#[derive(Debug, Deserialize, PartialEq)]
struct Around {
    first: Nested,
    #[serde(flatten)]
    numbers: Numbers,
    last: Nested,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum AroundUntagged {
    Around { first: Nested, age: u64, name: String, last: Nested },
}

/// Notes of a decoder inside of another are not those of the other, whether it ends well or not.
#[test]
fn a_type_that_decodes_another_reply_inside_of_its_own_changes_nothing() {
    let fields = [("first", "1"), ("age", "41"), ("name", "7"), ("last", "1")];
    for inside in [Inside::Fits, Inside::Fails, Inside::Panics] {
        INSIDE.set(inside);
        for frame in texts(&fields) {
            ROUNDS.set(0);
            let numbers = Numbers { age: 41, name: "7".to_owned() };
            let expected = Around { first: Nested, numbers, last: Nested };
            assert_eq!(from_frame::<Around>(&frame), Ok(expected), "{inside:?}");
            let name = "7".to_owned();
            let expected = AroundUntagged::Around { first: Nested, age: 41, name, last: Nested };
            assert_eq!(from_frame::<AroundUntagged>(&frame), Ok(expected), "{inside:?}");
            assert!(ROUNDS.get() < 20, "{} passes for one number", ROUNDS.get());
        }
    }
}

#[derive(Debug, Deserialize, PartialEq)]
struct Person {
    age: u64,
}

/// Panics in the first pass, behind an empty reply that may become `None` in another.
#[derive(Debug)]
struct PanicsAtOnce;

impl<'de> Deserialize<'de> for PanicsAtOnce {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("the type panics");
    }
}

/// What a panic leaves is not used for another reply, at the same address, too.
#[test]
fn a_panic_of_a_type_leaves_nothing_for_the_next_reply() {
    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Defaults {
        age: u64,
    }
    let frames = texts(&[("age", "41"), ("name", "7")]);
    let pair = Bytes::from_static(b"*2\r\n*0\r\n:1\r\n");
    for _ in 0..2 {
        assert!(catch_unwind(|| from_frame::<Panics>(&frames[0])).is_err());
        let caught = catch_unwind(|| from_frame::<(Option<Vec<u8>>, PanicsAtOnce)>(&pair));
        assert!(caught.is_err());
        // The option of the decoding that panicked was at this address.
        assert_eq!(from_frame::<(Defaults, u8)>(&pair), Ok((Defaults::default(), 1)));
        assert_eq!(from_frame::<(Option<Defaults>, u8)>(&pair), Ok((None, 1)));
        let empty = Bytes::from_static(b"*1\r\n*0\r\n");
        assert_eq!(from_frame::<Vec<Option<Person>>>(&empty), Ok(vec![None]));
        for frame in &frames {
            let expected = OnlyTexts { age: "41".to_owned(), name: 7 };
            assert_eq!(from_frame::<Texts>(frame), Ok(Texts { texts: expected }));
        }
    }
}
