//! Commands sent together: one write for each node, replies in order, each with its own result.
//!
//! Invariants: nothing is sent before `run` or `run_each` is polled; results are in the order of
//! the commands. Limit: `pipeline_commands_max`. Sent by `driver/dispatch/pipeline.rs`.

use super::batch::{Batch, Collects};
use super::client::Client;
use crate::command::Command;
use crate::config::Config;
use crate::driver::dispatch::entry;
use crate::driver::dispatch::pipeline::Results;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::FromReply;
use crate::resp::{from_frame, from_frames};
use bytes::Bytes;

/// Room for so many commands is allocated at once: growing to it step by step costs more.
const INITIAL_CAPACITY: usize = 16;

/// Commands that are collected and then sent together.
///
/// They are not a transaction: other clients' commands may run between them. In a cluster they may
/// have keys in any slots; a command that is split over slots or goes to several nodes still has
/// one result.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::prelude::*;
/// let (name, visits): (Option<String>, i64) =
///     client.pipeline().get("name").incr("visits").run().await?;
/// # Ok(()) }
/// ```
///
/// Typed methods take the pipeline and return a [`Batch`], which knows the types of up to 16
/// replies. `push` adds any number of commands, in a loop:
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::command::incr;
/// let mut pipeline = client.pipeline();
/// (0..100).for_each(|page| pipeline.push(incr(format!("visits:{page}"))));
/// let visits: Vec<i64> = pipeline.run().await?;
/// # Ok(()) }
/// ```
#[must_use = "a pipeline is sent by `run` or `run_each`"]
#[derive(Debug)]
pub struct Pipeline<'c> {
    /// The client that runs them.
    client: &'c Client,
    /// The commands, in order.
    commands: Vec<Command>,
}

/// A reply that is not decoded yet: to one command of a pipeline, or from one node.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The complete frame, which is no error.
    frame: Bytes,
}

impl Reply {
    pub(super) fn new(frame: Bytes) -> Self {
        Self { frame }
    }

    /// Decodes the reply.
    ///
    /// # Errors
    /// `Convert` when the reply does not fit `T`.
    pub fn decode<T: FromReply>(&self) -> Result<T, Error> {
        from_frame(&self.frame).map_err(Error::undecodable)
    }
}

impl Client {
    /// Collects commands to be sent together, in one write for each node.
    pub fn pipeline(&self) -> Pipeline<'_> {
        Pipeline { client: self, commands: Vec::with_capacity(INITIAL_CAPACITY) }
    }
}

impl Pipeline<'_> {
    /// Adds a command at the end.
    #[expect(clippy::should_implement_trait, reason = "a pipeline and a command have no sum")]
    #[inline]
    pub fn add(mut self, command: Command) -> Self {
        self.commands.push(command);
        self
    }

    /// Adds a command at the end, in a loop.
    #[inline]
    pub fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// How many commands there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Sends all commands and decodes their replies into `T`, as if they were the elements of one
    /// list: a tuple, a `Vec`, a struct's fields in their order. A type that has more or fewer
    /// elements is an error, also where it has defaults.
    ///
    /// # Errors
    /// The error of the first command that failed; others may have run. [`Pipeline::run_each`] has
    /// the result of each. When nothing was sent, as said there, that error.
    ///
    /// Dropped before its end, commands that were written still run.
    pub async fn run<T: FromReply>(self) -> Result<T, Error> {
        let mut frames = Vec::with_capacity(self.commands.len());
        for result in self.results().await? {
            frames.push(result?);
        }
        from_frames(&frames).map_err(Error::undecodable)
    }

    /// Sends all commands and returns the result of each, in order.
    ///
    /// # Errors
    /// When nothing was sent: `Limit` for a pipeline that is too long; `Config` for a command that
    /// blocks, would change the connection (SELECT, MULTI, SUBSCRIBE), or has keys in two slots and
    /// cannot be split.
    ///
    /// Dropped before its end, commands that were written still run.
    pub async fn run_each(self) -> Result<Vec<Result<Reply, Error>>, Error> {
        let results = self.results().await?;
        Ok(results.into_iter().map(|result| result.map(Reply::new)).collect())
    }

    async fn results(self) -> Result<Results, Error> {
        let (client, commands) = self.checked()?;
        let (options, reads) = (client.call_options_from_now(), client.non_primary_read_settings());
        entry::run_all(&client.shared.topology, &commands, reads.as_ref(), options).await
    }
}

impl<'c> Pipeline<'c> {
    /// The client and the commands, if they are not too many.
    pub(super) fn checked(self) -> Result<(&'c Client, Vec<Command>), Error> {
        check_length("pipeline", self.commands.len(), self.client.shared.env.config())?;
        Ok((self.client, self.commands))
    }
}

impl Collects for Pipeline<'_> {
    fn and(self, command: Command) -> Self {
        self.add(command)
    }
}

impl<R> Batch<Pipeline<'_>, R> {
    /// Sends all commands; their replies, in order.
    ///
    /// # Errors
    /// Those of [`Pipeline::run`].
    ///
    /// Dropped before its end, commands that were written still run.
    pub async fn run(self) -> Result<R, Error>
    where
        R: FromReply,
    {
        self.into_commands().run().await
    }

    /// Sends all commands and returns the result of each, as [`Pipeline::run_each`].
    ///
    /// # Errors
    /// Those of [`Pipeline::run_each`].
    ///
    /// Dropped before its end, commands that were written still run.
    pub async fn run_each(self) -> Result<Vec<Result<Reply, Error>>, Error> {
        self.into_commands().run_each().await
    }
}

/// Fails a pipeline or a transaction of more than `pipeline_commands_max` commands.
pub(super) fn check_length(what: &str, commands: usize, config: &Config) -> Result<(), Error> {
    let max = config.pipeline_commands_max as usize;
    if commands <= max {
        return Ok(());
    }
    let message = format!("a {what} of {commands} commands; {max} are allowed");
    let limit = ErrorDetail::Limit { name: "pipeline_commands_max", max: max as u64 };
    Err(Error::new(ErrorKind::Limit, Delivery::NotSent, message).with_detail(limit))
}
