//! The corpora of the fuzz targets, as ordinary tests: what was found once stays found.
//!
//! The targets that need the simulator or a transport run in the tests of those crates.

#[path = "../../../tests/fuzz/src/config.rs"]
mod config;
#[path = "../../../tests/fuzz/src/decode.rs"]
mod decode;
#[path = "../../../tests/fuzz/src/sentinel.rs"]
mod sentinel;
#[path = "../../../tests/fuzz/src/snapshot.rs"]
mod snapshot;
#[path = "../../../tests/fuzz/src/subscription.rs"]
mod subscription;
#[path = "../../../tests/fuzz/src/topology.rs"]
mod topology;

use std::fs;
use std::path::Path;

/// Runs every input of a corpus, and every beginning of the short ones.
fn run_corpus(name: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut count = 0;
    for file in files {
        let input = fs::read(file.expect("a file").path()).expect("an input");
        run(&input);
        if input.len() < 100 {
            (0..input.len()).for_each(|end| run(&input[..end]));
        }
        count += 1;
    }
    assert!(count > 2, "{folder:?} has {count} inputs");
}

#[test]
fn the_corpora_find_nothing() {
    run_corpus("config", config::run);
    run_corpus("decode", decode::run);
    run_corpus("sentinel", sentinel::run);
    run_corpus("snapshot", snapshot::run);
    run_corpus("subscription", subscription::run);
    run_corpus("topology", topology::run);
}
