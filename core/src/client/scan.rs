//! Scans as streams: over all keys of a deployment, and over one key's elements.
//!
//! Nothing is fetched before the stream is polled, and one page is held at a time. Called by users;
//! the work is `driver/scan.rs`.

use super::client::Client;
use crate::BoxFuture;
use crate::command::{Command, ScanOptions, ToArg, cmd, hscan, scan, sscan, zscan};
use crate::driver::dispatch::keyspace_scan::{next_page, page};
use crate::driver::dispatch::single::{Request, dispatch};
use crate::error::{Delivery, Error, ErrorKind};
use crate::resp::from_frame;
use crate::routing::destination::Destination;
use crate::routing::sweep::ScanCursor;
use bytes::Bytes;
use futures::Stream;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

impl Client {
    /// All keys of the deployment, from every shard of a cluster, as a stream.
    ///
    /// A key that exists from the first poll to the end is returned at least once, also when slots
    /// move, primaries fail over and servers restart meanwhile; it may come more than once, and
    /// keys that come or go meanwhile may or may not be returned. Primaries are asked.
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    /// use futures::TryStreamExt;
    /// use slotcar::command::ScanOptions;
    ///
    /// let mut keys = client.scan_all::<String>(ScanOptions::new().matching("user:*"));
    /// while let Some(key) = keys.try_next().await? {
    ///     println!("{key}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn scan_all<T: DeserializeOwned>(&self, options: ScanOptions<'_>) -> Scan<T> {
        self.scan_from(ScanCursor::new(), options)
    }

    /// Goes on where another scan stood ([`Scan::cursor`]), perhaps in another process. The options
    /// should be the same.
    pub fn scan_from<T: DeserializeOwned>(
        &self,
        cursor: ScanCursor,
        options: ScanOptions<'_>,
    ) -> Scan<T> {
        let tail = scan(0, options).args_iter().skip(2).map(<[u8]>::to_vec).collect();
        Scan {
            client: self.clone(),
            tail,
            page_begin: cursor.clone(),
            cursor,
            ready: VecDeque::new(),
            fetch: None,
            _items: std::marker::PhantomData,
        }
    }

    /// The fields and values of a hash, as a stream of pairs; see [`Client::hscan`].
    ///
    /// What is in it throughout is returned at least once. When the key is served by another server
    /// than before, the scan starts over: servers do not share cursors.
    pub fn hscan_all<F: DeserializeOwned, V: DeserializeOwned>(
        &self,
        key: impl ToArg,
        options: ScanOptions<'_>,
    ) -> KeyScan<(F, V)> {
        KeyScan::new(self, &hscan(key, 0, options), 2, pair)
    }

    /// The members of a set, as a stream; see [`Client::sscan`] and [`Client::hscan_all`].
    pub fn sscan_all<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        options: ScanOptions<'_>,
    ) -> KeyScan<T> {
        KeyScan::new(self, &sscan(key, 0, options), 1, one)
    }

    /// The members of a sorted set with their scores, as a stream of pairs; see [`Client::zscan`]
    /// and [`Client::hscan_all`].
    pub fn zscan_all<T: DeserializeOwned>(
        &self,
        key: impl ToArg,
        options: ScanOptions<'_>,
    ) -> KeyScan<(T, f64)> {
        KeyScan::new(self, &zscan(key, 0, options), 2, pair)
    }
}

/// A page on its way, and the cursor after it.
type Fetch<C> = BoxFuture<'static, (C, Result<Option<Vec<Bytes>>, Error>)>;

/// A stream of all keys; made by [`Client::scan_all`].
///
/// An error does not end it: polled again, it goes on where it was, so that a shard that is down
/// for a while costs no key. Each poll for a page has the client's deadline.
#[must_use = "a scan does nothing until it is polled"]
pub struct Scan<T> {
    /// Who runs it.
    client: Client,
    /// What follows the cursor in the command.
    tail: Vec<Vec<u8>>,
    /// The cursor before the page that is held.
    page_begin: ScanCursor,
    /// The cursor after it.
    cursor: ScanCursor,
    /// Keys of the page, not yet handed out.
    ready: VecDeque<Bytes>,
    /// The next page.
    fetch: Option<Fetch<ScanCursor>>,
    /// What keys become.
    _items: std::marker::PhantomData<fn() -> T>,
}

impl<T> Scan<T> {
    /// Where the scan stands. Given to [`Client::scan_from`], it loses nothing: of a page that was
    /// handed out in part, all comes again.
    #[must_use]
    pub fn cursor(&self) -> ScanCursor {
        if self.ready.is_empty() { self.cursor.clone() } else { self.page_begin.clone() }
    }
}

