//! What the tests of this transport call: streams, timers and clients, one export for each.
//!
//! The tests are scripts (`tests/*.test.mjs`), since their subject are JavaScript hosts. A failure
//! comes to them as an object with `kind` and `text`.
//!
//! Limit: on every other target than wasm32-unknown-unknown it is empty.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]
#![allow(missing_docs, reason = "the exports are for the tests beside it alone")]

use futures::future::{Either, select};
use futures::io::{AsyncRead, AsyncWrite};
use futures::task::noop_waker_ref;
use js_sys::{Function, Object, Reflect};
use slotcar::{
    AbortFlag, ByteStream, Client, Config, DialNotes, Endpoint, Js, Subscription, Timestamp,
    Transport, Update, cmd,
};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use wasm_bindgen::prelude::*;

/// A failure as the tests see it.
fn failure(kind: &str, text: &str) -> JsValue {
    let object = Object::new();
    for (name, value) in [("kind", kind), ("text", text)] {
        let _ = Reflect::set(&object, &name.into(), &value.into());
    }
    object.into()
}

fn of_io(error: &io::Error) -> JsValue {
    failure(&format!("{:?}", error.kind()), &error.to_string())
}

fn of_client(error: &slotcar::Error) -> JsValue {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    failure(&format!("{:?}/{:?}", error.kind(), error.delivery()), &text)
}

/// A stream; `None` when it was dropped.
#[wasm_bindgen]
pub struct Stream {
    stream: Rc<RefCell<Option<Box<dyn ByteStream>>>>,
    abort: AbortFlag,
}

async fn open(connect: Function, host: String, port: u16, tls: bool) -> Result<Stream, JsValue> {
    let js = Js::new(connect);
    let notes = DialNotes::default();
    let endpoint = Endpoint::tcp(&host, port);
    let dial = match js.tls() {
        Some(secure) if tls => secure.connect_tls(&endpoint, &notes),
        _ => js.connect_noting(&endpoint, &notes),
    };
    let stream = dial.await.map_err(|error| of_io(&error))?;
    Ok(Stream { stream: Rc::new(RefCell::new(Some(stream))), abort: notes.abort_flag() })
}

#[wasm_bindgen]
pub async fn dial(
    connect: Function,
    host: String,
    port: u16,
    tls: bool,
) -> Result<Stream, JsValue> {
    open(connect, host, port, tls).await
}

/// Gives a dial up after `millis`, as the core does at its deadline.
#[wasm_bindgen]
pub async fn dial_within(connect: Function, millis: f64) -> Result<Stream, JsValue> {
    let dial = Box::pin(open(connect, "h".to_owned(), 1, false));
    let js = Js::of_this_host();
    let late = js.sleep_until(js.now().after(Duration::from_secs_f64(millis / 1e3)));
    match select(dial, late).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(failure("Late", "given up")),
    }
}

/// Dials a unix socket, which no JavaScript host has.
#[wasm_bindgen]
pub async fn dial_unix(connect: Function) -> Result<(), JsValue> {
    let js = Js::new(connect);
    js.connect(&Endpoint::unix("/tmp/s")).await.map(drop).map_err(|error| of_io(&error))
}

impl Stream {
    fn poll<T>(
        &self,
        run: impl FnOnce(Pin<&mut Box<dyn ByteStream>>) -> Poll<io::Result<T>>,
    ) -> Poll<Result<T, JsValue>> {
        match &mut *self.stream.borrow_mut() {
            Some(stream) => run(Pin::new(stream)).map_err(|error| of_io(&error)),
            None => Poll::Ready(Err(failure("Dropped", "dropped"))),
        }
    }
}

#[wasm_bindgen]
impl Stream {
    /// Reads at most `count` bytes; none at the end.
    pub async fn read(&self, count: usize) -> Result<Vec<u8>, JsValue> {
        let mut buf = vec![0; count];
        let read = poll_fn(|cx| self.poll(|stream| stream.poll_read(cx, &mut buf))).await?;
        buf.truncate(read);
        Ok(buf)
    }

    /// Polls a read once and drops it; `undefined` if it waits.
    pub fn poll_read(&self, count: usize) -> Result<Option<Vec<u8>>, JsValue> {
        let mut buf = vec![0; count];
        let cx = &mut Context::from_waker(noop_waker_ref());
        match self.poll(|stream| stream.poll_read(cx, &mut buf)) {
            Poll::Ready(read) => {
                buf.truncate(read?);
                Ok(Some(buf))
            }
            Poll::Pending => Ok(None),
        }
    }

