//! The trace of a run: traffic, decisions and faults.
//!
//! It has two parts. A *hash* over all entries of the run serves "same seed, same trace". The last
//! few thousand entries are kept as data and become text only on request, because nearly all runs
//! succeed and need no text. Decisions of servers and faults are kept longer than traffic: they
//! explain the end of a run, and there are few of them.
//!
//! **Limits**: [`CAPACITY`] entries, [`MILESTONES`] older decisions and faults, [`PREVIEW_BYTES`]
//! bytes of each piece of traffic; the hash covers all bytes.

use crate::ids::{ConnId, HostId};
use crate::rng::mix;
use bytes::Bytes;
use slotcar::Timestamp;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Entries that are kept; older ones are counted and dropped.
const CAPACITY: usize = 4096;
/// Decisions and faults that are kept after they have left the last entries.
const MILESTONES: usize = 400;
/// Bytes of one piece of traffic that a line shows.
const PREVIEW_BYTES: usize = 96;

/// One entry.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// A server took bytes from a connection.
    Request {
        /// The server.
        host: HostId,
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Bytes,
    },
    /// A server wrote bytes to a connection.
    Reply {
        /// The server.
        host: HostId,
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Bytes,
    },
    /// The network did something between two hosts.
    Network {
        /// The event: `connected`, `refused`, `reset`, ...
        what: &'static str,
        /// The host that dialled.
        from: HostId,
        /// The host that was dialled.
        to: HostId,
        /// The connection, if there is one.
        conn: Option<ConnId>,
    },
    /// A server decided something: an election, a vote, a failover, a migration step.
    Decision {
        /// The server.
        host: HostId,
        /// The decision, as a clause.
        text: String,
    },
    /// The test, or the fault plan, did something to the world.
    Fault {
        /// The action, as a clause.
        text: String,
    },
}

/// The bounded record of one run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The last entries, oldest first.
    entries: VecDeque<(Timestamp, Note)>,
    /// Decisions and faults that are older than those, oldest first.
    milestones: VecDeque<(Timestamp, Note)>,
    /// How many entries there ever were.
    count: u64,
    /// The hash of every entry since the start.
    hash: u64,
    /// Host names by id, for the text form.
    names: Vec<String>,
}

impl Trace {
    /// Sets the name of `host` in the text form.
    pub(crate) fn name_host(&mut self, host: HostId, name: &str) {
        if self.names.len() <= host.index() {
            self.names.resize(host.index() + 1, String::new());
        }
        if let Some(slot) = self.names.get_mut(host.index()) {
            name.clone_into(slot);
        }
    }

    /// Adds an entry.
    pub(crate) fn note(&mut self, now: Timestamp, note: Note) {
        self.count += 1;
        self.hash = note.hash(mix(self.hash ^ now.since_epoch().as_nanos() as u64));
        if self.entries.len() == CAPACITY
            && let Some(oldest) = self.entries.pop_front()
            && oldest.1.is_milestone()
        {
            if self.milestones.len() == MILESTONES {
                self.milestones.pop_front();
            }
            self.milestones.push_back(oldest);
        }
        self.entries.push_back((now, note.shortened()));
    }

    /// A hash. When it is equal for two runs, then almost certainly the same things happened in
    /// them in the same order.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The last `lines_max` entries as text, a line each, after the older decisions and faults.
    pub(crate) fn tail(&self, lines_max: usize) -> String {
        let shown = self.entries.len().min(lines_max);
        let (before, last) = (self.count - shown as u64, self.entries.len() - shown);
        let mut text = String::new();
        if before > 0 {
            let _ = writeln!(
                text,
                "... {before} earlier entries, of which decisions and faults follow"
            );
        }
        let hidden = self.entries.iter().take(last).filter(|(_, note)| note.is_milestone());
        let milestones = self.milestones.iter().chain(hidden);
        for (at, note) in milestones.chain(self.entries.iter().skip(last)) {
            let _ = write!(text, "{:>12.6}  ", at.since_epoch().as_secs_f64());
            self.write_note(&mut text, note);
            text.push('\n');
        }
        text
    }

    fn write_note(&self, text: &mut String, note: &Note) {
        let _ = match note {
            Note::Request { host, conn, bytes } => {
                write!(text, "{} <- {conn} {}", self.name(*host), escaped(bytes))
            }
            Note::Reply { host, conn, bytes } => {
                write!(text, "{} -> {conn} {}", self.name(*host), escaped(bytes))
            }
            Note::Network { what, from, to, conn } => {
                let conn = conn.map(|c| format!(" {c}")).unwrap_or_default();
                write!(text, "{} => {}{conn} {what}", self.name(*from), self.name(*to))
            }
            Note::Decision { host, text: what } => write!(text, "{} !! {what}", self.name(*host)),
            Note::Fault { text: what } => write!(text, "** {what}"),
        };
    }