impl<T> std::fmt::Debug for Scan<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Stream for Scan<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(key) = this.ready.pop_front() {
                return Poll::Ready(Some(one(&[key])));
            }
            let fetch = this.fetch.get_or_insert_with(|| {
                let client = this.client.clone();
                let (mut cursor, tail) = (this.cursor.clone(), this.tail.clone());
                Box::pin(async move {
                    if !cursor.is_of_this_version() {
                        let message = "a cursor that another version of slotcar wrote";
                        let error = Error::new(ErrorKind::Config, Delivery::NotSent, message);
                        return (cursor, Err(error));
                    }
                    let terms =
                        client.call_options(client.deadline_for(&scan(0, ScanOptions::new())));
                    let topology = Arc::clone(&client.shared.topology);
                    let page = next_page(&topology, &mut cursor, &tail, terms).await;
                    (cursor, page)
                })
            });
            let (cursor, page) = ready!(fetch.as_mut().poll(cx));
            this.fetch = None;
            this.page_begin = std::mem::replace(&mut this.cursor, cursor);
            match page {
                Ok(None) => return Poll::Ready(None),
                Ok(Some(keys)) => this.ready = keys.into(),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

/// A stream of one key's elements; made by [`Client::hscan_all`] and its like.
///
/// An error does not end it: polled again, it goes on where it was.
#[must_use = "a scan does nothing until it is polled"]
pub struct KeyScan<T> {
    /// Who runs it.
    client: Client,
    /// The command's words without the cursor: name, key, and what follows.
    words: (Vec<u8>, Vec<u8>, Vec<Vec<u8>>),
    /// The server's cursor and who gave it; `None` at the end.
    at: Option<Place>,
    /// Frames of the page, not yet handed out.
    ready: VecDeque<Bytes>,
    /// Frames of an element.
    each: usize,
    /// Makes one of them.
    decode: fn(&[Bytes]) -> Result<T, Error>,
    /// The next page.
    fetch: Option<Fetch<Option<Place>>>,
}

/// How far a key's scan is.
#[derive(Clone, Debug, Default)]
struct Place {
    /// The server's cursor.
    cursor: u64,
    /// The server.
    server: Option<crate::Endpoint>,
}

impl<T> KeyScan<T> {
    fn new(
        client: &Client,
        command: &Command,
        each: usize,
        decode: fn(&[Bytes]) -> Result<T, Error>,
    ) -> Self {
        let mut args = command.args_iter().map(<[u8]>::to_vec);
        let (name, key) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
        let words = (name, key, args.skip(1).collect());
        let (client, at, ready) = (client.clone(), Some(Place::default()), VecDeque::new());
        Self { client, words, at, ready, each, decode, fetch: None }
    }

    fn fetch(&self, place: Place) -> Fetch<Option<Place>> {
        let (client, (name, key, tail)) = (self.client.clone(), self.words.clone());
        Box::pin(async move {
            let command = |cursor: u64| {
                let name = String::from_utf8_lossy(&name);
                cmd(&name).arg(&key).arg(cursor).args(&tail)
            };
            let terms = client.call_options(client.deadline_for(&command(0)));
            let run = async |cursor| {
                let topology = Arc::clone(&client.shared.topology);
                let errand = Request::new(command(cursor), Destination::Key);
                let (frame, node) = dispatch(topology, errand, terms, None).await?;
                Ok::<_, Error>((page(&frame)?, node.endpoint().clone()))
            };
            let result = async {
                let (mut page, mut server) = run(place.cursor).await?;
                if place.cursor != 0 && place.server.as_ref() != Some(&server) {
                    (page, server) = run(0).await?;
                }
                Ok::<_, Error>((page, server))
            };
            match result.await {
                Err(error) => (Some(place), Err(error)),
                Ok(((0, elements), _)) => (None, Ok(Some(elements))),
                Ok(((cursor, elements), server)) => {
                    (Some(Place { cursor, server: Some(server) }), Ok(Some(elements)))
                }
            }
        })
    }
}

impl<T> std::fmt::Debug for KeyScan<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyScan").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<T> Stream for KeyScan<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if !this.ready.is_empty() {
                let count = this.each.min(this.ready.len());
                let element: Vec<Bytes> = this.ready.drain(..count).collect();
                return Poll::Ready(Some((this.decode)(&element)));
            }
            if this.fetch.is_none() {
                let Some(place) = this.at.clone() else { return Poll::Ready(None) };
                this.fetch = Some(this.fetch(place));
            }
            let Some(fetch) = &mut this.fetch else { continue };
            let (at, page) = ready!(fetch.as_mut().poll(cx));
            this.fetch = None;
            this.at = at;
            match page {
                Ok(elements) => this.ready = elements.unwrap_or_default().into(),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

fn one<T: DeserializeOwned>(frames: &[Bytes]) -> Result<T, Error> {
    let [frame] = frames else { return Err(half()) };
    from_frame(frame).map_err(Error::undecodable)
}

fn pair<A: DeserializeOwned, B: DeserializeOwned>(frames: &[Bytes]) -> Result<(A, B), Error> {
    let [first, second] = frames else { return Err(half()) };
    let first = from_frame(first).map_err(Error::undecodable)?;
    Ok((first, from_frame(second).map_err(Error::undecodable)?))
}

fn half() -> Error {
    Error::new(ErrorKind::Protocol, Delivery::Answered, "a page of a scan with half an element")
}
