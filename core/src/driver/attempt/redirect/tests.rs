//! What each kind of redirect says, by its sender and by how many came before it.

use super::*;
use std::collections::BTreeMap;

/// What a redirect of the node at `a:7000` says, which the map also knows as `alias:7000`.
fn says(text: &str, count: u32) -> Redirected {
    let redirect = ServerError::from_text(text.as_bytes()).redirect().expect(text).expect(text);
    let asked = Endpoint::tcp("a", 7000);
    let address_map = BTreeMap::from([(Endpoint::tcp("inner", 1), Endpoint::tcp("outer", 2))]);
    let rule = AddressRule { asked: &asked, tls: false, address_map: &address_map };
    read(&redirect, rule, count, |endpoint| *endpoint == Endpoint::tcp("alias", 7000))
}

fn moved(host: &str, port: u16, literally: bool) -> Redirected {
    let slot = Slot::new(7).expect("a slot");
    Redirected::Moved { slot, endpoint: Endpoint::tcp(host, port), literally }
}

#[test]
fn a_redirect_says_one_of_four_things() {
    let ask = |host, port| Redirected::Ask(Endpoint::tcp(host, port));
    let table = [
        ("MOVED 7 b:7001", 1, moved("b", 7001, false)),
        ("MOVED 7 b:7001", 2, moved("b", 7001, true)),
        // Another port of the sender's host.
        ("MOVED 7 :7001", 1, moved("a", 7001, false)),
        ("MOVED 7 inner:1", 1, moved("outer", 2, false)),
        // The sender's own address: another server has it now.
        ("MOVED 7 a:7000", 1, Redirected::Sender),
        ("MOVED 7 :7000", 5, Redirected::Sender),
        // A further name of the sender; the second time it is taken for another node's.
        ("MOVED 7 alias:7000", 1, Redirected::Sender),
        ("MOVED 7 alias:7000", 2, moved("alias", 7000, true)),
        ("MOVED 7 ?:7001", 1, Redirected::Unusable),
        ("ASK 7 b:7001", 1, ask("b", 7001)),
        ("ASK 7 inner:1", 1, ask("outer", 2)),
        ("ASK 7 alias:7000", 3, ask("alias", 7000)),
        ("ASK 7 a:7000", 1, ask("a", 7000)),
        ("ASK 7 ?:7001", 1, Redirected::Unusable),
    ];
    for (text, count, wanted) in table {
        assert_eq!(says(text, count), wanted, "{text}, number {count}");
    }
}

/// A node behind a socket has no host that another port could be on.
#[test]
fn the_host_of_a_socket_is_unusable() {
    let redirect = ServerError::from_text(b"MOVED 7 :7001").redirect().expect("one").expect("good");
    let (asked, map) = (Endpoint::Unix { path: "/s".into() }, BTreeMap::new());
    let rule = AddressRule { asked: &asked, tls: false, address_map: &map };
    assert_eq!(read(&redirect, rule, 1, |_| false), Redirected::Unusable);
}
