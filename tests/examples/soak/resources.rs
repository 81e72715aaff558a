//! Memory and descriptors of this process, as Linux counts them in `/proc/self`.
//!
//! The process holds the client, its callers and the proxies, but not the servers.

use std::fmt;

/// What the process holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resources {
    /// Resident memory, in KiB.
    pub(crate) memory: u64,
    /// Open descriptors.
    pub(crate) descriptors: usize,
}

impl Resources {
    /// What the process holds now.
    pub(crate) fn now() -> Resources {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Resources { memory: memory.unwrap_or_default(), descriptors }
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB, {} descriptors", self.memory as f64 / 1024.0, self.descriptors)
    }
}
