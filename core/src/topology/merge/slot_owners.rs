//! Which node owns each slot, by the known map and what the views claim.
//!
//! A slot's owner is decided by these rules, in this order:
//! 1. A slot that a redirect moved after the refresh began stays where it is.
//! 2. A claim for a node is void if that node's own view, at least as new, does not make it. The
//!    known map's claim is void, too, if two or more views agree that no such node exists, or that
//!    it has failed, and the client cannot reach it either.
//! 3. A claim whose epoch is not above that of the owner that sent a redirect is void.
//! 4. The highest config epoch wins, known or claimed. Among equals one that is not dead; then the
//!    known owner, unless most of the views say otherwise; then the owner in more views.
//! 5. Without epochs: one that is not dead; the owner in more views; among equals the known owner.
//! 6. Without a claim left, the known owner. So no view takes a slot away; that most of them have
//!    no owner for it is stored apart (`denied`).
//!
//! A node is dead if the client cannot reach it, or all views that contain it say that it has
//! failed; but not if it answered itself.
//!
//! Invariant: the order of the views does not matter (ids break the last ties, between nodes of
//! which nothing speaks for one; the one that is not the owner answers with a redirect, and the one
//! that does not answer is dead in the next refresh).
//! Spec: cluster-spec, "Hash slots configuration propagation".

use crate::sorted::{SortedMap, SortedSet, sort_by_key};
use crate::topology::cluster_map::{ClusterMap, Patch};
use crate::topology::node_id::NodeId;
use crate::topology::slot::{SLOT_COUNT, Slot};
use crate::topology::slot_map::Shard;
use crate::topology::slot_range::{SlotRange, every_slot};
use crate::topology::view::{ReportedHealth, View};
use smallvec::SmallVec;
use std::cmp::Ordering;

/// A node as an index into the sorted list of all ids: comparing them is comparing ids.
pub(crate) type Owner = u32;

/// A claim to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SlotClaim {
    /// The claimed owner.
    owner: Owner,
    /// The owner's config epoch.
    epoch: Option<u64>,
}

/// What the known map says about one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeldOwner {
    /// The owner, with its epoch.
    claim: SlotClaim,
    /// The redirect that moved it here, if no view has confirmed it.
    patch: Option<Patch>,
}

/// Everything that the views and the known map say about one slot.
#[derive(Debug, PartialEq, Eq)]
struct SlotEvidence {
    /// The claim in each view.
    by_view: SmallVec<[Option<SlotClaim>; 8]>,
    /// What the known map says.
    held: Option<HeldOwner>,
}

/// What was decided.
#[derive(Debug)]
pub(crate) struct Decided {
    /// All ids, sorted.
    ids: Vec<NodeId>,
    /// The owner of every slot, ascending.
    pub(crate) table: Vec<(SlotRange, Option<Owner>)>,
    /// The nodes that own slots.
    pub(crate) owners: SortedSet<Owner>,
    /// Slots without an owner in most views.
    pub(crate) denied: Vec<Slot>,
    /// Redirects that no view has confirmed.
    pub(crate) patches: SortedMap<Slot, Patch>,
    /// The highest known epoch of each primary.
    pub(crate) epochs: SortedMap<Owner, u64>,
}

