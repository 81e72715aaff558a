//! A subscription: what waits is handed over in batches, each update as a plain object.
//!
//! Invariants: updates keep their order; `close` ends a `next` that waits. Only one `next` waits at
//! a time: `js/lib/subscription.js` sees to it.

use crate::canceller::Settle;
use crate::{error, reply};
use futures::Stream;
use js_sys::{Array, Function, Object, Reflect};
use slotcar_core::{Channel, ChannelKind, Client, GapCause, Message, Update};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// The most updates that one `next` hands over.
const BATCH_MAX: u32 = 256;

/// A running subscription.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Subscription {
    /// What `next` shares with the handle.
    inner: Rc<RefCell<Inner>>,
    /// Messages are bytes.
    as_bytes: bool,
}

/// What a `next` that waits shares with the handle.
#[derive(Debug)]
struct Inner {
    /// The subscription; `None` once it was closed.
    subscription: Option<slotcar_core::Subscription>,
    /// Wakes the `next` that waits.
    waker: Option<Waker>,
}

impl Subscription {
    /// Begins a subscription without channels.
    pub(crate) fn start(client: &Client, as_bytes: bool) -> Result<Self, JsValue> {
        let none: [&str; 0] = [];
        let subscription = client.subscribe(none).start().map_err(|e| error::to_js(&e))?;
        let inner = Inner { subscription: Some(subscription), waker: None };
        Ok(Self { inner: Rc::new(RefCell::new(inner)), as_bytes })
    }
}

#[wasm_bindgen]
impl Subscription {
    /// Adds a channel: 0 by its name, 1 a pattern, 2 a sharded one.
    pub fn add(&self, kind: u8, name: &[u8]) {
        if let Some(subscription) = &self.inner.borrow().subscription {
            match kind {
                0 => subscription.subscribe(name),
                1 => subscription.psubscribe(name),
                _ => subscription.ssubscribe(name),
            }
        }
    }

    /// Removes a channel; kinds as in `add`.
    pub fn remove(&self, kind: u8, name: &[u8]) {
        if let Some(subscription) = &self.inner.borrow().subscription {
            match kind {
                0 => subscription.unsubscribe(name),
                1 => subscription.punsubscribe(name),
                _ => subscription.sunsubscribe(name),
            }
        }
    }

    /// Waits for updates and hands over those that there are; an empty array at the end.
    pub fn next(&self, resolve: Function, reject: Function) {
        let (inner, as_bytes) = (Rc::clone(&self.inner), self.as_bytes);
        Settle { resolve, reject }.with(async move {
            let updates = Array::new();
            poll_fn(|cx| {
                let mut inner = inner.borrow_mut();
                while updates.length() < BATCH_MAX {
                    let Some(subscription) = &mut inner.subscription else { break };
                    match Pin::new(subscription).poll_next(cx) {
                        Poll::Ready(Some(update)) => updates.push(&to_js(&update, as_bytes)),
                        Poll::Ready(None) => break,
                        Poll::Pending if updates.length() > 0 => break,
                        Poll::Pending => {
                            inner.waker = Some(cx.waker().clone());
                            return Poll::Pending;
                        }
                    };
                }
                Poll::Ready(())
            })
            .await;
            Ok(updates.into())
        });
    }

    /// Ends the subscription.
    pub fn close(&self) {
        let (subscription, waker) = {
            let mut inner = self.inner.borrow_mut();
            (inner.subscription.take(), inner.waker.take())
        };
        drop(subscription);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// An update as an object, whose `type` says which it is.
fn to_js(update: &Update, as_bytes: bool) -> JsValue {
    let fields: Fields = match update {
        Update::Message(message) => return message_of(message, as_bytes),
        Update::Subscribed { channel, endpoint } => {
            Fields::of("subscribed", channel).with("endpoint", endpoint.to_string())
        }
        Update::Unsubscribed { channel } => Fields::of("unsubscribed", channel),
        Update::Moved { channel, from, to } => {
            Fields::of("moved", channel).with("from", from.to_string()).with("to", to.to_string())
        }
        Update::Gap { channel, cause, duration } => Fields::of("gap", channel)
            .with("cause", cause_of(*cause))
            .with("since", duration.as_secs_f64() * 1e3),
        Update::Lagged(count) => Fields::new("lagged").with("dropped", *count as f64),
        Update::Refused { channel, error } => {
            Fields::of("refused", channel).with("error", error::of_server(error))
        }
        Update::Disconnected(error) => {
            Fields::new("disconnected").with("error", error::to_js(error))
        }
        _ => Fields::new("other"),
    };
    fields.0.into()
}

fn message_of(message: &Message, as_bytes: bool) -> JsValue {
    let fields = Fields::new("message")
        .with("kind", kind_of(message.kind()))
        .with("channel", reply::string(message.channel(), false))
        .with("message", reply::string(message.payload(), as_bytes));
    match message.pattern() {
        Some(pattern) => fields.with("pattern", reply::string(pattern, false)).0.into(),
        None => fields.0.into(),
    }
}

/// An object in the making.
struct Fields(Object);

impl Fields {
    fn new(name: &str) -> Self {
        Self(Object::new()).with("type", name)
    }

    fn of(name: &str, channel: &Channel) -> Self {
        Self::new(name)
            .with("kind", kind_of(channel.kind()))
            .with("channel", reply::string(channel.name(), false))
    }

    fn with(self, name: &str, value: impl Into<JsValue>) -> Self {
        // An object of our own has no setter that could fail.
        let _ = Reflect::set(&self.0, &name.into(), &value.into());
        self
    }
}

fn kind_of(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Classic => "channel",
        ChannelKind::Pattern => "pattern",
        ChannelKind::Sharded => "sharded",
    }
}

fn cause_of(cause: GapCause) -> &'static str {
    match cause {
        GapCause::ConnectionLost => "ConnectionLost",
        GapCause::NodeLeft => "NodeLeft",
        GapCause::OwnerChanged => "OwnerChanged",
        GapCause::SlotMoved => "SlotMoved",
        GapCause::Silent => "Silent",
        _ => "Unknown",
    }
}
