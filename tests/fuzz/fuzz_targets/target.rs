//! The driver that libFuzzer links. It runs the target that `SLOTCAR_FUZZ_TARGET` names, so that
//! one program holds all of them and is linked once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slotcar_fuzz::{TARGETS, Target};
use std::sync::LazyLock;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("SLOTCAR_FUZZ_TARGET").unwrap_or_default();
    *TARGETS.iter().find(|target| target.name == name).expect("SLOTCAR_FUZZ_TARGET names a target")
});

fuzz_target!(|input: &[u8]| (TARGET.run)(input));
