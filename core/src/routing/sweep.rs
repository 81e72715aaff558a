//! A scan over the whole key space, step by step, so that no key is missed while slots move and
//! primaries fail over.
//!
//! SCAN promises one thing: a key that is at one server from the beginning of a pass to its end is
//! returned. So a pass goes through one primary, and counts only for the slots that were that
//! server's at both ends: what it says of itself (its id, its process, its epoch, its slots and
//! which of them are moving) is asked before and after. A slot that was leaving all the while is
//! gone through once more where it is going: whatever the first pass missed had arrived there.
//! Everything else is gone through again, at whoever owns it then.
//!
//! Invariants: a slot is done only when every key that was in it throughout was returned; a pass
//! that proves nothing is done again. Keys may come more than once, as with SCAN itself.
//! Limit: after `REDONE_MAX` passes in a row that an epoch voided, epochs no longer do.
//! Spec: redis.io/commands/scan, "Scan guarantees"; cluster-nodes, "Serialization format".
//! Called by `driver/scan.rs`, and by callers who keep a cursor.

use crate::topology::node_id::NodeId;
use crate::topology::slot::Slot;
use crate::topology::slot_range::{SlotRange, every_slot, runs};
use serde::{Deserialize, Serialize};

/// The version of the form that this crate writes.
const VERSION: u32 = 1;
/// Passes in a row that a changed epoch may void.
const REDONE_MAX: u32 = 8;

/// Where a scan stands. It can be kept (serde) and given to another client of the same deployment,
/// which goes on from there.
///
/// It says which slots are done and how far the server at hand is; it stays valid while slots move
/// and servers fail over or restart. It grows with the number of runs of slots, not with keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanCursor {
    /// The version of this form: 1.
    version: u32,
    /// Slots of which every key was returned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<SlotRange>,
    /// Slots that were gone through where they are leaving, and where they are going.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    half: Vec<(Slot, NodeId)>,
    /// The server that is being gone through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pass: Option<NodePass>,
    /// Passes in a row that a changed epoch voided.
    #[serde(default)]
    redone: u32,
}

/// One server, gone through once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NodePass {
    /// The server.
    node: NodeId,
    /// Its process: another one numbers keys in another way.
    run: String,
    /// Its config epoch when the pass began.
    epoch: u64,
    /// The server's own cursor.
    cursor: u64,
    /// All its keys were returned; what that proves is still to be found out.
    ended: bool,
    /// Slots that it owned when the pass began, and that were not done.
    slots: Vec<SlotRange>,
    /// Those of them that were leaving, and where to.
    leaving: Vec<(Slot, NodeId)>,
    /// Slots that were arriving, and that were gone through where they came from.
    arriving: Vec<Slot>,
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeReport {
    /// Its id; none where servers have none.
    id: Option<NodeId>,
    /// Its process.
    run: String,
    /// Its config epoch.
    epoch: u64,
    /// Whether it takes writes.
    primary: bool,
    /// What it owns.
    owned: Vec<SlotRange>,
    /// Slots that are leaving, and where to.
    leaving: Vec<(Slot, NodeId)>,
    /// Slots that are arriving.
    arriving: Vec<Slot>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanStep {
    /// A pass at the owner of this slot.
    BeginAt(Slot),
    /// A pass at this node, where slots are going.
    BeginOn(NodeId),
    /// A page of this node.
    Page(NodeId, u64),
    /// What this node says of itself, now that all its pages are here.
    Check(NodeId),
    /// Nothing but slots that nobody serves, such as this one.
    Uncovered(Slot),
    /// Nothing.
    Done,
}

impl Default for ScanCursor {
    fn default() -> Self {
        Self { version: VERSION, done: Vec::new(), half: Vec::new(), pass: None, redone: 0 }
    }
}

impl ScanCursor {
    /// The beginning.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether every key was returned.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.pass.is_none() && table(&self.done).iter().all(|done| *done)
    }

    /// Whether this crate wrote it.
    pub(crate) fn is_of_this_version(&self) -> bool {
        self.version == VERSION
    }

    /// Whether all keys of a slot were returned.
    pub(crate) fn has_done(&self, slot: Slot) -> bool {
        self.done.iter().any(|range| range.contains(slot))
    }

    /// What comes next; `is_served` says whether anybody owns a slot.
    pub(crate) fn next(&self, is_served: impl Fn(Slot) -> bool) -> ScanStep {
        if let Some(pass) = &self.pass {
            let node = pass.node.clone();
            return if pass.ended {
                ScanStep::Check(node)
            } else {
                ScanStep::Page(node, pass.cursor)
            };
        }
        let done = table(&self.done);
        let is_half = |slot: &Slot| self.half.iter().any(|(half, _)| half == slot);
        let mut left =
            every_slot().zip(done).filter(|(_, done)| !done).map(|(slot, _)| slot).peekable();
        let first = left.peek().copied();
        if let Some(slot) = left.find(|slot| !is_half(slot) && is_served(*slot)) {
            return ScanStep::BeginAt(slot);
        }
        match (self.half.first(), first) {
            (_, None) => ScanStep::Done,
            (Some((_, target)), _) => ScanStep::BeginOn(target.clone()),
            (None, Some(slot)) => ScanStep::Uncovered(slot),
        }
    }

    /// Begins a pass at a server. False if that would prove nothing.
    pub(crate) fn begin(&mut self, here: &NodeReport, known_as: &NodeId) -> bool {
        let done = table(&self.done);
        let left = |slot: Slot| !done[usize::from(slot.number())];
        let id = here.id.as_ref().unwrap_or(known_as);
        let is_going_here =
            |slot: &Slot| self.half.iter().any(|(half, to)| half == slot && to == id);
        let mut slots = table(&here.owned);
        slots.iter_mut().zip(&done).for_each(|(owned, done)| *owned &= !done);
        let pass = NodePass {
            node: id.clone(),
            run: here.run.clone(),
            epoch: here.epoch,
            cursor: 0,
            ended: false,
            slots: ranges(&slots),
            leaving: here.leaving.iter().filter(|(slot, _)| left(*slot)).cloned().collect(),
            arriving: here.arriving.iter().copied().filter(is_going_here).collect(),
        };
        let useful = here.primary && !(pass.slots.is_empty() && pass.arriving.is_empty());
        if useful {
            self.pass = Some(pass);
        }
        useful
    }

    /// A page of the pass is here; the server's cursor after it.
    pub(crate) fn turn(&mut self, cursor: u64) {
        if let Some(pass) = &mut self.pass {
            (pass.cursor, pass.ended) = (cursor, cursor == 0);
        }
    }

    /// The pass proves nothing: its server has gone, or is no primary any more.
    pub(crate) fn drop_pass(&mut self) {
        self.pass = None;
    }

    /// The node is not where slots are going: they are gone through again where they are.
    pub(crate) fn forget_target(&mut self, target: &NodeId) {
        self.half.retain(|(_, to)| to != target);
    }

    /// The pass is over; what its server says of itself shows what that proves.
    pub(crate) fn check(&mut self, here: &NodeReport, known_as: &NodeId) {
        let Some(pass) = self.pass.take() else { return };
        let same = here.id.as_ref().unwrap_or(known_as) == &pass.node && here.run == pass.run;
        if !same || !here.primary {
            return;
        }
        // A slot that left and came back would look as if it had stayed, but for the epoch.
        if here.epoch != pass.epoch && self.redone < REDONE_MAX {
            self.redone += 1;
            return;
        }
        self.redone = 0;
        let (had, has) = (table(&pass.slots), table(&here.owned));
        let mut done = table(&self.done);
        for slot in every_slot() {
            let at = usize::from(slot.number());
            if !had[at] || !has[at] {
                continue;
            }
            let to = |moves: &[(Slot, NodeId)]| {
                moves.iter().find(|(moving, _)| *moving == slot).map(|(_, to)| to.clone())
            };
            match (to(&pass.leaving), to(&here.leaving)) {
                (None, None) => done[at] = true,
                (was, Some(is)) if was.as_ref().is_none_or(|was| *was == is) => {
                    self.half.retain(|(half, _)| *half != slot);
                    self.half.push((slot, is));
                }
                _ => {}
            }
        }
        for slot in &pass.arriving {
            let at = usize::from(slot.number());
            if has[at] || here.arriving.contains(slot) {
                done[at] = true;
            }
        }
        self.half.retain(|(slot, _)| !done[usize::from(slot.number())]);
        self.done = ranges(&done);
    }
}

