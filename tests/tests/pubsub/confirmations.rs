//! A server that confirms more or less than it was asked for: what the connection is subscribed to
//! is not known, so it is closed, and the subscription begins anew on another one.

use super::reader::{next_sorted, next_words};
use slotcar::{Client, Config};
use slotcar_tcp::Smol;
use slotcar_tests::real::Script;
use std::sync::atomic::{AtomicBool, Ordering};

/// A word and the channel that it is said of.
type Confirmation = (&'static str, &'static str);

/// A confirmation as a push.
fn confirmed(word: &str, channel: &str) -> String {
    format!(">3\r\n${}\r\n{word}\r\n${}\r\n{channel}\r\n:1\r\n", word.len(), channel.len())
}

/// A server whose first confirmation, on any connection, is `odd`; later ones are right. A message
/// follows each right one.
fn server(odd: &'static [Confirmation]) -> Script {
    let is_first = AtomicBool::new(true);
    Script::answering(move |command| {
        let words: Vec<_> = command.iter().map(|word| String::from_utf8_lossy(word)).collect();
        let reply = match &*words[0] {
            "PING" => "+PONG\r\n".to_owned(),
            "SUBSCRIBE" if is_first.swap(false, Ordering::Relaxed) => {
                odd.iter().map(|(word, channel)| confirmed(word, channel)).collect()
            }
            "SUBSCRIBE" => {
                let names = || words[1..].iter();
                let message = |name| format!(">3\r\n$7\r\nmessage\r\n$1\r\n{name}\r\n$2\r\nhi\r\n");
                names().map(|name| confirmed("subscribe", name)).collect::<String>()
                    + &names().map(message).collect::<String>()
            }
            other => format!("-ERR unknown command '{other}'\r\n"),
        };
        Some(reply.into_bytes())
    })
}

#[test]
fn a_connection_with_too_many_or_too_few_confirmations_is_replaced() {
    let table: [(&str, &[Confirmation], usize); 7] = [
        ("none", &[], 0),
        ("one too few", &[("subscribe", "a")], 1),
        ("one too many", &[("subscribe", "a"), ("subscribe", "b"), ("subscribe", "c")], 2),
        ("one twice", &[("subscribe", "a"), ("subscribe", "b"), ("subscribe", "b")], 2),
        ("of another kind", &[("subscribe", "a"), ("psubscribe", "b")], 1),
        ("of another channel", &[("subscribe", "a"), ("subscribe", "c")], 1),
        ("an end", &[("subscribe", "a"), ("subscribe", "b"), ("unsubscribe", "a")], 2),
    ];
    for (what, odd, confirmed) in table {
        let script = server(odd);
        let config = Config::from_url(&script.url()).unwrap();
        let client = Client::connect_lazy(Smol::new(), config).unwrap();
        let mut all = client.subscribe(["a", "b"]).start().unwrap();
        let mut first = next_words(&mut all, confirmed);
        first.sort();
        assert_eq!(first, ["+a", "+b"][..confirmed], "{what}");
        // Those that were confirmed have a gap, the others are confirmed only now.
        let mut expected = vec!["a=hi", "b=hi"];
        expected.extend(&["gap a", "gap b"][..confirmed]);
        expected.extend(&["+a", "+b"][confirmed..]);
        expected.sort_unstable();
        assert_eq!(next_sorted(&mut all, 4), expected, "{what}");
        assert_eq!(script.accepted(), 2, "{what}");
    }
}
