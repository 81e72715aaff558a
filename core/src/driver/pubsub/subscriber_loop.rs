//! The loop of a subscriber: what waits for connections, timers and newer slot maps. It is one
//! future, polled by the readers of subscriptions and, where the host has one, by a background
//! task.
//!
//! Each turn applies what errors say about the topology, makes a plan, queues and writes it, and
//! starts the connections that the plan lacks; then it sleeps until something happens. A connection
//! that brought nothing for `probe_interval` is probed: it gets a command that has a reply, and the
//! progress timeout of the link does the rest.
//!
//! Invariants: the loop holds the subscriber weakly, and ends when the subscriber or the client
//! does; one attempt at a time to connect to each node. Limits: `connect_timeout` for each attempt;
//! back-off and dials per second as for every connection (`node/reconnecting_link.rs`).

use crate::BoxFuture;
use crate::command::cmd;
use crate::config::Protocol;
use crate::connection::entry::Entry;
use crate::driver::attempt::redirect::{Redirected, resolve};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::environment::connection_limit::lacked_room;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::shared_future::SharedFuture;
use crate::driver::link::link::Link;
use crate::driver::link::submit::submit;
use crate::driver::node::node::Node;
use crate::driver::node::reconnecting_link::ReconnectingLink;
use crate::driver::pubsub::subscriber::{NewLink, Subscriber, SubscriberKind, SubscriberLoop};
use crate::driver::pubsub::subscriber_state::State;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::BACKGROUND;
use crate::lock::lock;
use crate::resp::ServerError;
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::subscription::channel_table::ReaderId;
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

/// A connection, or why there is none.
type ConnectResult = Result<NewLink, Error>;
/// The running attempts to connect, each with its node.
type ConnectAttempts = FuturesUnordered<BoxFuture<'static, (Arc<Node>, ConnectResult)>>;

impl Subscriber {
    /// Starts the loop, with the first reader. Returns it for the reader to poll.
    pub(crate) fn start_loop(self: &Arc<Self>) -> SubscriberLoop {
        let mut task = lock(&self.loop_task);
        if let Some(future) = &task.future {
            return future.clone();
        }
        let future: BoxFuture<'static, ()> =
            Box::pin(run(Arc::downgrade(self), Arc::clone(&self.topology)));
        let future = SharedFuture::new(future);
        task.has_background =
            BACKGROUND && self.topology.env().transport().spawn(Box::pin(future.clone()));
        task.future.insert(future).clone()
    }

    /// Whether a background task polls the loop.
    pub(crate) fn has_background(&self) -> bool {
        lock(&self.loop_task).has_background
    }

    /// Polls the loop and the links: for a reader on a host without background tasks.
    pub(crate) fn drive(
        &self,
        future: &mut SubscriberLoop,
        reader: ReaderId,
        cx: &mut Context<'_>,
    ) {
        if !future.has_ended() {
            let _ = Pin::new(future).poll(cx);
        }
        for link in self.links() {
            link.register_reader(reader.0, cx.waker());
            link.move_bytes();
        }
    }

    /// Probes every connection that brought nothing for `probe_interval`.
    fn probe(&self, now: Timestamp) {
        let Some(interval) = self.topology.env().config().probe_interval else { return };
        let mut write = Vec::new();
        {
            let mut guard = lock(&self.state);
            let State { connections, channels, .. } = &mut *guard;
            while let Some((id, connection)) = connections.take_probe(now, interval) {
                channels.probe(id);
                connection.queue(&[]);
                write.push(Arc::clone(&connection.link));
            }
        }
        write.iter().for_each(|link| link.move_bytes());
    }

    /// Applies what errors said about the topology.
    fn apply_topology_errors(&self) {
        let errors = std::mem::take(&mut lock(&self.state).topology_errors);
        for (node, error) in errors {
            apply_topology_error(&self.topology, &node, &error);
        }
    }

    /// Handles the end of an attempt to connect.
    fn handle_connect_result(self: &Arc<Self>, node: &Arc<Node>, result: ConnectResult) {
        {
            let mut state = lock(&self.state);
            let number = node.number();
            state.connecting.remove(&number);
            match &result {
                Ok(_) => _ = state.unreachable.remove(&number),
                Err(error) => _ = state.unreachable.insert(number, error.clone()),
            }
            state.channels.recheck_waiting(number);
        }
        match result {
            Ok(link) => self.add_connection(node, link),
            // The server has nothing to do with it.
            Err(error) if lacked_room(&error) => {}
            Err(_) => self.topology.request_refresh(RefreshReason::NodeLost),
        }
    }

