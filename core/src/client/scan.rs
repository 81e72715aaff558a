//! Scans as streams: over all keys of a deployment, and over the elements of one key.
//!
//! Invariants: nothing is sent before the stream is polled; one page is held at a time; an error
//! loses no element; a cursor goes only to the process that gave it
//! (`driver/dispatch/cursor_origin.rs`).
//! Limit: each page has the client's timeout. The keyspace scan itself is in
//! `driver/dispatch/keyspace_scan.rs`. Spec: <https://redis.io/commands/scan/>, "Scan guarantees".
//! Tested by `tests/tests/cluster/scan.rs`.

use super::client::Client;
use crate::BoxFuture;
use crate::command::{Command, ScanOptions, ToArg, cmd, hscan, scan, sscan, zscan};
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::dispatch::cursor_origin::{CursorOrigin, is_about_cursor};
use crate::driver::dispatch::keyspace_scan::{next_page, page};
use crate::driver::dispatch::single::{Request, dispatch};
use crate::error::{Delivery, Error, ErrorKind};
use crate::resp::FromReply;
use crate::resp::from_frame;
use crate::routing::destination::Destination;
use crate::routing::sweep::ScanCursor;
use bytes::Bytes;
use futures::Stream;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

impl Client {
    /// All keys of the deployment, from the primary of every shard, as a stream.
    ///
    /// A key that exists from the first poll to the end is returned at least once, also when slots
    /// move, primaries fail over and servers restart during the scan. It may be returned more than
    /// once. A key that is made or deleted during the scan may or may not be returned.
    ///
    /// A cursor means nothing to another process of the same server: when one took its place, its
    /// shard is scanned again from the beginning. A server that does not answer INFO is scanned
    /// again also after a lost connection.
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    /// use slotcar::command::ScanOptions;
    ///
    /// let mut keys = client.scan_all::<String>(ScanOptions::new().matching("user:*"));
    /// while let Some(key) = keys.next().await {
    ///     println!("{}", key?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn scan_all<T: FromReply>(&self, options: ScanOptions<'_>) -> Scan<T> {
        self.scan_from(ScanCursor::new(), options)
    }

    /// Continues another scan from its cursor ([`Scan::cursor`]), perhaps in another process. The
    /// options should be the same.
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    /// use slotcar::command::ScanOptions;
    ///
    /// let mut keys = client.scan_all::<String>(ScanOptions::new());
    /// let first = keys.next().await.transpose()?;
    /// // It implements serde's `Serialize` and `Deserialize`.
    /// let cursor = keys.cursor();
    /// let rest = client.scan_from::<String>(cursor, ScanOptions::new());
    /// # Ok(()) }
    /// ```
    pub fn scan_from<T: FromReply>(&self, cursor: ScanCursor, options: ScanOptions<'_>) -> Scan<T> {
        let tail = scan(0, options).args_iter().skip(2).map(<[u8]>::to_vec).collect();
        Scan {
            client: self.clone(),
            tail,
            page_begin: cursor.clone(),
            cursor,
            origin: CursorOrigin::default(),
            ready: VecDeque::new(),
            fetch: None,
            _items: std::marker::PhantomData,
        }
    }

    /// The fields and values of a hash, as a stream of pairs; see
    /// [`hscan`](crate::commands::HashCommands::hscan).
    ///
    /// A field that exists from the first poll to the end is returned at least once, also when the
    /// key moves to another server, and when its server fails over or restarts. It may be returned
    /// more than once. A cursor means nothing to another process: when another one sends a page, or
    /// when the connection is lost before the server was asked for its process, the scan begins
    /// anew. It asks (INFO) once a connection was lost. Where the server does not tell, each lost
    /// connection lets the scan begin anew.
    ///
    /// The pages come from the primary, whatever the read policy is: only one server knows the
    /// cursor.
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    /// use slotcar::command::ScanOptions;
    ///
    /// let mut prices = client.hscan_all::<String, f64>("prices", ScanOptions::new().count(100));
    /// while let Some(pair) = prices.next().await {
    ///     let (item, price) = pair?;
    ///     println!("{item}: {price}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn hscan_all<F: FromReply, V: FromReply>(
        &self,
        key: impl ToArg,
        options: ScanOptions<'_>,
    ) -> KeyScan<(F, V)> {
        KeyScan::new(self, &hscan(key, 0, options), 2, pair)
    }

    /// The members of a set, as a stream; see [`sscan`](crate::commands::SetCommands::sscan) and
    /// [`Client::hscan_all`].
    pub fn sscan_all<T: FromReply>(&self, key: impl ToArg, options: ScanOptions<'_>) -> KeyScan<T> {
        KeyScan::new(self, &sscan(key, 0, options), 1, one)
    }

    /// The members of a sorted set with their scores, as a stream of pairs; see
    /// [`zscan`](crate::commands::SortedSetCommands::zscan) and [`Client::hscan_all`].
    pub fn zscan_all<T: FromReply>(
        &self,
        key: impl ToArg,
        options: ScanOptions<'_>,
    ) -> KeyScan<(T, f64)> {
        KeyScan::new(self, &zscan(key, 0, options), 2, pair)
    }
}

