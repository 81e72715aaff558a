//! Which acknowledgements of writes are waited for, and which there were.
//!
//! WAIT and WAITAOF speak about the writes of their own connection, so they are written behind the
//! writes, on a connection that carries nothing else (`driver/dispatch/wait.rs`).
//!
//! **Invariants**: pure; what is not known is never counted as acknowledged. Limit: the timeout is
//! whole milliseconds, rounded up, at least 1 and at most `MILLIS_MAX`.
//! Spec: <https://redis.io/commands/wait/>, <https://redis.io/commands/waitaof/>.

use crate::command::{Command, cmd};
use crate::endpoint::Endpoint;
use crate::error::{Delivery, Error, ErrorKind};
use crate::resp::from_frame;
use crate::sorted::sort_by_key;
use crate::topology::node_id::NodeId;
use bytes::Bytes;
use std::time::Duration;

/// The longest timeout that is sent: about 49 days. Servers refuse what overflows their clock.
const MILLIS_MAX: u32 = u32::MAX;

/// What is waited for behind writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Whether the primary itself shall have synced its append-only file; `None` for WAIT, which
    /// does not ask about files.
    pub(crate) local: Option<bool>,
    /// How many replicas shall have the writes: in memory or, with `local`, in their synced
    /// append-only files.
    pub(crate) replicas: u32,
    /// How long the server waits for that.
    pub(crate) timeout: Duration,
}

impl Wanted {
    /// The command.
    ///
    /// # Errors
    /// `Config` for a timeout of zero.
    pub(crate) fn command(&self) -> Result<Command, Error> {
        let name = self.name();
        if self.timeout.is_zero() {
            let message = "to a server, a timeout of 0 is one without end: give the time that the \
                           writes may wait for their acknowledgements";
            let error = Error::new(ErrorKind::Config, Delivery::NotSent, message);
            return Err(error.with_command(name));
        }
        let millis = self.timeout.as_nanos().div_ceil(1_000_000);
        let millis = u32::try_from(millis).unwrap_or(MILLIS_MAX);
        let command = self.local.iter().fold(cmd(name), |c, local| c.arg(u32::from(*local)));
        Ok(command.arg(self.replicas).arg(millis))
    }

    /// The command's name.
    pub(crate) fn name(&self) -> &'static str {
        if self.local.is_some() { "WAITAOF" } else { "WAIT" }
    }

    /// Reads the reply.
    ///
    /// # Errors
    /// `Convert` for a reply of another shape.
    pub(crate) fn read(&self, frame: &Bytes) -> Result<AcknowledgedBy, Error> {
        let read = match self.local {
            None => from_frame(frame).map(|replicas| AcknowledgedBy { local: None, replicas }),
            Some(_) => from_frame::<(u32, u32)>(frame)
                .map(|(local, replicas)| AcknowledgedBy { local: Some(local > 0), replicas }),
        };
        read.map_err(Error::undecodable)
    }

    /// Whether this is what was wanted.
    pub(crate) fn is_reached(&self, by: &AcknowledgedBy) -> bool {
        by.replicas >= self.replicas && (self.local != Some(true) || by.local == Some(true))
    }
}

/// Who has acknowledged the writes of one primary.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcknowledgedBy {
    /// Whether the primary had synced them to its append-only file; `None` if that was not asked,
    /// as by `wait_replicas`.
    pub local: Option<bool>,
    /// How many replicas had them: in memory or, if files were asked about, in their synced
    /// append-only files.
    pub replicas: u32,
}

/// What one primary says of the writes that it ran.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ShardAcknowledgement {
    /// The primary's address.
    pub endpoint: Endpoint,
    /// The primary's id, if the topology has it still.
    pub node: Option<NodeId>,
    /// The commands that ran there, by their index, ascending. A command that was split, or that
    /// goes to all shards, is in more than one list.
    pub commands: Vec<usize>,
    /// Who has acknowledged them when the wait ended; an error if that is not known: because the
    /// connection was lost, or the server refused WAIT. The commands ran all the same.
    pub result: Result<AcknowledgedBy, Error>,
    /// Whether as many have acknowledged them as were wanted; `false` if that is not known.
    pub is_reached: bool,
}

