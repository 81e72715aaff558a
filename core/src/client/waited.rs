//! Writes that wait until replicas, or append-only files, have them: of a command, a pipeline or a
//! transaction.
//!
//! Invariants: nothing is sent before the first poll; the wait is on the connection that carried
//! the writes, which nothing else uses meanwhile. Limits: `exclusive_connections_max` such calls at
//! a time per node; a wait is 1 ms or longer.
//! Spec: <https://redis.io/commands/wait/>, <https://redis.io/commands/waitaof/>.

use super::acknowledged::Acknowledged;
use super::call::Call;
use super::client::Client;
use super::pipeline::{Pipeline, Reply};
use super::transaction::{Transaction, Watch, decode, each, unless_discarded};
use crate::command::Command;
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::dispatch::pipeline::Results;
use crate::driver::dispatch::wait::{self, Wait};
use crate::error::Error;
use crate::resp::FromReply;
use crate::resp::{from_frame, from_frames, is_null};
use crate::routing::acknowledgement::Wanted;
use crate::routing::plan::plan;
use crate::time::Timestamp;
use bytes::Bytes;
use std::time::Duration;

/// A pipeline or a transaction whose writes shall be acknowledged. Made by `wait_replicas` and
/// `wait_aof`.
///
/// The commands for each primary, and directly behind them the WAIT, go over a connection that
/// nothing else uses meanwhile (one of
/// [`exclusive_connections_max`](crate::Config::exclusive_connections_max) for each node), so that
/// the server speaks about these writes. A command that is redirected or tried again gets another
/// WAIT where it ran at last.
///
/// The commands have the time that they have without a wait, and the wait its own timeout beside
/// that; in a view with a timeout ([`Client::with_timeout`]) that one bounds both.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::command::{incr, set};
/// use std::time::Duration;
///
/// let written = client
///     .pipeline()
///     .add(set("order:1", "paid"))
///     .add(incr("orders"))
///     .wait_replicas(1, Duration::from_millis(500))
///     .run::<((), i64)>()
///     .await?;
/// if !written.is_reached() {
///     for shard in written.shards().iter().filter(|shard| !shard.is_reached) {
///         eprintln!("{}: {:?}", shard.endpoint, shard.result);
///     }
/// }
/// let ((), orders) = written.into_value();
/// # Ok(()) }
/// ```
#[must_use = "it is sent by `run`, `run_each` or `Watch::commit_and_wait`"]
#[derive(Debug)]
pub struct Waited<P> {
    /// The pipeline or transaction.
    writes: P,
    /// What is waited for.
    wanted: Wanted,
}

/// Until replicas have the writes in memory.
fn replicas(replicas: u32, timeout: Duration) -> Wanted {
    Wanted { local: None, replicas, timeout }
}

/// Until append-only files have the writes.
fn aof(local: bool, replicas: u32, timeout: Duration) -> Wanted {
    Wanted { local: Some(local), replicas, timeout }
}

impl Client {
    /// The options of a call that waits behind its writes, and the wait. `options`: those of the
    /// writes alone.
    fn wait(&self, wanted: Wanted, options: CallOptions) -> Result<Wait, Error> {
        let deadline = match self.timeout {
            Some(_) => options.deadline,
            None if options.deadline == Timestamp::FAR_FUTURE => Timestamp::FAR_FUTURE,
            None => options.deadline.after(wanted.timeout),
        };
        Wait::new(wanted, deadline)
    }
}

impl<'c> Pipeline<'c> {
    /// Waits, behind the writes of each primary, until `replicas` of its replicas have them, for
    /// `timeout` at most: `WAIT replicas timeout`.
    ///
    /// Since 3.0.0. <https://redis.io/commands/wait/>
    pub fn wait_replicas(self, replicas: u32, timeout: Duration) -> Waited<Self> {
        Waited { writes: self, wanted: self::replicas(replicas, timeout) }
    }

    /// Waits, behind the writes of each primary, until its own append-only file (if `local`) and
    /// those of `replicas` of its replicas have them synced, for `timeout` at most: `WAITAOF local
    /// replicas timeout`.
    ///
    /// `local` needs `appendonly yes` at the primary.
    ///
    /// Since 7.2.0. <https://redis.io/commands/waitaof/>
    pub fn wait_aof(self, local: bool, replicas: u32, timeout: Duration) -> Waited<Self> {
        Waited { writes: self, wanted: aof(local, replicas, timeout) }
    }
}

