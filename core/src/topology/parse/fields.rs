//! The fields that the topology replies share, taken out of a `Value` and checked.
//!
//! Servers write the same facts as integers or texts, maps or flat arrays, nulls or empty texts;
//! only this file knows all of these forms. Nothing is trusted.

use crate::resp::Value;
use crate::topology::node_id::NodeId;
use crate::topology::slot::Slot;
use crate::topology::slot_range::SlotRange;
use crate::topology::view::ReportedHealth;
use crate::topology::view_error::ViewError;

/// The longest host name, in bytes: DNS allows 253.
const HOST_BYTES_MAX: usize = 255;

/// The longest name of a zone, in bytes.
const ZONE_BYTES_MAX: usize = 255;

/// The elements of a list.
pub(crate) fn list<'a>(what: &'static str, value: &'a Value) -> Result<&'a [Value], ViewError> {
    value.as_slice().ok_or_else(|| ViewError::bad_value(what, value))
}

/// A field of a map that must be there.
pub(crate) fn field<'a>(map: &'a Value, key: &'static str) -> Result<&'a Value, ViewError> {
    map.get(key).ok_or(ViewError::Missing { what: key })
}

/// A slot's number.
pub(crate) fn slot(value: &Value) -> Result<Slot, ViewError> {
    let slot = value.as_i64().and_then(|number| u16::try_from(number).ok()).and_then(Slot::new);
    slot.ok_or_else(|| ViewError::bad_value("slot", value))
}

/// The range between two slots.
pub(crate) fn range(start: Slot, end: Slot) -> Result<SlotRange, ViewError> {
    SlotRange::new(start, end).ok_or(ViewError::Inverted { start, end })
}

/// A port; 0 is how servers write that there is none.
pub(crate) fn port(value: &Value) -> Result<Option<u16>, ViewError> {
    let port = value.as_i64().and_then(|number| u16::try_from(number).ok());
    let port = port.ok_or_else(|| ViewError::bad_value("port", value))?;
    Ok((port > 0).then_some(port))
}

/// A node's id.
pub(crate) fn node_id(value: &Value) -> Result<NodeId, ViewError> {
    let id = value.as_str().and_then(NodeId::told);
    id.ok_or_else(|| ViewError::bad_value("node id", value))
}

/// A host as the server wrote it; null is an empty one.
pub(crate) fn host(value: &Value) -> Result<&str, ViewError> {
    match value {
        Value::Null => Ok(""),
        other => {
            let host = other.as_str().filter(|host| is_host(host));
            host.ok_or_else(|| ViewError::bad_value("host", other))
        }
    }
}

/// Whether a text may stand where a host is expected; an empty one may.
pub(crate) fn is_host(host: &str) -> bool {
    host.len() <= HOST_BYTES_MAX && !host.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// An availability zone; an empty one is none.
pub(crate) fn zone(value: &Value) -> Result<Option<String>, ViewError> {
    match value {
        Value::Null => Ok(None),
        other => match other.as_str() {
            Some("") => Ok(None),
            Some(zone) if zone.len() <= ZONE_BYTES_MAX => Ok(Some(zone.to_owned())),
            _ => Err(ViewError::bad_value("availability-zone", other)),
        },
    }
}

/// A node's health in the words of CLUSTER SHARDS. A word that is not known here is `Unknown`, and
/// no reason to lose a view.
pub(crate) fn health(value: &Value) -> ReportedHealth {
    match value.as_str() {
        Some("online") => ReportedHealth::Online,
        Some("loading") => ReportedHealth::Loading,
        Some("fail" | "failed") => ReportedHealth::Failed,
        _ => ReportedHealth::Unknown,
    }
}
