//! Wakers that come back to the future, tasks that go away, and panics.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A task that counts how often it was woken, and then wakes another one.
#[derive(Default)]
struct Count {
    woken: AtomicUsize,
    then: Mutex<Option<Waker>>,
}

impl Count {
    fn get(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        let then = lock(&self.then).clone();
        if let Some(then) = then {
            then.wake();
        }
    }
}

/// A future that ends when it is told to, keeps its last waker, and counts how often it is polled.
#[derive(Default)]
struct Source {
    has_ended: AtomicBool,
    polls: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Source {
    fn shared(self: &Arc<Self>) -> SharedFuture<u32> {
        let source = Arc::clone(self);
        SharedFuture::new(Box::pin(std::future::poll_fn(move |cx| {
            source.polls.fetch_add(1, Ordering::SeqCst);
            *lock(&source.waker) = Some(cx.waker().clone());
            if source.has_ended.load(Ordering::SeqCst) { Poll::Ready(7) } else { Poll::Pending }
        })))
    }

    fn waker(&self) -> Waker {
        lock(&self.waker).clone().expect("it was polled")
    }
}

fn poll(future: &mut SharedFuture<u32>, task: &Arc<Count>) -> Poll<u32> {
    let waker = Waker::from(Arc::clone(task));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// The dial of a silent link is driven by that link, and the link by the dial.
#[test]
fn a_waker_that_leads_back_to_the_future_ends() {
    let (source, task, other) = (Arc::new(Source::default()), Arc::default(), Arc::default());
    let mut first = source.shared();
    let mut second = first.clone();
    assert!(poll(&mut first, &task).is_pending());
    assert!(poll(&mut second, &other).is_pending());
    *lock(&task.then) = Some(source.waker());
    source.waker().wake();
    assert_eq!((task.get(), other.get()), (1, 1), "each was woken once");
    // Also the waking at the end.
    source.has_ended.store(true, Ordering::SeqCst);
    assert!(poll(&mut first, &task).is_ready());
    assert_eq!(poll(&mut second, &other), Poll::Ready(7));
}

#[test]
fn every_task_gets_the_output_and_the_future_is_polled_no_more() {
    let (source, task, other) = (Arc::new(Source::default()), Arc::default(), Arc::default());
    let mut first = source.shared();
    let mut second = first.clone();
    assert!(poll(&mut first, &task).is_pending() && poll(&mut second, &other).is_pending());
    source.has_ended.store(true, Ordering::SeqCst);
    assert_eq!(poll(&mut second, &other), Poll::Ready(7));
    assert_eq!((task.get(), first.has_ended()), (1, true), "the other one is told");
    assert_eq!(Arc::strong_count(&source), 1, "the future is dropped");
    let polls = source.polls.load(Ordering::SeqCst);
    assert_eq!(poll(&mut first, &task), Poll::Ready(7));
    assert_eq!(poll(&mut first, &task), Poll::Ready(7), "and again");
    assert_eq!(source.polls.load(Ordering::SeqCst), polls);
}

/// A task that polls it from within itself, as a link that it drives may do, waits.
#[test]
fn a_future_that_polls_itself_is_pending() {
    let itself: Arc<Mutex<Option<SharedFuture<u32>>>> = Arc::default();
    let inner = Arc::clone(&itself);
    let mut future = SharedFuture::new(Box::pin(std::future::poll_fn(move |cx| {
        let mut own = lock(&inner).take().expect("it is set");
        let result = Pin::new(&mut own).poll(cx);
        *lock(&inner) = Some(own);
        assert!(result.is_pending());
        result
    })));
    *lock(&itself) = Some(future.clone());
    assert!(poll(&mut future, &Arc::default()).is_pending());
    drop(lock(&itself).take());
}

/// It was woken, was dropped before it polled, and would have been the only one to know.
#[test]
fn a_task_that_goes_away_after_it_was_woken_hands_that_on() {
    let (source, task, other) = (Arc::new(Source::default()), Arc::default(), Arc::default());
    let mut first = source.shared();
    let mut second = first.clone();
    assert!(poll(&mut first, &task).is_pending());
    source.waker().wake();
    assert!(poll(&mut second, &other).is_pending(), "registered after the call");
    drop(first);
    assert_eq!(other.get(), 1);
    // One that was not woken has nothing to hand on.
    let mut third = second.clone();
    assert!(poll(&mut second, &other).is_pending() && poll(&mut third, &task).is_pending());
    drop(third);
    assert_eq!((task.get(), other.get()), (1, 1));
}

#[test]
fn a_panic_reaches_every_task() {
    let mut first: SharedFuture<u32> = SharedFuture::new(Box::pin(async { panic!("on purpose") }));
    let mut second = first.clone();
    let task = Arc::default();
    for future in [&mut first, &mut second] {
        assert!(catch_unwind(AssertUnwindSafe(|| poll(future, &task))).is_err());
    }
}

#[test]
fn the_last_handle_drops_the_future() {
    let source = Arc::new(Source::default());
    let mut first = source.shared();
    let second = first.clone();
    assert!(poll(&mut first, &Arc::default()).is_pending());
    drop(first);
    assert_eq!(Arc::strong_count(&source), 2);
    drop(second);
    assert_eq!(Arc::strong_count(&source), 1);
}

/// Thousands wait and are woken; one of them registers again, and the others go, each of which
/// hands the call on to it. Then one waits alone where thousands did.
#[test]
fn one_of_many_costs_what_it_holds() {
    const MANY: usize = 4000;
    let source = Arc::new(Source::default());
    let first = source.shared();
    let tasks: Vec<Arc<Count>> = (0..MANY).map(|_| Arc::default()).collect();
    let mut futures: Vec<_> = tasks.iter().map(|_| Some(first.clone())).collect();
    for (future, task) in futures.iter_mut().flatten().zip(&tasks) {
        assert!(poll(future, task).is_pending());
    }
    let visits = || mem::take(&mut lock(&first.inner.waiting.0).visits);
    visits();
    source.waker().wake();
    assert!(visits() <= MANY, "all of them are woken");
    let last = MANY - 1;
    for one in 0..last {
        assert!(poll(futures[last].as_mut().expect("it stays"), &tasks[last]).is_pending());
        futures[one] = None;
        assert_eq!(tasks[last].get(), 2 + one, "the call is handed on");
    }
    assert!(visits() <= 4 * MANY, "each leaves at its own cost");
    for _ in 0..MANY {
        assert!(poll(futures[last].as_mut().expect("it stays"), &tasks[last]).is_pending());
        source.waker().wake();
    }
    assert!(visits() <= 2 * MANY, "one waits");
    for _ in 0..MANY {
        let mut passing = first.clone();
        assert!(poll(&mut passing, &tasks[0]).is_pending());
    }
    let list = lock(&first.inner.waiting.0);
    assert!(list.order.len() <= 2 * list.tasks.len() + GONE_MAX, "what has gone is forgotten");
    assert!(list.visits <= 4 * MANY);
}
