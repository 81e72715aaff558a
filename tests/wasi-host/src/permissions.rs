//! What a component may do here: TCP on loopback, the lookup of names, standard streams, and a few
//! variables of the environment. No file, no other address, no UDP.
//!
//! `WASI_HOST_STATE` names a folder that the component sees as `/state` and may write to.
//!
//! `WASI_HOST_DENY=tcp`, `names` or `tcp,names` denies TCP and the lookup of names, for the tests
//! of how a component sees a denial.

use std::time::Duration;
use wasmtime::component::ResourceTable;

use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

/// What one instance of a component has.
pub(crate) struct State {
    /// Its permissions.
    wasi: WasiCtx,
    /// For components that serve HTTP.
    http: WasiHttpCtx,
    /// No outgoing requests.
    hooks: NoRequests,
    /// Its sockets, streams and timers.
    table: ResourceTable,
}

impl State {
    /// For a command with these arguments, the program's name first.
    pub(crate) fn new(arguments: &[String]) -> wasmtime::Result<Self> {
        let mut builder = WasiCtx::builder();
        builder.inherit_stdio();
        Self::with(builder, arguments)
    }

    /// The same with its standard output and error in `output`.
    pub(crate) fn saying_to(
        arguments: &[String],
        output: MemoryOutputPipe,
    ) -> wasmtime::Result<Self> {
        let mut builder = WasiCtx::builder();
        builder.stdout(output.clone()).stderr(output);
        Self::with(builder, arguments)
    }

    fn with(mut builder: WasiCtxBuilder, arguments: &[String]) -> wasmtime::Result<Self> {
        let deny = std::env::var("WASI_HOST_DENY").unwrap_or_default();
        let denied = |what: &str| deny.split(',').any(|word| word == what);
        builder
            .args(arguments)
            .allow_tcp(!denied("tcp"))
            .allow_ip_name_lookup(!denied("names"))
            .socket_addr_check(|address, usage| {
                // A socket that connects is first bound to the wildcard address.
                let local =
                    matches!(usage, SocketAddrUse::TcpBind) && address.ip().is_unspecified();
                let allowed = local || address.ip().is_loopback();
                Box::pin(async move { allowed })
            });
        for (name, value) in std::env::vars().filter(|(name, _)| inherited(name)) {
            builder.env(name, value);
        }
        if let Some(folder) = std::env::var_os("WASI_HOST_STATE") {
            builder.preopened_dir(folder, "/state", FsPerms::ReadWrite)?;
        }
        // A test that fails aborts its component, and captured output would be lost.
        builder.env("RUST_TEST_NOCAPTURE", "1");
        Ok(Self {
            wasi: builder.build(),
            http: WasiHttpCtx::new(),
            hooks: NoRequests,
            table: ResourceTable::new(),
        })
    }
}

fn inherited(name: &str) -> bool {
    name.starts_with("SLOTCAR_") || name == "RUST_BACKTRACE"
}

/// How long a component may run: `SLOTCAR_WASI_LIMIT`, in seconds.
pub(crate) fn limit() -> Duration {
    let seconds = std::env::var("SLOTCAR_WASI_LIMIT").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(300))
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// Denies every outgoing request.
struct NoRequests;

/// The outcome of an outgoing request: the response, and the work that remains after it.
type Answer = (hyper::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _: hyper::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answer, Error>> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
