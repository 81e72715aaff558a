//! The client's methods for scripts and functions.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, ToArg, ToArgs};
use crate::resp::FromReply;

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait ScriptCommands: Execute {
    /// `EVAL script numkeys [key ...] [arg ...]`: what the script returns.
    ///
    /// A script runs at most once. An error that it answers with is its own word, with
    /// [`Delivery::Answered`](crate::Delivery::Answered), also if it uses a server's code
    /// (`BUSY job is locked`) or is stopped half-way (READONLY on a replica). Because a script can
    /// write a server's text to the letter, BUSY, LOADING, CLUSTERDOWN, MASTERDOWN and TRYAGAIN are
    /// answers, too: only [`eval_ro`](crate::commands::ScriptCommands::eval_ro) and
    /// [`Config::retry_unknown`](crate::Config::retry_unknown) try again. A script that shall wait
    /// for a server that refuses commands, or for a slot that is half moved, goes into a
    /// [`Client::transaction`](crate::Client::transaction), where the server's refusals can be told
    /// from the script's errors.
    ///
    /// MOVED and ASK for the slot of the script's own keys are followed in a cluster, once the
    /// server has redirected an `EXISTS` of the same keys to the same node; the user needs the
    /// right to it. A script that ran and then answered with the very redirect that the server has
    /// a round trip later runs twice. The same holds for EVALSHA, FCALL, and the commands of
    /// modules.
    ///
    /// Since 2.6.0. <https://redis.io/commands/eval/>
    fn eval<T: FromReply>(
        self,
        script: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Self::Output<T> {
        self.execute(command::eval(script, keys, args))
    }

    /// `EVAL_RO script numkeys [key ...] [arg ...]`: what the script returns; it may not write, so
    /// that a replica can run it.
    ///
    /// Since 7.0.0. <https://redis.io/commands/eval_ro/>
    fn eval_ro<T: FromReply>(
        self,
        script: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Self::Output<T> {
        self.execute(command::eval_ro(script, keys, args))
    }

    /// `EVALSHA sha1 numkeys [key ...] [arg ...]`: what the script returns. Errors are those of
    /// [`eval`](crate::commands::ScriptCommands::eval).
    ///
    /// Since 2.6.0. <https://redis.io/commands/evalsha/>
    fn evalsha<T: FromReply>(
        self,
        digest: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Self::Output<T> {
        self.execute(command::evalsha(digest, keys, args))
    }

    /// `EVALSHA_RO sha1 numkeys [key ...] [arg ...]`: what the script returns; it may not write, so
    /// that a replica can run it.
    ///
    /// Since 7.0.0. <https://redis.io/commands/evalsha_ro/>
    fn evalsha_ro<T: FromReply>(
        self,
        digest: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Self::Output<T> {
        self.execute(command::evalsha_ro(digest, keys, args))
    }

    /// `FCALL function numkeys [key ...] [arg ...]`: what the function returns. Errors are those of
    /// [`eval`](crate::commands::ScriptCommands::eval).
    ///
    /// Since 7.0.0. <https://redis.io/commands/fcall/>
    fn fcall<T: FromReply>(
        self,
        function: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Self::Output<T> {
        self.execute(command::fcall(function, keys, args))
    }

    /// `FCALL_RO function numkeys [key ...] [arg ...]`: what the function returns; it may not
    /// write, so that a replica can run it.
    ///
    /// Since 7.0.0. <https://redis.io/commands/fcall_ro/>
    fn fcall_ro<T: FromReply>(
        self,
        function: impl ToArg,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Self::Output<T> {
        self.execute(command::fcall_ro(function, keys, args))
    }

    /// `SCRIPT LOAD script`: the digest by which EVALSHA knows it.
    ///
    /// Since 2.6.0. <https://redis.io/commands/script-load/>
    fn script_load(self, script: impl ToArg) -> Self::Output<String> {
        self.execute(command::script_load(script))
    }

    /// `SCRIPT EXISTS sha1 [sha1 ...]`: for each whether the server knows it.
    ///
    /// Since 2.6.0. <https://redis.io/commands/script-exists/>
    fn script_exists(self, digests: impl ToArgs) -> Self::Output<Vec<bool>> {
        self.execute(command::script_exists(digests))
    }

    /// `SCRIPT FLUSH`: OK; the server forgets all scripts.
    ///
    /// Since 2.6.0. <https://redis.io/commands/script-flush/>
    fn script_flush(self) -> Self::Output<()> {
        self.execute(command::script_flush())
    }
}

impl<E: Execute> ScriptCommands for E {}
