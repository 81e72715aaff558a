//! The `main` of every peer.
//!
//! `peer describe` prints its name and modes, `peer run ..` runs one workload and ends with one
//! line of JSON, `peer publish ..` is the publisher of the subscriber workloads.

use crate::args::{Args, Mode};
use crate::drive::drive;
use crate::latch::Latch;
use crate::measure::Measure;
use crate::{Peer, publish};
use std::process::ExitCode;

pub use crate::drive::FIRST;

/// What a peer says of a workload or mode that it cannot do.
pub const UNSUPPORTED: &str = "unsupported";

/// Runs a peer with a runtime.
pub fn main<P: Peer>() -> ExitCode {
    dispatch(P::NAME, P::MODES, |args| {
        if args.mode == Mode::Sync {
            let mut measure = Measure::new(args.count_alloc);
            return Ok(P::run_sync(args, &mut measure).then_some(measure));
        }
        let supported = P::MODES.contains(&args.mode) && P::supports(args.workload, args.mode);
        Ok(supported.then(|| on_runtime::<P>(args)))
    })
}

/// Runs a peer, whatever it is: `run` measures, or returns `None` where it cannot.
pub fn dispatch(
    name: &str,
    modes: &[Mode],
    run: impl FnOnce(&Args) -> Result<Option<Measure>, String>,
) -> ExitCode {
    die_of_any_panic();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.split_first() {
        Some((first, _)) if first == "describe" => {
            let modes: Vec<&str> = modes.iter().map(|mode| mode.name()).collect();
            println!("{name}\n{}", modes.join(" "));
            Ok(())
        }
        Some((first, rest)) if first == "publish" => publish::run(rest),
        Some((first, rest)) if first == "run" => {
            Args::parse(rest.to_vec()).and_then(|args| report(name, &args, run(&args)?))
        }
        _ => Err("usage: describe | run .. | publish ..".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{name}: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// A task that panics would leave those that wait for it waiting: the process ends instead.
fn die_of_any_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::exit(101);
    }));
}

fn report(name: &str, args: &Args, measure: Option<Measure>) -> Result<(), String> {
    match measure {
        Some(measure) => println!("{}", measure.json(name, args)),
        None => println!("{UNSUPPORTED}"),
    }
    Ok(())
}

fn on_runtime<P: Peer>(args: &Args) -> Measure {
    if !args.mode.in_task() {
        return P::block_on(args.mode, drive::<P>(args));
    }
    // In a task, like an application's: the thread that blocks is not one of the workers.
    let latch = Latch::new(1);
    let mut measures = P::block_on(args.mode, async {
        let (args, arrived) = (args.clone(), latch.clone());
        P::spawn(Box::pin(async move { arrived.arrive(drive::<P>(&args).await) }));
        latch.await
    });
    measures.pop().expect("one task was waited for")
}
