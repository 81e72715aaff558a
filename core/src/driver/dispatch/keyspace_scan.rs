//! One page of a scan over the whole key space: asks what `routing/sweep.rs` wants to know, and
//! fetches what comes next.
//!
//! A server that has gone, or is no primary any more, is no error: its slots are gone through again
//! at whoever owns them now. Called by `client/scan.rs`.

use crate::command::{Command, cmd};
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::attempt::waiting::rest;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::dispatch::single::{Request, dispatch};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::resp::{Blob, Elements, ErrorClass, Value, from_frame, integer};
use crate::routing::destination::Destination;
use crate::routing::sweep::{NodeReport, ScanCursor, ScanStep};
use crate::topology::node_id::NodeId;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot::Slot;
use crate::topology::slot_range::{every_slot, runs};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for a map that names the right owner.
const PAUSE: Duration = Duration::from_millis(50);

/// Fetches the next keys, as frames; `None` when there are none left. `tail` is what follows the
/// cursor in the command. The cursor is to be kept even if this fails.
pub(crate) async fn next_page(
    topology: &Arc<LiveTopology>,
    cursor: &mut ScanCursor,
    tail: &[Vec<u8>],
    options: CallOptions,
) -> Result<Option<Vec<Bytes>>, Error> {
    loop {
        let routes = topology.routes().clone();
        let map = &routes.map;
        let denied = |slot| map.uncovered_since(slot).is_some();
        let knows_nothing = map.slots().owned() == 0;
        let is_served = |slot| knows_nothing || (map.owner(slot).is_some() && !denied(slot));
        match cursor.next(is_served) {
            ScanStep::Done => return Ok(None),
            ScanStep::Uncovered(slot) => return Err(uncovered(topology, slot)),
            ScanStep::BeginAt(slot) => {
                let (here, id) = standing(topology, Destination::Slot(slot), options).await?;
                if !cursor.begin(&here, &id) {
                    // Not the owner by its own word: the map is to be mended first.
                    topology.request_refresh(RefreshReason::Moved);
                    wait(topology, options).await?;
                }
            }
            ScanStep::BeginOn(id) => {
                let begun =
                    match standing(topology, Destination::Primary(id.clone()), options).await {
                        Ok((here, id)) => cursor.begin(&here, &id),
                        Err(error) if is_gone(topology, &id) => {
                            drop(error);
                            false
                        }
                        Err(error) => return Err(error),
                    };
                if !begun {
                    cursor.forget_target(&id);
                }
            }
            ScanStep::Page(id, at) => {
                let command = cmd("SCAN").arg(at).args(tail);
                let request = Request::new(command, Destination::Primary(id.clone()));
                match dispatch(Arc::clone(topology), request, options, None).await {
                    Ok((frame, _)) => {
                        let (at, keys) = page(&frame)?;
                        // What is done already was returned, from where it was then.
                        let fresh = keys.into_iter().filter(|key| !is_done(cursor, key)).collect();
                        cursor.turn(at);
                        return Ok(Some(fresh));
                    }
                    Err(_) if is_gone(topology, &id) => {
                        cursor.drop_pass();
                        wait(topology, options).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            ScanStep::Check(id) => {
                match standing(topology, Destination::Primary(id.clone()), options).await {
                    Ok((here, id)) => cursor.check(&here, &id),
                    Err(_) if is_gone(topology, &id) => cursor.drop_pass(),
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

fn is_gone(topology: &LiveTopology, id: &NodeId) -> bool {
    topology.routes().index_of(&Destination::Primary(id.clone())).is_none()
}

fn is_done(cursor: &ScanCursor, key: &Bytes) -> bool {
    from_frame::<Blob>(key).is_ok_and(|key| cursor.has_done(Slot::of(&key)))
}

/// Waits a moment for a newer map.
///
/// # Errors
/// When the time is up.
async fn wait(topology: &Arc<LiveTopology>, options: CallOptions) -> Result<(), Error> {
    rest(topology, PAUSE, options.deadline).await;
    if topology.env().now() < options.deadline {
        return Ok(());
    }
    let message = "no node goes on with the scan in time";
    Err(Error::new(ErrorKind::Timeout, Delivery::NotSent, message).with_command("SCAN"))
}

fn uncovered(topology: &LiveTopology, slot: Slot) -> Error {
    let since = topology.routes().map.uncovered_since(slot);
    let since = since.map_or(Duration::ZERO, |since| topology.env().now().since(since));
    let message = format!("nobody serves slot {slot}");
    Error::new(ErrorKind::Topology, Delivery::NotSent, message)
        .with_detail(ErrorDetail::SlotUncovered { slot: slot.number(), since })
        .with_command("SCAN")
}

/// What a server says of itself, and the id that the map has for it.
async fn standing(
    topology: &Arc<LiveTopology>,
    destination: Destination,
    options: CallOptions,
) -> Result<(NodeReport, NodeId), Error> {
    let ask = async |command: Command, destination: Destination| {
        dispatch(Arc::clone(topology), Request::new(command, destination), options, None).await
    };
    let forbidden = |error: &Error| {
        error.server_error().is_some_and(|server| server.class() == ErrorClass::NoPermission)
    };
    let (info, node) = match ask(cmd("INFO").arg("server"), destination.clone()).await {
        Ok((frame, node)) => (from_frame::<Value>(&frame).ok(), Some(node)),
        Err(error) if forbidden(&error) => (None, None),
        Err(error) => return Err(error),
    };
    let run = info.as_ref().and_then(Value::as_str).and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::to_owned)
    });
    let run = run.unwrap_or_default();
    let routes = topology.routes().clone();
    // From here on everything is asked of the one that has answered.
    let at = node.as_ref().and_then(|node| routes.map.node_at(node.endpoint()));
    let id =
        at.or_else(|| routes.index_of(&destination)).map(|index| routes.map.node(index).id.clone());
    let id = id.ok_or_else(|| topology.no_node_error().with_command("SCAN"))?;
    if !topology.env().has_slots() {
        return Ok((NodeReport::alone(run), id));
    }
    match ask(cmd("CLUSTER").arg("NODES"), Destination::Node(id.clone())).await {
        Ok((frame, _)) => {
            let text = from_frame::<Value>(&frame).ok();
            let standing = text.as_ref().and_then(Value::as_str);
            let standing = standing.and_then(|text| NodeReport::parse(text, run));
            let broken = || {
                let message = "a node's word on itself makes no sense";
                Error::new(ErrorKind::Topology, Delivery::Answered, message).with_command("SCAN")
            };
            Ok((standing.ok_or_else(broken)?, id))
        }
        Err(error) if forbidden(&error) => {
            let slots = routes.map.slots();
            let index = routes.index_of(&Destination::Primary(id.clone()));
            let own = |slot| slots.shard_at(slot).filter(|shard| Some(shard.primary) == index);
            let owned = runs(every_slot().map(|slot| (slot, own(slot).map(|_| ()))));
            let owned = owned.into_iter().map(|(range, ())| range).collect();
            let epoch = routes.map.shards().find(|(shard, _)| Some(shard.primary) == index);
            let epoch = epoch.and_then(|(_, epoch)| epoch).unwrap_or_default();
            Ok((NodeReport::presumed(id.clone(), run, owned, epoch), id))
        }
        Err(error) => Err(error),
    }
}

/// The server's cursor and the elements of a page.
///
/// # Errors
/// `Protocol` for a reply that is none of SCAN's.
pub(crate) fn page(frame: &Bytes) -> Result<(u64, Vec<Bytes>), Error> {
    let broken =
        || Error::new(ErrorKind::Protocol, Delivery::Answered, "a reply that is no page of a scan");
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