    fn name(&self, host: HostId) -> &str {
        self.names.get(host.index()).map_or("?", String::as_str)
    }
}

impl Note {
    /// A decision of a server, or a fault.
    fn is_milestone(&self) -> bool {
        matches!(self, Self::Decision { .. } | Self::Fault { .. })
    }

    fn hash(&self, seed: u64) -> u64 {
        let host_conn = |h: &HostId, c: &ConnId| (u64::from(h.0) << 48) ^ c.0;
        match self {
            Self::Request { host, conn, bytes } => {
                hash_bytes(mix(seed ^ 1 ^ host_conn(host, conn)), bytes)
            }
            Self::Reply { host, conn, bytes } => {
                hash_bytes(mix(seed ^ 2 ^ host_conn(host, conn)), bytes)
            }
            Self::Network { what, from, to, conn } => {
                let conn = conn.unwrap_or(ConnId(0));
                let seed = mix(seed ^ 3 ^ host_conn(from, &conn)) ^ u64::from(to.0);
                hash_bytes(seed, what.as_bytes())
            }
            Self::Decision { host, text } => {
                hash_bytes(mix(seed ^ 4 ^ u64::from(host.0)), text.as_bytes())
            }
            Self::Fault { text } => hash_bytes(mix(seed ^ 5), text.as_bytes()),
        }
    }

    /// Copies the bytes that a line shows, so that the whole traffic is not kept in memory.
    fn shortened(self) -> Self {
        let short = |bytes: Bytes| match bytes.get(..PREVIEW_BYTES) {
            Some(head) => Bytes::copy_from_slice(head),
            None => bytes,
        };
        match self {
            Self::Request { host, conn, bytes } => {
                Self::Request { host, conn, bytes: short(bytes) }
            }
            Self::Reply { host, conn, bytes } => Self::Reply { host, conn, bytes: short(bytes) },
            other => other,
        }
    }
}

/// Eight bytes at a time: traffic is hashed on every run, so this is on the simulator's hot path.
fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        hash =
            (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9FB2_1C65_1E98_DF25).rotate_left(29);
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(chunks.remainder()) {
        *to = *from;
    }
    mix(hash ^ u64::from_le_bytes(word))
}

/// Traffic on one line: line ends become spaces, other unprintable bytes a dot.
fn escaped(bytes: &[u8]) -> String {
    let text: String = bytes
        .iter()
        .filter(|b| **b != b'\r')
        .map(|b| match b {
            b'\n' => ' ',
            0x20..=0x7e => char::from(*b),
            _ => '.',
        })
        .collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: &'static [u8]) -> Note {
        Note::Request { host: HostId(0), conn: ConnId(7), bytes: Bytes::from_static(bytes) }
    }

    /// The hash depends on the event, the server, the time and the order.
    #[test]
    fn hash_depends_on_everything() {
        let at = |ms| Timestamp::from_duration(std::time::Duration::from_millis(ms));
        let run = |notes: &[(u64, &'static [u8])]| {
            let mut trace = Trace::default();
            for (ms, bytes) in notes {
                trace.note(at(*ms), request(bytes));
            }
            trace.hash()
        };
        let base = run(&[(1, b"PING"), (2, b"GET somewhat longer")]);
        assert_eq!(base, run(&[(1, b"PING"), (2, b"GET somewhat longer")]));
        assert_ne!(base, run(&[(1, b"PING"), (3, b"GET somewhat longer")]));
        assert_ne!(base, run(&[(1, b"PING"), (2, b"GET somewhat longeR")]));
        assert_ne!(base, run(&[(2, b"GET somewhat longer"), (1, b"PING")]));
    }

    #[test]
    fn decisions_outlive_traffic() {
        let mut trace = Trace::default();
        trace.note(Timestamp::ZERO, Note::Fault { text: "a dies".to_owned() });
        for _ in 0..CAPACITY + 10 {
            trace.note(Timestamp::ZERO, request(b"PING"));
        }
        let text = trace.tail(2);
        assert!(text.contains("** a dies"), "{text}");
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn text_shows_the_end_and_counts_the_rest() {
        let mut trace = Trace::default();
        trace.name_host(HostId(0), "a");
        for _ in 0..CAPACITY + 10 {
            trace.note(Timestamp::ZERO, request(b"*1\r\n$4\r\nPING\r\n"));
        }
        let text = trace.tail(2);
        assert!(text.starts_with("... 4104 earlier entries, "), "{text}");
        assert!(text.ends_with("a <- #7 *1 $4 PING\n"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }
}
