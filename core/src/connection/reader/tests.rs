//! The reader: chunks reused, large frames read into place, nothing handed out written again.

use super::*;

fn reader() -> Reader {
    Reader::new(ScanLimits { reply_bytes_max: 1 << 30, reply_depth_max: 8 })
}

/// Reads `bytes` as a stream would that gives at most `piece` at a time; returns the frames.
fn feed(reader: &mut Reader, mut bytes: &[u8], piece: usize) -> Vec<Bytes> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let space = reader.space();
        let count = bytes.len().min(space.len()).min(piece);
        space[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        reader.scan(count).expect("the bytes are frames");
        frames.extend(reader.frames());
    }
    frames
}

fn bulk(length: usize, fill: u8) -> Vec<u8> {
    let mut bytes = format!("${length}\r\n").into_bytes();
    bytes.resize(bytes.len() + length, fill);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Small and large frames come out as they went in, whatever the pieces, and stay what they are
/// while later ones are read.
#[test]
fn frames_are_what_was_sent_however_it_is_cut() {
    let lengths = [0, 3, CHUNK - 20, CHUNK, 5, 3 * CHUNK, 1, 3 * CHUNK, 2 * CHUNK, 100, 70_000, 9];
    for piece in [1000, 4096, CHUNK, usize::MAX] {
        let mut reader = reader();
        let sent: Vec<_> =
            lengths.iter().enumerate().map(|(i, &length)| bulk(length, b'a' + i as u8)).collect();
        let got = feed(&mut reader, &sent.concat(), piece);
        assert_eq!(got.len(), sent.len());
        for (got, sent) in got.iter().zip(&sent) {
            assert!(got == sent, "piece {piece}, {} bytes", sent.len());
        }
    }
}

/// One byte at a time, too.
#[test]
fn a_byte_at_a_time_is_enough() {
    let mut reader = reader();
    let frames = feed(&mut reader, b"+OK\r\n$3\r\nabc\r\n:7\r\n", 1);
    assert_eq!(frames, [&b"+OK\r\n"[..], b"$3\r\nabc\r\n", b":7\r\n"]);
}

/// A large reply is read into memory of its own size; when it was dropped, the next is read into
/// the same.
#[test]
fn a_large_replys_memory_serves_the_next() {
    let mut reader = reader();
    let sent = bulk(1 << 20, b'x');
    let first = feed(&mut reader, &sent, usize::MAX).remove(0);
    let place = first.as_ptr();
    drop(first);
    for length in [1 << 20, 1 << 20, (1 << 20) - 1000] {
        let again = feed(&mut reader, &bulk(length, b'y'), usize::MAX).remove(0);
        assert_eq!(again.as_ptr(), place);
        assert!(again == bulk(length, b'y'));
    }
}

/// Memory that is held is left alone. Memory that is far too large for the next frame, or too large
/// to keep, is not used again.
#[test]
fn memory_is_used_again_only_where_it_is_free_and_fits() {
    let mut reader = reader();
    let held = feed(&mut reader, &bulk(1 << 20, b'x'), usize::MAX).remove(0);
    let other = feed(&mut reader, &bulk(1 << 20, b'y'), usize::MAX).remove(0);
    assert!(held == bulk(1 << 20, b'x'));
    assert!(other == bulk(1 << 20, b'y'));
    let spare = other.as_ptr();
    drop(other);
    let small = feed(&mut reader, &bulk(100_000, b'z'), usize::MAX).remove(0);
    assert_ne!(small.as_ptr(), spare);
    drop(feed(&mut reader, &bulk(SPARE_MAX, b'a'), usize::MAX));
    assert!(reader.spare.len() <= SPARE_MAX);
}

/// Frames before the one that is none are found; so is where it went wrong.
#[test]
fn what_comes_before_an_error_is_not_lost() {
    let mut reader = reader();
    let bytes = b"+OK\r\n:1\r\nHELLO\r\n";
    reader.space()[..bytes.len()].copy_from_slice(bytes);
    assert!(reader.scan(bytes.len()).is_err());
    assert_eq!(reader.frames().collect::<Vec<_>>(), [&b"+OK\r\n"[..], b":1\r\n"]);
}

/// A long list is copied a few times while it grows, not once for each of its elements; the last
/// bytes of a large value not at all.
#[test]
fn a_large_frame_moves_seldom() {
    let mut list = b"*10000\r\n".to_vec();
    (0..10_000).for_each(|_| list.extend(bulk(100, b'x')));
    for (frame, moves_max) in [(list, 6), (bulk(1 << 20, b'x'), 1)] {
        let mut reader = reader();
        let mut places = vec![reader.space().as_ptr_range().end];
        let mut frames = Vec::new();
        for piece in frame.chunks(1000) {
            frames.extend(feed(&mut reader, piece, usize::MAX));
            places.push(reader.chunk.as_ptr_range().end);
        }
        places.dedup();
        assert_eq!(frames, [frame]);
        assert!(places.len() <= 2 + moves_max, "{} moves", places.len());
    }
}