    /// Writes all bytes and flushes them.
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), JsValue> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let count = poll_fn(|cx| self.poll(|stream| stream.poll_write(cx, rest))).await?;
            rest = &rest[count..];
        }
        poll_fn(|cx| self.poll(|stream| stream.poll_flush(cx))).await
    }

    /// Polls a write once and drops it; `undefined` if it waits.
    pub fn poll_write(&self, bytes: &[u8]) -> Result<Option<usize>, JsValue> {
        let cx = &mut Context::from_waker(noop_waker_ref());
        match self.poll(|stream| stream.poll_write(cx, bytes)) {
            Poll::Ready(count) => count.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Flushes.
    pub async fn flush(&self) -> Result<(), JsValue> {
        poll_fn(|cx| self.poll(|stream| stream.poll_flush(cx))).await
    }

    /// Closes the outgoing half.
    pub async fn close(&self) -> Result<(), JsValue> {
        poll_fn(|cx| self.poll(|stream| stream.poll_close(cx))).await
    }

    /// Drops the stream, with its flag set if `abort`.
    pub fn end(&self, abort: bool) {
        if abort {
            self.abort.set();
        }
        drop(self.stream.borrow_mut().take());
    }
}

/// The clock, in milliseconds.
#[wasm_bindgen]
pub fn now() -> f64 {
    Js::of_this_host().now().since_epoch().as_secs_f64() * 1e3
}

/// The memory of this module, in pages of 64 KiB.
#[wasm_bindgen]
pub fn pages() -> usize {
    core::arch::wasm32::memory_size(0)
}

/// The seed.
#[wasm_bindgen]
pub fn seed() -> u64 {
    Js::of_this_host().seed()
}

fn timer(millis: f64) -> impl Future<Output = ()> + Unpin {
    let js = Js::of_this_host();
    js.sleep_until(if millis < 0.0 {
        Timestamp::FAR_FUTURE
    } else {
        js.now().after(Duration::from_secs_f64(millis / 1e3))
    })
}

/// Waits; returns how much too early it ended, in milliseconds, and how often it was polled.
#[wasm_bindgen]
pub async fn sleep(millis: f64) -> Vec<f64> {
    let until = now() + millis;
    let (mut timer, mut polls) = (timer(millis), 0.0);
    poll_fn(|cx| {
        polls += 1.0;
        Pin::new(&mut timer).poll(cx)
    })
    .await;
    vec![(until - now()).max(0.0), polls]
}

/// Sets a timer and drops it.
#[wasm_bindgen]
pub fn sleep_dropped(millis: f64) {
    let waits = Pin::new(&mut timer(millis)).poll(&mut Context::from_waker(noop_waker_ref()));
    assert!(waits.is_pending());
}

/// Runs `callback` in the background of the host.
#[wasm_bindgen]
pub fn background(callback: Function) -> bool {
    Js::of_this_host().spawn(Box::pin(async move {
        let _ = callback.call0(&JsValue::UNDEFINED);
    }))
}

/// Runs a future in the background that wakes itself until `done` says true.
#[wasm_bindgen]
pub fn restless(done: Function) {
    slotcar_js::start(poll_fn(move |cx| {
        cx.waker().wake_by_ref();
        match done.call0(&JsValue::UNDEFINED) {
            Ok(says) if !says.is_truthy() => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }));
}

/// A client.
#[wasm_bindgen]
pub struct Handle {
    client: Client,
}

/// Connects over `connect`.
#[wasm_bindgen]
pub async fn client(connect: Function, url: String) -> Result<Handle, JsValue> {
    let config = Config::from_url(&url).map_err(|error| of_client(&error.into()))?;
    let client = Client::connect(Js::new(connect), config).await;
    client.map(|client| Handle { client }).map_err(|error| of_client(&error))
}

/// Connects as a program does.
#[wasm_bindgen]
pub async fn door(url: String) -> Result<Handle, JsValue> {
    let client = slotcar::connect(&url).await;
    client.map(|client| Handle { client }).map_err(|error| of_client(&error))
}

/// Makes a client without connecting.
#[wasm_bindgen]
pub async fn door_lazy(url: String) -> Result<Handle, JsValue> {
    let config = Config::from_url(&url).map_err(|error| of_client(&error.into()))?;
    let client = slotcar::connect_lazy(config).await;
    client.map(|client| Handle { client }).map_err(|error| of_client(&error))
}

/// Makes a client from the topology that another one has learnt.
#[wasm_bindgen]
pub async fn door_again(before: &Handle, url: String) -> Result<Handle, JsValue> {
    let config = Config::from_url(&url).map_err(|error| of_client(&error.into()))?;
    let topology = before.client.topology();
    let client = slotcar::connect_with_topology(config, &topology).await;
    client.map(|client| Handle { client }).map_err(|error| of_client(&error))
}

#[wasm_bindgen]
impl Handle {
    /// Sends a command of texts; the reply as a text.
    pub async fn call(&self, words: Vec<String>) -> Result<Option<String>, JsValue> {
        let client = self.client.clone();
        let command = cmd(&words[0]).args(&words[1..]);
        client.send::<Option<String>>(command).await.map_err(|error| of_client(&error))
    }

    /// Subscribes to one channel.
    pub async fn subscribe(&self, channel: String) -> Result<Channel, JsValue> {
        let subscribed = self.client.subscribe(channel).await;
        let subscription = subscribed.map_err(|error| of_client(&error))?;
        Ok(Channel { subscription: Rc::new(RefCell::new(Some(subscription))) })
    }

    /// Closes the client.
    pub fn close(&self) {
        self.client.close();
    }
}

/// A subscription.
#[wasm_bindgen]
pub struct Channel {
    subscription: Rc<RefCell<Option<Subscription>>>,
}

#[wasm_bindgen]
impl Channel {
    /// The payload of the next message; another update as its name.
    pub async fn next(&self) -> Option<String> {
        let mut subscription = self.subscription.borrow_mut().take()?;
        let update = subscription.next().await;
        *self.subscription.borrow_mut() = Some(subscription);
        match update? {
            Update::Message(message) => Some(String::from_utf8_lossy(message.payload()).into()),
            other => Some(format!("{other:?}")),
        }
    }
}
