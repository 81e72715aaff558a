//! What holds for all frames, all chunkings and all bytes, not only for those thought of.
//!
//! A writer of frames stands here, apart from the code under test: `Value` to RESP3, with
//! attributes where they may stand. `connection/reader/properties.rs` uses it, too, and tests what
//! holds for pushes inside of frames. Test code only.

use super::*;
use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const LIMITS: ScanLimits = ScanLimits { reply_bytes_max: 1 << 16, reply_depth_max: 32 };

/// Writes `value` as RESP3, and an attribute before each value whose turn in `attributes` says so.
fn write(out: &mut Vec<u8>, value: &Value, attributes: &mut impl Iterator<Item = bool>) {
    if attributes.next() == Some(true) {
        out.extend_from_slice(b"|1\r\n+k\r\n*2\r\n$1\r\nv\r\n|1\r\n#t\r\n_\r\n:1\r\n");
    }
    let mut line = |text: String| out.extend_from_slice(text.as_bytes());
    match value {
        Value::BigNumber(digits) => line(format!("({digits}\r\n")),
        Value::Bool(truth) => line(format!("#{}\r\n", if *truth { 't' } else { 'f' })),
        Value::Double(number) => line(format!(",{number}\r\n")),
        Value::Error(error) => line(format!("-{error}\r\n")),
        Value::Int(number) => line(format!(":{number}\r\n")),
        Value::Null => line("_\r\n".to_owned()),
        Value::Text(text) => line(format!("+{text}\r\n")),
        Value::Blob(bytes) => {
            line(format!("${}\r\n", bytes.len()));
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Value::Verbatim { format, text } => {
            line(format!("={}\r\n", text.len() + 4));
            out.extend_from_slice(format);
            out.push(b':');
            out.extend_from_slice(text);
            out.extend_from_slice(b"\r\n");
        }
        Value::Map(pairs) => {
            line(format!("%{}\r\n", pairs.len()));
            for (key, value) in pairs {
                write(out, key, attributes);
                write(out, value, attributes);
            }
        }
        Value::Array(elements) | Value::Set(elements) | Value::Push(elements) => {
            let kind = match value {
                Value::Array(_) => '*',
                Value::Set(_) => '~',
                _ => '>',
            };
            line(format!("{kind}{}\r\n", elements.len()));
            elements.iter().for_each(|element| write(out, element, attributes));
        }
    }
}

/// Any reply; no push, which the scanner would lift out of what surrounds it.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let bytes = || vec(any::<u8>(), 0..40).prop_map(Blob::from);
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i128>().prop_map(|number| Value::BigNumber(number.to_string())),
        any::<f64>().prop_filter("NaN equals nothing", |x| !x.is_nan()).prop_map(Value::Double),
        "[ -~\u{e4}\u{20ac}]{0,20}".prop_map(Value::Text),
        "[A-Z]{1,9}( [ -~]{0,20})?"
            .prop_map(|text| { Value::Error(ServerError::from_text(text.as_bytes())) }),
        bytes().prop_map(Value::Blob),
        bytes().prop_map(|text| Value::Verbatim { format: *b"txt", text }),
    ];
    scalar.prop_recursive(5, 60, 6, |inner| {
        let list = || vec(inner.clone(), 0..6);
        prop_oneof![
            list().prop_map(Value::Array),
            list().prop_map(Value::Set),
            vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Map),
        ]
    })
}

/// `value` as one frame.
pub(crate) fn frame_of(value: &Value, attributes: &[bool]) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value, &mut attributes.iter().copied());
    out
}

