//! Any text as a topology that a user has kept, in JSON, and gives to a client.
//!
//! Checked, in `fuzz_api`: nothing panics; what a client starts with is what was kept: written down
//! again it gives the same map.

use slotcar_core::Topology;
use slotcar_core::fuzz_api::start_from;

pub(crate) fn run(input: &[u8]) {
    let Ok(topology) = serde_json::from_slice::<Topology>(input) else { return };
    let _ = (topology.coverage(), format!("{topology:?}"));
    let json = serde_json::to_string(&topology).expect("a topology has no other keys");
    assert_eq!(serde_json::from_str::<Topology>(&json).expect("as it was written"), topology);
    let _ = start_from(&topology);
}
