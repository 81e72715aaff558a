//! Whether a type fits depends on the type and on the shape of the reply: not on how many elements
//! happen to be there, nor on the protocol.

use super::*;
use crate::resp::blob::Blob;
use crate::resp::value::Value;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

fn decode<T: DeserializeOwned>(frame: &str) -> Result<T, DecodeError> {
    from_frame(&Bytes::copy_from_slice(frame.as_bytes()))
}

/// Every frame gives `expected`.
fn all<T: DeserializeOwned + Debug + PartialEq>(frames: &[&str], expected: &T) {
    for frame in frames {
        match decode::<T>(frame) {
            Ok(value) => assert_eq!(value, *expected, "{frame:?}"),
            Err(error) => panic!("{frame:?}: {error}"),
        }
    }
}

fn fails<T: DeserializeOwned + Debug>(frame: &str) -> String {
    decode::<T>(frame).expect_err("a frame that does not fit").to_string()
}

/// `ZRANGE .. WITHSCORES` of so many members, over RESP2 and RESP3.
fn with_scores(members: usize) -> [String; 2] {
    let names = &["a", "b", "c"][..members];
    let flat: String = names.iter().map(|name| format!("$1\r\n{name}\r\n$1\r\n1\r\n")).collect();
    let nested: String = names.iter().map(|name| format!("*2\r\n$1\r\n{name}\r\n,1\r\n")).collect();
    [format!("*{}\r\n{flat}", 2 * members), format!("*{members}\r\n{nested}")]
}

#[test]
fn arrays_of_bytes_are_bytes_at_every_size() {
    let frame = "*3\r\n$2\r\n12\r\n$2\r\n34\r\n$2\r\n56\r\n";
    all(&[frame], &vec![*b"12", *b"34", *b"56"]);
    all(&["*2\r\n$3\r\n123\r\n$3\r\n456\r\n"], &vec![*b"123", *b"456"]);
    all(&["*1\r\n$2\r\n12\r\n"], &vec![*b"12"]);
    assert!(fails::<Vec<(u8, u8)>>("*1\r\n$2\r\n12\r\n").contains("element 0"));
    let error = fails::<[u8; 4]>("$2\r\n12\r\n");
    assert_eq!(error, "expected 4 bytes, got 2 in bulk string \"12\", while decoding [u8; 4]");
}

#[test]
fn pairs_of_a_list_are_the_same_from_both_protocols() {
    for members in 0..=3 {
        for frame in with_scores(members) {
            let names = &["a", "b", "c"][..members];
            let pairs: Vec<_> = names.iter().map(|name| (name.to_string(), 1.0)).collect();
            let flat = names.iter().flat_map(|name| [name.to_string(), "1".to_owned()]);
            let flat: Vec<_> = flat.collect();
            let bytes: Vec<_> = flat.iter().map(|text| text.clone().into_bytes()).collect();
            all(&[&frame], &pairs);
            all(&[&frame], &pairs.iter().cloned().collect::<BTreeMap<_, _>>());
            all(&[&frame], &flat);
            all(&[&frame], &bytes);
            let value: Value = decode(&frame).expect("any reply fits");
            let found = value.pairs().expect("pairs");
            let found =
                found.iter().map(|(k, v)| (k.as_str().unwrap().to_owned(), v.as_f64().unwrap()));
            assert_eq!(found.collect::<Vec<_>>(), pairs, "{frame:?}");
            let last = names.last().map(|name| value.get(name).and_then(Value::as_i64));
            assert_eq!(last.unwrap_or(Some(1)), Some(1), "{frame:?}");
        }
    }
    for frame in with_scores(1) {
        all(&[&frame], &("a".to_owned(), 1.0));
        all(&[&frame], &(("a".to_owned(), 1.0),));
        let error = fails::<(String, f64, String)>(&frame);
        assert!(error.starts_with("expected a tuple of size 3, got array of"), "{error}");
    }
    for frame in with_scores(2) {
        all(&[&frame], &[("a".to_owned(), 1.0), ("b".to_owned(), 1.0)]);
        assert!(fails::<(String, f64)>(&frame).starts_with("expected a tuple of size 2"));
    }
    // Lists of integers are no pairs, whatever their number.
    for frame in ["*1\r\n*2\r\n:1\r\n:2\r\n", "*1\r\n*3\r\n:1\r\n:2\r\n:3\r\n"] {
        assert!(fails::<Vec<i64>>(frame).contains("in element 0"));
    }
}

