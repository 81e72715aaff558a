//! A Lua script that is sent in full once to each server, and by its digest from then on.
//!
//! Invariant: the script is routed by its keys, like any command. A server that does not know it (a
//! new primary, a server that was restarted) answers NOSCRIPT, and gets the source. Nothing is
//! remembered of which server knows it. A script that ran is not run again, whatever it says.
//! Spec: <https://redis.io/docs/latest/develop/interact/programmability/eval-intro/>, "Script cache".

use super::client::Client;
use crate::command::{self, ToArgs};
use crate::error::Error;
use crate::resp::{ErrorClass, ServerError};
use serde::de::DeserializeOwned;
use sha1_smol::Sha1;
use std::sync::Arc;

/// A Lua script and its SHA-1 digest, by which servers know it.
///
/// Make it once and keep it: it computes the digest. A clone shares both.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::Script;
///
/// let add = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
/// let sum: i64 = client.run_script(&add, "count", 5).await?;
///
/// let take = Script::new(
///     "local left = redis.call('DECRBY', KEYS[1], ARGV[1])
///      redis.call('HINCRBY', KEYS[2], ARGV[2], ARGV[1])
///      return left",
/// );
/// let keys = ["{shop}:stock", "{shop}:sold"];
/// let left: i64 = client.run_script(&take, keys, ["3", "apples"]).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The Lua source.
    source: Arc<str>,
    /// Its SHA-1 in hexadecimal.
    digest: Arc<str>,
}

impl Script {
    /// A script with this Lua source.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self { source: source.into(), digest: Sha1::from(source).hexdigest().into() }
    }

    /// The Lua source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The SHA-1 of the source in hexadecimal, as SCRIPT LOAD returns it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Client {
    /// Runs a script: sends EVALSHA, and EVAL if the server does not know the script. In a cluster
    /// all keys must be in one slot: give them a common hash tag.
    ///
    /// # Errors
    /// Those of [`Client::send`] for a command that may write: it is not sent again when it may
    /// have run.
    ///
    /// Dropped before its reply came, the script may or may not have run, at most once.
    ///
    /// Since 2.6.0. <https://redis.io/commands/evalsha/>
    pub async fn run_script<T: DeserializeOwned>(
        &self,
        script: &Script,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Result<T, Error> {
        let (keys, args) = (Borrowed(&keys), Borrowed(&args));
        let by_digest = command::evalsha(script.digest(), keys, args);
        match self.send(by_digest).await {
            Err(error) if error.server_error().is_some_and(is_unknown) => {
                self.send(command::eval(script.source(), keys, args)).await
            }
            result => result,
        }
    }
}

/// Whether the server says that it does not know the script. A script that ran may use the same
/// code in words of its own.
// spec: eval.c of Redis 6.0 to 8.0 and of Valkey: "NOSCRIPT No matching script. Please use EVAL."
fn is_unknown(error: &ServerError) -> bool {
    let says = |text: &str| error.message().starts_with(text);
    error.class() == ErrorClass::UnknownScript && says("No matching script")
}

/// Borrowed arguments, for two commands.
struct Borrowed<'a, T>(&'a T);

impl<T> Clone for Borrowed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Borrowed<'_, T> {}

impl<T: ToArgs> ToArgs for Borrowed<'_, T> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn each_bytes(&self, write: impl FnMut(&[u8])) {
        self.0.each_bytes(write);
    }
}
