//! A Lua script that is sent in full once per server, and by its digest from then on.
//!
//! It is routed by its keys, as any command is, and goes where they go: a server that does not know
//! it (a new primary, one that was restarted) is told. Called by users.

use super::client::Client;
use crate::command::{self, ToArgs};
use crate::error::Error;
use crate::resp::ErrorClass;
use serde::de::DeserializeOwned;
use sha1_smol::Sha1;
use std::sync::Arc;

/// A script, with the digest by which servers know it.
///
/// Make it once and keep it: a clone shares both.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// let add = slotcar::Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
/// let sum: i64 = client.run_script(&add, "count", 5).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What runs.
    source: Arc<str>,
    /// Its SHA-1 in hexadecimal.
    digest: Arc<str>,
}

impl Script {
    /// A script of this source.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self { source: source.into(), digest: Sha1::from(source).hexdigest().into() }
    }

    /// What runs.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The SHA-1 of the source in hexadecimal, as SCRIPT LOAD would return it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Client {
    /// Runs a script: EVALSHA, and EVAL where the server does not know it. In a cluster all keys
    /// must live in one slot.
    ///
    /// # Errors
    /// Those of any command that may write: one whose reply was lost may have run.
    ///
    /// Dropped before its reply came, it may or may not have run, once.
    ///
    /// Since 2.6.0. <https://redis.io/commands/evalsha/>
    pub async fn run_script<T: DeserializeOwned>(
        &self,
        script: &Script,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Result<T, Error> {
        let (keys, args) = (Lent(&keys), Lent(&args));
        let by_digest = command::evalsha(script.digest(), keys, args);
        match self.send(by_digest).await {
            Err(error)
                if error.server_error().is_some_and(|e| e.class() == ErrorClass::UnknownScript) =>
            {
                self.send(command::eval(script.source(), keys, args)).await
            }
            result => result,
        }
    }
}

/// Arguments that are used twice.
struct Lent<'a, T>(&'a T);

impl<T> Clone for Lent<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Lent<'_, T> {}

impl<T: ToArgs> ToArgs for Lent<'_, T> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn each_bytes(&self, write: impl FnMut(&[u8])) {
        self.0.each_bytes(write);
    }
}