impl<'c> Transaction<'c> {
    /// Waits, behind the transaction, until `replicas` replicas have what it wrote, for `timeout`
    /// at most: `WAIT replicas timeout`.
    ///
    /// Since 3.0.0. <https://redis.io/commands/wait/>
    pub fn wait_replicas(self, replicas: u32, timeout: Duration) -> Waited<Self> {
        Waited { writes: self, wanted: self::replicas(replicas, timeout) }
    }

    /// Waits, behind the transaction, until the primary's own append-only file (if `local`) and
    /// those of `replicas` replicas have what it wrote synced, for `timeout` at most: `WAITAOF
    /// local replicas timeout`.
    ///
    /// `local` needs `appendonly yes` at the primary.
    ///
    /// Since 7.2.0. <https://redis.io/commands/waitaof/>
    pub fn wait_aof(self, local: bool, replicas: u32, timeout: Duration) -> Waited<Self> {
        Waited { writes: self, wanted: aof(local, replicas, timeout) }
    }
}

impl Waited<Pipeline<'_>> {
    /// As [`Pipeline::run`], and waits until the writes are acknowledged.
    ///
    /// # Errors
    /// As [`Pipeline::run`]; `Config` for a timeout of zero, which is one without end to a server.
    /// That fewer replicas than wanted have the writes, or that it is not known, is no error here:
    /// see [`Acknowledged::is_reached`] and [`Acknowledged::require`].
    ///
    /// Dropped before its end, commands that were written still run, and it is not known who has
    /// acknowledged them.
    pub async fn run<T: FromReply>(self) -> Result<Acknowledged<T>, Error> {
        self.results().await?.try_map(|results| {
            let frames = results.into_iter().collect::<Result<Vec<Bytes>, Error>>()?;
            from_frames(&frames).map_err(Error::undecodable)
        })
    }

    /// As [`Pipeline::run_each`], and waits until the writes are acknowledged.
    ///
    /// # Errors
    /// As [`Pipeline::run_each`]; `Config` for a timeout of zero.
    ///
    /// Dropped before its end, commands that were written still run, and it is not known who has
    /// acknowledged them.
    pub async fn run_each(self) -> Result<Acknowledged<Vec<Result<Reply, Error>>>, Error> {
        let each = |result: Result<Bytes, Error>| result.map(Reply::new);
        self.results().await?.try_map(|results| Ok(results.into_iter().map(each).collect()))
    }

    async fn results(self) -> Result<Acknowledged<Results>, Error> {
        let (client, commands) = self.writes.checked()?;
        let options = client.call_options_from_now();
        let wait = client.wait(self.wanted, options)?;
        let (topology, reads) = (&client.shared.topology, client.non_primary_read_settings());
        let (results, shards) =
            wait::run_all(topology, &commands, reads.as_ref(), options, wait).await?;
        Ok(Acknowledged::new(results, self.wanted, shards))
    }
}

impl Waited<Transaction<'_>> {
    /// As [`Transaction::run`], and waits until the writes are acknowledged.
    ///
    /// # Errors
    /// As [`Transaction::run`]; `Config` for a timeout of zero, which is one without end to a
    /// server. That fewer replicas than wanted have the writes, or that it is not known, is no
    /// error here: see [`Acknowledged::is_reached`] and [`Acknowledged::require`].
    ///
    /// Dropped before its end, all of it or nothing has run, and it is not known who has
    /// acknowledged it.
    pub async fn run<T: FromReply>(self) -> Result<Acknowledged<T>, Error> {
        self.frame().await?.try_map(|frame| decode(&frame))
    }

    /// As [`Transaction::run_each`], and waits until the writes are acknowledged.
    ///
    /// # Errors
    /// As [`Transaction::run_each`]; `Config` for a timeout of zero.
    ///
    /// Dropped before its end, all of it or nothing has run, and it is not known who has
    /// acknowledged it.
    pub async fn run_each(self) -> Result<Acknowledged<Vec<Result<Reply, Error>>>, Error> {
        self.frame().await?.try_map(|frame| each(&frame))
    }

    async fn frame(self) -> Result<Acknowledged<Bytes>, Error> {
        let lead = self.writes.checked()?;
        let (client, commands) = self.writes.into_parts();
        let options = client.call_options_from_now();
        let wait = client.wait(self.wanted, options)?;
        let topology = &client.shared.topology;
        let (frame, shards) =
            wait::run_transaction(topology, lead, commands, options, wait).await?;
        Ok(Acknowledged::new(unless_discarded(frame)?, self.wanted, shards))
    }
}

