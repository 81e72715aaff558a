//! One page of a scan over the whole key space: carries out the steps that `routing/sweep.rs` asks
//! for, until one of them brings keys.
//!
//! **Invariant**: a node that has left, or is no primary any more, is no error: its slots are
//! scanned again at their present owners. A page of another process than the one that is scanned
//! is not used: its server is scanned from the beginning. A server that refuses to describe itself
//! is taken for what the map says. Limit: waits 50 ms at a time for a newer slot map, until the
//! caller's deadline.

use crate::command::{Command, cmd};
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::attempt::waiting::pause_unless_map_changes;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::dispatch::cursor_origin::{CursorOrigin, is_about_cursor};
use crate::driver::dispatch::single::{Request, dispatch, is_refused};
use crate::driver::node::node::Node;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::{Blob, Elements, Value, from_frame, integer};
use crate::routing::destination::Destination;
use crate::routing::sweep::{NodeReport, ScanCursor, ScanStep};
use crate::topology::node_id::NodeId;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot::Slot;
use crate::topology::slot_range::{every_slot, runs};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// How long to wait, before the next look at the map, for one that names the right owner.
const PAUSE: Duration = Duration::from_millis(50);

/// Fetches the next keys, as frames; `None` when there are none left. `tail`: the arguments behind
/// the cursor. The caller keeps the cursor and its origin even if this fails.
pub(crate) async fn next_page(
    topology: &Arc<LiveTopology>,
    cursor: &mut ScanCursor,
    origin: &mut CursorOrigin,
    tail: &[Vec<u8>],
    options: CallOptions,
) -> Result<Option<Vec<Bytes>>, Error> {
    loop {
        match next_scan_step(topology, cursor) {
            ScanStep::Done => return Ok(None),
            ScanStep::Uncovered(slot) => return Err(uncovered(topology, slot)),
            ScanStep::BeginAt(slot) => {
                let (report, id) = node_report(topology, Destination::Slot(slot), options).await?;
                if !cursor.begin(&report, &id) {
                    // The node itself says that it is not the owner: the map has to change first.
                    topology.request_refresh(RefreshReason::Moved);
                    wait_for_map(topology, options).await?;
                }
            }
            ScanStep::BeginOn(id) => {
                let begun = match report_of_primary(topology, &id, options).await? {
                    Some((report, id)) => cursor.begin(&report, &id),
                    None => false,
                };
                if !begun {
                    cursor.forget_target(&id);
                }
            }
            ScanStep::Page(id, at) => {
                let command = cmd("SCAN").arg(at).args(tail);
                match fetch(topology, cursor, origin, (&id, at, command), options).await {
                    Ok(Some(keys)) => return Ok(Some(keys)),
                    Ok(None) => {}
                    Err(_) if is_gone(topology, &id) => {
                        cursor.drop_pass();
                        wait_for_map(topology, options).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            ScanStep::Check(id) => match report_of_primary(topology, &id, options).await? {
                Some((report, id)) => cursor.check(&report, &id),
                None => cursor.drop_pass(),
            },
        }
    }
}

/// One page of one node; `None` if another process sent it, so that the pass begins anew.
async fn fetch(
    topology: &Arc<LiveTopology>,
    cursor: &mut ScanCursor,
    origin: &mut CursorOrigin,
    (id, at, command): (&NodeId, u64, Command),
    options: CallOptions,
) -> Result<Option<Vec<Bytes>>, Error> {
    let (env, deadline) = (topology.env(), options.deadline);
    origin.resume(cursor.process());
    let last = origin.last_link();
    let request = Request::new(command, Destination::Primary(id.clone()));
    let request = request.with_last_link(Arc::clone(&last));
    let reply = dispatch(Arc::clone(topology), request, options, None).await;
    match &reply {
        Err(error) if at != 0 && is_about_cursor(error) => {
            cursor.drop_pass();
            // One that refuses its own cursor would do so again and again.
            if !origin.is_same_link(&last) {
                return Ok(None);
            }
        }
        Ok(_) if at == 0 => origin.begin(&last),
        Ok(_) if !origin.is_kept(env, &last, deadline).await => {
            cursor.drop_pass();
            return Ok(None);
        }
        _ => {}
    }
    let (next, keys) = page(&reply?.0)?;
    if next != 0 {
        origin.identify(env, true, deadline).await;
        cursor.name_process(origin.process().unwrap_or_default());
    }
    // Keys of slots that are done were returned before, by another node.
    let fresh = keys.into_iter().filter(|key| !is_done(cursor, key)).collect();
    cursor.turn(next);
    Ok(Some(fresh))
}

/// What the scan needs next, by the current map.
fn next_scan_step(topology: &LiveTopology, cursor: &mut ScanCursor) -> ScanStep {
    let routes = Arc::clone(&topology.routes());
    let map = &routes.map;
    let is_denied = |slot| map.uncovered_since(slot).is_some();
    let knows_nothing = map.slots().owned() == 0;
    let is_served = |slot| knows_nothing || (map.owner(slot).is_some() && !is_denied(slot));
    cursor.next(is_served)
}

/// What a primary reports about itself; `None` if it is no primary of this deployment any more.
async fn report_of_primary(
    topology: &Arc<LiveTopology>,
    id: &NodeId,
    options: CallOptions,
) -> Result<Option<(NodeReport, NodeId)>, Error> {
    match node_report(topology, Destination::Primary(id.clone()), options).await {
        Ok(report) => Ok(Some(report)),
        Err(_) if is_gone(topology, id) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_gone(topology: &LiveTopology, id: &NodeId) -> bool {
    topology.routes().index_of(&Destination::Primary(id.clone())).is_none()
}

fn is_done(cursor: &ScanCursor, key: &Bytes) -> bool {
    from_frame::<Blob>(key).is_ok_and(|key| cursor.has_done(Slot::of(&key)))
}

/// Waits for a newer map, 50 ms at most.
///
/// # Errors
/// `Timeout` when the deadline has passed.
async fn wait_for_map(topology: &Arc<LiveTopology>, options: CallOptions) -> Result<(), Error> {
    pause_unless_map_changes(topology, PAUSE, options.deadline).await;
    if topology.env().now() < options.deadline {
        return Ok(());
    }
    let message = "the slot map named no node to continue the scan on before the deadline";
    Err(Error::new(ErrorKind::Timeout, Delivery::NotSent, message).with_command("SCAN"))
}

fn uncovered(topology: &LiveTopology, slot: Slot) -> Error {
    let since = topology.routes().map.uncovered_since(slot);
    let since = since.map_or(Duration::ZERO, |since| topology.env().now().since(since));
    let message = format!("no node serves slot {slot}");
    Error::new(ErrorKind::Topology, Delivery::NotSent, message)
        .with_detail(ErrorDetail::SlotUncovered { slot: slot.number(), since })
        .with_command("SCAN")
}

/// What a node reports about itself, and the id that the map has for it.
async fn node_report(
    topology: &Arc<LiveTopology>,
    destination: Destination,
    options: CallOptions,
) -> Result<(NodeReport, NodeId), Error> {
    let routes = Arc::clone(&topology.routes());
    let unknown = || topology.no_node_error().with_command("SCAN");
    if !topology.env().has_slots() {
        let index = routes.index_of(&destination).ok_or_else(unknown)?;
        return Ok((NodeReport::alone(), routes.map.node(index).id.clone()));
    }
    let request = Request::new(cmd("CLUSTER").arg("NODES"), destination.clone());
    let (reply, node) = match dispatch(Arc::clone(topology), request, options, None).await {
        Ok((frame, node)) => (Some(frame), Some(node)),
        Err(error) if is_refused(&error) => (None, None),
        Err(error) => return Err(error),
    };
    let routes = Arc::clone(&topology.routes());
    let index = node.as_ref().and_then(|node| routes.map.node_at(node.endpoint()));
    let index = index.or_else(|| routes.index_of(&destination)).ok_or_else(unknown)?;
    let id = routes.map.node(index).id.clone();
    let (Some(frame), Some(node)) = (reply, node) else {
        return Ok((presumed_report(&routes, &id), id));
    };
    let text = from_frame::<Value>(&frame).ok();
    let report = text.as_ref().and_then(Value::as_str).and_then(NodeReport::parse);
    Ok((report.ok_or_else(|| unreadable_report(&node))?, id))
}

fn unreadable_report(node: &Node) -> Error {
    let message = "the reply to CLUSTER NODES does not describe the node that sent it";
    let error = Error::new(ErrorKind::Topology, Delivery::Answered, message);
    error.with_command("SCAN").with_endpoint(node.endpoint())
}

/// For a node that does not tell: what the map says about it.
fn presumed_report(routes: &Routes, id: &NodeId) -> NodeReport {
    let slots = routes.map.slots();
    let index = routes.index_of(&Destination::Primary(id.clone()));
    let own = |slot| slots.shard_at(slot).filter(|shard| Some(shard.primary) == index);
    let owned = runs(every_slot().map(|slot| (slot, own(slot).map(|_| ()))));
    let owned = owned.into_iter().map(|(range, ())| range).collect();
    let epoch = routes.map.shards().find(|(shard, _)| Some(shard.primary) == index);
    let epoch = epoch.and_then(|(_, epoch)| epoch).unwrap_or_default();
    NodeReport::presumed(id.clone(), owned, epoch)
}

/// The server's cursor and the elements of a page.
///
/// # Errors
/// `Protocol` for a reply that is not one to SCAN.
pub(crate) fn page(frame: &Bytes) -> Result<(u64, Vec<Bytes>), Error> {
    let broken = || {
        Error::new(
            ErrorKind::Protocol,
            Delivery::Answered,
            "the reply to SCAN is not a cursor and a list",
        )
    };
    let mut parts = Elements::of(frame).ok_or_else(broken)?;
    let (Some(Ok(at)), Some(Ok(list))) = (parts.next(), parts.next()) else {
        return Err(broken());
    };
    // Cursors use all 64 bits.
    let at = match integer(at) {
        Some(at) => u64::try_from(at).map_err(|_| broken())?,
        None => from_frame::<u64>(&frame.slice_ref(at)).map_err(|_| broken())?,
    };
    let elements = Elements::of(list).ok_or_else(broken)?;
    let own = |element: Result<&[u8], _>| element.map(|part| frame.slice_ref(part));
    Ok((at, elements.map(own).collect::<Result<_, _>>().map_err(Error::undecodable)?))
}
