//! What runs commands.
//!
//! Invariant: nothing here decides where a command goes, or what is done with its reply.

use super::call::Call;
use super::client::Client;
use crate::command::Command;
use crate::resp::FromReply;

/// What runs commands: `&Client`, a [`Pipeline`](crate::Pipeline), a
/// [`Transaction`](crate::Transaction), and a [`Batch`](crate::Batch), which is one of these two
/// with the types of its replies.
pub trait Execute: Sized {
    /// What there is for a command whose reply is a `T`: a call to await; of a pipeline or a
    /// transaction, itself with one more reply.
    type Output<T: FromReply>;

    /// Runs any command, or adds it: see [`cmd`](crate::cmd).
    fn execute<T: FromReply>(self, command: Command) -> Self::Output<T>;
}

impl<'c> Execute for &'c Client {
    type Output<T: FromReply> = Call<'c, T>;

    #[inline]
    fn execute<T: FromReply>(self, command: Command) -> Call<'c, T> {
        self.send(command)
    }
}