#[test]
fn the_text_of_every_scalar_is_its_bytes() {
    let hello = ["$5\r\nhello\r\n", "+hello\r\n", "=9\r\ntxt:hello\r\n"];
    all(&hello, &b"hello".to_vec());
    all(&hello, b"hello");
    all(&[",1.5\r\n", "$3\r\n1.5\r\n"], &b"1.5".to_vec());
    all(&["#t\r\n", ":1\r\n"], &b"1".to_vec());
    all(&["#t\r\n", ":1\r\n"], &"1".to_owned());
    all(&["#t\r\n", ":1\r\n"], &Blob::from("1"));
    assert!(fails::<Vec<String>>("+OK\r\n").contains("got simple string \"OK\""));
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Defaults {
    age: u8,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Flat {
    name: String,
    active: bool,
    #[serde(flatten)]
    more: More,
}

#[derive(Debug, Deserialize, PartialEq)]
struct More {
    age: u8,
    ratio: f64,
    code: String,
    is_new: bool,
}

#[test]
fn an_option_of_what_has_fields_is_none_for_an_empty_reply() {
    let empty = ["*0\r\n", "%0\r\n"];
    all(&empty, &None::<Defaults>);
    all(&empty, &None::<Flat>);
    all(&empty, &None::<(String, f64)>);
    all(&empty, &Some(Vec::<String>::new()));
    all(&empty, &Some(HashMap::<String, u8>::new()));
    all(
        &["*3\r\n*0\r\n%1\r\n$3\r\nage\r\n$1\r\n7\r\n*0\r\n"],
        &vec![None, Some(Defaults { age: 7 }), None],
    );
    all(&empty, &Defaults::default());
}

/// A hash over RESP2 and RESP3.
fn hash(fields: &[(&str, &str)]) -> [String; 2] {
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let all: String = fields.iter().map(|(k, v)| bulk(k) + &bulk(v)).collect();
    [format!("*{}\r\n{all}", 2 * fields.len()), format!("%{}\r\n{all}", fields.len())]
}

#[test]
fn flattened_numbers_are_read_from_a_hash() {
    let fields = [
        ("name", "7"),
        ("active", "1"),
        ("age", "41"),
        ("ratio", "1.5"),
        ("code", "007"),
        ("is_new", "0"),
    ];
    for frame in hash(&fields) {
        let more = More { age: 41, ratio: 1.5, code: "007".to_owned(), is_new: false };
        all(&[&frame], &Flat { name: "7".to_owned(), active: true, more });
        let error = fails::<Flat>(&frame.replace("41", "4x"));
        assert!(error.contains("expected u8, got string \"4x\""), "{error}");
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "kind")]
enum Tagged {
    Circle { radius: f64 },
    Square { side: u64 },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Untagged {
    Circle { radius: f64 },
    Square { side: u64 },
    Number(i64),
    List(Vec<String>),
    Text(String),
}

#[test]
fn enums_are_the_same_from_both_protocols_with_numbers() {
    for frame in hash(&[("kind", "Circle"), ("radius", "1.5")]) {
        all(&[&frame], &Tagged::Circle { radius: 1.5 });
        all(&[&frame], &Untagged::Circle { radius: 1.5 });
    }
    for frame in hash(&[("kind", "Square"), ("side", "2")]) {
        all(&[&frame], &Some(Tagged::Square { side: 2 }));
        all(&[&frame], &Untagged::Square { side: 2 });
    }
    all(&["$2\r\n42\r\n", ":42\r\n"], &Untagged::Number(42));
    all(&["$3\r\n1.5\r\n", ",1.5\r\n"], &Untagged::Text("1.5".to_owned()));
    let list = |texts: &[&str]| Untagged::List(texts.iter().map(ToString::to_string).collect());
    all(&["*1\r\n+a\r\n", "~1\r\n+a\r\n"], &list(&["a"]));
    all(&["*2\r\n+a\r\n+b\r\n"], &list(&["a", "b"]));
    all(&["*3\r\n+a\r\n+b\r\n+c\r\n"], &list(&["a", "b", "c"]));
}

#[test]
fn what_takes_anything_is_shown_the_same_by_both_protocols() {
    for frame in hash(&[("a", "1"), ("b", "x")]) {
        all(&[&frame], &serde_json::json!(["a", "1", "b", "x"]));
        let map = HashMap::from([("a".to_owned(), "1".into()), ("b".to_owned(), "x".into())]);
        all::<HashMap<String, serde_json::Value>>(&[&frame], &map);
    }
    all(&[",1.5\r\n", "$3\r\n1.5\r\n"], &serde_json::json!("1.5"));
    all(&["#t\r\n", ":1\r\n"], &serde_json::json!(1));
}

#[test]
fn accessors_are_the_same_for_both_protocols() {
    let same = |frames: [&str; 2]| {
        let [old, new] = frames.map(|frame| decode::<Value>(frame).expect("any reply fits"));
        assert_eq!(old.as_i64(), new.as_i64(), "{frames:?}");
        assert_eq!(old.as_f64(), new.as_f64(), "{frames:?}");
        assert_eq!(old.as_bool(), new.as_bool(), "{frames:?}");
        assert_eq!(old.to_text(), new.to_text(), "{frames:?}");
    };
    same([":1\r\n", "#t\r\n"]);
    same([":0\r\n", "#f\r\n"]);
    for number in ["3", "1", "1.5", "-0.25", "inf", "-inf", "1e+17", "1.5e-07"] {
        same([&format!("${}\r\n{number}\r\n", number.len()), &format!(",{number}\r\n")]);
    }
    same(["$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"]);
    same(["*-1\r\n", "_\r\n"]);
}

#[test]
fn replies_of_commands_never_become_defaults() {
    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Both {
        left: i64,
        right: i64,
    }
    let frames = [":1\r\n", ":2\r\n", ":3\r\n"].map(Bytes::from);
    assert_eq!(from_frames(&frames[..2]), Ok(Both { left: 1, right: 2 }));
    let error = from_frames::<Both>(&frames[..1]).expect_err("too few").to_string();
    assert!(error.starts_with("expected a reply for each part of Both, got 1 reply"), "{error}");
    assert!(from_frames::<Both>(&frames).is_err());
    let inner = [Bytes::from_static(b"*1\r\n-ERR no\r\n")];
    assert!(from_frames::<()>(&inner).is_err_and(|error| error.server_error().is_some()));
    let error = from_frames::<i64>(&frames[..1]).expect_err("a list").to_string();
    assert_eq!(error, "expected i64, got a list of 1 replies; a tuple, a struct or Vec<T> fits");
}
