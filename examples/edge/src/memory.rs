//! Keeps the topology of the cluster in a file, from one cold start to the next.
//!
//! The file is in a folder that the host preopens as `/state` (`SLOTCAR_STATE` names another one),
//! which every stock host can do. Without the folder each start reads the topology from the
//! cluster, which costs a round trip. An old topology does no harm: the client corrects it by the
//! redirects that it gets. A file that cannot be read is ignored.
//!
//! Instances run side by side and share the file: it is replaced as a whole, never changed in
//! place.

use slotcar::Topology;
use std::fs;
use std::path::PathBuf;

fn path() -> PathBuf {
    let folder = std::env::var("SLOTCAR_STATE").unwrap_or_else(|_| "/state".to_owned());
    PathBuf::from(folder).join("topology.json")
}

/// The topology that an earlier instance kept.
pub(crate) fn load() -> Option<Topology> {
    serde_json::from_slice(&fs::read(path()).ok()?).ok()
}

/// Keeps `current` for the next instance, if it differs from what was kept.
pub(crate) fn store(kept: Option<&Topology>, current: &Topology) {
    let has_changed = kept.is_none_or(|kept| kept.shards != current.shards);
    if !has_changed || current.coverage() == 0 {
        return;
    }
    let Ok(text) = serde_json::to_vec(current) else { return };
    let path = path();
    let mut random = [0; 8];
    wstd::rand::get_insecure_random_bytes(&mut random);
    let draft = path.with_extension(format!("{:x}", u64::from_ne_bytes(random)));
    // Without the folder, nothing is kept.
    if fs::write(&draft, text).is_ok() && fs::rename(&draft, &path).is_err() {
        let _ = fs::remove_file(&draft);
    }
}