/// A request for a page: gives the cursor after it, and its elements.
type Fetch<C> = BoxFuture<'static, (C, Result<Option<Vec<Bytes>>, Error>)>;

/// A stream of all keys; made by [`Client::scan_all`].
///
/// Nothing is sent before the first poll, and one page is held at a time. Each page has the
/// client's timeout. An error does not end the stream: polled again, it continues where it was, so
/// that a shard that is down for a while costs no key.
#[must_use = "a scan does nothing until it is polled"]
pub struct Scan<T> {
    /// The client that sends the commands.
    client: Client,
    /// The arguments after the cursor.
    tail: Vec<Vec<u8>>,
    /// The cursor of the page that is held.
    page_begin: ScanCursor,
    /// The cursor of the page after it.
    cursor: ScanCursor,
    /// The process that gave the server's cursor in it.
    origin: CursorOrigin,
    /// Keys of the page that were not returned yet.
    ready: VecDeque<Bytes>,
    /// The request for the next page, while it runs.
    fetch: Option<Fetch<(ScanCursor, CursorOrigin)>>,
    /// The type of the keys.
    _items: std::marker::PhantomData<fn() -> T>,
}

impl<T> Scan<T> {
    /// The position of the scan, for [`Client::scan_from`]. No key is lost: a page that was
    /// returned in part is returned again as a whole.
    #[must_use]
    pub fn cursor(&self) -> ScanCursor {
        if self.ready.is_empty() { self.cursor.clone() } else { self.page_begin.clone() }
    }
}

