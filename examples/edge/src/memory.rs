//! What one cold start leaves for the next: the map of the cluster, where the host has a place.
//!
//! The place is a folder that the host preopens as `/state` (`SLOTCAR_STATE` names another one): of
//! what hosts offer, the one that every stock host has. Without it each start asks the cluster,
//! which costs it a round trip. Nothing depends on it: a map that is old is mended by the redirects
//! that it leads to, and one that cannot be read is as good as none.
//!
//! Instances run side by side and share the file: it is replaced as a whole, never written to.

use slotcar::Topology;
use std::fs;
use std::path::PathBuf;

fn path() -> PathBuf {
    let folder = std::env::var("SLOTCAR_STATE").unwrap_or_else(|_| "/state".to_owned());
    PathBuf::from(folder).join("topology.json")
}

/// What an earlier start knew.
pub(crate) fn recall() -> Option<Topology> {
    serde_json::from_slice(&fs::read(path()).ok()?).ok()
}

/// Leaves `learnt` for the next start, if it says anything new.
pub(crate) fn remember(known: Option<&Topology>, learnt: &Topology) {
    let is_news = known.is_none_or(|known| known.shards != learnt.shards);
    if !is_news || learnt.coverage() == 0 {
        return;
    }
    let Ok(text) = serde_json::to_vec(learnt) else { return };
    let path = path();
    let mut own = [0; 8];
    wstd::rand::get_insecure_random_bytes(&mut own);
    let draft = path.with_extension(format!("{:x}", u64::from_ne_bytes(own)));
    // Where there is no place, there is nothing to remember.
    if fs::write(&draft, text).is_ok() && fs::rename(&draft, &path).is_err() {
        let _ = fs::remove_file(&draft);
    }
}
