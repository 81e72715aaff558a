//! A Lua script that is sent in full once to each server, and by its digest from then on.
//!
//! Invariants: the script is routed by its keys, like any command. A server that does not know it
//! (a new primary, a server that was restarted) answers NOSCRIPT, and gets the source. A script
//! that could answer so itself, after it ran, is always sent as source, to which no server says
//! NOSCRIPT. Spec: <https://redis.io/docs/latest/develop/interact/programmability/eval-intro/>, "Script cache".

use super::client::Client;
use crate::command::{self, ToArgs};
use crate::error::Error;
use crate::resp::FromReply;
use crate::resp::ServerError;
use sha1_smol::Sha1;
use std::sync::Arc;

/// The code that servers answer with to an unknown digest.
const NOSCRIPT: &[u8] = b"NOSCRIPT";

/// A Lua script and its SHA-1 digest, by which servers know it.
///
/// Make it once and keep it: it computes the digest. A clone shares both.
///
/// In a pipeline or a transaction, add `command::eval(script.source(), keys, args)`: no server
/// answers NOSCRIPT to that. `command::evalsha` may be refused there while the other commands run.
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
    /// Whether the source contains the word `NOSCRIPT`.
    says_noscript: bool,
}

impl Script {
    /// A script with this Lua source.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self {
            source: source.into(),
            digest: Sha1::from(source).hexdigest().into(),
            says_noscript: mentions_noscript(&source),
        }
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
    /// all keys must be in one slot: give them a common hash tag. A script whose source or
    /// arguments contain the word `NOSCRIPT` is sent by EVAL each time, since its own error could
    /// not be told from the server's.
    ///
    /// Each of the two commands has the timeout of this client.
    ///
    /// # Errors
    /// Those of [`Client::send`] for a command that may write: it is not sent again when it may
    /// have run. What the script answers is its own word, with [`Delivery::Answered`], whatever
    /// code it uses; see [`eval`](crate::commands::ScriptCommands::eval).
    ///
    /// [`Delivery::Answered`]: crate::Delivery::Answered
    ///
    /// Dropped before its reply came, the script may or may not have run, at most once.
    ///
    /// Since 2.6.0. <https://redis.io/commands/evalsha/>
    pub async fn run_script<T: FromReply>(
        &self,
        script: &Script,
        keys: impl ToArgs,
        args: impl ToArgs,
    ) -> Result<T, Error> {
        let (keys, args) = (Borrowed(&keys), Borrowed(&args));
        if script.says_noscript || mentions_noscript(&keys) || mentions_noscript(&args) {
            return self.send(command::eval(script.source(), keys, args)).await;
        }
        match self.send(command::evalsha(script.digest(), keys, args)).await {
            Err(error) if error.server_error().is_some_and(ServerError::is_unknown_script) => {
                self.send(command::eval(script.source(), keys, args)).await
            }
            result => result,
        }
    }
}

/// Whether any of the arguments contains the code that servers answer with to an unknown digest.
fn mentions_noscript(args: &impl ToArgs) -> bool {
    let mut mentions = false;
    args.each_bytes(|bytes| mentions |= bytes.windows(NOSCRIPT.len()).any(|part| part == NOSCRIPT));
    mentions
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
