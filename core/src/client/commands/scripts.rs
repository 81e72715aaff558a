//! The client's methods for scripts and functions.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, ToArg, ToArgs};
use serde::de::DeserializeOwned;

impl Client {
    /// `EVAL script numkeys [key ...] [arg ...]`: what the script returns.
    ///
    /// A script runs at most once. An error that it answers with is its own word, with
    /// [`Delivery::Answered`](crate::Delivery::Answered), also if it uses a server's code
    /// (`BUSY job is locked`) or is stopped half-way (READONLY on a replica). Because a script can
    /// write a server's text to the letter, BUSY, LOADING, CLUSTERDOWN, MASTERDOWN and TRYAGAIN are
    /// answers, too: only [`Client::eval_ro`] and
    /// [`Config::retry_unknown`](crate::Config::retry_unknown) try again. A script that shall wait
    /// for a server that refuses commands, or for a slot that is half moved, goes into a
    /// [`Client::transaction`], where the server's refusals can be told from the script's errors.
    ///
    /// MOVED and ASK for the slot of the script's own keys are followed in a cluster, once the
    /// server has redirected an `EXISTS` of the same keys to the same node; the user needs the
    /// right to it. A script that ran and then answered with the very redirect that the server has
    /// a round trip later runs twice. The same holds for EVALSHA, FCALL, and the commands of
    /// modules.
    ///
    /// Since 2.6.0. <https://redis.io/commands/eval/>
    pub fn eval<T: DeserializeOwned>(
        &self,
        script: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Call<'_, T> {
        self.send(command::eval(script, keys, args))
    }

    /// `EVAL_RO script numkeys [key ...] [arg ...]`: what the script returns; it may not write, so
    /// that a replica can run it.
    ///
    /// Since 7.0.0. <https://redis.io/commands/eval_ro/>
    pub fn eval_ro<T: DeserializeOwned>(
        &self,
        script: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Call<'_, T> {
        self.send(command::eval_ro(script, keys, args))
    }

    /// `EVALSHA sha1 numkeys [key ...] [arg ...]`: what the script returns. Errors are those of
    /// [`Client::eval`].
    ///
    /// Since 2.6.0. <https://redis.io/commands/evalsha/>
    pub fn evalsha<T: DeserializeOwned>(
        &self,
        digest: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Call<'_, T> {
        self.send(command::evalsha(digest, keys, args))
    }

    /// `EVALSHA_RO sha1 numkeys [key ...] [arg ...]`: what the script returns; it may not write, so
    /// that a replica can run it.
    ///
    /// Since 7.0.0. <https://redis.io/commands/evalsha_ro/>
    pub fn evalsha_ro<T: DeserializeOwned>(
        &self,
        digest: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Call<'_, T> {
        self.send(command::evalsha_ro(digest, keys, args))
    }

    /// `FCALL function numkeys [key ...] [arg ...]`: what the function returns. Errors are those of
    /// [`Client::eval`].
    ///
    /// Since 7.0.0. <https://redis.io/commands/fcall/>
    pub fn fcall<T: DeserializeOwned>(
        &self,
        function: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Call<'_, T> {
        self.send(command::fcall(function, keys, args))
    }

    /// `FCALL_RO function numkeys [key ...] [arg ...]`: what the function returns; it may not
    /// write, so that a replica can run it.
    ///
    /// Since 7.0.0. <https://redis.io/commands/fcall_ro/>
    pub fn fcall_ro<T: DeserializeOwned>(
        &self,
        function: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Call<'_, T> {
        self.send(command::fcall_ro(function, keys, args))
    }

    /// `SCRIPT LOAD script`: the digest by which EVALSHA knows it.
    ///
    /// Since 2.6.0. <https://redis.io/commands/script-load/>
    pub fn script_load(&self, script: impl ToArg) -> Call<'_, String> {
        self.send(command::script_load(script))
    }

    /// `SCRIPT EXISTS sha1 [sha1 ...]`: for each whether the server knows it.
    ///
    /// Since 2.6.0. <https://redis.io/commands/script-exists/>
    pub fn script_exists(&self, digests: impl ToArgs) -> Call<'_, Vec<bool>> {
        self.send(command::script_exists(digests))
    }

    /// `SCRIPT FLUSH`: OK; the server forgets all scripts.
    ///
    /// Since 2.6.0. <https://redis.io/commands/script-flush/>
    pub fn script_flush(&self) -> Call<'_, ()> {
        self.send(command::script_flush())
    }
}
