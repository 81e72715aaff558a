//! Any bytes through the RESP scanner and the typed decoder.
//!
//! The first byte says how many chunk lengths follow (0 to 3), the rest is what a server sends.
//! Checked: nothing panics; the frames do not depend on the chunks, the pushes inside of others
//! neither; a frame that the scanner accepts ends where the decoder ends; the text of an error
//! stays short.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use slotcar_core::fuzz_api::{decode_list, frames, kind, server_error};
use slotcar_core::{Blob, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Small, so that inputs reach the limits.
const REPLY_BYTES_MAX: usize = 1000;
const REPLY_DEPTH_MAX: usize = 9;

/// Frames of one input that are decoded: more cost time and find nothing.
const DECODED_MAX: usize = 12;

pub(crate) fn run(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else { return };
    let Some((chunks, stream)) = rest.split_at_checked(usize::from(count % 4)) else { return };
    let chunks: Vec<usize> = chunks.iter().copied().map(usize::from).collect();
    let stream = Bytes::copy_from_slice(stream);

    let (whole, error) = frames(&stream, &[], REPLY_BYTES_MAX, REPLY_DEPTH_MAX);
    let (chunked, chunked_error) = frames(&stream, &chunks, REPLY_BYTES_MAX, REPLY_DEPTH_MAX);
    assert_eq!(whole, chunked);
    assert_eq!(error.is_some(), chunked_error.is_some(), "{error:?} {chunked_error:?}");
    assert!(whole.iter().all(|frame| frame.len() <= REPLY_BYTES_MAX));
    for frame in whole.iter().take(DECODED_MAX) {
        assert!(!frame.starts_with(b"|") || kind(frame) != 2, "no push behind attributes");
        if let Err(text) = slotcar_core::fuzz_api::decode::<IgnoredAny>(frame) {
            assert!(text.starts_with("server error"), "{text}");
        }
        decode_as_everything(frame);
    }
    decode_as_everything(&stream);
    let values = decode_list::<Vec<Value>>(&whole);
    assert!(values.is_err() || values.is_ok_and(|values| values.len() == whole.len()));
    let _ = decode_list::<(u64, Option<Blob>)>(&whole);
    let _ = decode_list::<Sample>(&whole);
    let _ = decode_list::<()>(&whole);
}

/// Checks only that it returns, and how long an error is.
fn decode<T: DeserializeOwned>(frame: &Bytes) {
    if let Err(text) = slotcar_core::fuzz_api::decode::<T>(frame) {
        assert!(text.len() < 250 || text.starts_with("server error"), "{text}");
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

fn decode_as_everything(frame: &Bytes) {
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
    let _ = kind(frame);
    let _ = server_error(frame);
}
