//! Which commands may be in a transaction, and where it goes.
//!
//! A transaction runs on one node, so all its keys must be in one slot, and so must the slots that
//! its commands name by number. Commands that change the
//! connection, or are answered by pushes, are refused before a byte is sent.
//!
//! **Invariant**: pure. Spec: <https://redis.io/docs/latest/develop/interact/transactions/>;
//! cluster-spec, "Implemented subset".

use super::session::refusal;
use super::split::{KeySlots, cross_slot, key_slots, slot_argument, untold_keys};
use crate::command::{Command, Flags, cmd};
use crate::error::{Delivery, Error, ErrorKind};
use crate::topology::slot::Slot;

/// The command that gives a transaction its route and its name in errors: EXEC with the first key.
///
/// It is never sent, and never counts as a read: a transaction never goes to a replica, and one
/// that may have run is not run again.
///
/// # Errors
/// `Config` for a command that cannot be part of a transaction and, where there are slots, for keys
/// in two of them.
pub(crate) fn lead(commands: &[Command], has_slots: bool) -> Result<Command, Error> {
    // WAIT and the like: the error says what to use instead.
    let about_connection = |command: &&Command| command.spec().flags().contains(Flags::CONNECTION);
    if let Some(error) = commands.iter().find(about_connection).and_then(refusal) {
        return Err(error);
    }
    if let Some(command) = commands.iter().find(|command| !is_allowed(command)) {
        let message = "cannot be part of a transaction";
        let error = Error::new(ErrorKind::Config, Delivery::NotSent, message);
        return Err(error.with_command(&command.name()));
    }
    one_slot(commands, has_slots).map_err(|error| error.with_command("EXEC"))?;
    let key = commands.iter().find_map(Command::first_key);
    let named = if key.is_none() { commands.iter().find_map(slot_argument) } else { None };
    let lead = key.into_iter().fold(cmd("EXEC"), Command::key);
    Ok(named.into_iter().fold(lead, |lead, slot| lead.key(key_in(slot))))
}

/// Some key in a slot.
fn key_in(slot: Slot) -> u32 {
    let is_there = |key: &u32| Slot::of(key.to_string().as_bytes()) == slot;
    (0..).find(is_there).expect("some number hashes to each slot")
}

/// Checks that all keys, and all slots that are arguments, are in one slot, if there are slots.
///
/// # Errors
/// `Config`, with the two slots.
pub(crate) fn one_slot(commands: &[Command], has_slots: bool) -> Result<(), Error> {
    if !has_slots {
        return Ok(());
    }
    if let KeySlots::Several { first, second } = key_slots(commands.iter().flat_map(keys)) {
        return Err(cross_slot(first, second));
    }
    let mut named = commands.iter().filter_map(slot_argument);
    let Some(first) = named.next() else { return Ok(()) };
    let of_key = commands.iter().flat_map(keys).next().map(Slot::of);
    match named.chain(of_key).find(|slot| *slot != first) {
        Some(second) => Err(cross_slot(first, second)),
        None => Ok(()),
    }
}

fn is_allowed(command: &Command) -> bool {
    command.spec().flags().lacks(Flags::NO_MULTI.and(Flags::SESSION))
}

/// All keys; of a command that the table lacks, the key that the caller marked.
fn keys(command: &Command) -> impl Iterator<Item = &[u8]> {
    let marked = command.is_unknown().then(|| command.first_key()).flatten();
    command.keys().map(|(_, key)| key).chain(marked).chain(untold_keys(command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{get, incr, mget, set};
    use crate::error::ErrorDetail;

    #[test]
    fn it_is_routed_by_its_first_key_and_is_never_a_read() {
        let transaction = [cmd("PING"), get("{a}1"), mget(["{a}2", "{a}3"])];
        let lead = lead(&transaction, true).unwrap();
        assert_eq!((lead.first_key(), lead.name().as_str()), (Some(&b"{a}1"[..]), "EXEC"));
        assert!(!lead.is_readonly());
        assert_eq!(super::lead(&[], true).unwrap().first_key(), None);
    }

    #[test]
    fn two_slots_are_named() {
        let transaction = [set("foo", 1), incr("bar")];
        let error = lead(&transaction, true).unwrap_err();
        let crossed = ErrorDetail::CrossSlot { first: 12182, second: 5061 };
        assert_eq!((error.delivery(), error.details()), (Delivery::NotSent, Some(&crossed)));
        assert!(lead(&transaction, false).is_ok(), "one server has no slots");
        // A module's command: only its caller knows the keys.
        let module = [cmd("JSON.SET").key("foo").arg("$").arg("1"), get("bar")];
        assert!(lead(&module, true).is_err());
        // And one whose server knows the first key only.
        let module = [cmd("JSON.MGET").args(["foo", "bar", "$"])];
        assert!(lead(&module, true).is_err() && lead(&module, false).is_ok());
    }

    /// The number of a slot decides as a key in it would.
    #[test]
    fn a_slot_that_is_an_argument_counts_like_a_key() {
        let count = |slot: u32| cmd("CLUSTER COUNTKEYSINSLOT").arg(slot);
        for slot in [0, 5061, 16383] {
            let lead = lead(&[cmd("PING"), count(slot)], true).unwrap();
            assert_eq!(lead.first_key().map(|key| u32::from(Slot::of(key).number())), Some(slot));
        }
        assert!(lead(&[get("foo"), count(12182)], true).is_ok());
        assert!(lead(&[get("foo"), count(99999)], true).is_ok(), "the server's own error");
        for commands in [[get("foo"), count(5061)], [count(12182), count(5061)]] {
            let error = lead(&commands, true).unwrap_err();
            assert!(matches!(error.details(), Some(ErrorDetail::CrossSlot { .. })), "{error}");
            assert!(lead(&commands, false).is_ok());
        }
    }

    #[test]
    fn what_would_end_it_or_change_the_connection_is_refused() {
        let names = ["MULTI", "EXEC", "DISCARD", "WATCH k", "SUBSCRIBE c", "HELLO 3", "SELECT 1"];
        let more = ["CLIENT REPLY OFF", "MONITOR", "quit", "CLIENT NO-TOUCH ON", "CLIENT FUTURE"];
        for name in names.iter().chain(&more) {
            let error = lead(&[get("k"), cmd(name)], true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{name}");
        }
        let error = lead(&[get("k"), cmd("WAIT 1 0")], true).unwrap_err();
        assert!(error.to_string().contains("Transaction::wait_replicas"), "{error}");
        // It does not block in a transaction.
        assert!(lead(&[cmd("BLPOP").arg("k").arg(0), cmd("CLIENT ID")], true).is_ok());
    }
}
