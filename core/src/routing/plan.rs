//! How a command is sent: whole to one node, split over slots, to several nodes, or not at all.
//!
//! Decided once for each command, before its first byte is sent, and passed down from there. The
//! facts are the servers' own, from the command table; the few exceptions stand here with their
//! reasons.
//!
//! Invariant: pure; a command that is refused here is never sent.
//! Spec: <https://redis.io/docs/latest/develop/reference/command-tips/>, "request_policy".

use super::fold::Fold;
use super::session::refusal;
use super::split::{KeySlots, Split, SplitBy, cross_slot, key_slots, slot_argument, untold_keys};
use super::target::Target;
use crate::command::{Command, RequestPolicy, ResponsePolicy};
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::{FAN_OUT, left_out};

/// How a command is sent.
#[derive(Debug)]
pub(crate) enum Plan {
    /// To each node of a target; their replies become one.
    FanOut(Target, Fold),
    /// In parts, one for each slot of its keys.
    Split(Box<Split>),
    /// The command table lacks the command, and the caller marked no key: the servers are asked
    /// where its keys are, and it is planned again.
    Unknown,
    /// Whole, to one node: the owner of its first key or, without a key, any primary.
    Whole,
}

/// How a command is sent. `has_slots`: whether the deployment is a cluster; without slots there is
/// one primary, to which everything goes whole.
///
/// # Errors
/// `Config` for a command that cannot be sent: it would change a shared connection, has keys in two
/// slots and cannot be split, continues a cursor of one node, or needs a feature that this build
/// lacks.
pub(crate) fn plan(command: &Command, has_slots: bool) -> Result<Plan, Error> {
    if let Some(error) = refusal(command) {
        return Err(error);
    }
    if !has_slots || command.goes_straight() {
        return Ok(Plan::Whole);
    }
    if command.is_unknown() {
        if let KeySlots::Several { first, second } = key_slots(untold_keys(command)) {
            return Err(cross_slot(first, second).with_command(&command.name()));
        }
        let can_be_routed = command.first_key().is_some() || !FAN_OUT;
        return Ok(if can_be_routed { Plan::Whole } else { Plan::Unknown });
    }
    plan_wide(command).map_err(|error| error.with_command(&command.name()))
}

/// How a command of the table is sent to a cluster.
fn plan_wide(command: &Command) -> Result<Plan, Error> {
    let spec = command.spec();
    let target = match spec.request() {
        RequestPolicy::AllNodes => Target::AllNodes,
        RequestPolicy::AllShards => Target::AllPrimaries,
        RequestPolicy::Slot(_) => match slot_argument(command) {
            Some(slot) => Target::Slot(slot),
            // Any node has the server's own error.
            None => return Ok(Plan::Whole),
        },
        RequestPolicy::Special if spec.name() == "SCAN" => return Err(cursor_of_one_node()),
        RequestPolicy::Default | RequestPolicy::MultiShard | RequestPolicy::Special => {
            return plan_by_keys(command);
        }
    };
    let how = match (spec.name(), spec.response()) {
        // It asks whether any server answers; asking each would fail when one of them is down.
        ("PING", _) => return Ok(Plan::Whole),
        // Any key of any shard.
        ("RANDOMKEY", _) => Fold::AnyValue,
        // The reply of one node.
        _ if matches!(target, Target::Slot(_)) => Fold::AnyValue,
        // INFO, MEMORY STATS, LATENCY GRAPH and the like: what a node says about itself, which no
        // rule joins into one reply. A node answers for itself alone.
        (_, ResponsePolicy::Special) => return Ok(Plan::Whole),
        (_, response) => Fold::By(response),
    };
    if FAN_OUT { Ok(Plan::FanOut(target, how)) } else { Err(no_fan_out()) }
}

/// How a command is sent whose keys alone say where it goes.
fn plan_by_keys(command: &Command) -> Result<Plan, Error> {
    let KeySlots::Several { first, second } = key_slots(command.keys().map(|(_, key)| key)) else {
        return Ok(Plan::Whole);
    };
    if let Some(error) = command.spec().key_step().and_then(|step| uneven(command, step)) {
        return Err(error);
    }
    if command.spec().splittable().is_none() {
        return Err(cross_slot(first, second));
    }
    if !FAN_OUT {
        return Err(no_fan_out());
    }
    let split = Split::of(command, SplitBy::Slot).ok_or_else(|| cross_slot(first, second))?;
    Ok(Plan::Split(Box::new(split)))
}

/// The error of a command whose last key lacks what belongs to it.
fn uneven(command: &Command, step: usize) -> Option<Error> {
    let (first, _) = command.keys().next()?;
    if command.count().checked_sub(first)?.is_multiple_of(step) {
        return None;
    }
    let each = if step == 2 { "a value" } else { "values" };
    let message = format!("wrong number of arguments: each key needs {each} behind it");
    Some(Error::new(ErrorKind::Config, Delivery::NotSent, message))
}

fn no_fan_out() -> Error {
    left_out("a command for several slots or nodes, or for a slot by its number", "fan-out")
}

