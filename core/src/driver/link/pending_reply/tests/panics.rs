//! Foreign code that panics: a waker, a stream, a timer. Every other caller gets an answer or an
//! error, and the link is usable or lost, never silent.

use super::*;
use crate::connection::outcome::Lost;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a caller of a link that may be lost ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With its reply.
    Answered,
    /// It was told that something panicked.
    Failed,
    /// The panic went through its own poll.
    Panicked,
}

/// Callers and how they ended.
struct Callers {
    /// One for each.
    tasks: Vec<Task>,
    /// In the same order; written by the tasks.
    ends: Arc<Mutex<Vec<Option<End>>>>,
}

impl Callers {
    /// So many commands on the link.
    fn new(link: &Arc<Link>, count: usize) -> Self {
        let ends: Arc<Mutex<Vec<_>>> = Arc::new(Mutex::new(vec![None; count]));
        let caller = |index| {
            let (link, ends) = (Arc::clone(link), Arc::clone(&ends));
            Task::new(Box::pin(async move {
                let end = send(&link, index as u64).await;
                lock(&ends)[index] = Some(end);
            }))
        };
        Self { tasks: (0..count).map(caller).collect(), ends }
    }

    /// Polls one if it was woken. A panic of its poll ends it.
    fn run(&mut self, index: usize) -> bool {
        let task = &mut self.tasks[index];
        let ran = catch_unwind(AssertUnwindSafe(|| task.run()));
        if ran.is_err() {
            task.future = None;
            lock(&self.ends)[index] = Some(End::Panicked);
        }
        ran.unwrap_or(true)
    }

    /// Runs until nothing moves; then every caller has ended.
    fn settle(&mut self, wire: &Mutex<Wire>, transport: &Scripted) -> Vec<End> {
        for _ in 0..1000 {
            serve(wire, 3);
            let spawned = catch_unwind(AssertUnwindSafe(|| run_spawned(transport)));
            if spawned.is_err() {
                lock(transport.spawned.as_ref().expect("there is a background")).clear();
            }
            let mut moved = spawned.unwrap_or(true);
            for index in 0..self.tasks.len() {
                moved |= self.run(index);
            }
            if !moved && lock(wire).received.len() < COMMAND_BYTES {
                let ends = lock(&self.ends);
                return ends.iter().map(|end| end.expect("no caller is left waiting")).collect();
            }
        }
        panic!("tasks wake each other without end")
    }
}

async fn send(link: &Arc<Link>, token: u64) -> End {
    let text = format!("{token:08}");
    let deadline = Timestamp::FAR_FUTURE;
    let entry = Entry { len: COMMAND_BYTES, replies: 1, deadline };
    let mut pending: Option<PendingReply> = None;
    let outcome = poll_fn(|cx| {
        if pending.is_none() {
            let write = |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
            match PendingReply::enqueue(Arc::clone(link), entry.into(), write, cx) {
                Ok(begun) => pending = Some(begun),
                Err(Rejected::Closed(lost)) => {
                    assert!(matches!(*lost, Lost::Panicked));
                    return Poll::Ready(None);
                }
                Err(rejected) => panic!("{rejected:?}"),
            }
        }
        pending.as_mut().expect("just begun").poll(cx).map(Some)
    });
    match outcome.await {
        Some(Ok(reply)) => {
            assert_eq!(reply.into_last().expect("one reply"), format!("+{text}\r\n"));
            End::Answered
        }
        Some(Err(failed)) => {
            assert!(
                matches!(&failed.failure, Failure::Lost(lost) if matches!(**lost, Lost::Panicked))
            );
            End::Failed
        }
        None => End::Failed,
    }
}

/// Panics when it is woken, once.
struct PanicsOnce(AtomicBool);

impl Wake for PanicsOnce {
    fn wake(self: Arc<Self>) {
        assert!(self.0.swap(true, Ordering::SeqCst), "a waker panics on purpose");
    }
}

/// A waker that panics harms its own task only: the link goes on.
#[test]
fn a_waker_that_panics_harms_no_other_caller() {
    for background in [false, true] {
        for seed in 0..50 {
            let wire = Wire::new(seed);
            let transport = Scripted::new(background);
            let link = start(&transport, &wire);
            let mut callers = Callers::new(&link, 6);
            callers.run(0);
            let waker = Waker::from(Arc::new(PanicsOnce(AtomicBool::new(false))));
            let bad = catch_unwind(AssertUnwindSafe(|| {
                let entry =
                    Entry { len: COMMAND_BYTES, replies: 1, deadline: Timestamp::FAR_FUTURE };
                let write = |out: &mut Vec<u8>| out.extend_from_slice(b"badbadba");
                let cx = Context::from_waker(&waker);
                PendingReply::enqueue(Arc::clone(&link), entry.into(), write, &cx)
            }));
            assert!(bad.is_ok_and(|begun| begun.is_ok_and(|pending| {
                let ends = callers.settle(&wire, &transport);
                drop(pending);
                ends.iter().all(|end| *end == End::Answered)
            })));
            let ends = Callers::new(&link, 3).settle(&wire, &transport);
            assert_eq!(ends, [End::Answered; 3], "the link is usable, also by one caller alone");
        }
    }
}

/// A stream that panics while it is read or written, or a timer: the link is lost, and every caller
/// is told so. Only the task that drove may be panicked through.
#[test]
fn a_stream_or_timer_that_panics_loses_the_link() {
    for background in [false, true] {
        for (what, after) in (0..3).flat_map(|what| (0..12).map(move |after| (what, after))) {
            let wire = Wire::new(after);
            let transport = Scripted::new(background);
            let link = start(&transport, &wire);
            let left = AtomicU64::new(after);
            let hook: wire::Hook = Arc::new(move |way| {
                let left =
                    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
                assert!(way != what || left.is_ok(), "a stream panics on purpose");
            });
            if what < 2 {
                lock(&wire).hook = Some(hook);
            } else {
                transport.timer_panics.store(true, Ordering::SeqCst);
            }
            let mut callers = Callers::new(&link, 6);
            let ends = callers.settle(&wire, &transport);
            let panicked = ends.iter().filter(|end| **end == End::Panicked).count();
            assert!(panicked <= 1, "{ends:?}: one task drives");
            if panicked == 0 && ends.iter().all(|end| *end == End::Answered) {
                continue;
            }
            assert!(link.is_closed() && link.is_lost(), "{ends:?}");
            let ends = Callers::new(&link, 2).settle(&wire, &transport);
            assert_eq!(ends, [End::Failed; 2]);
            // It was let go of: the link holds no stream any more.
            assert_eq!(Arc::strong_count(&wire), 1);
        }
    }
}
