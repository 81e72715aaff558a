//! One caller never drives for all others without a bound, and a hand-over loses no wake-up.

use super::*;

/// Turns that one poll may take.
const TURNS_MAX: usize = 8;

/// Whenever the first caller moves bytes, other callers come and want to drive. It is let out after
/// a bounded number of turns, and everyone is answered.
#[test]
fn a_crowd_does_not_keep_a_driver_for_ever() {
    for background in [false, true] {
        for seed in 0..20 {
            crowd(seed, background);
        }
    }
}

fn crowd(seed: u64, background: bool) {
    let wire = Wire::new(seed);
    let transport = Scripted::new(background);
    let link = start(&transport, &wire);
    while run_spawned(&transport) {}
    let others: Arc<Mutex<Vec<Task>>> = Arc::default();
    let (crowd, busy) = (Arc::clone(&others), Arc::downgrade(&link));
    let left = Arc::new(AtomicU64::new(200));
    let hook: wire::Hook = Arc::new(move |_| {
        let Some(link) = busy.upgrade() else { return };
        let Ok(mut crowd) = crowd.try_lock() else { return };
        // As from another thread: a new caller, and a poll of every one there is.
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            let token = 10 + crowd.len() as u64;
            let call = call(&link, token, Timestamp::FAR_FUTURE, true);
            crowd.push(Task::new(Box::pin(async move { call.await.expect("no deadline") })));
        } else {
            return;
        }
        for task in crowd.iter_mut() {
            task.woken.0.store(true, Ordering::SeqCst);
            task.run();
        }
        // A thread that retires the link, or one that takes messages, drives without an entry.
        link.drive(None);
    });
    lock(&wire).hook = Some(hook);
    let first = call(&link, 1, Timestamp::FAR_FUTURE, true);
    let mut first = Task::new(Box::pin(async move { first.await.expect("no deadline") }));
    first.run();
    // Each turn polls the stream to write and to read, a few times if something moves.
    let polls = lock(&wire).polls;
    assert!(polls[1] <= 2 * TURNS_MAX && polls[0] <= 2 * TURNS_MAX, "{polls:?}, seed {seed}");
    for _ in 0..100_000 {
        let owed = lock(&wire).received.len() >= COMMAND_BYTES;
        if owed {
            serve(&wire, 3);
        }
        let mut ran = run_spawned(&transport) | first.run();
        let count = lock(&others).len();
        for index in 0..count {
            // Taken out, so that the hook finds the others while this one runs.
            let mut task = std::mem::replace(
                &mut lock(&others)[index],
                Task { future: None, woken: Arc::new(Woken(AtomicBool::new(false))), parked: true },
            );
            ran |= task.run();
            lock(&others)[index] = task;
        }
        if !ran && !owed {
            break;
        }
    }
    assert!(first.future.is_none(), "seed {seed}, background {background}");
    assert_eq!(lock(&others).len(), 200);
    assert!(lock(&others).iter().all(|task| task.future.is_none()), "seed {seed}, {background}");
}