fn cursor_of_one_node() -> Error {
    let message = "its cursor is valid on one node only: scan a cluster with \
                   `Client::scan_all`, or \
                   name the node with `Client::send_to`";
    Error::new(ErrorKind::Config, Delivery::NotSent, message)
}

#[cfg(all(test, feature = "fan-out"))]
mod tests {
    use super::*;
    use crate::command::{cmd, get, mget, mset};

    fn kind_of(plan: &Plan) -> &'static str {
        match plan {
            Plan::FanOut(Target::AllNodes, _) => "all nodes",
            Plan::FanOut(Target::Slot(_), _) => "owner of a slot",
            Plan::FanOut(..) => "all primaries",
            Plan::Split(_) => "split",
            Plan::Unknown => "unknown",
            Plan::Whole => "whole",
        }
    }

    /// Goal: one command of each kind, in a cluster.
    #[test]
    fn the_table_and_the_keys_decide() {
        let table = [
            (get("k"), "whole"),
            (mget(["{a}1", "{a}2"]), "whole"),
            (mget(["a", "b"]), "split"),
            (mset([("a", 1), ("b", 2)]), "split"),
            (cmd("PING"), "whole"),
            (cmd("INFO"), "whole"),
            (cmd("DBSIZE"), "all primaries"),
            (cmd("RANDOMKEY"), "all primaries"),
            (cmd("CLUSTER COUNTKEYSINSLOT").arg(5), "owner of a slot"),
            (cmd("cluster").arg("getkeysinslot").arg(16383).arg(10), "owner of a slot"),
            (cmd("CLUSTER MIGRATESLOTS SLOTSRANGE").arg(7).arg(9), "owner of a slot"),
            (cmd("CLUSTER FLUSHSLOT").arg("0"), "owner of a slot"),
            (cmd("CLUSTER COUNTKEYSINSLOT").arg(16384), "whole"),
            (cmd("CLUSTER COUNTKEYSINSLOT").arg(-1), "whole"),
            (cmd("CLUSTER COUNTKEYSINSLOT").arg("+5"), "whole"),
            (cmd("CLUSTER COUNTKEYSINSLOT").arg("foo"), "whole"),
            (cmd("CLUSTER COUNTKEYSINSLOT"), "whole"),
            (cmd("CLUSTER KEYSLOT").arg("foo"), "whole"),
            (cmd("SCRIPT LOAD").arg("return 1"), "all nodes"),
            (cmd("FUTURE.COMMAND").arg("k"), "unknown"),
            (cmd("FUTURE.COMMAND").key("k"), "whole"),
        ];
        for (command, expected) in table {
            assert_eq!(kind_of(&plan(&command, true).unwrap()), expected, "{command:?}");
            assert_eq!(kind_of(&plan(&command, false).unwrap()), "whole", "{command:?}");
        }
    }

    /// Goal: every command that has a policy, with what is done for it. A new server's command
    /// comes here when the table is written again.
    #[test]
    fn every_policy_has_a_plan() {
        let mut rows = Vec::new();
        for name in crate::command::every_name() {
            // A number of keys, then keys in several slots.
            let words = ["2", "3", "4", "5"];
            let command = words.into_iter().fold(cmd(&name), |command, word| command.arg(word));
            let (ask, fold) = (command.spec().request(), command.spec().response());
            if ask == RequestPolicy::Default || command.name() != name {
                continue;
            }
            let done = match plan(&command, true) {
                Ok(Plan::FanOut(Target::AllPrimaries, Fold::AnyValue)) => {
                    "all primaries, any value"
                }
                Ok(plan) => kind_of(&plan),
                Err(error) => error.details().map_or("refused", |_| "keys of one slot only"),
            };
            rows.push(format!("{name}: {ask:?}, {fold:?}: {done}"));
        }
        let text = rows.join("\n");
        assert_eq!(text, include_str!("plan/policies.txt").trim_end(), "{text}");
    }

    /// Goal: what cannot be sent is refused before a byte is sent, and the error names the command.
    #[test]
    fn what_cannot_be_sent_is_refused() {
        let table = [
            (cmd("RENAME").arg("a").arg("b"), "keys in two slots", true),
            (cmd("MSET").arg("a").arg(1).arg("b"), "wrong number of arguments", true),
            (cmd("mset").args(["a", "1", "c", "2", "b"]), "each key needs a value", true),
            (cmd("MSETNX").arg("a").arg(1).arg("b"), "wrong number of arguments", true),
            (cmd("MSETNX").args(["a", "1", "b", "2"]), "keys in two slots", true),
            (cmd("SCAN").arg(0), "cursor", true),
            (cmd("JSON.MGET").args(["a", "b", "$"]), "keys in two slots", true),
            (cmd("json.mget").key("a").arg("b").arg("$"), "keys in two slots", true),
            (cmd("SELECT").arg(1), "Config::database", false),
        ];
        for (command, text, only_in_a_cluster) in table {
            let error = plan(&command, true).unwrap_err();
            assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
            let shown = error.to_string();
            assert!(shown.contains(text) && shown.contains(&command.name()), "{shown}");
            assert_eq!(plan(&command, false).is_ok(), only_in_a_cluster, "{command:?}");
        }
    }
}
