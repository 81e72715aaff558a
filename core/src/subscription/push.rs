//! The meaning of a frame on a connection with subscriptions: a message, a confirmation, or
//! another.
//!
//! Both protocols have the same shape: `>3` in RESP3, `*3` in RESP2. This runs once per message, so
//! it reads the three or four headers and nothing else.
//!
//! Invariant: any bytes give a [`Push`], never a panic.
//! Spec: RESP3, "Push data"; command pages of the group "pubsub".

use super::kind::ChannelKind;
use std::ops::Range;

/// The meaning of one frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// A message was published. The ranges are positions in the frame.
    Message {
        /// The kind of the subscription that it comes for.
        kind: ChannelKind,
        /// The pattern that matched, where it comes for one.
        pattern: Option<Range<usize>>,
        /// The channel's name.
        channel: Range<usize>,
        /// The published bytes.
        payload: Range<usize>,
    },
    /// The server confirms a channel.
    Subscribed(ChannelKind, Range<usize>),
    /// The server ends the subscription to a channel: as asked, or because its slot has moved.
    Unsubscribed(ChannelKind, Range<usize>),
    /// Any other frame: an invalidation, output of MONITOR, a kind that future servers send.
    Other,
}

impl Push {
    /// Parses a frame.
    #[inline]
    pub(crate) fn parse(frame: &[u8]) -> Self {
        Self::read(frame).unwrap_or(Self::Other)
    }

    #[inline]
    fn read(frame: &[u8]) -> Option<Self> {
        let [b'>' | b'*', b'3' | b'4', b'\r', b'\n', ..] = frame else { return None };
        let word = string(frame, 4)?;
        let first = string(frame, word.end + 2)?;
        let message = |kind| {
            let payload = string(frame, first.end + 2)?;
            Some(Self::Message { kind, pattern: None, channel: first.clone(), payload })
        };
        match frame.get(word)? {
            b"message" => message(ChannelKind::Classic),
            b"smessage" => message(ChannelKind::Sharded),
            b"pmessage" => {
                let channel = string(frame, first.end + 2)?;
                let payload = string(frame, channel.end + 2)?;
                let kind = ChannelKind::Pattern;
                Some(Self::Message { kind, pattern: Some(first), channel, payload })
            }
            b"subscribe" => Some(Self::Subscribed(ChannelKind::Classic, first)),
            b"psubscribe" => Some(Self::Subscribed(ChannelKind::Pattern, first)),
            b"ssubscribe" => Some(Self::Subscribed(ChannelKind::Sharded, first)),
            b"unsubscribe" => Some(Self::Unsubscribed(ChannelKind::Classic, first)),
            b"punsubscribe" => Some(Self::Unsubscribed(ChannelKind::Pattern, first)),
            b"sunsubscribe" => Some(Self::Unsubscribed(ChannelKind::Sharded, first)),
            _ => None,
        }
    }
}

/// Whether this is the reply to PING on a RESP2 connection with subscriptions.
pub(crate) fn is_pong(frame: &[u8]) -> bool {
    frame.starts_with(b"*2\r\n$4\r\npong\r\n")
}

/// Whether this is the reply to a PING that the user's ACL forbids. Without this, it could not be
/// told from the error of a subscribe command.
pub(crate) fn refuses_ping(frame: &[u8]) -> bool {
    const NAME: &[u8] = b"'ping'";
    frame.starts_with(b"-NOPERM ") && frame.windows(NAME.len()).any(|part| part == NAME)
}

/// The positions of the bytes of the string that begins at `at`.
#[inline]
fn string(frame: &[u8], at: usize) -> Option<Range<usize>> {
    match frame.get(at)? {
        b'$' => {}
        b'+' => {
            let end = frame.get(at..)?.iter().position(|byte| *byte == b'\r')?;
            return Some(at + 1..at + end);
        }
        _ => return None,
    }
    let mut length = 0_usize;
    let mut at = at + 1;
    loop {
        match frame.get(at)? {
            digit @ b'0'..=b'9' => {
                length = length.checked_mul(10)?.checked_add(usize::from(digit - b'0'))?;
            }
            b'\r' => break,
            _ => return None,
        }
        at += 1;
    }
    let start = at + 2;
    let end = start.checked_add(length)?;
    (end + 2 <= frame.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(frame: &str) -> String {
        let text = |range: Range<usize>| frame[range].to_owned();
        match Push::parse(frame.as_bytes()) {
            Push::Message { kind, pattern, channel, payload } => {
                let pattern = pattern.map(text).unwrap_or_default();
                format!("{kind:?} {pattern}|{}|{}", text(channel), text(payload))
            }
            Push::Subscribed(kind, name) => format!("+{kind:?} {}", text(name)),
            Push::Unsubscribed(kind, name) => format!("-{kind:?} {}", text(name)),
            Push::Other => "other".to_owned(),
        }
    }

    #[test]
    fn every_word_is_told_in_both_protocols() {
        let table = [
            (">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", "Classic |c|hi"),
            ("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$0\r\n\r\n", "Classic |c|"),
            (">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", "Sharded |c|hi"),
            (">4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$2\r\ncc\r\n$2\r\nhi\r\n", "Pattern c*|cc|hi"),
            (">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "+Classic c"),
            (">3\r\n+ssubscribe\r\n$1\r\nc\r\n:1\r\n", "+Sharded c"),
            (">3\r\n$12\r\nsunsubscribe\r\n$1\r\nc\r\n:0\r\n", "-Sharded c"),
            (">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n", "other"),
            (">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", "other"),
            (">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$9\r\nhi\r\n", "other"),
            (">3\r\n$7\r\nmessage\r\n$99999999999999999999\r\nc\r\n", "other"),
            ("", "other"),
        ];
        for (frame, expected) in table {
            assert_eq!(shown(frame), expected, "{frame:?}");
        }
    }

    /// A frame cut anywhere, with any byte changed, causes no panic.
    #[test]
    fn no_bytes_make_it_panic() {
        let frame = b">4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$2\r\ncc\r\n$2\r\nhi\r\n";
        for at in 0..frame.len() {
            Push::parse(&frame[..at]);
            for byte in [0, b'0', b'9', b'$', b'+', b'\r', b'\n', 0xff] {
                let mut changed = frame.to_vec();
                changed[at] = byte;
                Push::parse(&changed);
            }
        }
    }
}