/// The lengths of the frames in `stream`, which comes in `chunks`, and the error that ended it.
fn scan(stream: &[u8], chunks: &[usize]) -> (Vec<usize>, Option<ScanError>) {
    let mut scanner = Scanner::new(LIMITS);
    let (mut start, mut end, mut frames) = (0, 0, Vec::new());
    let mut chunks = chunks.iter().cycle();
    loop {
        match scanner.scan(&stream[start..end]) {
            Ok(Found::Frame(length)) => {
                frames.push(length);
                start += length;
            }
            Ok(Found::Incomplete) if end == stream.len() => return (frames, None),
            Ok(Found::Lifted(_)) => {}
            Ok(Found::Incomplete) => {
                let chunk = chunks.next().copied().unwrap_or(usize::MAX);
                end = end.saturating_add(chunk).min(stream.len());
            }
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// Decodes into `T`; only that it returns, and what an error says, is looked at.
fn decode<T: DeserializeOwned>(frame: &Bytes) {
    if let Err(error) = from_frame::<T>(frame) {
        let text = error.to_string();
        let own_words = error.server_error().map_or(0, |error| error.to_string().len());
        assert!(text.len() < 400 + own_words, "{text}");
    }
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded, never read")]
struct Sample {
    a: u64,
    b: Option<String>,
    #[serde(default)]
    rest: Vec<(String, f64)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "decoded, never read")]
enum Tree {
    Leaf(String),
    Number(f64),
    Pairs(BTreeMap<String, Tree>),
    Nodes(Vec<Tree>),
}

#[derive(Deserialize)]
enum Word {
    #[serde(rename = "OK")]
    Ok,
}

/// Every kind of type there is.
pub(crate) fn decode_as_everything(frame: &Bytes) {
    decode::<()>(frame);
    decode::<bool>(frame);
    decode::<char>(frame);
    decode::<u8>(frame);
    decode::<i64>(frame);
    decode::<u128>(frame);
    decode::<f64>(frame);
    decode::<String>(frame);
    decode::<Blob>(frame);
    decode::<Value>(frame);
    decode::<Vec<u8>>(frame);
    decode::<[u8; 4]>(frame);
    decode::<Vec<Blob>>(frame);
    decode::<Option<Vec<Option<String>>>>(frame);
    decode::<Vec<Vec<(Blob, Value)>>>(frame);
    decode::<(u64, Vec<(String, f64)>)>(frame);
    decode::<BTreeSet<String>>(frame);
    decode::<HashMap<String, Blob>>(frame);
    decode::<HashMap<u16, HashMap<String, i32>>>(frame);
    decode::<Sample>(frame);
    decode::<Vec<Sample>>(frame);
    decode::<Tree>(frame);
    decode::<Word>(frame);
    decode::<serde_json::Value>(frame);
    decode::<serde::de::IgnoredAny>(frame);
    frame_kind(frame);
    if let Some(error) = ServerError::from_frame(frame) {
        let _ = error.redirect().map(|redirect| redirect.map_err(|error| error.to_string()));
    }
}

/// Bytes that look like RESP more often than chance would have it.
pub(crate) fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        5 => "[-+:$*_,#!=(~%>|][0-9]{0,2}\r\n".prop_map(String::into_bytes),
        2 => "[-+:,#(][ -~]{0,6}\r\n".prop_map(String::into_bytes),
        1 => Just(b"$3\r\nabc\r\n".to_vec()),
        1 => Just(b"*-1\r\n".to_vec()),
        1 => Just(b"-MOVED 1 :1\r\n".to_vec()),
        1 => vec(any::<u8>(), 0..5),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_value_comes_back_as_it_was_written(
        value in any_value(),
        attributes in vec(any::<bool>(), 0..20),
    ) {
        let frame = frame_of(&value, &attributes);
        prop_assert_eq!(scan(&frame, &[]), (vec![frame.len()], None));
        prop_assert_eq!(from_frame::<Value>(&frame.into()).expect("any reply fits"), value);
    }

    #[test]
    fn any_chunking_gives_the_same_frames(
        values in vec((any_value(), vec(any::<bool>(), 0..5)), 0..6),
        chunks in vec(1_usize..50, 1..20),
    ) {
        let frames: Vec<_> = values.iter().map(|(value, turns)| frame_of(value, turns)).collect();
        let lengths: Vec<_> = frames.iter().map(Vec::len).collect();
        let stream = frames.concat();
        prop_assert_eq!(scan(&stream, &chunks), (lengths.clone(), None));
        prop_assert_eq!(scan(&stream, &[1]), (lengths, None));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop_oneof![vec(any::<u8>(), 0..60), soup()]) {
        decode_as_everything(&bytes.into());
    }

    #[test]
    fn mutated_frames_do_not_make_anything_panic(
        value in any_value(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut frame = frame_of(&value, &[true]);
        for (index, byte, change) in changes {
            let at = index.index(frame.len() + 1);
            match change {
                0 => frame.insert(at, byte),
                1 if at < frame.len() => frame[at] = byte,
                _ => frame.truncate(at),
            }
        }
        let (frames, _) = scan(&frame, &[]);
        let mut rest = Bytes::from(frame);
        decode_as_everything(&rest);
        for length in frames {
            decode_as_everything(&rest.split_to(length));
        }
    }

    #[test]
    fn a_command_reads_back_as_its_arguments(arguments in vec(vec(any::<u8>(), 0..120), 1..120)) {
        let mut out = Vec::new();
        put_array_head(&mut out, arguments.len());
        for argument in &arguments {
            let before = out.len();
            put_bulk(&mut out, argument);
            prop_assert_eq!(out.len() - before, bulk_bytes(argument.len()));
        }
        prop_assert_eq!(scan(&out, &[]), (vec![out.len()], None));
        let read: Vec<Blob> = from_frame(&out.into()).expect("an array of bulks");
        prop_assert!(read.iter().map(|blob| &blob[..]).eq(arguments.iter().map(|a| &a[..])));
    }

    #[test]
    fn a_map_reads_the_same_in_all_three_forms(map in btree_map("[a-z]{0,9}", any::<u64>(), 0..9)) {
        let (mut resp3, mut flat, mut nested) = (Vec::new(), Vec::new(), Vec::new());
        resp3.extend_from_slice(format!("%{}\r\n", map.len()).as_bytes());
        put_array_head(&mut flat, 2 * map.len());
        put_array_head(&mut nested, map.len());
        for (key, number) in &map {
            put_bulk(&mut resp3, key.as_bytes());
            resp3.extend_from_slice(format!("({number}\r\n").as_bytes());
            put_array_head(&mut nested, 2);
            for out in [&mut flat, &mut nested] {
                put_bulk(out, key.as_bytes());
                put_bulk(out, number.to_string().as_bytes());
            }
        }
        let list: Vec<(String, u64)> = map.clone().into_iter().collect();
        for frame in [resp3, flat, nested].map(Bytes::from) {
            prop_assert_eq!(&from_frame::<BTreeMap<String, u64>>(&frame).expect("a map"), &map);
            prop_assert_eq!(&from_frame::<Vec<(String, u64)>>(&frame).expect("pairs"), &list);
        }
    }
}

#[test]
fn the_ways_that_do_not_fail_stay_small() {
    assert_eq!(size_of::<DecodeError>(), size_of::<usize>());
    assert!(size_of::<Value>() <= 40, "{}", size_of::<Value>());
}
