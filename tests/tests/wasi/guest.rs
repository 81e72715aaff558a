//! One component, and the process of the host that runs it.
//!
//! A component that fails ends its host with an exit code; the panic shows the output of both.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Where the host is.
const HOST: &str = "SLOTCAR_WASI_HOST";
/// Where the components are, separated as in PATH.
const GUESTS: &str = "SLOTCAR_WASI_GUESTS";

/// A component that is ready to run.
pub(crate) struct Guest {
    /// The host's program.
    host: PathBuf,
    /// The component.
    component: PathBuf,
    /// Variables for both of them.
    variables: Vec<(&'static str, String)>,
}

impl Guest {
    /// The component of the test file or example `name`. Without components prints a line and
    /// returns `None`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (Some(host), Some(guests)) = (std::env::var_os(HOST), std::env::var_os(GUESTS)) else {
            println!("SKIPPED: {HOST} and {GUESTS} are not set; `cargo xtask wasi` sets them");
            return None;
        };
        let is_it = |path: &PathBuf| {
            let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            stem == name || stem.rsplit_once('-').is_some_and(|(before, _hash)| before == name)
        };
        let component = std::env::split_paths(&guests).find(is_it);
        let component = component.unwrap_or_else(|| panic!("no component {name} in {GUESTS}"));
        Some(Self { host: host.into(), component, variables: Vec::new() })
    }

    /// Sets a variable. The component sees those whose names begin with `SLOTCAR_`.
    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Runs the component; panics unless it succeeds.
    #[track_caller]
    pub(crate) fn run(self) {
        println!("{}", self.output("run", &[]));
    }

    /// The names of its tests, one per line, with more text behind each.
    #[track_caller]
    pub(crate) fn list(self) -> String {
        self.output("run", &["--list", "--format", "terse"])
    }

    /// Runs its tests, `at_once` at a time, each in an instance of its own. `arguments` are names
    /// of tests, and `--skip NAME`.
    #[track_caller]
    pub(crate) fn run_tests(self, at_once: &str, arguments: &[&str]) {
        let mut command = Command::new(&self.host);
        command.args(["tests", at_once]).arg(&self.component).args(arguments);
        let status = command.envs(self.variables).status().expect("the host starts");
        assert!(status.success(), "{status}");
    }

    /// Serves HTTP with it, until the result is dropped.
    pub(crate) fn serve(self) -> Serving {
        let mut command = Command::new(&self.host);
        command.args(["serve", "0"]).arg(&self.component).envs(self.variables);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the host starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        stdout.read_line(&mut line).expect("the host says where it listens");
        let serving = line.trim().strip_prefix("listening on http://").map(str::parse);
        let address = match serving {
            Some(Ok(address)) => address,
            _ => panic!("the host said {line:?}"),
        };
        Serving { process, _stdout: stdout, address }
    }

    /// What it imports, one name a line.
    #[track_caller]
    pub(crate) fn imports(self) -> String {
        self.output("imports", &[])
    }

    #[track_caller]
    fn output(self, verb: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.host);
        command.arg(verb).arg(&self.component).args(arguments).envs(self.variables);
        let output = command.output().expect("the host starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
        said
    }
}

/// A component that serves HTTP.
pub(crate) struct Serving {
    /// The host.
    process: Child,
    /// Kept open: a component that cannot print would fail.
    _stdout: BufReader<ChildStdout>,
    /// Where it listens.
    address: SocketAddr,
}

impl Serving {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // An error means that it has ended already; it must be reaped in both cases.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
