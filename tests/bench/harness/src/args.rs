//! The command line of a peer: `run --workload b --mode ct --addr 127.0.0.1:7000 --ops 1000`.
//!
//! Only this project writes and reads it, so a mistake in it is a bug; the error names the mistake.

use crate::workload::{self, Workload};

/// Host and port.
pub type Addr = (String, u16);

/// Which runtime a client runs on, and whether its caller is a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The client's blocking interface.
    Sync,
    /// Tokio's current-thread runtime.
    Ct,
    /// Tokio's multi-thread runtime, the caller a task of it.
    Mt,
    /// A smol executor on one thread, the caller inside `block_on`.
    Smol,
    /// The same, the caller a task of the executor.
    Smolt,
    /// `smol::block_on(main)`: the caller in `block_on`, the executor on another thread.
    Smolg,
}

impl Mode {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Sync, Self::Ct, Self::Mt, Self::Smol, Self::Smolt, Self::Smolg];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Ct => "ct",
            Self::Mt => "mt",
            Self::Smol => "smol",
            Self::Smolt => "smolt",
            Self::Smolg => "smolg",
        }
    }

    /// The mode of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.name() == name)
    }

    /// Whether all of the work is on one thread, which may then be pinned to one CPU.
    pub fn one_thread(self) -> bool {
        !matches!(self, Self::Mt | Self::Smolg)
    }

    /// Whether the workload runs in a spawned task, as in most applications.
    pub fn in_task(self) -> bool {
        matches!(self, Self::Mt | Self::Smolt)
    }
}

/// One run of one workload.
#[derive(Clone, Debug)]
pub struct Args {
    /// What to do.
    pub workload: &'static Workload,
    /// On what.
    pub mode: Mode,
    /// The servers: see [`crate::Target`].
    pub addrs: Vec<Addr>,
    /// How often, in the workload's unit; a tenth of it runs before, to warm up.
    pub ops: u64,
    /// Whether to count allocations.
    pub count_alloc: bool,
    /// Concurrent tasks take the time of one operation in so many.
    pub latency_every: u64,
}

impl Args {
    /// Reads the command line after `run`.
    ///
    /// # Errors
    /// A sentence that names the option.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            workload: &workload::ALL[0],
            mode: Mode::Ct,
            addrs: Vec::new(),
            ops: 1000,
            count_alloc: false,
            latency_every: 16,
        };
        let mut words = words.into_iter();
        while let Some(option) = words.next() {
            if option == "--alloc" {
                args.count_alloc = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{option} wants a value"))?;
            let bad = || format!("{option} {value}: not understood");
            match option.as_str() {
                "--workload" => args.workload = workload::named(&value).ok_or_else(bad)?,
                "--mode" => args.mode = Mode::named(&value).ok_or_else(bad)?,
                "--addr" => args.addrs = parse_addrs(&value).ok_or_else(bad)?,
                "--ops" => args.ops = value.parse().map_err(|_| bad())?,
                "--latency-every" => args.latency_every = value.parse().map_err(|_| bad())?,
                _ => return Err(format!("unknown option {option}")),
            }
        }
        if args.addrs.is_empty() { Err("--addr is missing".to_owned()) } else { Ok(args) }
    }

    /// The command line that [`Args::parse`] reads.
    pub fn to_words(&self) -> Vec<String> {
        let mut words = vec!["--workload".to_owned(), self.workload.name.to_owned()];
        words.extend(["--mode".to_owned(), self.mode.name().to_owned()]);
        words.extend(["--addr".to_owned(), format_addrs(&self.addrs)]);
        words.extend(["--ops".to_owned(), self.ops.to_string()]);
        words.extend(["--latency-every".to_owned(), self.latency_every.to_string()]);
        words.extend(self.count_alloc.then(|| "--alloc".to_owned()));
        words
    }
}

/// `host:port,host:port`.
pub fn format_addrs(addrs: &[Addr]) -> String {
    let texts: Vec<String> = addrs.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    texts.join(",")
}

/// The inverse of [`format_addrs`].
pub fn parse_addrs(text: &str) -> Option<Vec<Addr>> {
    text.split(',')
        .map(|addr| {
            let (host, port) = addr.rsplit_once(':')?;
            Some((host.to_owned(), port.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the runner writes is what a peer reads.
    #[test]
    fn words_survive_the_way_to_a_peer() {
        let sent = Args {
            workload: workload::named("b").unwrap(),
            mode: Mode::Smolg,
            addrs: vec![("127.0.0.1".to_owned(), 7000), ("::1".to_owned(), 7001)],
            ops: 7,
            count_alloc: true,
            latency_every: 9,
        };
        let read = Args::parse(sent.to_words()).unwrap();
        assert_eq!(format!("{sent:?}"), format!("{read:?}"));
    }

    #[test]
    fn a_mistake_is_named() {
        let cases = [
            (vec!["--mode", "fast"], "--mode fast: not understood"),
            (vec!["--ops"], "--ops wants a value"),
            (vec!["--depth", "1"], "unknown option --depth"),
            (vec!["--mode", "ct"], "--addr is missing"),
        ];
        for (words, expected) in cases {
            let error = Args::parse(words.into_iter().map(str::to_owned)).unwrap_err();
            assert_eq!(error, expected);
        }
    }
}
