//! Commands that run scripts and functions.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=scripting>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use crate::command::{Command, EncodedName, ToArg, ToArgs};

/// `EVAL script numkeys [key ...] [arg ...]`; its reply:
/// [`eval`](crate::commands::ScriptCommands::eval).
pub fn eval(script: impl ToArg, keys: impl ToArgs, args: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("EVAL") })
        .arg(script)
        .counted_keys(&keys)
        .each_arg(&args)
}

/// `EVAL_RO script numkeys [key ...] [arg ...]`; its reply:
/// [`eval_ro`](crate::commands::ScriptCommands::eval_ro).
pub fn eval_ro(script: impl ToArg, keys: impl ToArgs, args: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("EVAL_RO") })
        .arg(script)
        .counted_keys(&keys)
        .each_arg(&args)
}

/// `EVALSHA sha1 numkeys [key ...] [arg ...]`; its reply:
/// [`evalsha`](crate::commands::ScriptCommands::evalsha).
///
/// In a pipeline or a transaction, use [`eval`] instead: a server that does not hold the script (it
/// was restarted, took over, or its cache was flushed) answers this command with NOSCRIPT, and the
/// others run all the same. Nothing is sent again then, because the others have run.
/// [`Client::run_script`](crate::Client::run_script) sends the source by itself, but runs one
/// script alone.
pub fn evalsha(digest: impl ToArg, keys: impl ToArgs, args: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("EVALSHA") })
        .arg(digest)
        .counted_keys(&keys)
        .each_arg(&args)
}

/// `EVALSHA_RO sha1 numkeys [key ...] [arg ...]`; its reply:
/// [`evalsha_ro`](crate::commands::ScriptCommands::evalsha_ro).
pub fn evalsha_ro(digest: impl ToArg, keys: impl ToArgs, args: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("EVALSHA_RO") })
        .arg(digest)
        .counted_keys(&keys)
        .each_arg(&args)
}

/// `FCALL function numkeys [key ...] [arg ...]`; its reply:
/// [`fcall`](crate::commands::ScriptCommands::fcall).
pub fn fcall(function: impl ToArg, keys: impl ToArgs, args: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("FCALL") })
        .arg(function)
        .counted_keys(&keys)
        .each_arg(&args)
}

/// `FCALL_RO function numkeys [key ...] [arg ...]`; its reply:
/// [`fcall_ro`](crate::commands::ScriptCommands::fcall_ro).
pub fn fcall_ro(function: impl ToArg, keys: impl ToArgs, args: impl ToArgs) -> Command {
    Command::start(const { EncodedName::of("FCALL_RO") })
        .arg(function)
        .counted_keys(&keys)
        .each_arg(&args)
}

/// `SCRIPT LOAD script`; its reply: [`script_load`](crate::commands::ScriptCommands::script_load).
pub fn script_load(script: impl ToArg) -> Command {
    Command::start(const { EncodedName::sub("SCRIPT", "LOAD") }).arg(script)
}

/// `SCRIPT EXISTS sha1 [sha1 ...]`; its reply:
/// [`script_exists`](crate::commands::ScriptCommands::script_exists).
pub fn script_exists(digests: impl ToArgs) -> Command {
    Command::start(const { EncodedName::sub("SCRIPT", "EXISTS") }).each_arg(&digests)
}

/// `SCRIPT FLUSH`; its reply: [`script_flush`](crate::commands::ScriptCommands::script_flush).
pub fn script_flush() -> Command {
    Command::start(const { EncodedName::sub("SCRIPT", "FLUSH") })
}
