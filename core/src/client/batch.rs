//! Pipelines and transactions that know the types of their replies.
//!
//! Each typed command that is added appends the type of its reply to a tuple, which `run` returns.
//! Invariant: there are as many commands as types, in the same order. Limit: 16 commands, as many
//! as a tuple of serde has elements; `push` of a pipeline has no such limit.

use super::execute::Execute;
use crate::command::Command;
use crate::resp::FromReply;
use std::fmt;
use std::marker::PhantomData;

/// A [`Pipeline`](crate::Pipeline) or a [`Transaction`](crate::Transaction) whose replies have the
/// types of the tuple `R`.
///
/// The first typed command makes it of a pipeline, each other one makes the tuple longer:
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::prelude::*;
/// use std::collections::HashMap;
/// let (cart, _, orders): (HashMap<String, u32>, _, _) =
///     client.transaction().hgetall("cart:1").del("cart:1").incr("orders").run().await?;
/// println!("order {orders}: {cart:?}");
/// # Ok(()) }
/// ```
#[must_use = "a batch is sent by `run` or `run_each`"]
pub struct Batch<B, R> {
    /// The commands.
    commands: B,
    /// The types of their replies.
    replies: PhantomData<fn() -> R>,
}

/// The types of the replies of a [`Batch`]: a tuple.
pub trait Replies {
    /// The same with one more type at its end.
    type With<T: FromReply>: Replies;
}

/// Stands for a tuple of more than 16 types, which does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooManyReplies {}

impl Replies for TooManyReplies {
    type With<T: FromReply> = Self;
}

/// Implements `Replies` for a tuple and all that are shorter.
macro_rules! replies {
    () => {
        impl Replies for () {
            type With<T: FromReply> = (T,);
        }
    };
    ($first:ident $($more:ident)*) => {
        impl<$first, $($more),*> Replies for ($first, $($more,)*) {
            type With<T: FromReply> = ($first, $($more,)* T);
        }
        replies!($($more)*);
    };
}

replies!(A B C D E F G H I J K L M N O);

impl<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P> Replies
    for (A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P)
{
    type With<T: FromReply> = TooManyReplies;
}

/// What a [`Batch`] is made of: commands that are collected one by one.
pub trait Collects: Sized {
    /// Adds a command at the end.
    #[must_use]
    fn and(self, command: Command) -> Self;
}

impl<B: Collects> Execute for B {
    type Output<T: FromReply> = Batch<B, (T,)>;

    fn execute<T: FromReply>(self, command: Command) -> Batch<B, (T,)> {
        Batch::of(self.and(command))
    }
}

impl<B: Collects, R: Replies> Execute for Batch<B, R> {
    type Output<T: FromReply> = Batch<B, R::With<T>>;

    fn execute<T: FromReply>(self, command: Command) -> Self::Output<T> {
        Batch::of(self.commands.and(command))
    }
}

impl<B, R> Batch<B, R> {
    pub(super) fn of(commands: B) -> Self {
        Self { commands, replies: PhantomData }
    }

    /// The commands, without the types.
    pub(super) fn into_commands(self) -> B {
        self.commands
    }
}

impl<B: fmt::Debug, R> fmt::Debug for Batch<B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Batch").field(&self.commands).finish()
    }
}
