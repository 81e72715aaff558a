//! Scans of servers that say what they like of themselves.

use super::*;

fn id(name: &str) -> NodeId {
    NodeId::told(name).unwrap()
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

/// `slots` as a line of CLUSTER NODES has them.
fn standing(name: &str, epoch: u64, slots: &str) -> NodeReport {
    let line = format!("{name} h:1@2 myself,master - 0 0 {epoch} connected {slots}");
    let other = "zz h:3@4 slave aa 0 0 1 connected";
    NodeReport::parse(&format!("{other}\n{}\n", line.trim_end())).unwrap()
}

/// A pass from its beginning to its end.
fn pass(cursor: &mut ScanCursor, before: &NodeReport, after: &NodeReport) {
    let node = before.id.clone().unwrap();
    assert!(cursor.begin(before, &node));
    assert_eq!(cursor.next(|_| true), ScanStep::Page(node.clone(), 0));
    cursor.turn(7);
    assert_eq!(cursor.next(|_| true), ScanStep::Page(node.clone(), 7));
    cursor.turn(0);
    assert_eq!(cursor.next(|_| true), ScanStep::Check(node.clone()));
    cursor.check(after, &node);
}

#[test]
fn a_cluster_at_rest_is_gone_through_once() {
    let mut cursor = ScanCursor::new();
    assert_eq!(cursor.next(|_| true), ScanStep::BeginAt(slot(0)));
    let a = standing("aa", 1, "0-8000");
    pass(&mut cursor, &a, &a);
    assert_eq!(cursor.next(|_| true), ScanStep::BeginAt(slot(8001)));
    assert!(cursor.has_done(slot(8000)) && !cursor.has_done(slot(8001)));
    let b = standing("bb", 2, "8001-16383");
    pass(&mut cursor, &b, &b);
    assert_eq!(cursor.next(|_| true), ScanStep::Done);
    assert!(cursor.is_finished());
}

#[test]
fn a_slot_that_left_during_the_pass_is_gone_through_where_it_is() {
    let mut cursor = ScanCursor::new();
    pass(&mut cursor, &standing("aa", 1, "0-16383"), &standing("aa", 1, "0-99 101-16383"));
    assert_eq!(cursor.next(|_| true), ScanStep::BeginAt(slot(100)));
    let b = standing("bb", 2, "100");
    pass(&mut cursor, &b, &b);
    assert!(cursor.is_finished());
}

#[test]
fn a_slot_that_is_leaving_is_gone_through_at_both_ends() {
    let mut cursor = ScanCursor::new();
    let a = standing("aa", 1, "0-16383 [100->-bb]");
    pass(&mut cursor, &a, &a);
    assert!(!cursor.has_done(slot(100)));
    assert_eq!(cursor.next(|_| true), ScanStep::BeginOn(id("bb")));
    let b = standing("bb", 2, "[100-<-aa]");
    pass(&mut cursor, &b, &standing("bb", 3, "100"));
    assert!(!cursor.is_finished(), "the epoch changed: what came and went is not known");
    let b = standing("bb", 3, "100");
    // It has arrived meanwhile, and is owned like any other.
    assert_eq!(cursor.next(|_| true), ScanStep::BeginOn(id("bb")));
    pass(&mut cursor, &b, &b);
    assert!(cursor.is_finished());
}

#[test]
fn a_move_that_is_given_up_starts_over() {
    let mut cursor = ScanCursor::new();
    let a = standing("aa", 1, "0-16383 [100->-bb]");
    pass(&mut cursor, &a, &a);
    assert!(!cursor.begin(&standing("bb", 2, ""), &id("bb")), "nothing is going there");
    cursor.forget_target(&id("bb"));
    assert_eq!(cursor.next(|_| true), ScanStep::BeginAt(slot(100)));
    // Given up during the pass: some keys may have been there, and are back.
    pass(&mut cursor, &a, &standing("aa", 1, "0-16383"));
    assert!(!cursor.has_done(slot(100)));
}

#[test]
fn what_proves_nothing_is_done_again() {
    let a = || standing("aa", 1, "0-16383");
    let demoted = NodeReport { primary: false, ..a() };
    let back = standing("aa", 9, "0-16383");
    for after in [demoted, back] {
        let mut cursor = ScanCursor::new();
        pass(&mut cursor, &a(), &after);
        assert_eq!(cursor.next(|_| true), ScanStep::BeginAt(slot(0)), "{after:?}");
    }
    // Another process: the caller drops the pass.
    let mut cursor = ScanCursor::new();
    assert!(cursor.begin(&a(), &id("aa")));
    cursor.name_process("r1");
    cursor.turn(7);
    assert_eq!(cursor.process(), "r1");
    cursor.drop_pass();
    assert_eq!((cursor.process(), cursor.next(|_| true)), ("", ScanStep::BeginAt(slot(0))));
    let mut cursor = ScanCursor::new();
    assert!(!cursor.begin(&NodeReport { primary: false, ..a() }, &id("aa")));
    for epoch in 0..9 {
        pass(&mut cursor, &standing("aa", epoch, "0-16383"), &standing("aa", epoch + 1, "0-16383"));
    }
    assert!(cursor.is_finished(), "it ends at last");
}

#[test]
fn slots_that_nobody_serves_come_last_and_are_named() {
    let mut cursor = ScanCursor::new();
    let served = |slot: Slot| slot.number() != 5;
    let a = standing("aa", 1, "0-4 6-16383");
    pass(&mut cursor, &a, &a);
    assert_eq!(cursor.next(served), ScanStep::Uncovered(slot(5)));
    assert_eq!(cursor.next(|_| true), ScanStep::BeginAt(slot(5)));
}

#[test]
fn a_cursor_is_small_text_and_goes_on() {
    let mut cursor = ScanCursor::new();
    let a = standing("aa", 1, "0-8000 [100->-bb]");
    pass(&mut cursor, &a, &a);
    assert!(cursor.begin(&standing("cc", 4, "8001-16383"), &id("cc")));
    cursor.turn(1 << 60);
    let text = serde_json::to_string(&cursor).unwrap();
    assert!(text.len() < 300, "{text}");
    assert_eq!(serde_json::from_str::<ScanCursor>(&text).unwrap(), cursor);
    assert!(serde_json::from_str::<ScanCursor>(r#"{"version":1,"done":[[5,4]]}"#).is_err());
    let later = serde_json::from_str::<ScanCursor>(r#"{"version":2}"#).unwrap();
    assert!(!later.is_of_this_version());
}

#[test]
fn lines_that_cannot_be_read_are_no_report() {
    for text in ["", "aa h:1@2 master - 0 0 1 connected 0-5", "aa h:1@2 myself,master - 0 0 x c"] {
        assert_eq!(NodeReport::parse(text), None, "{text}");
    }
    let wrong = "aa h:1@2 myself,master - 0 0 1 connected ";
    for slots in ["5-4", "16384", "x", "[99999->-bb]", "[5->-]"] {
        assert_eq!(NodeReport::parse(&format!("{wrong}{slots}")), None, "{slots}");
    }
}