    /// Starts attempts to connect to the nodes that channels wait for. Returns whether the
    /// subscriber is open.
    fn start_connecting(&self, attempts: &mut ConnectAttempts) -> bool {
        let env = self.topology.env();
        let shares = self.kind == SubscriberKind::SharesWithCommands;
        let mut state = lock(&self.state);
        for node in state.take_wanted() {
            let own = state.own_link(&node, env);
            state.connecting.insert(node.number(), Arc::clone(&node));
            let attempt = connect(Arc::clone(env), Arc::clone(&node), own, shares);
            attempts.push(Box::pin(async move { (node, attempt.await) }));
        }
        !state.closed
    }
}

/// The loop; see the head of this file.
async fn run(subscriber: Weak<Subscriber>, topology: Arc<LiveTopology>) {
    let env = Arc::clone(topology.env());
    let mut attempts = ConnectAttempts::new();
    loop {
        let (listener, version, until) = {
            let Some(subscriber) = subscriber.upgrade() else { return };
            let listener = subscriber.changed.listen();
            subscriber.apply_topology_errors();
            let version = topology.routes().map.version();
            subscriber.send_plan();
            subscriber.probe(env.now());
            if lock(&subscriber.state).take_refresh(env.now()) {
                // Requested again and again, for as long as a channel has no node.
                topology.request_refresh(RefreshReason::Uncovered);
            }
            if !subscriber.start_connecting(&mut attempts) {
                return;
            }
            let until = lock(&subscriber.state).next(subscriber.keeps_unused());
            (listener, version, until)
        };
        let connected = {
            let newer_map = pin!(topology.wait_for_newer_map(version));
            let changed = select(listener, newer_map);
            // Without attempts, the stream is at its end: that is no event.
            let attempt_ends = poll_fn(|cx| match attempts.poll_next_unpin(cx) {
                Poll::Ready(Some(result)) => Poll::Ready(result),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            });
            let event = select(attempt_ends, changed);
            let wait = env.with_deadline(until, topology.while_refreshing(event));
            match env.while_open(wait).await {
                Some(Some(Either::Left((result, _)))) => Some(result),
                Some(_) => None,
                None => {
                    if let Some(subscriber) = subscriber.upgrade() {
                        subscriber.close();
                    }
                    return;
                }
            }
        };
        if let Some((node, result)) = connected {
            let Some(subscriber) = subscriber.upgrade() else { return };
            subscriber.handle_connect_result(&node, result);
        }
    }
}

/// Connects to a node: gives the connection `own` or, if it `shares` one and that can carry pushes,
/// the connection that commands use.
async fn connect(
    env: Arc<Environment>,
    node: Arc<Node>,
    own: Arc<ReconnectingLink>,
    shares: bool,
) -> ConnectResult {
    let deadline = env.now().after(env.config().connect_timeout);
    if shares && env.config().protocol == Protocol::Resp3 {
        let link = node.connect(&env, deadline).await?;
        wait_for_first_reply(&env, &link, deadline).await?;
        if link.is_resp3() {
            return Ok(NewLink::new(link));
        }
    }
    let link = own.connect(&env, deadline).await?;
    let new = NewLink::new(Arc::clone(&link));
    wait_for_first_reply(&env, &link, deadline).await?;
    if !link.is_resp3() {
        link.treat_lists_as_pushes();
    }
    Ok(new)
}

/// Waits until the server has answered anything: only then is it known which protocol it speaks.
async fn wait_for_first_reply(
    env: &Environment,
    link: &Arc<Link>,
    deadline: Timestamp,
) -> Result<(), Error> {
    if link.has_answered() {
        return Ok(());
    }
    let ping = cmd("PING");
    let entry = Entry { len: ping.encoded_len(), replies: 1, deadline };
    match submit(env, link, entry, &|out: &mut Vec<u8>| ping.write_to(out)).await? {
        Ok(_) => Ok(()),
        Err(failed) => {
            let message = format!("no reply to PING before subscribing: {}", failed.failure);
            let error = Error::new(ErrorKind::Connect, Delivery::NotSent, message);
            Err(error.with_endpoint(link.endpoint()))
        }
    }
}

/// Applies what an error of a subscribe command says about the topology.
fn apply_topology_error(topology: &LiveTopology, node: &Arc<Node>, error: &ServerError) {
    if let Some(Ok(redirect)) = error.redirect() {
        match resolve(topology, &redirect, node, 1) {
            Redirected::Sender => return node.redial(),
            Redirected::Moved { slot, endpoint, literally } => {
                return drop(topology.handle_moved(slot, &endpoint, literally));
            }
            Redirected::Unusable => {
                return topology.request_refresh_from(node, RefreshReason::UnknownNode);
            }
            // A subscription goes only where the map says.
            Redirected::Ask(_) => {}
        }
    }
    if let Some(reason) = reply_policy(error, ErrorOrigin::Server).refresh {
        topology.request_refresh(reason);
    }
}