impl<T: FromReply> Scan<T> {
    /// Waits for the next key. `None` at the end of the scan.
    ///
    /// # Errors
    /// Those of any command, for one page; `Convert` for a key that is not a `T`; `Config` for a
    /// cursor that another version of this crate wrote. The next call continues the scan.
    ///
    /// Dropping the future loses no key.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T> std::fmt::Debug for Scan<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<T: FromReply> Stream for Scan<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(key) = this.ready.pop_front() {
                return Poll::Ready(Some(one(&[key])));
            }
            let fetch = this.fetch.get_or_insert_with(|| {
                let client = this.client.clone();
                let (mut cursor, mut origin) = (this.cursor.clone(), this.origin.clone());
                let tail = this.tail.clone();
                Box::pin(async move {
                    if !cursor.is_of_this_version() {
                        let message = "another version of slotcar wrote the cursor: scan anew";
                        let error = Error::new(ErrorKind::Config, Delivery::NotSent, message);
                        return ((cursor, origin), Err(error));
                    }
                    let terms =
                        client.call_options(client.deadline_for(&scan(0, ScanOptions::new())));
                    let topology = Arc::clone(&client.shared.topology);
                    let page = next_page(&topology, &mut cursor, &mut origin, &tail, terms).await;
                    ((cursor, origin), page)
                })
            });
            let ((cursor, origin), page) = ready!(fetch.as_mut().poll(cx));
            this.fetch = None;
            this.origin = origin;
            this.page_begin = std::mem::replace(&mut this.cursor, cursor);
            match page {
                Ok(None) => return Poll::Ready(None),
                Ok(Some(keys)) => this.ready = keys.into(),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

/// A stream of one key's elements; made by [`Client::hscan_all`], [`Client::sscan_all`] and
/// [`Client::zscan_all`].
///
/// Nothing is sent before the first poll, and one page is held at a time. Each page has the
/// client's timeout. An error does not end the stream: polled again, it continues where it was.
#[must_use = "a scan does nothing until it is polled"]
pub struct KeyScan<T> {
    /// The client that sends the commands.
    client: Client,
    /// The command without the cursor: name, key, and the other arguments.
    words: (Vec<u8>, Vec<u8>, Vec<Vec<u8>>),
    /// The position; `None` at the end.
    at: Option<KeyCursor>,
    /// Frames of the page that were not returned yet.
    ready: VecDeque<Bytes>,
    /// How many frames make an element.
    each: usize,
    /// Decodes an element from its frames.
    decode: fn(&[Bytes]) -> Result<T, Error>,
    /// The request for the next page, while it runs.
    fetch: Option<Fetch<Option<KeyCursor>>>,
}

/// The position of the scan of one key.
#[derive(Clone, Debug, Default)]
struct KeyCursor {
    /// The cursor.
    cursor: u64,
    /// The process that gave it.
    origin: CursorOrigin,
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
        let (client, at, ready) = (client.clone(), Some(KeyCursor::default()), VecDeque::new());
        Self { client, words, at, ready, each, decode, fetch: None }
    }

    fn fetch(&self, mut at: KeyCursor) -> Fetch<Option<KeyCursor>> {
        let (client, (name, key, tail)) = (self.client.clone(), self.words.clone());
        Box::pin(async move {
            let command = |cursor: u64| {
                let name = String::from_utf8_lossy(&name);
                cmd(&name).arg(&key).arg(cursor).args(&tail)
            };
            let terms = client.call_options(client.deadline_for(&command(0)));
            let topology = &client.shared.topology;
            let result = loop {
                match at.next_page(topology, command(at.cursor), terms).await {
                    Ok(None) => {}
                    Ok(Some(page)) => break Ok(page),
                    Err(error) => break Err(error),
                }
            };
            match result {
                Err(error) => (Some(at), Err(error)),
                Ok((0, elements)) => (None, Ok(Some(elements))),
                Ok((cursor, elements)) => {
                    at.cursor = cursor;
                    at.origin.identify(topology.env(), false, terms.deadline).await;
                    (Some(at), Ok(Some(elements)))
                }
            }
        })
    }
}

impl KeyCursor {
    /// The next cursor and the elements of a page; `None` if another process sent it, so that the
    /// scan begins anew.
    async fn next_page(
        &mut self,
        topology: &Arc<LiveTopology>,
        command: Command,
        options: CallOptions,
    ) -> Result<Option<(u64, Vec<Bytes>)>, Error> {
        let last = self.origin.last_link();
        let request = Request::new(command, Destination::Key).with_last_link(Arc::clone(&last));
        let reply = dispatch(Arc::clone(topology), request, options, None).await;
        match &reply {
            Ok(_) if self.cursor == 0 => self.origin.begin(&last),
            Ok(_) if !self.origin.is_kept(topology.env(), &last, options.deadline).await => {
                self.cursor = 0;
                return Ok(None);
            }
            Err(error) if self.cursor != 0 && is_about_cursor(error) => {
                self.cursor = 0;
                // One that refuses its own cursor would do so again and again.
                if !self.origin.is_same_link(&last) {
                    return Ok(None);
                }
            }
            _ => {}
        }
        page(&reply?.0).map(Some)
    }
}

impl<T> KeyScan<T> {
    /// Waits for the next element. `None` at the end of the scan.
    ///
    /// # Errors
    /// Those of any command, for one page; `Convert` for an element that is not a `T`. The next
    /// call continues the scan.
    ///
    /// Dropping the future loses no element.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
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
                let Some(at) = this.at.clone() else { return Poll::Ready(None) };
                this.fetch = Some(this.fetch(at));
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

fn one<T: FromReply>(frames: &[Bytes]) -> Result<T, Error> {
    let [frame] = frames else { return Err(incomplete_element()) };
    from_frame(frame).map_err(Error::undecodable)
}

fn pair<A: FromReply, B: FromReply>(frames: &[Bytes]) -> Result<(A, B), Error> {
    let [first, second] = frames else { return Err(incomplete_element()) };
    let first = from_frame(first).map_err(Error::undecodable)?;
    Ok((first, from_frame(second).map_err(Error::undecodable)?))
}

fn incomplete_element() -> Error {
    Error::new(
        ErrorKind::Protocol,
        Delivery::Answered,
        "the server sent a page of a scan with an incomplete element",
    )
}
