//! `connect` on smol, on tokio, on an executor without a reactor, and a client that is used on
//! another executor than the one that it was made on.

use super::{served, use_client};
use futures::executor::block_on;
use slotcar::{Client, Error};
use tokio::runtime::{Builder, Handle, Runtime};

/// Tasks that the runtime has now; the future of its `block_on` is none.
fn tasks(handle: &Handle) -> usize {
    handle.metrics().num_alive_tasks()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn smol_connects() -> Result<(), Error> {
    let served = served();
    smol::block_on(async { use_client(&slotcar::connect(&served.url()).await?).await })
}

/// An executor without I/O: smol's reactor has a thread of its own.
#[test]
fn an_executor_without_a_reactor_connects() -> Result<(), Error> {
    let served = served();
    block_on(async { use_client(&slotcar::connect(&served.url()).await?).await })
}

/// Either kind of runtime carries the connections of the clients that are made in it.
#[test]
fn inside_of_a_tokio_runtime_its_reactor_is_used() -> Result<(), Error> {
    let current_thread = Builder::new_current_thread().enable_all().build().expect("a runtime");
    for runtime in [multi_thread(), current_thread] {
        let served = served();
        runtime.block_on(async {
            let runtime = Handle::current();
            assert_eq!(tasks(&runtime), 0);
            let client = slotcar::connect(&served.url()).await?;
            use_client(&client).await?;
            assert!(tasks(&runtime) > 0, "the connection is no task of the runtime");
            drop(client);
            while tasks(&runtime) > 0 {
                tokio::task::yield_now().await;
            }
            Ok::<(), Error>(())
        })?;
    }
    Ok(())
}

/// Also from a task, and the client works outside of the runtime as long as that runs.
#[test]
fn a_client_may_leave_its_runtime() -> Result<(), Error> {
    let (served, runtime) = (served(), multi_thread());
    let url = served.url();
    let connecting = runtime.spawn(async move { slotcar::connect(&url).await });
    let client: Client = block_on(connecting).expect("the task does not panic")?;
    assert!(tasks(runtime.handle()) > 0);
    block_on(use_client(&client))
}

/// A runtime without I/O, without timers, and without either: smol's reactor is used where it has
/// none. tokio has no way to ask, so its panic is caught.
#[test]
fn a_runtime_may_lack_io_and_timers() -> Result<(), Error> {
    let served = served();
    for make in [Builder::new_multi_thread as fn() -> Builder, Builder::new_current_thread] {
        for (io, time) in [(false, false), (true, false), (false, true)] {
            let mut builder = make();
            if io {
                builder.enable_io();
            }
            if time {
                builder.enable_time();
            }
            let runtime = builder.build().expect("a runtime");
            let client = runtime.block_on(slotcar::connect(&served.url()))?;
            runtime.block_on(use_client(&client))?;
            drop(runtime);
            block_on(use_client(&client))?;
        }
    }
    Ok(())
}

/// A client in a static: its runtime has ended, and another one has come.
#[test]
fn a_client_outlives_its_runtime() -> Result<(), Error> {
    let served = served();
    let current_thread = Builder::new_current_thread().enable_all().build().expect("a runtime");
    for runtime in [multi_thread(), current_thread] {
        let client = runtime.block_on(slotcar::connect(&served.url()))?;
        runtime.block_on(use_client(&client))?;
        drop(runtime);
        multi_thread().block_on(use_client(&client))?;
        block_on(use_client(&client))?;
    }
    Ok(())
}

/// The feature `tokio` is on in this build, and a runtime is there, but the caller is not in it.
#[test]
fn outside_of_a_tokio_runtime_smol_is_used() -> Result<(), Error> {
    let (served, runtime) = (served(), multi_thread());
    let client = block_on(slotcar::connect(&served.url()))?;
    block_on(use_client(&client))?;
    assert_eq!(tasks(runtime.handle()), 0);
    // The client does not change its reactor where it is used.
    runtime.block_on(use_client(&client))?;
    assert_eq!(tasks(runtime.handle()), 0);
    drop(runtime);
    block_on(use_client(&client))
}
