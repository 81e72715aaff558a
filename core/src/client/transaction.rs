//! Transactions: commands that run together, without other clients' commands in between, and
//! optionally only if watched keys have not changed.
//!
//! Invariants: a transaction is sent in one write, on a shared connection; watched keys have a
//! connection of their own, because another caller's command on it could end the watch.
//! Limits: `pipeline_commands_max`, `exclusive_connections_max`.
//! Spec: <https://redis.io/docs/latest/develop/interact/transactions/>.

use super::batch::{Batch, Collects};
use super::client::Client;
use super::pipeline::{Reply, check_length};
use crate::command::{Command, ToArg, cmd};
use crate::driver::dispatch::transaction::{self, WatchLink};
use crate::error::{Delivery, Error, ErrorKind};
use crate::resp::FromReply;
use crate::resp::{DecodeError, Elements, ServerError, from_frame, from_frames, is_null};
use crate::routing::session::refusal;
use crate::routing::transaction::lead;
use bytes::Bytes;

/// Commands that are collected and then run together, as MULTI and EXEC do.
///
/// No other client's command runs in between. There is no rollback: when a command fails while it
/// runs (a list operation on a string), the others keep their effect. In a cluster all keys must be
/// in one slot: give them a common hash tag, as in `{user:1}:name`.
///
/// It goes to the primary under every read policy. If it was redirected, refused or not sent, it is
/// sent again as a whole; scripts in it as well, because what the server says to them before EXEC
/// is its own word. If it may have run ([`Delivery::Unknown`]), only when
/// [`retry_unknown`](crate::Config::retry_unknown) allows that.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::command::{decr, incr};
/// let (left, right): (i64, i64) = client
///     .transaction()
///     .add(decr("{account}:left"))
///     .add(incr("{account}:right"))
///     .run()
///     .await?;
/// # Ok(()) }
/// ```
#[must_use = "a transaction is sent by `run`, `run_each` or `Watch::commit`"]
#[derive(Debug)]
pub struct Transaction<'c> {
    /// The client that runs them.
    client: &'c Client,
    /// The commands, in order.
    commands: Vec<Command>,
}

impl<'c> Transaction<'c> {
    /// Adds a command at the end.
    #[expect(clippy::should_implement_trait, reason = "a transaction and a command have no sum")]
    pub fn add(mut self, command: Command) -> Self {
        self.commands.push(command);
        self
    }

    /// Adds a command at the end, in a loop.
    pub fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Runs all commands and decodes their replies into `T`, as [`Pipeline::run`] does it: a tuple,
    /// a `Vec`, a struct's fields in their order; `()` if only their success matters.
    ///
    /// [`Pipeline::run`]: crate::Pipeline::run
    ///
    /// # Errors
    /// `Config` when the commands cannot be a transaction (keys in two slots, a command that would
    /// change the connection), `Limit` when there are too many; nothing was sent then. `Server`
    /// with [`Delivery::Refused`] when the server refused one of them, so that none ran; with
    /// [`Delivery::Answered`] when one failed while it ran: then the others ran too, and
    /// [`Transaction::run_each`] returns their replies.
    ///
    /// Dropped before its end, all of it or nothing has run.
    pub async fn run<T: FromReply>(self) -> Result<T, Error> {
        decode(&self.frame().await?)
    }

    /// Runs all commands and returns the result of each, in order.
    ///
    /// # Errors
    /// As [`Transaction::run`]; but when a command fails while it runs, that is its own result.
    ///
    /// Dropped before its end, all of it or nothing has run.
    pub async fn run_each(self) -> Result<Vec<Result<Reply, Error>>, Error> {
        each(&self.frame().await?)
    }

    async fn frame(self) -> Result<Bytes, Error> {
        let lead = self.checked()?;
        let options = self.client.call_options_from_now();
        let frame = transaction::run(&self.client.shared.topology, lead, self.commands, options);
        unless_discarded(frame.await?)
    }

    /// The client and the commands.
    pub(super) fn into_parts(self) -> (&'c Client, Vec<Command>) {
        (self.client, self.commands)
    }

    /// The command that carries their routing key, if they can be run together.
    pub(super) fn checked(&self) -> Result<Command, Error> {
        let env = &self.client.shared.env;
        check_length("transaction", self.commands.len(), env.config())?;
        lead(&self.commands, env.has_slots())
    }
}

impl Collects for Transaction<'_> {
    fn and(self, command: Command) -> Self {
        self.add(command)
    }
}

impl<R> Batch<Transaction<'_>, R> {
    /// Runs all commands; their replies, in order.
    ///
    /// # Errors
    /// Those of [`Transaction::run`].
    ///
    /// Dropped before its end, all of it or nothing has run.
    pub async fn run(self) -> Result<R, Error>
    where
        R: FromReply,
    {
        self.into_commands().run().await
    }

    /// Runs all commands and returns the result of each, as [`Transaction::run_each`].
    ///
    /// # Errors
    /// Those of [`Transaction::run_each`].
    ///
    /// Dropped before its end, all of it or nothing has run.
    pub async fn run_each(self) -> Result<Vec<Result<Reply, Error>>, Error> {
        self.into_commands().run_each().await
    }
}

/// A transaction of untyped commands, whose replies are decoded into any type.
impl<'c, R> From<Transaction<'c>> for Batch<Transaction<'c>, R> {
    fn from(transaction: Transaction<'c>) -> Self {
        Self::of(transaction)
    }
}

