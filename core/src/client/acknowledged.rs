//! What a call returns that waited until its writes were acknowledged.
//!
//! **Invariant**: what is not known never counts as acknowledged.

use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
pub use crate::routing::acknowledgement::{AcknowledgedBy, ShardAcknowledgement};
use crate::routing::acknowledgement::{Wanted, least};

/// The replies of commands, and who has acknowledged what they wrote.
///
/// That fewer replicas than wanted have the writes undoes nothing: the commands ran, and replicas
/// may get the writes later. An acknowledged write can still be lost: when a replica is promoted
/// that has not got it.
#[must_use = "that fewer replicas than wanted have the writes is no error"]
#[derive(Clone, Debug)]
pub struct Acknowledged<T> {
    /// The replies.
    value: T,
    /// What was waited for.
    wanted: Wanted,
    /// What each primary says.
    shards: Vec<ShardAcknowledgement>,
}

impl<T> Acknowledged<T> {
    pub(super) fn new(value: T, wanted: Wanted, shards: Vec<ShardAcknowledgement>) -> Self {
        Self { value, wanted, shards }
    }

    /// The replies.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The replies, however many replicas have the writes.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// What each primary says that ran any of the commands, in no certain order. Those that ran
    /// only commands which are known to write nothing are not asked and not listed.
    pub fn shards(&self) -> &[ShardAcknowledgement] {
        &self.shards
    }

    /// Whether as many as were wanted have acknowledged all writes. `true` if nothing was written.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.shards.iter().all(|shard| shard.is_reached)
    }

    /// How many replicas have acknowledged the writes: the fewest of all shards. `None` if that is
    /// not known of a shard, or nothing was written.
    #[must_use]
    pub fn replicas(&self) -> Option<u32> {
        Some(self.least()?.replicas)
    }

    /// Whether every primary has synced the writes to its append-only file. `None` if that was not
    /// asked (`wait_replicas`) or is not known of a shard, or if nothing was written.
    #[must_use]
    pub fn local(&self) -> Option<bool> {
        self.least()?.local
    }

    fn least(&self) -> Option<AcknowledgedBy> {
        let mut each = self.shards.iter().map(|shard| shard.result.as_ref().ok().copied());
        let first = each.next()??;
        each.try_fold(first, |least_yet, other| Some(least(least_yet, other?)))
    }

    /// The replies, if as many as were wanted have acknowledged the writes.
    ///
    /// # Errors
    /// `Timeout` with [`ErrorDetail::NotAcknowledged`] if fewer have; if it is not known, the
    /// error of that shard. The commands ran all the same:
    /// [`may_have_run`](Delivery::may_have_run) is `true`.
    pub fn require(self) -> Result<T, Error> {
        let Some(missed) = self.shards.iter().find(|shard| !shard.is_reached) else {
            return Ok(self.value);
        };
        let Wanted { local, replicas: wanted, timeout } = self.wanted;
        let by = match &missed.result {
            Ok(by) => by,
            Err(error) => return Err(error.clone()),
        };
        let synced = match (local, by.local) {
            (Some(true), Some(false)) => "; the primary has not synced its append-only file",
            _ => "",
        };
        let AcknowledgedBy { replicas, .. } = *by;
        let message = format!(
            "{replicas} of {wanted} replicas have acknowledged the writes within \
             {timeout:?}{synced}"
        );
        let error = Error::new(ErrorKind::Timeout, Delivery::Answered, message)
            .with_detail(ErrorDetail::NotAcknowledged { wanted, replicas })
            .with_command(self.wanted.name())
            .with_endpoint(&missed.endpoint);
        Err(error)
    }

    /// The same with another value.
    pub(super) fn try_map<U>(
        self,
        map: impl FnOnce(T) -> Result<U, Error>,
    ) -> Result<Acknowledged<U>, Error> {
        let Self { value, wanted, shards } = self;
        Ok(Acknowledged { value: map(value)?, wanted, shards })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use std::time::Duration;

    fn acknowledged(
        wanted: (Option<bool>, u32),
        shards: &[Result<(Option<bool>, u32), ErrorKind>],
    ) -> Acknowledged<u8> {
        let (local, replicas) = wanted;
        let wanted = Wanted { local, replicas, timeout: Duration::from_millis(500) };
        let shard = |result: &Result<(Option<bool>, u32), ErrorKind>| {
            let result = match *result {
                Ok((local, replicas)) => Ok(AcknowledgedBy { local, replicas }),
                Err(kind) => Err(Error::new(kind, Delivery::Unknown, "it is not known")),
            };
            ShardAcknowledgement {
                endpoint: Endpoint::tcp("a", 7000),
                node: None,
                commands: vec![0],
                is_reached: result.as_ref().is_ok_and(|by| wanted.is_reached(by)),
                result,
            }
        };
        Acknowledged::new(7, wanted, shards.iter().map(shard).collect())
    }

    /// Goal: the summary is never better than the worst shard.
    #[test]
    fn the_summary_is_that_of_the_worst_shard() {
        let lost = Err(ErrorKind::Connect);
        let table = [
            (acknowledged((None, 1), &[]), (true, None, None)),
            (acknowledged((None, 1), &[Ok((None, 2))]), (true, Some(2), None)),
            (acknowledged((None, 1), &[Ok((None, 2)), Ok((None, 0))]), (false, Some(0), None)),
            (acknowledged((None, 1), &[Ok((None, 2)), lost]), (false, None, None)),
            (acknowledged((None, 1), &[lost, Ok((None, 2))]), (false, None, None)),
            (
                acknowledged((Some(true), 0), &[Ok((Some(true), 3)), Ok((Some(false), 2))]),
                (false, Some(2), Some(false)),
            ),
            (acknowledged((Some(true), 0), &[Ok((Some(true), 0))]), (true, Some(0), Some(true))),
        ];
        for (all, expected) in table {
            assert_eq!((all.is_reached(), all.replicas(), all.local()), expected, "{all:?}");
            assert_eq!(all.clone().require().is_ok(), expected.0);
            assert_eq!(all.into_value(), 7);
        }
    }

    #[test]
    fn what_is_required_and_missing_is_an_error_of_what_ran() {
        let error = acknowledged((None, 2), &[Ok((None, 1))]).require().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Timeout, Delivery::Answered));
        let detail = ErrorDetail::NotAcknowledged { wanted: 2, replicas: 1 };
        assert_eq!(error.details(), Some(&detail));
        let text = "1 of 2 replicas have acknowledged the writes within 500ms: WAIT at a:7000";
        assert_eq!(error.to_string(), text);
        let error = acknowledged((Some(true), 0), &[Ok((Some(false), 0))]).require().unwrap_err();
        assert!(error.to_string().contains("not synced its append-only file"), "{error}");
        let error = acknowledged((None, 1), &[Err(ErrorKind::Connect)]).require().unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::Unknown));
    }
}