/// Decides every slot. `renamed` gives provisional ids of `held` their real ones; `began` is the
/// version of the map when the views were requested; `unreachable` are nodes that the client cannot
/// reach.
pub(crate) fn decide(
    held: &ClusterMap,
    views: &[&View],
    renamed: &SortedMap<NodeId, NodeId>,
    began: u64,
    unreachable: &SortedSet<NodeId>,
) -> Decided {
    let named = |id: &NodeId| renamed.get(id).unwrap_or(id).clone();
    let mut ids: SortedSet<NodeId> = held.nodes().iter().map(|node| named(&node.id)).collect();
    for view in views {
        ids.extend(view.nodes().map(|node| node.id.clone()));
        ids.extend(view.told_by.clone());
    }
    let ids: Vec<NodeId> = ids.into_values().collect();
    let rank = |id: &NodeId| {
        let rank = ids.binary_search(id).expect("every id was collected above");
        Owner::try_from(rank).expect("NODES_MAX bounds the ids")
    };
    let views: Vec<ViewClaims> = views.iter().map(|view| ViewClaims::new(view, rank)).collect();
    let claim = |(shard, epoch): (&Shard, _)| SlotClaim {
        owner: rank(&named(&held.node(shard.primary).id)),
        epoch,
    };
    let held_claims: Vec<SlotClaim> = held.shards().map(claim).collect();
    let epochs = highest(views.iter().flat_map(|view| &view.claims).chain(&held_claims));
    let answered = |owner: &Owner| {
        views.iter().any(|view| view.teller.is_some_and(|teller| teller.owner == *owner))
    };
    let has_failed = |owner: &Owner| {
        let mut containing = views.iter().filter(|view| view.members.contains(owner)).peekable();
        containing.peek().is_some() && containing.all(|view| view.failed.contains(owner))
    };
    let is_dead = |(owner, id): &(Owner, &NodeId)| {
        !answered(owner) && (unreachable.contains(*id) || has_failed(owner))
    };
    let named = (0..).zip(&ids);
    let dead = named.clone().filter(is_dead).map(|(owner, _)| owner).collect();
    let unreached = named.filter(|(_, id)| unreachable.contains(*id));
    let unreachable = unreached.map(|(owner, _)| owner).collect();
    let answers = Answers { views, began, dead, unreachable };
    let views = &answers.views;
    let (table, denied, patches) = (Vec::new(), Vec::new(), SortedMap::new());
    let owners = SortedSet::default();
    let mut decided = Decided { table, owners, denied, patches, epochs, ids };
    // Between two edges all slots have the same evidence, so they are decided together.
    for run in runs_between(&edges(held, &answers.views)) {
        let slot = run.start();
        let owner = held_claims.get(usize::from(held.slots().owner_at(slot)));
        let patch = held.patches().get(&slot).copied();
        let evidence = SlotEvidence {
            by_view: views.iter().map(|view| view.claim(slot)).collect(),
            held: owner.map(|claim| HeldOwner { claim: *claim, patch }),
        };
        let owner = evidence.judge(&answers);
        decided.note(run, &evidence, owner, &answers);
    }
    decided
}

/// The slots whose evidence may differ from that of the slot before, ascending, and the first slot.
fn edges(held: &ClusterMap, views: &[ViewClaims]) -> Vec<Slot> {
    // A mark for each slot bounds the cost, however many ranges the views have.
    let mut marks = vec![false; usize::from(SLOT_COUNT)];
    let mut mark = |slot: u16| {
        if let Some(mark) = marks.get_mut(usize::from(slot)) {
            *mark = true;
        }
    };
    let claimed = views.iter().flat_map(|view| &view.ranges).map(|(range, _)| *range);
    let patched = held.patches().keys().copied().map(SlotRange::one);
    for range in claimed.chain(patched) {
        mark(range.start().number());
        mark(range.end().number() + 1);
    }
    held.slots().edges().for_each(|slot| mark(slot.number()));
    every_slot().zip(marks).filter_map(|(slot, marked)| marked.then_some(slot)).collect()
}

/// The runs of slots from each edge to the next.
fn runs_between(edges: &[Slot]) -> impl Iterator<Item = SlotRange> {
    let last =
        |next: Slot| Slot::new(next.number() - 1).expect("a later edge is not the first slot");
    let ends = edges.iter().skip(1).map(move |next| last(*next)).chain([Slot::LAST]);
    edges.iter().zip(ends).filter_map(|(start, end)| SlotRange::new(*start, end))
}

impl Decided {
    /// The id of an owner.
    pub(crate) fn id(&self, owner: Owner) -> &NodeId {
        self.ids.get(owner as usize).expect("owners come from this list")
    }

