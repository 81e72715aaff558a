//! The steps of a scan over the whole key space, which misses no key while slots move and primaries
//! fail over.
//!
//! SCAN guarantees one thing: a key that is on one server from the beginning of a scan of that
//! server to its end is returned. So a pass scans one primary, and counts only for the slots that
//! this server owned at the beginning and at the end, and only if all of its pages come from one
//! process (`driver/dispatch/cursor_origin.rs`). Before and after a pass the server is asked for
//! its id, its epoch, its slots, and which of them are moving. A slot that was leaving during the
//! whole pass is scanned once more at its destination: the keys that the first pass missed had
//! arrived there. All other slots are scanned again, on the node that owns them then.
//!
//! **Invariants**: a slot is done only when every key that was in it during the whole scan was
//! returned; a pass that proves nothing is repeated. A key may be returned more than once, as with
//! SCAN. Limit: after `REDONE_MAX` passes in a row that a new epoch made void, epochs are ignored.
//! Spec: redis.io/commands/scan, "Scan guarantees"; cluster-nodes, "Serialization format".

use crate::topology::node_id::NodeId;
use crate::topology::slot::Slot;
use crate::topology::slot_range::{SlotRange, every_slot, runs};
use serde::{Deserialize, Serialize};

/// The version of the serialized form that this crate writes.
const VERSION: u32 = 1;
/// How many passes in a row a changed epoch may make void.
const REDONE_MAX: u32 = 8;

/// How far a scan has come. It can be stored (serde) and given to another client of the same
/// deployment, which continues from there.
///
/// It holds the slots that are done, and the position on the current server. It stays valid while
/// slots move and servers fail over or restart. Its size depends on the number of slot ranges, not
/// on the number of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanCursor {
    /// The version of this form: 1.
    version: u32,
    /// Slots of which every key was returned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<SlotRange>,
    /// Slots that were scanned on the node that they are leaving, with their destination.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    half: Vec<(Slot, NodeId)>,
    /// The scan of the current server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pass: Option<NodePass>,
    /// How many passes in a row a changed epoch has made void.
    #[serde(default)]
    redone: u32,
}

/// One scan of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NodePass {
    /// The server.
    node: NodeId,
    /// The id of its process, empty while it is not known: cursors of one process mean nothing to
    /// another.
    run: String,
    /// Its config epoch when the pass began.
    epoch: u64,
    /// The server's cursor of the next page.
    cursor: u64,
    /// All pages were returned, and the final check is still to come.
    ended: bool,
    /// Slots that it owned when the pass began and that were not done.
    slots: Vec<SlotRange>,
    /// Those of them that were leaving, with their destination.
    leaving: Vec<(Slot, NodeId)>,
    /// Slots that were arriving, and that were scanned on the node that they came from.
    arriving: Vec<Slot>,
}

/// What a server reports about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeReport {
    /// Its id; `None` in a deployment without slots.
    id: Option<NodeId>,
    /// Its config epoch.
    epoch: u64,
    /// Whether it is a primary.
    primary: bool,
    /// The slots that it owns.
    owned: Vec<SlotRange>,
    /// Slots that are leaving, with their destination.
    leaving: Vec<(Slot, NodeId)>,
    /// Slots that are arriving.
    arriving: Vec<Slot>,
}

/// The next step of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanStep {
    /// Begin a pass on the owner of this slot.
    BeginAt(Slot),
    /// Begin a pass on this node, the destination of slots that are leaving.
    BeginOn(NodeId),
    /// Fetch the page at this cursor from this node.
    Page(NodeId, u64),
    /// All pages of this node were returned: ask for its report.
    Check(NodeId),
    /// Every slot that is left has no owner; this is one of them.
    Uncovered(Slot),
    /// Every key was returned.
    Done,
}

impl Default for ScanCursor {
    fn default() -> Self {
        Self { version: VERSION, done: Vec::new(), half: Vec::new(), pass: None, redone: 0 }
    }
}

impl ScanCursor {
    /// A scan that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether every key was returned.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.pass.is_none() && table(&self.done).iter().all(|done| *done)
    }

    /// Whether it has the version that this crate writes.
    pub(crate) fn is_of_this_version(&self) -> bool {
        self.version == VERSION
    }

    /// Whether all keys of a slot were returned.
    pub(crate) fn has_done(&self, slot: Slot) -> bool {
        // This is asked of each key. Of ranges in another order, which an edited cursor may have,
        // fewer count as done: their keys are returned again.
        let after = self.done.partition_point(|range| range.start() <= slot);
        self.done[..after].last().is_some_and(|range| range.contains(slot))
    }

    /// The next step. `is_served` says whether a slot has an owner.
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

    /// Begins a pass on a server. False if it would prove nothing.
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
            run: String::new(),
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

    /// A page was returned; `cursor` is the server's cursor of the next one, 0 after the last.
    pub(crate) fn turn(&mut self, cursor: u64) {
        if let Some(pass) = &mut self.pass {
            (pass.cursor, pass.ended) = (cursor, cursor == 0);
        }
    }

    /// The id of the process that the present pass scans; empty while it is not known.
    pub(crate) fn process(&self) -> &str {
        self.pass.as_ref().map_or("", |pass| &pass.run)
    }

    /// The pass scans the process of this id.
    pub(crate) fn name_process(&mut self, id: &str) {
        if let Some(pass) = &mut self.pass {
            id.clone_into(&mut pass.run);
        }
    }

    /// The pass proves nothing: its server has left, is no longer a primary, or is another process
    /// by now.
    pub(crate) fn drop_pass(&mut self) {
        self.pass = None;
    }

    /// The node is not the destination of slots: they are scanned again where they are.
    pub(crate) fn forget_target(&mut self, target: &NodeId) {
        self.half.retain(|(_, to)| to != target);
    }

    /// The pass is over; the server's report shows which slots are done.
    pub(crate) fn check(&mut self, here: &NodeReport, known_as: &NodeId) {
        let Some(pass) = self.pass.take() else { return };
        let same = here.id.as_ref().unwrap_or(known_as) == &pass.node;
        if !same || !here.primary {
            return;
        }
        // A slot that left and came back looks as if it had stayed; only the epoch shows it.
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
    /// The report of the only primary of a deployment without slots, which owns all slots.
    pub(crate) fn alone() -> Self {
        Self { primary: true, owned: vec![SlotRange::ALL], ..Self::default() }
    }

    /// From a node's reply to CLUSTER NODES, of which only its own line is used; `None` for a reply
    /// that cannot be read.
    pub(crate) fn parse(nodes: &str) -> Option<Self> {
        let own = nodes.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let own = own.into_iter().find(|words| {
            words.get(2).is_some_and(|flags| flags.split(',').any(|flag| flag == "myself"))
        })?;
        let [id, _, flags, _, _, _, epoch, _, slots @ ..] = own.as_slice() else { return None };
        let mut standing = Self {
            id: Some(NodeId::told(id)?),
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

    /// From the slot map, when the node does not allow CLUSTER NODES.
    pub(crate) fn presumed(id: NodeId, owned: Vec<SlotRange>, epoch: u64) -> Self {
        Self { id: Some(id), epoch, primary: true, owned, ..Self::default() }
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
