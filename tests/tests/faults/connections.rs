//! Several connections to one node: all of them are dialled while one carries the commands, and a
//! huge reply on one does not stall the others.

use super::{BACKGROUNDS, config, servers};
use futures::future::{Either, select};
use slotcar::prelude::*;
use slotcar::{Client, Config, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::Watched;
use slotcar_tests::polling::{bounded, run};
use slotcar_tests::real::Script;
use slotcar_tests::real::wait::until_true;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes of the huge reply.
const HUGE: usize = 4 << 20;

/// A client on a host with or without a background.
fn client(config: Config, background: bool) -> (Client, Watched) {
    let watched = Watched::new(Smol::new());
    let watched = if background { watched } else { watched.without_background() };
    (Client::connect_lazy(watched.clone(), config).expect("a good configuration"), watched)
}

/// Sends commands, one after the other, until there are so many connections.
async fn grow(client: &Client, watched: &Watched, streams: usize) {
    bounded(async {
        while watched.streams() < streams {
            client.ping().await.expect("another connection carries it");
            smol::future::yield_now().await;
        }
    })
    .await;
}

/// Connections are dialled while one is open, and no call waits or fails for it; lost ones are
/// replaced.
#[test]
fn all_connections_are_dialled() {
    for server in servers() {
        for background in BACKGROUNDS {
            let (client, watched) =
                client(config(&server.url()).connections_per_node(3), background);
            run(grow(&client, &watched, 3));
            assert_eq!(watched.dialled().len(), 3);
            run(async {
                for _ in 0..100 {
                    client.ping().await.expect("good");
                }
            });
            assert_eq!(watched.dialled().len(), 3, "no more than are wanted");
            server.kill_clients("normal");
            if background {
                until_true("the ends to be noticed", || watched.streams() == 0);
            }
            run(async {
                while watched.dialled().len() < 6 {
                    client.ping().await.expect("a read is sent again");
                    smol::future::yield_now().await;
                }
                grow(&client, &watched, 3).await;
            });
            assert_eq!(watched.dialled().len(), 6);
        }
    }
}

/// The server sends half of a huge reply and waits: hundreds of small calls end meanwhile.
#[test]
fn a_huge_reply_does_not_stall_small_calls() {
    for background in BACKGROUNDS {
        let open = Arc::new(AtomicBool::new(false));
        let opened = Arc::clone(&open);
        let in_use = Arc::new(AtomicUsize::new(0));
        let used = Arc::clone(&in_use);
        let script = Script::start(move |peer| {
            let mut is_first = true;
            while let Some(command) = peer.command_after_handshake() {
                if command[0] != b"GET" {
                    used.fetch_add(usize::from(std::mem::take(&mut is_first)), Ordering::SeqCst);
                    peer.send(b"+PONG\r\n");
                    continue;
                }
                let mut reply = format!("${HUGE}\r\n").into_bytes();
                reply.resize(reply.len() + HUGE, b'x');
                reply.extend_from_slice(b"\r\n");
                let (first, second) = reply.split_at(HUGE / 2);
                peer.send(first);
                until_true("the gate to open", || opened.load(Ordering::SeqCst));
                peer.send(second);
            }
        });
        let (client, _) = client(config(&script.url()).connections_per_node(2), background);
        // A stream is open before its handshake is done: only then does it carry commands.
        run(bounded(async {
            while in_use.load(Ordering::SeqCst) < 2 {
                client.ping().await.expect("another connection carries it");
                smol::future::yield_now().await;
            }
        }));
        let mut huge = pin!(client.send::<String>(cmd("GET").key("huge")));
        let mut small = pin!(async {
            for _ in 0..300 {
                client.ping().await.expect("on the other connection");
                smol::future::yield_now().await;
            }
        });
        run(async {
            let first = select(huge.as_mut(), small.as_mut()).await;
            assert!(matches!(first, Either::Right(_)), "answered before the gate was opened");
            open.store(true, Ordering::SeqCst);
            assert_eq!(huge.await.expect("whole").len(), HUGE);
        });
    }
}
