//! A driver without libFuzzer, for machines without a C++ compiler: it changes the inputs of the
//! corpus by chance, the same way for the same seed, and runs the target on each.
//!
//! `mutate TARGET CORPUS SECONDS BYTES_MAX [SEED]`. With 0 seconds it runs the corpus and ends. An
//! input that makes the target panic, or keeps it busy for more than `STUCK_AFTER`, is written to
//! the current directory; `mutate TARGET FILE 0` runs it again.
//! It does not see what code an input reaches, so it finds less than libFuzzer in the same time.

use slotcar_fuzz::TARGETS;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

/// An input that takes longer is a finding.
const STUCK_AFTER: Duration = Duration::from_secs(20);
/// Changes of one input at most.
const CHANGES_MAX: u64 = 8;

/// The input that is being run, and since when.
static RUNNING: Mutex<(Vec<u8>, Option<Instant>)> = Mutex::new((Vec::new(), None));

/// Random numbers: xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }
}

/// Pieces that inputs of all targets are made of.
const PIECES: [&[u8]; 20] = [
    b"\r\n",
    b"*2\r\n",
    b"%1\r\n",
    b"~1\r\n",
    b">2\r\n",
    b"|1\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"_\r\n",
    b"$3\r\nabc\r\n",
    b":1\r\n",
    b"+OK\r\n",
    b"+QUEUED\r\n",
    b"-MOVED 1 h:1\r\n",
    b"0",
    b"-1",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"1e400",
    b"\0",
];

/// Another input, made of two.
fn change(chance: &mut Chance, one: &[u8], other: &[u8], bytes_max: usize) -> Vec<u8> {
    let mut input = one.to_vec();
    for _ in 0..1 + chance.below(CHANGES_MAX as usize) {
        let at = chance.below(input.len() + 1);
        let end = at + chance.below((input.len() - at).min(40) + 1);
        match chance.below(7) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, chance.below(256) as u8),
            2 if at < input.len() => input[at] = chance.below(256) as u8,
            3 if at < input.len() => input[at] ^= 1 << chance.below(8),
            4 => {
                let piece = PIECES[chance.below(PIECES.len())];
                drop(input.splice(at..at, piece.iter().copied()));
            }
            5 => {
                let again = input[at..end].to_vec();
                drop(input.splice(at..at, again));
            }
            _ => {
                let from = chance.below(other.len() + 1);
                let to = from + chance.below((other.len() - from).min(200) + 1);
                drop(input.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    input.truncate(bytes_max);
    input
}

/// Keeps the input that is being run.
fn keep() -> String {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let sum = running.0.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(*byte));
    let name = format!("crash-{sum:08x}");
    let written = fs::write(&name, &running.0);
    format!("the input is in {name} ({written:?})")
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, corpus, seconds, bytes_max, seed @ ..] = arguments.as_slice() else {
        eprintln!("usage: mutate TARGET CORPUS SECONDS BYTES_MAX [SEED]");
        process::exit(2);
    };
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let time = Duration::from_secs(seconds.parse().expect("seconds"));
    let bytes_max = bytes_max.parse().expect("a length in bytes");
    let seed = seed.first().map_or(1, |seed| seed.parse().expect("a seed"));
    let mut inputs = read(Path::new(corpus));
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        eprintln!("{}", keep());
        process::exit(1);
    }));
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_secs(1));
            let began = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).1;
            if began.is_some_and(|began| began.elapsed() > STUCK_AFTER) {
                eprintln!("an input takes more than {STUCK_AFTER:?}; {}", keep());
                process::exit(1);
            }
        }
    });
    let run = |input: &[u8]| {
        let now = Some(Instant::now());
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = (input.to_vec(), now);
        (target.run)(input);
    };
    let (began, mut executions) = (Instant::now(), 0_u64);
    inputs.iter().for_each(|input| run(input));
    executions += inputs.len() as u64;
    inputs.push(Vec::new());
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15 ^ seed);
    while began.elapsed() < time {
        let one = chance.below(inputs.len());
        let other = chance.below(inputs.len());
        let input = change(&mut chance, &inputs[one], &inputs[other], bytes_max);
        run(&input);
        executions += 1;
        // Some inputs live on, so that changes add up.
        if chance.below(20) == 0 {
            if inputs.len() < 2000 { inputs.push(input) } else { inputs[one] = input }
        }
    }
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).1 = None;
    println!("{name}: {executions} executions in {:.0} s", began.elapsed().as_secs_f32());
}

/// The inputs in a folder, sorted by name, or the one in a file.
fn read(path: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = match fs::read_dir(path) {
        Ok(folder) => folder.filter_map(|file| Some(file.ok()?.path())).collect(),
        Err(_) => vec![path.to_owned()],
    };
    files.sort();
    files.iter().map(|file| fs::read(file).expect("an input")).collect()
}