    /// Stores a decision.
    fn note(
        &mut self,
        run: SlotRange,
        evidence: &SlotEvidence,
        owner: Option<Owner>,
        answers: &Answers,
    ) {
        let patch = evidence.held.and_then(|held| held.patch);
        let redirected = patch.is_some_and(|patch| patch.version > answers.began);
        let silent = evidence.by_view.iter().filter(|claim| claim.is_none()).count();
        if silent * 2 > evidence.by_view.len() && !redirected {
            self.denied.extend(run.slots());
        }
        if let (Some(held), Some(patch)) = (evidence.held, patch)
            && owner == Some(held.claim.owner)
            && (redirected || !evidence.is_settled(owner, answers))
        {
            for slot in run.slots() {
                self.patches.insert(slot, patch);
            }
        }
        self.owners.extend(owner);
        self.table.push((run, owner));
    }
}

/// The highest epoch of each owner.
fn highest<'a>(claims: impl Iterator<Item = &'a SlotClaim>) -> SortedMap<Owner, u64> {
    let mut epochs = SortedMap::new();
    for claim in claims {
        if let Some(epoch) = claim.epoch {
            let known = epochs.get_or_insert_with(claim.owner, || epoch);
            *known = epoch.max(*known);
        }
    }
    epochs
}

/// What a refresh has brought.
struct Answers {
    /// The views.
    views: Vec<ViewClaims>,
    /// The version of the map when they were requested.
    began: u64,
    /// The nodes that are dead; see the head of this file.
    dead: SortedSet<Owner>,
    /// The nodes that the client cannot reach.
    unreachable: SortedSet<Owner>,
}

/// The claims of one view, ready for lookups by slot.
struct ViewClaims {
    /// The slot ranges, ascending, with indexes into `claims`.
    ranges: Vec<(SlotRange, usize)>,
    /// One for each primary.
    claims: Vec<SlotClaim>,
    /// All nodes of the view.
    members: SortedSet<Owner>,
    /// Those that have failed.
    failed: SortedSet<Owner>,
    /// The node that told the view, and the epoch of its own shard in it.
    teller: Option<SlotClaim>,
}

impl ViewClaims {
    fn new(view: &View, rank: impl Fn(&NodeId) -> Owner) -> Self {
        let primaries = view.shards().iter().filter_map(|s| s.primary.as_ref().map(|p| (s, p)));
        let (slots, claims): (Vec<&[SlotRange]>, Vec<_>) = primaries
            .map(|(shard, primary)| {
                let claim = SlotClaim { owner: rank(&primary.id), epoch: shard.epoch };
                (shard.slots.as_slice(), claim)
            })
            .unzip();
        let each = slots.into_iter().enumerate();
        let mut ranges: Vec<(SlotRange, usize)> = each
            .flat_map(|(index, slots)| slots.iter().map(move |range| (*range, index)))
            .collect();
        sort_by_key(&mut ranges, |(range, _)| range.start());
        let teller = view.told_by.as_ref().map(|id| {
            let home = view.shards().iter().find(|s| s.nodes().any(|node| node.id == *id));
            SlotClaim { owner: rank(id), epoch: home.and_then(|shard| shard.epoch) }
        });
        let members = view.nodes().map(|node| rank(&node.id)).collect();
        let failed = view.nodes().filter(|node| node.health == ReportedHealth::Failed);
        let failed = failed.map(|node| rank(&node.id)).collect();
        Self { ranges, claims, members, failed, teller }
    }

    fn claim(&self, slot: Slot) -> Option<SlotClaim> {
        let after = self.ranges.partition_point(|(range, _)| range.start() <= slot);
        let (range, index) = self.ranges.get(after.checked_sub(1)?)?;
        if range.contains(slot) { self.claims.get(*index).copied() } else { None }
    }
}