impl Watch<'_> {
    /// As [`Watch::commit`], and waits until the writes are acknowledged.
    ///
    /// # Errors
    /// As [`Watch::commit`]; `Config` for a timeout of zero. That fewer replicas than wanted have
    /// the writes, or that it is not known, is no error here.
    ///
    /// Dropped before its end, all of it or nothing has run, and it is not known who has
    /// acknowledged it.
    pub async fn commit_and_wait<T: FromReply>(
        self,
        waited: Waited<Transaction<'_>>,
    ) -> Result<Option<Acknowledged<T>>, Error> {
        let lead = waited.writes.checked()?;
        let (client, link) = self.into_parts();
        let (_, commands) = waited.writes.into_parts();
        let options = client.call_options_from_now();
        let wait = client.wait(waited.wanted, options)?;
        let (frame, shards) = wait::commit(link, &lead, &commands, options, wait).await?;
        if is_null(&frame) {
            return Ok(None);
        }
        Ok(Some(Acknowledged::new(decode(&frame)?, waited.wanted, shards)))
    }
}

impl<T: FromReply> Call<'_, T> {
    /// Runs the command, and waits until `replicas` replicas have what it wrote, for `timeout` at
    /// most: the command and `WAIT replicas timeout` on one connection, as [`Waited`] says.
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    /// use slotcar::prelude::*;
    /// use std::time::Duration;
    /// let written = client.set("order:1", "paid").wait_replicas(1, Duration::from_millis(500));
    /// // An error if no replica has it.
    /// written.await?.require()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the command; `Config` for a timeout of zero, which is one without end to a server.
    /// That fewer replicas than wanted have the write, or that it is not known, is no error here:
    /// see [`Acknowledged::is_reached`] and [`Acknowledged::require`].
    ///
    /// Dropped before its end, the command may or may not have run.
    ///
    /// # Panics
    /// If the call was polled before: the command is on its way then.
    ///
    /// Since 3.0.0. <https://redis.io/commands/wait/>
    pub async fn wait_replicas(
        self,
        replicas: u32,
        timeout: Duration,
    ) -> Result<Acknowledged<T>, Error> {
        self.run_and_wait(self::replicas(replicas, timeout)).await
    }

    /// The same until append-only files have what it wrote synced, the primary's own (if `local`)
    /// and those of `replicas` replicas: `WAITAOF local replicas timeout`. `local` needs
    /// `appendonly yes` at the primary.
    ///
    /// # Errors
    /// As [`Call::wait_replicas`].
    ///
    /// Dropped before its end, the command may or may not have run.
    ///
    /// # Panics
    /// If the call was polled before: the command is on its way then.
    ///
    /// Since 7.2.0. <https://redis.io/commands/waitaof/>
    pub async fn wait_aof(
        self,
        local: bool,
        replicas: u32,
        timeout: Duration,
    ) -> Result<Acknowledged<T>, Error> {
        self.run_and_wait(aof(local, replicas, timeout)).await
    }

    async fn run_and_wait(self, wanted: Wanted) -> Result<Acknowledged<T>, Error> {
        let (client, command) = self.into_unsent();
        let name = command.name();
        let acknowledged = run_one(client, command, wanted).await?;
        let undecodable = |error| Error::undecodable(error).with_command(&name);
        acknowledged.try_map(|frame| from_frame(&frame).map_err(undecodable))
    }
}

async fn run_one(
    client: &Client,
    command: Command,
    wanted: Wanted,
) -> Result<Acknowledged<Bytes>, Error> {
    let topology = &client.shared.topology;
    let options = client.call_options(client.deadline_for(&command));
    let wait = client.wait(wanted, options)?;
    if command.is_blocking() {
        plan(&command, client.shared.env.has_slots())?;
        let (frame, shards) = wait::run_blocking(topology, command, options, wait).await?;
        return Ok(Acknowledged::new(frame, wanted, shards));
    }
    let reads = client.non_primary_read_settings();
    let commands = [command];
    let (mut results, shards) =
        wait::run_all(topology, &commands, reads.as_ref(), options, wait).await?;
    let frame = results.pop().expect("one command has one result")?;
    Ok(Acknowledged::new(frame, wanted, shards))
}