/// Joins what was said about writes on several connections to the same primary: the least counts.
pub(crate) fn by_primary(parts: Vec<ShardAcknowledgement>) -> Vec<ShardAcknowledgement> {
    let mut shards: Vec<ShardAcknowledgement> = Vec::with_capacity(parts.len());
    for part in parts {
        match shards.iter_mut().find(|shard| shard.endpoint == part.endpoint) {
            None => shards.push(part),
            Some(shard) => {
                shard.commands.extend(part.commands);
                shard.is_reached &= part.is_reached;
                shard.result = match (shard.result.clone(), part.result) {
                    (Ok(one), Ok(other)) => Ok(least(one, other)),
                    (Err(unknown), _) | (_, Err(unknown)) => Err(unknown),
                };
            }
        }
    }
    for shard in &mut shards {
        sort_by_key(&mut shard.commands, |index| *index);
        shard.commands.dedup();
    }
    shards
}

/// What is acknowledged of both.
pub(crate) fn least(one: AcknowledgedBy, other: AcknowledgedBy) -> AcknowledgedBy {
    AcknowledgedBy {
        local: one.local.zip(other.local).map(|(one, other)| one && other),
        replicas: one.replicas.min(other.replicas),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(local: Option<bool>, replicas: u32, timeout: Duration) -> Wanted {
        Wanted { local, replicas, timeout }
    }

    #[test]
    fn the_timeout_is_whole_milliseconds_and_never_without_end() {
        let table = [
            (None, Duration::from_millis(500), "WAIT 2 500"),
            (None, Duration::from_nanos(1), "WAIT 2 1"),
            (None, Duration::from_micros(1500), "WAIT 2 2"),
            (None, Duration::MAX, "WAIT 2 4294967295"),
            (Some(true), Duration::from_secs(1), "WAITAOF 1 2 1000"),
            (Some(false), Duration::from_secs(1), "WAITAOF 0 2 1000"),
        ];
        for (local, timeout, expected) in table {
            let command = wanted(local, 2, timeout).command().unwrap();
            let words: Vec<_> = command.args_iter().map(String::from_utf8_lossy).collect();
            assert_eq!(words.join(" "), expected);
        }
        let error = wanted(None, 1, Duration::ZERO).command().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
        assert!(error.to_string().contains("without end"), "{error}");
    }

    #[test]
    fn replies_are_read_and_compared_with_what_was_wanted() {
        let second = Duration::from_secs(1);
        let table = [
            (None, 1, ":0\r\n", Some((None, 0, false))),
            (None, 1, ":1\r\n", Some((None, 1, true))),
            (None, 0, ":0\r\n", Some((None, 0, true))),
            (Some(true), 0, "*2\r\n:1\r\n:0\r\n", Some((Some(true), 0, true))),
            (Some(true), 0, "*2\r\n:0\r\n:2\r\n", Some((Some(false), 2, false))),
            (Some(false), 2, "*2\r\n:0\r\n:2\r\n", Some((Some(false), 2, true))),
            (Some(true), 2, "*2\r\n:1\r\n:1\r\n", Some((Some(true), 1, false))),
            (None, 1, "*0\r\n", None),
            (Some(true), 1, ":1\r\n", None),
            (None, 1, ":-1\r\n", None),
        ];
        for (local, replicas, frame, expected) in table {
            let wanted = wanted(local, replicas, second);
            let read = wanted.read(&Bytes::from_static(frame.as_bytes())).ok();
            let seen = read.map(|by| (by.local, by.replicas, wanted.is_reached(&by)));
            assert_eq!(seen, expected, "{frame:?}");
        }
    }

    #[test]
    fn of_one_primary_the_least_counts_and_what_is_unknown_stays_unknown() {
        let part = |host: &str, commands: &[usize], replicas: Option<u32>| ShardAcknowledgement {
            endpoint: Endpoint::tcp(host, 1),
            node: None,
            commands: commands.to_vec(),
            result: replicas
                .map(|replicas| AcknowledgedBy { local: None, replicas })
                .ok_or_else(|| Error::new(ErrorKind::Connect, Delivery::Unknown, "lost")),
            is_reached: replicas.is_some_and(|replicas| replicas >= 2),
        };
        let parts = vec![
            part("a", &[3, 5], Some(2)),
            part("b", &[1], Some(2)),
            part("a", &[0, 3], Some(1)),
            part("c", &[2], Some(3)),
            part("c", &[4], None),
        ];
        let shards = by_primary(parts);
        let seen: Vec<_> = shards
            .iter()
            .map(|s| {
                (s.commands.as_slice(), s.result.as_ref().ok().map(|by| by.replicas), s.is_reached)
            })
            .collect();
        let expected: [(&[usize], Option<u32>, bool); 3] =
            [(&[0, 3, 5], Some(1), false), (&[1], Some(2), true), (&[2, 4], None, false)];
        assert_eq!(seen, expected);
    }
}