impl SlotEvidence {
    /// The rules at the head of this file.
    fn judge(&self, answers: &Answers) -> Option<Owner> {
        let Answers { views, began, dead, unreachable } = answers;
        if let Some(HeldOwner { claim, patch: Some(patch) }) = self.held
            && patch.version > *began
        {
            return Some(claim.owner);
        }
        // One view alone might be too old to contain the node, or to know of its state.
        let is_gone = |owner: Owner| {
            let gone = |view: &ViewClaims| {
                let has_failed = view.failed.contains(&owner) && unreachable.contains(&owner);
                !view.members.contains(&owner) || has_failed
            };
            views.len() >= 2 && views.iter().all(gone)
        };
        let held_claim = self
            .held
            .filter(|held| !self.is_denied(held.claim, views) && !is_gone(held.claim.owner));
        let floor = held_claim.and_then(|held| held.patch).and_then(|patch| patch.floor);
        let outdated = |claim: &SlotClaim| {
            let ours = held_claim.is_some_and(|held| held.claim.owner == claim.owner);
            !ours && floor.is_some() && claim.epoch.is_some() && claim.epoch <= floor
        };
        let mut tallies: SortedMap<Owner, Tally> = SortedMap::new();
        for claim in self.by_view.iter().flatten() {
            if !self.is_denied(*claim, views) && !outdated(claim) {
                let is_alive = !dead.contains(&claim.owner);
                let new = || Tally { is_alive, ..Tally::default() };
                tallies.get_or_insert_with(claim.owner, new).add(claim.epoch);
            }
        }
        let held = held_claim.map(|held| (held.claim, dead.contains(&held.claim.owner)));
        let chosen = choose(&tallies, held, views.len());
        chosen.or(self.held.map(|held| held.claim.owner))
    }

    /// Whether a redirect is confirmed: a view says the same, and the others would not undo it.
    fn is_settled(&self, owner: Option<Owner>, answers: &Answers) -> bool {
        let held = self.held.map(|held| HeldOwner { patch: None, ..held });
        let plain = Self { by_view: self.by_view.clone(), held };
        self.by_view.iter().flatten().any(|claim| Some(claim.owner) == owner)
            && plain.judge(answers) == owner
    }

    /// Rule 2: the node itself answered in this refresh and does not claim the slot.
    fn is_denied(&self, claim: SlotClaim, views: &[ViewClaims]) -> bool {
        views.iter().zip(&self.by_view).any(|(view, by_view)| {
            let itself = |own: SlotClaim| own.owner == claim.owner && own.epoch >= claim.epoch;
            view.teller.is_some_and(itself)
                && by_view.is_none_or(|by_view| by_view.owner != claim.owner)
        })
    }
}

/// The views' claims to a slot for one node. Ordered by weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Tally {
    /// The highest epoch claimed.
    epoch: Option<u64>,
    /// The node is not dead.
    is_alive: bool,
    /// How many views make the claim with that epoch.
    views: usize,
}

impl Tally {
    fn add(&mut self, epoch: Option<u64>) {
        match epoch.cmp(&self.epoch) {
            Ordering::Less => {}
            Ordering::Equal => self.views += 1,
            Ordering::Greater => *self = Self { epoch, views: 1, ..*self },
        }
    }
}

/// Rules 4 and 5. `held` is the known claim, and whether its owner is dead.
fn choose(
    tallies: &SortedMap<Owner, Tally>,
    held: Option<(SlotClaim, bool)>,
    views: usize,
) -> Option<Owner> {
    let best = *tallies.values().max()?;
    let mut equals = tallies.iter().filter(|(_, tally)| **tally == best).map(|(owner, _)| *owner);
    let first = equals.next()?;
    let tied = equals.next().is_some();
    let Some((held, is_dead)) = held else { return Some(first) };
    let stays = match (held.epoch, best.epoch) {
        (Some(ours), Some(theirs)) if ours > theirs => true,
        (Some(ours), Some(theirs)) if ours == theirs && is_dead && best.is_alive => false,
        (Some(ours), Some(theirs)) if ours == theirs => tied || best.views * 2 <= views,
        (_, None) => tied,
        // The known claim is older; but its owner may be among the equal ones.
        _ => tied && tallies.get(&held.owner) == Some(&best),
    };
    Some(if stays { held.owner } else { first })
}
