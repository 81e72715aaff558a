//! Transactions: commands that run together, with nobody else's in between, and optionally only if
//! watched keys are as they were.
//!
//! Invariants: all of a transaction is sent in one write, on whatever connection is shared; watched
//! keys have a connection of their own, for others' commands on it would end the watch. Limits:
//! `pipeline_commands_max`, `exclusive_connections_max`. The work is `driver/transaction.rs`.
//! Spec: <https://redis.io/docs/latest/develop/interact/transactions/>. Called by users.

use super::client::Client;
use super::pipeline::{Reply, check_length};
use crate::command::{Command, ToArg, cmd};
use crate::driver::dispatch::transaction::{self, Watching};
use crate::error::{Delivery, Error};
use crate::resp::{Elements, ServerError, from_frame};
use crate::routing::session::refusal;
use crate::routing::transaction::lead;
use bytes::Bytes;
use serde::de::DeserializeOwned;

/// Commands that are collected and then run together, as MULTI and EXEC do.
///
/// Nobody else's command runs in between. It is no rollback: a command that fails while it runs (a
/// list operation on a string) leaves the others in force. In a cluster all keys must be in one
/// slot: give them a common hash tag, as in `{user:1}:name`.
///
/// It goes to the primary under every read policy. Redirected, refused or not sent, it is sent
/// again as a whole; when it may have run, it is not ([`Delivery::Unknown`]), unless
/// [`retry_unknown`](crate::Config::retry_unknown) says so.
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
    /// Who runs them.
    client: &'c Client,
    /// In order.
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

    /// Runs all commands and decodes their replies into `T`, as if they were the elements of one
    /// list: a tuple, a `Vec`, a struct's fields.
    ///
    /// # Errors
    /// `Config` when the commands cannot make a transaction (keys in two slots, a command that
    /// speaks of the connection), `Limit` when there are too many; nothing was sent then. `Server`
    /// with [`Delivery::Refused`] when the server refused one and so all, with
    /// [`Delivery::Answered`] when one failed while it ran: the others ran, too, and
    /// [`Transaction::run_each`] shows their replies.
    ///
    /// Dropped before its end, all of it or nothing has run.
    pub async fn run<T: DeserializeOwned>(self) -> Result<T, Error> {
        decode(&self.frame().await?)
    }

    /// Runs all commands and returns what became of each, in order.
    ///
    /// # Errors
    /// As [`Transaction::run`]; what a command fails with while it runs is its own result.
    ///
    /// Dropped before its end, all of it or nothing has run.
    pub async fn run_each(self) -> Result<Vec<Result<Reply, Error>>, Error> {
        each(&self.frame().await?)
    }

    async fn frame(self) -> Result<Bytes, Error> {
        let lead = self.checked()?;
        let options = self.client.call_options_from_now();
        transaction::run(&self.client.shared.topology, lead, self.commands, options).await
    }

    /// What stands for all of them, if they can be run together.
    fn checked(&self) -> Result<Command, Error> {
        let env = &self.client.shared.env;
        check_length("transaction", self.commands.len(), env.config())?;
        lead(&self.commands, env.has_slots())
    }
}

/// Keys that are watched: a transaction behind them runs only if nobody has changed them.
///
/// It holds a connection of its own (of `exclusive_connections_max` per node). Dropped, it closes
/// the connection and with it the watch.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::command::{get, set};
/// loop {
///     let watch = client.watch(["stock"]).await?;
///     let left: i64 = watch.send(get("stock")).await?;
///     let sell = client.transaction().add(set("stock", left - 1));
///     // `None`: somebody was faster.
///     if watch.commit::<((),)>(sell).await?.is_some() {
///         break;
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "dropped, keys are no longer watched"]
#[derive(Debug)]
pub struct Watch<'c> {
    /// Whose configuration counts.
    client: &'c Client,
    /// The connection.
    watching: Watching,
}

impl Watch<'_> {
    /// Runs one command on the connection that watches, and so at the primary, after the watch
    /// began.
    ///
    /// # Errors
    /// Every kind. It is tried once: after a lost connection or a redirect the keys are no longer
    /// watched, and the caller begins anew.
    /// `Config` for a command that would change the connection, as with [`Client::send`].
    ///
    /// Dropped before its end, the command may or may not have run.
    pub async fn send<T: DeserializeOwned>(&self, command: Command) -> Result<T, Error> {
        refusal(&command).map_or(Ok(()), Err)?;
        let frame = self.watching.send(&command, self.client.call_options_from_now()).await?;
        from_frame(&frame).map_err(|e| Error::undecodable(e).with_command(&command.name()))
    }

    /// Runs the transaction if no watched key has changed since the watch began, and `None` if one
    /// has: nothing ran then.
    ///
    /// # Errors
    /// As [`Transaction::run`], but it is tried once. With [`Delivery::Refused`] or
    /// [`Delivery::NotSent`] nothing ran, and the caller may begin anew.
    ///
    /// Dropped before its end, all of it or nothing has run.
    pub async fn commit<T: DeserializeOwned>(
        self,
        transaction: Transaction<'_>,
    ) -> Result<Option<T>, Error> {
        let lead = transaction.checked()?;
        let options = self.client.call_options_from_now();
        let frame = self.watching.commit(&lead, &transaction.commands, options).await?;
        if crate::resp::is_null(&frame) { Ok(None) } else { decode(&frame).map(Some) }
    }
}

impl Client {
    /// Commands to be run together, with nobody else's in between.
    pub fn transaction(&self) -> Transaction<'_> {
        Transaction { client: self, commands: Vec::new() }
    }

    /// Watches keys, for a transaction that runs only if they stay as they are.
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
        let watching = Watching::start(&self.shared.topology, watch, options).await?;
        Ok(Watch { client: self, watching })
    }
}

fn decode<T: DeserializeOwned>(frame: &Bytes) -> Result<T, Error> {
    from_frame(frame).map_err(|error| Error::undecodable(error).with_command("EXEC"))
}

/// The elements of EXEC's reply.
fn each(frame: &Bytes) -> Result<Vec<Result<Reply, Error>>, Error> {
    let elements = Elements::of(frame).into_iter().flatten();
    let result = |element: &[u8]| {
        let element = frame.slice_ref(element);
        match ServerError::from_frame(&element) {
            Some(error) => Err(Error::server(Delivery::Answered, error)),
            None => Ok(Reply::new(element)),
        }
    };
    let undecodable = |error| Error::undecodable(error).with_command("EXEC");
    elements.map(|element| element.map(result).map_err(undecodable)).collect()
}
