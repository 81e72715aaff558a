//! What holds for pushes wherever they stand, and for all bytes in every way of cutting them.
//!
//! A push is put between any two elements of replies, at any depth, also inside of attributes and
//! of other pushes: no reply changes, and all pushes come, whole and in order. Test code only.

use super::*;
use crate::Value;
use crate::resp::properties::{any_value, decode_as_everything, frame_of, soup};
use crate::resp::{FrameKind, frame_kind, from_frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const LIMITS: ScanLimits = ScanLimits { reply_bytes_max: 1 << 16, reply_depth_max: 32 };

/// The frames of a stream that is read in pieces of these lengths, repeated, and the error that
/// ended it.
fn read(stream: &[u8], pieces: &[usize]) -> (Vec<Bytes>, Option<ScanError>) {
    read_within(LIMITS, stream, pieces)
}

/// As [`read`], with these limits.
fn read_within(
    limits: ScanLimits,
    mut stream: &[u8],
    pieces: &[usize],
) -> (Vec<Bytes>, Option<ScanError>) {
    let (mut reader, mut frames) = (Reader::new(limits), Vec::new());
    let mut pieces = pieces.iter().cycle();
    while !stream.is_empty() {
        let space = reader.space();
        let piece = pieces.next().copied().unwrap_or(usize::MAX);
        let count = piece.min(stream.len()).min(space.len());
        space[..count].copy_from_slice(&stream[..count]);
        stream = &stream[count..];
        let scanned = reader.scan(count);
        frames.extend(reader.frames());
        if let Err(error) = scanned {
            return (frames, Some(error));
        }
    }
    (frames, None)
}

/// Where elements begin in a stream of whole frames; and its end.
fn boundaries(stream: &[u8]) -> Vec<usize> {
    let (mut at, mut all) = (0, vec![0]);
    while at < stream.len() {
        let line = at + stream[at..].windows(2).position(|two| two == b"\r\n").expect("a line");
        let text = std::str::from_utf8(&stream[at + 1..line]);
        let bytes = match stream[at] {
            b'$' | b'=' | b'!' if text != Ok("?") => text.expect("digits").parse().unwrap_or(0) + 2,
            b';' if text != Ok("0") => text.expect("digits").parse::<usize>().expect("digits") + 2,
            _ => 0_usize,
        };
        at = line + 2 + bytes;
        all.push(at);
    }
    all
}

/// Replies, and pushes that were put among their elements.
struct Stream {
    /// What the server sends.
    bytes: Vec<u8>,
    /// Each reply and each push, and where it ends.
    frames: Vec<(usize, Vec<u8>)>,
}

impl Stream {
    fn of(replies: &[Vec<u8>]) -> Self {
        let mut all = Self { bytes: Vec::new(), frames: Vec::new() };
        for reply in replies {
            all.bytes.extend_from_slice(reply);
            all.frames.push((all.bytes.len(), reply.clone()));
        }
        all
    }

    fn insert(&mut self, push: &[u8], at: usize) {
        self.bytes.splice(at..at, push.iter().copied());
        for (end, _) in self.frames.iter_mut().filter(|(end, _)| *end > at) {
            *end += push.len();
        }
        self.frames.push((at + push.len(), push.to_vec()));
    }

    /// What is delivered, in order: a frame comes when it is complete.
    fn expected(&self) -> Vec<Bytes> {
        let mut frames = self.frames.clone();
        frames.sort_by_key(|(end, _)| *end);
        frames.into_iter().map(|(_, frame)| Bytes::from(frame)).collect()
    }
}

const MESSAGE: &[u8] = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n";
const OTHER: &[u8] = b">2\r\n+invalidate\r\n*1\r\n|1\r\n+k\r\n+v\r\n$-1\r\n";

/// Every boundary of every type, every place to cut, and every size of pieces.
#[test]
fn a_push_anywhere_changes_no_reply_however_it_is_cut() {
    let replies: &[&[u8]] = &[
        b"*2\r\n:1\r\n*2\r\n$3\r\na\r\n\r\n*1\r\n_\r\n",
        b"|1\r\n+k\r\n*1\r\n:7\r\n%1\r\n+a\r\n|1\r\n+b\r\n:1\r\n~1\r\n-ERR x\r\n",
        b"*3\r\n*0\r\n!3\r\nERR\r\n=5\r\ntxt:a\r\n",
    ];
    for reply in replies {
        let frames = [b"+before\r\n".to_vec(), reply.to_vec(), b":2\r\n".to_vec()];
        for at in boundaries(&frames.concat()) {
            for pushes in [vec![MESSAGE], vec![OTHER, MESSAGE]] {
                let mut stream = Stream::of(&frames);
                pushes.iter().for_each(|push| stream.insert(push, at));
                let shown = stream.bytes.escape_ascii();
                for cut in 1..=stream.bytes.len() {
                    for pieces in [&[cut, usize::MAX][..], &[cut]] {
                        let (got, error) = read(&stream.bytes, pieces);
                        assert_eq!(error, None, "{shown}");
                        assert_eq!(got, stream.expected(), "{shown} in pieces of {pieces:?}");
                    }
                }
            }
        }
    }
}

/// Inside of one another, too.
#[test]
fn pushes_inside_of_pushes_are_delivered_each_by_itself() {
    for first in boundaries(b"*2\r\n:1\r\n:2\r\n") {
        let mut once = Stream::of(&[b"*2\r\n:1\r\n:2\r\n".to_vec()]);
        once.insert(MESSAGE, first);
        for second in boundaries(&once.bytes) {
            let mut stream = Stream { bytes: once.bytes.clone(), frames: once.frames.clone() };
            stream.insert(OTHER, second);
            for piece in 1..=stream.bytes.len() {
                let (got, error) = read(&stream.bytes, &[piece]);
                assert_eq!((got, error), (stream.expected(), None), "{first} {second} {piece}");
            }
        }
    }
}

/// A reply that never ends takes no memory for the pushes in it, and they come while it lasts.
#[test]
fn pushes_without_end_inside_of_a_reply_take_no_memory() {
    let mut reader = Reader::new(LIMITS);
    let mut feed = |bytes: &[u8]| {
        reader.space()[..bytes.len()].copy_from_slice(bytes);
        reader.scan(bytes.len()).expect("a reply that goes on");
        (reader.frames().collect::<Vec<_>>(), reader.chunk.len())
    };
    assert_eq!(feed(b"*2\r\n:1\r\n").0, Vec::<Bytes>::new());
    let before = feed(MESSAGE).1;
    for _ in 0..10_000 {
        let (frames, size) = feed(&[MESSAGE, OTHER].concat());
        assert_eq!(frames, [MESSAGE, OTHER]);
        assert!(size <= before, "{size} bytes");
    }
    assert_eq!(feed(b":2\r\n").0, [&b"*2\r\n:1\r\n:2\r\n"[..]]);
}

/// The same number of bytes costs about the same, however many pushes are in it.
#[test]
fn a_large_reply_full_of_pushes_is_read_in_pieces() {
    let elements = 20_000;
    let mut stream = format!("*{elements}\r\n").into_bytes();
    for _ in 0..elements {
        stream.extend_from_slice(b":1\r\n");
        stream.extend_from_slice(MESSAGE);
    }
    let limits = ScanLimits { reply_bytes_max: 100_000, ..LIMITS };
    let (mut reader, mut pushes, mut replies) = (Reader::new(limits), 0, Vec::new());
    // The last push is behind the reply.
    for piece in stream.chunks(1400) {
        let mut piece = piece;
        while !piece.is_empty() {
            let space = reader.space();
            let count = piece.len().min(space.len());
            space[..count].copy_from_slice(&piece[..count]);
            piece = &piece[count..];
            reader.scan(count).expect("frames");
            for frame in reader.frames() {
                if frame == MESSAGE { pushes += 1 } else { replies.push(frame) }
            }
        }
    }
    assert_eq!(pushes, elements);
    let expected = [format!("*{elements}\r\n"), ":1\r\n".repeat(elements)].concat();
    assert_eq!(replies, [expected]);
}

/// What came before an error is delivered: replies and pushes.
#[test]
fn pushes_before_an_error_are_not_lost() {
    let (frames, error) = read(&[b"*2\r\n", MESSAGE, b":1\r\nHELLO"].concat(), &[]);
    assert_eq!(frames, [MESSAGE]);
    assert_eq!(error, Some(ScanError::Type { byte: b'H' }));
}

/// Copies the value of `frame` at `at`, and streams each string, list, set and map whose turn it
/// is.
fn stream(frame: &[u8], at: &mut usize, turns: &mut impl Iterator<Item = bool>, out: &mut Vec<u8>) {
    let line = *at + frame[*at..].windows(2).position(|two| two == b"\r\n").expect("a line");
    let kind = frame[*at];
    let size = std::str::from_utf8(&frame[*at + 1..line]).ok().and_then(|text| text.parse().ok());
    let header = &frame[*at..line + 2];
    *at = line + 2;
    let Some(size) = size.filter(|_: &usize| b"$=!*~>%|".contains(&kind)) else {
        return out.extend_from_slice(header);
    };
    let turn = b"$*~%".contains(&kind) && turns.next() == Some(true);
    let unsized_header = [kind, b'?', b'\r', b'\n'];
    out.extend_from_slice(if turn { &unsized_header } else { header });
    if b"$=!".contains(&kind) {
        let text = &frame[*at..*at + size];
        *at += size + 2;
        if !turn {
            out.extend_from_slice(text);
            return out.extend_from_slice(b"\r\n");
        }
        for chunk in text.chunks(7) {
            out.extend_from_slice(format!(";{}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        return out.extend_from_slice(b";0\r\n");
    }
    for _ in 0..if b"%|".contains(&kind) { 2 * size } else { size } {
        stream(frame, at, turns, out);
    }
    if turn {
        out.extend_from_slice(b".\r\n");
    }
    if kind == b'|' {
        stream(frame, at, turns, out);
    }
}

fn streamed(frame: &[u8], turns: impl Iterator<Item = bool>) -> Vec<u8> {
    let (mut at, mut out, mut turns) = (0, Vec::new(), turns);
    stream(frame, &mut at, &mut turns, &mut out);
    assert_eq!(at, frame.len());
    out
}

/// Every place for a push among the parts of streamed types, also one that is streamed itself, and
/// every size of pieces.
#[test]
fn streamed_types_are_plain_ones_with_pushes_between_their_parts() {
    let plain: [&[u8]; 3] = [
        b"*2\r\n$9\r\nabcdefghi\r\n%1\r\n+k\r\n~1\r\n:1\r\n",
        b"|1\r\n+k\r\n*1\r\n:7\r\n*1\r\n|1\r\n+b\r\n:1\r\n$1\r\nx\r\n",
        b"$8\r\n.\r\n;0\r\n.\r\n",
    ];
    let (push, sent_push) = (OTHER, streamed(OTHER, std::iter::repeat(true)));
    for reply in plain {
        let sent = streamed(reply, std::iter::repeat(true));
        for at in boundaries(&sent) {
            let mut bytes = sent.clone();
            bytes.splice(at..at, sent_push.iter().copied());
            let stream = [&b"+before\r\n"[..], &bytes, b"*1\r\n:2\r\n"].concat();
            let order = if at == sent.len() { [reply, push] } else { [push, reply] };
            let expected = [&b"+before\r\n"[..], order[0], order[1], b"*1\r\n:2\r\n"];
            for piece in 1..=stream.len() {
                let (got, error) = read(&stream, &[piece]);
                let shown = stream.escape_ascii();
                assert_eq!((&got[..], error), (&expected.map(Bytes::from)[..], None), "{shown}");
            }
        }
    }
}

/// The frames before a malformed one come, and nothing after it.
#[test]
fn a_malformed_streamed_type_ends_the_stream_there() {
    let bad = b"%?\r\n:1\r\n.\r\n";
    let stream = [b"*?\r\n.\r\n", &bad[..], b"*?\r\n.\r\n"].concat();
    for piece in 1..=stream.len() {
        let (frames, error) = read(&stream, &[piece]);
        assert_eq!(frames, [&b"*0\r\n"[..]], "in pieces of {piece}");
        assert_eq!(error, Some(ScanError::StreamedPart { kind: b'%' }), "in pieces of {piece}");
    }
}

proptest! {
    #[test]
    fn pushes_anywhere_change_no_reply(
        values in vec((any_value(), vec(any::<bool>(), 0..9)), 1..4),
        pushes in vec((vec(any_value(), 0..4), vec(any::<bool>(), 0..9), any::<Index>()), 1..6),
        pieces in vec(1_usize..70, 1..9),
    ) {
        let frames: Vec<_> = values.iter().map(|(value, turns)| frame_of(value, turns)).collect();
        let mut stream = Stream::of(&frames);
        for (elements, turns, index) in &pushes {
            let turns = [&[false], &turns[..]].concat();
            let push = frame_of(&Value::Push(elements.clone()), &turns);
            let places = boundaries(&stream.bytes);
            stream.insert(&push, places[index.index(places.len())]);
        }
        let expected = stream.expected();
        for pieces in [&[][..], &[1], &pieces] {
            let (got, error) = read(&stream.bytes, pieces);
            prop_assert_eq!(error, None);
            prop_assert_eq!(&got, &expected);
        }
        let replies = expected.iter().filter(|frame| frame_kind(frame) != FrameKind::Push);
        for (reply, (value, _)) in replies.zip(&values) {
            prop_assert_eq!(&from_frame::<Value>(reply).expect("any reply fits"), value);
        }
    }

    #[test]
    fn streamed_replies_are_the_plain_ones(
        values in vec((any_value(), vec(any::<bool>(), 0..9)), 1..4),
        turns in vec(any::<bool>(), 1..9),
        pushes in vec(any::<Index>(), 0..4),
        pieces in vec(1_usize..70, 1..9),
    ) {
        let plain: Vec<_> = values.iter().map(|(value, turns)| frame_of(value, turns)).collect();
        let mut turns = turns.into_iter().cycle();
        let mut stream: Vec<u8> =
            plain.iter().flat_map(|frame| streamed(frame, &mut turns)).collect();
        for index in &pushes {
            let places = boundaries(&stream);
            let at = places[index.index(places.len())];
            stream.splice(at..at, MESSAGE.iter().copied());
        }
        for pieces in [&[][..], &[1], &pieces] {
            let (got, error) = read(&stream, pieces);
            prop_assert_eq!(error, None);
            let (messages, replies): (Vec<_>, Vec<_>) =
                got.into_iter().partition(|frame| frame == MESSAGE);
            prop_assert_eq!(messages.len(), pushes.len());
            prop_assert_eq!(&replies, &plain);
        }
    }

    /// What a reader delivers before it says that a limit is exceeded is no matter of the cut.
    #[test]
    fn a_limit_is_exceeded_at_the_same_place_however_it_is_cut(
        value in any_value(),
        turns in vec(any::<bool>(), 1..9),
        pushes in vec((vec(any_value(), 0..3), any::<Index>()), 1..12),
        reply_bytes_max in 1_usize..150,
        reply_depth_max in 0_usize..6,
        pieces in vec(1_usize..70, 1..9),
    ) {
        let mut stream = streamed(&frame_of(&value, &turns), turns.iter().copied().cycle());
        for (elements, index) in &pushes {
            let places = boundaries(&stream);
            let at = places[index.index(places.len())];
            stream.splice(at..at, frame_of(&Value::Push(elements.clone()), &[false]));
        }
        let limits = ScanLimits { reply_bytes_max, reply_depth_max };
        let (whole, error) = read_within(limits, &stream, &[]);
        for pieces in [&[1][..], &pieces] {
            let (cut, cut_error) = read_within(limits, &stream, pieces);
            prop_assert_eq!(&whole, &cut);
            prop_assert_eq!(error.is_some(), cut_error.is_some());
        }
    }

    #[test]
    fn any_cutting_of_any_bytes_gives_the_same_frames(
        stream in soup(),
        pieces in vec(1_usize..9, 1..20),
    ) {
        let (frames, error) = read(&stream, &[]);
        let (cut, cut_error) = read(&stream, &pieces);
        prop_assert_eq!(&frames, &cut);
        prop_assert_eq!(error.is_some(), cut_error.is_some());
        for frame in frames {
            decode_as_everything(&frame);
            // Every frame that was let through has the same end for the decoder.
            if let Err(error) = from_frame::<serde::de::IgnoredAny>(&frame) {
                prop_assert!(error.server_error().is_some(), "{}", error);
            }
            prop_assert!(!frame.starts_with(b"|") || frame_kind(&frame) != FrameKind::Push);
        }
    }
}