impl NodeReport {
    /// A server that owns everything: in a deployment without slots.
    pub(crate) fn alone(run: String) -> Self {
        Self { run, primary: true, owned: vec![SlotRange::ALL], ..Self::default() }
    }

    /// From a node's reply to CLUSTER NODES, of which its own line says all; `None` for a reply
    /// that makes no sense.
    pub(crate) fn parse(nodes: &str, run: String) -> Option<Self> {
        let own = nodes.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let own = own.into_iter().find(|words| {
            words.get(2).is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"))
        })?;
        let [id, _, flags, _, _, _, epoch, _, slots @ ..] = own.as_slice() else { return None };
        let mut standing = Self {
            id: Some(NodeId::told(id)?),
            run,
            epoch: epoch.parse().ok()?,
            primary: flags.split(',').any(|flag| flag == "master"),
            ..Self::default()
        };
        let slot = |text: &str| Slot::new(text.parse().ok()?);
        for word in slots {
            if let Some(moving) = word.strip_prefix('[').and_then(|w| w.strip_suffix(']')) {
                if let Some((from, to)) = moving.split_once("->-") {
                    standing.leaving.push((slot(from)?, NodeId::told(to)?));
                } else if let Some((at, _)) = moving.split_once("-<-") {
                    standing.arriving.push(slot(at)?);
                }
            } else {
                let (first, last) = word.split_once('-').unwrap_or((word, word));
                standing.owned.push(SlotRange::new(slot(first)?, slot(last)?)?);
            }
        }
        Some(standing)
    }

    /// From what the map says, where a node may not be asked.
    pub(crate) fn presumed(id: NodeId, run: String, owned: Vec<SlotRange>, epoch: u64) -> Self {
        Self { id: Some(id), run, epoch, primary: true, owned, ..Self::default() }
    }
}

/// Which slots are in these ranges.
fn table(ranges: &[SlotRange]) -> Vec<bool> {
    let mut table = vec![false; usize::from(crate::topology::slot::SLOT_COUNT)];
    for range in ranges {
        table.get_mut(range.as_indexes()).expect("a range is within the slots").fill(true);
    }
    table
}

/// The ranges of these slots.
fn ranges(table: &[bool]) -> Vec<SlotRange> {
    let marked = every_slot().zip(table).map(|(slot, marked)| (slot, marked.then_some(())));
    runs(marked).into_iter().map(|(range, ())| range).collect()
}

#[cfg(test)]
mod tests;
