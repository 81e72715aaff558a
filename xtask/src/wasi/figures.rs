//! `cargo xtask wasi throughput` and `cargo xtask wasi cold`: figures of components beside the same
//! code run natively, on servers of their own, with an optimised host.
//!
//! Wall times depend on what else the machine does; the load that it was under is printed with
//! them. Processor time is that of the client's process, without what a run of no commands costs
//! (start, and the compilation of the component).
//! Limits: Linux, which says what children used; [`SERVER`] is the program that is asked.

use super::{DOOR, executable, host_of};
use crate::Outcome;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The server's folder among those that the tests run against.
const SERVER: &str = "redis-7.0";
/// Runs of each kind: the best one counts, for noise only ever slows down.
const RUNS: usize = 5;
/// What a component must have of the native throughput, and may use of its processor time.
const BOUNDS: (f64, f64) = (0.6, 2.0);
/// Commands of a pipeline, and in all; the first is what the bounds are for.
const LOADS: [(&str, &str); 3] = [("10000", "4000000"), ("100", "1000000"), ("1", "40000")];
/// Ticks of a second in /proc: fixed on Linux (`USER_HZ`).
const TICKS: f64 = 100.0;
/// Starts of a component, for the time of one.
const STARTS: &str = "200";

/// Measures pipelined reads, natively and in a component, in turn.
pub(super) fn throughput() -> Outcome {
    let host = host_of("release")?;
    let mut build = crate::cargo();
    let component =
        executable(build.args(["build", "--release", "--example", "throughput"]), DOOR)?;
    let mut build = crate::cargo();
    build.args(["build", "--release", "--package", DOOR, "--example", "throughput"]);
    crate::process::run_to_end(&mut build)?;
    let native = crate::root().join("target/release/examples/throughput");
    let server = Server::start(&[])?;
    let url = format!("redis://127.0.0.1:{}", server.port);
    let natively = || Command::new(&native);
    let inside = || {
        let mut command = Command::new(&host);
        command.arg("run").arg(&component);
        command
    };
    for (pipeline, commands) in LOADS {
        let (mut best, mut inner) = (Figure::none(), Figure::none());
        for _ in 0..RUNS {
            best.better(&Figure::of(natively, &url, pipeline, commands)?);
            inner.better(&Figure::of(inside, &url, pipeline, commands)?);
        }
        println!("pipelines of {pipeline} GETs on two connections, the best of {RUNS} runs:");
        println!("  natively        {best}\n  in a component  {inner}");
        let (speed, cost) = (inner.rate / best.rate, inner.processor / best.processor);
        println!("  ratio           {speed:.2} of the throughput, {cost:.2} of the processor time");
        if pipeline == LOADS[0].0 && (speed < BOUNDS.0 || cost > BOUNDS.1) {
            println!("  which is outside of {} and {}", BOUNDS.0, BOUNDS.1);
        }
    }
    println!("load of the machine: {}", load());
    Ok(())
}

/// One measurement.
struct Figure {
    /// Commands a second.
    rate: f64,
    /// Processor seconds of the client for all commands.
    processor: f64,
}

impl Figure {
    fn none() -> Self {
        Self { rate: 0.0, processor: f64::INFINITY }
    }

    fn better(&mut self, other: &Self) {
        self.rate = self.rate.max(other.rate);
        self.processor = self.processor.min(other.processor);
    }

    fn of(
        program: impl Fn() -> Command,
        url: &str,
        pipeline: &str,
        commands: &str,
    ) -> Outcome<Self> {
        let run = |commands: &str| {
            let mut command = program();
            command.args([url, pipeline, commands]).stdout(Stdio::piped());
            let before = children()?;
            let output = command.output().map_err(|e| format!("throughput: {e}"))?;
            if !output.status.success() {
                return Err(format!("throughput failed: {}", output.status));
            }
            let rate = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0.0);
            Ok(Self { rate, processor: children()? - before })
        };
        let (nothing, all) = (run("0")?, run(commands)?);
        Ok(Self { rate: all.rate, processor: (all.processor - nothing.processor).max(0.0) })
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9.0} GETs a second, {:.2} s of processor time", self.rate, self.processor)
    }
}

/// Processor seconds of this process's children that have ended.
// spec: proc_pid_stat(5), fields 16 and 17
fn children() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(|e| format!("/proc: {e}"))?;
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
    let ticks = fields.split(' ').skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / TICKS)
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Times the start of a compiled component up to its first reply from a cluster.
pub(super) fn cold() -> Outcome {
    let host = host_of("release")?;
    let mut build = crate::cargo();
    let component = executable(build.args(["build", "--release", "--example", "get"]), DOOR)?;
    let lines = ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"];
    let nodes: Vec<Server> = (0..3).map(|_| Server::start(&lines)).collect::<Result<_, _>>()?;
    let at: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut create = Command::new(program("redis-cli"));
    create.args(["--cluster", "create"]).args(&at).arg("--cluster-yes").stdout(Stdio::null());
    crate::process::run_to_end(&mut create)?;
    sleep(Duration::from_secs(2)); // they go on to agree after the command has ended
    let ping = round_trip(nodes[0].port)?;
    let url = format!("redis-cluster://{}", at.join(","));
    let mut command = Command::new(host);
    command.args(["repeat", STARTS]).arg(component).args([&url, "greeting"]).stdout(Stdio::piped());
    let output = command.output().map_err(|e| format!("the host: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let figures = said.lines().last().unwrap_or_default();
    println!("from a new instance to its end, a GET in a cluster between: {figures}");
    println!("one round trip: {} us; load of the machine: {}", ping.as_micros(), load());
    Ok(())
}

/// The median of some PINGs.
fn round_trip(port: u16) -> Outcome<Duration> {
    use std::io::{Read, Write};
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    let mut stream = stream.map_err(|e| format!("a node: {e}"))?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let mut times = Vec::new();
    for _ in 0..101 {
        let began = Instant::now();
        stream.write_all(b"PING\r\n").map_err(|e| e.to_string())?;
        stream.read_exact(&mut [0; 7]).map_err(|e| e.to_string())?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// A server of its own; it ends when this is dropped.
struct Server {
    /// Its process.
    process: Child,
    /// Where it listens.
    port: u16,
    /// Its folder.
    folder: PathBuf,
}

impl Server {
    fn start(options: &[&str]) -> Outcome<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr());
        // The bus of a cluster listens 10000 higher.
        let port = free.map_err(|e| format!("no port: {e}"))?.port() % 20_000 + 30_000;
        let folder = std::env::temp_dir().join(format!("slotcar-figures-{port}"));
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut command = Command::new(program("redis-server"));
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(options).current_dir(&folder).stdout(Stdio::null());
        let process = command.spawn().map_err(|e| format!("redis-server: {e}"))?;
        let server = Self { process, port, folder };
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if began.elapsed() > Duration::from_secs(10) {
                return Err(format!("no server answers at port {port}"));
            }
            sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already; both ways it must be reaped.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn program(name: &str) -> PathBuf {
    let fetched = crate::servers::folder().join(SERVER).join("bin").join(name);
    if fetched.is_file() { fetched } else { Path::new(name).to_owned() }
}
