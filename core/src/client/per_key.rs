//! Commands on many keys, with a result for each key.
//!
//! `mget` and the like fail as a whole if the node of one key fails. The methods here split the
//! command by key and report each key apart; keys of one node are still sent in one write.
//!
//! Invariants: results are in the order of the keys; a key that fails does not keep the others from
//! being served. Not atomic, in no deployment: other clients' commands may run in between.
//! Limit: a call is one deadline for all keys.

use super::client::Client;
use crate::command::{self, Command, ToArg, ToArgs};
use crate::driver::dispatch::fan_out;
use crate::error::Error;
use crate::resp::FromReply;
use crate::resp::from_frame;

impl Client {
    /// MGET, with a result for each key, in the order of the keys. `T` is the type of one value:
    /// `Option<String>` for a key that may be missing.
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) {
    /// let names = ["user:1", "user:2"];
    /// for (name, value) in names.iter().zip(client.mget_each::<Option<String>>(names).await) {
    ///     match value {
    ///         Ok(value) => println!("{name}: {value:?}"),
    ///         Err(error) => println!("{name} cannot be read now: {error}"),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Each result has the error of its key: every kind, as with [`Client::send`].
    ///
    /// Dropped before its end, any of the keys may have been read.
    pub async fn mget_each<T: FromReply>(&self, keys: impl ToArgs) -> Vec<Result<T, Error>> {
        self.each_key(command::mget(keys)).await
    }

    /// MSET, with a result for each key, in the order of the keys. Unlike MSET at one server, it is
    /// not atomic: with an error, some keys may be set and others not.
    ///
    /// # Errors
    /// As [`Client::mget_each`].
    ///
    /// Dropped before its end, any of the keys may have been set.
    pub async fn mset_each(
        &self,
        pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>,
    ) -> Vec<Result<(), Error>> {
        self.each_key(command::mset(pairs)).await
    }

    /// DEL, with a result for each key, in the order of the keys: whether the key existed.
    ///
    /// # Errors
    /// As [`Client::mget_each`].
    ///
    /// Dropped before its end, any of the keys may have been deleted.
    pub async fn del_each(&self, keys: impl ToArgs) -> Vec<Result<bool, Error>> {
        self.each_key(command::del(keys)).await
    }

    /// UNLINK, with a result for each key, in the order of the keys: whether the key existed.
    ///
    /// # Errors
    /// As [`Client::mget_each`].
    ///
    /// Dropped before its end, any of the keys may have been deleted.
    pub async fn unlink_each(&self, keys: impl ToArgs) -> Vec<Result<bool, Error>> {
        self.each_key(command::unlink(keys)).await
    }

    /// EXISTS, with a result for each key, in the order of the keys.
    ///
    /// # Errors
    /// As [`Client::mget_each`].
    pub async fn exists_each(&self, keys: impl ToArgs) -> Vec<Result<bool, Error>> {
        self.each_key(command::exists(keys)).await
    }

    /// TOUCH, with a result for each key, in the order of the keys: whether the key exists.
    ///
    /// # Errors
    /// As [`Client::mget_each`].
    pub async fn touch_each(&self, keys: impl ToArgs) -> Vec<Result<bool, Error>> {
        self.each_key(command::touch(keys)).await
    }

    async fn each_key<T: FromReply>(&self, command: Command) -> Vec<Result<T, Error>> {
        let name = command.name();
        let options = self.call_options(self.deadline_for(&command));
        let (topology, reads) = (&self.shared.topology, self.non_primary_read_settings());
        let frames = fan_out::run_per_key(topology, command, reads.as_ref(), options).await;
        let decode = |error| Error::undecodable(error).with_command(&name);
        frames.into_iter().map(|frame| from_frame(&frame?).map_err(decode)).collect()
    }
}
