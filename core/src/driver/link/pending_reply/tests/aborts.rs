//! Which ends of a link abort its connection: those that give up what was written.

use super::*;

/// Ends a link on which one command is in flight. True if its stream is to be aborted.
fn aborts(end: impl FnOnce(&Scripted, &Arc<Mutex<Wire>>, &Link)) -> bool {
    let (wire, transport) = (Wire::new(1), Scripted::new(false));
    let abort = AbortFlag::default();
    let link = start_with(&transport, &wire, abort.clone());
    let call = call(&link, 1, Timestamp::FAR_FUTURE, true);
    let mut task = Task::new(Box::pin(async move {
        let _ = call.await;
    }));
    while lock(&wire).received.is_empty() {
        task.run();
    }
    end(&transport, &wire, &link);
    drop(task);
    link.move_bytes();
    assert_eq!(link.is_lost(), Arc::strong_count(&wire) == 1, "a lost link holds no stream");
    abort.is_set()
}

#[test]
fn what_is_given_up_is_aborted() {
    assert!(aborts(|_, _, link| link.close()), "closed with a command in flight");
    let silent = Duration::from_secs(1000);
    assert!(aborts(|transport, _, _| transport.advance(silent)), "no progress");
}

#[test]
fn what_ends_well_is_closed_as_usual() {
    assert!(!aborts(|_, wire, _| lock(wire).closed = true), "the server closed it");
    let answered = |wire: &Arc<Mutex<Wire>>, link: &Link| {
        serve(wire, 1);
        while link.load() > 0 {
            link.move_bytes();
        }
    };
    assert!(!aborts(|_, wire, link| {
        answered(wire, link);
        link.close();
    }));
    assert!(!aborts(|_, wire, link| {
        link.retire();
        answered(wire, link);
    }));
}
