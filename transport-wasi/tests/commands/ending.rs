//! A program ends when its root future ends, whatever is still pending: the reactor waits for each
//! wait that is registered with it, and hosts keep an instance until then.

use crate::{BOUND, poll_now, servers};
use slotcar::prelude::*;
use slotcar::{Transport, Update, cmd};
use slotcar_wasi::Wasi;
use std::pin::pin;
use std::time::Duration;

/// A client, a subscription, a call that never ends and a timer are pending until the root future
/// drops them.
#[test]
fn with_a_client_a_subscription_a_call_and_a_timer_alive() {
    let Some((_, port)) = servers().pop() else { return };
    let before = Wasi::new().now();
    wstd::runtime::block_on(async {
        let client = slotcar::connect(&format!("redis://127.0.0.1:{port}")).await;
        let client = client.expect("connect").with_timeout(Duration::from_secs(3600));
        let mut subscription = client.subscribe("ending").await.expect("subscribe");
        let subscribed = subscription.next().await;
        assert!(matches!(subscribed, Some(Update::Subscribed { .. })), "{subscribed:?}");
        let mut call = pin!(client.send::<()>(cmd("BLPOP").arg("ending:none").arg(0)));
        let mut timer = Wasi::new().sleep_until(before.after(Duration::from_secs(3600)));
        assert!(poll_now(call.as_mut()).await.is_pending());
        assert!(poll_now(timer.as_mut()).await.is_pending());
        assert!(poll_now(pin!(subscription.next())).await.is_pending());
        client.ping().await.expect("ping");
        assert!(poll_now(call.as_mut()).await.is_pending());
    });
    assert!(Wasi::new().now().since(before) < BOUND);
}