/// Watched keys: what is committed runs only if no client has changed them since the watch began.
///
/// It holds a connection of its own (of `exclusive_connections_max` per node). Dropped, it closes
/// that connection, which ends the watch.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::command::{get, set};
/// loop {
///     let watch = client.watch(["stock"]).await?;
///     let left: i64 = watch.send(get("stock")).await?;
///     // `None`: another client has changed the stock meanwhile.
///     if watch.commit_one::<()>(set("stock", left - 1)).await?.is_some() {
///         break;
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "dropped, keys are no longer watched"]
#[derive(Debug)]
pub struct Watch<'c> {
    /// The client that watches them.
    client: &'c Client,
    /// The connection that watches them.
    link: WatchLink,
}

impl<'c> Watch<'c> {
    /// The client and the connection.
    pub(super) fn into_parts(self) -> (&'c Client, WatchLink) {
        (self.client, self.link)
    }
}

impl Watch<'_> {
    /// Runs one command on the connection that watches, and so at the primary, after the watch
    /// began.
    ///
    /// # Errors
    /// Every kind. It is sent once: after a lost connection or a redirect the keys are no longer
    /// watched, and the caller has to watch them again.
    /// `Config` for a command that would change the connection, as with [`Client::send`].
    ///
    /// Dropped before its end, the command may or may not have run.
    pub async fn send<T: FromReply>(&self, command: Command) -> Result<T, Error> {
        refusal(&command).map_or(Ok(()), Err)?;
        let frame = self.link.send(&command, self.client.call_options_from_now()).await?;
        from_frame(&frame).map_err(|e| Error::undecodable(e).with_command(&command.name()))
    }

    /// Runs the transaction if no watched key has changed since the watch began; returns `None` if
    /// one has, and then nothing ran. `T` is decoded from all replies, as [`Transaction::run`]
    /// does it.
    ///
    /// # Errors
    /// As [`Transaction::run`], but it is sent once. With [`Delivery::Refused`] or
    /// [`Delivery::NotSent`] nothing ran, and the caller may watch the keys again.
    ///
    /// Dropped before its end, all of it or nothing has run.
    pub async fn commit<'t, T: FromReply>(
        self,
        transaction: impl Into<Batch<Transaction<'t>, T>>,
    ) -> Result<Option<T>, Error> {
        let transaction = transaction.into().into_commands();
        self.exec(transaction).await?.map(|frame| decode(&frame)).transpose()
    }

    /// Runs one command if no watched key has changed since the watch began; returns `None` if one
    /// has, and then it did not run. `T` is decoded from the command's reply.
    ///
    /// # Errors
    /// As [`Watch::commit`].
    ///
    /// Dropped before its end, the command may or may not have run.
    pub async fn commit_one<T: FromReply>(self, command: Command) -> Result<Option<T>, Error> {
        let one = self.client.transaction().add(command);
        let Some(frame) = self.exec(one).await? else { return Ok(None) };
        let (reply,) = decode::<(T,)>(&frame)?;
        Ok(Some(reply))
    }

    /// The reply to EXEC; `None` if a watched key has changed.
    async fn exec(self, transaction: Transaction<'_>) -> Result<Option<Bytes>, Error> {
        let lead = transaction.checked()?;
        let options = self.client.call_options_from_now();
        let frame = self.link.commit(&lead, &transaction.commands, options).await?;
        Ok(if is_null(&frame) { None } else { Some(frame) })
    }
}

impl Client {
    /// Collects commands to be run together, without other clients' commands in between.
    pub fn transaction(&self) -> Transaction<'_> {
        Transaction { client: self, commands: Vec::new() }
    }

    /// Watches keys, for a transaction that runs only if they do not change.
    ///
    /// # Errors
    /// Every kind; `Config` for keys in two slots of a cluster, `Limit` when
    /// `exclusive_connections_max` connections to the node are in use.
    ///
    /// Dropped before its end, nothing is watched.
    pub async fn watch<I>(&self, keys: I) -> Result<Watch<'_>, Error>
    where
        I: IntoIterator,
        I::Item: ToArg,
    {
        let watch = cmd("WATCH").keys_from(keys);
        let env = &self.shared.env;
        crate::routing::transaction::one_slot(std::slice::from_ref(&watch), env.has_slots())?;
        let options = self.call_options_from_now();
        let link = WatchLink::start(&self.shared.topology, watch, options).await?;
        Ok(Watch { client: self, link })
    }
}

/// The reply to EXEC where no key was watched; an error if it is null.
pub(super) fn unless_discarded(frame: Bytes) -> Result<Bytes, Error> {
    if !is_null(&frame) {
        return Ok(frame);
    }
    let message = "the server discarded the transaction, though no key was watched";
    let error = Error::new(ErrorKind::Protocol, Delivery::Refused, message);
    Err(error.with_command("EXEC"))
}

/// Decodes the replies in the reply to EXEC, as those of a pipeline.
pub(super) fn decode<T: FromReply>(frame: &Bytes) -> Result<T, Error> {
    let replies = replies(frame).and_then(|replies| from_frames(&replies));
    replies.map_err(|error| Error::undecodable(error).with_command("EXEC"))
}

/// The replies in the reply to EXEC.
fn replies(frame: &Bytes) -> Result<Vec<Bytes>, DecodeError> {
    let elements = Elements::of(frame).into_iter().flatten();
    elements.map(|element| element.map(|element| frame.slice_ref(element))).collect()
}

/// The results in the reply to EXEC.
pub(super) fn each(frame: &Bytes) -> Result<Vec<Result<Reply, Error>>, Error> {
    let result = |reply: Bytes| match ServerError::from_frame(&reply) {
        Some(error) => Err(Error::server(Delivery::Answered, error)),
        None => Ok(Reply::new(reply)),
    };
    let replies = replies(frame).map_err(|e| Error::undecodable(e).with_command("EXEC"))?;
    Ok(replies.into_iter().map(result).collect())
}
