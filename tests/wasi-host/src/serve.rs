//! A component as an HTTP/1 server. Each request has its own instance, as on hosts that isolate
//! requests.
//!
//! The first line of output says where it listens. The host itself answers two paths:
//! `GET /wasi-host/instances` with the number of live instances, which shows a test what a
//! component left behind, and `GET /wasi-host/failures` with the number of instances that trapped.
//! An instance lives until its handler has returned, which may be after its response.

use crate::permissions::State;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker};
use wasmtime::{Result, Store, format_err};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// What all requests share.
struct Server {
    /// Compiled and linked.
    component: ProxyPre<State>,
    /// Live instances.
    instances: AtomicUsize,
    /// Instances that trapped.
    failures: AtomicUsize,
}

/// Counts an instance while it lives.
struct Counted(Arc<Server>);

impl Counted {
    fn new(server: &Arc<Server>) -> Self {
        server.instances.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(server))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.instances.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves the component at `path` until the process is ended.
pub(crate) async fn serve(port: &str, path: &str) -> Result<()> {
    let engine = crate::engine()?;
    let component = Component::from_file(&engine, path)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let component = ProxyPre::new(linker.instantiate_pre(&component)?)?;
    let server = Arc::new(Server {
        component,
        instances: AtomicUsize::new(0),
        failures: AtomicUsize::new(0),
    });
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (socket, peer) = listener.accept().await?;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&server), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            if let Err(error) = connection.await {
                eprintln!("wasi-host: {peer}: {error}");
            }
        });
    }
}

async fn answer(
    server: Arc<Server>,
    request: Request<Incoming>,
) -> Result<Response<HyperOutgoingBody>> {
    let count = match request.uri().path() {
        "/wasi-host/instances" => Some(&server.instances),
        "/wasi-host/failures" => Some(&server.failures),
        _ => None,
    };
    if let Some(count) = count {
        let count = count.load(Ordering::Relaxed).to_string();
        let body = Full::from(count).map_err(|never| match never {}).boxed_unsync();
        return Ok(Response::new(body));
    }
    let counted = Counted::new(&server);
    let mut store = Store::new(server.component.engine(), State::new(&[])?);
    let (sender, receiver) = oneshot::channel();
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
    let out = store.data_mut().http().new_response_outparam(sender)?;
    // In a task of its own: the component may continue after its response.
    let task = tokio::spawn(async move {
        let server = &counted.0;
        let instance = server.component.instantiate_async(&mut store).await?;
        let handler = instance.wasi_http_incoming_handler();
        let outcome = handler.call_handle(&mut store, request, out).await;
        drop(store);
        if let Err(error) = &outcome {
            server.failures.fetch_add(1, Ordering::Relaxed);
            eprintln!("wasi-host: a request failed: {error:?}");
        }
        drop(counted);
        outcome
    });
    match receiver.await {
        Ok(response) => Ok(response?),
        Err(_) => Err(match task.await? {
            Ok(()) => format_err!("the component gave no response"),
            Err(error) => error.context("the component gave no response"),
        }),
    }
}
